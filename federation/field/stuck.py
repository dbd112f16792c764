"""A plan some of whose switches did not act: what is live then, and what the physics says."""

from __future__ import annotations

from dataclasses import dataclass, fields, replace
from typing import TypeVar

import numpy as np
from gridproof.federation.trial.trial import Trial
from gridproof.scenarios.arrays import BoolArray, IntArray
from gridproof.scenarios.audit import islands
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Verdicts, judge

__all__ = ["Observed", "observe_under", "plan_as_it_stands"]

T = TypeVar("T", Snapshots, Verdicts)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Observed:
    """A judged batch, and how many switches stood otherwise than planned in each."""

    snapshots: Snapshots
    verdicts: Verdicts
    switches_stuck: IntArray


def plan_as_it_stands(
    plan: Plan, scenario: Scenario, stuck: BoolArray, time: int = 0
) -> Plan | None:
    """Return the plan with some switches as the feeder's file has them.

    Parameters
    ----------
    plan, scenario
        What was to be.
    stuck
        (switch,) those that did not act.
    time
        The step that is tried.

    Returns
    -------
    Plan or None
        What is live is found anew: a block that the plan leaves dead may be picked up. None
        where no state of the model exists: a block the plan feeds has no grid-forming DER,
        or an island has more of them than may run side by side.
    """
    feeder = scenario.feeder
    closed = plan.closed.copy()
    closed[time] = np.where(stuck, feeder.lines.closed[feeder.switches], closed[time])
    standing = replace(plan, closed=closed)
    island = islands(standing, scenario, time)
    formers = island[feeder.blocks.of_bus[scenario.ders.bus[plan.grid_forming[time]]]]
    count = np.bincount(formers, minlength=int(island.max(initial=0)) + 1)
    live = count[island] > 0
    if (
        plan.energized[time] & ~live
    ).any() or count.max() > scenario.limits.grid_forming_per_island:
        return None
    energized = plan.energized.copy()
    energized[time] = live
    return replace(standing, energized=energized)


def observe_under(
    trial: Trial, batch: Realizations, setpoints: Setpoints, stuck: BoolArray
) -> Observed:
    """Solve and judge each realization under its own switch states.

    Parameters
    ----------
    trial
        What is tried, at the step it has entered.
    batch, setpoints
        Of equal length and order.
    stuck
        (realization, switch) switches that did not act.
    """
    scenario, plan, time = trial.scenario, trial.plan, trial.step
    feeder = scenario.feeder
    moved = stuck & (plan.closed[time] != feeder.lines.closed[feeder.switches]) & ~scenario.locked
    count = moved.sum(axis=1)
    if not count.any():
        snapshots, verdicts = trial.observe(batch, setpoints)
        return Observed(snapshots=snapshots, verdicts=verdicts, switches_stuck=count)
    patterns, which = np.unique(moved, axis=0, return_inverse=True)
    rows, parts = [], []
    for k, pattern in enumerate(patterns):
        mine = np.flatnonzero(which.ravel() == k)
        parts.append(_observe(trial, batch.take(mine), setpoints.take(mine), pattern))
        rows.append(mine)
    order = np.argsort(np.concatenate(rows), kind="stable")
    return Observed(
        snapshots=_joined([snapshots for snapshots, _ in parts]).take(order),
        verdicts=_joined([verdicts for _, verdicts in parts]).take(order),
        switches_stuck=count,
    )


def _observe(
    trial: Trial, batch: Realizations, setpoints: Setpoints, pattern: BoolArray
) -> tuple[Snapshots, Verdicts]:
    scenario, plan, time = trial.scenario, trial.plan, trial.step
    standing = plan_as_it_stands(plan, scenario, pattern, time) if pattern.any() else plan
    if standing is None:
        snapshots = _unsolved(scenario, batch.index)
        return snapshots, judge(snapshots, plan, scenario, time)
    return trial.observe(batch, setpoints, standing)


def _unsolved(scenario: Scenario, index: IntArray) -> Snapshots:
    """States that do not exist: not converged, every number NaN."""
    feeder, n = scenario.feeder, len(index)
    buses, lines = len(feeder.buses.ids), len(feeder.lines.ids)
    ders, units = len(scenario.ders.ids), len(feeder.transformers.ids)
    return Snapshots(
        index=index,
        converged=np.zeros(n, bool),
        iterations=np.zeros(n, np.int64),
        v_pu=np.full((n, buses, 3), np.nan),
        v_ll_pu=np.full((n, buses, 3), np.nan),
        current_a=np.full((n, lines, 3), np.nan),
        transformer_kva=np.full((n, units), np.nan),
        der_p_kw=np.full((n, ders, 3), np.nan),
        der_q_kvar=np.full((n, ders, 3), np.nan),
        delivered_kw=np.full(n, np.nan),
        requested_kw=np.full(n, np.nan),
        losses_kw=np.full(n, np.nan),
    )


def _joined(parts: list[T]) -> T:
    first = parts[0]
    return type(first)(
        **{f.name: np.concatenate([getattr(one, f.name) for one in parts]) for f in fields(first)}
    )
