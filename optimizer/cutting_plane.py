"""Algorithm 1 of the partitioning paper, as printed: a master without physics, and cuts.

The master (M) knows radiality, (2)-(15), and of the second stage only the cuts (17b); every
vertex of Û is tried by (E), and the worst gives the next cut. Kept as the reference to
measure `optimizer.partitioning_master` against. It is the same problem with the same optimum;
what the text leaves open is settled as follows.

- **x** in π^T A (x - x_k) is every first-stage variable that (S1) holds: switch, block and
  forming states, base set-points, and the voltages held. (S1) holds copies of them, fixed at
  x_k, so π^T A is the vector of their reduced costs. Demand enters times z_bl; its share of
  the slope is that of the block's state.
- **The nominal load** must be served without re-dispatch, here as everywhere in gridproof.
  (S1) is therefore solved for the nominal load with o = 0 as well, before any vertex.
- **Two cuts, not one.** Where the slack is not zero, (17b) alone prices it at ω, and a master
  may rather pay ω than drop a block: Algorithm 1 then never ends. The same realization
  therefore gives a feasibility cut, ``h(x_k) + π_h^T A (x - x_k) ≤ 0`` with re-dispatch free
  of charge, which is exact whatever ω is. (17b) is added beside it, as printed.
- (S1) has a slack on the voltages held, beside that on the balance, so that it has a state
  for every x; both vanish in a plan.
- It ends when the best robust candidate is within the asked gap of the master's bound; the
  printed end, slack below ε, is not enough by itself, since θ may still lie below the cost.
"""

from __future__ import annotations

from dataclasses import dataclass
from time import perf_counter
from typing import Any

import numpy as np
import pyomo.environ as pyo
from scipy import sparse

from optimizer.constraints.devices import add_base_setpoints, add_redispatch, redispatch_usd
from optimizer.constraints.flow import Decisions, add_flow
from optimizer.constraints.network import BASE_KVA, Network
from optimizer.first_stage import FirstStage
from optimizer.methods.decomposition import Worst
from optimizer.methods.region import Region
from optimizer.methods.separation import MOST_UNCERTAIN, TOLERANCE
from optimizer.methods.solve import Answer, Arrays, compile_model, solve
from optimizer.methods.solve_again import LinearProgram
from optimizer.partitioning_master import add_cost, build_first_stage, decisions_of, read_candidate
from optimizer.partitioning_options import PartitioningOptions
from scenarios.arrays import FloatArray, IntArray
from scenarios.errors import ScenarioError, SolverError
from scenarios.plan import Termination
from scenarios.realization import realize

__all__ = ["CuttingPlaneMaster", "VertexSubproblems"]

_Point = dict[tuple[Any, ...], float]
_SMALL = 1e-9  # slopes below this are left out of a cut


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Cut:
    """``value + slope · (x - x_k)``, under θ or, for a feasibility cut, under 0."""

    value: float
    slope: _Point
    feasibility: bool


class VertexSubproblems:
    """(S1) and (E) of the whole network as one persistent program, x by its columns' bounds.

    Parameters
    ----------
    network
        Per-unit network of the step.
    budget
        Most loads off nominal at once, if limited.

    Raises
    ------
    ScenarioError
        If more than 12 loads are uncertain.
    """

    def __init__(self, network: Network, *, budget: float | None = None) -> None:
        self.network, box = network, network.scenario.uncertainty
        self.moving = np.flatnonzero(box.spread > 0.0)
        if len(self.moving) > MOST_UNCERTAIN:
            raise ScenarioError(
                f'[planner] method = "cutting_plane" tries every vertex of {len(self.moving)} '
                f"uncertain loads; it takes at most {MOST_UNCERTAIN} (4096 vertices). Name fewer "
                'loads, or use method = "column_and_constraint"'
            )
        self.region = Region.whole(len(self.moving), budget)
        self._cost_now: FloatArray = np.zeros(0)
        self._demand_now: FloatArray = np.zeros(0)
        self._demand: tuple[IntArray, IntArray, FloatArray, FloatArray]
        self._allowed = True
        self._compile()

    def first_stage_usd(self, candidate: FirstStage) -> float:
        """Shed and generation cost."""
        return candidate.cost_usd(self.network.scenario)

    def worst(self, candidate: FirstStage, *, time_limit_s: float) -> Worst:
        """Try the nominal load without re-dispatch, then every vertex (E)."""
        deadline = perf_counter() + time_limit_s
        self.fix(_point(candidate))
        nothing = np.zeros(self.network.scenario.uncertainty.size)
        slack, _ = self.value(None)
        if slack > TOLERANCE:
            return Worst(zeta=nothing, cost_usd=np.inf, violation=slack)
        best = (0.0, -1.0, nothing)
        for vertex in self.region.vertices():
            if perf_counter() > deadline:
                return Worst(
                    zeta=best[2], cost_usd=best[1], violation=best[0], complete=False,
                    bound_usd=np.inf,
                )  # fmt: skip
            slack, cost = self.value(vertex)
            if (slack, cost) > best[:2]:
                zeta = np.ones_like(nothing) if self.region.unlimited else nothing.copy()
                zeta[self.moving] = vertex
                best = (slack, cost, zeta)
        cost = np.inf if best[0] > 0.0 else best[1]
        return Worst(zeta=best[2], cost_usd=cost, violation=best[0])

    # ------------------------------------------------------------------ one realization

    def fix(self, point: _Point) -> None:
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
                    f"slack_usd_per_kw = {self.network.scenario.slack_usd_per_kw:g} is too low: "
                    "re-dispatch costs more than violated balance; raise it"
                )
            return slack, np.inf
        return 0.0, float(self._moved @ primal)

    def cuts(self, point: _Point, vertex: FloatArray | None) -> list[Cut]:
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

        self._slack = at(model.flow.excess, model.off)
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
        price = scenario.slack_usd_per_kw * BASE_KVA
        slack = sum(m.flow.excess.values()) + sum(m.off.values())
        m.cost = pyo.Objective(expr=price * slack + redispatch_usd(network, moved))
        return m


