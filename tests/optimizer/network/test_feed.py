"""Every switch state, energised state and root choice of small graphs, tried on each formulation.

What should be admitted is decided by `holds`, a search over the graph that shares nothing with
the formulations.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from itertools import product
from typing import Any

import highspy
import numpy as np
import pytest
from gridproof.optimizer.network import feed
from gridproof.optimizer.network.bridges import ring_of_edge
from gridproof.optimizer.network.feed import FORMULATIONS, FeedGraph, add_feed, add_feed_as_printed
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.solve import _load

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
        self.highs = _load(m.arrays())

    def admits(self, *values: tuple[int, ...]) -> bool:
        for columns, wanted in zip(self.columns, values, strict=True):
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
    monkeypatch.setattr(feed, "_add_order", lambda *_: None)
    held = Held(small, lambda *a: add_feed(*a, formulation="directed_local_flow"))
    more = 0
    for state in small.states():
        expected = holds(small, *state, rings=True)
        assert held.admits(*state) == expected, state
        more += expected and not holds(small, *state)
    assert bool(more) == (small is not SMALL[0])  # its only ring runs through the substation


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
