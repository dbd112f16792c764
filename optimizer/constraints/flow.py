"""LinDist3Flow of one load realization, on and off by block and by switch.

Per unit, 1 MVA per phase. For every energised bus i and phase φ, with the symbols of the
partitioning paper (its (16d): the bus downstream of a flow ``i → j`` is ``j``; its block
index in (16l) is that of the bus)::

    z_l w_min ≤ w_i ≤ z_l w_max                                                       (16c)
    w_j - w_i = Mp p_ij + Mq q_ij                                                     (16d)
    |s_ij| ≤ S_ij,  times z_sw for a switch, by an inner 16-gon                 (16e), (16f)
    transformers by their windings, see `scenarios.lindist.transformer_maps`  (16g) to (16k)
    Σ out - Σ in = generation - z_l demand - (what follows w)                         (16l)
    |w_i,φ - W_g| ≤ (w_max - w_min)(1 - z_inv_g)        at the bus of DER g, W_g shared

An open switch carries nothing and leaves its two voltages free of each other: (16d) is then
relaxed by the width of the voltage band. That suffices because it is stated on ``w - z w_min``,
which lies in ``[0, width]`` whether a block is live or dead.

Every decision may be a Pyomo variable or a plain 0 or 1. With plain numbers nothing is
stated for dead parts, demands may be variables, and every limit may keep a margin.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo

from optimizer.constraints.network import Branch, Network
from scenarios.arrays import FloatArray
from scenarios.lindist import PAIR_W, polygon

__all__ = ["Decisions", "add_flow", "flow_reach"]

SIDES = 16
_ZERO = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True)
class Decisions:
    """First-stage decisions, each a Pyomo variable or a plain number.

    Attributes
    ----------
    closed, energized, forming
        Per switch, per block, per DER (0 for a DER that cannot form).
    source_w
        Squared voltage magnitude that each DER holds if it forms.
    """

    closed: Mapping[int, Any]
    energized: Mapping[int, Any]
    forming: Mapping[int, Any]
    source_w: Mapping[int, Any]


def add_flow(
    m: Any,
    network: Network,
    decisions: Decisions,
    injection: tuple[Mapping[tuple[int, int], Any], Mapping[tuple[int, int], Any]],
    demand: tuple[Any, Any],
    *,
    margin: Mapping[tuple[str, int], Any] | None = None,
    reach: FloatArray | None = None,
    slack: bool = False,
) -> Any:
    """Add ``m.flow``: the power flow of one realization.

    Parameters
    ----------
    m
        Model or block that receives the constraints.
    network
        Per-unit network.
    decisions
        Switches, blocks, sources.
    injection
        Active and reactive power of each (DER, phase), variables or numbers.
    demand
        Active and reactive constant demand, indexed ``[bus, phase]``: arrays, or (with plain
        decisions) variables.
    margin
        Normalised margin that each limit must keep, by kind (see `MARGINS`) and block. Plain
        decisions only.
    reach
        (2,) bounds on any channel's active and reactive power, from `flow_reach`.
    slack
        Whether the balance may be violated: ``surplus`` and ``deficit`` per bus and phase.

    Returns
    -------
    pyomo.environ.Block
        ``m.flow`` with variables ``w``, ``p``, ``q``.
    """
    m.flow = pyo.Block()
    b = m.flow
    energized, closed = decisions.energized, decisions.closed
    buses = [i for i, l in enumerate(network.block.tolist()) if not is_plain(energized[l], 0)]
    nodes = [(i, k) for i in buses for k in np.flatnonzero(network.phases[i]).tolist()]
    live = [
        e
        for e, branch in enumerate(network.branches)
        if not is_plain(energized[int(network.block[branch.start])], 0)
        and not is_plain(energized[int(network.block[branch.end])], 0)
        and not (branch.switch >= 0 and is_plain(closed[branch.switch], 0))
    ]
    channels = [(e, c) for e in live for c in range(network.branches[e].channels)]
    wide = slack or reach is None
    bounds = [(None, None) if wide else (-float(r), float(r)) for r in (_wide(reach))]
    b.w = pyo.Var(nodes, bounds=(0.0, network.phase_band[1]))
    b.p = pyo.Var(channels, bounds=bounds[0])
    b.q = pyo.Var(channels, bounds=bounds[1])
    for name in ("band", "drop", "apparent", "box", "balance_p", "balance_q", "source"):
        setattr(b, name, pyo.ConstraintList())
    if slack:
        b.excess = pyo.Var(("p", "q"), nodes, ("over", "under"), bounds=(0.0, None))
    _add_voltage_band(b, network, decisions, buses, margin)
    for e in live:
        block = int(network.block[network.branches[e].start])
        kept = 0 if margin is None else margin["flow", block]
        _add_drop(b, network, decisions, e)
        _add_apparent_limits(b, network.branches[e], decisions, e, kept, _wide(reach))
    _add_balance(b, network, decisions, nodes, live, injection, demand)
    _add_sources(b, network, decisions)
    return b


def flow_reach(
    network: Network, low: tuple[FloatArray, FloatArray], high: tuple[FloatArray, FloatArray],
    dead: tuple[int, ...] = (),
) -> FloatArray | None:
    """Bounds no channel's active and reactive power can pass, whatever the tree.

    What flows over a branch of a tree is what one side supplies and the other consumes, so it
    is at most the smaller of all supply and all demand of its phase (negative demand counts
    as supply and the other way about). None where a transformer mixes phases.

    Parameters
    ----------
    network
        Per-unit network.
    low, high
        Least and largest active and reactive demand, (bus, 3) each.
    dead
        Blocks that cannot be live; what stands in them does not count.
    """
    alive = ~np.isin(network.block, dead)
    for branch in network.branches:
        if alive[branch.start] and (branch.from_reactive.any() or branch.to_reactive.any()):
            return None
    ders, at = network.ders, alive[network.der_bus][:, None]
    reach = []
    for k, (least, most, per_w) in enumerate(
        ((ders.p_min, ders.p_max, network.per_w_p), (ders.q_min, ders.q_max, network.per_w_q))
    ):
        hanging = per_w[alive] * network.phase_band[1]
        use = np.maximum(high[k], 0.0)[alive].sum(0) + np.maximum(hanging, 0.0).sum((0, 2))
        give = np.maximum(-low[k], 0.0)[alive].sum(0) + np.maximum(-hanging, 0.0).sum((0, 2))
        made = (np.maximum(most, 0.0) * at).sum(0)
        taken = (np.maximum(-least, 0.0) * at).sum(0)
        reach.append(float(np.minimum(made + give, use + taken).max()))
    return np.array(reach)


def is_plain(decision: Any, value: float) -> bool:
    """Whether a decision is the plain number given, not a variable."""
    return isinstance(decision, (int, float)) and decision == value


def _wide(reach: FloatArray | None) -> tuple[float, float]:
    return (np.inf, np.inf) if reach is None else (float(reach[0]), float(reach[1]))


def _add_voltage_band(
    b: Any,
    network: Network,
    decisions: Decisions,
    buses: list[int],
    margin: Mapping[tuple[str, int], Any] | None,
) -> None:
    """(16c), on phases or on pairs; dead buses have ``w = 0``."""
    half = (network.w_max - network.w_min) / 2.0
    low, high = network.phase_band
    for i in buses:
        block = int(network.block[i])
        z = decisions.energized[block]
        inside = 0 if margin is None else half * margin["voltage", block]
        held = np.flatnonzero(network.phases[i]).tolist()
        for k in held:
            least, most = (low, high) if network.pairwise else (network.w_min, network.w_max)
            kept = 0 if network.pairwise else inside
            b.band.add(b.w[i, k] >= least * z + kept)
            b.band.add(b.w[i, k] <= most * z - kept)
        for row in PAIR_W if network.pairwise else ():
            ends = np.flatnonzero(row).tolist()
            if set(ends) <= set(held):
                pair = _dot(row[ends], [b.w[i, k] for k in ends])
                b.band.add(pair >= network.w_min * z + inside)
                b.band.add(pair <= network.w_max * z - inside)


def _add_drop(b: Any, network: Network, decisions: Decisions, e: int) -> None:
    """(16d) and (16g), (16i); relaxed by the band's width across an open switch."""
    branch = network.branches[e]
    low, high = network.phase_band
    i, j = branch.start, branch.end
    z_i, z_j = (decisions.energized[int(network.block[bus])] for bus in (i, j))
    for c in range(branch.channels):
        fall = _dot(branch.to_w[c], [b.w[j, k] if branch.to_w[c, k] else 0 for k in range(3)])
        fall -= _dot(branch.from_w[c], [b.w[i, k] if branch.from_w[c, k] else 0 for k in range(3)])
        along = range(branch.channels)
        fall -= _dot(branch.drop_p[c], [b.p[e, d] for d in along])
        fall -= _dot(branch.drop_q[c], [b.q[e, d] for d in along])
        if branch.switch < 0 or is_plain(decisions.closed[branch.switch], 1):
            b.drop.add(fall == 0.0)
            continue
        free = (high - low) * (1 - decisions.closed[branch.switch])
        level = low * (z_j - z_i)  # nothing where both sides are live
        b.drop.add(fall - level <= free)
        b.drop.add(fall - level >= -free)


