"""A linear program kept alive in HiGHS, so that a new right-hand side costs no rebuild."""

from __future__ import annotations

from typing import Any

import highspy
import numpy as np
from gridproof.optimizer.solver.solve import (
    _LEAST_SECONDS,
    _TERMINATION,
    Arrays,
    _without_presolve,
    load,
)
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.proof import Termination
from numpy.typing import ArrayLike
from scipy import sparse

__all__ = ["LinearProgram"]

_CODES = {
    highspy.HighsBasisStatus.kLower: -1,
    highspy.HighsBasisStatus.kBasic: 0,
    highspy.HighsBasisStatus.kUpper: 1,
    highspy.HighsBasisStatus.kZero: 2,
    highspy.HighsBasisStatus.kNonbasic: 2,
}
_STATUSES = {
    -1: highspy.HighsBasisStatus.kLower,
    0: highspy.HighsBasisStatus.kBasic,
    1: highspy.HighsBasisStatus.kUpper,
    2: highspy.HighsBasisStatus.kZero,
}


def _basis(column: IntArray, row: IntArray) -> Any:
    basis = highspy.HighsBasis()
    basis.col_status = [_STATUSES[s] for s in column.tolist()]
    basis.row_status = [_STATUSES[s] for s in row.tolist()]
    basis.valid = True
    return basis


class LinearProgram:
    """One linear program kept alive in HiGHS while bounds and costs move.

    Parameters
    ----------
    arrays
        The program; its integrality is ignored.
    presolve
        Off by default: a warm basis is worth more on small programs.
    """

    def __init__(self, arrays: Arrays, *, presolve: bool = False) -> None:
        relaxed = np.zeros(len(arrays.cost), dtype=bool)
        self.arrays = arrays
        self._highs = load(
            Arrays(
                cost=arrays.cost,
                constant=arrays.constant,
                matrix=arrays.matrix,
                row_lower=arrays.row_lower,
                row_upper=arrays.row_upper,
                lower=arrays.lower,
                upper=arrays.upper,
                integer=relaxed,
            )
        )
        self._highs.setOptionValue("solver", "simplex")
        self._highs.setOptionValue("threads", 1)
        if not presolve:
            self._highs.setOptionValue("presolve", "off")

    def set_columns(self, index: IntArray, lower: ArrayLike, upper: ArrayLike) -> None:
        """Move the bounds of some columns."""
        where = np.asarray(index, dtype=np.int32)
        low, high = (np.ascontiguousarray(v, dtype=float) for v in (lower, upper))
        self._highs.changeColsBounds(len(where), where, low, high)

    def set_rows(self, index: IntArray, lower: ArrayLike, upper: ArrayLike) -> None:
        """Move the bounds of some rows."""
        where = np.asarray(index, dtype=np.int32)
        low, high = (np.ascontiguousarray(v, dtype=float) for v in (lower, upper))
        self._highs.changeRowsBounds(len(where), where, low, high)

    def set_costs(self, index: IntArray, cost: ArrayLike) -> None:
        """Change the objective coefficients of some columns."""
        where = np.asarray(index, dtype=np.int32)
        self._highs.changeColsCost(len(where), where, np.ascontiguousarray(cost, dtype=float))

    def add_rows(self, rows: FloatArray, lower: ArrayLike, upper: ArrayLike) -> None:
        """Append (row, column) rows with their bounds; the basis is kept."""
        inside = np.abs(rows) > 0.0
        start = np.concatenate([[0], np.cumsum(inside.sum(axis=1))[:-1]]).astype(np.int32)
        low, high = (np.ascontiguousarray(v, dtype=float) for v in (lower, upper))
        at = np.nonzero(inside)
        self._highs.addRows(
            len(rows), low, high, len(at[1]), start, at[1].astype(np.int32), rows[at]
        )

    def add_sparse(self, rows: sparse.csr_array, lower: ArrayLike, upper: ArrayLike) -> None:
        """Append rows given as a sparse matrix over all columns; the basis is kept."""
        low, high = (np.ascontiguousarray(v, dtype=float) for v in (lower, upper))
        start, index = (np.asarray(v, np.int32) for v in (rows.indptr[:-1], rows.indices))
        self._highs.addRows(rows.shape[0], low, high, rows.nnz, start, index, rows.data)

    def set_coefficients(self, row: IntArray, column: IntArray, value: FloatArray) -> None:
        """Change single entries of the matrix."""
        for i, j, v in zip(row.tolist(), column.tolist(), value.tolist(), strict=True):
            self._highs.changeCoeff(i, j, v)

    def run(
        self,
        *,
        time_limit_s: float = 60.0,
        fresh: bool = False,
        start: tuple[IntArray, IntArray] | None = None,
    ) -> Termination:
        """Solve from the basis of the last run.

        Parameters
        ----------
        time_limit_s
            Wall time of this run.
        fresh
            Forget everything first, so that the answer cannot depend on earlier runs.
        start
            Column and row statuses, as `basis` gives them, to start from.

        Returns
        -------
        Termination
            ``OPTIMAL``, ``INFEASIBLE`` or ``TIME_LIMIT``.

        Raises
        ------
        SolverError
            On anything else, after further runs from nothing.
        """
        if fresh:
            self._highs.clearSolver()
        if start is not None:
            self._highs.setBasis(_basis(*start))
        spent = self._highs.getRunTime()  # HiGHS' clock runs on from one run to the next
        self._highs.setOptionValue("time_limit", spent + max(_LEAST_SECONDS, time_limit_s))
        self._highs.run()
        status = self._highs.getModelStatus()
        if status not in _TERMINATION:
            self._highs.clearSolver()
            status = self._anew()
        return _TERMINATION[status]

    def _anew(self) -> Any:
        """Run from nothing; presolved, which starts elsewhere, where the simplex gets lost."""
        try:
            return _without_presolve(self._highs)
        except SolverError:
            self._highs.clearSolver()
            self._highs.setOptionValue("presolve", "on")
            self._highs.run()
            self._highs.setOptionValue("presolve", "off")
            status = self._highs.getModelStatus()
            if status not in _TERMINATION:
                raise
            return status

    @property
    def objective(self) -> float:
        """Objective of the last run."""
        return float(self._highs.getInfo().objective_function_value)

    def primal(self) -> FloatArray:
        """(column,) values of the last run."""
        return np.asarray(self._highs.getSolution().col_value, dtype=float)

    def row_dual(self) -> FloatArray:
        """(row,) duals of the last run."""
        return np.asarray(self._highs.getSolution().row_dual, dtype=float)

    def basis(self) -> tuple[IntArray, IntArray]:
        """(column,) and (row,) statuses: -1 at lower bound, +1 at upper, 0 basic."""
        basis = self._highs.getBasis()
        return (
            np.array([_CODES[s] for s in basis.col_status], dtype=np.int64),
            np.array([_CODES[s] for s in basis.row_status], dtype=np.int64),
        )

    def column_dual(self) -> FloatArray:
        """(column,) reduced costs of the last run."""
        return np.asarray(self._highs.getSolution().col_dual, dtype=float)
