"""A campaign read once over: every part that counts is opened once, whatever is asked of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from gridproof.federation.config.campaign import DESIGNS
from gridproof.federation.config.foreign import source_words
from gridproof.federation.records.answers import kept_answers, kept_certificate
from gridproof.federation.records.campaign_report import (
    CampaignReport,
    MarginReport,
    StoppingReport,
    Tail,
    WorstMargin,
)
from gridproof.federation.records.crossed import CrossedOutcomes
from gridproof.federation.records.device_figures import device_figures
from gridproof.federation.records.fast_figures import fast_figures
from gridproof.federation.records.intervals import Intervals
from gridproof.federation.records.losses import KindCounts, TriedRedispatch, UnservedEnergy
from gridproof.federation.records.one_cause import OneCause, cause_columns, one_cause
from gridproof.federation.records.pace_figures import pace_figures
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.rows import MARGIN_UNITS, outcome_codes
from gridproof.federation.records.stopping import counted_chunks
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.streams import Distribution, HeldColumns
from gridproof.federation.statistics.shares import feasible_share
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.verdict import MarginKind, Outcome

__all__ = ["QUANTILE_LEVELS", "TAIL_SHARE", "Reading", "read_campaign"]

QUANTILE_LEVELS = (0.01, 0.05, 0.5, 0.95)
TAIL_SHARE = 0.05
"""Share of the realizations whose mean margin is reported as CVaR."""

_MARGINS = tuple(f"margin_{kind.value}" for kind in MarginKind)
_COLUMNS = ("index", "outcome", "load_kw", "served_kw", "redispatch_usd", *_MARGINS)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reading:
    """What one pass over a campaign's parts brings.

    Attributes
    ----------
    report
        What the rows say, as ``--json`` prints it.
    chunks
        The parts that count.
    margins
        One column for each kind of limit: the finite worst margins of what did not err.
    """

    report: CampaignReport
    chunks: tuple[int, ...]
    margins: HeldColumns


def read_campaign(
    store: CampaignStore,
    *,
    hear: Callable[[pa.Table], None] | None = None,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> Reading:
    """Read a campaign once over.

    Parameters
    ----------
    store
        The campaign, whole or as far as it came.
    hear
        Takes each part's rows (``index``, ``outcome``, every margin) as they pass.
    tell
        Told how many parts of how many are read.

    Raises
    ------
    StoreError
        If a part is torn or foreign, or there is none yet.
    """
    chunks, stopping = counted_chunks(store)
    if not chunks:
        raise StoreError(
            f"{store.root} holds no finished part yet; go on with: gridproof resume {store.root}"
        )
    config = store.study["config"]
    both = config["campaign"]["judge"] == "both"
    seen = _Seen(
        hours=float(config["campaign"].get("horizon_h", 1.0)), both=both, recourse=store.recourse
    )
    intervals = Intervals.of(config)
    columns = [*_COLUMNS, *(["outcome_linear"] if both else [])]
    for number, table in enumerate(store.tables(columns, chunks), start=1):
        seen.add(table, in_order=bool(intervals.lags))
        if hear is not None:
            hear(table)
        tell(number, len(chunks))
    told = _report(store, chunks, seen, intervals, stopping)
    return Reading(report=told, chunks=chunks, margins=seen.margins)


@dataclass(slots=True, kw_only=True)
class _Seen:
    """Counts of the rows that have passed."""

    hours: float
    both: bool
    recourse: str
    counts: IntArray = field(default_factory=lambda: np.zeros(len(Outcome), np.int64))
    kinds: KindCounts = field(default_factory=KindCounts)
    energy: UnservedEnergy = field(init=False)
    moved: TriedRedispatch = field(init=False)
    crossed: CrossedOutcomes = field(default_factory=CrossedOutcomes)
    margins: HeldColumns = field(default_factory=lambda: HeldColumns(len(MarginKind)))
    worst: dict[MarginKind, tuple[float, int]] = field(default_factory=dict)
    order: list[IntArray] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.energy = UnservedEnergy(hours=self.hours)
        self.moved = TriedRedispatch(policy=self.recourse)

    def add(self, table: pa.Table, *, in_order: bool) -> None:
        """Take a part's rows; their outcomes are held only where their order matters."""
        outcome = outcome_codes(table.column("outcome"))
        self.counts += np.bincount(outcome, minlength=len(Outcome))
        self.kinds.add(table)
        self.energy.add(table)
        self.moved.add(table)
        if self.both:
            self.crossed.add(table)
        if in_order:
            self.order.append(outcome.astype(np.int8))
        self._take_margins(table, outcome)

    def _take_margins(self, table: pa.Table, outcome: IntArray) -> None:
        """Hold finite margins of what did not err, and the least of each; the first wins a tie."""
        judged, finite = outcome != Outcome.ERRED, list[FloatArray]()
        for kind in MarginKind:
            margin = np.asarray(table.column(f"margin_{kind.value}").to_numpy(), np.float64)
            known = judged & np.isfinite(margin)
            finite.append(margin[known])
            if not known.any():
                continue
            row = int(np.where(known, margin, np.inf).argmin())
            if kind not in self.worst or margin[row] < self.worst[kind][0]:
                index = int(table.column("index")[row].as_py())
                self.worst[kind] = (float(margin[row]), index)
        self.margins.add(finite)


