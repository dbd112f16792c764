"""The only door to HiGHS: what a search ended with, found and proved, as separate facts.

`solve_arrays` takes a program as arrays; `optimizer.solver.pyomo_model` makes them of a Pyomo
model. A program that is solved again and again with other bounds is kept alive by
`optimizer.solver.solve_again.LinearProgram`.

A time limit is never read as infeasibility, nor as a solution: an `Answer` says why the run
ended, what the incumbent costs (``inf`` without one) and what nothing can beat (``-inf``
without a proof).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from time import perf_counter
from typing import Any

import highspy
import numpy as np
from gridproof.optimizer.solver.interrupt import run_highs
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.proof import Termination
from scipy import sparse

__all__ = ["Answer", "Arrays", "load", "solve_arrays"]

_STATUS = highspy.HighsModelStatus
_TERMINATION = {
    _STATUS.kOptimal: Termination.OPTIMAL,
    _STATUS.kInfeasible: Termination.INFEASIBLE,
    _STATUS.kObjectiveBound: Termination.INFEASIBLE,
    _STATUS.kModelEmpty: Termination.OPTIMAL,
    _STATUS.kTimeLimit: Termination.TIME_LIMIT,
    _STATUS.kInterrupt: Termination.TIME_LIMIT,
    _STATUS.kIterationLimit: Termination.ITERATION_LIMIT,
    _STATUS.kSolutionLimit: Termination.ITERATION_LIMIT,
}
_FEASIBLE = 2  # HiGHS' kSolutionStatusFeasible
_INTERRUPTS = (
    highspy.cb.HighsCallbackType.kCallbackMipInterrupt,
    highspy.cb.HighsCallbackType.kCallbackSimplexInterrupt,
    highspy.cb.HighsCallbackType.kCallbackIpmInterrupt,
)
_PROBING, _ENUMERATION = 1 << 15, 1 << 16  # of HiGHS' presolve_rule_off
_LEAST_SECONDS = 1e-3  # HiGHS reads a non-positive limit as an error


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What one run of HiGHS ended with.

    Attributes
    ----------
    termination
        Why it ended; says nothing of what was found.
    incumbent
        Objective of the best solution found, ``inf`` if there is none.
    bound
        No solution costs less, ``-inf`` if nothing is known.
    seconds
        Wall time, compilation included where a model was compiled.
    """

    termination: Termination
    incumbent: float
    bound: float
    seconds: float

    @property
    def found(self) -> bool:
        """Whether there is a solution to read."""
        return bool(np.isfinite(self.incumbent))

    @property
    def gap(self) -> float:
        """``(incumbent - bound) / max(1, |incumbent|)``; ``inf`` without both."""
        if not (np.isfinite(self.incumbent) and np.isfinite(self.bound)):
            return float("inf")
        return max(0.0, self.incumbent - self.bound) / max(1.0, abs(self.incumbent))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Arrays:
    """``min cᵀx + c₀`` over ``row_lower ≤ A x ≤ row_upper``, ``lower ≤ x ≤ upper``.

    Attributes
    ----------
    variables
        The Pyomo variable of each column (empty if the arrays were made by hand).
    integer
        (column,) true where a column must be whole.
    """

    cost: FloatArray
    constant: float
    matrix: sparse.csc_array
    row_lower: FloatArray
    row_upper: FloatArray
    lower: FloatArray
    upper: FloatArray
    integer: BoolArray
    variables: tuple[Any, ...] = ()


