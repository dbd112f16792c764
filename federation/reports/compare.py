"""Two campaigns on the same realizations: which is feasible more often, and by how much.

Realization ``i`` of both was drawn alike, so they are compared pair by pair: what one gains is
not blurred by the luck of the draw.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
from gridproof.federation.records.bounded import column_names
from gridproof.federation.records.intervals import Intervals
from gridproof.federation.records.losses import served_share
from gridproof.federation.records.rows import MARGIN_UNITS, outcome_codes
from gridproof.federation.records.stopping import counted_chunks
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.streams import distributions
from gridproof.federation.reports.comparison import (
    ComparedCampaign,
    ComparedShare,
    Comparison,
    CrossedCampaigns,
    MarginGain,
)
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.verdict import MarginKind, Outcome

__all__ = [
    "about_campaign",
    "compare_campaigns",
    "crossed_difference",
    "intervals_of_both",
]

_DRAWN_BY = (
    "seed", "sampler", "per_phase", "std_share", "correlation", "correlation_matrix",
    "history_unit", "history_outside",
)  # fmt: skip
"""What decides a draw beside the set itself; the draws are compared as well, number by number."""

_SET = (
    "kind",
    "loads",
    "spread",
    "spreads",
    "spread_down",
    "spread_up",
    "spreads_down",
    "spreads_up",
)

_LEVELS = (0.0, 0.05, 0.5, 0.95, 1.0)
_TAIL = 0.05


def compare_campaigns(
    first: CampaignStore, second: CampaignStore, confidence: float = 0.95
) -> Comparison:
    """Compare two campaigns on the realizations that both have.

    Parameters
    ----------
    first, second
        Of the same draws; plan, recourse, judge and limits may differ.
    confidence
        Of the intervals.

    Raises
    ------
    StoreError
        If they are of different draws, share no part, or cannot be read.
    """
    _same_draw(first, second)
    finished = [set(counted_chunks(store)[0]) for store in (first, second)]
    chunks = sorted(finished[0] & finished[1])
    if not chunks:
        raise StoreError(
            f"{first.root} and {second.root} have no finished part in common; run both further"
        )
    intervals = intervals_of_both(first, second, confidence)
    table, gained = _outcome_pairs(first, second, chunks, in_order=bool(intervals.lags))
    intervals = intervals.seen(gained)
    served = [served_share([store], chunks) for store in (first, second)]
    found = crossed_difference(
        (first, second), _crossed(table), int(table.sum()), intervals=intervals, served=served
    )
    margins = _margins(first, second, chunks)
    return replace(found, outcomes=_outcomes_by_name(table), margins=margins)


def intervals_of_both(first: CampaignStore, second: CampaignStore, confidence: float) -> Intervals:
    """Return the intervals that two campaigns may show beside each other.

    Where either ended by a rule, how many pairs there are was decided by looking, for the other
    campaign as well.
    """
    one, other = (Intervals.of(store.study["config"], confidence) for store in (first, second))
    return one.beside(other)


def crossed_difference(
    stores: tuple[CampaignStore, CampaignStore],
    crossed: CrossedCampaigns,
    realizations: int,
    *,
    intervals: Intervals,
    served: Sequence[float | None],
) -> Comparison:
    """Both shares and their paired difference, from how often each was feasible.

    Parameters
    ----------
    stores
        What is compared.
    crossed
        How often each was feasible.
    realizations
        Compared, those that erred in either included.
    intervals
        What both campaigns may show.
    served
        Share of the load that each serves, which stands beside the share feasible.
    """
    both, judged = crossed.both_feasible, crossed.judged
    counts = (both + crossed.first_only, both + crossed.second_only)
    return Comparison(
        first=about_campaign(stores[0]),
        second=about_campaign(stores[1]),
        realizations=realizations,
        unjudged=realizations - judged,
        interval_kind=intervals.kind,
        confidence=intervals.confidence,
        widening=intervals.told_widening,
        shares=(
            _share(counts[0], judged, intervals, served[0]),
            _share(counts[1], judged, intervals, served[1]),
        ),
        crossed=crossed,
        difference=intervals.difference(crossed.second_only, crossed.first_only, judged),
    )


def _outcome_pairs(
    first: CampaignStore, second: CampaignStore, chunks: Sequence[int], *, in_order: bool
) -> tuple[IntArray, FloatArray]:
    """Count every pair of outcomes, (first, second), refusing rows that were not drawn alike.

    Where their order matters, the gain of every pair (1, 0 or -1) comes beside.
    """
    table = np.zeros((len(Outcome), len(Outcome)), np.int64)
    gained = [np.zeros(0)]
    for one, other in _pairs(first, second, chunks):
        _same_rows(first, second, one, other)
        codes = [outcome_codes(table_.column("outcome")) for table_ in (one, other)]
        pair = codes[0] * len(Outcome) + codes[1]
        table += np.bincount(pair, minlength=table.size).reshape(table.shape)
        if in_order:
            judged = (codes[0] != Outcome.ERRED) & (codes[1] != Outcome.ERRED)
            held = [(code[judged] == Outcome.FEASIBLE).astype(float) for code in codes]
            gained.append(held[1] - held[0])
    return table, np.concatenate(gained)


def _crossed(table: IntArray) -> CrossedCampaigns:
    sound = [kind for kind in Outcome if kind is not Outcome.ERRED]  # stale: not feasible
    judged = int(table[np.ix_(sound, sound)].sum())
    both = int(table[Outcome.FEASIBLE, Outcome.FEASIBLE])
    first_only = int(table[Outcome.FEASIBLE, sound].sum()) - both
    second_only = int(table[sound, Outcome.FEASIBLE].sum()) - both
    return CrossedCampaigns(
        both_feasible=both,
        first_only=first_only,
        second_only=second_only,
        neither=judged - both - first_only - second_only,
    )


def _outcomes_by_name(table: IntArray) -> dict[str, dict[str, int]]:
    return {
        one.name.lower(): {
            other.name.lower(): int(table[one, other]) for other in Outcome if table[one, other]
        }
        for one in Outcome
        if table[one].any()
    }


def _share(count: int, judged: int, intervals: Intervals, served: float | None) -> ComparedShare:
    return ComparedShare(
        value=count / judged if judged else None,
        interval=intervals.share(count, judged),
        served=served,
    )


def about_campaign(store: CampaignStore) -> ComparedCampaign:
    """Say which campaign it is."""
    campaign = store.study["config"]["campaign"]
    return ComparedCampaign(
        directory=str(store.root),
        study=store.study.get("name"),
        fingerprint=store.study["fingerprint"],
        recourse=store.recourse,
        judge=campaign.get("judge"),
    )


def _same_draw(first: CampaignStore, second: CampaignStore) -> None:
    """Refuse campaigns whose configurations draw differently."""
    one, other = (store.study["config"]["campaign"] for store in (first, second))
    differing = [
        f"campaign.{key} is {one.get(key)!r} and {other.get(key)!r}"
        for key in _DRAWN_BY
        if one.get(key) != other.get(key)
    ]
    sizes = [store.study["config"]["campaign"]["samples"] for store in (first, second)]
    designed = one.get("sampler") in ("latin_hypercube", "sobol", "vertices")
    if designed and sizes[0] != sizes[1]:
        differing.append(f"campaign.samples is {sizes[0]} and {sizes[1]}, which decides a design")
    sets = [store.study["config"].get("uncertainty", {}) for store in (first, second)]
    differing += [
        f"uncertainty.{key} is {sets[0].get(key)!r} and {sets[1].get(key)!r}"
        for key in _SET
        if sets[0].get(key) != sets[1].get(key)
    ]
    if differing:
        raise StoreError(_other_draws(first, second, "; ".join(differing)))


def _same_rows(first: CampaignStore, second: CampaignStore, one: pa.Table, other: pa.Table) -> None:
    """Refuse rows that were not drawn alike, whatever the configurations say."""
    for name in one.column_names:
        if name == "outcome":
            continue
        left, right = one.column(name).to_numpy(), other.column(name).to_numpy()
        if len(left) != len(right):
            raise StoreError(_other_draws(first, second, f"parts of {len(left)} and {len(right)}"))
        differing = np.flatnonzero(left != right)
        if len(differing):
            row = int(differing[0])
            index = one.column("index").to_numpy()[row]
            raise StoreError(
                _other_draws(
                    first, second, f"{name} of realization {index} is {left[row]} and {right[row]}"
                )
            )


def _other_draws(first: CampaignStore, second: CampaignStore, why: str) -> str:
    return (
        f"{first.root} and {second.root} are not of the same realizations ({why}); run one of "
        "them again with the seed, sampler and uncertainty of the other"
    )


def _pairs(
    first: CampaignStore, second: CampaignStore, chunks: Sequence[int]
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Yield both campaigns' rows of one chunk after another: what was drawn, what came of it.

    The last part of the smaller campaign may be shorter; only rows that both have are kept.
    """
    drawn = [
        {name for name in column_names(store.rows_path(chunks[0])) if name.startswith("zeta_")}
        for store in (first, second)
    ]
    if drawn[0] != drawn[1]:
        other = ", ".join(sorted(drawn[0] ^ drawn[1])[:5])
        raise StoreError(_other_draws(first, second, f"only one of them drew {other}"))
    names = ["index", "outcome", *sorted(drawn[0]), "load_kw"]
    for one, other_ in zip(first.tables(names, chunks), second.tables(names, chunks), strict=True):
        rows = min(one.num_rows, other_.num_rows)
        yield one.slice(0, rows), other_.slice(0, rows)


