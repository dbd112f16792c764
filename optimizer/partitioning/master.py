"""The first stage (M): states, base set-points, and a copy of the second stage per realization."""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.devices import add_base_setpoints, add_redispatch, redispatch_usd
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.laterals import SeenNetwork
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.reach import flow_reach
from gridproof.optimizer.partitioning.blocks import (
    add_block_energisation,
    add_grid_forming_coloring,
)
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.packing import Packing
from gridproof.optimizer.partitioning.topology import BlockGraph, add_radiality
from gridproof.optimizer.solver.pyomo_model import compile_model, solve
from gridproof.optimizer.solver.solve import Answer
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.realization import realize
from pyomo.common.errors import InfeasibleConstraintException

__all__ = ["PartitioningMaster", "add_cost", "build_first_stage", "decisions_of", "read_candidate"]

_PACKING_SHARE = 0.5  # of the time for a master


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
        m = self.model = build_first_stage(network, options)
        self.decisions = decisions_of(m)
        self.reach = _reach(network, self.decisions)
        self._seen = SeenNetwork.of(network)
        add_base_setpoints(m, network, self.decisions)
        m.nominal = pyo.Block()
        base = m.base.p, m.base.q
        self._seen.add_flow(m.nominal, self.decisions, base, network.nominal, reach=self.reach)
        add_cost(m, network)
        m.realization = pyo.Block(pyo.NonNegativeIntegers)
        self._knows = _propose_own_state(m, network, self._seen)
        self._packing: Packing | None = None
        self._packs = True

    @property
    def realizations(self) -> int:
        """Realizations held beside the nominal."""
        return len(self.kept)

    @property
    def packed(self) -> bool:
        """Whether the last solution was found as a packing of islands."""
        return self._packing is not None

    def add(self, zeta: FloatArray) -> bool:
        """Take in a realization; false if it is already there."""
        if any(np.array_equal(zeta, known) for known in self.kept):
            return False
        self.kept.append(zeta.copy())
        self._add_realization(zeta)
        if self._packing is not None:
            self._packing.narrow(self._demand(zeta)[0])
        return True

    def solve(self, *, gap: float, time_limit_s: float) -> tuple[Answer, FirstStage | None]:
        """Solve (M) as it stands: as a packing of islands, or over all states at once."""
        began = perf_counter()
        packed = self._packed(gap=gap, time_limit_s=_PACKING_SHARE * time_limit_s)
        if packed is not None:
            return replace(packed, seconds=perf_counter() - began), self._candidate()
        start = self._knows or bool(self.kept)
        left_s = time_limit_s - (perf_counter() - began)
        answer = solve(self.model, gap=gap, time_limit_s=left_s, start=start)
        answer = replace(answer, seconds=perf_counter() - began)
        return answer, self._candidate() if answer.found else None

    def _candidate(self) -> FirstStage:
        return read_candidate(self.model, self.network)

    def _packed(self, *, gap: float, time_limit_s: float) -> Answer | None:
        """Solve as a packing, and leave it in the variables; None, ever after, where that fails."""
        began = perf_counter()
        if self._packs and self._packing is None:
            self._packing = self._islands()
        self._packs = self._packing is not None
        if self._packing is None:
            return None
        try:
            arrays = compile_model(self.model)
        except InfeasibleConstraintException:
            return None
        left_s = time_limit_s - (perf_counter() - began)
        found = self._packing.solve(arrays, gap=gap, time_limit_s=left_s)
        if found is None:
            self._packing, self._packs = None, False
            return None
        for variable, value in zip(arrays.variables, found[1].tolist(), strict=True):
            variable.set_value(value, skip_validation=True)
        return found[0]

    def _islands(self) -> Packing | None:
        """List the islands that may be packed, with what is known by now; None if none are."""
        packing = Packing.of(self.network, self.options, self.model)
        if packing is not None:
            for zeta in self.kept:
                packing.narrow(self._demand(zeta)[0])
        return packing

    def _demand(self, zeta: FloatArray) -> tuple[FloatArray, FloatArray]:
        draw, time = realize(self.network.scenario, zeta[None]), self.network.time
        return self.network.demand(draw.p_kw[0, time], draw.q_kvar[0, time])

    def _add_realization(self, zeta: FloatArray) -> None:
        """(18a)-(18f) without slack for one realization, and its cost under θ."""
        m, network = self.model, self.network
        b = m.realization[len(self.kept)]
        demand = self._demand(zeta)
        moved = add_redispatch(b, network, self.decisions, (m.base.p, m.base.q))
        self._seen.add_flow(b, self.decisions, (moved.p, moved.q), demand, reach=self.reach)
        b.epigraph = pyo.Constraint(expr=m.worst_redispatch >= redispatch_usd(network, moved))


