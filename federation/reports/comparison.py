"""What two campaigns on the same realizations say of each other, as values."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gridproof.federation.jsonable import IF_KNOWN, INLINED, Interval, Jsonable
from gridproof.federation.statistics.paired import PairedDifference

__all__ = [
    "ComparedCampaign",
    "ComparedShare",
    "ComparedStep",
    "ComparedSteps",
    "Comparison",
    "CrossedCampaigns",
    "MarginGain",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedCampaign(Jsonable):
    """Which campaign: where it is, of which study, who moved and who judged."""

    directory: str
    study: str | None
    fingerprint: str
    recourse: str
    judge: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedShare(Jsonable):
    """Share feasible of one of them with its interval, and the share of the load ``served``."""

    value: float | None
    interval: Interval
    served: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedCampaigns(Jsonable):
    """How often both are feasible, one of them alone, and neither."""

    both_feasible: int
    first_only: int
    second_only: int
    neither: int

    @property
    def judged(self) -> int:
        """Realizations that neither erred on."""
        return self.both_feasible + self.first_only + self.second_only + self.neither


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginGain(Jsonable):
    """Margin of the second less that of the first, to one kind of limit.

    Attributes
    ----------
    unit, count
        What it is in, and realizations that both solved.
    mean, min, quantiles, max
        Its distribution; quantiles by their level in words.
    gained
        Realizations in which it is above zero.
    """

    unit: str
    count: int
    mean: float
    min: float
    quantiles: Mapping[str, float]
    max: float
    gained: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison(Jsonable):
    """Two campaigns, pair by pair.

    Attributes
    ----------
    first, second
        Which.
    realizations, unjudged
        Compared, and erred in either, which are left out.
    interval_kind, confidence, widening
        The intervals that both campaigns may show.
    shares
        Of the first and of the second.
    crossed, difference
        Counts of pairs, and the second share less the first.
    outcomes
        Outcome of the first to that of the second to count; of one step.
    margins
        What is gained, by kind of limit; of one step.
    """

    first: ComparedCampaign
    second: ComparedCampaign
    realizations: int
    unjudged: int
    interval_kind: str
    confidence: float
    widening: float | None = field(default=None, metadata=IF_KNOWN)
    shares: tuple[ComparedShare, ComparedShare]
    crossed: CrossedCampaigns
    difference: PairedDifference
    outcomes: Mapping[str, Mapping[str, int]] | None = field(default=None, metadata=IF_KNOWN)
    margins: Mapping[str, MarginGain] | None = field(default=None, metadata=IF_KNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedStep(Jsonable):
    """One step of two studies of several."""

    step: int
    name: str
    comparison: Comparison = field(metadata=INLINED)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedSteps(Jsonable):
    """Two studies of several steps: each step, and what is feasible at every one."""

    steps: tuple[ComparedStep, ...]
    joint: Comparison
