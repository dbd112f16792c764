"""What a report shows of a campaign, read from its parts one at a time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from federation.records.profile import Profile, element_ids
from federation.records.profile_store import read_profile
from federation.records.rows import MARGIN_UNITS, outcome_codes
from federation.records.sink import plan_digest, stored_plan
from federation.records.stopping import stopping_summary
from federation.records.store import CHUNK_ROWS, CampaignStore
from federation.records.summary import campaign_summary, plan_summary
from federation.reports.distance import Distances, electrical_distances
from federation.statistics.sequential import share_interval
from scenarios.arrays import FloatArray, IntArray
from scenarios.errors import StoreError
from scenarios.plan import Plan
from scenarios.scenario import Scenario
from scenarios.verdict import MarginKind, Outcome

__all__ = ["WORST", "Convergence", "ReportData", "breach_table", "gather", "relative_margins"]

WORST = 10
"""Realizations listed with everything that is kept of them."""

_CHECKPOINTS = 160
_DAMAGE = tuple(f"{stem}_{MarginKind.DAMAGE.value}" for stem in ("margin", "element", "phase"))
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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ReportData:
    """Everything a report shows.

    Attributes
    ----------
    scenario, plan, step, plan_facts, verdicts
        What was tried and what became of it; ``verdicts`` is the campaign's summary.
    chunks
        The parts that count.
    convergence
        How the estimate settled.
    worst
        The solved realizations with the least relative margin, each a row as kept, with its
        ``relative`` margin and its ``failed`` places.
    unsolved
        The first realizations of each outcome that has no margins to rank.
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
    plan_facts: dict[str, Any]
    chunks: tuple[int, ...]
    verdicts: dict[str, Any]
    convergence: Convergence
    worst: tuple[dict[str, Any], ...]
    unsolved: tuple[dict[str, Any], ...]
    profile: Profile
    profile_missing: int
    distances: Distances
    study: Mapping[str, Any]
    environment: Mapping[str, Any]


def gather(
    store: CampaignStore, scenario: Scenario, verdicts: dict[str, Any] | None = None
) -> ReportData:
    """Read a campaign once over for its report.

    Parameters
    ----------
    store, scenario
        The campaign and what its rows speak of.
    verdicts
        Its `campaign_summary`, if there already.

    Raises
    ------
    StoreError
        If a part is torn or foreign, or there is no plan or no part yet.
    """
    plan = stored_plan(store, scenario)
    if plan is None:
        raise StoreError(f"{store.root} holds no plan.json yet; nothing was tried")
    verdicts = campaign_summary(store) if verdicts is None else verdicts
    step = store.step
    chunks, _ = stopping_summary(store, store.finished(plan_digest(plan)))
    pass_ = _Pass(scenario, verdicts)
    margins = [f"margin_{kind.value}" for kind in MarginKind]
    for table in store.tables(["index", "outcome", *margins], chunks):
        pass_.read(table)
    profile, missing = read_profile(store, chunks, scenario, plan, plan_digest(plan), time=step)
    return ReportData(
        scenario=scenario,
        plan=plan,
        step=step,
        plan_facts=plan_summary(plan, scenario, step),
        chunks=chunks,
        verdicts=verdicts,
        convergence=pass_.convergence(),
        worst=_rows(store, scenario, pass_.worst()),
        unsolved=_rows(store, scenario, pass_.unsolved()),
        profile=profile,
        profile_missing=missing,
        distances=electrical_distances(scenario, plan, step),
        study=store.study,
        environment=store.environment,
    )


def relative_margins(scenario: Scenario, margins: Mapping[str, Any]) -> Any:
    """Least margin over all kinds, voltage as a share of half its band; NaN if unsolved."""
    limits = scenario.limits
    half = (limits.v_max_pu - limits.v_min_pu) / 2.0
    scaled = [
        np.asarray(margins[kind.value], float) / (half if kind is MarginKind.VOLTAGE else 1.0)
        for kind in MarginKind
    ]
    return np.min(scaled, axis=0)


