"""Plans as packings of islands, against searches over all states at once."""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations

import numpy as np
import pytest
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning import master, packing, planner
from gridproof.optimizer.partitioning.centring import moved_inward
from gridproof.optimizer.partitioning.master import PartitioningMaster, build_first_stage
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.packing import Packing, connected_sets, least_usd
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.scenarios.audit import audit
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.load_models import LoadModel
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog


@pytest.fixture
def packed(monkeypatch):
    """Let small networks be packed, and count how often that gave the answer."""
    answers = []
    solve = Packing.solve

    def counted(self, *given_, **named):
        found = solve(self, *given_, **named)
        answers.append(found is not None)
        return found

    monkeypatch.setattr(packing, "_FEWEST_SETS", 0)
    monkeypatch.setattr(Packing, "solve", counted)
    return answers


def _plan(scenario, **options):
    asked = PartitioningOptions(**{"gap": 1e-6, "centre": False, **options})
    return PartitioningPlanner(options=asked).plan(scenario)


def _searched(scenario, monkeypatch, **options):
    """Plan with no island asked for on its own."""
    with monkeypatch.context() as without:
        without.setattr(master.Packing, "of", lambda *_: None)
        return _plan(scenario, **options)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    size=st.integers(1, 6),
    ends=st.lists(st.tuples(st.integers(0, 5), st.integers(0, 5)), max_size=9),
)
def test_connected_sets_are_those_that_a_search_over_all_subsets_finds(size, ends):
    ends = [(i % size, j % size) for i, j in ends]
    found = list(connected_sets(size, ends))
    assert len(set(found)) == len(found)
    expected = set()
    for count in range(1, size + 1):
        for nodes in combinations(range(size), count):
            inside = np.array([pair for pair in ends if set(pair) <= set(nodes)], np.int64).reshape(
                -1, 2
            )
            label = connected_components(size, inside[:, 0], inside[:, 1])
            if len(set(label[list(nodes)].tolist())) == 1:
                expected.add(nodes)
    assert set(found) == expected


@pytest.mark.parametrize("seed", [0, 1, 2, 5, 7])
def test_a_packing_costs_what_the_search_over_all_states_finds(
    random_scenario, packed, monkeypatch, seed
):
    scenario = random_scenario(seed, spread=0.25, uncertain=2, k_der=1 + seed % 2)
    plan = _plan(scenario)
    assert all(packed)
    assert packed
    assert plan.proof.certified
    assert audit(plan, scenario) == ()
    other = _searched(scenario, monkeypatch)
    assert plan.costs["objective"] == pytest.approx(other.costs["objective"], rel=2e-6)
    assert plan.proof.bound <= other.proof.incumbent + 1e-3


@pytest.mark.parametrize("seed", [1, 2, 11])
def test_what_was_known_bounds_what_islands_cost_when_realizations_come(
    random_scenario, packed, seed
):
    """An island is dearer at each realization than at those before, but not by the sum of both."""
    network = Network.of(random_scenario(seed, spread=0.3, uncertain=3))
    told, searched = (PartitioningMaster(network, PartitioningOptions()) for _ in range(2))
    for zeta in ([1, -1, 0], [-1, 1, 1], [1, 1, 1]):
        costs = []
        for one in (told, searched):
            one.add(np.array(zeta, float))
            with pytest.MonkeyPatch.context() as without:
                if one is searched:
                    without.setattr(master.Packing, "of", lambda *_: None)
                answer, _candidate = one.solve(gap=1e-6, time_limit_s=60.0)
            costs.append(answer.incumbent)
            assert answer.bound <= costs[-1] + 0.1
        assert costs[0] == pytest.approx(costs[1], rel=2e-6)
    assert packed == [True] * 3


@pytest.mark.parametrize("model", [LoadModel.CONSTANT_IMPEDANCE, LoadModel.CONSTANT_CURRENT])
def test_loads_that_follow_their_voltage_leave_no_set_out(
    random_scenario, packed, monkeypatch, model
):
    scenario = random_scenario(2, spread=0.25)
    moves = scenario.uncertainty.load_ids
    models = [
        LoadModel.CONSTANT_POWER if name in moves else model for name in scenario.feeder.loads.ids
    ]
    scenario = replace(scenario, load_model=tuple(models))
    plan, other = _plan(scenario), _searched(scenario, monkeypatch)
    assert packed
    assert all(packed)
    assert plan.costs["objective"] == pytest.approx(other.costs["objective"], rel=2e-6)


def test_locked_switches_and_lost_formers_leave_the_same_optimum(
    random_scenario, packed, monkeypatch
):
    """A closed one joins what it leads to; an open one parts it; some blocks have no former."""
    shapes = set()
    for seed, locked in ((0, 2), (2, 1), (5, 0)):
        scenario = random_scenario(seed, spread=0.2)
        lines = scenario.feeder.lines
        closed = lines.closed.copy()
        closed[scenario.feeder.switches[locked]] = True
        scenario = replace(
            scenario,
            feeder=replace(scenario.feeder, lines=replace(lines, closed=closed)),
            locked=np.arange(3) != (locked + 1) % 3,
            ders=replace(scenario.ders, can_form=np.array([True, False, False])),
        )
        plan, other = _plan(scenario), _searched(scenario, monkeypatch)
        assert plan.costs["objective"] == pytest.approx(other.costs["objective"], rel=2e-6)
        shapes.add(tuple(plan.energized[0].tolist()))
    assert len(shapes) > 1
    assert all(packed)


