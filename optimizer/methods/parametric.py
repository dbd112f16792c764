"""A linear program whose right-hand side is affine in a few parameters.

A basis that is optimal for one parameter is optimal for every parameter at which its basic
solution stays within bounds, and there the solution is affine: a **critical region**. Each
region is kept as that affine map. Likewise a Farkas ray that refutes one parameter refutes,
by one product, every parameter that violates it. So most of a campaign's programs are
answered by products.

Answers are functions of the parameter alone. Regions and rays are learnt once from fixed
parameters, in a fixed order; the first that holds answers; where none does, the program is
solved from the basis of the region that nearly does. Sums run over parameters one by one, so
a row of a batch is rounded as it would be alone.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse

from optimizer.methods.solve import Arrays
from optimizer.methods.solve_again import LinearProgram
from scenarios.arrays import BoolArray, FloatArray, IntArray
from scenarios.errors import SolverError
from scenarios.plan import Termination

__all__ = ["ParametricProgram", "Rows", "Solutions"]

_INSIDE = 1e-9
"""How far a basic variable may lie outside its bounds in a region that still counts."""

_REFUTED = 1e-6
"""Least violation, at a ray of largest entry 1, that refutes."""

_NOISE = 1e-11


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
class Solutions:
    """Answers of a batch: ``found`` (parameter,), ``x`` (parameter, column)."""

    found: BoolArray
    x: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Region:
    """One basis: its columns as affine maps, and guards that are ≥ 0 where it holds."""

    constant: FloatArray
    slope: FloatArray
    guard_constant: FloatArray
    guard_slope: FloatArray
    basis: tuple[IntArray, IntArray]


class ParametricProgram:
    """``min cost @ x`` over `Rows` and column bounds.

    Parameters
    ----------
    cost, lower, upper
        (column,).
    rows
        The rows and how the parameters move them.
    """

    def __init__(
        self, *, cost: FloatArray, lower: FloatArray, upper: FloatArray, rows: Rows
    ) -> None:
        self._rows, self._lower, self._upper = rows, lower, upper
        self._regions: list[_Region] = []
        self._refutations: list[tuple[float, FloatArray]] = []
        self._program = LinearProgram(
            Arrays(
                cost=cost,
                constant=0.0,
                matrix=sparse.csc_array(rows.matrix),
                row_lower=rows.lower,
                row_upper=rows.upper,
                lower=lower,
                upper=upper,
                integer=np.zeros(len(cost), dtype=bool),
            )
        )
        self._all = np.arange(len(rows.lower))

    @property
    def regions(self) -> int:
        """Critical regions learnt."""
        return len(self._regions)

    def learn(self, parameters: FloatArray) -> Solutions:
        """Solve (sample, parameter) programs and keep the regions found, in that order."""
        found = np.zeros(len(parameters), dtype=bool)
        x = np.zeros((len(parameters), len(self._lower)))
        for k, theta in enumerate(parameters):
            known, _ = self._lookup(theta[None])
            if known.found[0] or self._refuted(theta[None])[0]:
                found[k], x[k] = known.found[0], known.x[0]
                continue
            region = self._solve(theta, fresh=False)
            if region is None:
                self._learn_ray()
                continue
            found[k], x[k] = True, _value(region.constant, region.slope, theta[None])[0]
            self._regions.append(region)
        return Solutions(found=found, x=x)

    def answer(self, parameters: FloatArray) -> Solutions:
        """Answer (sample, parameter) programs; found is false where one is infeasible."""
        solutions, nearest = self._lookup(parameters)
        found, x = solutions.found.copy(), solutions.x
        unknown = np.flatnonzero(~found)
        for k in unknown[~self._refuted(parameters[unknown])].tolist():
            start = self._regions[nearest[k]].basis if self._regions else None
            region = self._solve(parameters[k], fresh=True, start=start)
            if region is not None:
                found[k] = True
                x[k] = _value(region.constant, region.slope, parameters[k : k + 1])[0]
        return Solutions(found=found, x=x)

    def _lookup(self, parameters: FloatArray) -> tuple[Solutions, IntArray]:
        """Answer by the first region that holds; elsewhere name the one that nearly does."""
        found = np.zeros(len(parameters), dtype=bool)
        x = np.zeros((len(parameters), len(self._lower)))
        nearest = np.zeros(len(parameters), dtype=np.int64)
        closest = np.full(len(parameters), -np.inf)
        left = np.arange(len(parameters))
        for number, region in enumerate(self._regions):
            if not len(left):
                break
            guards = _value(region.guard_constant, region.guard_slope, parameters[left])
            worst = guards.min(axis=1, initial=np.inf)
            nearer = worst > closest[left]
            nearest[left[nearer]], closest[left[nearer]] = number, worst[nearer]
            here = left[worst >= -_INSIDE]
            x[here], found[here] = _value(region.constant, region.slope, parameters[here]), True
            left = left[worst < -_INSIDE]
        return Solutions(found=found, x=x), nearest

    def _learn_ray(self) -> None:
        """Keep what refuted the last program, as ``constant + slope @ θ > 0``.

        With ``y`` on the rows, ``y @ A x`` is at least the sum of ``y`` times the bounds the
        rows push against, and at most what the column bounds admit.
        """
        ray = self._program.ray()
        if ray is None or not np.abs(ray).max(initial=0.0) > 0.0:
            return
        rows = self._rows
        for y in (ray / np.abs(ray).max(), -ray / np.abs(ray).max()):
            pushed = np.where(y > 0.0, rows.lower, rows.upper)
            reduced = y @ rows.matrix
            admitted = np.where(reduced > 0.0, self._upper, self._lower)
            used, met = np.abs(y) > _NOISE, np.abs(reduced) > _NOISE
            if not (np.isfinite(pushed[used]).all() and np.isfinite(admitted[met]).all()):
                continue
            constant = y[used] @ pushed[used] - reduced[met] @ admitted[met]
            self._refutations.append((float(constant), -(y[used] @ rows.shift[used])))

    def _refuted(self, parameters: FloatArray) -> BoolArray:
        refuted = np.zeros(len(parameters), dtype=bool)
        for constant, slope in self._refutations:
            value = _value(np.array([constant]), slope[None], parameters)[:, 0]
            refuted |= value > _REFUTED
        return refuted

    def _solve(
        self,
        theta: FloatArray,
        *,
        fresh: bool,
        start: tuple[IntArray, IntArray] | None = None,
    ) -> _Region | None:
        moved = _value(np.zeros(len(self._all)), self._rows.shift, theta[None])[0]
        self._program.set_rows(self._all, self._rows.lower - moved, self._rows.upper - moved)
        ended = self._program.run(fresh=fresh, start=start)
        if ended is Termination.INFEASIBLE:
            return None
        if ended is not Termination.OPTIMAL:
            raise SolverError(
                f"a re-dispatch program of {len(self._all)} rows and {len(self._lower)} columns "
                f"ended with {ended}; it is neither solved nor infeasible"
            )
        return self._region(*self._program.basis())

    def _region(self, column: IntArray, row: IntArray) -> _Region:
        """Affine map of the basis that the last run ended with."""
        rows = self._rows
        nonbasic_columns, nonbasic_rows = np.flatnonzero(column != 0), np.flatnonzero(row != 0)
        width = len(column)
        system = np.zeros((width, width))
        system[np.arange(len(nonbasic_columns)), nonbasic_columns] = 1.0
        system[len(nonbasic_columns) :] = rows.matrix[nonbasic_rows]
        held = np.where(column == -1, self._lower, np.where(column == 1, self._upper, 0.0))
        bound = np.where(row == -1, rows.lower, rows.upper)
        right = np.zeros((width, 1 + rows.shift.shape[1]))
        right[: len(nonbasic_columns), 0] = held[nonbasic_columns]
        right[len(nonbasic_columns) :, 0] = bound[nonbasic_rows]
        right[len(nonbasic_columns) :, 1:] = -rows.shift[nonbasic_rows]
        x = np.asarray(np.linalg.solve(system, right), dtype=np.float64)
        basic_columns, basic_rows = np.flatnonzero(column == 0), np.flatnonzero(row == 0)
        activity = rows.matrix[basic_rows] @ x
        activity[:, 1:] += rows.shift[basic_rows]
        values = np.concatenate([x[basic_columns], activity])
        low = np.concatenate([self._lower[basic_columns], rows.lower[basic_rows]])
        high = np.concatenate([self._upper[basic_columns], rows.upper[basic_rows]])
        guards = np.concatenate([values[np.isfinite(low)], -values[np.isfinite(high)]])
        guards[:, 0] -= np.concatenate([low[np.isfinite(low)], -high[np.isfinite(high)]])
        return _Region(
            constant=x[:, 0],
            slope=x[:, 1:],
            guard_constant=guards[:, 0],
            guard_slope=guards[:, 1:],
            basis=(column, row),
        )


def _value(constant: FloatArray, slope: FloatArray, parameters: FloatArray) -> FloatArray:
    """(sample, row) ``constant + slope @ θ``, each sample rounded as if it were alone."""
    value = np.broadcast_to(constant, (len(parameters), len(constant))).copy()
    for k in range(slope.shape[1]):
        value += parameters[:, k, None] * slope[None, :, k]
    return value