def _add_apparent_limits(
    b: Any, branch: Branch, decisions: Decisions, e: int, kept: Any, reach: tuple[float, float]
) -> None:
    """(16e), (16f): polygons, left out where `reach` shows they cannot bind."""
    closed = decisions.closed[branch.switch] if branch.switch >= 0 else 1
    sides = polygon(SIDES)
    for weights, limit in branch.limits:
        along = np.flatnonzero(weights).tolist()
        if not is_plain(closed, 1):
            for flow, most in ((b.p, min(limit, reach[0])), (b.q, min(limit, reach[1]))):
                for c in along:
                    b.box.add(flow[e, c] <= most * closed)
                    b.box.add(flow[e, c] >= -most * closed)
        if is_plain(kept, 0) and len(along) * np.hypot(*reach) <= sides[0, 2] * limit:
            continue
        p = _dot(weights[along], [b.p[e, c] for c in along])
        q = _dot(weights[along], [b.q[e, c] for c in along])
        for cosine, sine, inner in sides.tolist():
            b.apparent.add(cosine * p + sine * q <= inner * limit * (closed - kept))


def _add_balance(
    b: Any,
    network: Network,
    decisions: Decisions,
    nodes: list[tuple[int, int]],
    live: list[int],
    injection: tuple[Mapping[tuple[int, int], Any], Mapping[tuple[int, int], Any]],
    demand: tuple[Any, Any],
) -> None:
    """(16l) per bus and phase: what leaves is what is made less what is used."""
    made_p: dict[tuple[int, int], list[Any]] = {node: [] for node in nodes}
    made_q: dict[tuple[int, int], list[Any]] = {node: [] for node in nodes}
    for (g, k), power in injection[0].items():
        node = (int(network.der_bus[g]), k)
        if node in made_p:
            made_p[node].append(power)
            made_q[node].append(injection[1][g, k])
    for e in live:
        branch = network.branches[e]
        for bus, active, reactive, sign in (
            (branch.start, branch.from_active, branch.from_reactive, -1.0),
            (branch.end, branch.to_active, branch.to_reactive, 1.0),
        ):
            for k in range(3):
                if (bus, k) not in made_p:
                    continue
                for c in range(branch.channels):
                    if active[k, c]:
                        made_p[bus, k].append(sign * active[k, c] * b.p[e, c])
                        made_q[bus, k].append(sign * active[k, c] * b.q[e, c])
                    if reactive[k, c]:
                        made_p[bus, k].append(sign * reactive[k, c] * b.q[e, c])
                        made_q[bus, k].append(-sign * reactive[k, c] * b.p[e, c])
    for rows, made, use, per_w, kind in (
        (b.balance_p, made_p, demand[0], network.per_w_p, "p"),
        (b.balance_q, made_q, demand[1], network.per_w_q, "q"),
    ):
        for i, k in nodes:
            z = decisions.energized[int(network.block[i])]
            net = sum(made[i, k]) - use[i, k] * z
            for d in np.flatnonzero(np.abs(per_w[i, k]) > _ZERO).tolist():
                net -= per_w[i, k, d] * b.w[i, d]
            if b.component("excess") is not None:
                net += b.excess[kind, i, k, "over"] - b.excess[kind, i, k, "under"]
            rows.add(net == 0.0)


def _add_sources(b: Any, network: Network, decisions: Decisions) -> None:
    """A grid-forming DER holds one magnitude on all phases of its bus."""
    low, high = network.phase_band
    for g, bus in enumerate(network.der_bus.tolist()):
        forming = decisions.forming[g]
        if is_plain(forming, 0) or is_plain(decisions.energized[int(network.block[bus])], 0):
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


def _dot(weights: FloatArray, terms: list[Any]) -> Any:
    """Weighted sum that leaves out zero weights."""
    return sum(float(a) * x for a, x in zip(weights, terms, strict=True) if abs(a) > _ZERO)
