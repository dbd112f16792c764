"""Separation by mixed-integer duals, feasibility apart from cost.

By duality the worst case of an island is one maximum, bilinear in the duals and ζ. Only the
combination ``π_d = λᵀK_d + yᵀM_d`` of each direction meets ζ, and at a vertex each product
``π_d ζ_d`` is one binary with the bounds of π_d::

    max  y·p₀ - λ·b - ν⁺·high + ν⁻·low + Σ_d π_d ζ_d
    s.t. λᵀG + yᵀM_u + ν⁺ - ν⁻ = 0,   λ, ν ≥ 0,   |y| ≤ c,   Σ λ ≤ ω

**Feasibility** first, with c = 0 and Σ λ = 1: all duals lie in [0, 1] and the bounds of π,
found by two linear programs each, are exact. Its value is the worst limit excess, negative
if every realization keeps a distance δ from all limits. **Cost** next: by the distance δ no
optimal duals sum to more than C / δ, with C the most that any re-dispatch costs, so that
ω = C / δ is exact. Where a plan sits on its limits, δ is 0 and no finite ω is: the bound of
the cost then comes from an affine rule, and a price that merely looks high enough is never
taken for a proof.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter

import numpy as np
from gridproof.optimizer.separation.affine import PATTERNS, affine_bound
from gridproof.optimizer.separation.island_recourse import TOLERANCE, IslandRecourse
from gridproof.optimizer.separation.region import Region
from gridproof.optimizer.separation.worst_case import Bracket, Found, climb, search
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.solve import solve_arrays
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.proof import Termination
from scipy import sparse

__all__ = ["DualAnswer", "bracket_by_duals", "dual_bound"]

_DEAREST = 1e4  # sum of duals, against a dearest re-dispatch of 1, that arithmetic still bears
_ROUND = 1e-9
_WIDER = 1e-7  # added to each bound of π, for the tolerance of the programs that found it


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class DualAnswer:
    """What a mixed-integer dual ended with.

    Attributes
    ----------
    bound
        No realization has a higher value.
    zeta
        (direction,) the realization of the best duals found, None if there is none.
    """

    bound: float
    zeta: FloatArray | None


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Columns:
    row: IntArray
    move: IntArray
    high: IntArray
    low: IntArray
    slope: IntArray


def dual_bound(
    recourse: IslandRecourse,
    region: Region,
    *,
    price: float | None,
    time_limit_s: float,
    gap: float = 1e-6,
) -> DualAnswer:
    """Bound the worst limit excess, or the worst cost with a priced excess.

    Parameters
    ----------
    recourse, region
        The island and the set of its own directions.
    price
        USD per unit of limit excess; None for the excess itself, as a signed distance.
    time_limit_s
        Wall time.
    gap
        Relative gap at which the search may end.
    """
    began = perf_counter()
    scale = 1.0 if price is None else float(np.abs(recourse.price).max(initial=0.0)) or 1.0
    m, at = _duals(recourse, None if price is None else price / scale, scale)
    least, most = _slope_bounds(m, at, time_limit_s / 2.0)
    if not (np.isfinite(least).all() and np.isfinite(most).all()):
        return DualAnswer(bound=np.inf, zeta=None)
    choices = _add_products(m, at, region, least, most)
    arrays = m.arrays()
    left = time_limit_s - (perf_counter() - began)
    answer, values = solve_arrays(arrays, gap=gap, time_limit_s=left, tolerance=1e-9)
    zeta = None
    if answer.found:
        zeta = np.zeros(recourse.size)
        for columns, worth in choices:
            zeta += worth * np.round(values[columns])
    return DualAnswer(bound=-answer.bound * scale, zeta=zeta)


def _duals(r: IslandRecourse, price: float | None, scale: float) -> tuple[Program, _Columns]:
    """Dual polytope, as a minimum of the negative."""
    m = Program()
    moves = len(r.base)
    cap = np.zeros(moves) if price is None else r.price / scale
    limit = 1.0 if price is None else price
    at = _Columns(
        row=m.columns(r.rows, upper=limit, cost=r.b[: r.rows]),
        move=m.columns(moves, lower=-cap, upper=cap, cost=-r.base),
        high=m.columns(len(r.high), upper=np.inf, cost=r.high),
        low=m.columns(len(r.low), upper=np.inf, cost=-r.low),
        slope=m.columns(r.size, lower=-np.inf, upper=np.inf),
    )
    eye = sparse.eye_array(len(r.low))
    m.rows(
        "stationary",
        (sparse.csr_array(r.G[: r.rows].T), at.row),
        (sparse.csr_array(r.move_u.T), at.move),
        (eye, at.high),
        (-eye, at.low),
        lower=0.0,
        upper=0.0,
    )
    m.rows(
        "slope",
        (sparse.csr_array(r.K[: r.rows].T), at.row),
        (sparse.csr_array(r.move_z.T), at.move),
        (-sparse.eye_array(r.size), at.slope),
        lower=0.0,
        upper=0.0,
    )
    one = sparse.csr_array(np.ones((1, r.rows)))
    m.rows("sum", (one, at.row), lower=1.0 if price is None else 0.0, upper=limit)
    return m, at


def _slope_bounds(m: Program, at: _Columns, time_limit_s: float) -> tuple[FloatArray, FloatArray]:
    """Least and largest π of each direction over the dual polytope."""
    program = LinearProgram(m.arrays())
    everything = np.arange(m.size)
    program.set_costs(everything, np.zeros(m.size))
    deadline = perf_counter() + time_limit_s
    ends = np.full((2, len(at.slope)), np.inf)
    for d, column in enumerate(at.slope):
        for side, sign in ((0, 1.0), (1, -1.0)):
            program.set_costs(np.array([column]), [sign])
            if perf_counter() > deadline or program.run() is not Termination.OPTIMAL:
                return -ends[0], ends[1]
            ends[side, d] = -program.objective + _WIDER * max(1.0, abs(program.objective))
        program.set_costs(np.array([column]), [0.0])
    return -ends[0], ends[1]


def _add_products(
    m: Program, at: _Columns, region: Region, least: FloatArray, most: FloatArray
) -> list[tuple[IntArray, FloatArray]]:
    """State π_d ζ_d at the vertices of the set; what each binary adds to ζ."""
    size, choices = len(at.slope), []
    whole = np.floor(region.budget + _ROUND)
    rest = float(region.budget - whole)
    kinds = [(1.0, region.high, True), (-1.0, region.low, True)]
    if not region.unlimited and rest > _ROUND:
        kinds += [(sign, np.full(size, sign * rest), False) for sign in (1.0, -1.0)]
    for sign, worth, _ in kinds:
        share = np.abs(worth)
        low, high = (least, most) if sign > 0 else (-most, -least)
        on = m.columns(size, integer=True)
        product = m.columns(size, lower=-np.inf, upper=np.inf, cost=-share)
        m.rows("off", (1.0, product), (-high, on), upper=0.0)
        m.rows("on", (1.0, product), (-sign, at.slope), (-low, on), upper=-low)
        choices.append((on, worth))
    together = [(1.0, columns) for columns, _ in choices]
    m.rows("one_of", *together, lower=float(region.unlimited), upper=1.0)
    if not region.unlimited:
        every = sparse.csr_array(np.ones((1, size)))
        of = list(zip(choices, kinds, strict=True))
        m.rows("budget", *[(every, c) for (c, _), kind in of if kind[2]], upper=whole)
        parts = [(every, c) for (c, _), kind in of if not kind[2]]
        if parts:
            m.rows("fraction", *parts, upper=1.0)
    return choices


def bracket_by_duals(
    recourse: IslandRecourse, region: Region, *, tolerance_usd: float, time_limit_s: float
) -> Bracket:
    """Bracket the island's worst cost by heuristics and mixed-integer duals.

    Parameters
    ----------
    recourse, region
        The island and the set of its own directions.
    tolerance_usd
        Width at which the bracket is narrow enough.
    time_limit_s
        Wall time; feasibility may use half of it.
    """
    deadline = perf_counter() + time_limit_s
    found = Found(zeta=region.highest(np.ones((1, recourse.size)))[1][0])
    search(recourse, region, found)
    bound = np.inf
    if found.violation <= 0.0:
        distance = dual_bound(recourse, region, price=None, time_limit_s=time_limit_s / 2.0)
        if distance.zeta is not None:
            climb(recourse, region, found, distance.zeta)
        if found.violation <= 0.0 and distance.bound <= TOLERANCE:
            bound = _cost_bound(recourse, region, found, distance.bound, deadline)
    if found.violation <= 0.0 and bound > found.cost_usd + tolerance_usd:
        features = np.eye(recourse.size) if recourse.tied else recourse.features
        rule = affine_bound(
            recourse,
            region,
            features=features,
            start=region.highest(PATTERNS @ recourse.demand)[1],
            time_limit_s=deadline - perf_counter(),
        )
        bound = min(bound, rule.cost_usd)
    return Bracket(
        zeta=found.zeta, cost_usd=found.cost_usd, bound_usd=bound, violation=found.violation
    )


def _cost_bound(
    recourse: IslandRecourse, region: Region, found: Found, distance: float, deadline: float
) -> float:
    """Bound of the cost at a price that the distance from all limits proves exact."""
    value, _ = region.highest(np.vstack([recourse.move_z, -recourse.move_z]))
    ends = recourse.move_u[:, :, None] * np.stack([recourse.low, recourse.high], axis=1)[None]
    reach = np.maximum(
        recourse.base + ends.max(axis=2).sum(axis=1) + value[: len(recourse.base)],
        -recourse.base - ends.min(axis=2).sum(axis=1) + value[len(recourse.base) :],
    )
    dearest = float(recourse.price @ np.maximum(reach, 0.0))
    scale = float(np.abs(recourse.price).max(initial=0.0)) or 1.0
    if distance >= 0.0 or dearest / -distance > _DEAREST * scale:
        return np.inf
    answer = dual_bound(
        recourse, region, price=dearest / -distance, time_limit_s=deadline - perf_counter()
    )
    if answer.zeta is not None:
        climb(recourse, region, found, answer.zeta)
    return answer.bound
