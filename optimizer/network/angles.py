"""Rows over the angles and neutrals of a flow, whatever its switches.

The angle across an open switch is free, and a grid-forming DER holds the same angle on every
phase, whichever that is.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.network import Network
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.turned_loops import roots_of
from gridproof.scenarios.zero_sequence import Floating, floating_sides, galvanic_parts

__all__ = ["WIDEST", "Held", "add_neutrals", "add_zero_sequence", "held_by"]

WIDEST = 0.5  # rad; a first-order flow says nothing about wider angles
_Node = tuple[int, int]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Held:
    """What one island's switches and former settle, so that its state is determined.

    Attributes
    ----------
    floating
        Delta sides that float in this state.
    pins
        Bus and phase where the angle is 0.
    part
        (bus,) galvanic parts in this state.
    home
        Part that the former stands in.
    """

    floating: tuple[Floating, ...]
    pins: tuple[_Node, ...]
    part: IntArray
    home: int


def held_by(network: Network, closed: BoolArray, blocks: tuple[int, ...], former: int) -> Held:
    """Follow an island from its former.

    Parameters
    ----------
    network
        The network.
    closed
        (switch,) states.
    blocks
        The island's blocks.
    former
        The DER that holds the voltage.
    """
    feeder, rules = network.scenario.feeder, network.zero_sequence
    inside = np.isin(network.block, blocks)
    conducts = feeder.lines.closed.copy()
    conducts[feeder.switches] = closed
    conducts &= inside[feeder.lines.from_bus] & inside[feeder.lines.to_bus]
    bus = int(network.der_bus[former])
    part = galvanic_parts(feeder, conducts)
    pins: list[_Node] = []
    wyes = {int(part[wye]): wye for wye, _, _ in rules.closures if inside[wye]}
    for there in dict.fromkeys(part[rules.angled & inside].tolist()):
        phases = network.phases & (part == there)[:, None]
        if there == part[bus]:
            pins.append((bus, int(np.argmax(network.phases[bus]))))
        elif there in wyes:
            pins.append((wyes[there], 0))
        else:
            pins += [
                (int(np.argmax(phases[:, k])), k) for k in np.flatnonzero(phases.any(0)).tolist()
            ]
    sides = [side for side in floating_sides(feeder, conducts, [bus]) if inside[side.bus]]
    return Held(floating=tuple(sides), pins=tuple(pins), part=part, home=int(part[bus]))


def add_neutrals(b: Any, network: Network, held: Held) -> dict[_Node, tuple[list[Any], list[Any]]]:
    """Add ``b.neutral``, the current that finds no way back from each floating part.

    It has to be zero: a constraint for whoever may choose, a limit to test where the flow
    follows from set-points.

    Returns
    -------
    dict
        Active and reactive terms that arrive at each bus and phase.
    """
    idle = {branch.unit for e, branch in enumerate(network.branches) if network.idle[e]}
    sides = [side for side in held.floating if side.unearthed and not idle.issuperset(side.units)]
    b.neutral = pyo.Var(range(len(sides)), range(2))
    terms: dict[_Node, tuple[list[Any], list[Any]]] = {}
    for n, side in enumerate(sides):
        for row, k in enumerate(side.phases):
            p, q = terms.setdefault((side.bus, k), ([], []))
            for into, block in zip((p, q), side.current(), strict=True):
                into += [float(block[row, c]) * b.neutral[n, c] for c in range(2)]
    return terms


def add_zero_sequence(
    b: Any, network: Network, decisions: Decisions, live: list[int], held: Held | None
) -> None:
    """Add ``b.angle`` and the rows over it.

    Parameters
    ----------
    b
        Block of a flow, with ``w``, ``p`` and ``q``.
    network, decisions
        Per-unit network; switches, blocks, sources.
    live
        Branches that may be live.
    held
        What settles the state of one island; None leaves it to decisions.
    """
    rules = network.zero_sequence
    b.theta = pyo.Var([node for node in b.w if rules.angled[node[0]]], bounds=(-WIDEST, WIDEST))
    b.angle = pyo.ConstraintList()
    here = set(live)
    for e, c, k in rules.along:
        if e in here:
            _add_fall(b, network, decisions, (e, c, k))
    _add_round_deltas(b, network, decisions, here)
    _add_links(b, network, here, held)
    for one, other, sign in rules.twins:
        if one[0] in here and other[0] in here:
            b.angle.add(_across(b, network, one) - sign * _across(b, network, other) == 0.0)
    for side in rules.floating if held is None else held.floating:
        centre = side.centre
        if centre is not None and all((side.bus, k) in b.w for k in side.phases):
            terms = [float(centre[k]) * b.w[side.bus, k] for k in side.phases]
            b.angle.add(sum(terms) == 0.0)
    for node in () if held is None else held.pins:
        b.angle.add(b.theta[node] == 0.0)
    _add_forming(b, network, decisions)


def _add_links(b: Any, network: Network, here: set[int], held: Held | None) -> None:
    """Mean fall of angles across banks in a loop; parts that are pinned one by one are offset."""
    links = [link for link in network.zero_sequence.links if all(e in here for e, _ in link[2])]
    offset: dict[int, Any] = {}
    if held is not None:
        ends = [(int(held.part[wye]), int(held.part[delta])) for wye, delta, _, _ in links]
        counted = {there for pair in ends for there in pair} - roots_of(ends, [held.home])
        b.turn = pyo.Var(sorted(counted))
        offset = {there: b.turn[there] for there in counted}
    for wye, delta, windings, (of_p, of_q) in links:
        beyond = sum(b.theta[wye, k] - b.theta[delta, k] for k in range(3))
        for k, at in enumerate(windings):
            beyond -= float(of_p[k]) * b.p[at] + float(of_q[k]) * b.q[at]
        if held is not None:
            beyond -= 3.0 * offset.get(int(held.part[wye]), 0.0)
            beyond += 3.0 * offset.get(int(held.part[delta]), 0.0)
        b.angle.add(beyond == 0.0)


def _add_round_deltas(b: Any, network: Network, decisions: Decisions, here: set[int]) -> None:
    """Kirchhoff's voltage law round every closed delta that may be live."""
    rules = network.zero_sequence
    for wye, windings, rows in rules.closures:
        if all(e in here for e, _ in windings):
            z = decisions.energized[int(network.block[wye])]
            for row in range(2):
                b.angle.add(_closure(b, (wye, windings, rows[:, row]), z) == 0.0)
    for windings, rows in rules.rings:
        if all(e in here for e, _ in windings):
            z = decisions.energized[int(network.block[network.branches[windings[0][0]].start])]
            for of_p, of_q, constant in rows.transpose(1, 0, 2):
                terms = [
                    float(of_p[k]) * b.p[at] + float(of_q[k]) * b.q[at]
                    for k, at in enumerate(windings)
                ]
                b.angle.add(sum(terms) + float(constant.sum()) * z == 0.0)


