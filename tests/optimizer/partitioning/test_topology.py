"""Radiality: every formulation admits exactly the forests, found by enumeration."""

from __future__ import annotations

from itertools import product

import pyomo.environ as pyo
import pytest
from gridproof.optimizer.network.radiality import FOREST_FORMULATIONS
from gridproof.optimizer.partitioning.topology import BlockGraph, add_radiality
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from pyomo.contrib.appsi.solvers import Highs

GRAPHS = {
    "one block": (1, []),
    "path": (4, [(0, 1), (1, 2), (2, 3)]),
    "triangle": (3, [(0, 1), (1, 2), (2, 0)]),
    "triangle with a tail": (4, [(0, 1), (1, 2), (2, 0), (2, 3)]),
    "square with a diagonal": (4, [(0, 1), (1, 2), (2, 3), (3, 0), (0, 2)]),
    "every pair of four": (4, [(0, 1), (0, 2), (0, 3), (1, 2), (1, 3), (2, 3)]),
    "two parallel": (2, [(0, 1), (1, 0)]),
    "three parallel": (2, [(0, 1), (0, 1), (1, 0)]),
    "both ends in one block": (2, [(0, 0), (0, 1)]),
    "two triangles at one block": (5, [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 2)]),
    "two triangles by a bridge": (
        6, [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 5), (5, 3)],
    ),
    "apart": (5, [(0, 1), (1, 0), (2, 3), (3, 4), (4, 2)]),
    "no switch": (3, []),
}  # fmt: skip


def is_forest(size, edges):
    """Union-find: no edge may join what is already joined."""
    parent = list(range(size))

    def root(node):
        while parent[node] != node:
            node = parent[node]
        return node

    for tail, head in edges:
        one, other = root(tail), root(head)
        if one == other:
            return False
        parent[one] = other
    return True


def expected(graph):
    states = product((0, 1), repeat=len(graph.ends))
    return {
        state
        for state in states
        if is_forest(
            len(graph.block_ids), [e for e, on in zip(graph.ends, state, strict=True) if on]
        )
    }


def admitted(graph, formulation, decisions, hold):
    m = decisions(graph)
    assert add_radiality(m, graph, m.closed, formulation=formulation) is m.radiality
    solver = hold(m, "closed")
    return {s for s in product((0, 1), repeat=len(graph.ends)) if solver.feasible(s)}


@pytest.mark.parametrize("formulation", FOREST_FORMULATIONS)
@pytest.mark.parametrize("name", GRAPHS)
def test_admits_exactly_the_forests(name, formulation, make_graph, decisions, hold):
    graph = make_graph(*GRAPHS[name])
    assert admitted(graph, formulation, decisions, hold) == expected(graph)


@st.composite
def multigraphs(draw):
    size = draw(st.integers(1, 5))
    block = st.integers(0, size - 1)
    return size, draw(st.lists(st.tuples(block, block), max_size=6))