def solve_arrays(
    arrays: Arrays,
    *,
    gap: float = 1e-6,
    time_limit_s: float = 600.0,
    start: FloatArray | None = None,
    below: float = np.inf,
    tolerance: float = 1e-7,
    options: Mapping[str, bool | int | float | str] | None = None,
) -> tuple[Answer, FloatArray]:
    """Solve a program given as arrays.

    Parameters
    ----------
    gap
        Relative gap at which a mixed-integer search may end.
    time_limit_s
        Wall time.
    start
        (column,) a starting point; only finite entries of integer columns are offered.
    below
        A mixed-integer search looks for nothing that costs as much: its bound is at most this, and
        ``INFEASIBLE`` then says that nothing costs less. A solution may come up that does cost as
        much; it is one all the same.
    tolerance
        How far a row or a reduced cost may be off.
    options
        Further options of HiGHS by name; how it searches, not what for.

    Returns
    -------
    tuple of Answer and ndarray of shape (column,)
        The values are NaN where nothing was found.

    Raises
    ------
    SolverError
        If HiGHS ended with neither an answer nor a proof nor a limit.
    """
    began = perf_counter()
    highs = load(arrays)
    highs.setOptionValue("mip_rel_gap", gap)
    highs.setOptionValue("mip_abs_gap", 1e-9)
    highs.setOptionValue("primal_feasibility_tolerance", tolerance)
    highs.setOptionValue("dual_feasibility_tolerance", tolerance)
    for name, value in (options or {}).items():
        highs.setOptionValue(name, value)
    if start is not None:
        _offer_start(highs, arrays, start)
    whole = bool(arrays.integer.any())
    if whole and np.isfinite(below):
        highs.setOptionValue("objective_bound", below)
    highs.setOptionValue("time_limit", max(_LEAST_SECONDS, time_limit_s))
    run_highs(highs, _INTERRUPTS)
    status = highs.getModelStatus()
    if status not in _TERMINATION:
        status = _without_presolve(highs)
    if status == _STATUS.kInfeasible and whole and highs.getInfo().mip_node_count <= 0:
        status = _second_opinion(highs, time_limit_s - (perf_counter() - began))
    info = highs.getInfo()
    empty = status == _STATUS.kModelEmpty  # no columns: the constant is the answer
    found = empty or (info.primal_solution_status == _FEASIBLE and status != _STATUS.kInfeasible)
    values = np.full(len(arrays.cost), np.nan)
    if found:
        values = np.asarray(highs.getSolution().col_value, dtype=float)
    incumbent = float(info.objective_function_value) if found else np.inf
    if empty:
        incumbent = arrays.constant
    answer = Answer(
        termination=_TERMINATION[status],
        incumbent=incumbent,
        # what HiGHS gives up for costing too much it does not count into its own bound
        bound=min(
            _bound(status, incumbent, float(info.mip_dual_bound) if whole else None),
            below if whole else np.inf,
        ),
        seconds=perf_counter() - began,
    )
    return answer, values


def _bound(status: Any, incumbent: float, dual_bound: float | None) -> float:
    if status == _STATUS.kInfeasible:
        return float("inf")
    if dual_bound is not None:
        return min(dual_bound, incumbent) if np.isfinite(dual_bound) else -np.inf
    return incumbent if status in (_STATUS.kOptimal, _STATUS.kModelEmpty) else -np.inf


def _without_presolve(highs: Any) -> Any:
    """Presolve may end with "infeasible or unbounded"; the plain run says which."""
    highs.setOptionValue("presolve", "off")
    run_highs(highs, _INTERRUPTS)
    status = highs.getModelStatus()
    if status not in _TERMINATION:
        raise SolverError(
            f"HiGHS ended with {highs.modelStatusToString(status)!r}: neither an answer, a proof "
            "nor a limit; look at the scale of the scenario's numbers"
        )
    return status


def _second_opinion(highs: Any, time_limit_s: float) -> Any:
    """Ask again what presolve alone called infeasible: that is a proof only if both say so.

    On a feeder of 8 500 nodes HiGHS 1.15.1 took a model with a known solution for infeasible by
    *probing* and *enumeration* of presolve, which are left out here. A solution is one whoever
    found it; where the second run comes to no end, nothing is proven.
    """
    highs.setOptionValue("presolve_rule_off", _PROBING | _ENUMERATION)
    highs.setOptionValue("time_limit", max(_LEAST_SECONDS, time_limit_s))
    highs.clearSolver()
    run_highs(highs, _INTERRUPTS)
    status = highs.getModelStatus()
    return status if status in _TERMINATION else _without_presolve(highs)


def load(arrays: Arrays) -> Any:
    """Return HiGHS with a program in it."""
    lp = highspy.HighsLp()
    rows, columns = arrays.matrix.shape
    lp.num_row_, lp.num_col_ = rows, columns
    lp.col_cost_, lp.offset_ = arrays.cost, arrays.constant
    lp.col_lower_, lp.col_upper_ = arrays.lower, arrays.upper
    lp.row_lower_, lp.row_upper_ = arrays.row_lower, arrays.row_upper
    lp.a_matrix_.format_ = highspy.MatrixFormat.kColwise
    lp.a_matrix_.num_row_, lp.a_matrix_.num_col_ = rows, columns
    lp.a_matrix_.start_ = np.asarray(arrays.matrix.indptr, dtype=np.int32)
    lp.a_matrix_.index_ = np.asarray(arrays.matrix.indices, dtype=np.int32)
    lp.a_matrix_.value_ = np.asarray(arrays.matrix.data, dtype=float)
    if arrays.integer.any():
        kinds = highspy.HighsVarType
        lp.integrality_ = [kinds.kInteger if i else kinds.kContinuous for i in arrays.integer]
    highs = highspy.Highs()
    highs.setOptionValue("output_flag", False)
    if highs.passModel(lp) == highspy.HighsStatus.kError:
        raise SolverError(
            f"HiGHS refused a model of {rows} rows and {columns} columns; a coefficient is not "
            "finite or a bound is crossed"
        )
    return highs


def _offer_start(highs: Any, arrays: Arrays, start: FloatArray) -> None:
    known = np.flatnonzero(arrays.integer & np.isfinite(start))
    if len(known):
        highs.setSolution(len(known), known.astype(np.int32), np.round(start[known]))
