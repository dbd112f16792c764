"""Radiality, written once: rows that say that what is closed, or what is fed, has no loop.

Nodes are buses, or blocks of buses that nothing on hand can part; edges are lines or switches.
Two requirements stand on the same formulations:

`add_feed`
    Of the restoration paper: an island that is energised is a tree with exactly one root (an
    available substation, or a generator that carries an island), and both ends of a closed
    edge are alike, energised or dead. A dead island may hold anything: nobody feeds it.
`add_forest`
    Of section II-B1 of the partitioning paper, taken literally for every connected component,
    live or dead: closed edges form a forest. It is the first with every node energised and
    a root free to stand anywhere.

Four formulations. Equation numbers are the restoration paper's.

``directed_local_flow``
    The restoration paper's proposal (3)-(7), made exact: with the energised state in place of
    availability, and with an order of the nodes.
``multi_commodity``
    The partitioning paper's choice (its [18], Lei et al.) and the restoration paper's [12]:
    edges lie in a spanning tree, described by a directed multi-commodity flow, whose linear
    relaxation is the convex hull of all forests.
``single_commodity``
    One unit sent from the roots to each energised node, over as many edges as there are
    energised nodes that are no roots. Smallest.
``parent_child``
    The restoration paper's [16]: each closed edge makes one end the parent of the other.
    Admits more, an energised ring without a root, on which nothing can be served. A forest
    cannot be said in it: that very ring is what a forest forbids.

Rows are stated on a `Program`; `optimizer.solver.pyomo_model.add_program` puts them on a block.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from types import MappingProxyType

import numpy as np
from gridproof.optimizer.network.bridges import ring_of_edge
from gridproof.optimizer.network.feed_rows import (
    AddRows,
    Feed,
    FeedGraph,
    Live,
    add_directed_local_flow,
    add_multi_commodity,
    add_parent_child,
    add_single_commodity,
)
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.arrays import IntArray

__all__ = ["FOREST_FORMULATIONS", "FORMULATIONS", "add_feed", "add_forest"]

FORMULATIONS: Mapping[str, AddRows] = MappingProxyType(
    {
        "directed_local_flow": add_directed_local_flow,
        "multi_commodity": add_multi_commodity,
        "single_commodity": add_single_commodity,
        "parent_child": add_parent_child,
    }
)
"""Radiality formulations by name."""

FOREST_FORMULATIONS: Mapping[str, AddRows] = MappingProxyType(
    {
        name: FORMULATIONS[name]
        for name in ("multi_commodity", "single_commodity", "directed_local_flow")
    }
)
"""Those a forest can be said in."""


def add_feed(
    m: Program,
    graph: FeedGraph,
    closed: IntArray,
    energized: IntArray,
    roots: IntArray,
    *,
    formulation: str = "directed_local_flow",
) -> Feed:
    """Add the rows that make energised islands trees with one root each.

    For every formulation, with z the edge's state, y the node's and ρ the roots'::

        |y_i - y_j| ≤ 1 - z_ij         both ends of a closed edge are alike
        Σ ρ at i ≤ y_i                 a root is energised

    Parameters
    ----------
    closed
        (edge,) binary columns.
    energized
        (node,) columns; the formulation makes them whole.
    roots
        (root,) columns, binary or fixed.
    formulation
        One of `FORMULATIONS`. All admit the same (closed, energised) pairs, except that
        ``parent_child`` also admits an energised ring without a root (each node's parent is
        the one before), and refuses a dead island with more edges than nodes.

    Raises
    ------
    ValueError
        If the formulation is unknown.
    """
    add = _chosen(formulation, FORMULATIONS)
    one, other = energized[graph.ends[:, 0]], energized[graph.ends[:, 1]]
    m.rows("alike", (1.0, one), (-1.0, other), (1.0, closed), upper=1.0)
    m.rows("alike", (1.0, other), (-1.0, one), (1.0, closed), upper=1.0)
    m.rows("rooted", (graph.roots(), roots), (-1.0, energized), upper=0.0)
    return add(m, graph, closed, Live(energized=energized, roots=roots))


def add_forest(
    m: Program, size: int, ends: IntArray, closed: IntArray, *, formulation: str
) -> None:
    """Add the rows that make the closed edges a forest, whether live or dead.

    Two closed edges between the same two nodes are a loop, and so is one with both ends at
    the same node. An edge that lies on no ring of the graph can close no loop, so each
    formulation is stated only on the parts that remain connected without any one edge.

    Parameters
    ----------
    size
        Number of nodes.
    ends
        (edge, 2) nodes.
    closed
        (edge,) binary columns, ``z_sw``.
    formulation
        One of `FOREST_FORMULATIONS`; all have the same feasible set.

    Raises
    ------
    ValueError
        If the formulation is unknown.
    """
    add = _chosen(formulation, FOREST_FORMULATIONS)
    inside = ends[:, 0] == ends[:, 1]
    m.rows("loop", (1.0, closed[inside]), lower=0.0, upper=0.0)
    for part, of_part in _ring_parts(size, ends[~inside]):
        add(m, part, closed[~inside][of_part], None)


def _ring_parts(size: int, ends: IntArray) -> Iterator[tuple[FeedGraph, IntArray]]:
    """Yield what the graph's bridges leave together, and which edges it holds.

    A forest on each part is a forest on the whole.
    """
    ring = ring_of_edge(size, ends)
    for name in range(int(ring.max(initial=-1)) + 1):
        edges = np.flatnonzero(ring == name)
        nodes, renamed = np.unique(ends[edges], return_inverse=True)
        part = FeedGraph(
            size=len(nodes), ends=renamed.reshape(-1, 2), root_nodes=np.arange(len(nodes))
        )
        yield part, edges


def _chosen(formulation: str, known: Mapping[str, AddRows]) -> AddRows:
    if formulation not in known:
        names = ", ".join(known)
        raise ValueError(f"radiality formulation {formulation!r} is unknown; choose from {names}")
    return known[formulation]
