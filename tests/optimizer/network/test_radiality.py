"""Every switch state, energised state and root choice of small graphs, tried on each formulation.

What should be admitted is decided by `holds`, a search over the graph that shares nothing with
the formulations. Forests are held against a search in `partitioning/test_topology.py` too, there
through Pyomo; here as matrices, and against what the feed says of them.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import highspy
import numpy as np
import pyomo.environ as pyo
import pytest
from gridproof.optimizer.network import feed_rows
from gridproof.optimizer.network.bridges import ring_of_edge
from gridproof.optimizer.network.feed_rows import Feed, FeedGraph
from gridproof.optimizer.network.radiality import (
    FOREST_FORMULATIONS,
    FORMULATIONS,
    add_feed,
    add_forest,
)
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.pyomo_model import add_program, compile_model
from gridproof.optimizer.solver.solve import Arrays, load
from gridproof.scenarios.arrays import IntArray
from scipy import sparse

EXACT = ("directed_local_flow", "multi_commodity", "single_commodity")


@dataclass(frozen=True)
class Small:
    """Nodes, edges, and roots (a substation's root is always on, a generator's may be)."""

    size: int
    ends: tuple[tuple[int, int], ...]
    substations: tuple[int, ...]
    generators: tuple[int, ...] = ()

    def graph(self) -> FeedGraph:
        return FeedGraph(
            size=self.size,
            ends=np.array(self.ends),
            root_nodes=np.array([*self.substations, *self.generators]),
        )

    def islands(self, closed: tuple[int, ...]) -> list[tuple[set[int], list[int]]]:
        """Nodes and closed edges of each connected component."""
        label = list(range(self.size))
        for k, (i, j) in enumerate(self.ends):
            if closed[k]:
                old, new = label[i], label[j]
                label = [new if name == old else name for name in label]
        return [
            (
                {i for i in range(self.size) if label[i] == name},
                [k for k, (i, _) in enumerate(self.ends) if closed[k] and label[i] == name],
            )
            for name in sorted(set(label))
        ]

    def states(self) -> Iterator[tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]]:
        """Yield closed, energised, roots: all, but for islands that are half energised."""
        for closed in product((0, 1), repeat=len(self.ends)):
            islands = self.islands(closed)
            for lit in product((0, 1), repeat=len(islands)):
                y = [0] * self.size
                for (nodes, _), state in zip(islands, lit, strict=True):
                    for i in nodes:
                        y[i] = state
                for on in product((0, 1), repeat=len(self.generators)):
                    yield closed, tuple(y), (*(1 for _ in self.substations), *on)

    def roots_in(self, nodes: set[int], roots: tuple[int, ...]) -> int:
        places = (*self.substations, *self.generators)
        return sum(on for place, on in zip(places, roots, strict=True) if place in nodes)


def holds(small: Small, closed: Any, y: Any, roots: Any, *, rings: bool = False) -> bool:
    """Live islands are trees with one root, dead ones have none; with ``rings``, also live
    islands without a root that hold exactly one ring."""
    for nodes, edges in small.islands(closed):
        count = small.roots_in(nodes, roots)
        if not y[min(nodes)]:
            if count:
                return False
        elif not (
            (count == 1 and len(edges) == len(nodes) - 1)
            or (rings and count == 0 and len(edges) == len(nodes))
        ):
            return False
    return True


def of_parent_child(small: Small, closed: Any, y: Any, roots: Any) -> bool:
    """What parent-child admits: live rings too, but no island with more edges than children."""
    return holds(small, closed, y, roots, rings=True) and all(
        len(edges) <= len(nodes) - small.roots_in(nodes, roots)
        for nodes, edges in small.islands(closed)
    )


class Held:
    """A formulation held by HiGHS, asked with all decisions fixed."""

    def __init__(self, small: Small, add: Callable[..., object]) -> None:
        m, graph = Program(), small.graph()
        self.columns = [
            m.columns(len(small.ends), integer=True),
            m.columns(small.size),
            m.columns(len(graph.root_nodes), integer=True),
        ]
        add(m, graph, *self.columns)
        self.highs = load(m.arrays())

    def admits(self, *values: tuple[int, ...]) -> bool:
        for columns, wanted in zip(self.columns[: len(values)], values, strict=True):
            where, low = columns.astype(np.int32), np.array(wanted, float)
            self.highs.changeColsBounds(len(where), where, low, low)
        self.highs.clearSolver()
        self.highs.run()
        status = self.highs.getModelStatus()
        known = (highspy.HighsModelStatus.kOptimal, highspy.HighsModelStatus.kInfeasible)
        assert status in known
        return bool(status == known[0])


def random_small(seed: int) -> Small:
    rng = np.random.default_rng(seed)
    size = int(rng.integers(3, 6))
    ends = [(int(rng.integers(0, i)), i) for i in range(1, size)]
    for _ in range(int(rng.integers(1, 4))):
        i, j = rng.choice(size, 2, replace=False).tolist()
        ends.append((i, j))  # may double an edge
    places = rng.permutation(size).tolist()
    return Small(
        size, tuple(ends), tuple(places[:1]), tuple(places[1 : 1 + int(rng.integers(0, 2))])
    )


SMALL = [
    Small(3, ((0, 1), (1, 2), (2, 0)), (0,)),
    Small(4, ((0, 1), (1, 2), (2, 3), (3, 1)), (0,)),
    Small(4, ((0, 1), (1, 2), (1, 2), (2, 3)), (0, 3)),
    Small(4, ((0, 1), (1, 2), (2, 3), (3, 1)), (0,), (2,)),
    Small(3, ((0, 1), (1, 0), (1, 2)), (2,), (2, 0)),
    Small(4, ((0, 1), (2, 3), (2, 3)), (0,)),
    *(random_small(seed) for seed in range(4)),
]


@pytest.mark.parametrize("small", SMALL, ids=str)
@pytest.mark.parametrize("formulation", EXACT)
def test_a_formulation_admits_what_a_search_admits(small: Small, formulation: str) -> None:
    held = Held(small, lambda *a: add_feed(*a, formulation=formulation))
    right = wrong = 0
    for state in small.states():
        expected = holds(small, *state)
        assert held.admits(*state) == expected, state
        right, wrong = right + expected, wrong + (not expected)
    assert right
    assert wrong


@pytest.mark.parametrize("small", SMALL[:6], ids=str)
def test_parent_child_admits_live_rings_without_a_root_and_no_dead_knots(small: Small) -> None:
    held = Held(small, lambda *a: add_feed(*a, formulation="parent_child"))
    for state in small.states():
        assert held.admits(*state) == of_parent_child(small, *state), state


@pytest.mark.parametrize("small", SMALL[:6], ids=str)
def test_without_the_order_the_local_rules_admit_a_fed_ring_without_a_root(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(feed_rows, "_add_order", lambda *_: None)
    held = Held(small, lambda *a: add_feed(*a, formulation="directed_local_flow"))
    more = 0
    for state in small.states():
        expected = holds(small, *state, rings=True)
        assert held.admits(*state) == expected, state
        more += expected and not holds(small, *state)
    assert bool(more) == (small is not SMALL[0])  # its only ring runs through the substation


def add_feed_as_printed(
    m: Program, graph: FeedGraph, closed: IntArray, available: IntArray, roots: IntArray
) -> Feed:
    """State (3)-(7) to the letter.

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


