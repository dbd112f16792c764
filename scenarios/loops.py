"""Loops that nobody can open.

Power in a loop of lines divides by their impedances: magnitudes and angles round it close, which
the linear model states where a part holds one (`looped_buses`), and over closed delta-wye banks
(`scenarios.turned_loops`). A loop over other transformers that turn phases it cannot state.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from gridproof.scenarios.arrays import BoolArray
from gridproof.scenarios.feeder import Connection, Feeder
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.turned_loops import in_loops, unlike_turns
from gridproof.scenarios.zero_sequence import earthed_banks, galvanic_parts, twin_windings

__all__ = ["looped_buses", "turning_blocks", "turning_units", "unswitchable_loops"]

Edge = tuple[int, int, str]


def looped_buses(feeder: Feeder, closed: BoolArray) -> BoolArray:
    """(bus,) buses of galvanic parts in which lines that are no switches close a loop.

    Parameters
    ----------
    feeder
        The feeder.
    closed
        (line,) lines that conduct.
    """
    lines, units = feeder.lines, feeder.transformers
    fixed, part = closed & ~lines.switchable, galvanic_parts(feeder, closed)
    wye = [
        k
        for k in range(len(units.ids))
        if units.from_connection[k] is units.to_connection[k] is Connection.WYE
        and units.primary[k] < 0
    ]
    found = np.zeros(len(feeder.buses.ids), bool)
    for phase in range(3):
        own = np.flatnonzero(fixed & lines.phases[:, phase])
        banks = {
            (int(units.from_bus[k]), int(units.to_bus[k])) for k in wye if units.windings[k, phase]
        }
        ends = [
            *zip(lines.from_bus[own].tolist(), lines.to_bus[own].tolist(), strict=True),
            *{(min(pair), max(pair)) for pair in banks},
        ]
        tails, heads = np.array(ends, np.int64).reshape(-1, 2).T
        label = connected_components(len(found), tails, heads)
        edges = np.bincount(label[tails], minlength=len(found))
        buses = np.bincount(label, minlength=len(found))
        found |= (edges >= buses)[label]
    return np.asarray(np.isin(part, part[found]))


def turning_units(feeder: Feeder) -> BoolArray:
    """Tell which transformers the linear model states no loop over.

    Those that turn phases and are no closed earthed wye-delta bank, services, and banks round
    which phases do not come back to themselves.
    """
    units = feeder.transformers
    ends = zip(units.from_connection, units.to_connection, strict=True)
    turns = np.array([one is not other for one, other in ends], bool) | (units.primary >= 0)
    fixed = feeder.lines.closed & ~feeder.lines.switchable
    banks, part = earthed_banks(feeder), galvanic_parts(feeder, fixed)
    stated = [k for bank in banks for k in bank.units]
    wrong = [k for bank in unlike_turns(feeder, banks, part) for k in bank.units]
    turns[stated], turns[wrong] = False, True
    for twin in twin_windings(feeder):
        turns[twin.second[0]] = turns[twin.first[0]]
    return turns


def turning_blocks(feeder: Feeder) -> tuple[str, ...]:
    """Name blocks that hold a loop over transformers that `turning_units` tells."""
    fixed = feeder.lines.closed & ~feeder.lines.switchable
    part, units = galvanic_parts(feeder, fixed), feeder.transformers
    turns, banks = turning_units(feeder), earthed_banks(feeder)
    over = np.stack([units.from_bus, units.to_bus], axis=1)[turns]
    over = np.unique(np.sort(over, axis=1), axis=0)
    through = np.array([(bank.wye, bank.delta) for bank in banks], np.int64).reshape(-1, 2)
    ends = part[np.concatenate([over, through])]
    left = in_loops(ends)
    found = set()
    for edge in left[left < len(over)].tolist():
        others = ends[left[left != edge]]
        label = connected_components(int(part.max(initial=-1)) + 1, *others.T)
        if label[ends[edge, 0]] == label[ends[edge, 1]]:
            found.add(int(feeder.blocks.of_bus[over[edge, 0]]))
    return tuple(feeder.blocks.ids[block] for block in sorted(found))


def unswitchable_loops(feeder: Feeder, locked: BoolArray | None = None) -> list[tuple[str, ...]]:
    """Find loops made only of lines and transformers that are closed and stay so.

    Phases are held apart: lines on different phases between the same buses are no loop.
    Transformers between the same two buses are one bank, whichever windings they have, and
    a line beside a bank on a phase it does not wind (an open-delta jumper) belongs to it.

    Parameters
    ----------
    feeder
        Lines with their states.
    locked
        (switch,) switches that may not be moved; none if not given.

    Returns
    -------
    list of tuple of str
        For each loop its lines and transformers, in order around it.
    """
    lines = feeder.lines
    movable = lines.switchable.copy()
    if locked is not None:
        movable[feeder.switches[locked]] = False
    fixed = lines.closed & ~movable
    loops: dict[frozenset[str], tuple[str, ...]] = {}
    for phase in range(3):
        for loop in _loops(_edges(feeder, fixed & lines.phases[:, phase])):
            loops.setdefault(frozenset(loop), loop)
    return list(loops.values())


def _edges(feeder: Feeder, taken: BoolArray) -> list[Edge]:
    lines, units = feeder.lines, feeder.transformers
    edges = [
        (int(lines.from_bus[k]), int(lines.to_bus[k]), lines.ids[k]) for k in np.flatnonzero(taken)
    ]
    joined = {frozenset(edge[:2]) for edge in edges}
    for k, name in enumerate(units.ids):
        ends = int(units.from_bus[k]), int(units.to_bus[k])
        if frozenset(ends) not in joined:
            joined.add(frozenset(ends))
            edges.append((*ends, name))
    return edges


def _loops(edges: list[Edge]) -> Iterator[tuple[str, ...]]:
    """Yield the loop that each edge closes over the forest of the edges before it."""
    forest: dict[int, list[tuple[int, str]]] = {}
    for tail, head, name in edges:
        path = _path(forest, tail, head)
        if path is not None:
            yield (*path, name)
            continue
        forest.setdefault(tail, []).append((head, name))
        forest.setdefault(head, []).append((tail, name))


def _path(forest: dict[int, list[tuple[int, str]]], start: int, end: int) -> list[str] | None:
    """Names along the way from ``start`` to ``end``; None if there is none."""
    ways: dict[int, list[str]] = {start: []}
    queue = [start]
    while queue:
        node = queue.pop()
        if node == end:
            return ways[node]
        for neighbour, name in forest.get(node, ()):
            if neighbour not in ways:
                ways[neighbour] = [*ways[node], name]
                queue.append(neighbour)
    return None
