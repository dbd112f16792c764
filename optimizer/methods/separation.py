"""Separation: the worst realization of a candidate plan, exactly.

The re-dispatch problem (S1) of the partitioning paper is a linear program in which the load
moves only right-hand sides, so its value is convex in the load and its maximum over a box is
at a vertex. A plan's islands share nothing but the sum, so each is searched on its own over
the vertices of its own few uncertain loads, by one persistent program along a Gray code
(neighbours differ in one load, which keeps the warm start short)::

    max over ζ  min  ω Σ (h⁺ + h⁻) + Σ c_g (o⁺ + o⁻)

with the price ω on violated balance only here, never in a plan. (E) of the paper prints
``s0 + ζ⁺ s̄ - ζ⁻ s̲``; consistent with its set Û it is ``ζ⁺ s̄ + ζ⁻ s̲``. (S1) prints an
undefined ``o_g`` in its objective; ``o⁺ + o⁻`` is meant.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pyomo.environ as pyo

from optimizer.constraints.devices import add_redispatch, redispatch_usd
from optimizer.constraints.flow import add_flow
from optimizer.constraints.network import BASE_KVA, Network
from optimizer.first_stage import FirstStage
from optimizer.methods.decomposition import Worst
from optimizer.methods.solve import compile_model
from optimizer.methods.solve_again import LinearProgram
from scenarios.arrays import FloatArray, IntArray
from scenarios.errors import ScenarioError
from scenarios.plan import Termination
from scenarios.realization import realize

__all__ = ["MOST_UNCERTAIN", "VertexSeparation", "gray_signs"]

MOST_UNCERTAIN = 12
"""Most uncertain loads an island may hold: 4096 vertices."""

TOLERANCE = 1e-6
"""Sum of violated balance, per unit of 1 MVA, that counts as none (1 W)."""


def gray_signs(count: int) -> FloatArray:
    """(2^count, count) every sign vector, neighbours differing in one entry, all +1 first."""
    codes = np.arange(2**count)
    codes ^= codes >> 1
    return np.asarray(1.0 - 2.0 * ((codes[:, None] >> np.arange(count)) & 1), dtype=np.float64)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class VertexSeparation:
    """Worst vertex by enumeration, island by island.

    Attributes
    ----------
    network
        Per-unit network, with the margins the plan is to keep.
    reach
        Bounds on flows over the whole set, from `flow_reach`.
    """

    network: Network
    reach: FloatArray | None = None

    def first_stage_usd(self, candidate: FirstStage) -> float:
        """Shed and generation cost."""
        return candidate.cost_usd(self.network.scenario)

    def worst(self, candidate: FirstStage, *, time_limit_s: float) -> Worst:
        """Return the worst vertex of the set; dead loads are put at their highest.

        Raises
        ------
        ScenarioError
            If an island holds more than `MOST_UNCERTAIN` uncertain loads.
        """
        scenario = self.network.scenario
        deadline = perf_counter() + time_limit_s
        zeta = np.ones(scenario.uncertainty.size)
        cost = violation = 0.0
        for blocks in candidate.islands(scenario):
            found = self._island(candidate, blocks, deadline)
            zeta[found.directions] = found.signs
            cost += found.cost_usd
            violation += found.violation
            if not found.complete:
                return Worst(zeta=zeta, cost_usd=np.inf, violation=violation, complete=False)
        return Worst(zeta=zeta, cost_usd=cost, violation=violation)

    def _island(
        self, candidate: FirstStage, blocks: tuple[int, ...], deadline: float
    ) -> _IslandWorst:
        directions = uncertain_directions(self.network, blocks)
        if len(directions) > MOST_UNCERTAIN:
            scenario = self.network.scenario
            names = "+".join(scenario.feeder.blocks.ids[b] for b in blocks)
            raise ScenarioError(
                f"island {names} holds {len(directions)} uncertain loads; enumeration proves "
                f"robustness for at most {MOST_UNCERTAIN} (4096 vertices). Name fewer loads under "
                "[uncertainty] loads, or lump loads that move together into one"
            )
        program = _IslandProgram(self.network, candidate, blocks, self.reach)
        signs = gray_signs(len(directions))
        zeta = np.ones((len(signs), self.network.scenario.uncertainty.size))
        zeta[:, directions] = signs
        draws = realize(self.network.scenario, zeta)
        demand = self.network.demand(
            draws.p_kw[:, self.network.time], draws.q_kvar[:, self.network.time]
        )
        best = _IslandWorst(directions, signs[0], -1.0, 0.0, complete=True)
        for k, sign in enumerate(signs):
            if perf_counter() > deadline:
                best.complete = False
                break
            cost, violation = program.value((demand[0][k], demand[1][k]))
            if (violation, cost) > (best.violation, best.cost_usd):
                best = _IslandWorst(directions, sign, cost, violation, complete=True)
        return best


@dataclass(slots=True)
class _IslandWorst:
    directions: IntArray
    signs: FloatArray
    cost_usd: float
    violation: float
    complete: bool


def uncertain_directions(network: Network, blocks: tuple[int, ...]) -> IntArray:
    """Positions in the set of the loads of these blocks that do move."""
    scenario = network.scenario
    where = {
        name: int(b)
        for name, b in zip(scenario.feeder.loads.ids, scenario.feeder.block_of_load, strict=True)
    }
    inside = [where[name] in blocks for name in scenario.uncertainty.load_ids]
    return np.flatnonzero(np.array(inside, dtype=bool) & (scenario.uncertainty.spread > 0.0))


class _IslandProgram:
    """(S1) of one island as a persistent program; demands are columns whose bounds move."""

    def __init__(
        self,
        network: Network,
        candidate: FirstStage,
        blocks: tuple[int, ...],
        reach: FloatArray | None,
    ) -> None:
        m, self._nodes = _island_model(network, candidate, blocks, reach)
        arrays = compile_model(m)
        self._program = LinearProgram(arrays)
        column = {id(v): k for k, v in enumerate(arrays.variables)}
        self._demand = [
            np.array([column[id(m.demand[kind, i, k])] for i, k in self._nodes], dtype=np.int64)
            for kind in ("p", "q")
        ]
        self._excess = np.array([column[id(v)] for v in m.flow.excess.values()], dtype=np.int64)
        self._cost = arrays.cost.copy()
        self._cost[self._excess] = 0.0
        self._constant = arrays.constant

    def value(self, demand: tuple[FloatArray, FloatArray]) -> tuple[float, float]:
        """Re-dispatch cost (``inf`` if it cannot be served) and violated balance."""
        for columns, use in zip(self._demand, demand, strict=True):
            here = use[self._nodes[:, 0], self._nodes[:, 1]]
            self._program.set_columns(columns, here, here)
        self._settle()
        primal = self._program.primal()
        violation = float(primal[self._excess].sum())
        if violation <= TOLERANCE:
            return float(self._cost @ primal), 0.0
        # the price may be too low to be exact: ask again without slack
        nothing = np.zeros(len(self._excess))
        self._program.set_columns(self._excess, nothing, nothing)
        served = self._program.run() is Termination.OPTIMAL
        cost = float(self._cost @ self._program.primal()) if served else np.inf
        self._program.set_columns(self._excess, nothing, nothing + np.inf)
        return (cost, 0.0) if served else (np.inf, violation)

    def _settle(self) -> None:
        ended = self._program.run()
        if ended is not Termination.OPTIMAL:
            raise ScenarioError(
                "an island's re-dispatch has no state inside its limits even with every balance "
                f"violated ({ended}); a limit contradicts another: look at the voltage band, and "
                "at base set-points outside capability"
            )


def _island_model(
    network: Network, candidate: FirstStage, blocks: tuple[int, ...], reach: FloatArray | None
) -> tuple[Any, IntArray]:
    decisions = candidate.decisions(blocks)
    m = pyo.ConcreteModel()
    buses = np.isin(network.block, blocks)
    nodes = np.argwhere(network.phases & buses[:, None])
    m.demand = pyo.Var(("p", "q"), [tuple(n) for n in nodes.tolist()], bounds=(0.0, 0.0))
    base = (_table(candidate.p), _table(candidate.q))
    redispatch = add_redispatch(m, network, decisions, base)
    demand = (_Slice(m.demand, "p"), _Slice(m.demand, "q"))
    flow = add_flow(
        m, network, decisions, (redispatch.p, redispatch.q), demand, reach=reach, slack=True
    )
    moved = redispatch_usd(network, redispatch)
    price = network.scenario.slack_usd_per_kw * BASE_KVA
    m.cost = pyo.Objective(expr=price * sum(flow.excess.values()) + moved)
    return m, nodes


class _Slice:
    """One kind of a demand variable, indexed by bus and phase."""

    def __init__(self, variable: Any, kind: str) -> None:
        self._variable, self._kind = variable, kind

    def __getitem__(self, node: tuple[int, int]) -> Any:
        return self._variable[self._kind, node[0], node[1]]


def _table(values: FloatArray) -> dict[tuple[int, int], float]:
    return {(int(g), int(k)): float(values[g, k]) for g, k in np.ndindex(*values.shape)}
