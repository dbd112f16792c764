"""Affine recourse: a policy that answers a whole region at once, and what it costs at most.

If some rule ``u(ζ) = u₀ + U f(ζ)`` keeps every limit for every ζ of a region, no realization
of the region is infeasible and none costs more than the rule's worst: a certificate, and an
upper bound on ``max V``. The rule is found by one linear program, grown row by row: each
limit's worst ζ under the present rule has a closed form over a box with a budget, and the
rows it breaks are added until none is broken.

A rule linear in ζ pays for ``|Δp|`` poorly: the bound of a plain affine rule may lie 2-4
times above the truth. Here the moves of phase φ are bounded by::

    |Δp_o(ζ)| ≤ β_o |τ_φ(ζ)| + μ_o(ζ),      τ_φ(ζ) = change of the island's demand on φ
    from  -μ_o(ζ) ≤ Δp_o(ζ) - β_o τ_φ(ζ) ≤ μ_o(ζ),   μ_o affine,   β_o ≥ 0

and ``max Σ_o c_o (β_o |τ_φ| + μ_o)`` over the region is that of 2³ linear functions, one for
each pattern of the phases' signs. LinDist3Flow loses nothing, so what all DERs move on a
phase is at least ``|τ_φ|``: where no limit binds and DERs cost the same, sharing each
phase's change in fixed parts costs exactly that, μ = 0, and the bound is attained.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import product
from time import perf_counter

import numpy as np
from gridproof.optimizer.separation.island_recourse import TOLERANCE, IslandRecourse
from gridproof.optimizer.separation.region import Region
from gridproof.optimizer.solver.solve import Arrays
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.proof import Termination
from scipy import sparse

__all__ = ["PATTERNS", "AffineBound", "affine_bound"]

PATTERNS = np.array(list(product((1.0, -1.0), repeat=3)))
"""(8, 3) signs of the phases' change of demand."""

_PRICE = 1e3  # of passing a limit, against a dearest re-dispatch of 1
_BROKEN = 2e-7  # pu by which a row must be broken to be added
_MOST_ROWS = 400  # added per round, the most broken first
_ROUNDS = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class AffineBound:
    """What the best affine rule found promises over a region.

    Attributes
    ----------
    cost_usd
        No realization of the region costs more; ``inf`` if no rule keeps every limit.
    broken
        Least value by which any rule must pass some limit; 0 if none.
    candidates
        (row, direction) realizations that keep the program from doing better.
    weight
        (row,) how much each of them does.
    """

    cost_usd: float
    broken: float
    candidates: FloatArray
    weight: FloatArray


def affine_bound(
    recourse: IslandRecourse,
    region: Region,
    *,
    features: FloatArray,
    start: FloatArray,
    time_limit_s: float,
) -> AffineBound:
    """Bound the island's cost over a region by an affine rule.

    Parameters
    ----------
    recourse
        The island.
    region
        Part of the set.
    features
        (feature, direction) what the rule may look at: ``f(ζ) = features @ ζ``.
    start
        (row, direction) realizations to begin with.
    time_limit_s
        Wall time; an unfinished rule promises nothing.
    """
    rule = _RuleProgram(recourse, features)
    deadline = perf_counter() + time_limit_s
    rule.add_everywhere(np.vstack([region.inside[None], start]))
    for _ in range(_ROUNDS):
        if not rule.run(deadline - perf_counter()):
            break
        broken, most = rule.most_broken(region)
        if broken <= _BROKEN * 5 or (rule.over > TOLERANCE and not most):
            cost = rule.worst_cost(region) if broken + rule.over <= TOLERANCE else np.inf
            return rule.bound(cost)
        rule.add(most)
    return rule.bound(np.inf)