class CuttingPlaneMaster:
    """(M) with (17a), (3) and the cuts found so far.

    Parameters
    ----------
    network, options
        As for `optimizer.partitioning_master.PartitioningMaster`.
    subproblems
        What the cuts come from.
    """

    def __init__(
        self, network: Network, options: PartitioningOptions, subproblems: VertexSubproblems
    ) -> None:
        self.network, self.subproblems = network, subproblems
        self.kept: list[FloatArray] = []
        m = self.model = build_first_stage(network, options)
        add_base_setpoints(m, network, decisions_of(m))
        add_cost(m, network)
        m.cuts = pyo.ConstraintList()
        self._x: _Point = {}

    @property
    def realizations(self) -> int:
        """Distinct realizations that gave cuts."""
        return len(self.kept)

    def solve(self, *, gap: float, time_limit_s: float) -> tuple[Answer, FirstStage | None]:
        """Solve (M) as it stands."""
        answer = solve(self.model, gap=gap, time_limit_s=time_limit_s, tolerance=1e-9)
        if not answer.found:
            return answer, None
        candidate = read_candidate(self.model, self.network)
        self._x = _point(candidate)
        return answer, candidate

    def add(self, zeta: FloatArray) -> bool:
        """Cut off the last candidate where a realization, or the nominal load, says so."""
        m, new = self.model, False
        nominal = not zeta.any()
        if not nominal and not any(np.array_equal(zeta, known) for known in self.kept):
            self.kept.append(zeta.copy())
        vertex = None if nominal else zeta[self.subproblems.moving]
        theta = pyo.value(m.worst_redispatch)
        for cut in self.subproblems.cuts(self._x, vertex):
            change = pyo.quicksum(
                s * (self._variable(k) - self._x[k]) for k, s in cut.slope.items()
            )
            if cut.feasibility:
                m.cuts.add(cut.value + change <= 0.0)
                new = True
            else:
                m.cuts.add(cut.value + change <= m.worst_redispatch)
                new |= cut.value > theta + 1e-7 * max(1.0, abs(theta))
        return new

    def _variable(self, key: tuple[Any, ...]) -> Any:
        m = self.model
        if key[0] == "w":
            return m.source_w[key[1]]
        if key[0] in ("p", "q"):
            table = m.base.p if key[0] == "p" else m.base.q
            return table[key[1:]] if key[1:] in table else 0.0  # noqa: SIM401 - no dictionary
        return getattr(m, key[0])[key[1]]


def _point(candidate: FirstStage) -> _Point:
    """Values of every first-stage variable by its key."""
    point: _Point = {("w", g): float(w) for g, w in enumerate(candidate.source_w)}
    for name in ("closed", "energized", "forming"):
        point |= {(name, k): float(v) for k, v in enumerate(getattr(candidate, name))}
    for name in ("p", "q"):
        table = getattr(candidate, name)
        point |= {(name, int(g), int(k)): float(table[g, k]) for g, k in np.ndindex(*table.shape)}
    return point
