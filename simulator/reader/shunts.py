"""Loads and capacitors of a compiled circuit as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from gridproof.scenarios.feeder import Capacitors, Connection, Loads
from gridproof.scenarios.load_models import LoadModel
from gridproof.simulator.reader.elements import (
    Reading,
    active_admittance,
    active_terminals,
    elements_of,
    in_series,
    pair_slot,
)
from numpy.typing import NDArray

__all__ = ["capacitors_table", "loads_table"]

_EXPONENTS = {
    1: (0.0, 0.0), 2: (2.0, 2.0), 3: (0.0, 2.0), 5: (1.0, 1.0), 6: (0.0, 0.0), 7: (0.0, 2.0),
}  # fmt: skip
"""OpenDSS's models by number: ``p = p0·|v|^a``, ``q = q0·|v|^b``. 6 and 7 are 1 and 3 whose
reactive power no multiplier moves, and there is none here."""
_CVR, _ZIP = 4, 8  # exponents, or ZIP shares, of the load's own


def loads_table(reading: Reading) -> Loads:
    """Read every load at its nominal demand, shared equally by its slots."""
    context = reading.context
    ids, buses, models, connections = [], [], [], []
    rows: list[tuple[list[int], float, float, float]] = []
    for name in elements_of(context, "Loads"):
        placed = _placed(reading, f"Load.{name}", bool(context.Loads.IsDelta()), context.Loads.kV())
        if placed is None:
            continue
        bus, connection, slots, rated = placed
        ids.append(name)
        buses.append(bus)
        models.append(_model(reading))
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
        if in_series(context):
            continue
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
    p, q = np.zeros((len(ids), 3)), np.zeros((len(ids), 3))
    for k, (slots, q_kvar) in enumerate(rows):
        q[k, slots] = q_kvar / len(slots)
    for name, row in (*_reactors(reading), *_magnetising(reading)):
        ids.append(name)
        buses.append(row[0])
        connections.append(row[1])
        rated_pu.append(1.0)
        p, q = np.vstack([p, row[2].real]), np.vstack([q, -row[2].imag])
    return Capacitors(
        ids=tuple(ids),
        bus=np.array(buses, np.int64),
        connection=tuple(connections),
        q_kvar=q,
        v_rated_pu=np.array(rated_pu),
        p_kw=p,
    )


_Shunt = tuple[int, Connection, NDArray[np.complex128]]  # bus, connection, kVA per slot at 1 pu


def _reactors(reading: Reading) -> Iterator[tuple[str, _Shunt]]:
    """Reactors that are no line: from a phase to earth, or from a phase to another."""
    context = reading.context
    for name in elements_of(context, "Reactors"):
        if in_series(context) or context.CktElement.IsOpen(1, 0):
            continue
        owner, Y = f"Reactor.{name}", active_admittance(context)
        ends = active_terminals(context)
        nodes = [(bus, node) for bus, own in ends for node in own]
        if not any(node for _, node in nodes):
            continue  # from a neutral to earth, or to another's neutral
        shunt = _shunt(reading, nodes, Y)
        if shunt is None:
            shown = " and ".join(f"{bus}{own}" for bus, own in ends)
            reading.fault(
                owner, f"joins {shown}; a line's place, a phase to earth, or phases can be held"
            )
            continue
        yield f"reactor.{name}", shunt


def _shunt(
    reading: Reading, nodes: Sequence[tuple[str, int]], Y: NDArray[np.complex128]
) -> _Shunt | None:
    """Admittance of an element on phases of one bus and earth, slot by slot; None if it is not."""
    held = [(bus, node, k) for k, (bus, node) in enumerate(nodes) if node]
    buses = {bus for bus, _, _ in held}
    if len(buses) != 1 or any(node > 3 for _, node, _ in held):
        return None
    total = np.zeros((3, 3), complex)
    for _, m, row in held:
        for _, n, column in held:
            total[m - 1, n - 1] += Y[row, column]
    bus = reading.buses[buses.pop()]
    coupled = total - np.diag(np.diag(total))
    if not np.abs(coupled).max() > 1e-9 * np.abs(total).max():
        volts = 1e3 * reading.base_kv[bus]
        return bus, Connection.WYE, np.conj(np.diag(total)) * volts**2 / 1e3
    if np.abs(total.sum(axis=1)).max() > 1e-6 * np.abs(total).max():
        return None  # both between phases and to earth
    volts = 1e3 * reading.base_kv[bus] * reading.pair_base[bus]
    pairs = -np.array([total[k, (k + 1) % 3] for k in range(3)])
    return bus, Connection.DELTA, np.conj(pairs) * volts**2 / 1e3


def _magnetising(reading: Reading) -> Iterator[tuple[str, _Shunt]]:
    """Core losses and magnetising currents: OpenDSS puts both across the second winding."""
    context = reading.context
    units, names = context.Transformers, list(reading.buses)
    for name in elements_of(context, "Transformers"):
        values = context.to_dss_python().ActiveCircuit.ActiveCktElement.Properties
        loss, current = (float(values(key).Val) / 100.0 for key in ("%noloadloss", "%imag"))
        if not (loss or current):
            continue
        units.Wdg(2)
        bus, nodes = reading.terminal(1)
        phases, delta = int(context.CktElement.NumPhases()), bool(units.IsDelta())
        ends = [(nodes[k], nodes[(k + 1) % len(nodes)]) for k in range(phases)]
        if not delta or phases == 1:
            ends = [(nodes[k], nodes[-1]) for k in range(phases)]
        one = complex(loss, -current) * float(units.kVA()) / phases  # siemens at 1 kV² a winding
        across = float(units.kV()) * float(units.Tap())
        one /= (across if delta or phases == 1 else across / np.sqrt(3.0)) ** 2
        Y = np.zeros((4, 4), complex)
        for plus, minus in ends:
            if max(plus, minus) > 3:
                break  # its neutral is a fault of its own
            Y[np.ix_((plus, minus), (plus, minus))] += one / 1e3 * np.array([[1, -1], [-1, 1]])
        bus_name = names[bus]
        shunt = _shunt(reading, [(bus_name, node) for node in range(4)], Y)
        if shunt is not None:
            yield f"transformer.{name}", shunt


def _placed(
    reading: Reading, owner: str, delta: bool, rated_kv: float
) -> tuple[int, Connection, list[int], float] | None:
    """Bus, connection, slots and rated slot voltage (pu) of the active shunt element."""
    bus, nodes = reading.terminal(0)
    count = int(reading.context.CktElement.NumPhases())
    slots: list[int] | None = None
    if count == 1 and len(nodes) > 1 and pair_slot(nodes[0], nodes[1]) is not None:
        slots, delta = _pairs(nodes, 1), True  # a single-phase load between two phases
    elif count == 1 and len(nodes) > 1 and nodes[0] in {1, 2, 3} and nodes[1] == 0:
        slots, delta = [nodes[0] - 1], False  # whatever it is called, a phase to earth
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
    base = reading.base_kv[bus] * (reading.pair_base[bus, slots[0]] if delta else 1.0) or np.nan
    return bus, Connection.DELTA if delta else Connection.WYE, slots, float(across / base)


def _pairs(nodes: tuple[int, ...], count: int) -> list[int] | None:
    """Slots of a delta of one, two (open) or three pairs on the nodes, in their order."""
    around: list[Any] = [
        pair_slot(nodes[k], nodes[(k + 1) % len(nodes)]) for k in range(min(count, len(nodes)))
    ]
    return None if None in around or len(set(around)) < count else around


def _model(reading: Reading) -> LoadModel:
    """Model of the active load; OpenDSS itself refuses a number that it does not know."""
    loads = reading.context.Loads
    number = int(loads.Model())
    if number == _CVR:
        return LoadModel.exponential(float(loads.CVRwatts()), float(loads.CVRvars()))
    if number == _ZIP:
        shares = [float(share) for share in loads.ZipV()]
        return LoadModel.polynomial(shares[:3], shares[3:6])
    return LoadModel.exponential(*_EXPONENTS[number])