def test_the_print_admits_a_ring_without_a_source_and_refuses_a_dead_safe_line() -> None:
    ring = Small(4, ((1, 2), (2, 3), (3, 1)), (0,))
    held = Held(ring, add_feed_as_printed)
    all_available, root = (1, 1, 1, 1), (1,)
    assert held.admits((1, 1, 1), all_available, root)  # fed in a circle by nobody
    assert not held.admits((1, 0, 0), all_available, root)  # two safe, dead buses, one closed line
    assert held.admits((1, 0, 0), (1, 0, 0, 1), root)  # unless both are called damaged
    assert not held.admits((0, 0, 0), (0, 1, 1, 1), root)  # a lost substation: no solution at all


def test_an_unknown_formulation_is_named() -> None:
    small = SMALL[0]
    with pytest.raises(ValueError, match=r"'forest' is unknown; choose from directed_local_flow"):
        Held(small, lambda *a: add_feed(*a, formulation="forest"))
    assert set(FORMULATIONS) == {*EXACT, "parent_child"}


@pytest.mark.parametrize("seed", range(30))
def test_rings_are_what_removing_an_edge_does_not_part(seed: int) -> None:
    small = random_small(seed)
    name = ring_of_edge(small.size, np.array(small.ends))
    whole = (1,) * len(small.ends)
    for k in range(len(small.ends)):
        less = tuple(int(j != k) for j in range(len(small.ends)))
        assert (name[k] >= 0) == (len(small.islands(less)) == len(small.islands(whole)))
    on_ring = tuple(int(value >= 0) for value in name)
    for _, edges in small.islands(on_ring):
        assert len({int(name[k]) for k in edges}) <= 1
    assert len({int(v) for v in name if v >= 0}) == sum(bool(e) for _, e in small.islands(on_ring))


