"""The second level: loads of the budgeted set that make the operation dearest, (64)-(70).

Two numbers are kept apart. *Worst found*: what a climb from three starts, and from earlier
realizations, comes to; a cost some realization really has. *Proven*: what none exceeds. They meet
where the budget is 0 or all hours, as cost never falls when a load rises: there one linear program
says both. Between, the bound is that of the dual program with its exact M (`build_dual`).
"""

from __future__ import annotations

from collections.abc import Callable
from time import perf_counter

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.decision import Decision
from gridproof.optimizer.resiliency.grid import Grid
from gridproof.optimizer.resiliency.recourse import Operated, Recourse
from gridproof.optimizer.solver.decomposition import Worst
from gridproof.optimizer.solver.solve import Arrays, solve_arrays
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.proof import Termination
from scipy import sparse

__all__ = ["Adversary", "build_dual", "most"]

_STEPS = 12  # a climb ends long before: each step is dearer than the last
_CLIMBS = 1e-9
_SHORT = 0.25  # of the time for a proof


def most(case: ResiliencyCase, gain: FloatArray) -> FloatArray:
    """(hour, bus) the Γ hours of each bus with the largest gain deviate, ties by the hour."""
    hours, gamma = len(gain), case.budgets.load_gamma
    up = np.zeros_like(gain)
    best = np.argsort(-gain, axis=0, kind="stable")[: min(gamma, hours)]
    np.put_along_axis(up, best, 1.0, axis=0)
    return up


class Adversary:
    """The oracle of the project's loop.

    Parameters
    ----------
    proof_s
        Wall time for the proven bound of one first stage; 0 leaves the climb alone, and then
        nothing is proven of budgets between.
    gap
        How close the proven bound need come to what is found.

    Attributes
    ----------
    floor
        Tells what no plan undercuts, and the relative gap asked for: a first stage that already
        costs more than the two allow is dropped sooner, as no proof of it would end the search.
    """

    def __init__(
        self, case: ResiliencyCase, grid: Grid, *, proof_s: float = 30.0, gap: float = 1e-4
    ) -> None:
        self.floor: Callable[[], tuple[float, float]] | None = None
        self.case, self.grid, self.gap, self.proof_s = case, grid, gap, proof_s
        self.recourse = Recourse(case, grid)
        self.earlier: list[FloatArray] = []

    @property
    def settled(self) -> bool:
        """Whether one realization is the worst of every plan: all loads as low or high as can."""
        return self.case.budgets.load_gamma in (0, self.case.horizon.hours)

    def first_stage_usd(self, candidate: Decision) -> float:
        """Cost before any realization, k$ as everything here."""
        return candidate.cost(self.case)

    def climbed(self, decision: Decision) -> tuple[FloatArray, Operated]:
        """Return the dearest realization found, and its operation."""
        self.recourse.hold(decision)
        one = np.ones(self.case.demand.p_kw.shape)
        if self.settled:
            up = one if self.case.budgets.load_gamma else 0.0 * one
            return up, self.recourse.operate(up)
        far = self.case.demand.p_kw
        price = far * self.case.demand.interruption_usd_per_kwh
        starts = [most(self.case, far * self.recourse.operate(at).dual) for at in (one, 0.0 * one)]
        starts += [most(self.case, price), *self.earlier]
        found = [self._climb(start) for start in starts]
        up, operated = max(found, key=lambda pair: pair[1].cost)
        return up, operated

    def _climb(self, up: FloatArray) -> tuple[FloatArray, Operated]:
        """Follow the dual uphill: cost is convex, so no step leads down."""
        at = self.recourse.operate(up)
        for _ in range(_STEPS):
            after = most(self.case, self.case.demand.p_kw * at.dual)
            there = self.recourse.operate(after)
            if there.cost <= at.cost + _CLIMBS:
                break
            up, at = after, there
        return up, at

    def worst(self, candidate: Decision, *, time_limit_s: float) -> Worst:
        """Return the worst realization found, and what no realization exceeds."""
        began = perf_counter()
        up, at = self.climbed(candidate)
        if self.settled:
            return Worst(zeta=up.ravel(), cost_usd=at.cost, violation=0.0)
        worth = self._worth(candidate.cost(self.case) + at.cost)
        left = min(worth * self.proof_s, time_limit_s - (perf_counter() - began))
        bound, better = self._proven(candidate, at.cost, max(0.0, left))
        if better is not None:
            up, at = self._climb(better)
        if not any(np.array_equal(up, one) for one in self.earlier):
            self.earlier.append(up)
        return Worst(
            zeta=up.ravel(), cost_usd=at.cost, violation=0.0, bound_usd=max(bound, at.cost),
            complete=bool(np.isfinite(bound)),
        )  # fmt: skip

    def _worth(self, cost: float) -> float:
        """Share of the time for a proof that a first stage of this cost is worth."""
        if self.floor is None:
            return 1.0
        bound, gap = self.floor()
        return 1.0 if cost - bound <= gap * max(1.0, abs(cost)) else _SHORT

    def _proven(
        self, decision: Decision, found: float, time_limit_s: float
    ) -> tuple[float, FloatArray | None]:
        """Bound by the dual program, and a dearer realization if its search came upon one."""
        every = self.recourse.operate(np.ones(self.case.demand.p_kw.shape)).cost
        if time_limit_s <= 0.0:
            return every, None
        arrays, up = build_dual(self.recourse, decision)
        answer, values = solve_arrays(arrays, gap=self.gap, time_limit_s=time_limit_s)
        bound = min(every, -answer.bound) if np.isfinite(answer.bound) else every
        if answer.termination is Termination.INFEASIBLE or not answer.found:
            return bound, None
        # what HiGHS says of its point is not believed: the recourse says what it is worth
        better = np.round(values[up])
        return bound, better if self.recourse.operate(better).cost > found + _CLIMBS else None


