"""What a report shows of a campaign, read from its parts one at a time."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pyarrow as pa
from gridproof.federation.records.answers import kept_linear, kept_why
from gridproof.federation.records.begun import begun_chunks, read_begun
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.records.footers import footer_of
from gridproof.federation.records.intervals import Intervals
from gridproof.federation.records.keeper import stored_plan
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.plan_report import PlanReport
from gridproof.federation.records.profile import Profile, element_ids
from gridproof.federation.records.profile_store import read_profile
from gridproof.federation.records.reading import Reading, read_campaign
from gridproof.federation.records.rows import MARGIN_UNITS, outcome_codes, with_kinds
from gridproof.federation.records.stopping import counted_chunks
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.streams import HeldColumns
from gridproof.federation.records.summary import plan_summary
from gridproof.federation.reports.distance import Distances, electrical_distances
from gridproof.federation.reports.holding import Holding, holding_of, spot_of
from gridproof.federation.reports.lacking import Lacking, asked_at_most, lacking_of
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan import Plan, plan_digest
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import MarginKind, Outcome, least_margin

__all__ = [
    "WORST",
    "Breach",
    "Convergence",
    "ListedRealization",
    "Listing",
    "Place",
    "Readout",
    "ReportData",
    "breach_table",
    "gather",
    "read_out",
]

WORST = 10
"""Realizations listed with everything that is kept of them."""

_CHECKPOINTS = 160
_LISTED = 20  # of each outcome without margins, to look at more closely
_UNSOLVED = (Outcome.NO_SOLUTION, Outcome.NO_RECOURSE, Outcome.ERRED)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Convergence:
    """The estimate as it stood after the first N realizations.

    Attributes
    ----------
    judged
        (checkpoint,) realizations that could be judged.
    share, low, high
        (checkpoint,) feasible share and its interval, which with a stopping rule is valid at
        any time.
    """

    judged: IntArray
    share: FloatArray
    low: FloatArray
    high: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """Where a realization is nearest to one kind of limit, or furthest outside."""

    kind: str
    margin: float
    unit: str
    element: str | None
    phase: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ListedRealization:
    """A realization with what is kept of it.

    Attributes
    ----------
    index, outcome
        Which, and what became of it.
    relative
        Its least margin, each as a share of what it is measured in.
    places
        Of every kind of limit that has a margin.
    failed
        Those that are outside.
    load_kw, served_kw, losses_kw
        Demand drawn, served, and lost; None where nothing was solved.
    zeta
        What was drawn, by direction.
    """

    index: int
    outcome: str
    relative: float
    places: tuple[Place, ...]
    failed: tuple[Place, ...]
    load_kw: float | None
    served_kw: float | None
    losses_kw: float | None
    zeta: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Breach:
    """An element that was outside a limit in ``count`` realizations, a ``share`` of the solved."""

    kind: str
    element: str
    count: int
    share: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportData:
    """Everything a report shows.

    Attributes
    ----------
    scenario, plan, step, plan_facts, verdicts
        What was tried, what is told of the plan at the step, and what became of it.
    chunks
        The parts that count.
    margins
        The finite worst margins, a column for each kind of limit.
    convergence
        How the estimate settled.
    worst
        The solved realizations with the least relative margin.
    unsolved
        The first realizations of each outcome that has no margins to rank.
    lacking
        What those lack that have no re-dispatch; None where there are none.
    holding
        Who holds the voltage that came nearest to its limit; None where none came near.
    profile, profile_missing
        Voltages and breaches of every element; parts that came without.
    distances
        Of every live bus.
    study, environment
        The documents of the campaign directory.
    """

    scenario: Scenario
    plan: Plan
    step: int
    plan_facts: PlanReport
    chunks: tuple[int, ...]
    verdicts: CampaignReport
    margins: HeldColumns
    convergence: Convergence
    worst: tuple[ListedRealization, ...]
    unsolved: tuple[ListedRealization, ...]
    lacking: Lacking | None
    holding: Holding | None
    profile: Profile
    profile_missing: int
    distances: Distances
    study: Mapping[str, Any]
    environment: Mapping[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Readout:
    """A campaign read once over for its report: its `Reading`, and what is listed of it."""

    reading: Reading
    listing: Listing


def read_out(
    store: CampaignStore,
    scenario: Scenario,
    tell: Callable[[int, int], None] = lambda _done, _of: None,
) -> Readout:
    """Read a campaign once over for its summary and its page; raises as `read_campaign`."""
    chunks, _ = counted_chunks(store)
    listing = Listing(scenario, sum(footer_of(store.rows_path(chunk))[0] for chunk in chunks))
    return Readout(reading=read_campaign(store, hear=listing.read, tell=tell), listing=listing)


def gather(store: CampaignStore, scenario: Scenario, readout: Readout | None = None) -> ReportData:
    """Gather what a report shows of a campaign.

    Parameters
    ----------
    store, scenario
        The campaign and what its rows speak of.
    readout
        What `read_out` brought, if there already.

    Raises
    ------
    StoreError
        If a part is torn or foreign, or there is no plan or no part yet.
    """
    plan = stored_plan(store, scenario)
    if plan is None:
        raise StoreError(f"{store.root} holds no plan.json yet; nothing was tried")
    digest, step = plan_digest(plan), store.step
    store.finished(digest)  # refuses parts of another plan
    readout = read_out(store, scenario) if readout is None else readout
    chunks, listing, verdicts = (
        readout.reading.chunks, readout.listing, readout.reading.report
    )  # fmt: skip
    begun = {
        chunk: one.profiles[store.tried.index(step) if store.stepped else 0]
        for chunk in set(chunks) & set(begun_chunks(store))
        if (one := read_begun(store, chunk, digest)) is not None
    }
    profile, missing = read_profile(
        store.root,
        chunks,
        scenario,
        plan,
        (str(store.study["fingerprint"]), digest),
        time=step,
        stepped=store.stepped,
        begun=begun,
    )
    intervals = Intervals.of(store.study["config"])
    intervals = replace(intervals, widening=1.0 if verdicts.widening is None else verdicts.widening)
    steps = len(plan.closed)
    lost = listing.lost(asked_at_most(scenario, steps, verdicts.recourse))
    spot = spot_of(scenario, verdicts, profile) if steps == 1 else None
    near = [] if spot is None else [spot.index]
    rows = _rows(store, scenario, [*listing.worst(), *listing.unsolved(), *lost, *near])
    drawn = {k: np.array([one.zeta[name] for name in scenario.direction_ids])
             for k, one in rows.items()}  # fmt: skip
    if verdicts.loads_from is not None:  # loads of others have no coordinates
        spot, lost = None, []
    without = verdicts.outcomes[Outcome.NO_RECOURSE.name.lower()]
    return ReportData(
        scenario=scenario,
        plan=plan,
        step=step,
        plan_facts=_plan_facts(store, plan, scenario),
        chunks=chunks,
        verdicts=verdicts,
        margins=readout.reading.margins,
        convergence=listing.convergence(intervals),
        worst=tuple(rows[index] for index in listing.worst()),
        unsolved=tuple(rows[index] for index in listing.unsolved()),
        lacking=lacking_of(plan, scenario, step, [drawn[k] for k in lost], without)
        if without
        else None,
        holding=None
        if spot is None
        else holding_of(plan, scenario, verdicts.recourse, spot, drawn[spot.index]),
        profile=profile,
        profile_missing=missing,
        distances=electrical_distances(scenario, plan, step),
        study=store.study,
        environment=store.environment,
    )


def _plan_facts(store: CampaignStore, plan: Plan, scenario: Scenario) -> PlanReport:
    """Say what the plan does, and why blocks are dead if that was asked."""
    return replace(
        plan_summary(plan, scenario, store.step),
        why=kept_why(store, plan),
        linear=kept_linear(store, plan, store.step),
    )


class Listing:
    """One pass over the rows: running counts and the few realizations worth listing."""

    def __init__(self, scenario: Scenario, samples: int) -> None:
        self._scenario = scenario
        marks = np.unique(np.geomspace(1, max(1, samples), _CHECKPOINTS).astype(np.int64))
        self._marks, self._read = marks, 0
        self._feasible = self._judged = 0
        self._points: list[tuple[int, int]] = []
        self._least: list[tuple[float, int]] = []
        self._first: dict[Outcome, list[int]] = {kind: [] for kind in _UNSOLVED}

    def read(self, table: pa.Table) -> None:
        """Take a part's rows, in order."""
        outcome = outcome_codes(table.column("outcome"))
        index = table.column("index").to_numpy()
        feasible = self._feasible + np.cumsum(outcome == Outcome.FEASIBLE)
        judged = self._judged + np.cumsum(outcome != Outcome.ERRED)
        stop = self._read + len(index)
        for mark in self._marks[(self._marks > self._read) & (self._marks <= stop)]:
            place = int(mark) - self._read - 1
            self._points.append((int(feasible[place]), int(judged[place])))
        self._read, self._feasible, self._judged = stop, int(feasible[-1]), int(judged[-1])
        for kind, listed in self._first.items():
            if len(listed) < _LISTED:
                listed.extend(index[outcome == kind][: _LISTED - len(listed)].tolist())
        margins = [table.column(f"margin_{kind.value}").to_numpy() for kind in MarginKind]
        relative = least_margin(np.stack(margins, axis=1), self._scenario.limits)
        relative[np.isin(outcome, _UNSOLVED) | ~np.isfinite(relative)] = np.inf
        least = np.argsort(relative, kind="stable")[:WORST]
        found = [(float(relative[k]), int(index[k])) for k in least if relative[k] < np.inf]
        self._least = sorted(self._least + found)[:WORST]

    def convergence(self, intervals: Intervals) -> Convergence:
        """Return the estimate as it stood on the way, with the intervals it may show."""
        points = [(yes, of) for yes, of in self._points if of]
        bounds = [intervals.share(yes, of) for yes, of in points]
        return Convergence(
            judged=np.array([of for _, of in points], np.int64),
            share=np.array([yes / of for yes, of in points]),
            low=np.array([low for low, _ in bounds]),
            high=np.array([high for _, high in bounds]),
        )

    def worst(self) -> list[int]:
        """Return the solved realizations of least relative margin, worst first."""
        return [index for _, index in self._least]

    def unsolved(self) -> list[int]:
        """Return the first realizations of each outcome without a margin to rank."""
        return [index for listed in self._first.values() for index in listed[: WORST // 2]]

    def lost(self, most: int) -> list[int]:
        """Return the first realizations without a re-dispatch."""
        return self._first[Outcome.NO_RECOURSE][:most]


def _rows(
    store: CampaignStore, scenario: Scenario, indices: Sequence[int]
) -> dict[int, ListedRealization]:
    """Read whole rows, by their index; each part they are in is opened once."""
    wanted: dict[int, list[int]] = {}
    for index in indices:
        wanted.setdefault(index // CHUNK_ROWS, []).append(index)
    found: dict[int, ListedRealization] = {}
    for chunk, some in wanted.items():
        (table,) = store.tables(None, [chunk])
        table = with_kinds(table)
        first, _ = store.chunk_range(chunk)
        for row in table.take([index - first for index in some]).to_pylist():
            found[row["index"]] = _listed(row, scenario)
    return found


def _listed(row: Mapping[str, Any], scenario: Scenario) -> ListedRealization:
    """Take a row as a part has it."""
    margins = {
        kind: np.nan if row[f"margin_{kind.value}"] is None else row[f"margin_{kind.value}"]
        for kind in MarginKind
    }
    places = tuple(
        Place(
            kind=kind.value,
            margin=margins[kind],
            unit=MARGIN_UNITS[kind.value],
            element=row[f"element_{kind.value}"],
            phase=row[f"phase_{kind.value}"],
        )
        for kind in MarginKind
        if np.isfinite(margins[kind])
    )
    tolerance = scenario.limits.tolerance
    return ListedRealization(
        index=row["index"],
        outcome=row["outcome"],
        relative=float(least_margin(np.array([*margins.values()]), scenario.limits)),
        places=places,
        failed=tuple(place for place in places if place.margin < -tolerance),
        load_kw=row["load_kw"],
        served_kw=row["served_kw"],
        losses_kw=row["losses_kw"],
        zeta={name: row[f"zeta_{name}"] for name in scenario.direction_ids},
    )


def breach_table(data: ReportData) -> list[Breach]:
    """Every element that was ever outside a limit, most often first."""
    rows = [
        Breach(kind=kind.value, element=name, count=int(count), share=float(share))
        for kind, ids in element_ids(data.scenario).items()
        for name, count, share in zip(
            ids, data.profile.breached[kind], data.profile.share(kind), strict=True
        )
        if count
    ]
    return sorted(rows, key=lambda row: (-row.count, row.kind, row.element))
