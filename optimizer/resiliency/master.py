"""The master, (60)-(63): a first stage that answers every realization found so far.

Generators are counted by block and may be parted among its buses, which no plan undercuts; the
rounding is tried by the recourse. What ties are closed is branched on by hand: an LP bound for
every largest set, one search in the best set, and further ones only where a bound leaves room.

A realization alone is a master as small as the first one, and what no plan undercuts there none
undercuts at all: it is searched before any two are joined. Where the best plan known so far costs
no more at every realization held than the best such bound, to half the gap asked for, nothing is
joined; a master of two realizations takes ten times as long as two masters of one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from itertools import combinations
from time import perf_counter

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.decision import Decision, load_mw
from gridproof.optimizer.resiliency.first_stage import FirstStage, add_first_stage
from gridproof.optimizer.resiliency.grid import Grid
from gridproof.optimizer.resiliency.operation import add_operation
from gridproof.optimizer.resiliency.recourse import Recourse
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.solve import Answer, Arrays, solve_arrays
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.proof import Termination
from scipy import sparse

__all__ = ["ResiliencyMaster", "build_master"]

_SEARCH = {
    "mip_heuristic_run_rins": False,
    "mip_heuristic_run_rens": False,
    "mip_heuristic_run_root_reduced_cost": False,
}
"""Searches within searches: each costs more than the tree does here."""

_ALONE = 5.0
"""Of the gap a master is solved to, a tenth of what is asked for: half of that."""


def build_master(
    case: ResiliencyCase, grid: Grid, realizations: list[FloatArray], *, plain: bool = False
) -> tuple[Arrays, FirstStage]:
    """State the first stage with a copy of the second for each realization.

    Parameters
    ----------
    realizations
        (hour, bus) deviations each; at least one.
    plain
        Generators whole at every bus instead of counted by block.
    """
    m = Program()
    stage = add_first_stage(m, case, grid)
    if not plain:
        _count_by_block(m, case, grid, stage)
    worst = m.columns(1, lower=-np.inf, upper=np.inf, name="worst")
    for up in realizations:
        operation = add_operation(m, case, grid, stage, load_mw(case, up))
        if len(realizations) == 1:
            m.fix(worst, 0.0)
            m.charge(operation.columns, operation.cost)
        else:
            row = sparse.csr_array(-operation.cost[None])
            m.rows("(61)", (1.0, worst), (row, operation.columns), lower=0.0)
            m.charge(worst, 1.0)
    arrays = m.arrays()
    if not plain:
        arrays.integer[stage.placed] = False
    return arrays, stage


def _count_by_block(m: Program, case: ResiliencyCase, grid: Grid, stage: FirstStage) -> None:
    at = grid.block_of_bus[case.sites]
    for block in np.unique(at):
        count = m.columns(1, upper=float((at == block).sum()), integer=True, name="placed count")
        own = stage.placed[at == block]
        m.rows("placed count", (sparse.csr_array(np.ones((1, len(own)))), own), (-1.0, count),
               lower=0.0, upper=0.0)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Branch:
    """Ties that may be closed, and what nothing in it costs less than."""

    ties: tuple[int, ...]
    bound: float


class ResiliencyMaster:
    """Column and constraint: the project's master protocol.

    Parameters
    ----------
    recourse
        Says what a plan costs at a realization; one of its own if left out.
    """

    def __init__(
        self, case: ResiliencyCase, grid: Grid, first: FloatArray, recourse: Recourse | None = None
    ) -> None:
        self.case, self.grid = case, grid
        self._held: list[FloatArray] = [first]
        self._recourse = recourse
        self._known: list[Decision] = []
        self._costs: list[list[float]] = []  # of each known plan, by held realization
        self._bound = -np.inf
        self.searches, self.joined = 0, 0

    @property
    def bound(self) -> float:
        """What no plan undercuts, as far as searches have shown."""
        return self._bound

    @property
    def realizations(self) -> int:
        """How many realizations it holds."""
        return len(self._held)

    def add(self, zeta: FloatArray) -> bool:
        """Take in a realization; false if it is already there."""
        up = zeta.reshape(self._held[0].shape)
        if any(np.array_equal(up, one) for one in self._held):
            return False
        self._held.append(up)
        return True

    def solve(self, *, gap: float, time_limit_s: float) -> tuple[Answer, Decision | None]:
        """Find the cheapest first stage for what is held."""
        began = perf_counter()
        answer, found = self._search(self._held[-1:], gap=gap, time_limit_s=time_limit_s)
        self._bound = max(self._bound, answer.bound)
        if found is not None:
            self._known.append(found)
        if len(self._held) == 1:
            return answer, found
        best, cost = self._best_known()
        if not cost - self._bound <= _ALONE * gap * max(1.0, abs(cost)):
            left = time_limit_s - (perf_counter() - began)
            self.joined += 1
            answer, found = self._search(self._held, gap=gap, time_limit_s=max(0.0, left))
            self._bound = max(self._bound, answer.bound)
            if found is not None:
                self._known.append(found)
                best, cost = self._best_known()
        ended = Answer(
            termination=answer.termination,
            incumbent=cost,
            bound=self._bound,
            seconds=perf_counter() - began,
        )
        return ended, best

    def _best_known(self) -> tuple[Decision | None, float]:
        """Return the plan among those found that costs least at its dearest held realization."""
        if self._recourse is None:
            self._recourse = Recourse(self.case, self.grid)
        best, least = None, np.inf
        for k, one in enumerate(self._known):
            if k == len(self._costs):
                self._costs.append([])
            known = self._costs[k]
            if len(known) < len(self._held):
                self._recourse.hold(one)
                known += [self._recourse.operate(up).cost for up in self._held[len(known) :]]
            cost = one.cost(self.case) + max(known)
            if cost < least:
                best, least = one, cost
        return best, least

    def _search(
        self, realizations: list[FloatArray], *, gap: float, time_limit_s: float
    ) -> tuple[Answer, Decision | None]:
        """Find the cheapest first stage for some realizations, tie set by tie set."""
        began = perf_counter()
        arrays, stage = build_master(self.case, self.grid, realizations)
        branches = self._branches(arrays, stage, began + time_limit_s)
        best, point, closed = np.inf, None, []
        ended = Termination.OPTIMAL if branches else Termination.INFEASIBLE
        for branch in branches:
            left = began + time_limit_s - perf_counter()
            if branch.bound >= best - gap * max(1.0, abs(best)) or left <= 0.0:
                closed.append(branch.bound)
                ended = Termination.TIME_LIMIT if left <= 0.0 else ended
                continue
            narrowed = _narrowed(arrays, stage, branch.ties)
            self.searches += 1
            answer, values = solve_arrays(narrowed, gap=gap, time_limit_s=left, options=_SEARCH)
            closed.append(max(answer.bound, branch.bound))
            if answer.termination is not Termination.OPTIMAL:
                ended = answer.termination
            if answer.found:
                cost = float(arrays.cost @ values) + arrays.constant
                if cost < best:
                    best, point = cost, values
        answer = Answer(
            termination=ended,
            incumbent=best,
            bound=min([*closed, best], default=np.inf),
            seconds=perf_counter() - began,
        )
        return answer, None if point is None else self._read(stage, point)

    def _branches(self, arrays: Arrays, stage: FirstStage, until: float) -> list[_Branch]:
        """Every largest set of ties, the most promising first."""
        count = stage.closed.shape[1]
        crews = min(self.case.crews_used, count)
        sets = list(combinations(range(count), crews))
        if len(sets) == 1:
            return [_Branch(ties=sets[0], bound=-np.inf)]
        columns = stage.closed.ravel()
        program, found = LinearProgram(arrays, presolve=True), []
        for ties in sets:
            # each from the last one's basis: the sets differ by a few bounds
            upper = _narrowed(arrays, stage, ties).upper[columns]
            program.set_columns(columns, arrays.lower[columns], upper)
            ended = program.run(time_limit_s=max(0.0, until - perf_counter()))
            if ended is Termination.INFEASIBLE:
                continue
            solved = ended is Termination.OPTIMAL
            found.append(_Branch(ties=ties, bound=program.objective if solved else -np.inf))
        return sorted(found, key=lambda one: one.bound)

    def _read(self, stage: FirstStage, values: FloatArray) -> Decision:
        at = self.grid.block_of_bus[self.case.sites]
        share = values[stage.placed]
        placed = np.zeros(len(share), bool)
        for block in np.unique(at):
            own = np.flatnonzero(at == block)
            count = round(float(share[own].sum()))
            placed[own[np.argsort(-share[own], kind="stable")[:count]]] = True
        return Decision(
            running=values[stage.running] > 0.5,
            closed=values[stage.closed] > 0.5,
            placed=placed,
        )


def _narrowed(arrays: Arrays, stage: FirstStage, ties: tuple[int, ...]) -> Arrays:
    """Keep every other tie open."""
    others: IntArray = np.setdiff1d(np.arange(stage.closed.shape[1]), ties)
    upper = arrays.upper.copy()
    upper[stage.closed[:, others].ravel()] = 0.0
    return replace(arrays, upper=upper)
