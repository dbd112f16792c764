"""LinDist3Flow of one load realization, on and off by block and by switch.

Per unit, 1 MVA per phase. For every energised bus i and phase φ, with the symbols of the
partitioning paper (its (16d): the bus downstream of a flow ``i → j`` is ``j``; its block
index in (16l) is that of the bus)::

    z_l w_min ≤ w_i ≤ z_l w_max                                                       (16c)
    w_j - w_i = Mp p_ij + Mq q_ij                                                     (16d)
    |s_ij| ≤ S_ij,  times z_sw for a switch, by an inner polygon               (16e), (16f)
    transformers by their windings, see `scenarios.lindist.transformer_maps`  (16g) to (16k)
    Σ out - Σ in = generation - z_l demand - (what follows w)                         (16l)
    angles, neutrals and twin windings, see `optimizer.network.angles`
    |w_i,φ - W_g| ≤ (w_max - w_min)(1 - z_inv_g)        at the bus of DER g, W_g shared
    w_i,φ - Mp p_g - Mq q_g = z_inv_g W_g                at the bus of substation g, W_g given

An open switch carries nothing and leaves its two voltages free of each other: (16d) is then
relaxed by the width of the voltage band. That suffices because it is stated on ``w - z w_min``,
which lies in ``[0, width]`` whether a block is live or dead.

Every decision may be a Pyomo variable or a plain 0 or 1. With plain numbers nothing is
stated for dead parts, demands may be variables, and every limit may keep a margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.angles import Held, add_neutrals, add_zero_sequence
from gridproof.optimizer.network.branches import Branch
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.network import Margins, Network
from gridproof.optimizer.network.reach import ample
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.lindist import PAIR_W, polygon

__all__ = ["add_flow"]

_ZERO = 1e-12


def add_flow(
    m: Any,
    network: Network,
    decisions: Decisions,
    injection: tuple[Mapping[tuple[int, int], Any], Mapping[tuple[int, int], Any]],
    demand: tuple[Any, Any],
    *,
    margin: Margins | None = None,
    reach: FloatArray | None = None,
    slack: bool = False,
    held: Held | None = None,
) -> Any:
    """Add ``m.flow``: the power flow of one realization.

    Parameters
    ----------
    m
        Model or block that receives the constraints.
    network, decisions
        Per-unit network; switches, blocks, sources.
    injection
        Active and reactive power of each (DER, phase), variables or numbers.
    demand
        Active and reactive demand ``[bus, phase]``: arrays, or variables if all is plain.
    margin
        Normalised margins that limits must keep. Plain decisions only.
    reach
        (2,) bounds on any channel's active and reactive power, from `reach.flow_reach`.
    slack
        Whether the balance may be violated: ``excess`` over and under, per bus and phase; and,
        per phase, what a substation holds: ``held_excess``.
    held
        What settles the state of one island (then with ``neutral``); None leaves it to
        decisions.

    Returns
    -------
    pyomo.environ.Block
        With variables ``w``, ``p``, ``q`` and ``theta``.
    """
    m.flow = pyo.Block()
    b = m.flow
    nodes, live = _live_parts(network, decisions)
    carrying = [e for e in live if not network.idle[e]]
    channels = [(e, c) for e in carrying for c in range(network.branches[e].channels)]
    most = _wide(reach)
    bound = [(None, None) if slack or np.isinf(r) else (-r, r) for r in most]
    b.w = pyo.Var(nodes, bounds=(0.0, network.phase_band[1]))
    b.p = pyo.Var(channels, bounds=bound[0])
    b.q = pyo.Var(channels, bounds=bound[1])
    for name in ("band", "drop", "apparent", "box", "balance_p", "balance_q", "source"):
        setattr(b, name, pyo.ConstraintList())
    if slack:
        b.excess = pyo.Var(("p", "q"), nodes, ("over", "under"), bounds=(0.0, None))
        grid = [(g, k) for g in network.substations for k in _phases_of(network, g)]
        b.held_excess = pyo.Var(grid, ("over", "under"), bounds=(0.0, None))
    _add_voltage_band(b, network, decisions, margin)
    _add_drops(b, network, decisions, live)
    switched = [network.branches[e] for e in carrying if network.branches[e].switch >= 0]
    unrated = any(np.isinf(limit) for branch in switched for _, limit in branch.limits)
    most_of_all = ample(network) if unrated else np.inf
    for e in carrying:
        block = int(network.block[network.branches[e].start])
        kept = 0 if margin is None else margin.kept["flow", block]
        _add_apparent_limits(b, network, decisions, e, kept=kept, reach=most, ample=most_of_all)
    made = _arrivals(b, network, nodes, carrying, injection)
    for node, terms in add_neutrals(b, network, held).items() if held else ():
        for arrivals, more in zip(made, terms, strict=True):
            arrivals[node] += more
    _add_balance(b, network, decisions, made, demand)
    _add_sources(b, network, decisions)
    _add_substations(b, network, decisions, injection)
    add_zero_sequence(b, network, decisions, live, held)
    return b


def _live_parts(network: Network, decisions: Decisions) -> tuple[list[tuple[int, int]], list[int]]:
    """Bus phases and branches that may be live."""
    energized, closed = decisions.energized, decisions.closed
    may = [not is_plain(energized[block], 0) for block in network.block.tolist()]
    nodes = [(i, k) for i, k in np.argwhere(network.phases).tolist() if may[i]]
    there = np.any(network.phases, axis=1)  # a bus without phases is seen from its root alone
    live = [
        e
        for e, branch in enumerate(network.branches)
        if may[branch.start]
        and may[branch.end]
        and there[branch.start]
        and there[branch.end]
        and not (branch.switch >= 0 and is_plain(closed[branch.switch], 0))
    ]
    return nodes, live


def is_plain(decision: Any, value: float) -> bool:
    """Whether a decision is the plain number given, not a variable."""
    return isinstance(decision, (int, float)) and decision == value


def _wide(reach: FloatArray | None) -> tuple[float, float]:
    return (np.inf, np.inf) if reach is None else (float(reach[0]), float(reach[1]))


def _add_voltage_band(
    b: Any, network: Network, decisions: Decisions, margin: Margins | None
) -> None:
    """(16c), on phases or on pairs; dead buses have ``w = 0``."""
    low, high = network.phase_band
    for i in dict.fromkeys(i for i, _ in b.w):
        block = int(network.block[i])
        z = decisions.energized[block]
        w_min, w_max = float(network.bus_w_min[i]), float(network.bus_w_max[i])
        inside = 0 if margin is None else (w_max - w_min) / 2.0 * margin.kept["voltage", block]
        held = np.flatnonzero(network.phases[i]).tolist()
        for k in held:
            least, most = (low, high) if network.pairwise else (w_min, w_max)
            kept = 0 if network.pairwise else inside
            b.band.add(b.w[i, k] >= least * z + kept)
            b.band.add(b.w[i, k] <= most * z - kept)
        for row in PAIR_W if network.pairwise else ():
            ends = np.flatnonzero(row).tolist()
            if set(ends) <= set(held):
                pair = _dot(row[ends], [b.w[i, k] for k in ends])
                b.band.add(pair >= w_min * z + inside)
                b.band.add(pair <= w_max * z - inside)


def _add_drops(b: Any, network: Network, decisions: Decisions, live: list[int]) -> None:
    for e in live:
        _add_drop(b, network, decisions, e)


def _add_drop(b: Any, network: Network, decisions: Decisions, e: int) -> None:
    """(16d) and (16g), (16i); relaxed by the band's width across an open switch."""
    branch = network.branches[e]
    low, high = network.phase_band
    i, j = branch.start, branch.end
    z_i, z_j = (decisions.energized[int(network.block[bus])] for bus in (i, j))
    for c in range(branch.channels):
        fall = _dot(branch.to_w[c], [b.w[j, k] if branch.to_w[c, k] else 0 for k in range(3)])
        fall -= _dot(branch.from_w[c], [b.w[i, k] if branch.from_w[c, k] else 0 for k in range(3)])
        along = range(0 if network.idle[e] else branch.channels)
        fall -= sum(float(branch.drop_p[c, d]) * b.p[e, d] for d in along)
        fall -= sum(float(branch.drop_q[c, d]) * b.q[e, d] for d in along)
        if len(branch.offset):
            fall -= float(branch.offset[c]) * _both_live(decisions, branch, z_i, z_j)
        if branch.switch < 0 or is_plain(decisions.closed[branch.switch], 1):
            b.drop.add(fall == 0.0)
            continue
        free = (high - low) * (1 - decisions.closed[branch.switch])
        level = low * (z_j - z_i)  # nothing where both sides are live
        b.drop.add(fall - level <= free)
        b.drop.add(fall - level >= -free)


