"""LinDist3Flow of an unbalanced network, phase by phase, in place of one balanced phase.

Per unit on 1 MVA of a phase and the line-to-neutral base; w is the squared voltage of each phase.
What `optimizer.restoration.distflow` cannot see is here: phases that carry unlike loads and drive
each other's voltages over mutual impedances, laterals of one phase, delta loads, and capacitors,
which raise a lightly loaded phase above the band. Nothing says which way a phase's power goes:
behind a capacitor reactive power comes back, and a delta load's active power on one pair is
reactive power of its phases. A line that does not conduct carries none.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.network.branches import BASE_KVA, Branch
from gridproof.optimizer.network.feed_rows import Feed
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.restoration.distflow import FlowColumns
from gridproof.optimizer.solver.program import Program, Term
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.lindist import load_shares, polygon
from gridproof.scenarios.restoration import Outage
from scipy import sparse

__all__ = ["SafeZone", "add_three_phase_flow", "three_phase_network"]


def three_phase_network(case: Outage, ac_margin: float) -> Network:
    """Derive the per-unit network that is planned, its limits drawn in by a margin.

    Parameters
    ----------
    case
        What failed where.
    ac_margin
        pu of voltage kept clear of either end of the band; see `Network.of`.

    Raises
    ------
    ScenarioError
        If a load follows its voltage: a part of it that is served would be no linear matter.
    """
    scenario = case.scenario
    follows = [
        name
        for name, share in zip(
            scenario.feeder.loads.ids, map(load_shares, scenario.load_model), strict=True
        )
        if share.p_per_w or share.q_per_w
    ]
    if follows:
        raise ScenarioError(
            f'{scenario.name}: load {follows[0]} follows its voltage; model = "three_phase" sheds '
            'loads in part and needs constant power: set [feeder] load_model = "constant_power"'
        )
    return Network.of(scenario, 0, ac_margin=ac_margin)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class SafeZone:
    """What of a case may be live.

    Attributes
    ----------
    buses
        Positions of the safe buses; ``place`` (bus of the case,) where each stands among them.
    lines
        Positions of the lines between them, those of the feed's edges first.
    energized
        (safe bus,) column of each.
    stations
        Buses of the case whose substation may supply.
    formers, forming
        DERs of the case that can carry an island, and their columns.
    """

    buses: IntArray
    place: IntArray
    lines: IntArray
    energized: IntArray
    stations: IntArray
    formers: IntArray
    forming: IntArray


def add_three_phase_flow(
    m: Program, case: Outage, network: Network, feed: Feed, zone: SafeZone
) -> FlowColumns:
    """Add flows, voltages and the share of each bus's load that is served.

    ::

        Σ s into iφ - Σ s out of iφ + supply_iφ = d_iφ σ_i - B_i w_i,     0 ≤ σ_i ≤ y_i
        w_j = w_i + Mp p + Mq q             each phase of a line that conducts, (16d)
        |p|, |q| ≤ S used,   |p + jq| ≤ S   inner polygon, each phase of a line

    A line that may be open relaxes the voltage row by the band's width, no more; a capacitor of a
    dead bus gives nothing.
    """
    place = np.argwhere(network.phases[zone.buses])
    row = np.full((len(zone.buses), 3), -1, np.int64)
    row[tuple(place.T)] = np.arange(len(place))
    at, size = zone.buses[place[:, 0]], len(place)
    w = m.columns(size, lower=network.bus_w_min[at], upper=network.bus_w_max[at])
    nodes = _Nodes(place=place, row=row, w=w)
    share = m.columns(len(zone.buses))
    m.rows("served", (1.0, share), (-1.0, zone.energized), upper=0.0)
    named = {branch.name: branch for branch in network.branches}
    lines = [named[f"line {case.feeder.lines.ids[k]}"] for k in zone.lines.tolist()]
    channel = _Channels.of(lines, zone, row)
    p, q = _add_lines(m, network, feed, channel, w)
    demand = tuple(d[at, place[:, 1]] for d in network.nominal)
    supplies = _add_supply(m, case, network, zone, nodes)
    shunts = _add_shunts(m, network, zone, nodes)
    within = _at(len(zone.buses), place[:, 0]).T
    arriving = _at(size, channel.end) - _at(size, channel.start)
    for kind, flow in enumerate((p, q)):
        terms = [(arriving, flow), (-sparse.diags_array(demand[kind]) @ within, share)]
        terms += [(_at(size, node), columns[kind]) for node, columns in supplies]
        terms += [(-shunt[kind], live) for shunt, live in shunts]
        m.rows("balance", *terms, lower=0.0, upper=0.0)
    return FlowColumns(p=p, q=q, w=w, share=share)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Nodes:
    """Phases of safe buses: (node, 2) bus and phase, (bus, 3) node or -1, and columns of w."""

    place: IntArray
    row: IntArray
    w: IntArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Channels:
    """Phases of lines: line, node at either end, rating per unit; ``Mp`` and ``Mq`` of all."""

    line: IntArray
    start: IntArray
    end: IntArray
    limit: FloatArray
    drop_p: sparse.csr_array
    drop_q: sparse.csr_array

    @classmethod
    def of(cls, lines: list[Branch], zone: SafeZone, row: IntArray) -> _Channels:
        parts = []
        for k, one in enumerate(lines):
            for phase, (_, limit) in zip(one.from_w.argmax(axis=1), one.limits, strict=True):
                ends = (row[zone.place[one.start], phase], row[zone.place[one.end], phase])
                parts.append((k, *ends, limit))
        table = np.array(parts, float).reshape(-1, 4)
        whole = table[:, :3].astype(np.int64)
        return cls(
            line=whole[:, 0],
            start=whole[:, 1],
            end=whole[:, 2],
            limit=table[:, 3],
            drop_p=_diagonal([one.drop_p for one in lines]),
            drop_q=_diagonal([one.drop_q for one in lines]),
        )


def _diagonal(blocks: list[FloatArray]) -> sparse.csr_array:
    empty = [np.zeros((0, 0))]  # an island may be a single bus
    return sparse.csr_array(sparse.block_diag(blocks or empty, format="csr"))


def _add_lines(
    m: Program, network: Network, feed: Feed, channel: _Channels, w: IntArray
) -> tuple[IntArray, IntArray]:
    """Flows within ratings, and the voltage drops along them."""
    ample = np.array([_ample(demand) for demand in network.nominal]).sum()
    ample += float(np.abs(network.per_w_q).sum()) * network.phase_band[1]
    most = np.minimum(channel.limit, ample)
    p, q = (m.columns(len(most), lower=-most, upper=most) for _ in range(2))
    edges = len(feed.forward)
    moves = np.flatnonzero(channel.line < edges)
    used = [(group[channel.line[moves]], most[moves]) for group in feed.used]
    for flow in (p, q):
        for sign in (1.0, -1.0):
            terms = [(-limit, columns) for columns, limit in used]
            m.rows("used", (sign, flow[moves]), *terms, upper=0.0)
    rated = np.flatnonzero(np.isfinite(channel.limit))
    for cos, sin, reach in polygon(network.sides).tolist():
        bound = channel.limit[rated] * reach
        m.rows("rating", (cos, p[rated]), (sin, q[rated]), upper=bound)
    width = network.phase_band[1] - network.phase_band[0]

    def drop(kept: IntArray) -> tuple[Term, ...]:
        return (
            (1.0, w[channel.end[kept]]),
            (-1.0, w[channel.start[kept]]),
            (-channel.drop_p[kept], p),
            (-channel.drop_q[kept], q),
        )

    stays = np.flatnonzero(channel.line >= edges)
    m.rows("voltage", *drop(stays), lower=0.0, upper=0.0)
    relaxed = tuple((width, columns) for columns, _ in used)
    tight = tuple((-width, columns) for columns, _ in used)
    m.rows("voltage", *drop(moves), *relaxed, upper=width)
    m.rows("voltage", *drop(moves), *tight, lower=-width)
    return p, q


def _add_supply(
    m: Program, case: Outage, network: Network, zone: SafeZone, at: _Nodes
) -> list[tuple[IntArray, tuple[IntArray, IntArray]]]:
    """Nodes and powers of substations, which hold what they hold, and of DERs that form."""
    sources, found = case.feeder.sources, []
    held = dict(zip(sources.bus.tolist(), sources.v_pu.tolist(), strict=True))
    most = 2.0 * sum(_ample(demand) for demand in network.nominal)
    most += float(np.abs(network.per_w_q).sum()) * network.phase_band[1]
    nodes = at.row[zone.place[zone.stations]].ravel()
    p, q = (m.columns(len(nodes), lower=-most, upper=most) for _ in range(2))
    volts = np.array([held[bus] for bus in np.repeat(zone.stations, 3).tolist()], float)
    m.fix(at.w[nodes], volts**2)
    found.append((nodes, (p, q)))
    if len(zone.formers):
        found.append(_add_formers(m, case, network, zone, at))
    return found


def _add_formers(
    m: Program, case: Outage, network: Network, zone: SafeZone, at: _Nodes
) -> tuple[IntArray, tuple[IntArray, IntArray]]:
    """DERs that carry an island at nominal voltage, each phase within its capability."""
    ders, nodes = case.ders, at.row[zone.place[case.ders.bus[zone.formers]]].ravel()
    forming = np.repeat(zone.forming, 3)
    most = 2.0 * sum(_ample(demand) for demand in network.nominal)
    low_p, high_p, low_q, high_q, rating = (
        np.clip(limit[zone.formers].ravel() / BASE_KVA, -most, most)
        for limit in (
            ders.p_min_kw,
            ders.p_max_kw,
            ders.q_min_kvar,
            ders.q_max_kvar,
            ders.s_max_kva,
        )
    )
    p = m.columns(len(nodes), lower=np.minimum(low_p, 0.0), upper=np.maximum(high_p, 0.0))
    q = m.columns(len(nodes), lower=np.minimum(low_q, 0.0), upper=np.maximum(high_q, 0.0))
    for flow, low, high in ((p, low_p, high_p), (q, low_q, high_q)):
        m.rows("generator", (1.0, flow), (-high, forming), upper=0.0)
        m.rows("generator", (1.0, flow), (-low, forming), lower=0.0)
    for cos, sin, reach in polygon(network.sides).tolist():
        m.rows("generator", (cos, p), (sin, q), (-reach * rating, forming), upper=0.0)
    width = network.phase_band[1] - network.phase_band[0]
    m.rows("held", (1.0, at.w[nodes]), (width, forming), upper=1.0 + width)
    m.rows("held", (1.0, at.w[nodes]), (-width, forming), lower=1.0 - width)
    return nodes, (p, q)


def _add_shunts(
    m: Program, network: Network, zone: SafeZone, nodes: _Nodes
) -> list[tuple[tuple[sparse.csr_array, sparse.csr_array], IntArray]]:
    """Capacitors: columns ``w y`` of the buses that have one, and what each node asks by them."""
    own = network.per_w_p[zone.buses], network.per_w_q[zone.buses]
    has: BoolArray = (own[0] != 0.0).any(axis=(1, 2)) | (own[1] != 0.0).any(axis=(1, 2))
    bus = np.flatnonzero(has)
    row = nodes.row
    at = np.array([(i, k) for i in bus.tolist() for k in range(3) if row[i, k] >= 0], np.int64)
    if not len(at):
        return []
    node, y = row[tuple(at.T)], zone.energized[at[:, 0]]
    low, high = (ends[zone.buses[at[:, 0]]] for ends in (network.bus_w_min, network.bus_w_max))
    live = m.columns(len(at), upper=high)
    m.rows("live shunt", (1.0, live), (-high, y), upper=0.0)
    m.rows("live shunt", (1.0, live), (-low, y), lower=0.0)
    m.rows("live shunt", (1.0, live), (-1.0, nodes.w[node]), (-low, y), upper=-low)
    m.rows("live shunt", (1.0, live), (-1.0, nodes.w[node]), (-high, y), lower=-high)
    asked = tuple(_asked(table, at, node, len(nodes.w)) for table in own)
    return [((asked[0], asked[1]), live)]


def _asked(table: FloatArray, at: IntArray, node: IntArray, size: int) -> sparse.csr_array:
    """(node, column) power per unit of a phase's w, of the phases of one bus."""
    same = at[:, None, 0] == at[None, :, 0]
    rows, columns = np.nonzero(same)
    data = table[at[rows, 0], at[rows, 1], at[columns, 1]]
    return sparse.csr_array((data, (node[rows], columns)), shape=(size, len(at)))


def _ample(demand: FloatArray) -> float:
    return float(np.abs(demand).sum())


def _at(size: int, node: IntArray) -> sparse.csr_array:
    count = len(node)
    return sparse.csr_array((np.ones(count), (node, np.arange(count))), shape=(size, count))
