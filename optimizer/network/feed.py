"""Radiality of what is supplied: every energised node is fed over one way from one root.

Nodes are buses, or blocks of buses that no switch of the phase can part; edges are lines. The
requirement: an island that is energised is a tree with exactly one root (an available
substation, or a generator that carries an island), and both ends of a closed edge are alike,
energised or dead. A dead island may hold anything, a loop of closed lines too: nobody feeds it.

Four formulations behind one function. Equation numbers are the restoration paper's.

``directed_local_flow``
    The paper's proposal (3)-(7), made exact: with the energised state in place of
    availability, and with an order of the nodes.
``single_commodity``
    One unit sent from the roots to each energised node, over as many fed edges as there are
    energised nodes that are no roots.
``multi_commodity``
    The paper's [12]: fed edges lie in a spanning tree of the network with all roots merged,
    described by a directed multi-commodity flow; the same count closes it.
``parent_child``
    The paper's [16]: each closed edge makes one end the parent of the other. Admits more: an
    energised ring without a root, on which nothing can be served. See `add_feed`.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import numpy as np
from gridproof.optimizer.network.bridges import ring_of_edge
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.arrays import IntArray, frozen
from scipy import sparse

__all__ = ["FORMULATIONS", "Feed", "FeedGraph", "add_feed", "add_feed_as_printed"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FeedGraph:
    """Nodes, edges and where roots may be.

    Attributes
    ----------
    size
        Number of nodes.
    ends
        (edge, 2) nodes; parallel edges may occur.
    root_nodes
        (root,) node of each possible root; one node may bear several.
    """

    size: int
    ends: IntArray
    root_nodes: IntArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "ends", frozen(self.ends, np.int64, (-1, 2)))
        object.__setattr__(self, "root_nodes", frozen(self.root_nodes, np.int64, (-1,)))

    def into(self, side: int) -> sparse.csr_array:
        """(node, edge) 1 where the edge's end ``side`` is the node."""
        return _incidence(self.size, self.ends[:, side])

    def roots(self) -> sparse.csr_array:
        """(node, root) 1 where the root stands at the node."""
        return _incidence(self.size, self.root_nodes)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Feed:
    """Columns that say which edges feed, and which way power may go over them.

    Attributes
    ----------
    forward, backward
        (edge,) power may flow along, against the edge only where this is 1; the same columns
        where the formulation has no direction.
    used
        Groups of (edge,) columns that sum to 1 on an edge that conducts and to 0 elsewhere.
    """

    forward: IntArray
    backward: IntArray
    used: tuple[IntArray, ...]


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
    if formulation not in FORMULATIONS:
        known = ", ".join(FORMULATIONS)
        raise ValueError(f"radiality formulation {formulation!r} is unknown; choose from {known}")
    one, other = energized[graph.ends[:, 0]], energized[graph.ends[:, 1]]
    m.rows("alike", (1.0, one), (-1.0, other), (1.0, closed), upper=1.0)
    m.rows("alike", (1.0, other), (-1.0, one), (1.0, closed), upper=1.0)
    m.rows("rooted", (graph.roots(), roots), (-1.0, energized), upper=0.0)
    return FORMULATIONS[formulation](m, graph, closed, energized, roots)


def _add_directed_local_flow(
    m: Program, graph: FeedGraph, closed: IntArray, energized: IntArray, roots: IntArray
) -> Feed:
    """State that each energised node is a root or is fed over one edge, along an order.

    d_ij = 1 if i feeds j::

        d_ij + d_ji ≤ z_ij                                        (3)
        d_ij + d_ji ≥ z_ij + y_i - 1                              (4), y for a
        Σ_j d_ji + Σ ρ at i = y_i                                 (6), (7)
        d_ij ≤ y_i                                                (7), arc by arc
        u_i - u_j + n d_ij + (n - 2) d_ji ≤ n - 1                 order, 0 ≤ u ≤ n - 1

    Where this differs from the print, and why. (4) asks a closed line between two *available*
    buses to be fed; a safe zone that nobody can feed and whose lines are manual would then
    have to be called damaged, so energised stands for available. (5) follows from (3). In (6)
    and (7) a substation that is itself damaged makes the print infeasible; a root that is a
    variable does not. And the local rules alone admit a directed ring without a root, each
    node fed by the one before: with or without generators. The order (lifted
    Miller-Tucker-Zemlin rows) excludes it; only edges that lie on a ring of the graph need
    it, n being the number of nodes that rings hold together.
    """
    count = len(closed)
    forward, backward = (m.columns(count, integer=True) for _ in range(2))
    y = energized
    m.rows("(3)", (1.0, forward), (1.0, backward), (-1.0, closed), upper=0.0)
    ends = graph.ends
    m.rows(
        "(4)", (1.0, forward), (1.0, backward), (-1.0, closed), (-1.0, y[ends[:, 0]]), lower=-1.0
    )
    m.rows(
        "(6)",
        (graph.into(1), forward),
        (graph.into(0), backward),
        (graph.roots(), roots),
        (-1.0, y),
        lower=0.0,
        upper=0.0,
    )
    m.rows("(7)", (1.0, forward), (-1.0, y[ends[:, 0]]), upper=0.0)
    m.rows("(7)", (1.0, backward), (-1.0, y[ends[:, 1]]), upper=0.0)
    ring = ring_of_edge(graph.size, ends)
    on_ring = np.flatnonzero(ring >= 0)
    if len(on_ring):
        _add_order(m, graph, ring, on_ring, (forward[on_ring], backward[on_ring]))
    return Feed(forward=forward, backward=backward, used=(forward, backward))


