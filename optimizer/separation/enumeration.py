"""Separation by enumeration: the worst realization of an island, exactly.

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

from time import perf_counter
from typing import Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.devices import add_redispatch, redispatch_usd
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.flow import add_flow
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.separation.island_recourse import uncertain_directions
from gridproof.optimizer.separation.region import Region, gray_signs
from gridproof.optimizer.separation.worst_case import Bracket
from gridproof.optimizer.solver.pyomo_model import compile_model
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.realization import realize

__all__ = ["MOST_UNCERTAIN", "enumerate_island", "gray_signs", "uncertain_directions"]

MOST_UNCERTAIN = 12
"""Most uncertain loads an island may hold: 4096 vertices."""

TOLERANCE = 1e-6
"""Sum of violated balance, per unit of 1 MVA, that counts as none (1 W)."""


def enumerate_island(
    network: Network,
    candidate: FirstStage,
    blocks: tuple[int, ...],
    region: Region,
    *,
    reach: FloatArray | None = None,
    slack_usd_per_kw: float,
    time_limit_s: float,
) -> Bracket:
    """Try every vertex of one island's set.

    Parameters
    ----------
    network, candidate, blocks
        The island.
    region
        Set of its own directions, in the order of `uncertain_directions`.
    reach
        Bounds on flows over the whole set, from `flow_reach`.
    slack_usd_per_kw
        Price ω of a kW of violated balance; one too low costs time, and changes no answer.
    time_limit_s
        Wall time; the bound is infinite if it does not suffice.

    Raises
    ------
    ScenarioError
        If the island holds more than `MOST_UNCERTAIN` uncertain loads.
    """
    deadline = perf_counter() + time_limit_s
    directions = uncertain_directions(network, blocks)
    if len(directions) > MOST_UNCERTAIN:
        names = "+".join(network.scenario.feeder.blocks.ids[b] for b in blocks)
        raise ScenarioError(
            f"island {names} holds {len(directions)} uncertain loads; enumeration proves "
            f"robustness for at most {MOST_UNCERTAIN} (4096 vertices). Name fewer loads under "
            '[uncertainty] loads, or set [planner] separation = "auto"'
        )
    program = _IslandProgram(network, candidate, blocks, reach, slack_usd_per_kw)
    vertices = np.array([*region.vertices()], dtype=float)
    zeta = np.tile(network.scenario.uncertainty.high, (len(vertices), 1))
    zeta[:, directions] = vertices
    draws = realize(network.scenario, zeta)
    demand = network.demand(*draws.demand_at(network.time))
    best, complete = (0.0, -1.0, vertices[0]), True
    for k, vertex in enumerate(vertices):
        if perf_counter() > deadline:
            complete = False
            break
        cost, violation = program.value((demand[0][k], demand[1][k]))
        if (violation, cost) > best[:2]:
            best = (violation, cost, vertex)
    bound = best[1] if complete else np.inf
    return Bracket(zeta=best[2], cost_usd=best[1], bound_usd=bound, violation=best[0])


class _IslandProgram:
    """(S1) of one island as a persistent program; demands are columns whose bounds move."""

    def __init__(
        self,
        network: Network,
        candidate: FirstStage,
        blocks: tuple[int, ...],
        reach: FloatArray | None,
        slack_usd_per_kw: float,
    ) -> None:
        m, self._nodes = _island_model(network, candidate, blocks, reach, slack_usd_per_kw)
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
    network: Network,
    candidate: FirstStage,
    blocks: tuple[int, ...],
    reach: FloatArray | None,
    slack_usd_per_kw: float,
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
    price = slack_usd_per_kw * BASE_KVA
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
