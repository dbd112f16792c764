"""A scenario's loads inside a compiled circuit: their model, and where they stand."""

from __future__ import annotations

from typing import Any

import numpy as np
from gridproof.scenarios.errors import EngineError
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.opendss.circuit import DssCircuit
from gridproof.simulator.opendss.measure import LoadTable

__all__ = ["V_MAX_PU", "V_MIN_PU", "load_table", "shape_loads"]

V_MIN_PU, V_MAX_PU = 0.5, 1.5
"""Loads and generators keep their model inside this band; at OpenDSS's own 0.95 a
constant-power load would turn into an impedance and hide that nothing can serve it."""

_V_LOW_PU = 0.4  # below: impedance; must stay under V_MIN_PU, between them is interpolated
_ZIP, _NEVER_CUT_PU = 8, 0.0  # a model's number, and the voltage below which it draws nothing
_MODEL_NUMBERS = {
    LoadModel.CONSTANT_POWER: 1,
    LoadModel.CONSTANT_IMPEDANCE: 2,
    LoadModel.VOLTAGE_REDUCTION: 4,
    LoadModel.CONSTANT_CURRENT: 5,
}


def shape_loads(circuit: DssCircuit, scenario: Scenario, loads: tuple[Any, ...]) -> None:
    """Give each load the scenario's model and a wide voltage band."""
    for handle, model in zip(loads, scenario.load_model, strict=True):
        number = _MODEL_NUMBERS.get(model, _ZIP if model.startswith("zip") else 4)
        circuit.set_integer(handle, circuit.property_number("load", "model"), number)
        values = {"vlowpu": _V_LOW_PU, "vminpu": V_MIN_PU, "vmaxpu": V_MAX_PU}
        if number == 4:
            values |= {"cvrwatts": model.active[0][1], "cvrvars": model.reactive[0][1]}
        if number == _ZIP:
            shares = [*map(float, model.split()[1:]), _NEVER_CUT_PU]
            circuit.set_numbers(handle, circuit.property_number("load", "zipv"), shares)
        for key, value in values.items():
            circuit.set_number(handle, circuit.property_number("load", key), value)


def load_table(circuit: DssCircuit, scenario: Scenario, loads: tuple[Any, ...]) -> LoadTable:
    """Return where each load of the scenario stands in the circuit."""
    ids, slots = scenario.feeder.loads.ids, scenario.feeder.loads.slots
    count = len(ids)
    plus, minus = np.zeros((count, 3), np.int64), np.zeros((count, 3), np.int64)
    share, rated = np.zeros((count, 3)), np.ones(count)
    for k, (name, handle) in enumerate(zip(ids, loads, strict=True)):
        refs = circuit.node_refs(handle)
        phases = circuit.integer(handle, circuit.property_number("load", "phases"))
        delta = circuit.integer(handle, circuit.property_number("load", "conn")) == 1
        if phases != slots[k].sum():
            raise EngineError(
                f"load {name} has {phases} phases in the circuit, {slots[k].sum()} in the study"
            )
        plus[k, :phases] = refs[:phases]
        minus[k, :phases] = np.roll(refs, -1)[:phases] if delta else refs[-1]
        share[k, :phases] = 1.0 / phases
        kv = circuit.number(handle, circuit.property_number("load", "kv"))
        rated[k] = 1000.0 * (kv / np.sqrt(3.0) if phases > 1 and not delta else kv)
    return LoadTable(
        plus=plus, minus=minus, share=share, rated_v=rated, model=tuple(scenario.load_model)
    )
