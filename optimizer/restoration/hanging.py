"""Lines that lead to nothing but loads: whoever opens one only pays for it."""

from __future__ import annotations

import numpy as np
from gridproof.optimizer.network.bridges import joined, ring_of_edge
from gridproof.scenarios.arrays import BoolArray, IntArray

__all__ = ["hanging_edges"]


def hanging_edges(size: int, ends: IntArray, roots: IntArray) -> BoolArray:
    """(edge,) true for a bridge with no root on one of its sides.

    What hangs behind such an edge can be fed over it alone. A closed one may be called fixed:
    loads behind it can be shed in part without it, so that opening it gains nothing and costs
    a switching.

    Parameters
    ----------
    size
        Number of nodes.
    ends
        (edge, 2) nodes.
    roots
        Nodes where a source may be.
    """
    ring = ring_of_edge(size, ends) >= 0
    label = joined(size, ends[ring])
    count = int(label.max(initial=-1)) + 1
    rooted = np.zeros(count, bool)
    rooted[label[roots]] = True
    bridges = np.flatnonzero(~ring)
    touching: list[list[tuple[int, int]]] = [[] for _ in range(count)]
    for k, (i, j) in zip(bridges.tolist(), label[ends[bridges]].tolist(), strict=True):
        touching[i].append((k, j))
        touching[j].append((k, i))
    left = [len(edges) for edges in touching]
    hangs = np.zeros(len(ends), bool)
    leaves = [i for i in range(count) if left[i] == 1 and not rooted[i]]
    while leaves:
        for k, other in touching[leaves.pop()]:
            if not hangs[k]:
                hangs[k] = True
                left[other] -= 1
                if left[other] == 1 and not rooted[other]:
                    leaves.append(other)
    return hangs
