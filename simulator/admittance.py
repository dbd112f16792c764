"""Node admittances from a feeder's columns alone, three slots a bus."""

from __future__ import annotations

from typing import Any

import numpy as np
from gridproof.scenarios.feeder import Connection, Feeder
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["across", "admittance", "sparse_of", "unit_entries"]


def across(slot: int, connection: Connection, *, back: bool = False) -> list[tuple[int, float]]:
    """Slots and signs of a voltage to earth or between two phases."""
    if connection is Connection.WYE:
        return [(slot, 1.0)]
    return [(slot, 1.0), ((slot + (-1 if back else 1)) % 3, -1.0)]


def sparse_of(entries: list[tuple[int, int, Any]], shape: tuple[int, int]) -> sparse.csc_array:
    """Return a matrix from (row, column, value); entries of one place add up."""
    rows, columns, values = zip(*entries, strict=True) if entries else ((), (), ())
    return sparse.csc_array((values, (rows, columns)), shape=shape)


def admittance(feeder: Feeder) -> sparse.csc_array:
    """(3·bus + slot, 3·bus + slot) siemens."""
    size = 3 * len(feeder.buses.ids)
    entries: list[tuple[int, int, complex]] = []
    _add_lines(feeder, entries)
    _add_units(feeder, entries)
    caps, buses = feeder.capacitors, feeder.buses
    for k, slot in np.argwhere((caps.q_kvar != 0.0) | (caps.p_kw != 0.0)).tolist():
        bus, delta = int(caps.bus[k]), caps.connection[k] is Connection.DELTA
        base = 1e3 * buses.base_kv[bus] * (buses.pair_base[bus, slot] if delta else 1.0)
        y = 1e3 * complex(caps.p_kw[k, slot], caps.q_kvar[k, slot])
        y /= (base * caps.v_rated_pu[k]) ** 2
        _add(entries, [(3 * bus + at, sign) for at, sign in across(slot, caps.connection[k])], y)
    return sparse.csc_array(sparse_of(entries, (size, size)), dtype=complex)


def _add(
    entries: list[tuple[int, int, complex]], ends: list[tuple[int, float]], y: complex
) -> None:
    """Put an admittance across a voltage that is a sum of node voltages."""
    for at, own in ends:
        entries.extend((at, to, y * own * other) for to, other in ends)


def _add_lines(feeder: Feeder, entries: list[tuple[int, int, complex]]) -> None:
    lines = feeder.lines
    for k in np.flatnonzero(lines.closed).tolist():
        on = np.flatnonzero(lines.phases[k])
        at = np.ix_(on, on)
        y = np.linalg.inv(lines.r_ohm[k][at] + 1j * lines.x_ohm[k][at])
        b = 0.5j * lines.b_siemens[k][at]
        i, j = (3 * int(end[k]) + on for end in (lines.from_bus, lines.to_bus))
        for rows, columns, block in ((i, i, y + b), (j, j, y + b), (i, j, -y), (j, i, -y)):
            entries.extend(
                (int(row), int(column), complex(block[m, n]))
                for m, row in enumerate(rows)
                for n, column in enumerate(columns)
            )


def _add_units(feeder: Feeder, entries: list[tuple[int, int, complex]]) -> None:
    for k in range(len(feeder.transformers.ids)):
        entries.extend(unit_entries(feeder, k))


def unit_entries(feeder: Feeder, k: int) -> list[tuple[int, int, complex]]:
    """Admittances of a transformer: row, column and siemens.

    Each channel's voltage is the from side's less ``turns`` times the to side's.
    """
    units, entries = feeder.transformers, list[tuple[int, int, complex]]()
    base, phasor = feeder.buses.base_kv * 1e3, feeder.buses.phasor
    slots = np.flatnonzero(units.windings[k])
    service, ends = (
        bool(units.primary[k] >= 0),
        (units.from_connection[k], units.to_connection[k]),
    )
    i, j = int(units.from_bus[k]), int(units.to_bus[k])
    root = [np.sqrt(3.0) if end is Connection.DELTA else 1.0 for end in ends]
    turns = units.ratio[k] * base[i] * root[0] / (base[j] * root[1])
    count = 1 if service else len(slots)
    rated = units.from_kv[k] * 1e3 / (np.sqrt(3.0) if root[0] == 1.0 and count > 1 else 1.0)
    ohm = rated**2 * count / (units.rating_kva[k] * 1e3)
    own = complex(units.r_pu[k], units.x_pu[k]) * ohm
    shared = complex(units.r_shared_pu[k], units.x_shared_pu[k]) * ohm
    Z = (
        np.full((len(slots), len(slots)), shared)
        if service
        else np.zeros([len(slots)] * 2, complex)
    )
    np.fill_diagonal(Z, own)
    y, back = np.linalg.inv(Z), ends[0] is not ends[1] and bool(units.lagging[k])
    channels = []
    for slot in slots.tolist():
        near = int(units.primary[k]) if service else slot
        sign = _leg_sign(feeder, phasor, k, slot) if service else 1.0
        channels.append(
            [(3 * i + at, one) for at, one in across(near, ends[0], back=back)]
            + [(3 * j + at, -turns * one * sign) for at, one in across(slot, ends[1], back=back)]
        )
    for m, rows in enumerate(channels):
        for n, columns in enumerate(channels):
            entries.extend(
                (at, to, complex(y[m, n] * one * other))
                for at, one in rows
                for to, other in columns
            )
    return entries


def _leg_sign(feeder: Feeder, phasor: NDArray[np.complex128], k: int, slot: int) -> float:
    """Whether a leg of a service transformer stands with or against what feeds it."""
    units = feeder.transformers
    near, at = int(units.primary[k]), int(units.from_bus[k])
    fed = phasor[at, near]
    if units.from_connection[k] is Connection.DELTA:
        fed = fed - phasor[at, (near + 1) % 3]
    return 1.0 if (phasor[units.to_bus[k], slot] * np.conj(fed)).real > 0.0 else -1.0
