"""The master, (60)-(63): a first stage that answers every realization found so far.

Generators are counted by block and may be parted among its buses, which no plan undercuts; the
rounding is tried by the recourse. What ties are closed is branched on by hand, see
`optimizer.resiliency.tie_sets`: an LP bound for every largest set, one search in the best set, and
further ones only where a bound leaves room. A search looks for nothing but plans that are cheaper
than the best known one by the gap asked for.

A realization alone is a master as small as the first one, and what no plan undercuts there none
undercuts at all: it is searched before any two are joined. Where the best plan known so far costs
no more at every realization held than the best such bound, to half the gap asked for, nothing is
joined; a master of two realizations takes ten times as long as two masters of one.
"""

from __future__ import annotations

from time import perf_counter

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.decision import Decision, load_mw
from gridproof.optimizer.resiliency.first_stage import FirstStage, add_first_stage
from gridproof.optimizer.resiliency.grid import Grid
from gridproof.optimizer.resiliency.operation import add_operation
from gridproof.optimizer.resiliency.recourse import Recourse
from gridproof.optimizer.resiliency.tie_sets import TieSet, TieSets, decided
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.solve import Answer, Arrays, solve_arrays
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.proof import Termination
from scipy import sparse

__all__ = ["ResiliencyMaster", "build_master"]

_SEARCH = {
    "mip_heuristic_run_rins": False,
    "mip_heuristic_run_rens": False,
    "mip_heuristic_run_root_reduced_cost": False,
    "mip_allow_cut_separation_at_nodes": False,
}
"""Searches within searches, and cuts below the root: each costs more than the tree does here."""

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
        self._recourse = Recourse(case, grid) if recourse is None else recourse
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
        newest = len(self._held) - 1
        answer = self._search(newest, gap=gap, time_limit_s=time_limit_s)
        best, cost = self._best_known(0)
        if newest and not cost - self._bound <= _ALONE * gap * max(1.0, abs(cost)):
            left = time_limit_s - (perf_counter() - began)
            self.joined += 1
            answer = self._search(0, gap=gap, time_limit_s=max(0.0, left))
            best, cost = self._best_known(0)
        ended = Answer(
            termination=answer.termination,
            incumbent=cost,
            bound=self._bound,
            seconds=perf_counter() - began,
        )
        return ended, best

    def _best_known(self, first: int) -> tuple[Decision | None, float]:
        """Return the plan among those known that costs least at its dearest held realization.

        Parameters
        ----------
        first
            Of the realizations that count; earlier ones do not.
        """
        best, least = None, np.inf
        for k, one in enumerate(self._known):
            if k == len(self._costs):
                self._costs.append([])
            known = self._costs[k]
            if len(known) < len(self._held):
                self._recourse.hold(one)
                known += [self._recourse.operate(up).cost for up in self._held[len(known) :]]
            cost = one.cost(self.case) + max(known[first:])
            if cost < least:
                best, least = one, cost
        return best, least

    def _search(self, first: int, *, gap: float, time_limit_s: float) -> Answer:
        """Find the cheapest first stage for realizations from ``first`` on, tie set by tie set.

        What a search ends with is told by the recourse: a plan is dearer than its master says
        where the master parted a generator among buses.
        """
        began = perf_counter()
        until = began + time_limit_s
        arrays, stage = build_master(self.case, self.grid, self._held[first:])
        sets = TieSets(self.case, self.grid, arrays, stage)
        branches = sets.bounded(until)
        if not self._known:
            branches = self._guess(sets, branches, until)
        cost, closed, ended = self._best_known(first)[1], [], Termination.OPTIMAL
        for branch in branches:
            left = until - perf_counter()
            below = cost - gap * max(1.0, abs(cost)) if np.isfinite(cost) else np.inf
            if branch.bound >= below or left <= 0.0:
                closed.append(branch.bound)
                ended = Termination.TIME_LIMIT if left <= 0.0 else ended
                continue
            self.searches += 1
            answer, values = solve_arrays(
                sets.narrowed(branch.ties), gap=gap, time_limit_s=left, below=below, options=_SEARCH
            )
            closed.append(max(answer.bound, branch.bound))
            if answer.termination not in (Termination.OPTIMAL, Termination.INFEASIBLE):
                ended = answer.termination
            if answer.incumbent < cost:
                self._known.append(decided(self.case, self.grid, stage, values))
                cost = self._best_known(first)[1]
        bound = min(closed, default=np.inf)
        self._bound = max(self._bound, bound)
        return Answer(
            termination=Termination.INFEASIBLE if bound == np.inf else ended,
            incumbent=cost,
            bound=bound,
            seconds=perf_counter() - began,
        )

    def _guess(self, sets: TieSets, branches: list[TieSet], until: float) -> list[TieSet]:
        """Try what relaxations round to, as long as their bounds leave room for a better plan.

        Returns
        -------
        list of TieSet
            The sets again, those first whose plans cost least: what is found in them makes the
            searches of the others short.
        """
        worth = np.full(len(branches), np.inf)
        for k, branch in enumerate(branches):
            if branch.bound >= worth.min():
                break
            for one in sets.guessed(branch.ties, until):
                try:
                    self._recourse.hold(one)
                    costs = [self._recourse.operate(up).cost for up in self._held]
                except SolverError:  # ties that join two islands' voltages may admit no operation
                    continue
                self._known.append(one)
                self._costs.append(costs)
                worth[k] = min(worth[k], one.cost(self.case) + max(costs))
        return [branches[k] for k in np.argsort(worth, kind="stable")]
