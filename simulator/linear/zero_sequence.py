"""What magnitudes alone do not fix, for `LinearNetwork`: see `scenarios.zero_sequence`.

Angles stand only where an earthed wye closes a delta, or lines or such banks close a loop, so that
a feeder without one has the system it had.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.banks import open_delta_banks
from gridproof.scenarios.lindist import line_matrices
from gridproof.scenarios.loops import looped_buses
from gridproof.scenarios.turned_loops import bank_directions, looping_banks, roots_of
from gridproof.scenarios.zero_sequence import (
    EarthedBank,
    delta_rings,
    earthed_banks,
    floating_sides,
    galvanic_parts,
    twin_windings,
)
from gridproof.simulator.linear.unknowns import Unknowns

__all__ = ["ZeroSequence"]


class ZeroSequence:
    """Angles, neutral currents and their equations, placed behind a network's own.

    Parameters
    ----------
    network
        The network, its own unknowns placed.
    closed
        (line,) lines that conduct.
    first
        Position of the first unknown of this kind.
    """

    def __init__(self, network: Unknowns, closed: BoolArray, first: int) -> None:
        self._network = network
        feeder, units = network.feeder, set(network.units)
        self._banks = [bank for bank in earthed_banks(feeder) if units.issuperset(bank.units)]
        self._rings = [ring for ring in delta_rings(feeder) if units.issuperset(ring.units)]
        self._twins = [
            twin for twin in twin_windings(feeder) if units >= {twin.first[0], twin.second[0]}
        ]
        self._floating = [
            side
            for side in floating_sides(feeder, closed, [bus for bus, _ in network.held])
            if network.live[side.bus, list(side.phases)].all()
        ]
        part = galvanic_parts(feeder, closed)
        self._part, self._links = part, looping_banks(self._banks, part)
        turned = [bus for bank in self._links for bus in (bank.wye, bank.delta)]
        banked = np.isin(part, part[[*(bank.wye for bank in self._banks), *turned]])
        self._angled = banked | looped_buses(feeder, closed)
        self.angle = np.full(network.live.shape, -1)
        on = network.live & self._angled[:, None]
        self.angle[on] = first + np.arange(int(on.sum()))
        first += int(on.sum())
        anchored = {int(part[bus]) for bus, _ in network.held}
        loose = {int(part[bank.wye]): bank.wye for bank in self._banks}
        self._pins = [
            *(node for node in network.held if self.angle[node] >= 0),
            *((bus, 0) for there, bus in loose.items() if there not in anchored),
            *self._first_of(part, anchored | set(loose)),
        ]
        unearthed = [side for side in self._floating if side.unearthed]
        self.neutral = first + np.arange(2 * len(unearthed)).reshape(-1, 2)
        first += self.neutral.size
        pairs = [(int(part[bank.wye]), int(part[bank.delta])) for bank in self._links]
        roots = roots_of(pairs, sorted(anchored))
        counted = sorted({int(part[bus]) for bus in turned} - roots)
        self._offset = {there: first + k for k, there in enumerate(counted)}
        self.size = first + len(counted)
        self.constants: list[tuple[int, float]] = []

    def _first_of(self, part: IntArray, settled: set[int]) -> Iterator[tuple[int, int]]:
        """Yield a node of each phase of every part in which nothing else says an angle."""
        for there in dict.fromkeys(part[self._angled].tolist()):
            if there not in settled:
                for phase in range(3):
                    at = np.flatnonzero((part == there) & (self.angle[:, phase] >= 0))
                    yield from ((int(bus), phase) for bus in at[:1])

    def equations(self, row: int) -> int:
        """Put every equation that is no balance; return the next row."""
        network = self._network
        for twin in self._twins:
            sign = -1.0 if twin.turned else 1.0
            for (unit, slot), turn in ((twin.first, 1.0), (twin.second, -sign)):
                r, x = network.winding_impedance(unit)
                network.put(row, network.unit_p[unit, slot], turn * x)
                network.put(row, network.unit_q[unit, slot], -turn * r)
            row += 1
        for side in self._floating:
            if side.centre is not None:
                at = list(side.phases)
                network.put(row, network.node[side.bus, at], side.centre[at])
                row += 1
        row = self._along_lines(self._along_units(row))
        for bank in self._banks:
            row = self._close(bank, row)
        for bank in self._links:
            self._link(bank, row)
            row += 1
        for ring in self._rings:
            members, slots = list(ring.units), np.arange(3)
            of_p, of_q, constant = ring.closure(*self._series(members))
            rows = row + np.arange(2)[:, None]
            network.put(rows, network.unit_p[members, slots][None], of_p)
            network.put(rows, network.unit_q[members, slots][None], of_q)
            self.constants += [(row + k, -float(constant[k].sum())) for k in range(2)]
            row += 2
        for node in self._pins:
            network.put(row, self.angle[node], 1.0)
            row += 1
        return row

    def balances(self, p_row: int, q_row: int) -> None:
        """Let the current that finds no way back leave where a part's feeding delta stands."""
        unearthed = [side for side in self._floating if side.unearthed]
        for side, unknowns in zip(unearthed, self.neutral, strict=True):
            at = self._network.node[side.bus, list(side.phases)][:, None]
            for first, block in zip((p_row, q_row), side.current(), strict=True):
                self._network.put(first + at, unknowns[None], block)

    def _along_lines(self, row: int) -> int:
        """``θ_j = θ_i + (Mq p - Mp q)/2``."""
        network = self._network
        lines = network.feeder.lines
        jumpers = {bank.jumper for bank in open_delta_banks(network.feeder)}
        for k in network.lines:
            i, j = int(lines.from_bus[k]), int(lines.to_bus[k])
            here = np.flatnonzero(network.line_p[k] >= 0)
            if not self._angled[i] or k in jumpers:
                continue
            base = network.base_kv[i] ** 2
            Mp, Mq = line_matrices(
                lines.r_ohm[k] / base, lines.x_ohm[k] / base, network.phasor_at(i)
            )
            rows, grid = row + np.arange(len(here)), np.ix_(here, here)
            network.put(rows, self.angle[j, here], 1.0)
            network.put(rows, self.angle[i, here], -1.0)
            network.put(rows[:, None], network.line_p[k, here][None], -Mq[grid] / 2.0)
            network.put(rows[:, None], network.line_q[k, here][None], Mp[grid] / 2.0)
            row += len(here)
        return row

    def _along_units(self, row: int) -> int:
        """``θ_j = θ_i - (x p - r q)`` of units that join like phases; twins say it already."""
        network = self._network
        units, seconds = network.feeder.transformers, {twin.second for twin in self._twins}
        for k in network.units:
            i, j = int(units.from_bus[k]), int(units.to_bus[k])
            if not (network.joins_like_phases(k) and self._angled[i]):
                continue
            r, x = network.winding_impedance(k)
            for slot in np.flatnonzero(units.windings[k]).tolist():
                if (k, slot) in seconds:
                    continue
                network.put(row, self.angle[j, slot], 1.0)
                network.put(row, self.angle[i, slot], -1.0)
                network.put(row, network.unit_p[k, slot], x)
                network.put(row, network.unit_q[k, slot], -r)
                row += 1
        for bank in open_delta_banks(network.feeder):
            i, j = int(units.from_bus[bank.units[0]]), int(units.to_bus[bank.units[0]])
            if bank.jumper in network.lines and self._angled[i]:
                network.put(row + np.arange(3), self.angle[j], 1.0)
                network.put(row + np.arange(3), self.angle[i], -1.0)
                for at, outer, (r, x) in network.open_delta_drops(bank):
                    network.put(row + outer, at[0], x)
                    network.put(row + outer, at[1], -r)
                row += 3
        return row

    def _close(self, bank: EarthedBank, row: int) -> int:
        network, members = self._network, list(bank.units)
        of_w, of_angle, of_p, of_q, constant = bank.closure(*self._series(members))
        slots = np.arange(3)
        columns: tuple[FloatArray, ...] = (
            network.node[bank.wye],
            self.angle[bank.wye],
            network.unit_p[members, slots],
            network.unit_q[members, slots],
        )
        rows = row + np.arange(2)[:, None]
        for column, block in zip(columns, (of_w, of_angle, of_p, of_q), strict=True):
            network.put(rows, column[None], block)
        self.constants += [(row + k, -float(constant[k].sum())) for k in range(2)]
        return row + 2

    def _link(self, bank: EarthedBank, row: int) -> None:
        """Put the mean fall of angles across a bank that stands in a loop."""
        network, members, slots = self._network, list(bank.units), np.arange(3)
        _, r, x = self._series(members)
        turn = bank_directions(bank)
        network.put(row, network.unit_p[members, slots], -turn * x)
        network.put(row, network.unit_q[members, slots], turn * r)
        for bus, sign in ((bank.wye, 1.0), (bank.delta, -1.0)):
            network.put(row, self.angle[bus], sign)
            offset = self._offset.get(int(self._part[bus]))
            if offset is not None:
                network.put(row, offset, -3.0 * sign)

    def _series(self, members: list[int]) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Ratio, resistance and reactance of units."""
        r, x = np.array([self._network.winding_impedance(k) for k in members]).T
        return self._network.feeder.transformers.ratio[members], r, x