def _both_live(decisions: Decisions, branch: Branch, z_i: Any, z_j: Any) -> Any:
    """1 where a branch carries something: between live ends, over a switch that is closed."""
    if branch.switch < 0:
        return z_i
    closed = decisions.closed[branch.switch]
    return closed if not is_plain(closed, 1) else z_j


def _add_apparent_limits(
    b: Any,
    network: Network,
    decisions: Decisions,
    e: int,
    *,
    kept: Any,
    reach: tuple[float, float],
    ample: float,
) -> None:
    """(16e), (16f): polygons, left out where `reach` shows they cannot bind."""
    branch = network.branches[e]
    closed = decisions.closed[branch.switch] if branch.switch >= 0 else 1
    sides = polygon(network.sides)
    for weights, limit in branch.limits:
        along = np.flatnonzero(weights).tolist()
        if not is_plain(closed, 1):
            bound = ample if np.isinf(limit) else limit
            for flow, most in ((b.p, min(bound, reach[0])), (b.q, min(bound, reach[1]))):
                for c in along:
                    b.box.add(flow[e, c] <= most * closed)
                    b.box.add(flow[e, c] >= -most * closed)
        if np.isinf(limit):
            continue
        if is_plain(kept, 0) and len(along) * np.hypot(*reach) <= sides[0, 2] * limit:
            continue
        p = _dot(weights[along], [b.p[e, c] for c in along])
        q = _dot(weights[along], [b.q[e, c] for c in along])
        for cosine, sine, inner in sides.tolist():
            b.apparent.add(cosine * p + sine * q <= inner * limit * (closed - kept))


