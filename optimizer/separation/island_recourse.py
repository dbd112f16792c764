"""The second stage of one island in its controls alone, solved again and again.

With the first stage fixed, `optimizer.network.statemap` gives every voltage, flow and power
of an island as an affine map of the controls ``u`` and of the realization ζ. What is left of
(S1) of the partitioning paper is small and dense::

    V(ζ) = min  Σ c_o m_o    s.t.  |Δp_o(u, ζ)| ≤ m_o,   G u + K ζ ≤ b,   low ≤ u ≤ high

where rows that cannot bind anywhere in the set are left out. V is convex in ζ.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.alike import phases_apart
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.limits import control_box, island_limits
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import IslandState, island_state, uncertain_nodes
from gridproof.optimizer.solver.solve import Arrays
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.realization import realize
from scipy import sparse

if TYPE_CHECKING:
    from gridproof.optimizer.network.first_stage import FirstStage

__all__ = ["TOLERANCE", "IslandRecourse", "Valued", "uncertain_directions"]

TOLERANCE = 1e-6
"""How far a limit may be passed, per unit of 1 MVA or of squared voltage, and still be kept."""

_PRICE = 1e3  # of passing a limit, against a dearest re-dispatch of 1
_MOVABLE = 1e-9  # pu; a range narrower than this has no inside to draw it in to
_SLACK = 1e-9  # pu by which a base set-point may lie outside its own range


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Valued:
    """What a realization costs an island.

    Attributes
    ----------
    cost_usd
        Re-dispatch cost, ``inf`` if some limit must be passed.
    violation
        Least value by which every limit would have to be passed at worst; 0 if none.
    sensitivity
        (direction,) slope of the cost, or of the violation where there is one.
    """

    cost_usd: float
    violation: float
    sensitivity: FloatArray


class IslandRecourse:
    """One island's second stage as dense rows over controls and realization.

    Parameters
    ----------
    network, stage, blocks
        The island.
    directions
        Positions in the uncertainty set of the loads that matter here; all that stand in
        the island if not given.

    Attributes
    ----------
    G, K, b
        Limits ``G u + K ζ ≤ b``, those of the controls' own ranges last.
    base, move_u, move_z
        ``Δp = base + move_u u + move_z ζ`` of every DER phase.
    price
        (output,) USD per unit moved.
    phase
        (output,) phase of each.
    demand
        (3, direction) what ζ adds to the island's active demand per phase.
    features
        (6, direction) the same, then reactive.
    rows
        How many of the limits are not the controls' own ranges.
    tied
        Whether some limit is an equality: a second DER that holds a voltage, phases alike.
    """

    def __init__(
        self,
        network: Network,
        stage: FirstStage,
        blocks: tuple[int, ...],
        directions: IntArray | None = None,
    ) -> None:
        self.directions = (
            uncertain_directions(network, blocks) if directions is None else directions
        )
        state = island_state(network, stage, blocks, uncertain_nodes(network))
        self._limits(_drawn_in(network, stage), stage, state)
        self._moves(network, stage, state)
        self._program: LinearProgram | None = None

    @property
    def size(self) -> int:
        """Number of uncertain directions."""
        return len(self.directions)

    def _limits(self, network: Network, stage: FirstStage, state: IslandState) -> None:
        slope = demand_slope(network, state, self.directions)
        low, high = control_box(network, stage, state)
        at = (state.controls[:, 0], state.controls[:, 1])
        base = np.concatenate([stage.p[at], stage.q[at]])
        near = np.abs(np.clip(base, low, high) - base) <= _SLACK
        self.low = np.where(near, np.minimum(low, base), low)
        self.high = np.maximum(np.where(near, np.maximum(high, base), high), self.low)
        g, k, b = [], [], []
        for limit in island_limits(network, stage, state):
            drift = np.abs(limit.expression.of_d @ slope).sum(axis=1)
            kept = limit.within((self.low, self.high), drift, 0.0)
            e = kept.expression
            for bound, sign in ((kept.upper, 1.0), (kept.lower, -1.0)):
                rows = np.isfinite(bound)
                g.append(sign * e.of_u[rows])
                k.append(sign * (e.of_d @ slope)[rows])
                b.append(sign * (bound - e.constant)[rows])
        self.crossed = float((low - high).max(initial=0.0))
        self.rows = sum(len(part) for part in b)
        self.tied = bool(np.any(stage.forming[state.controls[:, 0]]))
        self.tied = self.tied or bool(len(phases_apart(network, stage, state)))
        eye, none = np.eye(len(low)), np.zeros((len(low), len(self.directions)))
        self.G = np.vstack([*g, eye, -eye])
        self.K = np.vstack([*k, none, none])
        self.b = np.concatenate([*b, self.high, -self.low])

    def _moves(self, network: Network, stage: FirstStage, state: IslandState) -> None:
        slope = demand_slope(network, state, self.directions)
        at = (state.outputs[:, 0], state.outputs[:, 1])
        self.base = state.der_p.constant - stage.p[at]
        self.move_u = state.der_p.of_u
        self.move_z = state.der_p.of_d @ slope
        self.price = network.scenario.ders.redispatch_cost_usd_per_kw[at[0]] * BASE_KVA
        self.phase = state.outputs[:, 1]
        active = slope[: len(state.loaded)]
        self.demand = np.stack([active[state.loaded[:, 1] == k].sum(axis=0) for k in range(3)])
        reactive = slope[len(state.loaded) :]
        self.features = np.vstack(
            [
                self.demand,
                *[reactive[state.loaded[:, 1] == k].sum(axis=0)[None] for k in range(3)],
            ]
        )

    def value(self, zeta: FloatArray) -> Valued:
        """Solve the second stage at one realization."""
        if self._program is None:
            self._build()
        assert self._program is not None
        count, moves = len(self.low), len(self.base)
        shift = self.move_z @ zeta + self.base
        rows = np.concatenate([self.b[: self.rows] - self.K[: self.rows] @ zeta, -shift, shift])
        self._program.set_rows(np.arange(len(rows)), np.full(len(rows), -np.inf), rows)
        self._settle()
        primal, dual = self._program.primal(), self._program.row_dual()
        violation = max(float(primal[-1]), self.crossed)
        slope = dual[: self.rows] @ self.K[: self.rows]
        slope = slope + (dual[self.rows : self.rows + moves] - dual[self.rows + moves :]) @ (
            self.move_z
        )
        cost = float(self._scale * self._cost @ primal[count : count + moves])
        if violation > TOLERANCE:
            return Valued(cost_usd=np.inf, violation=violation, sensitivity=-slope)
        return Valued(cost_usd=cost, violation=0.0, sensitivity=-slope * self._scale)

    def _settle(self) -> None:
        program = self._program
        assert program is not None
        ended = program.run()
        if ended is not Termination.OPTIMAL:
            raise SolverError(
                f"an island's re-dispatch ended with {ended} although every limit may be passed; "
                "look at the scale of the scenario's numbers"
            )
        if program.primal()[-1] > TOLERANCE:
            # the price may be too low to be exact: ask again with limits that hold
            last = np.array([len(self.low) + len(self.base)])
            program.set_columns(last, [0.0], [TOLERANCE])
            ended = program.run()
            program.set_columns(last, [0.0], [np.inf])
            if ended is Termination.OPTIMAL:
                return
            program.run()

    def _build(self) -> None:
        count, moves = len(self.low), len(self.base)
        self._scale = float(np.abs(self.price).max(initial=0.0)) or 1.0
        self._cost = self.price / self._scale
        eye = np.eye(moves)
        limit = np.hstack(
            [self.G[: self.rows], np.zeros((self.rows, moves)), -np.ones((self.rows, 1))]
        )
        up = np.hstack([self.move_u, -eye, np.zeros((moves, 1))])
        down = np.hstack([-self.move_u, -eye, np.zeros((moves, 1))])
        matrix = np.vstack([limit, up, down])
        matrix[np.abs(matrix) < 1e-12] = 0.0
        self._program = LinearProgram(
            Arrays(
                cost=np.concatenate([np.zeros(count), self._cost, [_PRICE]]),
                constant=0.0,
                matrix=sparse.csc_array(matrix),
                row_lower=np.full(len(matrix), -np.inf),
                row_upper=np.zeros(len(matrix)),
                lower=np.concatenate([self.low, np.zeros(moves + 1)]),
                upper=np.concatenate([self.high, np.full(moves + 1, np.inf)]),
                integer=np.zeros(count + moves + 1, dtype=bool),
            )
        )


def _drawn_in(network: Network, stage: FirstStage) -> Network:
    """Take what forming DERs leave free at each limit out of their ranges, as planners do."""
    limits = network.ders
    if not (limits.inset > 0.0).any():
        return network

    def inset(width: FloatArray) -> FloatArray:
        inside = stage.forming[:, None] & (width > _MOVABLE)
        return np.where(inside, np.minimum(limits.inset, width / 2.0), 0.0)

    p, q = inset(limits.p_max - limits.p_min), inset(limits.q_max - limits.q_min)
    whole = np.where(stage.forming & (limits.total_inset > _MOVABLE), limits.total_inset, 0.0)
    planes = limits.planes
    free = np.where(limits.plane_inset > _MOVABLE, limits.plane_inset, 0.0)
    ders = replace(
        limits,
        p_min=limits.p_min + p,
        p_max=limits.p_max - p,
        q_min=limits.q_min + q,
        q_max=limits.q_max - q,
        s_max=limits.s_max - inset(2.0 * limits.s_max),
        ramp_p=limits.ramp_p - inset(2.0 * limits.ramp_p),
        ramp_q=limits.ramp_q - inset(2.0 * limits.ramp_q),
        total_min=limits.total_min + whole,
        total_max=limits.total_max - whole,
        planes=replace(planes, level=planes.level - stage.forming[planes.der, None] * free),
    )
    return replace(network, ders=ders)


def uncertain_directions(network: Network, blocks: tuple[int, ...]) -> IntArray:
    """Positions in the set of the moving loads that stand in some blocks."""
    scenario = network.scenario
    block = dict(
        zip(scenario.feeder.loads.ids, scenario.feeder.block_of_load.tolist(), strict=True)
    )
    box = scenario.uncertainty
    return np.array(
        [d for d, name in enumerate(box.load_ids) if box.spread[d] > 0.0 and block[name] in blocks],
        dtype=np.int64,
    )


def demand_slope(network: Network, state: IslandState, directions: IntArray) -> FloatArray:
    """(2 · load node, direction) what each direction adds to the demand at ``state.loaded``."""
    zeta = np.zeros((len(directions) + 1, network.scenario.uncertainty.size))
    zeta[np.arange(len(directions)), directions] = 1.0
    draws = realize(network.scenario, zeta)
    use = network.demand(*draws.demand_at(network.time))
    at = (state.loaded[:, 0], state.loaded[:, 1])
    here = np.concatenate([part[:, at[0], at[1]] for part in use], axis=1)
    return np.asarray((here[:-1] - here[-1]).T)