def _add_order(
    m: Program,
    graph: FeedGraph,
    ring: IntArray,
    on_ring: IntArray,
    arcs: tuple[IntArray, IntArray],
) -> None:
    ends = graph.ends[on_ring]
    held = np.zeros(int(ring.max()) + 1)
    _, first = np.unique(ends.ravel(), return_index=True)
    np.add.at(held, np.repeat(ring[on_ring], 2)[first], 1.0)
    depth = m.columns(graph.size, upper=float(held.max()) - 1.0)
    n = held[ring[on_ring]]
    for (i, j), (there, back) in ((ends.T, arcs), (ends.T[::-1], arcs[::-1])):
        m.rows(
            "order",
            (1.0, depth[i]),
            (-1.0, depth[j]),
            (n, there),
            (n - 2.0, back),
            upper=n - 1.0,
        )


def _add_single_commodity(
    m: Program, graph: FeedGraph, closed: IntArray, energized: IntArray, roots: IntArray
) -> Feed:
    """State that one flow reaches every energised node over few enough fed edges.

    With e the fed edges, g what a root supplies and f a signed flow::

        e ≤ z,  e_ij ≤ y_i,  e_ij ≤ y_j,  e_ij ≥ z_ij + y_i - 1
        g_i + Σ f into i - Σ f out of i = y_i,  0 ≤ g ≤ n ρ,  |f| ≤ n e
        Σ e = Σ y - Σ ρ

    Every energised node is connected to a root over fed edges, and as there are as many of
    these as nodes that are no roots, each island is a tree with one root.
    """
    fed = _add_fed(m, graph, closed, energized)
    n = float(graph.size)
    flow = m.columns(len(closed), lower=-n, upper=n)
    supply = m.columns(len(roots), upper=n)
    m.rows("capacity", (1.0, flow), (-n, fed), upper=0.0)
    m.rows("capacity", (1.0, flow), (n, fed), lower=0.0)
    m.rows("supply", (1.0, supply), (-n, roots), upper=0.0)
    m.rows(
        "balance",
        (graph.into(1) - graph.into(0), flow),
        (graph.roots(), supply),
        (-1.0, energized),
        lower=0.0,
        upper=0.0,
    )
    _add_count(m, fed, energized, roots)
    return Feed(forward=fed, backward=fed, used=(fed,))


def _add_multi_commodity(
    m: Program, graph: FeedGraph, closed: IntArray, energized: IntArray, roots: IntArray
) -> Feed:
    """State that fed edges and roots lie in one spanning tree rooted above all roots.

    With λ_a ≥ 0 the use of arc a of the network (both ways of each edge, and one arc from a
    node 0 above to each root), and one unit of commodity c sent from 0 to each node c::

        Σ f^c into j - Σ f^c out of j = [j = c],   0 ≤ f_a^c ≤ λ_a
        Σ λ = n
        e_ij ≤ λ_ij + λ_ji,   ρ ≤ λ of its arc
        Σ e = Σ y - Σ ρ

    e and ρ are then the edges of a forest under 0; as many as energised nodes, so that every
    energised node hangs on a root, and on one. A node that no root can reach is dead, and
    left out. f and λ may be continuous: their polytope is the hull of spanning trees.
    """
    fed = _add_fed(m, graph, closed, energized)
    reached = _reachable(graph)
    m.rows("unreachable", (1.0, energized[~reached]), upper=0.0)
    inside = np.flatnonzero(reached[graph.ends[:, 0]])
    ends, above = graph.ends[inside], graph.size
    tails = np.concatenate([ends[:, 0], ends[:, 1], np.full(len(roots), above)])
    heads = np.concatenate([ends[:, 1], ends[:, 0], graph.root_nodes])
    use = m.columns(len(tails))
    nodes = np.flatnonzero(reached)
    balance = (_incidence(above + 1, heads) - _incidence(above + 1, tails))[nodes]
    for c in nodes.tolist():
        kept = np.flatnonzero(tails != c)
        flow = m.columns(len(kept))
        m.rows("capacity", (1.0, flow), (-1.0, use[kept]), upper=0.0)
        target = (nodes == c).astype(float)
        m.rows("balance", (balance[:, kept], flow), lower=target, upper=target)
    row = sparse.csr_array(np.ones((1, len(use))))
    m.rows("size", (row, use), lower=float(len(nodes)), upper=float(len(nodes)))
    k = len(inside)
    m.rows("in tree", (1.0, fed[inside]), (-1.0, use[:k]), (-1.0, use[k : 2 * k]), upper=0.0)
    m.rows("in tree", (1.0, roots), (-1.0, use[2 * k :]), upper=0.0)
    _add_count(m, fed, energized, roots)
    return Feed(forward=fed, backward=fed, used=(fed,))


