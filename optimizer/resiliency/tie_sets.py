"""Which ties are closed, branched on by hand: bounds of every largest set, and plans guessed.

Sets of ties differ from one another by a few bounds, so a linear program for each starts from the
last one's basis. What it ends with is rounded to plans, which the recourse then says the worth of:
a search that begins with a good one has less to look through, and sets whose bound lies above it
none at all.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from itertools import combinations
from time import perf_counter

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.decision import Decision
from gridproof.optimizer.resiliency.first_stage import FirstStage
from gridproof.optimizer.resiliency.grid import Grid, cycles
from gridproof.optimizer.solver.solve import Arrays
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.proof import Termination

__all__ = ["TieSet", "TieSets", "decided"]

_RUNS = (0.05, 0.2, 0.35, 0.5, 0.65, 0.8, 0.95)
"""A CHP of which a relaxation runs more than so much is run."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class TieSet:
    """Ties that may be closed, and what no plan that closes no other costs less than."""

    ties: tuple[int, ...]
    bound: float


class TieSets:
    """A master, narrowed to sets of ties.

    Parameters
    ----------
    arrays, stage
        As `build_master` states it.
    """

    def __init__(self, case: ResiliencyCase, grid: Grid, arrays: Arrays, stage: FirstStage) -> None:
        self.case, self.grid, self.arrays, self.stage = case, grid, arrays, stage
        self._program = LinearProgram(arrays, presolve=True)
        self._loops = cycles(case, grid)

    def narrowed(self, ties: tuple[int, ...]) -> Arrays:
        """Keep every other tie open."""
        others: IntArray = np.setdiff1d(np.arange(self.stage.closed.shape[1]), ties)
        upper = self.arrays.upper.copy()
        upper[self.stage.closed[:, others].ravel()] = 0.0
        return replace(self.arrays, upper=upper)

    def bounded(self, until: float) -> list[TieSet]:
        """Every largest set, the most promising first; none that admits no plan.

        Parameters
        ----------
        until
            Reading of the performance counter at which to stop: later sets have no bound.
        """
        count = self.stage.closed.shape[1]
        found = []
        for ties in combinations(range(count), min(self.case.crews_used, count)):
            ended = self._relaxed(ties, until)
            if ended is Termination.INFEASIBLE:
                continue
            solved = ended is Termination.OPTIMAL
            found.append(TieSet(ties=ties, bound=self._program.objective if solved else -np.inf))
        return sorted(found, key=lambda one: one.bound)

    def guessed(self, ties: tuple[int, ...], until: float) -> Iterator[Decision]:
        """Round the relaxation of a set to plans that close all of it as soon as can be.

        Of ties that would close a loop the last is left open.
        """
        if self._relaxed(ties, until) is not Termination.OPTIMAL:
            return
        values = self._program.primal()
        closed = np.zeros(self.stage.closed.shape, bool)
        closed[self.grid.first_switched :, self._without_loops(ties)] = True
        at = self.grid.block_of_bus[self.case.sites]
        share = values[self.stage.placed]
        placed = _rounded(share, at, limit=self.case.mobile_used)
        for least in _RUNS:
            running = values[self.stage.running] > least
            yield Decision(running=running, closed=closed, placed=placed)

    def _without_loops(self, ties: tuple[int, ...]) -> list[int]:
        kept: list[int] = []
        for one in ties:
            if not any(set(loop) <= {*kept, one} for loop in self._loops):
                kept.append(one)
        return kept

    def _relaxed(self, ties: tuple[int, ...], until: float) -> Termination:
        columns = self.stage.closed.ravel()
        upper = self.narrowed(ties).upper[columns]
        self._program.set_columns(columns, self.arrays.lower[columns], upper)
        return self._program.run(time_limit_s=max(0.0, until - perf_counter()))


def decided(case: ResiliencyCase, grid: Grid, stage: FirstStage, values: FloatArray) -> Decision:
    """Read a plan off a point of the master; counts of generators go to the buses of most."""
    at = grid.block_of_bus[case.sites]
    return Decision(
        running=values[stage.running] > 0.5,
        closed=values[stage.closed] > 0.5,
        placed=_rounded(values[stage.placed], at, limit=case.mobile_used),
    )


def _rounded(share: FloatArray, block: IntArray, *, limit: int) -> BoolArray:
    """(site,) where generators stand: whole counts by block, the largest remainders rounded up."""
    blocks = np.unique(block)
    count = np.array([share[block == one].sum() for one in blocks])
    whole = np.floor(count + 1e-6).astype(int)
    left = min(limit, round(float(count.sum()))) - int(whole.sum())
    whole[np.argsort(whole - count, kind="stable")[: max(0, left)]] += 1
    placed = np.zeros(len(share), bool)
    for one, most in zip(blocks, whole.tolist(), strict=True):
        own = np.flatnonzero(block == one)
        placed[own[np.argsort(-share[own], kind="stable")[:most]]] = True
    return placed
