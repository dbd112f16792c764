"""Which edges of a graph lie on a ring: only they can close a loop."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.arrays import IntArray

__all__ = ["ring_of_edge"]


def ring_of_edge(size: int, ends: IntArray) -> IntArray:
    """Name the ring component of each edge of a multigraph; -1 for a bridge.

    Two edges have one name if nodes on rings connect them without a bridge (a connected
    component of the graph less its bridges). Lowest-link search, in time linear in the graph.

    Parameters
    ----------
    size
        Number of nodes.
    ends
        (edge, 2) nodes; parallel edges form a ring, an edge from a node to itself too.
    """
    touching: list[list[tuple[int, int]]] = [[] for _ in range(size)]
    for k, (i, j) in enumerate(ends.tolist()):
        touching[i].append((k, j))
        touching[j].append((k, i))
    bridge = _bridges(touching, len(ends))
    name, named = np.full(len(ends), -1, np.int64), 0
    label = np.full(size, -1, np.int64)
    for start in range(size):
        if label[start] >= 0:
            continue
        label[start], stack, met = named, [start], False
        while stack:
            node = stack.pop()
            for k, neighbour in touching[node]:
                if bridge[k]:
                    continue
                name[k], met = named, True
                if label[neighbour] < 0:
                    label[neighbour] = named
                    stack.append(neighbour)
        named += met
    return name


def _bridges(touching: list[list[tuple[int, int]]], edges: int) -> np.ndarray:
    """(edge,) true where removing the edge parts its component."""
    entered = [-1] * len(touching)
    low = [0] * len(touching)
    bridge, clock = np.zeros(edges, bool), 0
    for start in range(len(touching)):
        if entered[start] >= 0:
            continue
        entered[start] = low[start] = clock
        clock += 1
        stack = [(start, -1, iter(touching[start]))]
        while stack:
            node, came, ahead = stack[-1]
            step = next(ahead, None)
            if step is None:
                stack.pop()
                if stack:
                    parent = stack[-1][0]
                    low[parent] = min(low[parent], low[node])
                    bridge[came] = low[node] > entered[parent]
            elif step[0] == came:
                continue
            elif entered[step[1]] >= 0:
                low[node] = min(low[node], entered[step[1]])
            else:
                entered[step[1]] = low[step[1]] = clock
                clock += 1
                stack.append((step[1], step[0], iter(touching[step[1]])))
    return bridge
