"""Loads that generate beside loads that consume: one optimum, by either method and by counting.

Whatever is bounded before a plan is known (flows, ranges, who can be live, what is served)
must hold for every realization, also where loads of one bus move against each other. The
yardstick states every switch state, role and vertex outright and knows none of those bounds.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pyomo.environ as pyo
import pytest
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.devices import add_base_setpoints, add_redispatch, redispatch_usd
from gridproof.optimizer.network.flow import add_flow
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.reach import flow_reach
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.solver.pyomo_model import solve
from gridproof.scenarios.errors import NoPlanExists
from gridproof.scenarios.feeder import Connection, Feeder, Loads
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.realization import realize
from gridproof.scenarios.sets import Box
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

_GAP = 1e-6


def _with_loads(scenario, rows, *, spread):
    """Put loads in the place of a tiny scenario's: (bus, kW per slot, kvar per slot, kind, slots).

    Every load is uncertain by ``spread``.
    """
    slots = np.array([row[4] for row in rows], bool)
    loads = Loads(
        ids=tuple(f"d{k}" for k in range(len(rows))),
        bus=np.array([row[0] for row in rows]),
        connection=tuple(row[3] for row in rows),
        model=(LoadModel.CONSTANT_POWER,) * len(rows),
        slots=slots,
        p_kw=slots * np.array([[row[1]] for row in rows]),
        q_kvar=slots * np.array([[row[2]] for row in rows]),
    )
    kept = ("name", "path", "buses", "lines", "transformers", "capacitors", "sources")
    feeder = Feeder(loads=loads, **{name: getattr(scenario.feeder, name) for name in kept})
    return replace(
        scenario,
        feeder=feeder,
        load_p_kw=loads.p_kw[None],
        load_q_kvar=loads.q_kvar[None],
        load_model=loads.model,
        uncertainty=Box(load_ids=loads.ids, spread=np.full(len(rows), spread)),
    )


@st.composite
def _cases(draw, tiny):
    """Two blocks and a switch; loads of either sign anywhere, several at a bus."""
    size = draw(st.sampled_from([1, 1, 2]))
    switches = [(0, 1)] * (size - 1)
    ders = draw(st.sampled_from([[0], [0], [0, 0], [size - 1, 0]]))
    can_form = [True, draw(st.booleans())][: len(ders)]
    base = tiny(
        size,
        switches,
        ders,
        der_kw=draw(st.sampled_from([90.0, 90.0, 40.0, 15.0])),
        locked=draw(st.sampled_from([[], [], [0]])) if switches else [],
        can_form=can_form,
    )
    kinds = st.sampled_from([Connection.WYE, Connection.WYE, Connection.DELTA])
    phases = st.sampled_from([(1, 1, 1)] * 3 + [(1, 0, 0), (0, 1, 1)])
    row = st.tuples(
        st.sampled_from([1, 1, 1, 0, 2 * size - 1]),
        st.sampled_from([-15.0, 40.0, 25.0, -8.0, -30.0]),
        st.sampled_from([0.0, 10.0, -8.0]),
        kinds,
        phases,
    )
    rows = draw(st.lists(row, min_size=2, max_size=3))
    scenario = _with_loads(base, rows, spread=draw(st.sampled_from([0.3, 0.1, 0.8])))
    ders_ = scenario.ders
    charges = draw(st.sampled_from([False, False, True]))
    most = ders_.p_max_kw
    return replace(
        scenario,
        ders=replace(
            ders_,
            p_min_kw=-most if charges else np.zeros_like(most),
            ramp_kw=draw(st.sampled_from([1.5, 1.5, 0.3])) * most,
            ramp_kvar=draw(st.sampled_from([1.5, 0.3])) * most,
            redispatch_cost_usd_per_kw=np.linspace(2.0, 3.0, len(most)),
            cost_usd_per_kw=np.linspace(1.0, 1.5, len(most)),
        ),
        feeder=_rated(scenario.feeder, draw(st.sampled_from([400.0, 400.0, 25.0, 8.0]))),
        shed_usd=np.array([4000.0, 2500.0])[:size],
    )


def _rated(feeder, amperes):
    lines = replace(feeder.lines, rating_a=np.full(len(feeder.lines.ids), amperes))
    kept = ("name", "path", "buses", "loads", "transformers", "capacitors", "sources")
    return Feeder(lines=lines, **{name: getattr(feeder, name) for name in kept})


def _vertices(size, budget):
    """Every vertex of the set and points of it besides: steps of a whole or the broken load."""
    left = float(size) if budget is None else budget
    rest = left - np.floor(left)
    steps = sorted({-1.0, 1.0, 0.0, rest, -rest})
    every = np.array(list(product(steps, repeat=size)))
    return every[np.abs(every).sum(axis=1) <= left + 1e-9]


def _states(scenario):
    """Every (closed, live, forming) of two blocks or one, by the rules in words."""
    ends, size = scenario.feeder.switch_blocks, len(scenario.feeder.blocks.ids)
    home = scenario.feeder.blocks.of_bus[scenario.ders.bus]
    kept = scenario.feeder.lines.closed[scenario.feeder.switches]
    for closed, live, forming in product(
        product((0, 1), repeat=len(ends)),
        product((0, 1), repeat=size),
        product((0, 1), repeat=len(home)),
    ):
        shut, on, forms = (np.array(s, bool) for s in (closed, live, forming))
        joined = bool(shut.any())
        islands = [range(size)] if joined else [[b] for b in range(size)]
        if (shut != kept)[scenario.locked].any() or (forms & ~scenario.ders.can_form).any():
            continue
        alike = all(len({bool(on[b]) for b in island}) == 1 for island in islands)
        formed = all(forms[np.isin(home, list(i))].sum() == on[list(i)].any() for i in islands)
        if alike and formed:
            yield shut, on, forms


def _least_cost(scenario, budget, least_kw, most_kw=np.inf):
    """Least cost over every state with every vertex in one program; inf if there is none."""
    best = np.inf
    consumed = np.zeros(len(scenario.shed_usd))
    used = np.maximum(scenario.load_p_kw[0], 0.0).sum(axis=1)
    np.add.at(consumed, scenario.feeder.block_of_load, used)
    zeta = _vertices(scenario.uncertainty.size, budget)
    for state in _states(scenario):
        if least_kw - 1e-9 <= consumed[state[1]].sum() <= most_kw + 1e-9:
            best = min(best, _cost_of(scenario, state, realize(scenario, zeta)))
    return best


def _cost_of(scenario, state, draws):
    closed, live, forming = state
    shed = float(scenario.shed_usd[~live].sum())
    if not live.any():
        return shed
    network = Network.of(scenario)
    m = pyo.ConcreteModel()
    m.theta = pyo.Var(bounds=(0.0, None))
    m.source_w = pyo.Var(range(len(forming)), bounds=(network.w_min, network.w_max))
    plain = [dict(enumerate(s.astype(int).tolist())) for s in (closed, live, forming)]
    decisions = Decisions(
        closed=plain[0], energized=plain[1], forming=plain[2], source_w=dict(m.source_w.items())
    )
    add_base_setpoints(m, network, decisions)
    m.nominal = pyo.Block()
    add_flow(m.nominal, network, decisions, (m.base.p, m.base.q), network.nominal)
    m.vertex = pyo.Block(range(len(draws)))
    for k in range(len(draws)):
        moved = add_redispatch(m.vertex[k], network, decisions, (m.base.p, m.base.q))
        use = network.demand(draws.p_kw[k, 0], draws.q_kvar[k, 0])
        add_flow(m.vertex[k], network, decisions, (moved.p, moved.q), use)
        m.vertex[k].epigraph = pyo.Constraint(expr=m.theta >= redispatch_usd(network, moved))
    price = scenario.ders.cost_usd_per_kw * BASE_KVA
    made = sum(float(price[g]) * v for (g, _), v in m.base.p.items())
    m.cost = pyo.Objective(expr=shed + made + m.theta)
    answer = solve(m)
    assert answer.termination in (Termination.OPTIMAL, Termination.INFEASIBLE)
    return answer.incumbent


def _planned(scenario, **options):
    try:
        plan = PartitioningPlanner(options=PartitioningOptions(gap=_GAP, **options)).plan(scenario)
    except NoPlanExists:
        return np.inf
    assert plan.proof.certified
    return plan.proof.incumbent


@settings(
    max_examples=200, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_no_realization_carries_more_than_the_bound(tiny_scenario, data):
    """Over a block's own line passes what its far end uses, whatever the switches and DERs do."""
    scenario = data.draw(_cases(tiny_scenario))
    network = Network.of(scenario)
    reach = flow_reach(network, *network.demand_range())
    assert reach is not None
    draws = realize(scenario, _vertices(scenario.uncertainty.size, None))
    ders, size = scenario.ders, len(scenario.feeder.blocks.ids)
    for kind, (use, low, high) in enumerate(
        zip(
            network.demand(draws.p_kw[:, 0], draws.q_kvar[:, 0]),
            (ders.p_min_kw, ders.q_min_kvar),
            (ders.p_max_kw, ders.q_max_kvar),
            strict=True,
        )
    ):
        total = use.sum(axis=1) * BASE_KVA
        supplied = (low.sum(0) - 1e-9 <= total) & (total <= high.sum(0) + 1e-9)
        for block in range(size):
            flow = np.abs(use[:, 2 * block + 1])
            assert (flow[supplied] <= reach[kind] * (1 + 1e-9) + 1e-12).all()