@settings(
    deadline=None, max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(shape=multigraphs())
def test_all_formulations_agree_on_random_graphs(shape, make_graph, decisions, hold):
    graph = make_graph(*shape)
    forests = expected(graph)
    for formulation in FOREST_FORMULATIONS:
        assert admitted(graph, formulation, decisions, hold) == forests, formulation


def heaviest_forest(graph, weights):
    """Kruskal."""
    chosen, total = [], 0.0
    for k in sorted(range(len(weights)), key=lambda k: -weights[k]):
        if is_forest(len(graph.block_ids), [*chosen, graph.ends[k]]):
            chosen.append(graph.ends[k])
            total += weights[k]
    return total


def relaxed_optimum(graph, weights, formulation, decisions):
    m = decisions(graph)
    add_radiality(m, graph, m.closed, formulation=formulation)
    pyo.TransformationFactory("core.relax_integer_vars").apply_to(m)
    del m.cost
    m.cost = pyo.Objective(
        expr=sum(w * m.closed[k] for k, w in enumerate(weights)), sense=pyo.maximize
    )
    Highs().solve(m)
    return pyo.value(m.cost)


@settings(
    deadline=None, max_examples=15, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(shape=multigraphs().filter(lambda shape: shape[1]), data=st.data())
def test_relaxed_multi_commodity_is_the_hull_of_forests(shape, data, make_graph, decisions):
    """With all binaries relaxed, the heaviest point is the heaviest forest."""
    graph = make_graph(*shape)
    weights = data.draw(
        st.lists(st.integers(1, 9), min_size=len(graph.ends), max_size=len(graph.ends))
    )
    found = relaxed_optimum(graph, weights, "multi_commodity", decisions)
    assert found == pytest.approx(heaviest_forest(graph, weights), abs=1e-6)


@pytest.mark.parametrize("formulation", ["single_commodity", "directed_local_flow"])
def test_the_other_relaxations_are_weaker(formulation, make_graph, decisions):
    graph = make_graph(*GRAPHS["two parallel"])
    assert relaxed_optimum(graph, [1, 1], formulation, decisions) >= 1.0 - 1e-6
    graph = make_graph(*GRAPHS["every pair of four"])
    weights = [9, 8, 2, 7, 1, 1]
    assert relaxed_optimum(graph, weights, formulation, decisions) > 19 + 0.1
    assert heaviest_forest(graph, weights) == 19


def test_local_rules_alone_admit_a_directed_loop(make_graph, decisions, hold):
    """(3)-(7) of the restoration paper as printed, no source anywhere, all available."""
    graph = make_graph(*GRAPHS["triangle"])
    m = decisions(graph)
    arcs = [(k, *pair) for k, (i, j) in enumerate(graph.ends) for pair in ((i, j), (j, i))]
    m.feeds = pyo.Var(arcs, domain=pyo.Binary)
    m.rules = pyo.ConstraintList()
    for k, (i, j) in enumerate(graph.ends):
        m.rules.add(m.feeds[k, i, j] + m.feeds[k, j, i] == m.closed[k])  # (3)-(5), a = 1
    for i in range(3):
        into = sum(m.feeds[a] for a in arcs if a[2] == i)
        out = sum(m.feeds[a] for a in arcs if a[1] == i)
        m.rules.add(into <= 1)  # (6), s = y_dg = 0
        m.rules.add(out <= 3 * into)  # (7)
    loop = (1, 1, 1)
    assert hold(m, "closed").feasible(loop)
    assert loop not in admitted(graph, "directed_local_flow", decisions, hold)


@pytest.mark.parametrize("formulation", FOREST_FORMULATIONS)
def test_switches_on_no_cycle_cost_nothing(formulation, make_graph, decisions):
    graph = make_graph(*GRAPHS["path"])
    m = decisions(graph)
    add_radiality(m, graph, m.closed, formulation=formulation)
    rows = list(m.radiality.component_data_objects(pyo.Constraint))
    assert rows == []
    assert list(m.radiality.component_data_objects(pyo.Var)) == []


def test_unknown_formulation_is_named(make_graph, decisions):
    graph = make_graph(2, [(0, 1)])
    m = decisions(graph)
    with pytest.raises(ValueError, match="'parent_child' is unknown; choose from multi_commodity"):
        add_radiality(m, graph, m.closed, formulation="parent_child")


def test_graph_refuses_positions_that_name_no_block(make_graph):
    with pytest.raises(ValueError, match=r"block positions \[2, 5\] given; there are 2"):
        make_graph(2, [(0, 2)], [5])
    with pytest.raises(ValueError, match="1 ends given for 0 switches"):
        BlockGraph(block_ids=("b",), switch_ids=(), ends=((0, 0),), former_blocks=())


def test_graph_lists_switches_and_components(make_graph):
    graph = make_graph(5, [(0, 1), (1, 2), (1, 1), (3, 4)])
    assert graph.touching(1) == (0, 1, 2)
    assert graph.components() == ((0, 1, 2), (3, 4))
    assert graph.components([1]) == ((0,), (1, 2), (3,), (4,))


def test_graph_is_read_off_a_scenario(tiny_scenario):
    scenario = tiny_scenario(
        3, [(0, 1), (2, 1), (1, 1)], [2, 0, 1, 0], can_form=[True, True, False, True]
    )
    graph = BlockGraph.of(scenario)
    assert graph.block_ids == ("n0", "n1", "n2")
    assert graph.switch_ids == ("s0", "s1", "s2")
    assert graph.ends == ((0, 1), (2, 1), (1, 1))
    assert graph.former_blocks == (2, 0, 0)  # g0, g1, g3