def test_the_networked_case_is_packed_to_its_optimum(networked, packed):
    plan = _plan(networked(0.10))
    assert packed == [True]
    assert plan.costs["objective"] == pytest.approx(43846.35, abs=0.05)  # as docs have it


@pytest.mark.slow
def test_ieee_123_is_packed_to_its_optimum(packed, monkeypatch):
    from gridproof.federation.studies.study import load_study

    scenario = load_study("ieee123-networked", []).scenario
    plan = _plan(scenario, gap=1e-4, centre=True)
    assert packed == [True]
    assert plan.proof.certified
    assert plan.costs["objective"] == pytest.approx(60806.0, abs=0.01)
    searched = _searched(scenario, monkeypatch, gap=1e-4)
    assert searched.costs["objective"] == pytest.approx(60806.0, abs=0.01)


def test_what_islands_share_or_is_forced_is_not_packed(random_scenario, packed):
    network = Network.of(random_scenario(2))
    told = {
        "budget": 1.0,
        "min_served_kw": 10.0,
        "max_served_kw": 100.0,
        "min_energized_blocks": 1,
    }
    plain = PartitioningOptions()
    assert Packing.of(network, plain, build_first_stage(network, plain)) is not None
    for name, value in told.items():
        options = PartitioningOptions(**{name: value})
        assert Packing.of(network, options, build_first_stage(network, options)) is None
    for states in ("energized", "forming"):
        model = build_first_stage(network, plain)
        getattr(model, states)[0].fix(1)
        assert Packing.of(network, plain, model) is None
    assert packed == []


def test_few_sets_and_too_many_are_left_to_the_search(random_scenario, monkeypatch):
    network, options = Network.of(random_scenario(2)), PartitioningOptions()
    model = build_first_stage(network, options)
    assert Packing.of(network, options, model) is None  # a triangle has seven
    monkeypatch.setattr(packing, "_FEWEST_SETS", 0)
    monkeypatch.setattr(packing, "_MOST_SETS", 6)
    assert Packing.of(network, options, model) is None


def test_a_packing_that_asks_too_often_is_given_up_for_good(random_scenario, packed, monkeypatch):
    scenario = random_scenario(0, spread=0.25)
    expected = _searched(scenario, monkeypatch).costs["objective"]
    monkeypatch.setattr(packing, "_MOST_ASKED", 0)
    whole = PartitioningMaster(Network.of(scenario), PartitioningOptions())
    for _ in range(2):
        answer, _candidate = whole.solve(gap=1e-6, time_limit_s=60.0)
        assert answer.found
    assert packed == [False]  # asked once
    assert _plan(scenario).costs["objective"] == pytest.approx(expected, rel=2e-6)


@pytest.mark.parametrize(
    "seed", [1, pytest.param(0, marks=pytest.mark.slow), pytest.param(2, marks=pytest.mark.slow)]
)
def test_packings_moved_inward_before_they_are_separated_cost_the_same(
    random_scenario, packed, monkeypatch, seed
):
    scenario = random_scenario(seed, spread=0.2)
    expected = _plan(scenario, centre=True)
    monkeypatch.setattr(planner, "FEW_VERTICES", 1)
    moved = []

    def counted(*told):
        moved.append(moved_inward(*told))
        return moved[-1]

    monkeypatch.setattr(planner, "moved_inward", counted)
    plan = _plan(scenario, centre=True)
    assert any(one is not None for one in moved)
    assert plan.proof.certified
    assert plan.costs["objective"] == pytest.approx(expected.costs["objective"], rel=1e-6)
    assert audit(plan, scenario) == ()
    assert len(packed) >= 2
    moved.clear()
    _searched(scenario, monkeypatch, centre=True)
    assert moved == []


@pytest.mark.parametrize("seed", range(4))
def test_the_least_price_is_that_of_a_program_without_a_network(random_scenario, seed):
    network = Network.of(random_scenario(2 * seed))  # no transformer turns a phase
    ders, price = network.ders, network.scenario.ders.cost_usd_per_kw * 1000.0
    draw = np.random.default_rng(seed)
    for blocks in ((0,), (1,), (0, 2), (0, 1, 2)):
        demand = network.nominal[0] * draw.uniform(0.2, 1.6)
        here = np.isin(network.block[network.der_bus], blocks)
        needed = demand[np.isin(network.block, blocks)].sum(axis=0)
        cost = 0.0
        for phase in range(3):
            bounds = list(zip(ders.p_min[here, phase], ders.p_max[here, phase], strict=True))
            found = linprog(
                price[here], A_eq=np.ones((1, here.sum())), b_eq=[needed[phase]], bounds=bounds
            )
            cost += found.fun if found.success else np.inf
        assert least_usd(network, blocks, demand, np.eye(3)) == pytest.approx(cost)
