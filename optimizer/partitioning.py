"""Robust partitioning and operation of a distribution grid.

After H. Moring, H. Nagarajan, K. Girigoudar, D. M. Fobes, J. L. Mathieu, "Robust Partitioning
and Operation for Maximal Uncertain-Load Delivery in Distribution Grids". First stage: switch
states, live blocks, grid-forming roles, the voltage each grid-forming DER holds, and base
set-points that serve the nominal load by themselves. Second stage, once the load is known:
re-dispatch within capability and ramp. Feasible for **every** load of the set, proven::

    min  Σ α_l (1 - z_l) + Σ c_g p_g + θ,    θ ≥ Σ c_g (o⁺ + o⁻) for every realization

Corrections to the printed text. (16d): the bus downstream of a flow ``i → j`` is ``j``. (E)
prints ``s0 + ζ⁺ s̄ - ζ⁻ s̲``; consistent with the set Û it is ``ζ⁺ s̄ + ζ⁻ s̲``. (S1) prints an
undefined ``o_g``; ``o⁺ + o⁻`` is used, so that θ ≥ 0. (16l), (18b)-(18e): the block index is that
of the bus. "1190 kW, 53.2 % of the total load": 53.2 % is the share left unserved.

Methods: ``column_and_constraint`` keeps a full LinDist3Flow copy of the nominal load and of
each realization found, and stops when no realization costs more than θ; ``nominal`` is the
deterministic counterpart, whose plan is not robust and never certified as such.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
import pyomo.environ as pyo

from optimizer.centring import centre
from optimizer.constraints.blocks import add_block_energisation, add_grid_forming_coloring
from optimizer.constraints.devices import add_base_setpoints, add_redispatch, redispatch_usd
from optimizer.constraints.flow import Decisions, add_flow, flow_reach
from optimizer.constraints.network import BASE_KVA, Network
from optimizer.constraints.topology import FORMULATIONS, BlockGraph, add_radiality
from optimizer.first_stage import FirstStage
from optimizer.methods.decomposition import Outcome, PlanProgress, Worst, decompose
from optimizer.methods.separation import VertexSeparation
from optimizer.methods.solve import Answer, solve
from optimizer.plans import assemble, no_plan, refuse_loops
from scenarios.arrays import FloatArray
from scenarios.realization import realize

if TYPE_CHECKING:
    from scenarios.plan import Plan
    from scenarios.scenario import Scenario

__all__ = ["METHODS", "PartitioningOptions", "PartitioningPlanner"]

METHODS = ("column_and_constraint", "nominal")
SEPARATIONS = ("enumeration",)


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitioningOptions:
    """How a partitioning plan is searched for.

    Attributes
    ----------
    method
        ``column_and_constraint`` or ``nominal``.
    separation
        ``enumeration`` of the vertices, island by island.
    radiality
        Formulation of the spanning-forest constraints.
    gap
        Relative gap at which a plan counts as certified.
    time_limit_s
        Wall time for the whole search.
    ac_margin
        pu of voltage, and the like share of every other limit, kept clear in all planning
        copies; see `optimizer.constraints.network.Network.of`.
    max_iterations
        Most master solves.
    min_energized_blocks
        A plan must keep at least this many blocks live.
    min_served_kw
        A plan must serve at least this nominal load.
    centre
        Whether base set-points and held voltages, which the cost alone leaves on limits,
        are moved to where the least margin is largest, at the same cost.

    Raises
    ------
    ValueError
        Naming every fault.
    """

    method: str = "column_and_constraint"
    separation: str = "enumeration"
    radiality: str = "multi_commodity"
    gap: float = 1e-4
    time_limit_s: float = 600.0
    ac_margin: float = 0.0
    max_iterations: int = 100
    min_energized_blocks: int = 0
    min_served_kw: float = 0.0
    centre: bool = True

    def __post_init__(self) -> None:
        faults = [
            f"{name} = {value!r} is not known; it must be one of {', '.join(known)}"
            for name, value, known in (
                ("method", self.method, METHODS),
                ("separation", self.separation, SEPARATIONS),
                ("radiality", self.radiality, tuple(FORMULATIONS)),
            )
            if value not in known
        ]
        faults += [
            f"{name} = {value!r} must be {wanted}"
            for name, value, wanted, fits in (
                ("gap", self.gap, "at least 1e-9 and below 1", 1e-9 <= self.gap < 1.0),
                ("time_limit_s", self.time_limit_s, "above 0", self.time_limit_s > 0.0),
                ("ac_margin", self.ac_margin, "in [0, 0.05) pu", 0.0 <= self.ac_margin < 0.05),
                ("max_iterations", self.max_iterations, "at least 1", self.max_iterations >= 1),
                (
                    "min_energized_blocks",
                    self.min_energized_blocks,
                    "at least 0",
                    self.min_energized_blocks >= 0,
                ),
                ("min_served_kw", self.min_served_kw, "at least 0", self.min_served_kw >= 0.0),
            )
            if not fits
        ]
        if faults:
            raise ValueError("; ".join(faults))


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitioningPlanner:
    """Plans a scenario, each step on its own."""

    options: PartitioningOptions = field(default_factory=PartitioningOptions)

    def plan(
        self, scenario: Scenario, *, progress: Callable[[PlanProgress], None] | None = None
    ) -> Plan:
        """Find a plan and what can be proven about it.

        Raises
        ------
        NoPlanExists
            If it is proven that no plan satisfies the scenario and the options' requirements.
        PlanNotFound
            If a limit came before any robust plan was found.
        ScenarioError
            If the scenario cannot be planned for by this method.
        """
        began = perf_counter()
        refuse_loops(scenario)
        steps = []
        for time in range(len(scenario.hours)):
            left = self.options.time_limit_s - (perf_counter() - began)
            outcome = _plan_step(scenario, time, self.options, left, progress)
            if outcome.candidate is None:
                raise no_plan(scenario, time, self.options, outcome.proof)
            steps.append(outcome)
        return assemble(scenario, steps, robust=self.options.method != "nominal")


def _plan_step(
    scenario: Scenario,
    time: int,
    options: PartitioningOptions,
    time_limit_s: float,
    progress: Callable[[PlanProgress], None] | None,
) -> Outcome[FirstStage]:
    network = Network.of(scenario, time, ac_margin=options.ac_margin)
    master = PartitioningMaster(network, options)
    oracle: Any = VertexSeparation(network=network, reach=master.reach)
    if options.method == "nominal":
        oracle = _NominalOnly(network)
    elif (scenario.uncertainty.spread > 0.0).any():
        for corner in (1.0, -1.0):
            master.add(np.full(scenario.uncertainty.size, corner))
    outcome = decompose(
        master,
        oracle,
        gap=options.gap,
        time_limit_s=max(time_limit_s, 0.0),
        max_iterations=options.max_iterations,
        progress=progress,
    )
    if outcome.candidate is None or not options.centre:
        return outcome
    left = time_limit_s - outcome.proof.seconds["total"]
    return centre(network, oracle, outcome, master.kept, time_limit_s=left)


class _NominalOnly:
    """The oracle of the deterministic counterpart: nothing moves, nothing costs."""

    def __init__(self, network: Network) -> None:
        self._scenario = network.scenario

    def first_stage_usd(self, candidate: FirstStage) -> float:
        return candidate.cost_usd(self._scenario)

    def worst(self, candidate: FirstStage, *, time_limit_s: float) -> Worst:  # noqa: ARG002
        return Worst(zeta=np.zeros(self._scenario.uncertainty.size), cost_usd=0.0, violation=0.0)


class PartitioningMaster:
    """The first stage with a LinDist3Flow copy per realization: problem (M), by columns.

    Parameters
    ----------
    network
        Per-unit network of the step.
    options
        Formulation and requirements.
    """

    def __init__(self, network: Network, options: PartitioningOptions) -> None:
        self.network, self.options = network, options
        self.kept: list[FloatArray] = []
        m = self.model = pyo.ConcreteModel()
        graph = BlockGraph.of(network.scenario)
        add_states(m, network, graph)
        add_radiality(m, graph, m.closed, formulation=options.radiality)
        add_block_energisation(m, graph, m.closed, m.energized)
        add_grid_forming_coloring(
            m,
            graph,
            m.closed,
            m.energized,
            [m.forming[g] for g in np.flatnonzero(network.scenario.ders.can_form).tolist()],
            k_der=network.scenario.limits.grid_forming_per_island,
        )
        add_requirements(m, network, options)
        self.decisions = _decisions(m)
        self.reach = _reach(network, self.decisions)
        add_base_setpoints(m, network, self.decisions)
        add_nominal_flow(m, network, self.decisions, self.reach)
        add_cost(m, network)
        m.realization = pyo.Block(pyo.NonNegativeIntegers)

    @property
    def realizations(self) -> int:
        """Realizations held beside the nominal."""
        return len(self.kept)

    def add(self, zeta: FloatArray) -> bool:
        """Take in a realization; false if it is already there."""
        if any(np.array_equal(zeta, known) for known in self.kept):
            return False
        self.kept.append(zeta.copy())
        add_realization(
            self.model,
            self.network,
            self.decisions,
            zeta,
            number=len(self.kept),
            reach=self.reach,
        )
        return True

    def solve(self, *, gap: float, time_limit_s: float) -> tuple[Answer, FirstStage | None]:
        """Solve (M) as it stands."""
        answer = solve(self.model, gap=gap, time_limit_s=time_limit_s, start=bool(self.kept))
        return answer, self._candidate() if answer.found else None

    def _candidate(self) -> FirstStage:
        m, count = self.model, len(self.network.der_bus)
        p, q = np.zeros((count, 3)), np.zeros((count, 3))
        for (g, k), variable in m.base.p.items():
            if _state(m.energized[int(self.network.block[self.network.der_bus[g]])]):
                p[g, k], q[g, k] = pyo.value(variable), pyo.value(m.base.q[g, k])
        energized = np.array([_state(v) for v in m.energized.values()], dtype=bool)
        # a closed switch between dead blocks does nothing: leave it open unless it is locked
        useful = energized[self.network.scenario.feeder.switch_blocks].any(axis=1)
        useful |= self.network.scenario.locked
        return FirstStage(
            closed=useful & np.array([_state(v) for v in m.closed.values()], dtype=bool),
            energized=energized,
            forming=np.array([_state(v) for v in m.forming.values()], dtype=bool),
            source_w=np.array([pyo.value(v) for v in m.source_w.values()], dtype=float),
            p=p,
            q=q,
        )


def add_states(m: Any, network: Network, graph: BlockGraph) -> None:
    """z_sw, z_bl, z_inv (15) and W; locked switches and blocks without a source are fixed."""
    scenario = network.scenario
    m.closed = pyo.Var(range(len(graph.switch_ids)), domain=pyo.Binary)
    m.energized = pyo.Var(range(len(graph.block_ids)), domain=pyo.Binary)
    m.forming = pyo.Var(range(len(network.der_bus)), domain=pyo.Binary)
    m.source_w = pyo.Var(
        range(len(network.der_bus)), bounds=(network.w_min, network.w_max), initialize=1.0
    )
    kept = scenario.feeder.lines.closed[scenario.feeder.switches]
    for k in np.flatnonzero(scenario.locked).tolist():
        m.closed[k].fix(int(kept[k]))
    usable = [k for k in range(len(graph.switch_ids)) if not (scenario.locked[k] and not kept[k])]
    for blocks in graph.components(usable):
        if not set(blocks) & set(graph.former_blocks):
            for block in blocks:
                m.energized[block].fix(0)
    for g, bus in enumerate(network.der_bus.tolist()):
        if not scenario.ders.can_form[g] or m.energized[int(network.block[bus])].fixed:
            m.forming[g].fix(0)


def add_requirements(m: Any, network: Network, options: PartitioningOptions) -> None:
    """State what the options ask a plan to reach, if anything."""
    if options.min_energized_blocks > 0:
        m.enough_blocks = pyo.Constraint(
            expr=pyo.quicksum(m.energized.values()) >= options.min_energized_blocks
        )
    if options.min_served_kw > 0.0:
        demand = network.scenario.block_demand_kw(network.time)
        m.enough_served = pyo.Constraint(
            expr=sum(float(d) * m.energized[b] for b, d in enumerate(demand))
            >= options.min_served_kw
        )


def add_nominal_flow(
    m: Any, network: Network, decisions: Decisions, reach: FloatArray | None
) -> None:
    """(16c)-(16l) at the nominal load, served by the base set-points alone."""
    m.nominal = pyo.Block()
    add_flow(m.nominal, network, decisions, (m.base.p, m.base.q), network.nominal, reach=reach)


def add_cost(m: Any, network: Network) -> None:
    """(M): shed and generation cost and the worst re-dispatch cost θ, in USD."""
    scenario = network.scenario
    m.worst_redispatch = pyo.Var(bounds=(0.0, None))
    shed = sum(float(a) * (1 - m.energized[b]) for b, a in enumerate(scenario.shed_usd))
    price = scenario.ders.cost_usd_per_kw * BASE_KVA
    made = sum(float(price[g]) * v for (g, _), v in m.base.p.items())
    m.cost = pyo.Objective(expr=shed + made + m.worst_redispatch)


def add_realization(
    m: Any,
    network: Network,
    decisions: Decisions,
    zeta: FloatArray,
    *,
    number: int,
    reach: FloatArray | None,
) -> None:
    """(18a)-(18f) without slack for one realization, and its cost under θ."""
    b = m.realization[number]
    draw = realize(network.scenario, zeta[None])
    demand = network.demand(draw.p_kw[0, network.time], draw.q_kvar[0, network.time])
    moved = add_redispatch(b, network, decisions, (m.base.p, m.base.q))
    add_flow(b, network, decisions, (moved.p, moved.q), demand, reach=reach)
    b.epigraph = pyo.Constraint(expr=m.worst_redispatch >= redispatch_usd(network, moved))


def _decisions(m: Any) -> Decisions:
    """Variables where there is a choice, plain numbers where there is none."""

    def plain(table: Any) -> dict[int, Any]:
        return {k: int(v.value) if v.fixed else v for k, v in table.items()}

    return Decisions(
        closed=plain(m.closed),
        energized=plain(m.energized),
        forming=plain(m.forming),
        source_w=dict(m.source_w.items()),
    )


def _reach(network: Network, decisions: Decisions) -> FloatArray | None:
    size = network.scenario.uncertainty.size
    draws = realize(network.scenario, np.array([np.ones(size), -np.ones(size)]))
    p, q = network.demand(draws.p_kw[:, network.time], draws.q_kvar[:, network.time])
    dead = tuple(b for b, z in decisions.energized.items() if isinstance(z, int) and z == 0)
    return flow_reach(network, (p.min(0), q.min(0)), (p.max(0), q.max(0)), dead)


def _state(variable: Any) -> bool:
    return bool(round(pyo.value(variable)))
