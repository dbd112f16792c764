"""A mixed-integer program that presolve takes apart, solved part by part, each proven.

Branching multiplies the gaps of places that have nothing to do with one another. Presolve fixes
what ties them together, and what then is left falls into connected components of its rows and
columns: the least of the whole is the sum of theirs, and so is what nothing can beat.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from time import perf_counter
from typing import Any

import highspy
import numpy as np
from gridproof.optimizer.solver.solve import Answer, Arrays, load, solve_arrays
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.proof import Termination
from scipy import sparse
from scipy.sparse.csgraph import connected_components

__all__ = ["solve_parts"]

_OFF = 1e-6  # that a row, a bound or a whole number may be off after postsolve


def solve_parts(
    arrays: Arrays,
    *,
    gap: float = 1e-6,
    time_limit_s: float = 600.0,
    most: int | None = None,
) -> tuple[Answer, FloatArray] | None:
    """Solve a program part by part.

    Parameters
    ----------
    arrays, gap, time_limit_s
        As of `solve_arrays`.
    most
        Columns that a part may have: where one has more, none is begun.

    Returns
    -------
    tuple of Answer and ndarray of shape (column,), or None
        As of `solve_arrays`: *optimal* if all that the parts leave open is within the gap. None
        where presolve leaves fewer than two parts, one is too large, or no solution of one was
        found: that says nothing of the whole.
    """
    began = perf_counter()
    highs = load(arrays)
    highs.setOptionValue("time_limit", max(1e-3, time_limit_s))
    highs.presolve()
    left = _presolved(highs)

    def remaining_s() -> float:
        return time_limit_s - (perf_counter() - began)

    solved = None if left is None else _each(left, gap, most, remaining_s)
    values = None if solved is None else _postsolved(highs, solved.values)
    if solved is None or values is None or not _keeps(arrays, values):
        return None
    incumbent = float(arrays.cost @ values) + arrays.constant
    answer = Answer(
        termination=Termination.OPTIMAL,
        incumbent=incumbent,
        bound=min(solved.bound, incumbent),
        seconds=perf_counter() - began,
    )
    if answer.gap > gap:
        answer = replace(answer, termination=solved.termination)
    return answer, values


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Solved:
    values: FloatArray
    bound: float
    termination: Termination


def _presolved(highs: Any) -> Arrays | None:
    """Return what presolve leaves; None where it leaves nothing, or says something else."""
    if highs.getModelPresolveStatus() != highspy.HighsPresolveStatus.kReduced:
        return None
    lp = highs.getPresolvedLp()
    rows, columns = lp.num_row_, lp.num_col_
    matrix = lp.a_matrix_
    told = np.array(matrix.value_), np.array(matrix.index_), np.array(matrix.start_)
    by_row = matrix.format_ == highspy.MatrixFormat.kRowwise
    made = sparse.csr_array if by_row else sparse.csc_array
    integer = np.array([kind != highspy.HighsVarType.kContinuous for kind in lp.integrality_], bool)
    return Arrays(
        cost=np.array(lp.col_cost_, float),
        constant=float(lp.offset_),
        matrix=sparse.csc_array(made(told, shape=(rows, columns))),
        row_lower=np.array(lp.row_lower_, float),
        row_upper=np.array(lp.row_upper_, float),
        lower=np.array(lp.col_lower_, float),
        upper=np.array(lp.col_upper_, float),
        integer=integer if len(integer) else np.zeros(columns, bool),
    )


def _components(left: Arrays) -> list[tuple[IntArray, IntArray]]:
    """Rows and columns of each part, the smallest first; rows without a column belong to none."""
    rows = left.matrix.shape[0]
    joined = sparse.block_array([[None, left.matrix], [left.matrix.T, None]])
    count, label = connected_components(joined, directed=False)
    parts = [
        (np.flatnonzero(label[:rows] == k), np.flatnonzero(label[rows:] == k)) for k in range(count)
    ]
    return sorted((part for part in parts if len(part[1])), key=lambda part: len(part[1]))


def _each(
    left: Arrays, gap: float, most: int | None, remaining_s: Callable[[], float]
) -> _Solved | None:
    """Solve the parts one after another; None if one has no solution, or there is but one.

    What each may leave open of the gap is its share of what those before have left; the largest
    come last, and have what time is left.
    """
    parts = _components(left)
    if len(parts) < 2 or (most is not None and len(parts[-1][1]) > most):
        return None
    values, bound, ended = np.zeros(len(left.cost)), left.constant, Termination.OPTIMAL
    open_still = gap * max(1.0, abs(left.constant))
    by_row = sparse.csr_array(left.matrix)
    for k, (rows, columns) in enumerate(parts):
        part = Arrays(
            cost=left.cost[columns],
            constant=0.0,
            matrix=sparse.csc_array(by_row[rows][:, columns]),
            row_lower=left.row_lower[rows],
            row_upper=left.row_upper[rows],
            lower=left.lower[columns],
            upper=left.upper[columns],
            integer=left.integer[columns],
        )
        allowed = open_still / (len(parts) - k)
        answer, found = solve_arrays(
            part, gap=0.0, time_limit_s=remaining_s(), options={"mip_abs_gap": allowed}
        )
        if not answer.found:
            return None
        if answer.termination is not Termination.OPTIMAL:
            ended = answer.termination
        values[columns] = found
        bound += answer.bound
        open_still = max(0.0, open_still - (answer.incumbent - answer.bound))
    return _Solved(values=values, bound=bound, termination=ended)


def _postsolved(highs: Any, values: FloatArray) -> FloatArray | None:
    solution = highspy.HighsSolution()
    solution.col_value, solution.value_valid = values.tolist(), True
    if highs.postsolve(solution) == highspy.HighsStatus.kError:
        return None
    return np.asarray(highs.getSolution().col_value, float)


def _keeps(arrays: Arrays, values: FloatArray) -> bool:
    """Whether values are a solution of the program as it was stated."""
    if len(values) != len(arrays.cost):
        return False
    active = arrays.matrix @ values
    off = [
        arrays.row_lower - active,
        active - arrays.row_upper,
        arrays.lower - values,
        values - arrays.upper,
        np.abs(values - np.round(values))[arrays.integer],
    ]
    return all(part.max(initial=0.0) <= _OFF for part in off)