_Terms = dict[tuple[int, int], list[Any]]


def _arrivals(
    b: Any,
    network: Network,
    nodes: list[tuple[int, int]],
    live: list[int],
    injection: tuple[Mapping[tuple[int, int], Any], Mapping[tuple[int, int], Any]],
) -> tuple[_Terms, _Terms]:
    """Collect what is injected at, or flows into, each bus phase: active and reactive."""
    p: _Terms = {node: [] for node in nodes}
    q: _Terms = {node: [] for node in nodes}
    for (g, k), power in injection[0].items():
        node = (int(network.der_bus[g]), k)
        if node in p:
            p[node].append(power)
            q[node].append(injection[1][g, k])
    for e in live:
        branch = network.branches[e]
        for bus, active, reactive in (
            (branch.start, -branch.from_active, -branch.from_reactive),
            (branch.end, branch.to_active, branch.to_reactive),
        ):
            for k in range(3):
                if (bus, k) not in p:
                    continue
                for c in _along(active[k]):
                    p[bus, k].append(float(active[k, c]) * b.p[e, c])
                    q[bus, k].append(float(active[k, c]) * b.q[e, c])
                for c in _along(reactive[k]):
                    p[bus, k].append(float(reactive[k, c]) * b.q[e, c])
                    q[bus, k].append(-float(reactive[k, c]) * b.p[e, c])
    return p, q


