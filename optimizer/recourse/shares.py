"""Fixed factors of an island that keep what binds reactive to active power, over the whole set.

With the followers' powers ``u(ζ) = u⁰ + x ∘ Δ(ζ)``, ``x`` the factors of active and reactive
mismatch, every limit of a DER is a row of the island's map (`optimizer.network.statemap`), the
forming DER's by phase, too. Over the box its worst is an absolute sum::

    c + G u(ζ) + D ζ ≤ b  for all ζ:   c + G u⁰ + Σ_d (m_d k_d(x) + h_d |k_d(x)|) ≤ b

``k_d = D_d + G (x ∘ Δ_d)`` is linear in ``x``; ``m``, ``h`` are the box's middle and half-width.
First the half-planes are passed as little as can be in sum, then ranges, ratings and ramps; then
the DER that forms keeps some room to all of its own, for losses, as far as it can; of what is left
the factors are taken that are nearest to those by capacity.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.limits import device_limits, measured_at
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import IslandState, island_state
from gridproof.optimizer.solver.solve import Arrays, solve_arrays
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.errors import ScenarioError, SolverError
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.realization import realize
from scipy import sparse

if TYPE_CHECKING:
    from collections.abc import Sequence

    from gridproof.optimizer.network.limit import Limit
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.scenario import Scenario

__all__ = ["shares_inside"]

_KEPT = 1e-9  # pu; what a solver is off by
_ROOM = 0.05  # of a phase's active rating, for what the linear model leaves to the DER that forms
_UNEVEN = 0.5  # so that no two factors are as near as each other


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Rows:
    """One-sided limits ``level + Σ_d (m_d k_d + h_d |k_d|) ≤ 0``, ``k = slope + of_x x`` by d.

    Attributes
    ----------
    level
        (row,).
    slope
        (row, direction).
    of_x
        (row, factor) slope by a factor and a unit of mismatch.
    """

    level: FloatArray
    slope: FloatArray
    of_x: FloatArray

    def take(self, rows: IntArray) -> _Rows:
        return _Rows(level=self.level[rows], slope=self.slope[rows], of_x=self.of_x[rows])


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Box:
    """Middle and half-width (direction,), and the mismatch (factor, direction) of each factor."""

    middle: FloatArray
    half: FloatArray
    mismatch: FloatArray

    def worst(self, rows: _Rows, x: FloatArray) -> FloatArray:
        """(row,) most by which rows are passed with some factors."""
        k = rows.slope + (rows.of_x * x) @ self.mismatch
        return np.asarray(rows.level + k @ self.middle + np.abs(k) @ self.half)

    def within(self, rows: _Rows) -> _Rows:
        """Leave out rows that no factors from 0 to 1 pass."""
        most = np.abs(rows.slope) + np.abs(rows.of_x) @ np.abs(self.mismatch)
        open_ = rows.level + most @ (np.abs(self.middle) + self.half) > 0.0
        return rows.take(np.flatnonzero(open_))


def shares_inside(
    plan: Plan,
    scenario: Scenario,
    time: int,
    blocks: tuple[int, ...],
    shares: tuple[FloatArray, FloatArray],
) -> tuple[FloatArray, FloatArray]:
    """Return factors of one island with which half-planes are kept over the set.

    Those given where they keep them already. Where none do, those that pass them least. Loads that
    follow their voltage are taken for what they ask at nominal.

    Parameters
    ----------
    plan, scenario, time
        What is held, where, and which step.
    blocks
        Of the island.
    shares
        (der, 3) factors of active and of reactive mismatch by capacity, each adding up to 1.

    Raises
    ------
    ScenarioError
        If the island is no tree with a DER that forms.
    SolverError
        If a program ended without an answer.
    """
    held = replace(scenario, load_model=(LoadModel.CONSTANT_POWER,) * len(scenario.load_model))
    network, stage = Network.of(held, time), FirstStage.of(plan, time)
    try:
        state = island_state(network, stage, blocks)
    except ScenarioError as error:
        raise ScenarioError(
            "recourse participation looks for factors that keep power factors and capability "
            f"curves, and its linear model does not know the island: {error}; state reactive_limit "
            "instead, or choose another recourse"
        ) from error
    at = tuple(state.controls.T)
    wanted = np.concatenate([shares[0][at], shares[1][at]])
    box, *groups = _stated(plan, network, stage, state, blocks)
    if not len(wanted) or not len(box.half):
        return shares  # nobody to share with, or nothing to share
    if all(box.worst(rows, wanted).max(initial=-np.inf) <= _KEPT for rows in groups[:2]):
        return shares
    x = _nearest(
        network, stage, state, (box, [box.within(own) for own in (groups[0], *groups[2:])]), wanted
    )
    every = tuple(state.outputs.T)
    p, q = (
        _with_rest(share, at, every, part)
        for share, part in zip(shares, np.split(x, 2), strict=True)
    )
    return p, q


def _with_rest(
    share: FloatArray, at: tuple[IntArray, ...], every: tuple[IntArray, ...], part: FloatArray
) -> FloatArray:
    """(der, 3) factors of followers, and the rest on the DER that forms, in the parts it had."""
    made, rest = np.zeros_like(share), np.zeros(share.shape, bool)
    rest[every] = True
    rest[at] = False
    own = np.where(rest, share, 0.0)
    own = own if own.sum() > 0.0 else rest.astype(float)
    made += own * ((1.0 - float(part.sum())) / own.sum())
    made[at] = part
    return made


def _stated(
    plan: Plan,
    network: Network,
    stage: FirstStage,
    state: IslandState,
    blocks: tuple[int, ...],
) -> tuple[_Box, _Rows, _Rows, _Rows, _Rows]:
    """Box; half-planes, and those of who forms with room; other limits, and all with room."""
    scenario, time = network.scenario, network.time
    low, high = scenario.direction_range
    points = np.concatenate([np.zeros((1, len(low))), np.eye(len(low))])
    drawn = plan.asked(realize(scenario, points, step=time), scenario).demand_at(time)
    inside = np.isin(scenario.feeder.block_of_load, blocks)
    mismatch = np.stack([part[:, inside].sum(axis=(1, 2)) for part in drawn]) / BASE_KVA
    loaded = tuple(state.loaded.T)
    moved = np.concatenate(
        [
            use[:, loaded[0], loaded[1]] - nominal[loaded]
            for use, nominal in zip(network.demand(*drawn), network.nominal, strict=True)
        ],
        axis=1,
    )
    change = (mismatch[:, 1:] - mismatch[:, :1]).repeat(len(state.controls), axis=0)
    moves = (np.abs(change).max(axis=0, initial=0.0) > 0.0) | (
        np.abs(moved[1:] - moved[0]).max(axis=1, initial=0.0) > 0.0
    )
    box = _Box(
        middle=((high + low) / 2.0)[moves],
        half=((high - low) / 2.0)[moves],
        mismatch=change[:, moves],
    )
    base = np.concatenate([part[tuple(state.controls.T)] for part in (stage.p, stage.q)])
    slope = (moved[1:] - moved[0])[moves].T
    planes, others = device_limits(network, stage, state)
    outputs, forms = measured_at(network, state), stage.forming[state.outputs[:, 0]]
    inward = [
        _drawn_in(limit, forms[(limit.measured[:, 0] - outputs.first_output) % outputs.outputs])
        for limit in (*planes, *others)
    ]
    first, room, second, all_room = (
        _rows(limits, base, moved[0], slope)
        for limits in (planes, inward[: len(planes)], others, inward)
    )
    return box, first, room, second, all_room


def _drawn_in(limit: Limit, rows: BoolArray) -> Limit:
    """Return some rows of a limit with room to either end, as far as there is."""
    free = np.minimum(_ROOM * limit.scale, (limit.upper - limit.lower) / 2.0)
    return replace(limit, lower=limit.lower + free, upper=limit.upper - free).rows(rows)


def _rows(limits: Sequence[Limit], base: FloatArray, moved: FloatArray, slope: FloatArray) -> _Rows:
    """Either side of limits, apart."""
    level, slopes, of_x = [], [], []
    for limit in limits:
        own = limit.expression
        now = own.constant + own.of_u @ base + own.of_d @ moved
        for bound, sign in ((limit.upper, 1.0), (limit.lower, -1.0)):
            rows = np.flatnonzero(np.isfinite(bound))
            level.append(sign * (now - bound)[rows])
            slopes.append(sign * (own.of_d[rows] @ slope))
            of_x.append(sign * own.of_u[rows])
    if not level:
        return _Rows(
            level=np.zeros(0),
            slope=np.zeros((0, slope.shape[1])),
            of_x=np.zeros((0, len(base))),
        )
    return _Rows(level=np.concatenate(level), slope=np.vstack(slopes), of_x=np.vstack(of_x))


def _nearest(
    network: Network,
    stage: FirstStage,
    state: IslandState,
    stated: tuple[_Box, list[_Rows]],
    wanted: FloatArray,
) -> FloatArray:
    """Solve for the factors.

    Columns are x, what each group is passed by in sum, distances, ``|k|`` by direction, and what
    each row is passed by. A row that no factors keep is then no reason to pass others, too.

    A second DER that forms keeps its factor: what it gives follows from the voltage it holds.
    """
    groups = stated[1]
    n = len(wanted)
    arrays = _arrays(network, state, stated, wanted)
    formers = np.tile(stage.forming[state.controls[:, 0]], 2)
    lower, upper = arrays.lower.copy(), arrays.upper.copy()
    lower[:n][formers], upper[:n][formers] = wanted[formers], wanted[formers]
    x, first = wanted, n + len(groups)
    for column in (*range(n, first), None):
        cost = np.zeros(len(lower))
        if column is None:
            golden = (np.arange(n) * 0.6180339887498949) % 1.0
            cost[first : first + n] = 1.0 + _UNEVEN * golden
        else:
            cost[column] = 1.0
        _, x = solve_arrays(replace(arrays, cost=cost, lower=lower, upper=upper), tolerance=1e-9)
        if not np.isfinite(x).all():
            raise SolverError(
                "HiGHS found no factors for recourse participation; look "
                "at the scale of the capability curves' numbers, or choose another recourse"
            )
        if column is not None:
            upper[column] = float(x[column]) + 10.0 * _KEPT
    return np.clip(x[:n], 0.0, 1.0)


def _arrays(
    network: Network,
    state: IslandState,
    stated: tuple[_Box, list[_Rows]],
    wanted: FloatArray,
) -> Arrays:
    box, groups = stated
    n, wide = len(wanted), len(box.half)
    rows = _Rows(
        level=np.concatenate([own.level for own in groups]),
        slope=np.vstack([own.slope for own in groups]),
        of_x=np.vstack([own.of_x for own in groups]),
    )
    count = len(rows.level)
    through = sparse.csr_array(  # (row and direction, factor)
        (rows.of_x[:, None, :] * box.mismatch.T[None]).reshape(count * wide, n)
    )
    each = sparse.kron(sparse.eye_array(count), np.ones((1, wide)), format="csr")
    middle = sparse.kron(sparse.eye_array(count), box.middle[None], format="csr")
    half = sparse.diags_array(np.tile(box.half, count), format="csr")
    eye = sparse.eye_array(n, format="csr")
    group = np.repeat(np.arange(len(groups)), [len(own.level) for own in groups])
    member = sparse.csr_array((group == np.arange(len(groups))[:, None]).astype(float))
    sums, rest = -sparse.eye_array(len(groups)), -sparse.eye_array(count)
    ones = sparse.eye_array(count * wide, format="csr")
    whole = sparse.csr_array(np.kron(np.eye(2), np.ones((1, n // 2))))
    matrix = sparse.block_array(
        [
            [middle @ through, None, None, each, rest],
            [half @ through, None, None, -ones, None],
            [-half @ through, None, None, -ones, None],
            [eye, None, -eye, None, None],
            [-eye, None, -eye, None, None],
            [whole, None, None, None, None],
            [None, sums, None, None, member],
            [_alike(network, state), None, None, None, None],
        ],
        format="csc",
    )
    own = half @ rows.slope.ravel()
    right = [-rows.level - rows.slope @ box.middle, -own, own, wanted, -wanted, np.ones(2),
             np.zeros(len(groups))]  # fmt: skip
    return _program(matrix, np.concatenate(right), n)


def _program(matrix: sparse.csc_array, right: FloatArray, factors: int) -> Arrays:
    """Rows below ``right``, but for the last ones, which are 0; columns from 0 on, factors to 1."""
    height, columns = matrix.shape
    zeros = np.zeros(height - len(right))
    upper = np.full(columns, np.inf)
    upper[:factors] = 1.0
    return Arrays(
        cost=np.zeros(columns),
        constant=0.0,
        matrix=matrix,
        row_lower=np.concatenate([np.full(len(right), -np.inf), zeros]),
        row_upper=np.concatenate([right, zeros]),
        lower=np.zeros(columns),
        upper=upper,
        integer=np.zeros(columns, bool),
    )


def _alike(network: Network, state: IslandState) -> sparse.csr_array:
    """(equation, factor) rows that are 0: phases of a balanced DER have one factor."""
    where = {(int(g), int(k)): row for row, (g, k) in enumerate(state.controls)}
    n, pairs = len(state.controls), []
    for g in np.unique(state.controls[:, 0]).tolist():
        own = network.scenario.ders.alike(g)
        pairs += [(where[g, own[0]], where[g, k]) for k in own[1:]]
    made = np.zeros((2 * len(pairs), 2 * n))
    for row, (one, other) in enumerate(pairs):
        for part in (0, 1):
            made[2 * row + part, part * n + one] = 1.0
            made[2 * row + part, part * n + other] = -1.0
    return sparse.csr_array(made)
