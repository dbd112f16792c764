"""Energisation and colouring: exactly the states the text means, found by enumeration."""

from __future__ import annotations

from itertools import product

import pyomo.environ as pyo
import pytest
from gridproof.optimizer.network.radiality import FOREST_FORMULATIONS
from gridproof.optimizer.partitioning.blocks import (
    add_block_energisation,
    add_grid_forming_coloring,
)
from gridproof.optimizer.partitioning.topology import BlockGraph, add_radiality
from gridproof.scenarios.audit import audit
from gridproof.scenarios.limits import Limits
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

GRAPHS = {
    "one block": (1, [], [0, 0, 0]),
    "one block without a DER": (1, [], []),
    "pair": (2, [(0, 1)], [0, 0, 1]),
    "pair, parallel": (2, [(0, 1), (1, 0)], [0, 1, 1]),
    "pair with an inner switch": (2, [(0, 1), (1, 1)], [0, 1]),
    "path, DERs at the ends": (4, [(0, 1), (1, 2), (2, 3)], [0, 3]),
    "path, DERs in the middle": (4, [(0, 1), (2, 1), (2, 3)], [1, 2, 2]),
    "star": (4, [(0, 1), (0, 2), (0, 3)], [1, 2, 3]),
    "triangle": (3, [(0, 1), (1, 2), (2, 0)], [0, 1, 2]),
    "triangle with a tail": (4, [(0, 1), (1, 2), (2, 0), (2, 3)], [3, 0]),
    "apart": (4, [(0, 1), (2, 3)], [0, 2, 3]),
    "square": (4, [(0, 1), (1, 2), (2, 3), (3, 0)], [0, 2, 2]),
}


def components(size, edges):
    label = list(range(size))
    for tail, head in edges:
        old, new = label[tail], label[head]
        label = [new if name == old else name for name in label]
    return [[i for i in range(size) if label[i] == name] for name in set(label)]


def equal_states(graph, closed, energized):
    joined = [pair for pair, on in zip(graph.ends, closed, strict=True) if on]
    return all(energized[i] == energized[j] for i, j in joined)


def well_formed(graph, closed, energized, forming, most):
    """Every live component holds 1 to ``most`` forming DERs, a dead block none."""
    if not equal_states(graph, closed, energized):
        return False
    joined = [pair for pair, on in zip(graph.ends, closed, strict=True) if on]
    for blocks in components(len(graph.block_ids), joined):
        count = sum(
            on for home, on in zip(graph.former_blocks, forming, strict=True) if home in blocks
        )
        if not (1 <= count <= most if energized[blocks[0]] else count == 0):
            return False
    return True


def states(graph):
    sizes = (len(graph.ends), len(graph.block_ids), len(graph.former_blocks))
    return product(*(product((0, 1), repeat=size) for size in sizes))


def expected(graph, most):
    return {state for state in states(graph) if well_formed(graph, *state, most)}


def admitted(graph, m, hold):
    solver = hold(m, "closed", "energized", "forming")
    return {state for state in states(graph) if solver.feasible(sum(state, ()))}


def model(graph, most, decisions):
    m = decisions(graph)
    add_block_energisation(m, graph, m.closed, m.energized)
    add_grid_forming_coloring(m, graph, m.closed, m.energized, m.forming, k_der=most)
    return m


@pytest.mark.parametrize("name", GRAPHS)
def test_energisation_joins_equal_states(name, make_graph, decisions, hold):
    graph = make_graph(*GRAPHS[name])
    m = decisions(graph)
    assert add_block_energisation(m, graph, m.closed, m.energized) is m.block_energisation
    solver = hold(m, "closed", "energized")
    for closed, energized, _ in states(make_graph(*GRAPHS[name][:2])):
        assert solver.feasible(closed + energized) == equal_states(graph, closed, energized)


@pytest.mark.parametrize("most", [1, 2, pytest.param(3, marks=pytest.mark.slow)])
@pytest.mark.parametrize("name", GRAPHS)
def test_coloring_admits_exactly_what_the_text_means(name, most, make_graph, decisions, hold):
    graph = make_graph(*GRAPHS[name])
    found = admitted(graph, model(graph, most, decisions), hold)
    assert found == expected(graph, most)
    assert found  # all open and dead, at the least


