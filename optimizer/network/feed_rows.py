"""The four formulations of radiality, as rows; `optimizer.network.radiality` says of what.

Each serves two requirements. With `Live`, energised islands are trees with one root each.
Without, every node is asked and any may be a root: closed edges are a forest.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.network.bridges import joined, ring_of_edge
from gridproof.optimizer.solver.program import Program, Term
from gridproof.scenarios.arrays import IntArray, frozen
from scipy import sparse

__all__ = [
    "AddRows",
    "Feed",
    "FeedGraph",
    "Live",
    "add_directed_local_flow",
    "add_multi_commodity",
    "add_parent_child",
    "add_single_commodity",
]


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


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Live:
    """Which nodes are energised (node,) and which roots stand (root,), as columns."""

    energized: IntArray
    roots: IntArray


Asked = Live | None
"""None: every node is asked, and any may be a root."""

AddRows = Callable[[Program, FeedGraph, IntArray, Asked], Feed]
"""A formulation: program, graph, (edge,) closed, and what is asked of the nodes."""


def add_directed_local_flow(m: Program, graph: FeedGraph, closed: IntArray, live: Asked) -> Feed:
    """State that each energised node is a root or is fed over one edge, along an order.

    d_ij = 1 if i feeds j::

        d_ij + d_ji ≤ z_ij                                        (3)
        d_ij + d_ji ≥ z_ij + y_i - 1                              (4), y for a
        Σ_j d_ji + Σ ρ at i = y_i                                 (6), (7)
        d_ij ≤ y_i                                                (7), arc by arc
        u_i - u_j + n d_ij + (n - 2) d_ji ≤ n - 1                 order, 0 ≤ u ≤ n - 1

    Of a forest (3)-(5) are the equality d_ij + d_ji = z_ij, and (6) says Σ_j d_ji ≤ 1.

    Where this differs from the print, and why. (4) asks a closed line between two *available*
    buses to be fed; a safe zone that nobody can feed and whose lines are manual would then
    have to be called damaged, so energised stands for available. (5) follows from (3). In (6)
    and (7) a substation that is itself damaged makes the print infeasible; a root that is a
    variable does not. And the local rules alone admit a directed ring without a root, each
    node fed by the one before: with or without generators. The order (lifted
    Miller-Tucker-Zemlin rows, u the depth in the tree) excludes it; only edges that lie on a
    ring of the graph need it, n being the number of nodes that rings hold together.
    """
    count, ends = len(closed), graph.ends
    forward, backward = (m.columns(count, integer=True, name="fed") for _ in range(2))
    into = ((graph.into(1), forward), (graph.into(0), backward))
    state: tuple[Term, ...] = ((1.0, forward), (1.0, backward), (-1.0, closed))
    if live is None:
        m.rows("(3)", *state, lower=0.0, upper=0.0)
        m.rows("(6)", *into, upper=1.0)
    else:
        y = live.energized
        m.rows("(3)", *state, upper=0.0)
        m.rows("(4)", *state, (-1.0, y[ends[:, 0]]), lower=-1.0)
        m.rows("(6)", *into, (graph.roots(), live.roots), (-1.0, y), lower=0.0, upper=0.0)
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
    depth = m.columns(graph.size, upper=float(held.max()) - 1.0, name="depth")
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


def add_single_commodity(m: Program, graph: FeedGraph, closed: IntArray, live: Asked) -> Feed:
    """State that one flow reaches every energised node over few enough fed edges.

    With e the fed edges, g what a root supplies and f a signed flow::

        e ≤ z,  e_ij ≤ y_i,  e_ij ≤ y_j,  e_ij ≥ z_ij + y_i - 1
        g_i + Σ f into i - Σ f out of i = y_i,  0 ≤ g ≤ n ρ,  |f| ≤ (n - 1) e
        Σ e = Σ y - Σ ρ

    Every energised node is connected to a root over fed edges, and as there are as many of
    these as nodes that are no roots, each island is a tree with one root. Of a forest y = 1
    and e = z, and ρ is a binary of every node: each component holds a root, so there are at
    most n - Σ z of them; any graph has at least that many, with equality only for a forest.
    """
    n, fed = float(graph.size), _add_fed(m, graph, closed, live)
    roots = m.columns(graph.size, integer=True, name="root") if live is None else live.roots
    flow = m.columns(len(closed), lower=1.0 - n, upper=n - 1.0, name="flow")
    supply = m.columns(len(roots), upper=n, name="supply")
    m.rows("capacity", (1.0, flow), (1.0 - n, fed), upper=0.0)
    m.rows("capacity", (1.0, flow), (n - 1.0, fed), lower=0.0)
    m.rows("supply", (1.0, supply), (-n, roots), upper=0.0)
    into = ((graph.into(1) - graph.into(0), flow), (graph.roots(), supply))
    if live is None:
        m.rows("balance", *into, lower=1.0, upper=1.0)
    else:
        m.rows("balance", *into, (-1.0, live.energized), lower=0.0, upper=0.0)
    _add_count(m, graph, fed, roots, live)
    return Feed(forward=fed, backward=fed, used=(fed,))


def add_multi_commodity(m: Program, graph: FeedGraph, closed: IntArray, live: Asked) -> Feed:
    """State that fed edges and roots lie in one spanning tree rooted above all roots.

    With e the fed edges, λ the arcs of a spanning tree (`_add_tree`) of the network and of a
    node above it, which has an arc to each root::

        e_ij ≤ λ_ij + λ_ji,   ρ ≤ λ of its arc
        Σ e = Σ y - Σ ρ

    e and ρ are then the edges of a forest under the node above; as many as energised nodes, so
    that every energised node hangs on a root, and on one. A node that no root can reach is
    dead, and left out. Of a forest, e = z, and nothing stands above: the tree is the graph's.
    """
    fed = _add_fed(m, graph, closed, live)
    if live is None:
        _add_tree(m, graph.size, graph.ends, fed, root=0)
        return Feed(forward=fed, backward=fed, used=(fed,))
    reached = _reachable(graph)
    m.rows("unreachable", (1.0, live.energized[~reached]), upper=0.0)
    inside, above = np.flatnonzero(reached[graph.ends[:, 0]]), int(reached.sum())
    place = np.cumsum(reached) - 1
    hung = np.stack([np.full(len(live.roots), above), place[graph.root_nodes]], axis=1)
    ends = np.concatenate([place[graph.ends[inside]], hung])
    _add_tree(m, above + 1, ends, np.concatenate([fed[inside], live.roots]), root=above)
    _add_count(m, graph, fed, live.roots, live)
    return Feed(forward=fed, backward=fed, used=(fed,))


def _add_tree(m: Program, size: int, ends: IntArray, edges: IntArray, *, root: int) -> None:
    """State that edges lie in a spanning tree of a connected graph.

    With λ_a ≥ 0 the use of arc a in a tree directed away from the root r, and one unit of
    commodity c sent from r to each other node c::

        Σ_{a into j} f_a^c - Σ_{a out of j} f_a^c = [j = c]     every j ≠ r, c ≠ r
        0 ≤ f_a^c ≤ λ_a                                         every arc, commodity
        Σ_a λ_a = n - 1
        e_ij ≤ λ_ij + λ_ji                                      every edge

    The λ that satisfy this are the convex hull of spanning trees; hence all of f and λ may be
    continuous. Arcs into r and commodity c on arcs out of c are left out: never of use.
    """
    of_edge = np.repeat(np.arange(len(ends)), 2)
    tails, heads = ends.ravel(), ends[:, ::-1].ravel()
    usable = heads != root
    of_edge, tails, heads = of_edge[usable], tails[usable], heads[usable]
    others = np.delete(np.arange(size), root)
    use = m.columns(len(tails), name="tree")
    balance = (_incidence(size, heads) - _incidence(size, tails))[others]
    for c in others.tolist():
        kept = np.flatnonzero(tails != c)
        flow = m.columns(len(kept), name="flow")
        m.rows("capacity", (1.0, flow), (-1.0, use[kept]), upper=0.0)
        target = (others == c).astype(float)
        m.rows("balance", (balance[:, kept], flow), lower=target, upper=target)
    row = sparse.csr_array(np.ones((1, len(use))))
    m.rows("size", (row, use), lower=size - 1.0, upper=size - 1.0)
    m.rows("in tree", (1.0, edges), (-_incidence(len(ends), of_edge), use), upper=0.0)


def add_parent_child(m: Program, graph: FeedGraph, closed: IntArray, live: Asked) -> Feed:
    """State that a closed edge makes one end the parent of the other, at most one parent each.

    ::

        β_ij + β_ji = z_ij
        Σ_j β_ji + Σ ρ at i ≤ 1
        Σ_j β_ji + Σ ρ at i ≥ y_i

    An island with a root has as many edges as other nodes, and is a tree. One without may be
    a ring; the power balance serves nothing there, so that no optimum gains by it.
    """
    if live is None:
        raise ValueError("parent_child admits a ring without a root, so it states no forest")
    forward, backward = (m.columns(len(closed), integer=True, name="parent") for _ in range(2))
    m.rows("state", (1.0, forward), (1.0, backward), (-1.0, closed), lower=0.0, upper=0.0)
    feeds: tuple[Term, ...] = (
        (graph.into(1), forward),
        (graph.into(0), backward),
        (graph.roots(), live.roots),
    )
    m.rows("one parent", *feeds, upper=1.0)
    m.rows("a parent", *feeds, (-1.0, live.energized), lower=0.0)
    m.whole(live.energized)
    return Feed(forward=forward, backward=backward, used=(forward, backward))


def _add_fed(m: Program, graph: FeedGraph, closed: IntArray, live: Asked) -> IntArray:
    """Return e = z ∧ y for each edge; y is made whole, e then is."""
    if live is None:
        return closed
    fed = m.columns(len(closed), name="fed")
    m.whole(live.energized)
    m.rows("fed", (1.0, fed), (-1.0, closed), upper=0.0)
    for side in (0, 1):
        m.rows("fed", (1.0, fed), (-1.0, live.energized[graph.ends[:, side]]), upper=0.0)
    one = live.energized[graph.ends[:, 0]]
    m.rows("fed", (1.0, fed), (-1.0, closed), (-1.0, one), lower=-1.0)
    return fed


def _add_count(m: Program, graph: FeedGraph, fed: IntArray, roots: IntArray, live: Asked) -> None:
    whole, every = float(graph.size), np.concatenate([fed, roots])
    counted = (sparse.csr_array(np.ones((1, len(every)))), every)
    if live is None:
        m.rows("count", counted, lower=whole, upper=whole)
        return
    less = sparse.csr_array(-np.ones((1, graph.size)))
    m.rows("count", counted, (less, live.energized), lower=0.0, upper=0.0)


def _incidence(size: int, of: IntArray) -> sparse.csr_array:
    count = len(of)
    return sparse.csr_array((np.ones(count), (of, np.arange(count))), shape=(size, count))


def _reachable(graph: FeedGraph) -> np.ndarray:
    label = joined(graph.size, graph.ends)
    return np.isin(label, label[graph.root_nodes])