def _across(b: Any, network: Network, at: _Node) -> Any:
    """``x p - r q`` of a winding."""
    branch, c = network.branches[at[0]], at[1]
    x, r = -float(branch.drop_q[c, c]) / 2.0, -float(branch.drop_p[c, c]) / 2.0
    return x * b.p[at] - r * b.q[at]


def _closure(b: Any, where: tuple[int, tuple[_Node, ...], FloatArray], z: Any) -> Any:
    wye, windings, (of_w, of_angle, of_p, of_q, constant) = where
    total = float(constant.sum()) * z
    for k, at in enumerate(windings):
        total += float(of_w[k]) * b.w[wye, k] + float(of_angle[k]) * b.theta[wye, k]
        total += float(of_p[k]) * b.p[at] + float(of_q[k]) * b.q[at]
    return total


def _add_fall(b: Any, network: Network, decisions: Decisions, at: tuple[int, int, int]) -> None:
    """``θ_j = θ_i + (Mq p - Mp q)/2``; relaxed across an open switch."""
    e, c, k = at
    branch = network.branches[e]
    fall = b.theta[branch.end, k] - b.theta[branch.start, k]
    for d in range(0 if network.idle[e] else branch.channels):
        fall -= float(branch.drop_q[c, d]) / 2.0 * b.p[e, d]
        fall += float(branch.drop_p[c, d]) / 2.0 * b.q[e, d]
    closed = 1 if branch.switch < 0 else decisions.closed[branch.switch]
    _add_near_zero(b, fall, closed)


def _add_forming(b: Any, network: Network, decisions: Decisions) -> None:
    """Balanced phases at the bus of a DER that forms."""
    for g, bus in enumerate(network.der_bus.tolist()):
        forming = decisions.forming[g]
        nodes = [node for node in b.theta if node[0] == bus]
        if isinstance(forming, (int, float)) and forming == 0:
            continue
        for node in nodes[1:]:
            _add_near_zero(b, b.theta[node] - b.theta[nodes[0]], forming)


def _add_near_zero(b: Any, expression: Any, holds: Any) -> None:
    """``expression = 0`` where a decision is 1."""
    if isinstance(holds, (int, float)) and holds == 1:
        b.angle.add(expression == 0.0)
        return
    b.angle.add(expression <= 2.0 * WIDEST * (1 - holds))
    b.angle.add(expression >= -2.0 * WIDEST * (1 - holds))