class _Pass:
    """One pass over the rows: running counts and the few realizations worth listing."""

    def __init__(self, scenario: Scenario, verdicts: Mapping[str, Any]) -> None:
        samples, self._anytime = verdicts["samples"], bool(verdicts["stopping"])
        self._scenario, self._confidence = scenario, verdicts["confidence"]
        marks = np.unique(np.geomspace(1, max(1, samples), _CHECKPOINTS).astype(np.int64))
        self._marks, self._read = marks, 0
        self._feasible = self._judged = 0
        self._points: list[tuple[int, int]] = []
        self._least: list[tuple[float, int]] = []
        self._first: dict[Outcome, list[int]] = {kind: [] for kind in _UNSOLVED}

    def read(self, table: pa.Table) -> None:
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
            if len(listed) < WORST // 2:
                listed.extend(index[outcome == kind][: WORST // 2 - len(listed)].tolist())
        margins = {k.value: table.column(f"margin_{k.value}").to_numpy() for k in MarginKind}
        relative = relative_margins(self._scenario, margins)
        relative[np.isin(outcome, _UNSOLVED) | ~np.isfinite(relative)] = np.inf
        least = np.argsort(relative, kind="stable")[:WORST]
        found = [(float(relative[k]), int(index[k])) for k in least if relative[k] < np.inf]
        self._least = sorted(self._least + found)[:WORST]

    def convergence(self) -> Convergence:
        points = [(yes, of) for yes, of in self._points if of]
        bounds = [
            share_interval(yes, of, self._confidence, anytime=self._anytime) for yes, of in points
        ]
        return Convergence(
            judged=np.array([of for _, of in points], np.int64),
            share=np.array([yes / of for yes, of in points]),
            low=np.array([low for low, _ in bounds]),
            high=np.array([high for _, high in bounds]),
        )

    def worst(self) -> list[int]:
        return [index for _, index in self._least]

    def unsolved(self) -> list[int]:
        return [index for listed in self._first.values() for index in listed]


def _rows(
    store: CampaignStore, scenario: Scenario, indices: Sequence[int]
) -> tuple[dict[str, Any], ...]:
    """Read whole rows, in the order asked for."""
    wanted: dict[int, list[int]] = {}
    for index in indices:
        wanted.setdefault(index // CHUNK_ROWS, []).append(index)
    found: dict[int, dict[str, Any]] = {}
    for chunk, some in wanted.items():
        with pq.ParquetFile(store.part_path(chunk)) as file:
            held = file.schema_arrow.names
        names = [*held, *(name for name in _DAMAGE if name not in held)]
        (table,) = store.tables(names, [chunk])
        first, _ = store.chunk_range(chunk)
        for row in table.take([index - first for index in some]).to_pylist():
            found[row["index"]] = _with_failures(row, scenario)
    return tuple(found[index] for index in indices)


def _with_failures(row: dict[str, Any], scenario: Scenario) -> dict[str, Any]:
    margins = {
        kind.value: np.nan if row[f"margin_{kind.value}"] is None else row[f"margin_{kind.value}"]
        for kind in MarginKind
    }
    places = [
        {
            "kind": kind.value,
            "margin": margins[kind.value],
            "unit": MARGIN_UNITS[kind.value],
            "element": row[f"element_{kind.value}"],
            "phase": row[f"phase_{kind.value}"],
        }
        for kind in MarginKind
        if np.isfinite(margins[kind.value])
    ]
    failed = [place for place in places if place["margin"] < -scenario.limits.tolerance]
    return {
        **row,
        "relative": float(relative_margins(scenario, margins)),
        "failed": failed,
        "places": places,
    }


def breach_table(data: ReportData) -> list[dict[str, Any]]:
    """Every element that was ever outside a limit, most often first."""
    rows = [
        {
            "kind": kind.value,
            "element": name,
            "count": int(count),
            "share": float(share),
        }
        for kind, ids in element_ids(data.scenario).items()
        for name, count, share in zip(
            ids, data.profile.breached[kind], data.profile.share(kind), strict=True
        )
        if count
    ]
    return sorted(rows, key=lambda row: (-int(row["count"]), row["kind"], row["element"]))
