"""The little graph theory that nouns need; shares nothing with the optimizer's models."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.arrays import IntArray

__all__ = ["connected_components", "has_cycle"]


def connected_components(size: int, tails: IntArray, heads: IntArray) -> IntArray:
    """Label the connected components of an undirected graph.

    Parameters
    ----------
    size
        Number of nodes.
    tails, heads
        (edge,) the two end nodes of each edge.

    Returns
    -------
    ndarray of shape (size,)
        Component of each node; components are numbered in order of their first node.
    """
    parent = list(range(size))

    def root(node: int) -> int:
        while parent[node] != node:
            parent[node] = parent[parent[node]]
            node = parent[node]
        return node

    for tail, head in zip(tails.tolist(), heads.tolist(), strict=True):
        a, b = root(tail), root(head)
        if a != b:
            parent[max(a, b)] = min(a, b)
    labels: dict[int, int] = {}
    return np.array([labels.setdefault(root(node), len(labels)) for node in range(size)], np.int64)


def has_cycle(size: int, tails: IntArray, heads: IntArray) -> bool:
    """Whether an undirected multigraph holds a cycle (a double edge is one)."""
    labels = connected_components(size, tails, heads)
    trees = size - (int(labels.max(initial=-1)) + 1)
    return len(tails) > trees
