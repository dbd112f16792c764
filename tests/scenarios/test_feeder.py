"""Blocks between switches, against a search by hand."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.scenarios.graph import connected_components, has_cycle
from hypothesis import given, settings
from hypothesis import strategies as st


def reachable(size, edges, start):
    """Breadth by repetition: grow the set until nothing is added."""
    found = {start}
    while True:
        more = {j for edge in edges for i in edge for j in edge if i in found} | found
        if more == found:
            return found
        found = more


@st.composite
def graphs(draw):
    size = draw(st.integers(1, 8))
    node = st.integers(0, size - 1)
    return size, draw(st.lists(st.tuples(node, node), max_size=12))


def columns(edges):
    array = np.array(edges, np.int64).reshape(-1, 2)
    return array[:, 0], array[:, 1]


@settings(deadline=None, max_examples=150)
@given(graph=graphs())
def test_components_are_what_can_be_reached(graph):
    size, edges = graph
    labels = connected_components(size, *columns(edges))
    for node in range(size):
        assert set(np.flatnonzero(labels == labels[node])) == reachable(size, edges, node)
    firsts = [list(labels).index(name) for name in range(labels.max() + 1)]
    assert firsts == sorted(firsts)  # numbered in order of their first node


@settings(deadline=None, max_examples=150)
@given(graph=graphs())
def test_a_cycle_is_an_edge_whose_ends_stay_joined_without_it(graph):
    size, edges = graph
    spare = any(
        head in reachable(size, edges[:k] + edges[k + 1 :], tail)
        for k, (tail, head) in enumerate(edges)
    )
    assert has_cycle(size, *columns(edges)) == spare


def test_no_node_no_component():
    assert connected_components(0, *columns([])).tolist() == []
    assert not has_cycle(0, *columns([]))


def test_blocks_are_joined_by_lines_not_by_switches(tiny_scenario):
    feeder = tiny_scenario(3, [(0, 1), (1, 2), (2, 2)]).feeder
    assert feeder.blocks.ids == ("n0", "n1", "n2")
    assert feeder.blocks.of_bus.tolist() == [0, 0, 1, 1, 2, 2]
    assert feeder.switch_ids == ("s0", "s1", "s2")
    assert feeder.switch_blocks.tolist() == [[0, 1], [1, 2], [2, 2]]
    assert feeder.block_of_load.tolist() == [0, 1, 2]


def test_an_open_line_parts_a_block_and_a_closed_switch_joins_none(tiny_scenario):
    feeder = tiny_scenario(2, [(0, 1)]).feeder
    closed = feeder.lines.closed.copy()
    closed[0], closed[2] = False, True  # line l0 open for good, switch s0 closed in the file
    parted = replace(feeder, lines=replace(feeder.lines, closed=closed))
    assert parted.blocks.ids == ("n0", "m0", "n1")
    assert parted.switch_blocks.tolist() == [[0, 2]]


def test_a_transformer_joins_a_block(tiny_scenario):
    feeder = tiny_scenario(2, []).feeder
    one = {name: np.ones(1) for name in ("from_kv", "to_kv", "ratio", "r_pu", "x_pu")}
    unit = replace(
        feeder.transformers,
        ids=("t",),
        from_bus=[1],
        to_bus=[2],
        windings=np.ones((1, 3)),
        from_connection=("wye",),
        to_connection=("wye",),
        rating_kva=[100.0],
        regulating=[False],
        **one,
    )
    assert replace(feeder, transformers=unit).blocks.ids == ("n0",)


def test_columns_are_read_only_and_their_own(tiny_scenario):
    feeder = tiny_scenario().feeder
    rating = np.full(len(feeder.lines.ids), 7.0)
    lines = replace(feeder.lines, rating_a=rating)
    rating[0] = 99.0
    assert lines.rating_a[0] == 7.0
    with pytest.raises(ValueError, match="read-only"):
        lines.rating_a[0] = 1.0


def test_a_column_of_the_wrong_length_is_refused(tiny_scenario):
    lines = tiny_scenario().feeder.lines
    with pytest.raises(ValueError, match=r"shape \(2,\) found where \(5,\) is needed"):
        replace(lines, rating_a=[1.0, 2.0])