@settings(
    max_examples=15, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
@given(data=st.data())
def test_both_methods_find_what_counting_finds(tiny_scenario, data):
    scenario = data.draw(_cases(tiny_scenario))
    budget = data.draw(st.sampled_from([None, None, 1.0, 1.5]))
    consumed = float(np.maximum(scenario.load_p_kw, 0.0).sum())
    least = consumed * data.draw(st.sampled_from([0.0, 0.0, 0.6, 1.0]))
    most = data.draw(st.sampled_from([None, None, least, consumed * 0.8, consumed]))
    most = None if most is None else max(most, least)
    asked = {"budget": budget, "min_served_kw": least, "max_served_kw": most, "centre": False}
    wanted = _least_cost(scenario, budget, least, np.inf if most is None else most)
    grown = _planned(scenario, **asked)
    cut = _planned(scenario, method="cutting_plane", separation="enumeration", **asked)
    counted = _planned(scenario, separation="enumeration", **asked)
    assert [grown, cut, counted] == pytest.approx([wanted] * 3, rel=5e-6, abs=1e-3)


def _opposed(tiny, *, der_kw=60.0, spread=0.1, generates=80.0 / 3.0, **asked):
    """One block fed at one end; a house and a generator at the other."""
    rows = [
        (1, 100.0 / 3.0, 10.0 / 3.0, Connection.WYE, (1, 1, 1)),
        (1, -generates, 0.0, Connection.WYE, (1, 1, 1)),
    ]
    scenario = _with_loads(tiny(1, [], [0], der_kw=der_kw, **asked), rows, spread=spread)
    return replace(scenario, shed_usd=np.array([10_000.0]))


def test_loads_that_move_against_each_other_are_served(tiny_scenario):
    """All up is 22 kW and all down 18 kW; the worst is 38 kW, the least 2 kW."""
    scenario = _opposed(tiny_scenario)
    plan = PartitioningPlanner(options=PartitioningOptions()).plan(scenario)
    assert plan.proof.certified
    assert plan.energized.all()
    prices = scenario.ders.cost_usd_per_kw[0], scenario.ders.redispatch_cost_usd_per_kw[0]
    assert plan.costs["objective"] == pytest.approx(20.0 * prices[0] + 18.0 * prices[1])


def test_flows_are_bounded_by_what_the_set_attains(tiny_scenario):
    """All flow passes one line, so that the bound is attained: nothing smaller holds."""
    network = Network.of(_opposed(tiny_scenario))
    low, high = network.demand_range()
    np.testing.assert_allclose([part[1].sum() * BASE_KVA for part in low], [2.0, 9.0])
    np.testing.assert_allclose([part[1].sum() * BASE_KVA for part in high], [38.0, 11.0])
    reach = flow_reach(network, low, high)
    assert reach is not None
    # reactive power: the DER could take 30 kvar a phase, if another made them
    np.testing.assert_allclose(reach * BASE_KVA, [38.0 / 3.0, 30.0])


def test_what_generates_and_what_charges_counts_on_the_other_side(tiny_scenario):
    """A phase carries at most what can be consumed, or made, on it, whichever is less."""
    scenario = _opposed(tiny_scenario, generates=60.0, spread=0.5)
    ders = replace(scenario.ders, p_min_kw=np.full((1, 3), -45.0))
    network = Network.of(replace(scenario, ders=ders))
    low, high = network.demand_range()
    reach = flow_reach(network, low, high)
    assert reach is not None
    net_up, net_down = (1.5 * 100 - 0.5 * 180) / 3, (1.5 * 180 - 0.5 * 100) / 3
    assert reach[0] * BASE_KVA == pytest.approx(min(45.0 + net_up, 60.0 + net_down))


def test_load_that_generates_is_not_load_that_is_served(tiny_scenario):
    """100 kW are consumed behind 80 kW of generation: a plan that serves them serves 100 kW."""
    scenario = _opposed(tiny_scenario)
    assert scenario.block_demand_kw().tolist() == pytest.approx([20.0])
    assert scenario.block_consumption_kw().tolist() == pytest.approx([100.0])
    free = replace(scenario, shed_usd=np.zeros(1))
    for least, live in ((0.0, False), (100.0, True)):
        options = PartitioningOptions(min_served_kw=least)
        plan = PartitioningPlanner(options=options).plan(free)
        assert plan.energized.all() == live
    with pytest.raises(NoPlanExists, match=r"100\.5 kW served"):
        PartitioningPlanner(options=PartitioningOptions(min_served_kw=100.5)).plan(free)