class _RuleProgram:
    """Columns: u₀, U by rows, β, μ₀, μ by rows, θ, and by how much limits are passed."""

    def __init__(self, recourse: IslandRecourse, features: FloatArray) -> None:
        self.r, self.f = recourse, features
        self.controls, self.outputs = recourse.G.shape[1], len(recourse.base)
        self.wide = 1 + len(features)
        self.scale = float(np.abs(recourse.price).max(initial=0.0)) or 1.0
        self.price = recourse.price / self.scale
        ends = np.cumsum([self.controls * self.wide, self.outputs, self.outputs * self.wide, 1, 1])
        self.policy, self.beta, self.mu, self.theta, self.pass_ = (
            np.arange(a, b) for a, b in zip([0, *ends[:-1]], ends, strict=True)
        )
        cost = np.zeros(int(ends[-1]))
        cost[self.theta], cost[self.pass_] = 1.0, _PRICE
        free = np.full(len(cost), -np.inf)
        free[self.beta], free[self.pass_], free[self.theta] = 0.0, 0.0, 0.0
        self.program = LinearProgram(
            Arrays(
                cost=cost,
                constant=0.0,
                matrix=sparse.csc_array((0, len(cost))),
                row_lower=np.zeros(0),
                row_upper=np.zeros(0),
                lower=free,
                upper=np.full(len(cost), np.inf),
                integer=np.zeros(len(cost), dtype=bool),
            )
        )
        self.zeta: list[FloatArray] = []
        self.x = np.zeros(len(cost))
        self.x[self.policy.reshape(self.controls, self.wide)[:, 0]] = np.clip(
            0.0, recourse.low, recourse.high
        )

    # ------------------------------------------------------------------ rows of one kind

    def limits_at(self, which: np.ndarray, zeta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rows ``G u(ζ) - t ≤ b - K ζ`` for limits ``which``, each at its own ζ."""
        r, x = self.r, self._lifted(zeta)
        rows = np.zeros((len(which), len(self.x)))
        rows[:, self.policy] = (r.G[which][:, :, None] * x[:, None, :]).reshape(
            len(which), len(self.policy)
        )
        rows[np.asarray(which) < r.rows, self.pass_[0]] = -1.0
        return rows, r.b[which] - (r.K[which] * zeta).sum(axis=1)

    def moves_at(
        self, which: np.ndarray, sign: FloatArray, zeta: FloatArray
    ) -> tuple[FloatArray, FloatArray]:
        """Rows ``±(Δp_o(ζ) - β_o τ(ζ)) - μ_o(ζ) ≤ 0``."""
        r, x = self.r, self._lifted(zeta)
        rows = np.zeros((len(which), len(self.x)))
        turned = sign[:, None] * r.move_u[which]
        rows[:, self.policy] = (turned[:, :, None] * x[:, None, :]).reshape(
            len(which), len(self.policy)
        )
        tau = (r.demand[r.phase[which]] * zeta).sum(axis=1)
        at = np.arange(len(which))
        rows[at, self.beta[which]] = -sign * tau
        own = self.mu.reshape(self.outputs, self.wide)[which]
        rows[at[:, None], own] = -x
        return rows, -sign * (r.base[which] + (r.move_z[which] * zeta).sum(axis=1))

    def costs_at(self, patterns: FloatArray, zeta: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Rows ``Σ c (β s τ(ζ) + μ(ζ)) - θ ≤ 0`` for sign patterns, each at its own ζ."""
        r, x = self.r, self._lifted(zeta)
        rows = np.zeros((len(patterns), len(self.x)))
        tau = patterns * (zeta @ r.demand.T)
        rows[:, self.beta] = self.price * tau[:, r.phase]
        rows[:, self.mu] = (self.price[None, :, None] * x[:, None, :]).reshape(len(x), len(self.mu))
        rows[:, self.theta] = -1.0
        return rows, np.zeros(len(rows))

    def _lifted(self, zeta: FloatArray) -> FloatArray:
        return np.hstack([np.ones((len(zeta), 1)), zeta @ self.f.T])

    # ------------------------------------------------------------------------ the search

    def add_everywhere(self, zeta: FloatArray) -> None:
        """State every move and cost row, and the limits nearest to binding, at some ζ."""
        for one in zeta:
            every = np.repeat(one[None], self.outputs, axis=0)
            for sign in (1.0, -1.0):
                self._add(
                    *self.moves_at(np.arange(self.outputs), np.full(self.outputs, sign), every),
                    every,
                )
            tau = np.where(self.r.demand @ one >= 0.0, 1.0, -1.0)
            self._add(*self.costs_at(tau[None], one[None]), one[None])
        box = np.arange(self.r.rows, len(self.r.b))
        self._add(*self.limits_at(box, np.repeat(zeta[:1], len(box), axis=0)),
                  np.repeat(zeta[:1], len(box), axis=0))  # fmt: skip

    def add(self, most: list[tuple[FloatArray, FloatArray, FloatArray]]) -> None:
        """Take in broken rows."""
        for rows, right, zeta in most:
            self._add(rows, right, zeta)

    def _add(self, rows: FloatArray, right: FloatArray, zeta: FloatArray) -> None:
        self.program.add_rows(rows, np.full(len(rows), -np.inf), right)
        self.zeta.extend(zeta)

    def run(self, time_limit_s: float) -> bool:
        """Solve the rows so far; false if there is no answer in time."""
        if time_limit_s <= 0.0:
            return False
        if self.program.run(time_limit_s=time_limit_s) is not Termination.OPTIMAL:
            return False
        self.x = self.program.primal()
        return True

    @property
    def over(self) -> float:
        """By how much limits are passed."""
        return float(self.x[self.pass_[0]])

    def most_broken(
        self, region: Region
    ) -> tuple[float, list[tuple[FloatArray, FloatArray, FloatArray]]]:
        """Largest excess of any row over the region, and the most broken rows."""
        r = self.r
        policy = self.x[self.policy].reshape(self.controls, self.wide)
        worst: list[tuple[FloatArray, FloatArray, FloatArray]] = []
        most = 0.0

        value, zeta = region.highest(r.K + r.G @ policy[:, 1:] @ self.f)
        passed = np.where(np.arange(len(r.b)) < r.rows, self.over, 0.0)
        excess = value + r.G @ policy[:, 0] - r.b - passed
        which = _worst(excess)
        most = max(most, float(excess.max(initial=0.0)))
        worst.append((*self.limits_at(which, zeta[which]), zeta[which]))

        slope, level = self._moved(policy)
        mu = self.x[self.mu].reshape(self.outputs, self.wide)
        tau = self.x[self.beta][:, None] * r.demand[r.phase]
        for sign in (1.0, -1.0):
            value, zeta = region.highest(sign * (slope - tau) - mu[:, 1:] @ self.f)
            excess = value + sign * level - mu[:, 0]
            which = _worst(excess)
            most = max(most, float(excess.max(initial=0.0)))
            signs = np.full(len(which), sign)
            worst.append((*self.moves_at(which, signs, zeta[which]), zeta[which]))

        value, zeta = self._costs(region)
        excess = value - self.x[self.theta]
        which = _worst(excess)
        most = max(most, float(excess.max(initial=0.0)))
        worst.append((*self.costs_at(PATTERNS[which], zeta[which]), zeta[which]))
        return most, [part for part in worst if len(part[1])]

    def _moved(self, policy: FloatArray) -> tuple[FloatArray, FloatArray]:
        r = self.r
        slope = r.move_z + r.move_u @ policy[:, 1:] @ self.f
        return slope, r.base + r.move_u @ policy[:, 0]

    def _costs(self, region: Region) -> tuple[FloatArray, FloatArray]:
        mu = self.x[self.mu].reshape(self.outputs, self.wide)
        shared = np.zeros(3)
        np.add.at(shared, self.r.phase, self.price * self.x[self.beta])
        slope = (PATTERNS * shared) @ self.r.demand + self.price @ mu[:, 1:] @ self.f
        value, zeta = region.highest(slope)
        return value + float(self.price @ mu[:, 0]), zeta

    def worst_cost(self, region: Region) -> float:
        """Evaluate what the present rule costs at most, USD.

        Each move is taken at its own excess over its bound, so that the solver's tolerance
        cannot hide anything.
        """
        r, policy = self.r, self.x[self.policy].reshape(self.controls, self.wide)
        slope, level = self._moved(policy)
        mu = self.x[self.mu].reshape(self.outputs, self.wide)
        tau = self.x[self.beta][:, None] * r.demand[r.phase]
        excess = np.zeros(self.outputs)
        for sign in (1.0, -1.0):
            value, _ = region.highest(sign * (slope - tau) - mu[:, 1:] @ self.f)
            excess = np.maximum(excess, value + sign * level - mu[:, 0])
        value, _ = self._costs(region)
        return float(self.scale * (value.max() + self.price @ excess))

    def bound(self, cost_usd: float) -> AffineBound:
        """Report, with the realizations that hold the program where it is."""
        dual = np.abs(self.program.row_dual())
        dual = dual if len(dual) == len(self.zeta) else np.zeros(len(self.zeta))
        at = np.flatnonzero(dual > 1e-9)
        return AffineBound(
            cost_usd=cost_usd,
            broken=self.over if self.over > TOLERANCE else 0.0,
            candidates=np.array([self.zeta[k] for k in at]).reshape(len(at), self.r.size),
            weight=dual[at],
        )


def _worst(excess: FloatArray) -> np.ndarray:
    at = np.flatnonzero(excess > _BROKEN)
    return at[np.argsort(-excess[at])][:_MOST_ROWS]
