"""Loads whose phases move apart: one OpenDSS load shares its power equally, so it is split.

Each uncertain load of several slots becomes one single-phase load per slot (wye) or one
between two phases (delta), of the same model and rated voltage; the file's own load stays at
zero. With equal phases the circuit's solution is that of the unsplit one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from gridproof.scenarios.apart import taken_apart
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.feeder import Connection
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box
from gridproof.simulator.opendss.circuit import DssCircuit

__all__ = ["SplitLoads"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SplitLoads:
    """A scenario whose uncertain loads of several slots are taken apart.

    Attributes
    ----------
    scenario
        The same feeder with the parts as loads of their own.
    load
        (part,) position of the original load.
    slot
        (part,) its slot; -1 for a load left whole.
    """

    scenario: Scenario
    load: IntArray
    slot: IntArray

    @classmethod
    def of(cls, scenario: Scenario) -> SplitLoads:
        """Take apart what the scenario's draws move slot by slot."""
        apart = taken_apart(scenario, _name)
        none = Box(load_ids=(), spread=np.zeros(0))  # its draws are made of the whole loads
        return cls(
            scenario=replace(apart.scenario, uncertainty=none), load=apart.load, slot=apart.slot
        )

    def apply(self, circuit: DssCircuit, loads: tuple[str, ...]) -> None:
        """Put the parts into a compiled circuit and set what they replace to zero.

        Parameters
        ----------
        circuit
            Compiled, with nothing added yet.
        loads
            Ids of the original loads, in order.
        """
        feeder, found = self.scenario.feeder, circuit.handles("load")
        for part in np.flatnonzero(self.slot >= 0).tolist():
            k, slot = int(self.load[part]), int(self.slot[part])
            bus = feeder.buses.ids[feeder.loads.bus[part]]
            delta = feeder.loads.connection[part] is Connection.DELTA
            back = f"{(slot + 1) % 3 + 1}" if delta else _neutral(circuit, found[loads[k]])
            nodes = f"{slot + 1}.{back}"
            kw, kvar = feeder.loads.p_kw[part].sum(), feeder.loads.q_kvar[part].sum()
            kv = _slot_kv(circuit, found[loads[k]], delta=delta)
            circuit.add(
                "load",
                _name(k, slot),
                bus1=f"{bus}.{nodes}",
                phases=1,
                conn=int(delta),
                kv=float(f"{kv:.15g}"),
                model=1,
                kw=float(f"{kw:.15g}"),
                kvar=float(f"{kvar:.15g}"),
            )
        for k in np.unique(self.load[self.slot >= 0]).tolist():
            for key in ("kw", "kvar"):
                circuit.set_number(found[loads[k]], circuit.property_number("load", key), 0.0)

    def realizations(self, drawn: Realizations) -> Realizations:
        """Give each part its slot of the drawn demand."""
        return replace(drawn, p_kw=self._parts(drawn.p_kw), q_kvar=self._parts(drawn.q_kvar))

    def _parts(self, demand: FloatArray) -> FloatArray:
        mine = (self.slot[:, None] < 0) | (np.arange(3) == self.slot[:, None])
        return np.asarray(demand[:, :, self.load] * mine)


def _name(load: int, slot: int) -> str:
    return f"gridproof_load_{load}_{slot + 1}"


def _neutral(circuit: DssCircuit, handle: Any) -> str:
    """Node number that a wye load comes back to."""
    node = int(circuit.node_refs(handle)[-1])
    return circuit.nodes[node - 1].rsplit(".", 1)[1] if node else "0"


def _slot_kv(circuit: DssCircuit, handle: Any, *, delta: bool) -> float:
    """Rated voltage across a slot, kV: line-to-line for several phases in wye as in delta."""
    kv = circuit.number(handle, circuit.property_number("load", "kv"))
    phases = circuit.integer(handle, circuit.property_number("load", "phases"))
    return kv if delta or phases == 1 else float(kv / np.sqrt(3.0))
