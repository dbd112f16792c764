"""How far the linear model that a plan was made with is from AC, in the plan's own state."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing
from dataclasses import replace

import numpy as np
from gridproof.federation.records.plan_report import LinearError
from gridproof.scenarios.arrays import PHASES
from gridproof.scenarios.errors import EngineError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import realize
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.simulator.engine import Engine
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.opendss.engine import OpenDssEngine

__all__ = ["linear_errors"]


def linear_errors(plan: Plan, scenario: Scenario, steps: Sequence[int]) -> list[LinearError]:
    """Solve a plan's nominal states by OpenDSS and by the linear model, and hold them together.

    Parameters
    ----------
    plan, scenario
        The plan, and the study's scenario with the linear model as the plan had it.
    steps
        Which; the circuit is compiled once for all of them.
    """
    whole = replace(scenario, draws_per_phase=False)
    try:
        with closing(OpenDssEngine(whole)) as ac, closing(LinearEngine(whole)) as linear:
            return [_error(ac, linear, plan, whole, step) for step in steps]
    except EngineError as error:  # of the feeder itself
        return [LinearError(linearised=_at(scenario), remark=str(error))] * len(steps)


def _at(scenario: Scenario) -> str:
    return "flat" if scenario.linearisation is None else "ac"


def _error(ac: Engine, linear: Engine, plan: Plan, scenario: Scenario, time: int) -> LinearError:
    at = _at(scenario)
    try:
        seen = [_nominal(engine, plan, scenario, time) for engine in (ac, linear)]
    except EngineError as error:
        return LinearError(linearised=at, remark=str(error))
    for one, name in zip(seen, ("OpenDSS", "the linear model"), strict=True):
        if not one.converged[0]:
            return LinearError(linearised=at, remark=f"{name} finds no solution of this state")
    apart = np.abs(seen[0].v_pu[0] - seen[1].v_pu[0])
    if not np.isfinite(apart).any():
        return LinearError(linearised=at, remark="nothing is live")
    bus, phase = np.unravel_index(int(np.nanargmax(apart)), apart.shape)
    return LinearError(
        linearised=at,
        error_pu=float(apart[bus, phase]),
        bus=scenario.feeder.buses.ids[bus],
        phase=PHASES[phase],
    )


def _nominal(engine: Engine, plan: Plan, scenario: Scenario, time: int) -> Snapshots:
    told = Setpoints(
        index=np.zeros(1, np.int64),
        found=np.ones(1, bool),
        p_kw=plan.p_kw[time][None],
        q_kvar=plan.q_kvar[time][None],
        source_v_pu=plan.source_v_pu[time][None],
    )
    engine.hold(plan, time)
    return engine.observe(realize(scenario, np.zeros((1, len(scenario.direction_ids)))), told)
