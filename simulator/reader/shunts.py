"""Loads and capacitors of a compiled circuit as columns."""

from __future__ import annotations

from typing import Any

import numpy as np
from gridproof.scenarios.feeder import Capacitors, Connection, LoadModel, Loads
from gridproof.simulator.reader.elements import Reading, elements_of, pair_slot

__all__ = ["capacitors_table", "loads_table"]

_MODELS = {
    1: LoadModel.CONSTANT_POWER,
    2: LoadModel.CONSTANT_IMPEDANCE,
    5: LoadModel.CONSTANT_CURRENT,
}
# OpenDSS model 4: p = p0·|v|^CVRwatts, q = q0·|v|^CVRvars
_EXPONENTS = {
    (0.0, 0.0): LoadModel.CONSTANT_POWER,
    (1.0, 1.0): LoadModel.CONSTANT_CURRENT,
    (2.0, 2.0): LoadModel.CONSTANT_IMPEDANCE,
    (1.0, 2.0): LoadModel.VOLTAGE_REDUCTION,
}


def loads_table(reading: Reading) -> Loads:
    """Read every load at its nominal demand, shared equally by its slots."""
    context = reading.context
    ids, buses, models, connections = [], [], [], []
    rows: list[tuple[list[int], float, float, float]] = []
    for name in elements_of(context, "Loads"):
        placed = _placed(reading, f"Load.{name}", bool(context.Loads.IsDelta()), context.Loads.kV())
        model = _model(reading, name)
        if placed is None or model is None:
            continue
        bus, connection, slots, rated = placed
        ids.append(name)
        buses.append(bus)
        models.append(model)
        connections.append(connection)
        rows.append((slots, float(context.Loads.kW()), float(context.Loads.kvar()), rated))
    occupied = np.zeros((len(ids), 3), bool)
    p, q = np.zeros((len(ids), 3)), np.zeros((len(ids), 3))
    for k, (slots, p_kw, q_kvar, _) in enumerate(rows):
        occupied[k, slots] = True
        p[k, slots], q[k, slots] = p_kw / len(slots), q_kvar / len(slots)
    return Loads(
        ids=tuple(ids),
        bus=np.array(buses, np.int64),
        connection=tuple(connections),
        model=tuple(models),
        slots=occupied,
        p_kw=p,
        q_kvar=q,
        v_rated_pu=np.array([row[3] for row in rows]),
    )


def capacitors_table(reading: Reading) -> Capacitors:
    """Read every shunt capacitor with the steps that are switched in."""
    context = reading.context
    ids, buses, connections, rated_pu = [], [], [], []
    rows: list[tuple[list[int], float]] = []
    for name in elements_of(context, "Capacitors"):
        delta = bool(context.Capacitors.IsDelta())
        placed = _placed(reading, f"Capacitor.{name}", delta, context.Capacitors.kV())
        states = np.asarray(context.Capacitors.States(), float)
        share = float(states.mean()) if len(states) else 1.0
        if placed is None or share == 0.0 or context.CktElement.IsOpen(1, 0):
            continue
        bus, connection, slots, rated = placed
        ids.append(name)
        buses.append(bus)
        connections.append(connection)
        rated_pu.append(rated)
        rows.append((slots, float(context.Capacitors.kvar()) * share))
    q = np.zeros((len(ids), 3))
    for k, (slots, q_kvar) in enumerate(rows):
        q[k, slots] = q_kvar / len(slots)
    return Capacitors(
        ids=tuple(ids),
        bus=np.array(buses, np.int64),
        connection=tuple(connections),
        q_kvar=q,
        v_rated_pu=np.array(rated_pu),
    )


def _placed(
    reading: Reading, owner: str, delta: bool, rated_kv: float
) -> tuple[int, Connection, list[int], float] | None:
    """Bus, connection, slots and rated slot voltage (pu) of the active shunt element."""
    bus, nodes = reading.terminal(0)
    count = int(reading.context.CktElement.NumPhases())
    slots: list[int] | None = None
    if count == 1 and len(nodes) > 1 and pair_slot(nodes[0], nodes[1]) is not None:
        slots, delta = _pairs(nodes, 1), True  # a single-phase load between two phases
    elif delta:
        slots = _pairs(nodes, count)
    elif set(nodes[:count]) <= {1, 2, 3} and all(node == 0 for node in nodes[count:]):
        slots = [node - 1 for node in nodes[:count]]
    if not slots:
        reading.fault(
            owner,
            f"stands on nodes {nodes}; phases 1, 2, 3 and a grounded neutral (node 0) are needed",
        )
        return None
    across = rated_kv / np.sqrt(3.0) if count > 1 and not delta else rated_kv
    base = reading.base_kv[bus] * (np.sqrt(3.0) if delta else 1.0) or np.nan
    return bus, Connection.DELTA if delta else Connection.WYE, slots, float(across / base)


def _pairs(nodes: tuple[int, ...], count: int) -> list[int] | None:
    """Slots of a delta of one, two (open) or three pairs on the nodes, in their order."""
    around: list[Any] = [
        pair_slot(nodes[k], nodes[(k + 1) % len(nodes)]) for k in range(min(count, len(nodes)))
    ]
    return None if None in around or len(set(around)) < count else around


def _model(reading: Reading, name: str) -> LoadModel | None:
    loads = reading.context.Loads
    number = int(loads.Model())
    exponents = (float(loads.CVRwatts()), float(loads.CVRvars()))
    found = _EXPONENTS.get(exponents) if number == 4 else _MODELS.get(number)
    if found is None:
        shown = f"4 with exponents {exponents}" if number == 4 else str(number)
        reading.fault(
            f"Load.{name}",
            f"model = {shown} cannot be held; use 1 (power), 2 (impedance), 5 (current), or 4 "
            "with CVRwatts, CVRvars = 1, 2",
        )
    return found
