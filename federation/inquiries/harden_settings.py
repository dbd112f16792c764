"""What a hardening is asked to show, how its margins move, and how it spends its error."""

from __future__ import annotations

import math
from dataclasses import dataclass

from gridproof.federation.studies.planner_margins import MOST_MARGIN_PU
from gridproof.scenarios.errors import ConfigError

__all__ = ["HardenSettings", "lower_bound", "spent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HardenSettings:
    """What is asked, and how the margin moves.

    Attributes
    ----------
    share
        Feasible share to be shown, in (0, 1]; no sample shows 1, which only a proof does.
    confidence
        That no plan below the share is shown, over all rounds together, in (0, 1).
    most_rounds
        Most plans tried.
    least_step_pu, greatest_step_pu
        Bounds of one rise of ``ac_margin``.
    most_margin_pu
        Margins end here; the planner needs them below 0.05 pu.
    everywhere
        Raise one margin for all elements instead, whichever failed.
    """

    share: float
    confidence: float = 0.95
    most_rounds: int = 12
    least_step_pu: float = 0.001
    greatest_step_pu: float = 0.01
    most_margin_pu: float = MOST_MARGIN_PU
    everywhere: bool = False

    def __post_init__(self) -> None:
        checks = (
            (0.0 < self.share <= 1.0, f"share {self.share} must lie above 0, and be at most 1"),
            (
                0.0 < self.confidence < 1.0,
                f"confidence {self.confidence} must lie strictly between 0 and 1",
            ),
            (self.most_rounds >= 1, f"rounds {self.most_rounds} must be at least 1"),
            (
                0.0 < self.least_step_pu <= self.greatest_step_pu,
                f"steps {self.least_step_pu} to {self.greatest_step_pu} pu must be positive and "
                "in order",
            ),
            (
                0.0 < self.most_margin_pu < 0.05,
                f"greatest margin {self.most_margin_pu} pu must lie above 0 and below 0.05",
            ),
        )
        faults = [fault for holds, fault in checks if not holds]
        if faults:
            raise ConfigError(faults)

    @property
    def by_proof_alone(self) -> bool:
        """Whether the share is one that no number of realizations shows."""
        return self.share == 1.0

    @property
    def least_samples(self) -> int:
        """Realizations that could show the share in the last round if every one is feasible."""
        if self.by_proof_alone:
            return 1
        return math.ceil(math.log(spent(self, self.most_rounds)) / math.log(self.share))


def spent(settings: HardenSettings, number: int) -> float:
    """Error of round ``number``, ``α / (k (k + 1))``."""
    return (1.0 - settings.confidence) / (number * (number + 1))


def lower_bound(feasible: int, samples: int, alpha: float) -> float:
    """Exact one-sided bound, ``B(α; x, n - x + 1)``: a lesser share is excluded at ``1 - α``."""
    from scipy.special import betaincinv  # noqa: PLC0415  (a fifth of a second of every start)

    return float(betaincinv(feasible, samples - feasible + 1, alpha)) if feasible else 0.0
