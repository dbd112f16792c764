"""What was proven about a plan: why a search ended, the best it found, and the bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType

import numpy as np

__all__ = ["Proof", "Termination"]


class Termination(StrEnum):
    """Why a search ended; says nothing of what it had found."""

    OPTIMAL = "optimal"
    INFEASIBLE = "infeasible"
    TIME_LIMIT = "time_limit"
    ITERATION_LIMIT = "iteration_limit"
    UNKNOWN = "unknown"
    EXTERNAL = "external"  # the plan came from a file or another tool; nothing is proven


@dataclass(frozen=True, slots=True, kw_only=True)
class Proof:
    """Three facts, never one flag: why it ended, the incumbent, and the bound.

    Attributes
    ----------
    termination
        Why the search ended.
    incumbent
        Cost of the best plan proven robust, in the unit of its objective; ``inf`` if there is none.
    bound
        No plan costs less, in the same unit; ``-inf`` if nothing is known.
    asked_gap
        The relative gap at which a plan counts as certified.
    robust
        True if feasibility for every realization of the set is proven, not sampled.
    iterations
        Master solves.
    realizations_kept
        Realizations held in the last master.
    seconds
        Wall time, by part: ``total``, ``master``, ``separation``, …
    over
        What was proven, and of which set, where ``robust`` alone does not say it; else empty.
    """

    termination: Termination
    incumbent: float
    bound: float
    asked_gap: float = 1e-4
    robust: bool = False
    iterations: int = 0
    realizations_kept: int = 0
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))
    over: str = ""

    @property
    def gap(self) -> float:
        """``(incumbent - bound) / max(1, |incumbent|)``; ``inf`` without both."""
        if not (np.isfinite(self.incumbent) and np.isfinite(self.bound)):
            return float("inf")
        return max(0.0, self.incumbent - self.bound) / max(1.0, abs(self.incumbent))

    @property
    def optimal(self) -> bool:
        """Within the asked gap of the best there can be, robust or not."""
        return self.gap <= self.asked_gap

    @property
    def certified(self) -> bool:
        """Robust, and within the asked gap of the best there can be."""
        return self.robust and self.optimal
