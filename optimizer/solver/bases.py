"""Bases of a linear program whose right-hand side moves, and the step from one to the next.

Every column and every row is a variable here, the row's its activity. A **basis** says which
of them lie on a bound; with ``n`` columns, ``n`` of them do, and fix all others::

    N x = b(θ),     x = N⁻¹ b(θ),     every variable  a_k x = a_k N⁻¹ b(θ)

Costs do not move, so a basis with duals of the right sign is optimal wherever its basic
variables keep their bounds: its **critical region**. Where one does not, the dual simplex
method says which basis comes next, or that there is none; then the same row of the inverse is
a Farkas ray, and refutes every right-hand side that violates that bound. Neither answer
depends on the right-hand side: a step is known once for all.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from numpy.typing import NDArray

__all__ = ["LOST", "PIVOT", "REFUTED", "TIE", "LinearForm", "Region", "Rows", "Statuses"]

Statuses = NDArray[np.int8]
"""(column + row,): -1 at the lower bound, +1 at the upper, 0 basic."""

REFUTED = -1
"""In place of a next region: no right-hand side that violates the bound has a solution."""

LOST = -2
"""In place of a next region: rounding does not let the step be taken."""

PIVOT = 1e-9
"""Least influence of a nonbasic variable on the one that leaves, that counts as any."""

TIE = 1e-12
"""Ratios this close are ties; the larger pivot enters."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Rows ``lower - shift @ θ ≤ matrix @ x ≤ upper - shift @ θ``.

    Attributes
    ----------
    matrix
        (row, column).
    lower, upper
        (row,), infinite where a row has no such bound.
    shift
        (row, parameter).
    """

    matrix: FloatArray
    lower: FloatArray
    upper: FloatArray
    shift: FloatArray

    @staticmethod
    def stack(parts: list[Rows]) -> Rows:
        """Put rows on top of each other."""
        return Rows(
            matrix=np.concatenate([part.matrix for part in parts]),
            lower=np.concatenate([part.lower for part in parts]),
            upper=np.concatenate([part.upper for part in parts]),
            shift=np.concatenate([part.shift for part in parts]),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """One basis, written out.

    Attributes
    ----------
    constant, slope
        (column,) and (column, parameter): ``x(θ)``.
    side, guard, guard_slope
        (guard,), (guard,), (guard, parameter): what must be ≥ 0, and which bound it belongs
        to, ``2·variable`` for a lower one and ``2·variable + 1`` for an upper one.
    """

    constant: FloatArray
    slope: FloatArray
    side: IntArray
    guard: FloatArray
    guard_slope: FloatArray


class LinearForm:
    """``min cost @ x`` over `Rows` and column bounds, as bases see it.

    Parameters
    ----------
    cost, lower, upper
        (column,); every column must be bounded on the side its cost pushes it to.
    rows
        The rows and how the parameters move them.
    reach
        (parameter,) most that each parameter ever is, either way; guards that cannot fail
        within are left out. Infinite where nothing is known.
    """

    def __init__(
        self,
        *,
        cost: FloatArray,
        lower: FloatArray,
        upper: FloatArray,
        rows: Rows,
        reach: FloatArray,
    ) -> None:
        self.cost, self.lower, self.upper, self.rows, self.reach = cost, lower, upper, rows, reach
        self.low = np.concatenate([lower, rows.lower])
        self.high = np.concatenate([upper, rows.upper])
        still = np.zeros((len(cost), rows.shift.shape[1]))
        self.moved = np.concatenate([still, rows.shift])
        self.every = np.concatenate([np.eye(len(cost)), rows.matrix])

    def slack(self) -> Statuses:
        """Return the basis of all rows: optimal but for its bounds."""
        pushed = np.where(self.cost < 0.0, 1, -1)
        pushed = np.where((self.cost == 0.0) & ~np.isfinite(self.lower), 1, pushed)
        at = np.where(pushed == -1, self.lower, self.upper)
        if not np.isfinite(at).all():
            raise ValueError(
                f"column {int(np.flatnonzero(~np.isfinite(at))[0])} has no bound on the side its "
                "cost pushes it to"
            )
        return np.concatenate([pushed, np.zeros(len(self.rows.lower))]).astype(np.int8)

    def region(self, status: Statuses) -> Region:
        """Affine map and guards of a basis; a function of the statuses alone."""
        off, basic = np.flatnonzero(status), np.flatnonzero(status == 0)
        right = np.concatenate([self._bound(status, off)[:, None], -self.moved[off]], axis=1)
        x = self._solve(status, right)
        value = np.concatenate([x, self.rows.matrix @ x])[basic]
        value[:, 1:] += self.moved[basic]
        low, high = np.isfinite(self.low[basic]), np.isfinite(self.high[basic])
        guard = np.concatenate([value[low], -value[high]])
        guard[:, 0] += np.concatenate([-self.low[basic][low], self.high[basic][high]])
        side = np.concatenate([2 * basic[low], 2 * basic[high] + 1])
        kept = self._may_fail(guard)
        return Region(
            constant=x[:, 0],
            slope=x[:, 1:],
            side=side[kept],
            guard=guard[kept, 0],
            guard_slope=guard[kept, 1:],
        )

    def solution(self, status: Statuses, moves: FloatArray) -> FloatArray:
        """(column,) basic solution where every variable's bounds are moved by ``-moves``."""
        off = np.flatnonzero(status)
        return self._solve(status, (self._bound(status, off) - moves[off])[:, None])[:, 0]

    def follow(self, status: Statuses, side: int) -> Statuses | None:
        """Statuses of the next basis where a basic variable violates a bound.

        The ratio test of the dual simplex method: of the nonbasic variables that can move the
        leaving one back, the one whose dual vanishes first enters. None if there is none.
        """
        leaving, at_upper = divmod(side, 2)
        off = np.flatnonzero(status)
        both = np.stack([self.cost, self.every[leaving] * (-1.0 if at_upper else 1.0)], axis=1)
        dual, push = self._solve_transposed(status, both).T
        inward = -status[off].astype(float)
        able = (self.low[off] < self.high[off]) & (push * inward > PIVOT)
        if not able.any():
            return None
        among = np.flatnonzero(able)
        ratio = np.maximum(inward[among] * dual[among], 0.0) / np.abs(push[among])
        tied = among[ratio <= ratio.min() + TIE]
        entering = off[tied[np.abs(push[tied]).argmax()]]
        after = status.copy()
        after[leaving], after[entering] = (1 if at_upper else -1), 0
        return after

    def _solve(self, status: Statuses, right: FloatArray) -> FloatArray:
        """``N⁻¹ right``: columns on a bound first, what is left of the tight rows then."""
        held, free, tight = self._parts(status)
        x = np.zeros((len(self.cost), right.shape[1]))
        x[held] = right[: len(held)]
        matrix = self.rows.matrix[tight]
        left = right[len(held) :] - matrix[:, held] @ right[: len(held)]
        x[free] = np.linalg.solve(matrix[:, free], left)
        return x

    def _solve_transposed(self, status: Statuses, right: FloatArray) -> FloatArray:
        """``N⁻ᵀ right``, in the order of the nonbasic variables."""
        held, free, tight = self._parts(status)
        matrix = self.rows.matrix[tight]
        of_rows = np.linalg.solve(matrix[:, free].T, right[free])
        return np.concatenate([right[held] - matrix[:, held].T @ of_rows, of_rows])

    def _parts(self, status: Statuses) -> tuple[IntArray, IntArray, IntArray]:
        """Columns on a bound, columns in the basis, and as many rows on a bound."""
        column, row = status[: len(self.cost)], status[len(self.cost) :]
        return np.flatnonzero(column), np.flatnonzero(column == 0), np.flatnonzero(row)

    def _bound(self, status: Statuses, off: IntArray) -> FloatArray:
        """Values of the nonbasic variables at θ = 0."""
        return np.where(status[off] < 0, self.low[off], self.high[off])

    def _may_fail(self, guard: FloatArray) -> BoolArray:
        """Tell which (guard, 1 + parameter) can be negative within the parameters' reach."""
        if np.isfinite(self.reach).all():
            return np.asarray(guard[:, 0] < (np.abs(guard[:, 1:]) * self.reach).sum(axis=1))
        with np.errstate(invalid="ignore"):
            swing = np.where(guard[:, 1:] == 0.0, 0.0, np.abs(guard[:, 1:]) * self.reach)
        return np.asarray(guard[:, 0] < swing.sum(axis=1))
