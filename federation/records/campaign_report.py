"""What became of the realizations of a campaign: shares, margins, losses, and why it ended.

Attributes are the keys that ``--json`` prints. What is told of one kind of limit stands in a
mapping by its name (`scenarios.verdict.MarginKind`), outcomes in one by theirs.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Protocol

from gridproof.federation.jsonable import IF_KNOWN, UNWRITTEN, Interval, Jsonable
from gridproof.federation.records.certificate_report import CertificateReport
from gridproof.federation.records.device_report import DevicesReport
from gridproof.federation.records.fast_report import FastReport
from gridproof.federation.records.one_cause import OneCause
from gridproof.federation.records.pace_report import PaceReport
from gridproof.federation.records.probe_report import AdversaryReport, RareReport
from gridproof.federation.statistics.paired import PairedDifference

__all__ = [
    "Bounded",
    "CampaignReport",
    "CrossedJudges",
    "FirstCause",
    "KindShare",
    "MarginReport",
    "RedispatchReport",
    "StoppingReport",
    "Tail",
    "UnservedReport",
    "WorstMargin",
]

_ROUND = 1e-9


class Bounded(Protocol):
    """What has intervals: `federation.records.intervals` decided which."""

    @property
    def interval_kind(self) -> str:
        """``exact``, ``anytime-valid``, ``widened`` or ``nominal``."""
        ...

    @property
    def confidence(self) -> float:
        """Of each interval."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstMargin(Jsonable):
    """The least margin of one kind of limit, over all realizations that were judged.

    Attributes
    ----------
    kind, unit
        Which limit, and what the margin is in: pu for a voltage, else a share of the rating.
    margin
        Positive inside.
    element, phase, index
        Where, and in which realization.
    """

    kind: str = field(metadata=UNWRITTEN)
    margin: float
    unit: str
    element: str
    phase: str | None
    index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class Tail(Jsonable):
    """Mean of the least ``share`` of the margins: the conditional value at risk."""

    share: float
    mean: float


@dataclass(frozen=True, slots=True, kw_only=True)
class MarginReport(Jsonable):
    """How the worst margin of a realization to one kind of limit is distributed.

    Attributes
    ----------
    unit
        As in `WorstMargin`.
    count
        Realizations that have one.
    min, quantiles, max
        The least, quantiles by their level in words (``"0.05"``), the greatest.
    cvar
        The lower tail.
    """

    unit: str
    count: int
    min: float
    quantiles: Mapping[str, float]
    max: float
    cvar: Tail


@dataclass(frozen=True, slots=True, kw_only=True)
class KindShare(Jsonable):
    """How often one kind of limit is violated: ``count`` of those ``solved``."""

    count: int
    solved: int
    share: float | None
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class UnservedReport(Jsonable):
    """Energies over the horizon, as `federation.records.losses.UnservedEnergy` counts them.

    Attributes
    ----------
    horizon_h
        Of a realization.
    expected_unserved_kwh, standard_error_kwh
        Expected energy not served, and the error of that mean.
    shed_by_plan_kwh
        What the plan leaves dark where it is feasible; None where it nowhere is.
    demand_kwh, unserved_share
        All there is, and the share of it not served.
    """

    horizon_h: float
    expected_unserved_kwh: float | None
    standard_error_kwh: float | None
    shed_by_plan_kwh: float | None
    demand_kwh: float | None
    unserved_share: float | None

    @property
    def served_share(self) -> float | None:
        """Share of the demand that the plan serves, as drawn.

        None where no realization says: none is feasible. What rounding leaves of nothing is
        nothing, and of all is all.
        """
        if self.shed_by_plan_kwh is None or not self.demand_kwh:
            return None
        share = 1.0 - self.shed_by_plan_kwh / self.demand_kwh
        near = float(round(share))
        return near + 0.0 if abs(share - near) < _ROUND else float(share)


@dataclass(frozen=True, slots=True, kw_only=True)
class RedispatchReport(Jsonable):
    """What the policy tried costs over ``count`` realizations; None where nothing was solved."""

    policy: str
    count: int
    mean_usd: float | None
    most_usd: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class StoppingReport(Jsonable):
    """Why a campaign with a stopping rule ended, or that it did not.

    Attributes
    ----------
    kind, width, share, confidence
        The rule: of kind ``width`` or ``target``, with the number of its kind.
    reason
        ``width``, ``shown`` or ``refuted``; None while it has not decided.
    feasible, judged, looks, interval
        What it saw when it looked last.
    """

    kind: str
    width: float | None = field(default=None, metadata=IF_KNOWN)
    share: float | None = field(default=None, metadata=IF_KNOWN)
    confidence: float
    reason: str | None
    feasible: int
    judged: int
    looks: int
    interval: Interval