@st.composite
def multigraphs(draw):
    size = draw(st.integers(1, 4))
    block = st.integers(0, size - 1)
    ends = draw(st.lists(st.tuples(block, block), max_size=4))
    return size, ends, draw(st.lists(block, max_size=3))


@settings(
    deadline=None, max_examples=30, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(shape=multigraphs(), most=st.integers(1, 3))
def test_coloring_on_random_graphs(shape, most, make_graph, decisions, hold):
    graph = make_graph(*shape)
    assert admitted(graph, model(graph, most, decisions), hold) == expected(graph, most)


@pytest.mark.parametrize("formulation", FOREST_FORMULATIONS)
def test_all_families_together(formulation, make_graph, decisions, hold):
    """Five blocks, six switches with a loop and a parallel pair, two DERs, k_der = 1."""
    graph = make_graph(5, [(0, 1), (1, 2), (2, 0), (2, 3), (3, 4), (4, 3)], [0, 3])
    m = model(graph, 1, decisions)
    add_radiality(m, graph, m.closed, formulation=formulation)
    trees = {
        state for state in expected(graph, 1) if sum(state[0][:3]) < 3 and sum(state[0][4:]) < 2
    }
    solver = hold(m, "closed", "energized", "forming")
    plausible = [s for s in states(graph) if equal_states(graph, *s[:2])]
    assert {s for s in plausible if solver.feasible(sum(s, ()))} == trees
    assert len(trees) > 100


@pytest.mark.parametrize("most", [1, 2])
def test_the_audit_agrees(most, tiny_scenario, tiny_plan, decisions, hold):
    """Every state admitted passes the audit, and the only others that pass loop while dead."""
    limits = Limits(grid_forming_per_island=most)
    scenario = tiny_scenario(3, [(0, 1), (1, 2), (2, 0)], [0, 0, 2], limits=limits)
    graph = BlockGraph.of(scenario)
    m = model(graph, most, decisions)
    add_radiality(m, graph, m.closed)
    kept = admitted(graph, m, hold)
    sound = {state for state in states(graph) if not audit(tiny_plan(scenario, *state), scenario)}
    assert kept <= sound
    assert sound - kept == {((1, 1, 1), (0, 0, 0), (0, 0, 0))}


def test_k_der_below_one_is_refused(make_graph, decisions):
    graph = make_graph(*GRAPHS["pair"])
    m = decisions(graph)
    with pytest.raises(ValueError, match="k_der = 0 must be at least 1"):
        add_grid_forming_coloring(m, graph, m.closed, m.energized, m.forming, k_der=0)


# --------------------------------------------------------------- the text as it is printed


def printed(graph, most, decisions, *, as_printed=("6", "10", "14")):
    """(2) and (4)-(14) with block colours; index sets as printed in the equations named."""
    m = decisions(graph)
    add_block_energisation(m, graph, m.closed, m.energized)
    blocks, switches = range(len(graph.block_ids)), range(len(graph.ends))
    near = {i: graph.touching(i) for i in blocks}
    held = {
        i: sum(m.forming[g] for g, home in enumerate(graph.former_blocks) if home == i)
        for i in blocks
    }
    m.y = pyo.Var(switches, blocks, domain=pyo.Binary)
    m.eta = pyo.Var(blocks, switches)
    m.xi = pyo.Var(blocks, blocks, bounds=(0, 1))  # (11)
    m.rules = pyo.ConstraintList()
    for i in blocks:
        joined = sum(m.closed[k] for k in near[i])
        m.rules.add(m.energized[i] - joined <= held[i])  # (4)
        m.rules.add(held[i] - most * m.energized[i] <= 0)
        seen = sum(m.y[k, color] for k in near[i] for color in blocks)
        m.rules.add(m.energized[i] <= held[i] + seen)  # (9)
        for k, h, color in product(near[i], near[i], blocks):
            if k != h:  # (7)
                m.rules.add(m.y[k, color] <= m.y[h, color] + 2 - m.closed[k] - m.closed[h])
    for k in switches:
        m.rules.add(sum(m.y[k, i] for i in blocks) <= most * m.closed[k])  # (5)
        for i in blocks:
            m.rules.add(m.y[k, i] <= held[i])  # (8)
            if "6" in as_printed or k in near[i]:  # (6)
                m.rules.add(m.y[k, i] - (1 - m.closed[k]) <= held[i])
                m.rules.add(held[i] <= most * (m.y[k, i] + 1 - m.closed[k]))
    for color in blocks:
        used = near[color] if "10" in as_printed else switches
        for k in used:  # (10)
            m.rules.add(m.eta[color, k] <= len(switches) * m.closed[k])
            m.rules.add(-m.eta[color, k] <= len(switches) * m.closed[k])
        others = [i for i in blocks if i != color]
        for i in blocks:
            out = sum(m.eta[color, k] for k in used if graph.ends[k][0] == i)
            into = sum(m.eta[color, k] for k in used if graph.ends[k][1] == i)
            if i == color:  # (12)
                virtual = sum(m.xi[color, j] for j in others)
                m.rules.add(out - into + virtual + 0 * m.xi[color, color] == len(others))
            else:  # (13)
                m.rules.add(out - into - m.xi[color, i] == -1)
                for k in near[color] if "14" in as_printed else near[i]:  # (14)
                    m.rules.add(m.y[k, color] <= 1 - m.xi[color, i])
    return m


def admits(m, state, hold):
    return hold(m, "closed", "energized", "forming").feasible(sum(state, ()))


# (size, switches, DERs), then closed, energized, forming: right, and cut off by one equation
CUT_OFF = {
    "6": ((3, [(0, 1)], [0, 2]), ((1,), (1, 1, 1), (1, 1))),
    "10": ((3, [(0, 1), (1, 2)], [0]), ((1, 1), (1, 1, 1), (1,))),
    "14": ((3, [(0, 1)], [0]), ((1,), (1, 1, 0), (1,))),
}


@pytest.mark.parametrize("equation", CUT_OFF)
def test_printed_index_cuts_off_a_right_state(equation, make_graph, decisions, hold):
    shape, state = CUT_OFF[equation]
    graph = make_graph(*shape)
    assert well_formed(graph, *state, 1)
    assert not admits(printed(graph, 1, decisions, as_printed=(equation,)), state, hold)
    assert admits(printed(graph, 1, decisions, as_printed=()), state, hold)
    assert admits(model(graph, 1, decisions), state, hold)


@pytest.mark.parametrize("equations", [("14",), ("6", "10", "14")])
def test_printed_14_admits_a_component_without_a_source(equations, make_graph, decisions, hold):
    graph = make_graph(3, [(1, 2)], [0])
    state = (1,), (1, 1, 1), (1,)
    assert not well_formed(graph, *state, 1)
    assert admits(printed(graph, 1, decisions, as_printed=equations), state, hold)
    assert not admits(model(graph, 1, decisions), state, hold)


def test_no_smaller_case_shows_a_difference(make_graph, decisions, hold):
    """On one or two blocks the text as printed is right for k_der = 1."""
    for ends, formers in product(([], [(0, 1)], [(0, 1), (1, 0)]), ([], [0], [0, 0], [0, 1])):
        graph = make_graph(2, ends, formers)
        assert admitted(graph, printed(graph, 1, decisions), hold) == expected(graph, 1)


@pytest.mark.parametrize("name", GRAPHS)
def test_corrected_indices_suffice_for_one_former(name, make_graph, decisions, hold):
    graph = make_graph(*GRAPHS[name])
    m = printed(graph, 1, decisions, as_printed=())
    assert admitted(graph, m, hold) == expected(graph, 1)


def test_printed_colors_admit_more_than_k_der(make_graph, decisions, hold):
    """With k_der = 2, the smallest excess is two joined blocks of two and one DERs."""
    graph = make_graph(2, [(0, 1)], [0, 0, 1])
    m = printed(graph, 2, decisions, as_printed=())
    excess = admitted(graph, m, hold) - expected(graph, 2)
    assert excess == {((1,), (1, 1), (1, 1, 1))}
    graph = make_graph(2, [(0, 1)], [0, 0, 1, 1])
    m = printed(graph, 2, decisions, as_printed=())
    most = max(sum(forming) for _, _, forming in admitted(graph, m, hold))
    assert most == 4  # k_der squared
