"""Is anything that failed alive: asked of the switch states that stand, not of any plan's word."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.restoration import outage_of
from gridproof.scenarios.restoration_states import joined, lines_that_spread, states_of_ends
from gridproof.scenarios.scenario import Scenario

__all__ = ["damage_margin", "live_failures"]


def live_failures(plan: Plan, scenario: Scenario, time: int) -> BoolArray:
    """(failure,) failed lines that what is energised feeds at one step.

    A failure is fed where a search over closed lines (at t = 1 also over lines that were
    closed and have no protection, as the damage spreads) leads from one of its struck ends to
    a live bus; and, from t = 2, where the end of a cable stands closed at a live substation
    that could have opened it. Before the event nothing has failed.

    Parameters
    ----------
    plan
        Its switch states up to the step and its energised blocks are taken as they are: those
        a realization stands in, not those that were to be.
    scenario
        Where nothing failed at all, the answer is empty.
    time
        The step.
    """
    case = outage_of(scenario)
    if case is None or time == 0:
        return np.zeros(0 if case is None else len(case.failed), bool)
    feeder, devices = case.feeder, case.devices
    closed = np.repeat(feeder.lines.closed[None], time + 1, axis=0)
    closed[:, feeder.switches] = plan.closed[: time + 1]
    labels = joined(case, lines_that_spread(case, closed[time], time))
    live = plan.energized[time][feeder.blocks.of_bus]
    fed = np.isin(labels, labels[live])
    failed, cable = case.failed, devices.underground[case.failed]
    ends = case.ends[failed]
    end_closed = states_of_ends(case, closed)[time, failed]
    conducts = np.where(cable[:, None], end_closed, case.strikes[failed][:, None])
    substation = case.substation[ends]
    alive = (conducts & ~substation & fed[ends]).any(axis=1)
    if time >= 2:
        held = cable[:, None] & end_closed & substation & case.operable_end[failed]
        alive |= (held & live[ends]).any(axis=1)
    return np.asarray(alive)


def damage_margin(plan: Plan, scenario: Scenario, time: int) -> FloatArray:
    """(line,) -1 for a failed line that is live, 1 for one that is dead, ``inf`` for the rest.

    Of no line where nothing says how lines are switched.
    """
    case = outage_of(scenario)
    margin = np.full(0 if case is None else len(scenario.feeder.lines.ids), np.inf)
    if case is not None and time > 0:
        margin[case.failed] = np.where(live_failures(plan, scenario, time), -1.0, 1.0)
    return margin
