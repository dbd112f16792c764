"""From a decision and its nominal day to the plan that every engine holds."""

from __future__ import annotations

from dataclasses import replace
from types import MappingProxyType

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.decision import Decision
from gridproof.optimizer.resiliency.grid import Grid
from gridproof.optimizer.resiliency.guarded import GuardedDay
from gridproof.optimizer.resiliency.operation import Operation
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, index_of
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof
from gridproof.scenarios.provenance import facts_of
from gridproof.scenarios.scenario import Scenario

__all__ = ["der_ids", "on_scenario", "publish"]

_WHOLE = 1e-6  # of a load's demand: less than that is not shed


def der_ids(case: ResiliencyCase) -> tuple[str, ...]:
    """Name the DERs of a plan, in its order.

    The main grid, CHPs, storages, renewables, then a mobile generator for every site, named
    ``mobile_`` and the bus: a plan's axes cannot depend on where it places them.
    """
    sites = tuple(f"mobile_{case.network.bus_ids[b]}" for b in case.sites)
    return ("grid", *case.chps.ids, *case.storages.ids, *case.renewables.ids, *sites)


def publish(
    case: ResiliencyCase,
    grid: Grid,
    decision: Decision,
    day: GuardedDay,
    *,
    proof: Proof,
    terms: dict[str, float],
    worst_found: float,
    margin_pu: float,
) -> Plan:
    """Make the plan.

    Switches are the damaged lines and the ties, in the network's order; blocks bear the name of
    their first bus. Loads bear their bus' name: a share below 1 is what shedding and demand
    response leave of the load that there is.

    Parameters
    ----------
    day
        As `guarded_day` tells.
    """
    net, x, at, share = case.network, day.nominal.point, day.columns, day.share
    moving = np.flatnonzero(net.tie | net.damaged)
    closed = grid.lasting.copy()
    closed[:, grid.ties] = decision.closed
    forming, hosts = _forming(case, grid, decision, closed)
    p, q = _powers(case, at, x)
    first = [int(np.argmax(grid.block_of_bus == b)) for b in range(grid.blocks)]
    partial = np.flatnonzero((share < 1.0 - _WHOLE).any(axis=0))
    running = np.ones(p.shape, bool)
    running[:, 1 : 1 + len(case.chps.ids)] = decision.running
    count = len(case.sites)
    running[:, -count:] = decision.placed & (np.arange(len(p)) >= grid.first_mobile)[:, None]
    return Plan(
        family="resiliency",
        scenario_digest="",
        switch_ids=tuple(net.line_ids[k] for k in moving),
        block_ids=tuple(net.bus_ids[b] for b in first),
        der_ids=der_ids(case),
        closed=closed[:, moving],
        energized=decision.alive(case, grid),
        grid_forming=forming,
        source_v_pu=_forming_pu(
            case, x[at.v], forming, hosts=hosts, closed=closed, margin_pu=margin_pu
        ),
        p_kw=np.repeat(p[:, :, None], 3, axis=2) * 1e3 / 3.0,
        q_kvar=np.repeat(q[:, :, None], 3, axis=2) * 1e3 / 3.0,
        costs=MappingProxyType({
            **{name: 1e3 * value for name, value in terms.items()},
            "worst_found": 1e3 * worst_found,
            "published": 1e3 * day.most_kusd,
            "objective": 1e3 * proof.incumbent,
        }),
        proof=_in_usd(proof),
        partial_ids=tuple(net.bus_ids[b] for b in partial),
        served_share=share[:, partial],
        committed=running,
    )  # fmt: skip


def on_scenario(made: Plan, scenario: Scenario) -> Plan:
    """Put a plan on the axes of the scenario that its case was read from.

    The grid is the substation there, loads and blocks bear the feeder's names, and sites where no
    generator may stand have no DER.
    """
    feeder, ders = scenario.feeder, scenario.ders
    told = index_of(made.der_ids)
    names = np.where(ders.is_substation, "grid", np.array(ders.ids, dtype=object))
    at = [told[name] for name in names.tolist()]
    own = index_of(made.block_ids)
    block = np.zeros(len(feeder.blocks.ids), np.int64)
    for bus, name in enumerate(feeder.buses.ids):
        if name in own:
            block[feeder.blocks.of_bus[bus]] = own[name]
    column = index_of(made.partial_ids)
    cut = [(k, column[feeder.buses.ids[bus]]) for k, bus in enumerate(feeder.loads.bus.tolist())
           if feeder.buses.ids[bus] in column]  # fmt: skip
    return replace(
        made,
        scenario_digest=scenario.digest(),
        made_for=MappingProxyType(facts_of(scenario)),
        block_ids=feeder.blocks.ids,
        der_ids=ders.ids,
        energized=made.energized[:, block],
        grid_forming=made.grid_forming[:, at],
        source_v_pu=ders.held_pu(made.source_v_pu[:, at]),
        p_kw=made.p_kw[:, at],
        q_kvar=made.q_kvar[:, at],
        partial_ids=tuple(feeder.loads.ids[k] for k, _ in cut),
        served_share=made.served_share[:, [k for _, k in cut]],
        committed=None if made.committed is None else made.committed[:, at],
    )


