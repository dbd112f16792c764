"""Pyomo models: compiled to arrays, solved, and the incumbent written back.

Apart from `optimizer.solver.solve`, because importing Pyomo takes most of a second, which a
process that only tries a plan need not spend.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.solve import Answer, Arrays, solve_arrays
from gridproof.scenarios.proof import Termination
from pyomo.common.errors import InfeasibleConstraintException
from pyomo.core.expr.numeric_expr import LinearExpression
from pyomo.repn.plugins.standard_form import LinearStandardFormCompiler
from scipy import sparse

__all__ = ["add_program", "compile_model", "solve"]


def add_program(b: Any, program: Program, given: Sequence[Any]) -> None:
    """State a program on a Pyomo block: its columns by family, its rows in ``b.rows``.

    Parameters
    ----------
    b
        Model or block that receives them.
    program
        Columns and rows; costs are not taken over.
    given
        What stands for the first columns: variables that the model has already.
    """
    arrays, stated = program.arrays(), program.terms()
    columns, rows = program.names()
    variables = list(given)
    own: dict[str, list[int]] = {}
    for k in range(len(variables), program.size):
        own.setdefault(columns[k], []).append(k)
    made: dict[int, Any] = {}
    for name, positions in own.items():
        family = pyo.Var(range(len(positions)))
        b.add_component(name, family)
        for variable, k in zip(family.values(), positions, strict=True):
            variable.setlb(_bound(arrays.lower[k]))
            variable.setub(_bound(arrays.upper[k]))
            variable.domain = pyo.Integers if arrays.integer[k] else pyo.Reals
            made[k] = variable
    variables += [made[k] for k in range(len(variables), program.size)]
    b.rows = pyo.Block()
    families = {name: pyo.ConstraintList() for name in dict.fromkeys(rows)}
    for name, family in families.items():
        b.rows.add_component(name, family)
    for k, name in enumerate(rows):
        body = LinearExpression(
            linear_coefs=[value for _, value in stated[k]],
            linear_vars=[variables[column] for column, _ in stated[k]],
        )
        low, high = _bound(arrays.row_lower[k]), _bound(arrays.row_upper[k])
        families[name].add(body == high if low == high else (low, body, high))


def _bound(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None


def compile_model(model: Any) -> Arrays:
    """Turn a Pyomo model with one linear objective into arrays; fixed variables are constants.

    Raises
    ------
    pyomo.common.errors.InfeasibleConstraintException
        If a constraint without free variables does not hold.
    """
    form = LinearStandardFormCompiler().write(model, mixed_form=True)
    sense = np.array([row.bound_type for row in form.rows], dtype=np.int64)
    rhs = np.asarray(form.rhs, dtype=float)
    bounds = [variable.bounds for variable in form.columns]
    return Arrays(
        cost=np.asarray(form.c.toarray(), dtype=float).ravel(),
        constant=float(np.asarray(form.c_offset).ravel()[0]),
        matrix=sparse.csc_array(form.A),
        row_lower=np.where(sense == 1, -np.inf, rhs),
        row_upper=np.where(sense == -1, np.inf, rhs),
        lower=np.array([-np.inf if low is None else low for low, _ in bounds], dtype=float),
        upper=np.array([np.inf if high is None else high for _, high in bounds], dtype=float),
        integer=np.array([not v.is_continuous() for v in form.columns], dtype=bool),
        variables=tuple(form.columns),
    )


def solve(
    model: Any,
    *,
    gap: float = 1e-6,
    time_limit_s: float = 600.0,
    start: bool = False,
    tolerance: float = 1e-7,
) -> Answer:
    """Solve a Pyomo model and leave the incumbent, if any, in its variables.

    Parameters
    ----------
    model
        A linear or mixed-integer linear Pyomo model with one objective to be minimised.
    gap
        Relative gap at which a mixed-integer search may end.
    time_limit_s
        Wall time, compilation included.
    start
        Whether the integer variables' present values are offered as a starting point.
    tolerance
        How far a row or a reduced cost may be off.

    Raises
    ------
    SolverError
        If HiGHS ended with neither an answer nor a proof nor a limit.
    """
    began = perf_counter()
    try:
        arrays = compile_model(model)
    except InfeasibleConstraintException:
        return Answer(
            termination=Termination.INFEASIBLE,
            incumbent=np.inf,
            bound=np.inf,
            seconds=perf_counter() - began,
        )
    offered = None
    if start:
        known = [np.nan if v.value is None else v.value for v in arrays.variables]
        offered = np.asarray(known, dtype=float)
    left = time_limit_s - (perf_counter() - began)
    answer, values = solve_arrays(
        arrays, gap=gap, time_limit_s=left, start=offered, tolerance=tolerance
    )
    if answer.found:
        for variable, value in zip(arrays.variables, values.tolist(), strict=True):
            variable.set_value(value, skip_validation=True)
    return replace(answer, seconds=perf_counter() - began)
