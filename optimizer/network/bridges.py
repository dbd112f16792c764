"""What holds a graph together: components, and the edges that lie on rings.

By `scipy.sparse.csgraph`, because restoration's networks have hundreds of nodes; on the few
blocks of a plan `scenarios.graph` is faster, and spares a process the import.
"""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.arrays import BoolArray, IntArray
from gridproof.scenarios.graph import connected_components
from scipy import sparse

__all__ = ["joined", "ring_of_edge"]


def joined(size: int, ends: IntArray) -> IntArray:
    """(node,) component of each node; numbered in order of their first nodes.

    Parameters
    ----------
    size
        Number of nodes.
    ends
        (edge, 2) nodes.
    """
    order = np.argsort(ends[:, 0], kind="stable")
    until = np.searchsorted(ends[order, 0], np.arange(size + 1))
    link = sparse.csr_array((np.ones(len(ends)), ends[order, 1], until), shape=(size, size))
    _, label = sparse.csgraph.connected_components(link, directed=False)
    return np.asarray(label, np.int64)


def ring_of_edge(size: int, ends: IntArray) -> IntArray:
    """Name the ring component of each edge of a multigraph; -1 for a bridge.

    Two edges have one name if nodes on rings connect them without a bridge (a connected
    component of the graph less its bridges). Names go by first nodes. Lowest-link search, in
    time linear in the graph.

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
    on_ring = ~_bridges(touching, len(ends))
    rings = ends[on_ring]
    label = connected_components(size, rings[:, 0], rings[:, 1])
    name = np.full(len(ends), -1, np.int64)
    _, name[on_ring] = np.unique(label[rings[:, 0]], return_inverse=True)
    return name


def _bridges(touching: list[list[tuple[int, int]]], edges: int) -> BoolArray:
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