def forests(small: Small) -> set[tuple[int, ...]]:
    """States of the edges without a loop of closed ones, live or dead."""
    return {
        closed
        for closed in product((0, 1), repeat=len(small.ends))
        if all(len(edges) == len(nodes) - 1 for nodes, edges in small.islands(closed))
    }


def with_oddities(seed: int) -> Small:
    """Return a random graph, perhaps with an edge from a node to itself or a part of its own."""
    rng = np.random.default_rng(seed)
    size = int(rng.integers(1, 6))
    ends = rng.integers(0, size, (int(rng.integers(1, 7)), 2))
    return Small(size, tuple((int(i), int(j)) for i, j in ends), (0,))


ODD = [*SMALL, *(with_oddities(seed) for seed in range(12))]


@pytest.mark.parametrize("small", ODD, ids=str)
@pytest.mark.parametrize("formulation", FOREST_FORMULATIONS)
def test_rows_of_a_forest_admit_exactly_the_forests(small: Small, formulation: str) -> None:
    def add(m: Program, graph: FeedGraph, closed: IntArray, *_: IntArray) -> None:
        add_forest(m, graph.size, graph.ends, closed, formulation=formulation)

    held = Held(small, add)
    every = product((0, 1), repeat=len(small.ends))
    assert {closed for closed in every if held.admits(closed)} == forests(small)


@pytest.mark.parametrize("small", ODD, ids=str)
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_a_forest_is_a_feed_with_all_energised_and_roots_anywhere(
    small: Small, formulation: str
) -> None:
    """Any of the four: with a root in each component, parent-child has no ring to spare."""
    anywhere = Small(small.size, small.ends, (), tuple(range(small.size)))
    held = Held(anywhere, lambda *a: add_feed(*a, formulation=formulation))
    lit = (1,) * small.size
    found = set()
    for closed in product((0, 1), repeat=len(small.ends)):
        roots = [0] * small.size  # each component's first node; more or others change nothing
        for nodes, _ in small.islands(closed):
            roots[min(nodes)] = 1
        if held.admits(closed, lit, tuple(roots)):
            found.add(closed)
    assert found == forests(small)


@pytest.mark.parametrize("small", [*SMALL[:6], *ODD[-4:]], ids=str)
@pytest.mark.parametrize("formulation", FORMULATIONS)
def test_a_pyomo_block_takes_the_same_rows(small: Small, formulation: str) -> None:
    program, graph = Program(), small.graph()
    sizes = len(small.ends), small.size, len(graph.root_nodes)
    columns = [program.columns(count, integer=True) for count in sizes]
    program.charge(np.concatenate(columns), 1.0 + np.arange(sum(sizes)))
    add_feed(program, graph, *columns, formulation=formulation)
    m = pyo.ConcreteModel()
    m.given = pyo.Var(range(sum(sizes)), domain=pyo.Binary)
    m.rule = pyo.Block()
    m.cost = pyo.Objective(expr=sum((1.0 + k) * v for k, v in m.given.items()))
    add_program(m.rule, program, list(m.given.values()))
    assert as_sentences(compile_model(m)) == as_sentences(program.arrays())


def as_sentences(arrays: Arrays) -> Counter[object]:
    """Rows as multisets of what their columns are, whatever the order of either."""
    entries, said = arrays.matrix.tocsr(), []
    of_column = arrays.lower, arrays.upper, arrays.cost, arrays.integer
    for row in range(entries.shape[0]):
        own = slice(entries.indptr[row], entries.indptr[row + 1])
        terms = Counter(
            (float(value), *(float(side[k]) for side in of_column))
            for k, value in zip(entries.indices[own], entries.data[own], strict=True)
            if value
        )
        if terms:
            for bound, side in ((arrays.row_lower[row], "≥"), (arrays.row_upper[row], "≤")):
                if np.isfinite(bound):
                    said.append((frozenset(terms.items()), side, float(bound)))
    return Counter(said)


def test_parent_child_states_no_forest() -> None:
    m = Program()
    ends = np.array([[0, 1], [1, 2], [2, 0]])
    with pytest.raises(ValueError, match="'parent_child' is unknown; choose from multi_commodity"):
        add_forest(m, 3, ends, m.columns(3, integer=True), formulation="parent_child")