def _add_balance(
    b: Any,
    network: Network,
    decisions: Decisions,
    made: tuple[_Terms, _Terms],
    demand: tuple[Any, Any],
) -> None:
    """(16l) per bus and phase: what is made and arrives is what is used."""
    slack = b.component("excess")
    for rows, arrivals, use, lost, per_w, kind in (
        (b.balance_p, made[0], demand[0], network.lost[0], network.per_w_p, "p"),
        (b.balance_q, made[1], demand[1], network.lost[1], network.per_w_q, "q"),
    ):
        for (i, k), terms in arrivals.items():
            z = decisions.energized[int(network.block[i])]
            net = 0.0 * b.w[i, k] + sum(terms) - (use[i, k] + float(lost[i, k])) * z
            for d in _along(per_w[i, k]):
                net -= float(per_w[i, k, d]) * b.w[i, d]
            if slack is not None:
                net += slack[kind, i, k, "over"] - slack[kind, i, k, "under"]
            rows.add(net == 0.0)


def _add_sources(b: Any, network: Network, decisions: Decisions) -> None:
    """Hold one magnitude on all phases of a grid-forming DER's bus."""
    low, high = network.phase_band
    for g, bus in enumerate(network.der_bus.tolist()):
        forming = decisions.forming[g]
        if is_plain(forming, 0) or is_plain(decisions.energized[int(network.block[bus])], 0):
            continue
        if g in network.substations:
            continue
        for k in np.flatnonzero(network.phases[bus]).tolist():
            if is_plain(forming, 1):
                b.source.add(b.w[bus, k] - decisions.source_w[g] == 0.0)
                continue
            off = b.w[bus, k] - low * decisions.energized[int(network.block[bus])]
            off -= decisions.source_w[g] - low
            free = (high - low) * (1 - forming)
            b.source.add(off <= free)
            b.source.add(off >= -free)


def _add_substations(
    b: Any,
    network: Network,
    decisions: Decisions,
    injection: tuple[Mapping[tuple[int, int], Any], Mapping[tuple[int, int], Any]],
) -> None:
    """Hold a substation's magnitude behind its impedance; where it is dead, all terms are 0.

    ``W_g`` is stated as given plus what ``source_w`` differs from it: nothing, except where a
    relaxation may move what is held.
    """
    (p, q), slack = injection, b.component("held_excess")
    for g, own in network.substations.items():
        bus, forming = int(network.der_bus[g]), decisions.forming[g]
        if is_plain(forming, 0) or is_plain(decisions.energized[int(network.block[bus])], 0):
            continue
        held = own.w * forming + (decisions.source_w[g] - own.w)
        along = _phases_of(network, g)
        for k in along:
            fall = _dot(own.drop_p[k, along], [p[g, d] for d in along])
            fall += _dot(own.drop_q[k, along], [q[g, d] for d in along])
            if slack is not None:  # unlike a DER's, its phases' voltages follow its powers
                fall += slack[g, k, "over"] - slack[g, k, "under"]
            b.source.add(b.w[bus, k] - fall - held == float(own.offset[k]) * forming)


def _phases_of(network: Network, der: int) -> list[int]:
    """Phases that a substation feeds."""
    return list(np.flatnonzero(network.der_phases[der]).tolist())


def _along(weights: FloatArray) -> list[int]:
    """Positions that count."""
    return list(np.flatnonzero(np.abs(weights) > _ZERO).tolist())


def _dot(weights: FloatArray, terms: list[Any]) -> Any:
    """Weighted sum that leaves out zero weights."""
    return sum(float(a) * x for a, x in zip(weights, terms, strict=True) if abs(a) > _ZERO)