def build_dual(recourse: Recourse, decision: Decision) -> tuple[Arrays, IntArray]:
    """State (66)-(70): ``min -(b·y + Σ d̂ a)`` with ``a ≤ g``, ``a ≤ ρ^EP w``, ``Σ_t w ≤ Γ``.

    The dual of the operation as it stands, row for row, in place of (71)-(91). Columns of the
    first stage are constants; a column between finite bounds brings a multiplier for each.

    Returns
    -------
    tuple of Arrays and ndarray of shape (hour, bus)
        The program, and the columns of ``w``.
    """
    case, own = recourse.case, recourse.arrays
    hours, buses = case.demand.p_kw.shape
    held, values = decision.values(case, recourse.grid, recourse.stage)
    lower, upper = own.lower.copy(), own.upper.copy()
    lower[held] = upper[held] = values
    rows, columns = own.matrix.shape
    fixed = lower == upper
    told = np.where(fixed, lower, 0.0)
    low, high = own.row_lower, own.row_upper
    right = np.where(np.isfinite(low), low, high) - own.matrix @ told
    free = np.flatnonzero(~fixed)
    under = free[np.isfinite(lower[free])]
    over = free[np.isfinite(upper[free])]
    demand = recourse.operation.demand.ravel()
    rho = case.horizon.step_h * case.demand.interruption_usd_per_kwh.ravel()
    far = case.budgets.load_share * case.demand.p_kw.ravel() / 1e3
    n, size = hours * buses, rows + len(under) + len(over)
    place = np.full(columns, -1)
    place[free] = np.arange(len(free))
    transposed = sparse.csr_array(own.matrix[:, free].T)
    bounds = sparse.hstack([
        _unit(place[under], len(free)), -_unit(place[over], len(free)),
    ])  # fmt: skip
    eye = sparse.eye_array(n, format="csr")
    pick = sparse.csr_array((np.ones(n), (np.arange(n), demand)), shape=(n, size))
    budget = sparse.kron(np.ones((1, hours)), sparse.eye_array(buses))
    none = sparse.csr_array((len(free), 2 * n))
    matrix = sparse.vstack([
        sparse.hstack([transposed, bounds, none]),
        sparse.hstack([-pick, eye, sparse.csr_array((n, n))]),
        sparse.hstack([sparse.csr_array((n, size)), eye, -sparse.diags_array(rho)]),
        sparse.hstack([sparse.csr_array((buses, size + n)), budget]),
    ])  # fmt: skip
    y_low = np.where(np.isfinite(high), -np.inf, 0.0)
    y_high = np.where(np.isfinite(low), np.inf, 0.0)
    y_high[demand] = rho
    arrays = Arrays(
        cost=-np.concatenate([right, lower[under], -upper[over], far, np.zeros(n)]),
        constant=-float(own.cost @ told),
        matrix=sparse.csc_array(matrix),
        row_lower=np.concatenate([own.cost[free], np.full(2 * n + buses, -np.inf)]),
        row_upper=np.concatenate(
            [own.cost[free], np.zeros(2 * n), np.full(buses, float(case.budgets.load_gamma))]
        ),
        lower=np.concatenate([y_low, np.zeros(size - rows + 2 * n)]),
        upper=np.concatenate([y_high, np.full(size - rows + n, np.inf), (far > 0.0) * 1.0]),
        integer=np.arange(size + 2 * n) >= size + n,
    )
    return arrays, (size + n + np.arange(n)).reshape(hours, buses)


def _unit(at: IntArray, height: int) -> sparse.csr_array:
    """(height, column) with a one at each column's row."""
    return sparse.csr_array((np.ones(len(at)), (at, np.arange(len(at)))), shape=(height, len(at)))
