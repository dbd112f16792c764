"""The unknowns of the linear model of one switch state, and the entries put on them.

Which lines conduct, which units are live, where each unknown stands in the system, and what
more than one kind of equation asks of a unit.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.banks import OpenDelta
from gridproof.scenarios.feeder import Connection, Feeder
from gridproof.scenarios.lindist import DELTA_ACTIVE, DELTA_REACTIVE, pair_shares
from gridproof.scenarios.zero_sequence import unit_maps
from numpy.typing import NDArray

__all__ = ["KVA_PER_UNIT", "Unknowns"]

KVA_PER_UNIT = 1000.0


class Unknowns:
    """Places of ``w``, ``p`` and ``q`` in one system, and its matrix, entry by entry.

    Parameters
    ----------
    feeder, closed, live, held
        As `simulator.linear.network.LinearNetwork` has them.

    Attributes
    ----------
    placed
        How many unknowns have their place: the position of whatever comes next.
    """

    def __init__(
        self,
        feeder: Feeder,
        closed: BoolArray,
        live: BoolArray,
        held: Sequence[tuple[int, int]],
    ) -> None:
        self.feeder, self.live = feeder, live
        self.node = np.full(live.shape, -1)
        self.node[live] = np.arange(int(live.sum()))
        self.nodes = int(live.sum())
        self.base_kv = feeder.buses.base_kv
        self._turned, self._phasor = feeder.buses.turned, feeder.buses.phasor
        self.lines = [
            int(k) for k in np.flatnonzero(closed) if live[feeder.lines.from_bus[k]].any()
        ]
        self.units = [
            k
            for k in range(len(feeder.transformers.ids))
            if live[feeder.transformers.from_bus[k]].any()
        ]
        self.held = [(bus, phase) for bus, phase in held if live[bus, phase]]
        self._rows: list[IntArray] = []
        self._columns: list[IntArray] = []
        self._values: list[FloatArray] = []
        self._maps = unit_maps(feeder)
        self.placed = self._place()

    def _place(self) -> int:
        """Give every unknown its position; return the first that is free."""
        lines, units = self.feeder.lines, self.feeder.transformers
        top = self.nodes
        self.line_p = np.full((len(lines.ids), 3), -1)
        self.line_q = self.line_p.copy()
        for k in self.lines:
            carried = np.flatnonzero(lines.phases[k] & self.live[lines.from_bus[k]])
            self.line_p[k, carried] = top + np.arange(len(carried))
            self.line_q[k, carried] = top + len(carried) + np.arange(len(carried))
            top += 2 * len(carried)
        self.unit_p = np.full((len(units.ids), 3), -1)
        self.unit_q = self.unit_p.copy()
        for k in self.units:
            slots = np.flatnonzero(units.windings[k])
            self.unit_p[k, slots] = top + np.arange(len(slots))
            self.unit_q[k, slots] = top + len(slots) + np.arange(len(slots))
            top += 2 * len(slots)
        count = len(self.held)
        self.held_p = top + np.arange(count)
        self.held_q = top + count + np.arange(count)
        return top + 2 * count

    def phasor_at(self, bus: int) -> NDArray[np.complex128] | None:
        """Nominal voltages of a bus's slots; None where they are balanced phases."""
        return self._phasor[bus] if self._turned[bus] else None

    def pair_shares_at(self, bus: int) -> tuple[FloatArray, FloatArray]:
        """Return the maps of a pair's power onto the slots of a bus."""
        phasor = self.phasor_at(bus)
        return (DELTA_ACTIVE, DELTA_REACTIVE) if phasor is None else pair_shares(phasor)

    def put(self, rows: object, columns: object, values: object) -> None:
        """Put entries of the matrix; shapes are broadcast against each other."""
        row, column, value = np.broadcast_arrays(
            np.asarray(rows, np.int64), np.asarray(columns, np.int64), np.asarray(values, float)
        )
        self._rows.append(row.ravel())
        self._columns.append(column.ravel())
        self._values.append(value.ravel())

    def open_delta_drops(
        self, bank: OpenDelta
    ) -> Iterator[tuple[tuple[int, int], int, tuple[float, float]]]:
        """Each unit's ``p`` and ``q``, its outer phase, and the impedance they meet there."""
        for k in bank.units:
            slot = int(np.flatnonzero(self.feeder.transformers.windings[k])[0])
            outer = slot if slot != bank.shared else (slot + 1) % 3
            maps = self._maps[k]
            r, x = (3.0 * z for z in self.winding_impedance(k))  # a pair's ohm on a phase's base
            active, reactive = maps.from_active[outer, 0], maps.from_reactive[outer, 0]
            yield (
                (int(self.unit_p[k, slot]), int(self.unit_q[k, slot])),
                outer,
                (r * active - x * reactive, r * reactive + x * active),
            )

    def winding_impedance(self, k: int) -> tuple[float, float]:
        """Series impedance of one winding, per unit of 1 MVA and the from bus's base."""
        units = self.feeder.transformers
        service = units.primary[k] >= 0  # whose legs share one winding
        count = 1 if service else int(units.windings[k].sum())
        rated = units.from_kv[k] / self.base_kv[units.from_bus[k]]
        if count > 1 or units.from_connection[k] is Connection.DELTA:
            rated /= np.sqrt(3.0)
        scale = rated**2 * KVA_PER_UNIT * count / units.rating_kva[k]
        return float(units.r_pu[k] * scale), float(units.x_pu[k] * scale)

    def shared_impedance(self, k: int) -> tuple[float, float]:
        """Part of `winding_impedance` that the legs of a service transformer share."""
        units, (r, x) = self.feeder.transformers, self.winding_impedance(k)
        r_pu, x_pu = units.r_shared_pu[k], units.x_shared_pu[k]
        return r * float(r_pu / units.r_pu[k] if r_pu else 0.0), x * float(x_pu / units.x_pu[k])

    def joins_like_phases(self, k: int) -> bool:
        """Whether a unit's windings are written as wye on both sides."""
        maps = self._maps[k]
        service = self.feeder.transformers.primary[k] >= 0
        return not (service or maps.from_reactive.any() or maps.to_reactive.any())
