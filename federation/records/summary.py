"""A plan and a campaign in figures: plain dictionaries, the same for people and machines.

Every value is a string, a number, a list or None (JSON has no infinity); units are suffixes.
A campaign's figures are read from its parts one at a time, so memory does not grow with N.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
import pyarrow as pa

from federation.records.answers import kept_answers
from federation.records.crossed import crossed_outcomes
from federation.records.losses import KindCounts, UnservedEnergy
from federation.records.restoration_summary import restoration_summary
from federation.records.rows import MARGIN_UNITS, outcome_codes, outcome_counts
from federation.records.stopping import stopping_summary
from federation.records.store import CampaignStore
from federation.records.streams import Distribution, distributions
from federation.statistics.sequential import share_interval
from federation.statistics.shares import feasible_share
from federation.studies.sampling import DESIGNS
from scenarios.arrays import BoolArray, FloatArray
from scenarios.audit import islands
from scenarios.errors import StoreError
from scenarios.plan import Plan
from scenarios.scenario import Scenario
from scenarios.verdict import MarginKind, Outcome

__all__ = ["QUANTILE_LEVELS", "TAIL_SHARE", "about_plan", "campaign_summary", "plan_summary"]

_ROW_COLUMNS = ("index", "outcome", "load_kw", "served_kw")
QUANTILE_LEVELS = (0.01, 0.05, 0.5, 0.95)
TAIL_SHARE = 0.05
"""Share of the realizations whose mean margin is reported as CVaR."""


def about_plan(plan: Plan, scenario: Scenario, time: int = 0) -> dict[str, Any]:
    """Say what people are told of a plan: of all its phases where lines failed, else of a step."""
    if scenario.restoration is not None:
        return restoration_summary(plan, scenario)
    return plan_summary(plan, scenario, time)


def plan_summary(plan: Plan, scenario: Scenario, time: int = 0) -> dict[str, Any]:
    """Say what a plan does, what it costs and what is proven about it, at one step.

    ``closed_switches`` counts those between two live blocks; ``served_kw`` is the nominal
    demand of the live blocks.
    """
    proof, live, closed = plan.proof, plan.energized[time], plan.closed[time]
    ends = scenario.feeder.switch_blocks
    demand = scenario.block_demand_kw(time)
    costs = {name: _number(value) for name, value in plan.costs_usd.items()}
    return {
        "family": plan.family,
        "certified": proof.certified,
        "robust": proof.robust,
        "termination": proof.termination.value,
        "objective_usd": costs.get("objective", _number(proof.incumbent_usd)),
        "bound_usd": _number(proof.bound_usd),
        "gap": _number(proof.gap),
        "shed_cost_usd": costs.get("shed"),
        "generation_cost_usd": costs.get("generation"),
        "redispatch_cost_usd": costs.get("redispatch"),
        "energized_blocks": int(live.sum()),
        "blocks": {
            name: "live" if alive else "dead"
            for name, alive in zip(plan.block_ids, live.tolist(), strict=True)
        },
        "closed_switches": int((closed & live[ends].all(axis=1)).sum()),
        "switches": {
            name: "closed" if shut else "open"
            for name, shut in zip(plan.switch_ids, closed.tolist(), strict=True)
        },
        "served_kw": float(demand[live].sum()),
        "demand_kw": float(demand.sum()),
        "grid_forming": [
            name
            for name, forms in zip(plan.der_ids, plan.grid_forming[time].tolist(), strict=True)
            if forms
        ],
        "islands": _islands(plan, scenario, time),
        "ders": _ders(plan, scenario, time),
        "iterations": proof.iterations,
        "realizations_kept": proof.realizations_kept,
        "seconds": _number(proof.seconds.get("total", 0.0)),
    }


def _islands(plan: Plan, scenario: Scenario, time: int) -> list[dict[str, Any]]:
    label = islands(plan, scenario, time)
    block_of_der = scenario.feeder.blocks.of_bus[scenario.ders.bus]
    demand = scenario.block_demand_kw(time)
    capacity = scenario.ders.capacity_kw
    found = []
    for number in np.unique(label[plan.energized[time]]):
        members = label == number
        inside = members[block_of_der]
        found.append(
            {
                "blocks": [plan.block_ids[k] for k in np.flatnonzero(members)],
                "grid_forming": [
                    plan.der_ids[k] for k in np.flatnonzero(inside & plan.grid_forming[time])
                ],
                "demand_kw": float(demand[members].sum()),
                "capacity_kw": _number(capacity[inside].sum()),  # null: a source without a rating
            }
        )
    return found


def _ders(plan: Plan, scenario: Scenario, time: int) -> dict[str, dict[str, Any]]:
    feeder, ders = scenario.feeder, scenario.ders
    block = feeder.blocks.of_bus[ders.bus]
    found = {}
    for k, name in enumerate(plan.der_ids):
        forms, alive = bool(plan.grid_forming[time, k]), bool(plan.energized[time, block[k]])
        found[name] = {
            "bus": feeder.buses.ids[ders.bus[k]],
            "block": plan.block_ids[block[k]],
            "role": _role(forms, alive, bool(ders.is_substation[k])),
            "p_kw": float(plan.p_kw[time, k].sum()),
            "q_kvar": float(plan.q_kvar[time, k].sum()),
            "capacity_kw": _number(ders.capacity_kw[k]),
            "source_v_pu": _number(plan.source_v_pu[time, k]),
        }
    return found


def _role(forms: bool, alive: bool, substation: bool) -> str:
    if not alive:
        return "off"
    return ("substation" if substation else "grid-forming") if forms else "grid-following"


def campaign_summary(store: CampaignStore) -> dict[str, Any]:
    """Say what became of the realizations of a campaign, read from its parts.

    ``erred`` realizations count neither for nor against the plan: they are outside
    ``feasible_share`` and its interval, and always beside it in ``outcomes``.

    Raises
    ------
    StoreError
        If a part is torn or foreign, or there is none yet.
    """
    chunks, stopping = stopping_summary(store, store.finished())
    if not chunks:
        raise StoreError(f"{store.root} holds no finished part yet; run the campaign again")
    asked = store.study["config"]["campaign"]
    counts = dict.fromkeys(Outcome, 0)
    worst: dict[str, dict[str, Any]] = {}
    kinds, energy = KindCounts(), UnservedEnergy(hours=float(asked.get("horizon_h", 1.0)))
    for table in store.tables([*_ROW_COLUMNS, *_columns("margin", "element", "phase")], chunks):
        for outcome, number in outcome_counts(table.column("outcome")).items():
            counts[outcome] += number
        _keep_worst(worst, table)
        kinds.add(table)
        energy.add(table)
    samples = sum(counts.values())
    confidence = float(asked["confidence"] if stopping is None else stopping["confidence"])
    share = feasible_share(counts, confidence)

    def interval(count: int, trials: int) -> list[float]:
        return list(share_interval(count, trials, confidence, anytime=stopping is not None))

    runs = [run for run in store.environment.get("runs", []) if run["realizations"]]
    seconds = sum(run["seconds"] for run in runs)
    recorded = sum(run["realizations"] for run in runs)
    return {
        "samples": samples,
        "step": store.step,
        "asked": samples if stopping and stopping["reason"] else store.samples,
        "judge": asked["judge"],
        "recourse": asked["recourse"],
        "sampler": asked["sampler"],
        "outcomes": {kind.name.lower(): counts[kind] for kind in Outcome},
        "outcome_intervals": {
            kind.name.lower(): interval(counts[kind], samples) for kind in Outcome
        },
        "feasible_share": _number(share.value),
        "interval": [share.low, share.high] if stopping is None else stopping["interval"],
        "independent_draws": asked["sampler"] not in DESIGNS,
        "confidence": confidence,
        "stopping": stopping,
        "violations": kinds.shares(interval),
        "energy": energy.figures(),
        "worst": worst,
        **(
            {"crossed": crossed_outcomes(store, chunks, confidence)}
            if asked["judge"] == "both"
            else {}
        ),
        "margins": _margins(store, chunks),
        "seconds": seconds,
        "samples_per_s": recorded / seconds if seconds > 0 else None,
        **kept_answers(store),
    }


def _columns(*stems: str) -> list[str]:
    return [f"{stem}_{kind.value}" for kind in MarginKind for stem in stems]


def _keep_worst(worst: dict[str, dict[str, Any]], table: pa.Table) -> None:
    """Keep the least finite margin of each kind, of what did not err; the first wins a tie."""
    judged = outcome_codes(table.column("outcome")) != Outcome.ERRED
    for kind in MarginKind:
        margin = table.column(f"margin_{kind.value}").to_numpy()
        finite = np.isfinite(margin) & judged
        if not finite.any():
            continue
        row = int(np.where(finite, margin, np.inf).argmin())
        if kind.value in worst and worst[kind.value]["margin"] <= margin[row]:
            continue
        worst[kind.value] = {
            "margin": float(margin[row]),
            "unit": MARGIN_UNITS[kind.value],
            "element": table.column(f"element_{kind.value}")[row].as_py(),
            "phase": table.column(f"phase_{kind.value}")[row].as_py(),
            "index": table.column("index")[row].as_py(),
        }


def _margins(store: CampaignStore, chunks: Sequence[int]) -> dict[str, dict[str, Any]]:
    """Quantiles and lower tail mean of every kind's worst margin, over what was solved.

    What *erred* says nothing of the plan, whatever margins it came with.
    """
    names = _columns("margin")

    def stream() -> Iterator[list[FloatArray]]:
        for table in store.tables(["outcome", *names], chunks):
            judged = outcome_codes(table.column("outcome")) != Outcome.ERRED
            yield [_finite(table.column(name), judged) for name in names]

    levels = (0.0, *QUANTILE_LEVELS, 1.0)
    found = distributions(stream, len(names), levels, TAIL_SHARE)
    return {
        kind.value: _in_words(kind, one)
        for kind, one in zip(MarginKind, found, strict=True)
        if one is not None
    }


def _finite(column: pa.ChunkedArray, judged: BoolArray) -> FloatArray:
    values = np.asarray(column.to_numpy(), np.float64)
    return values[judged & np.isfinite(values)]


def _in_words(kind: MarginKind, one: Distribution) -> dict[str, Any]:
    return {
        "unit": MARGIN_UNITS[kind.value],
        "count": one.count,
        "min": one.quantiles[0],
        "quantiles": {
            f"{level:g}": value
            for level, value in zip(one.levels[1:-1], one.quantiles[1:-1], strict=True)
        },
        "max": one.quantiles[-1],
        "cvar": {"share": one.tail_share, "mean": one.tail_mean},
    }


def _number(value: Any) -> float | None:
    return float(value) if value is not None and np.isfinite(value) else None
