"""The third level at a fixed first stage: one linear program kept alive while loads move."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.decision import Decision, load_mw
from gridproof.optimizer.resiliency.first_stage import FirstStage
from gridproof.optimizer.resiliency.grid import Grid
from gridproof.optimizer.resiliency.operation import Operation, add_operation
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.solve import Arrays
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.proof import Termination

__all__ = ["Operated", "Recourse", "held_stage"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operated:
    """The cheapest operation at one realization.

    Attributes
    ----------
    cost
        k$, recomputed from the point.
    dual
        (hour, bus) ``g``: k$ per MW that a load rises.
    point
        (column,) values.
    """

    cost: float
    dual: FloatArray
    point: FloatArray


def held_stage(m: Program, case: ResiliencyCase, grid: Grid) -> FirstStage:
    """Add the first stage's columns without rows, to be held at values."""
    hours, chps = case.horizon.hours, len(case.chps.ids)

    def table(count: int) -> IntArray:
        return m.columns(hours * count).reshape(hours, count)

    return FirstStage(
        running=table(chps),
        started=table(chps),
        stopped=table(chps),
        closed=table(len(grid.ties)),
        placed=m.columns(len(case.sites)),
        alive=table(grid.blocks),
    )


class Recourse:
    """Operation of a case, for any first stage and any realization.

    Parameters
    ----------
    spilled_usd_per_kwh
        Price of what load banks take; the model has none.
    """

    def __init__(
        self, case: ResiliencyCase, grid: Grid, *, spilled_usd_per_kwh: float = 0.0
    ) -> None:
        self.case, self.grid = case, grid
        m = Program()
        self.stage = held_stage(m, case, grid)
        nominal = load_mw(case, np.zeros(case.demand.p_kw.shape))
        self.operation: Operation = add_operation(m, case, grid, self.stage, nominal)
        m.charge(self.operation.columns, self.operation.cost)
        if spilled_usd_per_kwh:
            columns = self.operation.spilled.ravel()
            m.charge(columns, np.full(len(columns), spilled_usd_per_kwh))
        self.arrays: Arrays = m.arrays()
        self._program = LinearProgram(self.arrays)
        self._held: Decision | None = None

    def hold(self, decision: Decision) -> None:
        """Fix the first stage."""
        if decision is not self._held:
            columns, values = decision.values(self.case, self.grid, self.stage)
            self._program.set_columns(columns, values, values)
            self._held = decision

    def fix(self, columns: IntArray, values: FloatArray) -> None:
        """Hold columns of the operation at values."""
        told = values.ravel()
        self._program.set_columns(columns.ravel(), told, told)

    def operate(self, up: FloatArray, *, time_limit_s: float = 60.0) -> Operated:
        """Operate at the held first stage.

        Parameters
        ----------
        up
            (hour, bus) deviations, in [0, 1].

        Raises
        ------
        SolverError
            If the program is not solved: there is always an operation that sheds everything,
            unless the voltage band or a rating of the network itself is missed by CHPs alone.
        """
        rows = self.operation.demand.ravel()
        low = load_mw(self.case, up).ravel()
        self._program.set_rows(rows, low, np.full(len(rows), np.inf))
        ended = self._program.run(time_limit_s=time_limit_s)
        if ended is not Termination.OPTIMAL:
            raise SolverError(f"{self.case.name}: the operation at a fixed plan ended as {ended}")
        point = self._program.primal()
        dual = self._program.row_dual()[rows].reshape(up.shape)
        cost = float(self.operation.cost @ point[self.operation.columns])
        return Operated(cost=cost, dual=dual, point=point)