def _add_parent_child(
    m: Program, graph: FeedGraph, closed: IntArray, energized: IntArray, roots: IntArray
) -> Feed:
    """State that a closed edge makes one end the parent of the other, at most one parent each.

    ::

        β_ij + β_ji = z_ij
        Σ_j β_ji + Σ ρ at i ≤ 1
        Σ_j β_ji + Σ ρ at i ≥ y_i

    An island with a root has as many edges as other nodes, and is a tree. One without may be
    a ring; the power balance serves nothing there, so that no optimum gains by it.
    """
    forward, backward = (m.columns(len(closed), integer=True) for _ in range(2))
    m.rows("state", (1.0, forward), (1.0, backward), (-1.0, closed), lower=0.0, upper=0.0)
    feeds = ((graph.into(1), forward), (graph.into(0), backward), (graph.roots(), roots))
    m.rows("one parent", *feeds, upper=1.0)
    m.rows("a parent", *feeds, (-1.0, energized), lower=0.0)
    m.whole(energized)
    return Feed(forward=forward, backward=backward, used=(forward, backward))


def add_feed_as_printed(
    m: Program, graph: FeedGraph, closed: IntArray, available: IntArray, roots: IntArray
) -> Feed:
    """Add (3)-(7) to the letter, for comparison; no planner uses it.

    (4) and (5) are printed for t = 3 only, (6) and (7) with the number of neighbours as M.
    """
    forward, backward = (m.columns(len(closed), integer=True) for _ in range(2))
    ends, pair = graph.ends, ((1.0, forward), (1.0, backward))
    both = ((1.0, available[ends[:, 0]]), (1.0, available[ends[:, 1]]))
    less = tuple((-1.0, columns) for _, columns in both)
    m.rows("(3)", *pair, (-1.0, closed), upper=0.0)
    m.rows("(4)", *pair, (-1.0, closed), *less, lower=-2.0)
    m.rows("(5)", *pair, (-1.0, closed), *both, upper=2.0)
    into = ((graph.into(1), forward), (graph.into(0), backward))
    m.rows("(6)", *into, (graph.roots(), roots), (-1.0, available), upper=0.0)
    big = sparse.diags_array((graph.into(0) + graph.into(1)).sum(axis=1), format="csr")
    m.rows(
        "(7)",
        (graph.into(0), forward),
        (graph.into(1), backward),
        *((-(big @ matrix), columns) for matrix, columns in (*into, (graph.roots(), roots))),
        upper=0.0,
    )
    return Feed(forward=forward, backward=backward, used=(forward, backward))


def _add_fed(m: Program, graph: FeedGraph, closed: IntArray, energized: IntArray) -> IntArray:
    """Add e = z ∧ y for each edge; y is made whole, e then is."""
    fed = m.columns(len(closed))
    m.whole(energized)
    m.rows("fed", (1.0, fed), (-1.0, closed), upper=0.0)
    for side in (0, 1):
        m.rows("fed", (1.0, fed), (-1.0, energized[graph.ends[:, side]]), upper=0.0)
    one = energized[graph.ends[:, 0]]
    m.rows("fed", (1.0, fed), (-1.0, closed), (-1.0, one), lower=-1.0)
    return fed


def _add_count(m: Program, fed: IntArray, energized: IntArray, roots: IntArray) -> None:
    every = np.concatenate([fed, roots, energized])
    sign = np.concatenate([np.ones(len(fed) + len(roots)), -np.ones(len(energized))])
    m.rows("count", (sparse.csr_array(sign[None, :]), every), lower=0.0, upper=0.0)


def _incidence(size: int, of: IntArray) -> sparse.csr_array:
    count = len(of)
    return sparse.csr_array((np.ones(count), (of, np.arange(count))), shape=(size, count))


def _reachable(graph: FeedGraph) -> np.ndarray:
    ends = graph.ends
    link = sparse.csr_array(
        (np.ones(len(ends)), (ends[:, 0], ends[:, 1])), shape=(graph.size, graph.size)
    )
    _, label = sparse.csgraph.connected_components(link, directed=False)
    return np.isin(label, label[graph.root_nodes])


FORMULATIONS: Mapping[str, Callable[[Program, FeedGraph, IntArray, IntArray, IntArray], Feed]] = (
    MappingProxyType(
        {
            "directed_local_flow": _add_directed_local_flow,
            "multi_commodity": _add_multi_commodity,
            "single_commodity": _add_single_commodity,
            "parent_child": _add_parent_child,
        }
    )
)
"""Radiality formulations by name."""
