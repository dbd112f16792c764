"""The state of one island as an affine map of its DERs' powers and its loads.

With the switches, roles and held voltages of a plan fixed, LinDist3Flow of an island that is
a tree has as many equations as states: voltages, flows, and what the grid-forming DER
supplies follow from the other DERs' set-points ``u`` and the demand's deviation ``d`` from
nominal::

    x = x₀ + X_u u + X_d d

The equations are those of `optimizer.network.flow`, compiled, so a planner and its recourse
cannot differ.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.angles import held_by
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.flow import add_flow
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.solver.pyomo_model import compile_model
from gridproof.optimizer.solver.solve import Arrays
from gridproof.scenarios.arrays import PHASES, BoolArray, FloatArray, IntArray, index_of
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.feeder import Connection
from gridproof.scenarios.graph import connected_components
from scipy import sparse
from scipy.sparse.linalg import splu

__all__ = ["Affine", "IslandState", "island_state", "uncertain_nodes"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Affine:
    """Rows ``constant + of_u @ u + of_d @ d``."""

    constant: FloatArray
    of_u: FloatArray
    of_d: FloatArray

    def rows(self, index: IntArray) -> Affine:
        """Pick rows."""
        return Affine(constant=self.constant[index], of_u=self.of_u[index], of_d=self.of_d[index])

    def mixed(self, weights: FloatArray | sparse.csr_array) -> Affine:
        """Weigh and sum rows by (new row, row) weights; sparse ones where there are many rows."""
        return Affine(
            constant=weights @ self.constant,
            of_u=weights @ self.of_u,
            of_d=weights @ self.of_d,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class IslandState:
    """State map of one island.

    Attributes
    ----------
    controls
        (control, 2) DER and phase of each pair of entries of ``u``: first all active powers,
        then all reactive ones, of every DER but the first that forms (a substation, if one does).
    loaded
        (load node, 2) bus and phase of each pair of entries of ``d``, in the same order: where
        demand may leave nominal.
    w, flow_p, flow_q
        Maps of squared voltages at ``nodes`` (node, 2) bus and phase, and of channel powers
        at ``channels`` (channel, 2) branch and channel.
    der_p, der_q
        Maps of every live DER phase's power at ``outputs`` (output, 2) DER and phase.
    neutral
        Maps of the currents that find no way back from parts that only deltas feed, real and
        imaginary: zero in every state that can be.
    """

    controls: IntArray
    loaded: IntArray
    nodes: IntArray
    channels: IntArray
    outputs: IntArray
    w: Affine
    flow_p: Affine
    flow_q: Affine
    der_p: Affine
    der_q: Affine
    neutral: Affine


def island_state(
    network: Network,
    stage: FirstStage,
    blocks: tuple[int, ...],
    moving: BoolArray | None = None,
) -> IslandState:
    """Derive the state map of the island of some blocks.

    Parameters
    ----------
    network, stage, blocks
        The island.
    moving
        (bus, 3) where demand may leave nominal; everywhere if not given. ``d`` is stated of
        those alone: on large feeders its columns are most of the work and of the memory.

    Raises
    ------
    ScenarioError
        If the island has no grid-forming DER, has a load on a phase that this one does not
        reach, or holds a loop, so that LinDist3Flow does not determine its flows.
    """
    home = network.block[network.der_bus]
    inside = np.isin(home, blocks)
    formers = np.flatnonzero(stage.forming & inside)
    name = "+".join(network.scenario.feeder.blocks.ids[b] for b in blocks)
    if not len(formers):
        raise ScenarioError(f"island {name} has no grid-forming DER; audit the plan first")
    # the linear engine holds the same one: a substation before any DER
    former = min(formers.tolist(), key=lambda g: (g not in network.substations, g))
    _refuse_unheld(network, stage, blocks, former, name)
    m = _model(network, stage, blocks, former)
    arrays = compile_model(m)
    column = {id(v): k for k, v in enumerate(arrays.variables)}
    outputs = np.argwhere(network.der_phases & inside[:, None])
    controls = outputs[outputs[:, 0] != former]
    nodes = np.array([(i, k) for i, k in m.flow.w], dtype=np.int64).reshape(-1, 2)
    channels = np.array(list(m.flow.p), dtype=np.int64).reshape(-1, 2)

    def places(variable: Any, keys: IntArray) -> IntArray:
        found = [column[id(variable[tuple(key)])] for key in keys.tolist()]
        return np.array(found, dtype=np.int64)

    here = _loaded(network) & np.isin(network.block, blocks)[:, None]
    loaded = np.argwhere(here if moving is None else here & moving)
    use = np.concatenate([n[nodes[:, 0], nodes[:, 1]] for n in network.nominal])
    solved = _eliminate(
        arrays,
        controls=np.concatenate([places(m.p, controls), places(m.q, controls)]),
        moving=np.concatenate([places(m.use_p, loaded), places(m.use_q, loaded)]),
        demand=np.concatenate([places(m.use_p, nodes), places(m.use_q, nodes)]),
        use=use,
        name=name,
    )

    def maps(variable: Any, keys: IntArray) -> Affine:
        return solved.rows(places(variable, keys))

    return IslandState(
        controls=controls,
        loaded=loaded,
        nodes=nodes,
        channels=channels,
        outputs=outputs,
        w=maps(m.flow.w, nodes),
        flow_p=maps(m.flow.p, channels),
        flow_q=maps(m.flow.q, channels),
        der_p=maps(m.p, outputs),
        der_q=maps(m.q, outputs),
        neutral=maps(m.flow.neutral, np.array(list(m.flow.neutral), np.int64).reshape(-1, 2)),
    )


def _refuse_unheld(
    network: Network, stage: FirstStage, blocks: tuple[int, ...], former: int, name: str
) -> None:
    """Name a bus phase of the island that the DER which forms does not reach."""
    inside, bus = np.isin(network.block, blocks), int(network.der_bus[former])
    tails, heads = [], []
    for branch in network.branches:
        joined = branch.switch < 0 or stage.closed[branch.switch]
        if not (joined and inside[branch.start] and inside[branch.end]):
            continue
        for c in range(branch.channels):
            nodes = [3 * branch.start + int(k) for k in np.flatnonzero(branch.from_w[c])]
            nodes += [3 * branch.end + int(k) for k in np.flatnonzero(branch.to_w[c])]
            tails += nodes[:-1]
            heads += nodes[1:]
    part = connected_components(network.phases.size, np.array(tails, int), np.array(heads, int))
    held = part[3 * bus + np.flatnonzero(network.der_phases[former])]
    used = network.phases & inside[:, None] & _loaded(network)
    lost = np.argwhere(used & ~np.isin(part, held).reshape(-1, 3))
    if len(lost):
        feeder, ders = network.scenario.feeder, network.scenario.ders
        at, k = int(lost[0, 0]), int(lost[0, 1])
        raise ScenarioError(
            f"island {name}: nothing holds the voltage of phase {PHASES[k]} of bus "
            f"{feeder.buses.ids[at]}, where a load stands; DER {ders.ids[former]} forms the "
            "island and does not reach it: let a DER form that feeds every phase of the island"
        )


def _model(network: Network, stage: FirstStage, blocks: tuple[int, ...], former: int) -> Any:
    """Equations of one island with one voltage held; demands and DER powers are variables."""
    plain = stage.decisions(blocks)
    m = pyo.ConcreteModel()
    live = np.isin(network.block, blocks)
    nodes = [tuple(n) for n in np.argwhere(network.phases & live[:, None]).tolist()]
    ders = np.argwhere(network.der_phases & live[network.der_bus][:, None])
    m.p = pyo.Var([tuple(g) for g in ders.tolist()])
    m.q = pyo.Var([tuple(g) for g in ders.tolist()])
    m.use_p = pyo.Var(nodes)
    m.use_q = pyo.Var(nodes)
    decisions = Decisions(
        closed=plain.closed,
        energized=plain.energized,
        forming={g: int(g == former) for g in plain.forming},
        source_w=plain.source_w,
    )
    held = held_by(network, stage.closed, blocks, former)
    demand = (m.use_p, m.use_q)
    add_flow(m, network, decisions, (m.p, m.q), demand, reach=np.zeros(2), held=held)
    m.nothing = pyo.Objective(expr=0 * next(iter(m.use_p.values())))
    return m


def uncertain_nodes(network: Network) -> BoolArray:
    """(bus, 3) where a load of the uncertainty set can draw power."""
    where = index_of(network.scenario.feeder.loads.ids)
    return _loaded(network, [where[name] for name in network.scenario.uncertainty.load_ids])


def _loaded(network: Network, which: Sequence[int] | None = None) -> BoolArray:
    """(bus, 3) where some load, of all or of some, can draw power."""
    loads = network.scenario.feeder.loads
    somewhere = np.zeros(network.phases.shape, dtype=bool)
    for k in range(len(loads.ids)) if which is None else which:
        bus = int(loads.bus[k])
        slots = loads.slots[k]
        delta = loads.connection[k] is Connection.DELTA
        somewhere[bus] |= slots | np.roll(slots, 1) if delta else slots  # pair ab: a and b
    return np.asarray(somewhere & network.phases)


def _eliminate(
    arrays: Arrays,
    *,
    controls: IntArray,
    moving: IntArray,
    demand: IntArray,
    use: FloatArray,
    name: str,
) -> Affine:
    """Solve the equations for every column that is neither a control nor a demand."""
    total = arrays.matrix.shape[1]
    unknown = np.setdiff1d(np.arange(total), np.concatenate([controls, demand]))
    # a bus phase that nothing reaches has a balance without a flow in it
    stated = abs(arrays.matrix[:, unknown]).sum(axis=1) > 0.0
    equal = np.flatnonzero((arrays.row_lower == arrays.row_upper) & stated)
    rows = sparse.csc_array(arrays.matrix)[equal]
    if len(unknown) != len(equal):
        raise ScenarioError(
            f"island {name} has {len(unknown)} flows and voltages for {len(equal)} equations; a "
            "block that holds a loop of lines and transformers without switches is the usual "
            "cause (transformers beside each other on the same two buses are none): give the "
            "loop a switch, and open it"
        )
    try:
        solver = splu(sparse.csc_matrix(rows[:, unknown]))
    except RuntimeError as error:
        raise ScenarioError(
            f"island {name}: the linear model does not determine its flows; two ways for the "
            "same power, over transformers of different connection, are the usual cause: "
            "put a switch into one of them, and open it"
        ) from error
    constant = np.zeros(total)
    constant[unknown] = solver.solve(arrays.row_lower[equal] - rows[:, demand] @ use)
    of_u = np.zeros((total, len(controls)))
    of_d = np.zeros((total, len(moving)))
    if len(controls):
        of_u[unknown] = solver.solve(-rows[:, controls].toarray())
        of_u[controls, np.arange(len(controls))] = 1.0
    if len(moving):
        of_d[unknown] = solver.solve(-rows[:, moving].toarray())
    return Affine(constant=constant, of_u=of_u, of_d=of_d)
