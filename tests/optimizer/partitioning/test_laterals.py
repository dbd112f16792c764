"""A flow whose laterals are seen from their roots admits what the whole flow admits."""

from dataclasses import replace
from itertools import product

import numpy as np
import pyomo.environ as pyo
import pytest
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.network.decisions import Decisions
from gridproof.optimizer.network.devices import add_base_setpoints
from gridproof.optimizer.network.laterals import Laterals, SeenNetwork
from gridproof.optimizer.network.network import ENOUGH, MARGINS, Margins, Network
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.solver.pyomo_model import solve
from gridproof.scenarios.limits import VoltageTest

WAYS = list(product((VoltageTest.LINE_TO_NEUTRAL, VoltageTest.LINE_TO_LINE), (False, True)))


def _model(seen, rng, *, live, margin):
    """One realization at fixed states, with a chance objective over what is decided."""
    network = seen.network
    scenario, count = network.scenario, len(network.der_bus)
    m = pyo.ConcreteModel()
    m.source_w = pyo.Var(range(count), bounds=lambda _, g: network.held_w(g))
    m.kept = pyo.Var(MARGINS, bounds=(0.0, ENOUGH))
    blocks = range(len(scenario.feeder.blocks.ids))
    kept = Margins(
        kept={(kind, b): m.kept[kind] for kind in MARGINS for b in blocks},
        der_scale=network.ders.margin_scale(np.arange(count) == 0),
    )
    decisions = Decisions(
        closed={k: int(live) for k in range(3)} | {2: 0},
        energized={b: int(live or b == 0) for b in blocks},
        forming={g: int(g == 0) for g in range(count)},
        source_w=dict(m.source_w.items()),
    )
    asked = kept if margin else None
    add_base_setpoints(m, network, decisions, margin=asked)
    m.part = pyo.Block()
    demand = tuple(s * rng.uniform(0.4, 1.0, s.shape) for s in network.nominal)
    seen.add_flow(m.part, decisions, (m.base.p, m.base.q), demand, margin=asked)
    asked_for = [*m.base.p.values(), *m.base.q.values(), *m.source_w.values(), *m.kept.values()]
    weight = rng.normal(size=len(asked_for))
    aim = sum(float(a) * v for a, v in zip(weight, asked_for, strict=True))
    m.aim = pyo.Objective(expr=aim + float(rng.choice([-20.0, 20.0])) * m.source_w[0])
    return m


@pytest.mark.parametrize("live", [True, False])
@pytest.mark.parametrize(("test", "margin"), WAYS)
@pytest.mark.parametrize("seed", range(4))
def test_nothing_is_let_in_or_cut_off(random_scenario, seed, test, margin, live):
    """Tight ratings and bands, so that what a lateral asks does bind."""
    scenario = random_scenario(seed)
    scenario = replace(scenario, limits=replace(scenario.limits, voltage_test=test))
    network = Network.of(scenario)
    seen = SeenNetwork.of(network)
    assert seen.laterals is not None
    answers = [
        solve(_model(one, np.random.default_rng(seed), live=live, margin=margin), tolerance=1e-9)
        for one in (seen, SeenNetwork(network=network, laterals=None))
    ]
    assert answers[0].termination is answers[1].termination
    np.testing.assert_allclose(answers[0].incumbent, answers[1].incumbent, rtol=1e-6, atol=1e-7)


def test_chance_aims_meet_the_limits_of_laterals(random_scenario):
    """The law above would hold of laterals that nobody asks anything of, or of no state at all."""
    found = bound = 0
    for seed in range(4):
        seen = SeenNetwork.of(Network.of(random_scenario(seed)))
        m = _model(seen, np.random.default_rng(seed), live=True, margin=False)
        if solve(m, tolerance=1e-9).found:
            found += 1
            rows = m.part.flow.lateral.values()
            bound += sum(abs(pyo.value(row.body) - row.upper) < 1e-7 for row in rows)
    assert found > 1
    assert bound > 0


@pytest.mark.parametrize("options", [{}, {"linearise": "ac"}])
def test_a_study_has_the_same_least_cost_without(options, monkeypatch):
    study = load_study(
        "ieee37-networked", [f"planner.{k}={v}" for k, v in options.items()]
    )  # fmt: skip
    assert SeenNetwork.of(Network.of(study.scenario)).laterals is not None
    planner = PartitioningPlanner(options=PartitioningOptions())
    plan = planner.plan(study.scenario)
    monkeypatch.setattr(Laterals, "of", lambda _: None)
    whole = planner.plan(study.scenario)
    assert plan.proof.certified
    np.testing.assert_allclose(plan.proof.incumbent, whole.proof.incumbent, rtol=1e-7)
    np.testing.assert_array_equal(plan.energized, whole.energized)


def test_what_stands_in_no_lateral_stays(random_scenario):
    network = Network.of(random_scenario(1))
    laterals = Laterals.of(network)
    root = laterals.system.root
    ends = [end for b in network.branches if b.switch >= 0 for end in (b.start, b.end)]
    assert (root[[*ends, *network.der_bus.tolist()]] < 0).all()
    hung = np.flatnonzero(root >= 0)
    assert len(hung)
    assert not laterals.network.phases[hung].any()
    np.testing.assert_array_equal(network.block[hung], network.block[root[hung]])
