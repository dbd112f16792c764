"""A plan as PowerModelsONM's output: what reads its files reads our plans.

The two parts that hold a plan are written, *Device action timeline* and *Powerflow output*, in its
own conventions (`federation.adapters.onm`): a storage's power is positive when it charges, voltages
are kV under a name that says V, a substation is a ``voltage_source`` by its source's name. Its
statistics, which a plan does not have, are left out.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import realize
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.simulator.linear.engine import LinearEngine

__all__ = ["onm_output"]

_DIGITS = 9
_P, _Q, _V = "real power setpoint (kW)", "reactive power setpoint (kVar)", "voltage (V)"


def onm_output(plan: Plan, scenario: Scenario) -> dict[str, Any]:
    """Return a plan as the document that PowerModelsONM writes of one.

    Bus voltages are those of the linear model at nominal load, 0 where nothing is live.

    Parameters
    ----------
    plan, scenario
        Of as many steps as the plan has.

    Raises
    ------
    ScenarioError
        If the linear model cannot say what the voltages are.
    """
    steps = range(len(plan.closed))
    return {
        "Simulation time steps": [float(scenario.hours[step]) for step in steps],
        "Device action timeline": [_actions(plan, scenario, step) for step in steps],
        "Powerflow output": [_flow(plan, scenario, step) for step in steps],
    }


def _actions(plan: Plan, scenario: Scenario, step: int) -> dict[str, Any]:
    loads, of_bus = scenario.feeder.loads, scenario.feeder.blocks.of_bus
    dead = ~plan.energized[step][of_bus[loads.bus]]
    return {
        "Shedded loads": [name for name, off in zip(loads.ids, dead, strict=True) if off],
        "Switch configurations": {
            name: "closed" if shut else "open"
            for name, shut in zip(plan.switch_ids, plan.closed[step], strict=True)
        },
    }


def _flow(plan: Plan, scenario: Scenario, step: int) -> dict[str, Any]:
    seen = _voltages_kv(plan, scenario, step)
    buses = scenario.feeder.buses
    found: dict[str, Any] = {
        "bus": {
            name: {
                _V: _numbers(seen[k][buses.phases[k]]),
                "terminals": _terminals(buses.phases[k]),
            }
            for k, name in enumerate(buses.ids)
        }
    }
    kinds = _kinds(scenario)
    for k in range(len(plan.der_ids)):
        kind, name = kinds[k]
        has, sign = scenario.ders.phases[k], -1.0 if kind == "storage" else 1.0
        found.setdefault(kind, {})[name] = {
            _P: _numbers(sign * plan.p_kw[step, k][has]),
            _Q: _numbers(sign * plan.q_kvar[step, k][has]),
            "connections": _terminals(has),
            "inverter": "GRID_FORMING" if plan.grid_forming[step, k] else "GRID_FOLLOWING",
        }
    return found


def _kinds(scenario: Scenario) -> list[tuple[str, str]]:
    """Say of each DER what it is called there, and as what."""
    ders, fleet = scenario.ders, scenario.fleet
    kinds = [("generator", name) for name in ders.ids]
    for kind, table in (("storage", fleet.storages), ("solar", fleet.renewables)):
        for k in table.der.tolist():
            kinds[k] = kind, ders.ids[k]
    if ders.substations is not None:
        for name, k in zip(ders.substations.source_ids, ders.substations.at.tolist(), strict=True):
            kinds[k] = "voltage_source", name
    return kinds


def _voltages_kv(plan: Plan, scenario: Scenario, step: int) -> FloatArray:
    """(bus, 3) magnitudes to earth at nominal load; 0 where there is none."""
    engine = LinearEngine(scenario)
    engine.hold(plan, step)
    nominal = realize(scenario, np.zeros((1, len(scenario.direction_ids))), step=step)
    told = Setpoints(
        index=nominal.index,
        found=np.ones(1, dtype=bool),
        p_kw=plan.p_kw[step][None],
        q_kvar=plan.q_kvar[step][None],
        source_v_pu=plan.source_v_pu[step][None],
    )
    v_pu = engine.observe(nominal, told).v_pu[0]
    kv = np.nan_to_num(v_pu) * scenario.feeder.buses.base_kv[:, None]
    return np.asarray(kv)


def _terminals(has: Any) -> list[int]:
    return (np.flatnonzero(has) + 1).tolist()


def _numbers(values: FloatArray) -> list[float]:
    return [float(one) + 0.0 for one in np.round(values, _DIGITS)]
