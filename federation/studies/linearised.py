"""A study's scenario with its linear model around an AC state, where ``[planner]`` asks for it.

What a substation reaches over the switches that the file has closed, it feeds; a switch that would
close a loop or join two substations is open. Everywhere else the switches are open, since who joins
whom there is the plan's to say, and each block is fed by its largest DER that can form, at 1 pu.
Loads are nominal, of the step with the most, and no other DER acts. The state follows from the
study alone, so whoever plans, answers or judges has the same model.
"""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

import numpy as np
from gridproof.federation.config.study import PlannerConfig
from gridproof.scenarios.arrays import BoolArray, IntArray
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.scenario import Scenario

__all__ = ["around_ac", "base_plan", "linearised"]


def linearised(scenario: Scenario, planner: PlannerConfig) -> Scenario:
    """Return the scenario with its linear model where ``[planner] linearise`` says."""
    return around_ac(scenario) if planner.options.get("linearise") == "ac" else scenario


def around_ac(scenario: Scenario) -> Scenario:
    """Return the scenario with the constants of its base state.

    Raises
    ------
    ConfigError
        If that state has no AC power flow.
    """
    from gridproof.simulator.linear.engine import LinearEngine  # noqa: PLC0415  (SciPy)
    from gridproof.simulator.opendss.engine import OpenDssEngine  # noqa: PLC0415  (OpenDSS)

    flat = replace(scenario, linearisation=None, draws_per_phase=False)
    plan = base_plan(flat)
    time = int(np.argmax(flat.load_p_kw.sum(axis=(1, 2))))
    with closing(OpenDssEngine(flat)) as engine:
        engine.hold(plan, time)
        phasors = engine.phasors()
    if phasors is None:
        raise ConfigError(
            '[planner] linearise = "ac": the feeder has no AC power flow in the state that the '
            'study starts from, with every load at its nominal demand; leave it "flat"'
        )
    with closing(LinearEngine(flat)) as linear:
        linear.hold(plan, time)
        return replace(scenario, linearisation=linear.linearisation(phasors))


def base_plan(scenario: Scenario) -> Plan:
    """Return the state that the linear model stands at, as a plan."""
    feeder, ders, steps = scenario.feeder, scenario.ders, len(scenario.hours)
    closed, part = _forest(scenario)
    home = feeder.blocks.of_bus[ders.bus]
    room = np.where(ders.can_form & ders.phases.all(axis=1), ders.p_max_kw.sum(axis=1), -np.inf)
    room = np.where(ders.is_substation, np.inf, room)
    forming = np.zeros(len(ders.ids), bool)
    for there in np.unique(part).tolist():
        mine = np.flatnonzero((part[home] == there) & (room > 0.0))
        if len(mine):
            forming[mine[np.argmax(room[mine])]] = True
    none = np.zeros((steps, len(ders.ids), 3))
    return Plan(
        family="base state",
        scenario_digest="",
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=ders.ids,
        closed=np.tile(closed, (steps, 1)),
        energized=np.tile(np.isin(part, part[home[forming]]), (steps, 1)),
        grid_forming=np.tile(forming, (steps, 1)),
        source_v_pu=np.tile(ders.held_pu(np.where(forming, 1.0, np.nan)), (steps, 1)),
        p_kw=none,
        q_kvar=none,
        costs={},
        proof=Proof(termination=Termination.EXTERNAL, incumbent=np.inf, bound=-np.inf),
    )


def _forest(scenario: Scenario) -> tuple[BoolArray, IntArray]:
    """(switch,) what is closed, and (block,) which blocks that joins."""
    feeder, ders = scenario.feeder, scenario.ders
    part = np.arange(len(feeder.blocks.ids))
    fed = np.zeros(len(part), bool)
    fed[feeder.blocks.of_bus[ders.bus[ders.is_substation]]] = True
    asked = feeder.lines.closed[feeder.switches]
    closed = np.zeros(len(asked), bool)
    for k in np.flatnonzero(asked).tolist():
        one, other = part[feeder.switch_blocks[k]]
        if one == other or (fed[part == one].any() and fed[part == other].any()):
            continue
        closed[k] = True
        part[part == other] = one
    served = np.isin(part, part[fed])
    closed &= served[feeder.switch_blocks].all(axis=1)
    return closed, np.where(served, part, np.arange(len(part)))
