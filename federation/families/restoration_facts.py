"""A restoration plan in figures: what each phase supplies, loses and switches."""

from __future__ import annotations

from typing import Any

import numpy as np
from gridproof.federation.proof_words import proof_facts
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.restoration import PHASE_NAMES, Outage
from gridproof.scenarios.restoration_faults import isolated_buses
from gridproof.scenarios.restoration_states import PhaseStates, joined, states_of
from gridproof.scenarios.scenario import Scenario

__all__ = ["restoration_summary"]


def restoration_summary(plan: Plan, scenario: Scenario) -> dict[str, Any]:
    """Say what a restoration plan does at every phase, and what is proven about it.

    Costs are in the objective's own unit. ``supplied_share`` is of all nominal load;
    ``dead_safe_buses`` are outside the damaged zone and without supply; ``opened`` and
    ``closed`` are the lines that change state between the phase before and this one.

    Raises
    ------
    ScenarioError
        If nothing says how the scenario's lines are switched.
    """
    case, decided, proof = Outage.of(scenario), states_of(plan, scenario), plan.proof
    return {
        "family": plan.family,
        **proof_facts(plan, scenario),
        "termination": proof.termination.value,
        "objective": plan.costs.get("total", _number(proof.incumbent)),
        "bound": _number(proof.bound),
        "gap": _number(proof.gap),
        "costs": {name: _number(value) for name, value in plan.costs.items()},
        "buses": len(case.feeder.buses.ids),
        "lines": len(case.feeder.lines.ids),
        "moving_lines": len(plan.switch_ids),
        "failed_lines": [case.feeder.lines.ids[k] for k in case.failed],
        "underground_failed": int(case.devices.underground[case.failed].sum()),
        "isolated_buses": list(isolated_buses(case.feeder)),
        "demand_kw": float(case.bus_demand()[0].sum()),
        "phases": [_phase(decided, plan, case, scenario, time) for time in range(len(PHASE_NAMES))],
        "seconds": {name: float(value) for name, value in proof.seconds.items()},
    }


def _phase(
    decided: PhaseStates, plan: Plan, case: Outage, scenario: Scenario, time: int
) -> dict[str, Any]:
    ids, lines = case.feeder.buses.ids, case.feeder.lines.ids
    now, live = decided.closed[time], decided.energized[time]
    before = decided.closed[time - 1] if time else now
    opened, shut = np.flatnonzero(before & ~now), np.flatnonzero(~before & now)
    shares = dict(zip(plan.partial_ids, plan.served_share[time].tolist(), strict=True))
    return {
        "step": time,
        "name": PHASE_NAMES[time],
        "supplied_share": float(decided.supplied_share(case)[time]),
        "supplied_kw": float(decided.served_kw[time].sum()),
        "supplied_buses": int(live.sum()),
        "damaged_buses": int((~decided.available[time]).sum()),
        "dead_safe_buses": int((decided.available[time] & ~live).sum()),
        "operations": len(opened) + len(shut),
        "opened": [lines[k] for k in opened],
        "closed": [lines[k] for k in shut],
        "damaged": [ids[i] for i in np.flatnonzero(~decided.available[time])],
        "feeds": _feeds(decided, plan, case, scenario, time),
        "served_in_part": {name: share for name, share in shares.items() if share < 1.0},
    }


def _feeds(
    decided: PhaseStates, plan: Plan, case: Outage, scenario: Scenario, time: int
) -> dict[str, dict[str, Any]]:
    """Buses and load of every substation, and of every DER that carries an island."""
    zone = joined(case, decided.closed[time])
    live, found = decided.energized[time], {}
    for k, name in enumerate(plan.der_ids):
        substation = k < len(case.feeder.sources.ids)
        if not substation and not plan.grid_forming[time, k]:
            continue
        mine = live & (zone == zone[scenario.ders.bus[k]])
        found[name] = {
            "source": "substation" if substation else "DER",
            "buses": int(mine.sum()),
            "supplied_kw": float(decided.served_kw[time][mine].sum()),
        }
    return found


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
