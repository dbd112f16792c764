"""(S1) and (E) of the partitioning paper for a whole network: values, worst vertices, cuts.

What the first stage decides stands in (S1) as copies fixed at a point, so the slope of its
value is the vector of their reduced costs: π^T A of (17b), whichever rows hold x. Demand
enters times z_bl; its share of the slope is that of the block's state. A slack on the
voltages held, beside that on the balance, gives (S1) a state for every x.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.devices import add_redispatch, redispatch_usd
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.flow import add_flow
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.separation.enumeration import MOST_UNCERTAIN, TOLERANCE
from gridproof.optimizer.separation.region import Region
from gridproof.optimizer.solver.decomposition import Oracle, Worst
from gridproof.optimizer.solver.pyomo_model import compile_model
from gridproof.optimizer.solver.solve import Arrays
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import ScenarioError, SolverError
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.realization import realize
from scipy import sparse

__all__ = ["Cut", "Point", "VertexSubproblems", "point_of"]

Point = dict[tuple[Any, ...], float]
"""Value of every first-stage variable by its kind and place."""

_SMALL = 1e-9  # slopes below this are left out of a cut


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """``value + slope · (x - x_k)``, under θ or, for a feasibility cut, under 0."""

    value: float
    slope: Point
    feasibility: bool


class VertexSubproblems:
    """(S1) and (E) of the whole network as one persistent program, x by its columns' bounds.

    Parameters
    ----------
    network
        Per-unit network of the step.
    budget
        Most loads off nominal at once, if limited.
    separation
        Finds the worst realization of a candidate that serves the nominal load; every
        vertex is tried, as printed, if not given.
    slack_usd_per_kw
        Price ω of a kW of violated balance.

    Raises
    ------
    ScenarioError
        If every vertex is to be tried of more than 12 loads.
    """

    def __init__(
        self,
        network: Network,
        *,
        budget: float | None = None,
        separation: Oracle[FirstStage] | None = None,
        slack_usd_per_kw: float = 705.0,
    ) -> None:
        self.network, box = network, network.scenario.uncertainty
        self.slack_usd_per_kw = slack_usd_per_kw
        self.separation = separation
        self.moving = np.flatnonzero(box.spread > 0.0)
        if separation is None and len(self.moving) > MOST_UNCERTAIN:
            raise ScenarioError(
                f'[planner] separation = "enumeration" tries every vertex of {len(self.moving)} '
                f"uncertain loads; it takes at most {MOST_UNCERTAIN} (4096 vertices). Name fewer "
                'loads, or set separation = "auto"'
            )
        self.region = Region.of(box, self.moving, budget)
        self._cost_now: FloatArray = np.zeros(0)
        self._demand_now: FloatArray = np.zeros(0)
        self._demand: tuple[IntArray, IntArray, FloatArray, FloatArray]
        self._allowed = True
        self._compile()

    def first_stage_usd(self, candidate: FirstStage) -> float:
        """Shed and generation cost."""
        return candidate.cost_usd(self.network.scenario)

    def worst(self, candidate: FirstStage, *, time_limit_s: float) -> Worst:
        """Try the nominal load without re-dispatch, then the set, by every vertex (E) or not."""
        deadline = perf_counter() + time_limit_s
        self.fix(point_of(candidate))
        nothing = np.zeros(self.network.scenario.uncertainty.size)
        slack, _ = self.value(None)
        if slack > TOLERANCE:
            return Worst(zeta=nothing, cost_usd=np.inf, violation=slack)
        if self.separation is not None:
            return self.separation.worst(candidate, time_limit_s=deadline - perf_counter())
        best = (0.0, -1.0, nothing)
        for vertex in self.region.vertices():
            if perf_counter() > deadline:
                return Worst(
                    zeta=best[2], cost_usd=best[1], violation=best[0], complete=False,
                    bound_usd=np.inf,
                )  # fmt: skip
            slack, cost = self.value(vertex)
            if (slack, cost) > best[:2]:
                box = self.network.scenario.uncertainty
                zeta = (box.high if self.region.unlimited else nothing).copy()
                zeta[self.moving] = vertex
                best = (slack, cost, zeta)
        cost = np.inf if best[0] > 0.0 else best[1]
        return Worst(zeta=best[2], cost_usd=cost, violation=best[0])

    # ------------------------------------------------------------------ one realization

    def fix(self, point: Point) -> None:
        """Hold the copies of the first stage at a point."""
        values = np.array([point[key] for key in self.keys])
        self._program.set_columns(self._copies, values, values)

    def value(self, vertex: FloatArray | None) -> tuple[float, float]:
        """Slack (0 if within tolerance) and cost of a vertex, or of nominal without moves."""
        self._set(vertex)
        primal = self._run(self._priced)
        slack = float(primal[self._slack].sum())
        if slack > TOLERANCE:
            # the price may be too low to be exact: ask for the least slack
            slack = float(self._run(self._plain)[self._slack].sum())
            if slack <= TOLERANCE:
                raise SolverError(
                    f"slack_usd_per_kw = {self.slack_usd_per_kw:g} is too low: "
                    "re-dispatch costs more than violated balance; raise it"
                )
            return slack, np.inf
        return 0.0, float(self._moved @ primal)

    def cuts(self, point: Point, vertex: FloatArray | None) -> list[Cut]:
        """(17b) at a point and, where it cannot be served, the feasibility cut."""
        self.fix(point)
        self._set(vertex)
        found = []
        primal = self._run(self._priced)
        if vertex is not None:
            found.append(self._cut(float(self._priced @ primal), feasibility=False))
        if primal[self._slack].sum() > TOLERANCE:
            least = self._run(self._plain)
            found.append(self._cut(float(self._plain @ least), feasibility=True))
        return found

    def _cut(self, value: float, *, feasibility: bool) -> Cut:
        reduced = self._program.column_dual()[self._copies]
        slope = {k: float(r) for k, r in zip(self.keys, reduced, strict=True) if abs(r) > _SMALL}
        return Cut(value=value, slope=slope, feasibility=feasibility)

    def _run(self, cost: FloatArray) -> FloatArray:
        if cost is not self._cost_now:
            self._program.set_costs(np.arange(len(cost)), cost)
            self._cost_now = cost
        ended = self._program.run()
        if ended is not Termination.OPTIMAL:
            raise SolverError(f"a subproblem with slack everywhere ended with {ended}")
        return self._program.primal()

    def _set(self, vertex: FloatArray | None) -> None:
        """Put the demand of a realization into the blocks' columns, and allow moves or not."""
        zeta = np.zeros(len(self.moving)) if vertex is None else vertex
        row, column, nominal, slope = self._demand
        value = nominal + slope @ zeta
        at = np.flatnonzero(value != self._demand_now)
        self._program.set_coefficients(row[at], column[at], value[at])
        self._demand_now = value
        allow = vertex is not None
        if allow is not self._allowed:
            high = self._move_upper if allow else np.zeros_like(self._move_upper)
            low = self._move_lower if allow else np.zeros_like(self._move_lower)
            self._program.set_columns(self._moves, low, high)
            self._allowed = allow

    # -------------------------------------------------------------------------- building

    def _compile(self) -> None:
        nominal = compile_model(model := self._model(None))
        self.arrays = nominal
        column = {id(v): k for k, v in enumerate(nominal.variables)}
        copies = {("w", g): model.held[g] for g in model.held}
        for name in ("closed", "energized", "forming"):
            copies |= {(name, k): v for k, v in getattr(model, name).items()}
        for name in ("p", "q"):
            copies |= {(name, *at): v for at, v in getattr(model, name).items()}
        used = {key: column[id(v)] for key, v in copies.items() if id(v) in column}
        self.keys, self._copies = list(used), np.array(list(used.values()), dtype=np.int64)

        def at(*tables: Any) -> IntArray:
            return np.array(
                [column[id(v)] for t in tables for v in t.values() if id(v) in column], np.int64
            )

        self._slack = at(model.flow.excess, model.flow.held_excess, model.off)
        move = model.redispatch
        self._moves = at(move.up, move.down, move.shift)
        self._move_lower, self._move_upper = nominal.lower[self._moves], nominal.upper[self._moves]
        self._moved, self._plain = np.zeros((2, len(nominal.cost)))
        self._moved[:] = nominal.cost
        self._moved[self._slack] = 0.0
        self._plain[self._slack] = 1.0
        self._priced = nominal.cost.copy()
        self._demands(nominal)
        self._program = LinearProgram(nominal)
        self._cost_now = nominal.cost

    def _demands(self, nominal: Arrays) -> None:
        """Entries of the matrix that each direction moves, by comparing compiled models."""
        changes = []
        for unit in np.eye(len(self.moving)):
            moved = compile_model(self._model(unit))
            changes.append(sparse.csr_array(moved.matrix - nominal.matrix))
        every = sparse.coo_array(sum((abs(c) for c in changes), 0.0 * abs(nominal.matrix)))
        row, column = (at[every.data > _SMALL] for at in every.coords)
        self._demand_now = np.asarray(sparse.csr_array(nominal.matrix)[row, column]).ravel()
        slope = [np.asarray(change[row, column]).ravel() for change in changes]
        self._demand = (
            row,
            column,
            self._demand_now,
            np.array(slope).reshape(len(changes), len(row)).T,
        )

    def _model(self, vertex: FloatArray | None) -> Any:
        """(S1) with copies of the first stage as variables, every one of them at 1 or free."""
        network, scenario = self.network, self.network.scenario
        m = pyo.ConcreteModel()
        m.closed = pyo.Var(range(len(scenario.feeder.switches)), initialize=1.0)
        m.energized = pyo.Var(range(len(scenario.feeder.blocks.ids)), initialize=1.0)
        m.forming = pyo.Var(range(len(network.der_bus)), initialize=1.0)
        m.held = pyo.Var(range(len(network.der_bus)), initialize=1.0)
        m.off = pyo.Var(range(len(network.der_bus)), ("over", "under"), bounds=(0.0, None))
        where = [tuple(at) for at in np.argwhere(network.der_phases).tolist()]
        m.p, m.q = pyo.Var(where), pyo.Var(where)
        held = {g: m.held[g] + m.off[g, "over"] - m.off[g, "under"] for g in m.held}
        decisions = Decisions(
            closed=dict(m.closed.items()),
            energized=dict(m.energized.items()),
            forming={g: m.forming[g] if scenario.ders.can_form[g] else 0 for g in m.forming},
            source_w=held,
        )
        moved = add_redispatch(m, network, decisions, (m.p, m.q))
        zeta = np.zeros((1, scenario.uncertainty.size))
        if vertex is not None:
            zeta[0, self.moving] = vertex
        draw = realize(scenario, zeta)
        use = network.demand(draw.p_kw[0, network.time], draw.q_kvar[0, network.time])
        add_flow(m, network, decisions, (moved.p, moved.q), use, slack=True)
        price = self.slack_usd_per_kw * BASE_KVA
        slack = sum(m.flow.excess.values()) + sum(m.off.values())
        slack += sum(m.flow.held_excess.values())
        m.cost = pyo.Objective(expr=price * slack + redispatch_usd(network, moved))
        return m


def point_of(candidate: FirstStage) -> Point:
    """Values of every first-stage variable by its key."""
    point: Point = {("w", g): float(w) for g, w in enumerate(candidate.source_w)}
    for name in ("closed", "energized", "forming"):
        point |= {(name, k): float(v) for k, v in enumerate(getattr(candidate, name))}
    for name in ("p", "q"):
        table = getattr(candidate, name)
        point |= {(name, int(g), int(k)): float(table[g, k]) for g, k in np.ndindex(*table.shape)}
    return point