def _margins(
    first: CampaignStore, second: CampaignStore, chunks: Sequence[int]
) -> dict[str, MarginGain]:
    """Second margin less first, by kind, where both were solved and neither erred."""
    names = [f"margin_{kind.value}" for kind in MarginKind]

    def stream() -> Iterator[list[FloatArray]]:
        wanted = ["outcome", *names]
        for one, other in zip(
            first.tables(wanted, chunks), second.tables(wanted, chunks), strict=True
        ):
            rows = min(one.num_rows, other.num_rows)
            judged = np.logical_and(
                *(outcome_codes(t.column("outcome"))[:rows] != Outcome.ERRED for t in (one, other))
            )
            yield [
                _gained(
                    one.column(name).to_numpy()[:rows][judged],
                    other.column(name).to_numpy()[:rows][judged],
                )
                for name in names
            ]

    totals, gained = np.zeros(len(names)), np.zeros(len(names), np.int64)
    for item in stream():
        totals += [values.sum() for values in item]
        gained += [int((values > 0.0).sum()) for values in item]
    found = distributions(stream, len(names), _LEVELS, _TAIL)
    return {
        kind.value: MarginGain(
            unit=MARGIN_UNITS[kind.value],
            count=one.count,
            mean=float(totals[k] / one.count),
            min=one.quantiles[0],
            quantiles={
                f"{level:g}": value
                for level, value in zip(_LEVELS[1:-1], one.quantiles[1:-1], strict=True)
            },
            max=one.quantiles[-1],
            gained=int(gained[k]),
        )
        for k, (kind, one) in enumerate(zip(MarginKind, found, strict=True))
        if one is not None
    }


def _gained(one: FloatArray, other: FloatArray) -> FloatArray:
    both = np.isfinite(one) & np.isfinite(other)
    return np.asarray(other[both] - one[both], float)
