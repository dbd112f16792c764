"""The arrays of one realization as values by id, a step at a time."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

import numpy as np
from gridproof.federation.records.probe_report import LimitMargin
from gridproof.federation.records.replay_report import (
    BusSeen,
    DerSeen,
    LineSeen,
    LoadSeen,
    ReplayedStep,
    TransformerSeen,
)
from gridproof.federation.records.rows import rows_of
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Verdicts
from gridproof.simulator.islands import live_components

__all__ = ["Written", "step_seen"]


class Written(NamedTuple):
    """What a sink is given of one step of one realization."""

    realizations: Realizations
    setpoints: Setpoints
    snapshots: Snapshots
    verdicts: Verdicts


def step_seen(
    scenario: Scenario, plan: Plan, step: int, seen: Written, kept: Mapping[str, Any] | None
) -> ReplayedStep:
    """Put one step into values.

    Parameters
    ----------
    scenario, plan, step
        Name the elements.
    seen
        What the sink was given.
    kept
        The campaign's own row of it, if it has one.
    """
    told = scenario, plan, seen.realizations, seen.snapshots, seen.verdicts
    row = rows_of(*told, time=step).table().to_pylist()[0]
    margins = LimitMargin.by_kind(row)
    was = {} if kept is None else LimitMargin.by_kind(kept)
    apart = [abs(one.margin - was[kind].margin) for kind, one in margins.items() if kind in was]
    flows = seen.snapshots
    solved = len(flows) > 0 and bool(flows.converged[0])
    return ReplayedStep(
        step=step,
        name=scenario.step_names[step],
        outcome=row["outcome"],
        margins=margins,
        kept_outcome=None if kept is None else kept["outcome"],
        margins_apart=None if kept is None else max(apart, default=0.0),
        zeta=dict(
            zip(scenario.direction_ids, seen.realizations.zeta_at(step)[0].tolist(), strict=True)
        ),
        served_kw=float(flows.delivered_kw[0]) if solved else None,
        asked_kw=float(flows.requested_kw[0]) if solved else None,
        losses_kw=float(flows.losses_kw[0]) if solved else None,
        iterations=int(flows.iterations[0]) if solved else None,
        loads=_loads(scenario, plan, step, seen.realizations),
        ders=_ders(scenario, plan, step, seen),
        buses=_buses(scenario, flows) if solved else {},
        lines=_lines(scenario, flows) if solved else {},
        transformers=_transformers(scenario, flows) if solved else {},
    )


def _loads(scenario: Scenario, plan: Plan, step: int, drawn: Realizations) -> dict[str, LoadSeen]:
    feeder, asked = scenario.feeder, plan.asked(drawn, scenario)
    kw, kvar = asked.demand_at(step)
    phases: BoolArray = live_components(scenario, plan, step).live[feeder.loads.bus]
    live = np.logical_or.reduce(phases, axis=1)
    has = feeder.loads.slots
    return {
        name: LoadSeen(
            asked_kw=_phases(kw[0, k], has[k]),
            asked_kvar=_phases(kvar[0, k], has[k]),
            live=bool(live[k]),
        )
        for k, name in enumerate(feeder.loads.ids)
    }


def _ders(scenario: Scenario, plan: Plan, step: int, seen: Written) -> dict[str, DerSeen]:
    told, gave = seen.setpoints, seen.snapshots
    forms, has = plan.grid_forming[step], scenario.ders.phases
    held = told.source_v_pu[0]
    return {
        name: DerSeen(
            forms=bool(forms[k]),
            held_pu=float(held[k]) if forms[k] and np.isfinite(held[k]) else None,
            told_kw=_phases(told.p_kw[0, k], has[k]),
            told_kvar=_phases(told.q_kvar[0, k], has[k]),
            gave_kw=_phases(gave.der_p_kw[0, k], has[k]) if len(gave) else (),
            gave_kvar=_phases(gave.der_q_kvar[0, k], has[k]) if len(gave) else (),
        )
        for k, name in enumerate(scenario.ders.ids)
    }


def _buses(scenario: Scenario, seen: Snapshots) -> dict[str, BusSeen]:
    return {
        name: BusSeen(v_pu=_phases(seen.v_pu[0, k]), v_ll_pu=_phases(seen.v_ll_pu[0, k]))
        for k, name in enumerate(scenario.feeder.buses.ids)
    }


def _lines(scenario: Scenario, seen: Snapshots) -> dict[str, LineSeen]:
    lines = scenario.feeder.lines
    return {
        name: LineSeen(
            current_a=_phases(seen.current_a[0, k], lines.phases[k]),
            share_of_rating=_share(float(seen.current_a[0, k].max()), float(lines.rating_a[k])),
        )
        for k, name in enumerate(lines.ids)
    }


def _transformers(scenario: Scenario, seen: Snapshots) -> dict[str, TransformerSeen]:
    units = scenario.feeder.transformers
    return {
        name: TransformerSeen(
            kva=float(seen.transformer_kva[0, k]),
            share_of_rating=_share(float(seen.transformer_kva[0, k]), float(units.rating_kva[k])),
        )
        for k, name in enumerate(units.ids)
    }


def _phases(values: FloatArray, has: BoolArray | None = None) -> tuple[float | None, ...]:
    here = np.isfinite(values) if has is None else np.isfinite(values) & np.asarray(has, bool)
    return tuple(float(value) if there else None for value, there in zip(values, here, strict=True))


def _share(value: float, rating: float) -> float | None:
    return value / rating if np.isfinite(rating) and rating > 0.0 else None
