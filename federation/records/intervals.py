"""Which interval a campaign may show: decided here, and asked by every view.

========================  =========================  =====================================
realizations              kind                       interval of a share
========================  =========================  =====================================
independent, of a number  ``exact``                  Clopper and Pearson
fixed beforehand
independent, ended by a   ``anytime-valid``          confidence sequence: holds whenever
rule that looked                                     one looks
tied to those before      ``widened``                Clopper and Pearson of as many as they
(faults, devices,                                    are worth, by their autocorrelation
wall clock)
points of a design        ``nominal``                Clopper and Pearson as if independent:
                                                     no confidence is claimed
========================  =========================  =====================================
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gridproof.federation.config.campaign import DESIGNS
from gridproof.federation.config.faults import FaultsConfig
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.statistics.dependence import effective_trials
from gridproof.federation.statistics.paired import (
    PairedDifference,
    anytime_difference,
    paired_difference,
)
from gridproof.federation.statistics.sequential import StoppingRule, confidence_sequence
from gridproof.federation.statistics.shares import clopper_pearson
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.verdict import Outcome

__all__ = [
    "ANYTIME",
    "EXACT",
    "NOMINAL",
    "WIDENED",
    "Intervals",
    "feasible_of_judged",
    "outcomes_in_order",
]

EXACT, ANYTIME, NOMINAL, WIDENED = "exact", "anytime-valid", "nominal", "widened"

_LAGS_AT_MOST = 64
_WEAKEST = (NOMINAL, WIDENED, ANYTIME, EXACT)
"""Of two campaigns compared, the kind that comes first here is that of both."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Intervals:
    """The intervals of one campaign, or of two that are compared.

    Attributes
    ----------
    kind
        One of the four above.
    confidence
        Of each interval; with a rule that of all looks together.
    lags
        How far back a realization can lean on another; 0 where none does.
    widening
        Realizations that are worth one independent one.
    """

    kind: str
    confidence: float
    lags: int = 0
    widening: float = 1.0

    @classmethod
    def of(cls, config: Mapping[str, Any], confidence: float | None = None) -> Intervals:
        """Say which intervals a campaign may show.

        Parameters
        ----------
        config
            The resolved configuration, as ``study.json`` has it.
        confidence
            What is asked; the campaign's own, or its rule's, if left out.
        """
        campaign = config["campaign"]
        rule, lags = StoppingRule.of(campaign), _lags(config)
        own = rule.confidence if rule is not None else float(campaign["confidence"])
        kind = WIDENED if lags else ANYTIME if rule is not None else EXACT
        if campaign.get("sampler") in DESIGNS:
            kind = NOMINAL
        return cls(kind=kind, confidence=own if confidence is None else confidence, lags=lags)

    def beside(self, other: Intervals) -> Intervals:
        """Return what a comparison with another campaign may show: the weaker of both."""
        weaker = min(self.kind, other.kind, key=_WEAKEST.index)
        return replace(self, kind=weaker, lags=max(self.lags, other.lags))

    def seen(self, values: BoolArray | FloatArray) -> Intervals:
        """Return these, widened by the autocorrelation of (realization,) values in order."""
        if not self.lags:
            return self
        return replace(self, widening=effective_trials(values, self.lags))

    def share(self, count: int, trials: int) -> tuple[float, float]:
        """Interval of a share of so many out of so many."""
        if self.kind == ANYTIME:
            return confidence_sequence(count, trials, self.confidence)
        worth = int(trials / self.widening)
        share = count / trials if trials else 0.0
        return clopper_pearson(round(share * worth), worth, self.confidence)

    def difference(self, first_only: int, second_only: int, trials: int) -> PairedDifference:
        """Difference of two paired shares, as `federation.statistics.paired.paired_difference`."""
        if self.kind == ANYTIME:
            return anytime_difference(first_only, second_only, trials, self.confidence)
        if self.widening == 1.0:
            return paired_difference(first_only, second_only, trials, self.confidence)
        worth = int(trials / self.widening)
        less, more = (round(n / self.widening) for n in (first_only, second_only))
        found = paired_difference(less, more, max(worth, less + more), self.confidence)
        return replace(found, value=(first_only - second_only) / trials)

    @property
    def told_widening(self) -> float | None:
        """What a report says of the widening; None where no realization leans on another."""
        return self.widening if self.lags else None


def outcomes_in_order(store: CampaignStore, chunks: tuple[int, ...]) -> IntArray:
    """(realization,) outcome codes of a campaign's parts, in their order; over all its steps."""
    codes = list(store.outcomes(chunks))
    return np.concatenate(codes) if codes else np.zeros(0, np.int64)


def feasible_of_judged(outcomes: IntArray) -> BoolArray:
    """(judged,) whether each realization that did not err is feasible, in order."""
    return np.asarray(outcomes[outcomes != Outcome.ERRED] == Outcome.FEASIBLE)


def _lags(config: Mapping[str, Any]) -> int:
    """How far back a realization can lean on another, in realizations."""
    faults = FaultsConfig.model_validate(dict(config.get("faults") or {}))
    clocked = (config.get("realtime") or {}).get("step_s") is not None
    if clocked or (config.get("devices") or {}).get("at"):
        return _LAGS_AT_MOST
    if not faults.declared:
        return 0
    if faults.ramp_kw_per_s is not None:
        return _LAGS_AT_MOST
    reach_s = faults.latency_s + faults.jitter_s + 2.0 * faults.ride_through_s
    if faults.loss:  # so many in a row are lost once in a thousand times
        reach_s += faults.command_every_s * math.log(1e-3) / math.log(faults.loss)
    return min(_LAGS_AT_MOST, 1 + math.ceil(reach_s / faults.interval_s))
