"""Campaigns of the same realizations beside each other in all that matters, not in one share."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import numpy as np
from gridproof.federation.campaigns.steps import step_stores
from gridproof.federation.jsonable import IF_KNOWN, INLINED, Interval, Jsonable
from gridproof.federation.records.intervals import ANYTIME, Intervals
from gridproof.federation.records.measures import MEASURES, measured_chunks, planned_cost
from gridproof.federation.records.stopping import counted_chunks
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.reports.compare import about_campaign, compare_campaigns
from gridproof.federation.reports.compare_steps import compare_steps
from gridproof.federation.reports.comparison import ComparedCampaign, ComparedSteps, Comparison
from gridproof.federation.statistics.means import Moments, asymptotic_sequence, mean_interval
from gridproof.scenarios.arrays import FloatArray

__all__ = [
    "ComparedMany",
    "ComparedPair",
    "MeasuredCampaign",
    "MeasuredValue",
    "Measures",
    "compare_many",
]

_FEASIBLE = MEASURES[0].key
_RANKED = (_FEASIBLE, "served_kw")
"""What a plan has to be beaten in, beside its cost, to be no choice."""


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredValue(Jsonable):
    """One measure of one campaign.

    Attributes
    ----------
    mean
        Over the realizations that count; None without one.
    gain, interval
        Mean of its differences from the first campaign, realization by realization, and its
        interval; None of the first itself.
    """

    mean: float | None
    gain: float | None = None
    interval: Interval | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class MeasuredCampaign(Jsonable):
    """One campaign: which, its measures by name, and whether another is better in every respect.

    Attributes
    ----------
    about
        Which.
    values
        By the keys of `federation.records.measures.MEASURES`.
    planned_cost, cost_unit
        What the plan says that it costs, without re-dispatch.
    beaten_by
        Directory of a campaign that is no worse in share feasible, power served and cost, planned
        and of re-dispatch, and better in one of them; None where there is none: a choice.
    """

    about: ComparedCampaign = field(metadata=INLINED)
    values: Mapping[str, MeasuredValue]
    planned_cost: float | None
    cost_unit: str | None
    beaten_by: str | None = None

    def ranked(self) -> tuple[float, ...]:
        """Return what more is better of; NaN where it is not known."""
        means = [self.values[key].mean for key in _RANKED]
        moved = self.values["redispatch_usd"].mean or 0.0
        cost = None if self.planned_cost is None else -(self.planned_cost + moved)
        return tuple(np.nan if value is None else value for value in (*means, cost))


@dataclass(frozen=True, slots=True, kw_only=True)
class Measures(Jsonable):
    """Campaigns on the same realizations; the first is what the others are compared with.

    Attributes
    ----------
    realizations, unjudged
        That all campaigns have, and erred in any of them, which are left out.
    interval_kind, confidence
        Of the gains.
    campaigns
        In the order they were named.
    """

    realizations: int
    unjudged: int
    interval_kind: str
    confidence: float
    campaigns: tuple[MeasuredCampaign, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedPair(Jsonable):
    """Two campaigns: pair by pair, and by their measures."""

    pair: Comparison | ComparedSteps = field(metadata=INLINED)
    measures: Measures
    figures: tuple[str, ...] | None = field(default=None, metadata=IF_KNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class ComparedMany(Jsonable):
    """Three campaigns or more: each with the first, pair by pair, and all by their measures."""

    pairs: tuple[Comparison | ComparedSteps, ...]
    measures: Measures
    figures: tuple[str, ...] | None = field(default=None, metadata=IF_KNOWN)

    def as_pair(self) -> ComparedPair:
        """Return what is told of two."""
        (pair,) = self.pairs
        return ComparedPair(pair=pair, measures=self.measures, figures=self.figures)


def compare_many(stores: Sequence[CampaignStore], confidence: float = 0.95) -> ComparedMany:
    """Compare campaigns with the first of them, in all that is measured.

    Parameters
    ----------
    stores
        Two or more, of the same draws.
    confidence
        Of each interval; several together may miss more often.

    Raises
    ------
    StoreError
        As `federation.reports.compare.compare_campaigns` and `compare_steps`.
    """
    first, stepped = stores[0], any(store.steps for store in stores)
    pairs = tuple(
        (compare_steps if stepped else compare_campaigns)(first, other, confidence)
        for other in stores[1:]
    )
    steps = [step_stores(store) if store.steps else (store,) for store in stores]
    whole = [set(counted_chunks(one)[0]) for each in steps for one in each]
    chunks = sorted(set.intersection(*whole))
    intervals = Intervals.of(first.study["config"], confidence)
    for other in stores[1:]:
        intervals = intervals.beside(Intervals.of(other.study["config"], confidence))
    seen = _Seen.of(len(stores), in_order=bool(intervals.lags))
    for rows in zip(*(measured_chunks(each, chunks) for each in steps), strict=True):
        seen.add(rows)
    measured = tuple(
        _measured(store, seen, k, intervals, None if k == 0 else pairs[k - 1])
        for k, store in enumerate(stores)
    )
    return ComparedMany(
        pairs=pairs,
        measures=Measures(
            realizations=seen.rows,
            unjudged=seen.rows - seen.judged,
            interval_kind=intervals.kind,
            confidence=intervals.confidence,
            campaigns=_with_beaten(measured),
        ),
    )


@dataclass(slots=True, kw_only=True)
class _Seen:
    """Moments of all measures, and of their differences from the first campaign."""

    values: list[list[Moments]]
    gains: list[list[Moments]]
    series: list[list[list[FloatArray]]] | None
    rows: int = 0
    judged: int = 0

    @classmethod
    def of(cls, campaigns: int, *, in_order: bool) -> _Seen:
        """Begin; differences themselves are held only where their order matters."""

        def fresh() -> list[list[Moments]]:
            return [[Moments() for _ in MEASURES] for _ in range(campaigns)]

        series = [[list[FloatArray]() for _ in MEASURES] for _ in range(campaigns)]
        return cls(values=fresh(), gains=fresh(), series=series if in_order else None)

    def add(self, campaigns: Sequence[tuple[FloatArray, np.ndarray]]) -> None:
        """Take a part of every campaign; only rows that all have and that erred in none."""
        rows = min(len(sound) for _, sound in campaigns)
        sound = np.logical_and.reduce([one[:rows] for _, one in campaigns])
        self.rows, self.judged = self.rows + rows, self.judged + int(sound.sum())
        first = campaigns[0][0][:rows][sound]
        for k, (values, _) in enumerate(campaigns):
            mine = values[:rows][sound]
            for m in range(len(MEASURES)):
                self.values[k][m].add(_finite(mine[:, m]))
                gained = _finite(mine[:, m] - first[:, m])
                self.gains[k][m].add(gained)
                if self.series is not None:
                    self.series[k][m].append(gained)


def _finite(values: FloatArray) -> FloatArray:
    return values[np.isfinite(values)]


def _measured(
    store: CampaignStore,
    seen: _Seen,
    k: int,
    intervals: Intervals,
    pair: Comparison | ComparedSteps | None,
) -> MeasuredCampaign:
    values = {}
    for m, measure in enumerate(MEASURES):
        moments, gains = seen.values[k][m], seen.gains[k][m]
        found = MeasuredValue(mean=moments.mean if moments.count else None)
        if pair is not None and measure.key == _FEASIBLE:  # a share has an interval of its own
            difference = (pair.joint if isinstance(pair, ComparedSteps) else pair).difference
            found = replace(found, gain=difference.value, interval=difference.interval)
        elif pair is not None and gains.count:
            order = seen.series[k][m] if seen.series is not None else []
            found = replace(found, gain=gains.mean, interval=_interval(gains, intervals, order))
        values[measure.key] = found
    cost = planned_cost(store)
    return MeasuredCampaign(
        about=about_campaign(store),
        values=values,
        planned_cost=None if cost is None else cost.value,
        cost_unit=None if cost is None else cost.unit,
    )


def _interval(gains: Moments, intervals: Intervals, order: Sequence[FloatArray]) -> Interval | None:
    """Interval of a mean of differences, of the kind that all campaigns may show."""
    if intervals.kind == ANYTIME:
        return asymptotic_sequence(gains, intervals.confidence)
    widening = intervals.seen(np.concatenate(order)).widening if order else 1.0
    return mean_interval(gains, intervals.confidence, widening)


def _with_beaten(campaigns: Sequence[MeasuredCampaign]) -> tuple[MeasuredCampaign, ...]:
    """Name for each campaign another that is no worse in anything ranked, and better in one.

    Costs of different units rank nothing; what is not known is not better.
    """
    one_unit = len({one.cost_unit for one in campaigns}) == 1
    marks = [np.array(one.ranked()[: None if one_unit else len(_RANKED)]) for one in campaigns]
    known = np.isfinite(np.stack(marks)).all(axis=0)
    return tuple(
        replace(
            one,
            beaten_by=next(
                (
                    other.about.directory
                    for other, theirs in zip(campaigns, marks, strict=True)
                    if (theirs >= mine)[known].all() and (theirs > mine)[known].any()
                ),
                None,
            ),
        )
        for one, mine in zip(campaigns, marks, strict=True)
    )