@dataclass(frozen=True, slots=True, kw_only=True)
class FirstCause(Jsonable):
    """The first realization that erred, and what was said of it."""

    first: int
    said: str


@dataclass(frozen=True, slots=True, kw_only=True)
class CrossedJudges(Jsonable):
    """The linear judge against that of AC.

    Attributes
    ----------
    both_feasible, linear_only, ac_only, neither
        Realizations that neither judge *erred* on.
    erred
        Those that one did.
    difference
        The linear share less the AC share.
    outcomes
        Linear outcome to AC outcome to count.
    """

    both_feasible: int
    linear_only: int
    ac_only: int
    neither: int
    erred: int
    difference: PairedDifference
    outcomes: Mapping[str, Mapping[str, int]]


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignReport(Jsonable):
    """What became of the realizations of a campaign, or of one step of it.

    ``erred`` realizations count neither for nor against the plan: they are outside
    ``feasible_share`` and its interval, and always beside it in ``outcomes``.

    Attributes
    ----------
    samples, step, asked
        Realizations tried, at which step, and how many there are to be.
    judge, recourse, sampler
        Who judged, who moved, how it was drawn.
    loads_from
        Who sent the loads, where they were not drawn.
    outcomes, outcome_intervals
        Counted by outcome, and the interval of each share.
    feasible_share, interval
        Of what was judged; None and the whole unit interval where nothing was.
    served_share
        Share of the demand served, as drawn; None where no realization is feasible.
    independent_draws, interval_kind, confidence, widening
        Which intervals these are; ``widening`` where realizations lean on those before them.
    stopping
        Of a campaign with a rule.
    erred
        Why the first realization erred, where one did.
    none_feasible
        What ended them, where none of those judged is feasible.
    violations, worst, margins
        By kind of limit: how often outside, the least margin, and their distribution.
    energy, redispatch
        What is lost, and what moving costs.
    crossed
        Of a campaign before both judges.
    seconds, samples_per_s
        What it took; two reports are equal that say the same of the plan, whatever it took.
    certificate
        What was proven of the plan over its whole load set, where that was asked.
    adversary, rare
        What else was asked of the campaign.
    devices
        Of a campaign with devices: what was wrong with each, and how long they took.
    pace
        Of a campaign against the wall clock: how late it was.
    fast
        Of a campaign with the fast engine: what OpenDSS answered all the same, and the audit.
    """

    samples: int
    step: int
    asked: int
    judge: str
    recourse: str
    sampler: str
    loads_from: str | None = field(default=None, metadata=IF_KNOWN)
    outcomes: Mapping[str, int]
    outcome_intervals: Mapping[str, Interval]
    feasible_share: float | None
    served_share: float | None
    interval: Interval
    independent_draws: bool
    interval_kind: str
    confidence: float
    widening: float | None = field(default=None, metadata=IF_KNOWN)
    stopping: StoppingReport | None
    erred: FirstCause | None = field(default=None, metadata=IF_KNOWN)
    none_feasible: OneCause | None = field(default=None, metadata=IF_KNOWN)
    violations: Mapping[str, KindShare]
    energy: UnservedReport
    redispatch: RedispatchReport
    worst: Mapping[str, WorstMargin]
    crossed: CrossedJudges | None = field(default=None, metadata=IF_KNOWN)
    margins: Mapping[str, MarginReport]
    seconds: float = field(compare=False)
    samples_per_s: float | None = field(compare=False)
    adversary: AdversaryReport | None = field(default=None, metadata=IF_KNOWN)
    certificate: CertificateReport | None = field(default=None, metadata=IF_KNOWN)
    rare: RareReport | None = field(default=None, metadata=IF_KNOWN)
    devices: DevicesReport | None = field(default=None, metadata=IF_KNOWN)
    pace: PaceReport | None = field(default=None, metadata=IF_KNOWN, compare=False)
    fast: FastReport | None = field(default=None, metadata=IF_KNOWN)
