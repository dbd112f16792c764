"""The graph audit of a restoration plan, by code that shares nothing with any optimizer."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.arrays import BoolArray
from gridproof.scenarios.graph import has_cycle
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_states import (
    PhaseStates,
    damaged_buses,
    ends_that_may_move,
    joined,
    struck_buses,
)

__all__ = ["audit_restoration", "damaged_buses", "struck_buses"]


def audit_restoration(case: Outage, plan: PhaseStates) -> tuple[str, ...]:
    """Every fault of the plan as a graph and as numbers; empty if it has none.

    Checked at each phase: what moved could move then, and what protection opened by itself met
    a fault: its line failed, or one of the line's ends is damaged; the damaged zone is what a
    search over closed lines from the failures finds, and no closed line joins it to the safe
    zone; the supplied buses are what a search from the sources finds; each supplied island is a
    tree with one source; no load is served in a dead bus.
    """
    faults: list[str] = []
    for time in range(4):
        damaged = _damaged(case, plan, time)
        found = [*_switch_faults(case, plan, time), *_damage_faults(case, plan, time, damaged)]
        if time == 1:
            found += _protection_faults(case, plan, damaged)
        found += [*_supply_faults(case, plan, time), *_served_faults(case, plan, time)]
        faults += [f"t = {time}: {fault}" for fault in found]
    return tuple(faults)


def _switch_faults(case: Outage, plan: PhaseStates, time: int) -> list[str]:
    ids, devices = case.feeder.lines.ids, case.devices
    now = plan.end_closed[time]
    faults = [
        f"line {ids[k]} is {'closed' if plan.closed[time, k] else 'open'} but its ends are "
        f"{now[k].tolist()}"
        for k in np.flatnonzero(plan.closed[time] != now.all(axis=1))
    ]
    before = np.repeat(case.feeder.lines.closed[:, None], 2, axis=1)
    then = plan.end_closed[time - 1] if time else before
    may_open, may_close = ends_that_may_move(case, time)
    opened, shut = then & ~now, now & ~then
    for moved, may, verb in ((opened, may_open, "opens"), (shut, may_close, "closes")):
        for k, side in np.argwhere(moved & ~may):
            faults.append(f"{devices.device[k][side]} switch of line {ids[k]} {verb}; it may not")
    if time >= 2:
        at_source = case.substation[case.ends] & case.operable_end
        for k in case.failed[devices.underground[case.failed]]:
            if (at_source[k] & now[k]).any():
                faults.append(f"failed cable {ids[k]} is still closed at a substation")
    overhead_open = ~devices.underground[case.failed] & ~case.feeder.lines.closed[case.failed]
    for k in case.failed[overhead_open & plan.closed[time, case.failed]]:
        faults.append(f"line {ids[k]} failed while open and is closed")
    return faults


def _damaged(case: Outage, plan: PhaseStates, time: int) -> BoolArray:
    """(bus,) what a search from the failures reaches at one phase."""
    if not time:
        return np.zeros(len(case.feeder.buses.ids), bool)
    spreads = plan.closed[time]
    if time == 1:
        spreads = spreads | (case.feeder.lines.closed & ~case.devices.protective)
    return damaged_buses(case, struck_buses(case, plan.end_closed[time]), spreads)


def _protection_faults(case: Outage, plan: PhaseStates, damaged: BoolArray) -> list[str]:
    """Protection that opened at t = 1 without a fault: nobody tells it to, so it would not."""
    opened = (plan.end_closed[0] & ~plan.end_closed[1]).any(axis=1)
    opened[case.failed] = False
    return [
        f"line {case.feeder.lines.ids[k]} is opened by its protection, which met no fault"
        for k in np.flatnonzero(opened & ~damaged[case.ends].any(axis=1))
    ]


def _damage_faults(case: Outage, plan: PhaseStates, time: int, damaged: BoolArray) -> list[str]:
    ids, available = case.feeder.buses.ids, plan.available[time]
    faults = [
        f"bus {ids[i]} is damaged but called available" for i in np.flatnonzero(damaged & available)
    ]
    faults += [
        f"bus {ids[i]} is called damaged; no failure reaches it"
        for i in np.flatnonzero(~damaged & ~available)
    ]
    sides = available[case.ends]
    for k in np.flatnonzero(plan.closed[time] & (sides[:, 0] != sides[:, 1])):
        faults.append(f"closed line {case.feeder.lines.ids[k]} joins a damaged and a safe zone")
    return faults


def _supply_faults(case: Outage, plan: PhaseStates, time: int) -> list[str]:
    feeder, live = case.feeder, plan.energized[time]
    roots = feeder.sources.bus[plan.available[time, feeder.sources.bus]]
    if time == 3:
        roots = np.concatenate([roots, case.ders.bus[case.forming[plan.forming[time]]]])
    elif plan.forming[time].any():
        return ["a DER carries an island before reconfiguration"]
    labels = joined(case, plan.closed[time])
    reached = np.isin(labels, labels[roots])
    faults = [
        f"bus {feeder.buses.ids[i]} is called {'dead' if reached[i] else 'supplied'}; a search "
        f"from the sources {'reaches' if reached[i] else 'does not reach'} it"
        for i in np.flatnonzero(reached != live)
    ]
    faults += [
        f"damaged bus {feeder.buses.ids[i]} is supplied"
        for i in np.flatnonzero(live & ~plan.available[time])
    ]
    names, sources = np.unique(labels[roots], return_counts=True)
    for name, count in zip(names.tolist(), sources.tolist(), strict=True):
        where = feeder.buses.ids[int(np.argmax(labels == name))]
        if count > 1:
            faults.append(f"the island of bus {where} has {count} sources; 1 is allowed")
        inside = case.ends[plan.closed[time] & (labels[case.ends[:, 0]] == name)]
        if has_cycle(len(labels), inside[:, 0], inside[:, 1]):
            faults.append(f"the island of bus {where} holds a loop of closed lines")
    return faults


def _served_faults(case: Outage, plan: PhaseStates, time: int) -> list[str]:
    served, live, slack = plan.served_kw[time], plan.energized[time], 1e-3
    demand = case.bus_demand()[0]
    ids = case.feeder.buses.ids
    faults = [f"dead bus {ids[i]} is served" for i in np.flatnonzero(~live & (served > slack))]
    for i in np.flatnonzero((served > demand + slack) | (served < -slack)):
        faults.append(f"bus {ids[i]} is served {served[i]:.3f} of {demand[i]:.3f} kW")
    return faults
