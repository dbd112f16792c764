"""LinDist3Flow of one switch state as a factorised sparse system.

Unknowns: ``w`` of every live (bus, phase), ``p`` and ``q`` of every closed line per phase
and of every transformer winding, and what each held bus takes up per phase. Equations:
(16d), (16g)-(16k) and (16l) of the partitioning paper and the held magnitudes; behind them
what deltas and windings side by side leave open (`simulator.linear.zero_sequence`). The
system is square exactly when every live part is a tree per held phase.

Per unit: 1 MVA per phase, line-to-neutral voltage bases.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType

import numpy as np
import scipy.sparse as sp
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.banks import OpenDelta, open_delta_banks
from gridproof.scenarios.errors import EngineError
from gridproof.scenarios.feeder import Connection, Feeder
from gridproof.scenarios.lindist import PAIR_W, line_matrices
from gridproof.scenarios.linearisation import Linearisation
from gridproof.simulator.linear.unknowns import KVA_PER_UNIT, Unknowns
from gridproof.simulator.linear.zero_sequence import ZeroSequence
from numpy.typing import NDArray
from scipy.sparse.linalg import splu

__all__ = ["LinearNetwork"]

ComplexArray = NDArray[np.complex128]


class LinearNetwork(Unknowns):
    """The linear model of a feeder with given lines closed and given buses held.

    Parameters
    ----------
    feeder
        The feeder.
    closed
        (line,) lines that conduct.
    live
        (bus, 3) phases to model; the rest is dead.
    held
        (held, 2) bus and phase of every held magnitude.
    behind
        By bus, resistance and reactance (3, 3), ohm, behind which its magnitudes are held; at
        the bus itself where it is not named.
    at
        The AC state whose constants the equations have; at no current if not given.

    Raises
    ------
    EngineError
        If a live part is not a tree, or no magnitude is held in it.
    """

    def __init__(  # noqa: PLR0917
        self,
        feeder: Feeder,
        closed: BoolArray,
        live: BoolArray,
        held: Sequence[tuple[int, int]],
        behind: Mapping[int, tuple[FloatArray, FloatArray]] = MappingProxyType({}),
        at: Linearisation | None = None,
    ) -> None:
        super().__init__(feeder, closed, live, held)
        self.line_row, self.unit_row = np.full_like(self.line_p, -1), np.full_like(self.unit_p, -1)
        self.zero_sequence = ZeroSequence(self, closed, self.placed)
        self.size = self.zero_sequence.size
        equations = self._voltage_equations()
        equations = self._balance_equations(equations)
        for k, (bus, phase) in enumerate(self.held):
            self.put(equations + k, self.node[bus, phase], 1.0)
        self._source_drops(equations, behind)
        self._held_rows = equations + np.arange(len(self.held))
        self.constant = np.zeros(self.size) if at is None else self._constants(at)
        self._factorise(self.zero_sequence.equations(equations + len(self.held)))

    # ------------------------------------------------------------------------ equations

    def _voltage_equations(self) -> int:
        lines, row = self.feeder.lines, 0
        banks = [bank for bank in open_delta_banks(self.feeder) if bank.jumper in self.lines]
        banked = {k for bank in banks for k in bank.units}
        for bank in banks:
            row = self._bank_equations(bank, row)
        for k in self.lines:
            if any(k == bank.jumper for bank in banks):
                continue
            on = self.line_p[k] >= 0
            here, count = np.flatnonzero(on), int(on.sum())
            base = self.base_kv[lines.from_bus[k]] ** 2  # ohm of one per unit
            Mp, Mq = line_matrices(
                lines.r_ohm[k] / base, lines.x_ohm[k] / base, self.phasor_at(lines.from_bus[k])
            )
            rows = row + np.arange(count)
            self.line_row[k, here] = rows
            self.put(rows, self.node[lines.to_bus[k], here], 1.0)
            self.put(rows, self.node[lines.from_bus[k], here], -1.0)
            self.put(rows[:, None], self.line_p[k, here][None], -Mp[np.ix_(here, here)])
            self.put(rows[:, None], self.line_q[k, here][None], -Mq[np.ix_(here, here)])
            row += count
        units = self.feeder.transformers
        for k in self.units:
            if k in banked:
                continue
            slots = np.flatnonzero(units.windings[k])
            maps = self._maps[k]
            r, x = self.winding_impedance(k)
            rows = row + np.arange(len(slots))
            self.unit_row[k, slots] = rows
            one, other = self.node[units.from_bus[k]], self.node[units.to_bus[k]]
            self._put_where(rows[:, None], one[None], maps.from_w)
            self._put_where(rows[:, None], other[None], -(units.ratio[k] ** 2) * maps.to_w)
            self.put(rows, self.unit_p[k, slots], -2.0 * r)
            self.put(rows, self.unit_q[k, slots], -2.0 * x)
            if units.primary[k] >= 0 and len(slots) > 1:
                r, x = self.shared_impedance(k)
                self.put(rows, self.unit_p[k, slots[::-1]], -2.0 * r)
                self.put(rows, self.unit_q[k, slots[::-1]], -2.0 * x)
            row += len(slots)
        return row

    def _bank_equations(self, bank: OpenDelta, row: int) -> int:
        """Per-phase gains of an open-delta bank; each unit's impedance is in its own line."""
        units = self.feeder.transformers
        i, j = units.from_bus[bank.units[0]], units.to_bus[bank.units[0]]
        rows = row + np.arange(3)
        self.line_row[bank.jumper] = rows
        self.put(rows, self.node[i], 1.0)
        self.put(rows, self.node[j], -(bank.gains**2))
        for (p, q), outer, (r, x) in self.open_delta_drops(bank):
            self.put(row + outer, p, -2.0 * r)
            self.put(row + outer, q, -2.0 * x)
        return row + 3

    def _put_where(self, rows: IntArray, columns: IntArray, values: FloatArray) -> None:
        """Put entries, leaving out those of phases that are not there (column -1)."""
        row, column, value = np.broadcast_arrays(rows, columns, values)
        keep = (column >= 0) & (value != 0.0)
        self.put(row[keep], column[keep], value[keep])

    def _balance_equations(self, row: int) -> int:
        """(16l): what flows in, less what flows out and what capacitors draw, per node."""
        lines, units, buses = self.feeder.lines, self.feeder.transformers, self.nodes
        p_row, q_row = row, row + buses
        for k in self.lines:
            here = np.flatnonzero(self.line_p[k] >= 0)
            for bus, sign in ((lines.from_bus[k], -1.0), (lines.to_bus[k], 1.0)):
                self.put(p_row + self.node[bus, here], self.line_p[k, here], sign)
                self.put(q_row + self.node[bus, here], self.line_q[k, here], sign)
        for k in self.units:
            slots, maps = np.flatnonzero(units.windings[k]), self._maps[k]
            p, q = self.unit_p[k, slots][None], self.unit_q[k, slots][None]
            sides = (
                (units.from_bus[k], maps.from_active, maps.from_reactive, -1.0),
                (units.to_bus[k], maps.to_active, maps.to_reactive, 1.0),
            )
            for bus, active, reactive, sign in sides:
                there = np.flatnonzero(self.node[bus] >= 0)
                at = self.node[bus, there][:, None]
                self.put(p_row + at, p, sign * active[there])
                self.put(p_row + at, q, sign * reactive[there])
                self.put(q_row + at, q, sign * active[there])
                self.put(q_row + at, p, -sign * reactive[there])
        self._capacitors(p_row, q_row)
        for k, (bus, phase) in enumerate(self.held):
            self.put(p_row + self.node[bus, phase], self.held_p[k], 1.0)
            self.put(q_row + self.node[bus, phase], self.held_q[k], 1.0)
        self.zero_sequence.balances(p_row, q_row)
        self._p_row, self._q_row = p_row, q_row
        return row + 2 * buses

    def _capacitors(self, p_row: int, q_row: int) -> None:
        """``p + jq = (g - jb) w``: what a shunt takes and gives rises with its voltage's square."""
        table = self.feeder.capacitors
        for k in range(len(table.ids)):
            at = self.node[table.bus[k]]
            made, used = (
                np.diag(power / KVA_PER_UNIT / table.v_rated_pu[k] ** 2)
                for power in (table.q_kvar[k], table.p_kw[k])
            )
            if table.connection[k] is Connection.WYE:
                p_part, q_part = -used, made
            else:
                active, reactive = self.pair_shares_at(table.bus[k])
                p_part = (reactive @ made - active @ used) @ PAIR_W
                q_part = (active @ made + reactive @ used) @ PAIR_W
            for base, part in ((p_row, p_part), (q_row, q_part)):
                alive = at >= 0
                self._put_where(
                    base + at[alive][:, None], at[alive][None], part[np.ix_(alive, alive)]
                )

    def _source_drops(self, row: int, behind: Mapping[int, tuple[FloatArray, FloatArray]]) -> None:
        """(16d) from behind a source's impedance to its bus: ``w - Mp p - Mq q = w_held``."""
        for bus, ohm in behind.items():
            base = self.base_kv[bus] ** 2  # ohm of one per unit
            Mp, Mq = line_matrices(ohm[0] / base, ohm[1] / base)
            mine = [(k, phase) for k, (at, phase) in enumerate(self.held) if at == bus]
            for k, phase in mine:
                for other, column in mine:
                    self.put(row + k, self.held_p[other], -Mp[phase, column])
                    self.put(row + k, self.held_q[other], -Mq[phase, column])

    # ------------------------------------------------------------------------- AC state

    def _constants(self, at: Linearisation) -> FloatArray:
        """(equation,) what the equations are short of at no current."""
        found = np.zeros(self.size)
        for rows, values in ((self.line_row, at.line_w), (self.unit_row, at.unit_w)):
            found[rows[rows >= 0]] = values[rows >= 0]
        found[self._p_row + np.arange(self.nodes)] = at.lost_p[self.live]
        found[self._q_row + np.arange(self.nodes)] = at.lost_q[self.live]
        for k, (bus, phase) in enumerate(self.held):
            found[self._held_rows[k]] = at.held_w[bus, phase]
        return found

    def short_of(self, unknown: FloatArray, right: FloatArray) -> Linearisation:
        """Return the constants that let the equations hold where they would not.

        Parameters
        ----------
        unknown
            (unknown,) a state; angles and neutrals, which follow from the rest, are left at 0.
        right
            (equation,) what its equations come to, as `right_side` has it.
        """
        assert self.matrix is not None
        short, buses, units = self.matrix @ unknown - right, self.live.shape, self.unit_row.shape
        found = {"line_w": np.zeros(self.line_row.shape), "unit_w": np.zeros(units)}
        for name, rows in (("line_w", self.line_row), ("unit_w", self.unit_row)):
            found[name][rows >= 0] = short[rows[rows >= 0]]
        lost_p, lost_q, held_w = np.zeros((3, *buses))
        lost_p[self.live] = short[self._p_row : self._p_row + self.nodes]
        lost_q[self.live] = short[self._q_row : self._q_row + self.nodes]
        for k, (bus, phase) in enumerate(self.held):
            held_w[bus, phase] = short[self._held_rows[k]]
        return Linearisation(**found, lost_p=lost_p, lost_q=lost_q, held_w=held_w)

    def unit_flows(self, k: int, power: ComplexArray) -> tuple[FloatArray, FloatArray]:
        """(winding,) active and reactive powers that a unit's from side has (3,) at its phases."""
        active, reactive = self._maps[k].from_active, self._maps[k].from_reactive
        both = np.block([[active, reactive], [-reactive, active]])
        told = np.concatenate([power.real, power.imag])
        p, q = np.linalg.lstsq(both, told, rcond=None)[0].reshape(2, -1)
        return p, q

    # ------------------------------------------------------------------------- solution

    def _factorise(self, equations: int) -> None:
        if equations != self.size:
            raise EngineError(
                f"the linear model has {equations} equations for {self.size} unknowns: a live "
                "part holds a loop of closed lines or parallel transformers, or holds no "
                "magnitude; open one switch of each loop"
            )
        self._factors = self.matrix = None
        if not self.size:
            return  # nothing is live
        self.matrix = sp.csc_matrix(
            (
                np.concatenate(self._values),
                (np.concatenate(self._rows), np.concatenate(self._columns)),
            ),
            shape=(self.size, self.size),
        )
        try:
            self._factors = splu(self.matrix)
        except RuntimeError as error:
            raise EngineError(
                "the linear model is singular: a live part holds a loop, or its magnitudes are "
                "held nowhere; audit the plan"
            ) from error

    def solve(self, p_drawn: FloatArray, q_drawn: FloatArray, w_held: FloatArray) -> FloatArray:
        """Solve for all unknowns.

        Parameters
        ----------
        p_drawn, q_drawn
            (node,) net consumption at every live node, per unit.
        w_held
            (held,) squared held magnitudes.
        """
        right = self.right_side(p_drawn, q_drawn, w_held)
        return np.asarray(self._factors.solve(right)) if self._factors is not None else right

    def right_side(
        self, p_drawn: FloatArray, q_drawn: FloatArray, w_held: FloatArray
    ) -> FloatArray:
        """(equation,) what the equations come to; parameters as `solve` has them."""
        right = self.constant.copy()
        right[self._p_row : self._p_row + self.nodes] += p_drawn
        right[self._q_row : self._q_row + self.nodes] += q_drawn
        right[self._held_rows] += w_held
        for row, constant in self.zero_sequence.constants:
            right[row] = constant
        return right