def _in_usd(proof: Proof) -> Proof:
    return Proof(
        termination=proof.termination,
        incumbent=1e3 * proof.incumbent,
        bound=1e3 * proof.bound,
        asked_gap=proof.asked_gap,
        robust=proof.robust,
        iterations=proof.iterations,
        realizations_kept=proof.realizations_kept,
        seconds=proof.seconds,
        over="loads within their budgets, and prices within theirs, under the linear model",
    )


def _powers(case: ResiliencyCase, at: Operation, x: FloatArray) -> tuple[FloatArray, FloatArray]:
    """(hour, der) MW and Mvar of all phases together; the grid's Mvar are left to the physics."""
    hours = case.horizon.hours
    none = np.zeros((hours, len(case.storages.ids) + len(case.renewables.ids)))
    p = np.hstack([
        (x[at.bought] - x[at.sold])[:, None], x[at.chp_p] - x[at.spilled],
        x[at.discharged] - x[at.charged],
        x[at.renewable], x[at.mobile_p],
    ])  # fmt: skip
    q = np.hstack([np.zeros((hours, 1)), x[at.chp_q], none, x[at.mobile_q]])
    return p, q


def _forming(
    case: ResiliencyCase, grid: Grid, decision: Decision, closed: BoolArray
) -> tuple[BoolArray, IntArray]:
    """(hour, der) who forms: the grid where it is, else the largest machine of each island.

    Returns
    -------
    tuple of two arrays
        Who forms, and the (der,) bus of each DER.
    """
    net, hours = case.network, case.horizon.hours
    chps, sites = len(case.chps.ids), len(case.sites)
    hosts = np.concatenate([
        [net.root], case.chps.bus, case.storages.bus, case.renewables.bus, case.sites,
    ]).astype(int)  # fmt: skip
    size = np.zeros(len(hosts))
    size[0] = np.inf
    size[1 : 1 + chps] = case.chps.p_max_kw
    size[-sites:] = case.mobile.p_max_kw
    forming = np.zeros((hours, len(hosts)), bool)
    for t in range(hours):
        able = np.zeros(len(hosts), bool)
        able[0] = True
        able[1 : 1 + chps] = decision.running[t]
        able[-sites:] = decision.placed & (t >= grid.first_mobile)
        lines = closed[t]
        island = connected_components(len(net.bus_ids), net.from_bus[lines], net.to_bus[lines])
        for one in np.unique(island[hosts[able]]):
            own = np.flatnonzero(able & (island[hosts] == one))
            forming[t, own[np.argmax(size[own])]] = True
    return forming, hosts


def _forming_pu(
    case: ResiliencyCase,
    v: FloatArray,
    forming: BoolArray,
    *,
    hosts: IntArray,
    closed: BoolArray,
    margin_pu: float,
) -> FloatArray:
    """(hour, der) magnitude held: the island's profile lifted off the band's ends.

    An island without a root floats: only differences of its linear voltages mean anything. They
    are shifted so that the middle of the profile stands half of ``margin_pu`` above the band's, as
    far as the band has room: losses pull down what a linear model leaves up. The main grid holds
    its own.
    """
    net = case.network
    told = np.sqrt(v) if net.squared_voltage else v
    held = np.full(forming.shape, np.nan)
    for t, der in zip(*np.nonzero(forming), strict=True):
        if der == 0:
            held[t, der] = net.root_v_pu
            continue
        lines = closed[t]
        island = connected_components(len(net.bus_ids), net.from_bus[lines], net.to_bus[lines])
        own = told[t, island == island[hosts[der]]]
        middle = 0.5 * (net.v_min_pu + net.v_max_pu) + 0.5 * margin_pu
        lift = middle - 0.5 * (own.min() + own.max())
        lift = np.clip(lift, net.v_min_pu - own.min(), net.v_max_pu - own.max())
        held[t, der] = told[t, hosts[der]] + lift
    return held