def _propose_own_state(m: Any, network: Network, seen: SeenNetwork) -> bool:
    """Leave the feeder's own state in the states' variables, for a search to begin with.

    Where the grid is there, all that it reaches over the feeder's own closed switches is usually
    served; on a feeder of 9 500 nodes a search that begins there ends in seconds, and one that
    does not in minutes. Blocks that no plan has live are left out. False where the grid is lost.
    """
    scenario = network.scenario
    grids = [g for g in network.substations if not (m.forming[g].fixed and not m.forming[g].value)]
    if not grids:
        return False
    graph, shut = BlockGraph.of(scenario), scenario.feeder.lines.closed[scenario.feeder.switches]
    dead = set(seen.lacking(network.nominal))
    dead |= {block for block, live in m.energized.items() if live.fixed and not live.value}
    usable = [k for k in np.flatnonzero(shut).tolist() if not dead & set(graph.ends[k])]
    home = {int(network.block[network.der_bus[g]]) for g in grids} - dead
    live = {b for blocks in graph.components(usable) if home & set(blocks) for b in blocks}
    for table, states in (
        (m.energized, {block: block in live for block in m.energized}),
        (m.closed, {k: k in usable and live.issuperset(graph.ends[k]) for k in m.closed}),
        (m.forming, {g: g in grids and int(network.block[network.der_bus[g]]) in live
                     for g in m.forming}),
    ):  # fmt: skip
        for position, state in states.items():
            if not table[position].fixed:
                table[position].set_value(int(state), skip_validation=True)
    return True


def build_first_stage(network: Network, options: PartitioningOptions) -> Any:
    """Build a model with the states, radiality, (2), (4)-(15), and what the options ask for."""
    m = pyo.ConcreteModel()
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
    return m


def read_candidate(m: Any, network: Network) -> FirstStage:
    """Read the first stage off a solved master; a dead DER makes nothing."""
    count = len(network.der_bus)
    p, q = np.zeros((count, 3)), np.zeros((count, 3))
    for (g, k), variable in m.base.p.items():
        if _state(m.energized[int(network.block[network.der_bus[g]])]):
            p[g, k], q[g, k] = pyo.value(variable), pyo.value(m.base.q[g, k])
    energized = np.array([_state(v) for v in m.energized.values()], dtype=bool)
    live = energized[network.block[network.der_bus]][:, None]
    p = np.where(live, network.ders.inside_totals(p), 0.0)
    q = np.where(live, network.ders.planes.inside(p, q), 0.0)
    # a closed switch between dead blocks does nothing: leave it open unless it is locked
    useful = energized[network.scenario.feeder.switch_blocks].any(axis=1)
    useful |= network.scenario.locked
    return FirstStage(
        closed=useful & np.array([_state(v) for v in m.closed.values()], dtype=bool),
        energized=energized,
        forming=np.array([_state(v) for v in m.forming.values()], dtype=bool),
        source_w=np.array([pyo.value(v) for v in m.source_w.values()], dtype=float),
        p=p,
        q=q,
    )


def add_states(m: Any, network: Network, graph: BlockGraph) -> None:
    """z_sw, z_bl, z_inv (15) and W; locked switches and blocks without a source are fixed.

    A live substation forms its island, and the voltage it holds is given.
    """
    scenario = network.scenario
    m.closed = pyo.Var(range(len(graph.switch_ids)), domain=pyo.Binary)
    m.energized = pyo.Var(range(len(graph.block_ids)), domain=pyo.Binary)
    m.forming = pyo.Var(range(len(network.der_bus)), domain=pyo.Binary)
    m.source_w = pyo.Var(
        range(len(network.der_bus)),
        bounds=lambda _, g: network.held_w(g),
        initialize=lambda _, g: network.held_w(g)[0] if g in network.substations else 1.0,
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
    # nothing stands between a substation's bus and the grid: live, it is the grid that forms
    m.fed = pyo.Constraint(
        [g for g in network.substations if not m.forming[g].fixed],
        rule=lambda m, g: m.forming[g] == m.energized[int(network.block[network.der_bus[g]])],
    )


def add_requirements(m: Any, network: Network, options: PartitioningOptions) -> None:
    """State what the options ask a plan to reach, if anything."""
    if options.min_energized_blocks > 0:
        m.enough_blocks = pyo.Constraint(
            expr=pyo.quicksum(m.energized.values()) >= options.min_energized_blocks
        )
    demand = network.scenario.block_consumption_kw(network.time)
    served = sum(float(d) * m.energized[b] for b, d in enumerate(demand))
    if options.min_served_kw > 0.0:
        m.enough_served = pyo.Constraint(expr=served >= options.min_served_kw)
    if options.max_served_kw is not None and demand.sum() > options.max_served_kw:
        m.little_served = pyo.Constraint(expr=served <= options.max_served_kw)


def add_cost(m: Any, network: Network) -> None:
    """(M): shed and generation cost and the worst re-dispatch cost θ, in USD."""
    scenario = network.scenario
    m.worst_redispatch = pyo.Var(bounds=(0.0, None))
    shed = sum(float(a) * (1 - m.energized[b]) for b, a in enumerate(scenario.shed_usd))
    price = scenario.ders.cost_usd_per_kw * BASE_KVA
    made = sum(float(price[g]) * v for (g, _), v in m.base.p.items())
    m.cost = pyo.Objective(expr=shed + made + m.worst_redispatch)


def decisions_of(m: Any) -> Decisions:
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
    """Bound what any channel carries at the nominal load and anywhere in the set."""
    low, high = network.demand_range()
    dead = tuple(b for b, z in decisions.energized.items() if isinstance(z, int) and z == 0)
    return flow_reach(network, low, high, dead)


def _state(variable: Any) -> bool:
    return bool(round(pyo.value(variable)))
