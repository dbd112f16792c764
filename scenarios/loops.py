"""Loops that nobody can open: a radial plan cannot exist on such a feeder."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from gridproof.scenarios.arrays import BoolArray
from gridproof.scenarios.feeder import Feeder

__all__ = ["unswitchable_loops"]

Edge = tuple[int, int, str]


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