def _report(
    store: CampaignStore,
    chunks: Sequence[int],
    seen: _Seen,
    intervals: Intervals,
    stopping: StoppingReport | None,
) -> CampaignReport:
    asked = store.study["config"]["campaign"]
    counts = {kind: int(seen.counts[kind]) for kind in Outcome}
    samples = sum(counts.values())
    share = feasible_share(counts, intervals.confidence)
    of_share, of = _widened(intervals, seen)
    ended = bool(stopping and stopping.reason)
    if store.only is not None:
        stopping = None  # the rule looked at all steps together, not at this one
    runs = [run for run in store.environment.get("runs", []) if run["realizations"]]
    seconds = sum(run["seconds"] for run in runs)
    recorded = sum(run["realizations"] for run in runs)
    interval = of_share.share(share.count, share.trials)
    energy, adversary, rare = seen.energy.figures(), *kept_answers(store)
    return CampaignReport(
        samples=samples,
        step=store.step,
        asked=samples if ended else store.samples,
        judge=asked["judge"],
        recourse=store.recourse,
        sampler=asked["sampler"],
        loads_from=source_words(store.study),
        outcomes={kind.name.lower(): counts[kind] for kind in Outcome},
        outcome_intervals={
            kind.name.lower(): of[kind].share(counts[kind], samples) for kind in Outcome
        },
        feasible_share=_number(share.value),
        served_share=energy.served_share,
        interval=interval if stopping is None else stopping.interval,
        independent_draws=asked["sampler"] not in DESIGNS,
        interval_kind=of_share.kind,
        confidence=of_share.confidence,
        widening=of_share.told_widening,
        stopping=stopping,
        erred=store.first_cause(chunks) if counts[Outcome.ERRED] else None,
        none_feasible=_none_feasible(store, chunks, counts),
        violations=seen.kinds.shares(of[Outcome.VIOLATED].share),
        energy=energy,
        redispatch=seen.moved.figures(),
        worst=_worst(store, seen.worst),
        crossed=seen.crossed.figures(intervals) if seen.both else None,
        margins=_margins(seen.margins),
        seconds=seconds,
        samples_per_s=recorded / seconds if seconds > 0 else None,
        adversary=adversary,
        certificate=kept_certificate(store),
        rare=rare,
        devices=device_figures(store, chunks),
        pace=pace_figures(store, chunks),
        fast=fast_figures(store, chunks),
    )


def _widened(intervals: Intervals, seen: _Seen) -> tuple[Intervals, dict[Outcome, Intervals]]:
    """Return the intervals of the feasible share of those judged, and of every outcome's share."""
    if not seen.order:
        return intervals, dict.fromkeys(Outcome, intervals)
    order = np.concatenate(seen.order)
    judged = order[order != Outcome.ERRED] == Outcome.FEASIBLE
    return intervals.seen(judged), {kind: intervals.seen(order == kind) for kind in Outcome}


def _none_feasible(
    store: CampaignStore, chunks: Sequence[int], counts: dict[Outcome, int]
) -> OneCause | None:
    """Name what ended the realizations; parts are read again only where none is feasible."""
    if counts[Outcome.FEASIBLE]:
        return None
    return one_cause(store.tables(cause_columns(), chunks))


def _worst(
    store: CampaignStore, worst: dict[MarginKind, tuple[float, int]]
) -> dict[str, WorstMargin]:
    """Name the element of each kind's least margin, read from the few parts they are in."""
    names = ["index", *(f"{stem}_{k.value}" for k in worst for stem in ("element", "phase"))]
    chunks = sorted({index // CHUNK_ROWS for _, index in worst.values()})
    tables = dict(zip(chunks, store.tables(names, chunks), strict=True))
    found = {}
    for kind, (margin, index) in worst.items():
        table = tables[index // CHUNK_ROWS]
        row = int(np.flatnonzero(table.column("index").to_numpy() == index)[0])
        found[kind.value] = WorstMargin(
            kind=kind.value,
            margin=margin,
            unit=MARGIN_UNITS[kind.value],
            element=table.column(f"element_{kind.value}")[row].as_py(),
            phase=table.column(f"phase_{kind.value}")[row].as_py(),
            index=index,
        )
    return found


def _margins(columns: HeldColumns) -> dict[str, MarginReport]:
    """Quantiles and lower tail mean of every kind's worst margin, over what was solved."""
    levels: Sequence[float] = (0.0, *QUANTILE_LEVELS, 1.0)
    pairs: Iterable[tuple[MarginKind, Distribution | None]] = zip(
        MarginKind, columns.distributions(levels, TAIL_SHARE), strict=True
    )
    return {kind.value: _in_words(kind, one) for kind, one in pairs if one is not None}


def _in_words(kind: MarginKind, one: Distribution) -> MarginReport:
    inside = zip(one.levels[1:-1], one.quantiles[1:-1], strict=True)
    return MarginReport(
        unit=MARGIN_UNITS[kind.value],
        count=one.count,
        min=one.quantiles[0],
        quantiles={f"{level:g}": value for level, value in inside},
        max=one.quantiles[-1],
        cvar=Tail(share=one.tail_share, mean=one.tail_mean),
    )


def _number(value: float | None) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
