"""DERs whose phases are commanded alike: planned, bounded, answered and audited."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from gridproof.optimizer.network.devices import add_redispatch
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.flow import add_flow
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.optimizer.solver.pyomo_model import solve
from gridproof.scenarios.audit import audit
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.realization import draw, realize
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.linear.engine import LinearEngine

_ALIKE_KW = 1e-6


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(gap=1e-6, **options)).plan(scenario)


def _balanced(scenario, which=True):
    count = len(scenario.ders.ids)
    return replace(
        scenario, ders=replace(scenario.ders, balanced=np.broadcast_to(which, (count,)).copy())
    )


def _apart(power, plan):
    """Largest difference between two phases of any DER that does not form."""
    return np.ptp(power, axis=-1)[..., ~plan.grid_forming[0]].max(initial=0.0)


@pytest.fixture
def unlike_loads(tiny_scenario):
    """One block, a dear DER that forms and a cheap one that follows; phase a is the heaviest."""
    base = tiny_scenario(1, [], [0, 0], der_kw=80.0, spread=0.0, can_form=[True, False])
    p_kw = np.array([[40.0, 12.0, 20.0]])
    loads = replace(base.feeder.loads, p_kw=p_kw, q_kvar=0.0 * p_kw, slots=p_kw > 0.0)
    feeder = replace(base.feeder, loads=loads)
    return replace(
        base,
        feeder=feeder,
        load_p_kw=p_kw[None],
        load_q_kvar=0.0 * p_kw[None],
        ders=replace(base.ders, cost_usd_per_kw=np.array([3.0, 1.0])),
        shed_usd=np.array([10_000.0]),
    )


def test_a_cheap_follower_gives_each_phase_what_the_lightest_takes(unlike_loads):
    """72 kW asked: free, it gives all; balanced, three times 12 kW, and the rest is dear."""
    cheap, dear = 1.0, 3.0
    free = _plan(unlike_loads, centre=False)
    assert free.proof.incumbent == pytest.approx(72.0 * cheap)
    scenario = _balanced(unlike_loads)
    plan = _plan(scenario, centre=False)
    assert plan.proof.incumbent == pytest.approx(36.0 * cheap + 36.0 * dear)
    np.testing.assert_allclose(plan.p_kw[0, 1], 12.0, atol=1e-4)
    np.testing.assert_allclose(plan.p_kw[0, 0], [28.0, 0.0, 8.0], atol=1e-4)
    assert audit(plan, scenario) == ()
    (fault,) = audit(free, scenario)
    assert "is balanced" in fault
    assert "unlike by phase" in fault


def test_one_that_forms_is_not_bound(unlike_loads):
    scenario = _balanced(unlike_loads, np.array([True, False]))
    assert _plan(scenario, centre=False).proof.incumbent == pytest.approx(72.0)


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_every_method_finds_the_same_and_it_costs_no_less_than_free(random_scenario, seed):
    free = random_scenario(seed, spread=0.25, uncertain=2, k_der=1 + seed % 2)
    scenario = _balanced(free)
    plans = [
        _plan(scenario, centre=False),
        _plan(scenario, centre=False, method="cutting_plane", separation="enumeration"),
        _plan(scenario, centre=False, separation="enumeration"),
    ]
    cost = plans[0].proof.incumbent
    for plan in plans:  # cuts may come to stand still, and then say that nothing is proven
        proven = plan.proof.termination is Termination.OPTIMAL
        assert proven or plan is plans[1]
        assert plan.proof.bound <= cost * (1.0 + 5e-6)
        assert plan.proof.incumbent >= cost * (1.0 - 5e-6)
        assert not proven or plan.proof.incumbent == pytest.approx(cost, rel=5e-6)
    assert cost >= _plan(free, centre=False).proof.incumbent * (1.0 - 5e-6)
    assert all(audit(plan, scenario) == () for plan in plans)


@pytest.mark.parametrize("seed", range(6))
def test_a_robust_plan_answers_every_draw_with_phases_alike(random_scenario, seed):
    scenario = _balanced(random_scenario(seed, spread=0.25, uncertain=3, k_der=1))
    plan = _plan(scenario)
    assert _apart(plan.p_kw[0], plan) <= _ALIKE_KW
    realizations = draw(scenario, 1, 0, 60)
    setpoints = make_recourse("linear", plan, scenario).respond(realizations)
    assert setpoints.found.all()
    assert _apart(setpoints.p_kw, plan) <= _ALIKE_KW
    assert _apart(setpoints.q_kvar, plan) <= _ALIKE_KW
    engine = LinearEngine(scenario)
    engine.hold(plan)
    verdicts = judge(engine.observe(realizations, setpoints), plan, scenario)
    assert (verdicts.outcome == Outcome.FEASIBLE).all()


def _exists(scenario, stage, zeta):
    """Whether a re-dispatch exists, with the equalities written out over a free model."""
    free = replace(scenario, ders=replace(scenario.ders, balanced=None))
    network, plain, m = Network.of(free), stage.decisions(), pyo.ConcreteModel()
    base = tuple(
        {(g, k): float(s[g, k]) for g, k in np.ndindex(*s.shape)} for s in (stage.p, stage.q)
    )
    moved = add_redispatch(m, network, plain, base)
    use = realize(free, zeta[None])
    demand = network.demand(use.p_kw[0, 0], use.q_kvar[0, 0])
    add_flow(m, network, plain, (moved.p, moved.q), demand)
    m.alike = pyo.ConstraintList()
    for g, k in moved.p:
        if k and not stage.forming[g]:
            m.alike.add(moved.p[g, k] == moved.p[g, 0])
            m.alike.add(moved.q[g, k] == moved.q[g, 0])
    m.cost = pyo.Objective(expr=0.0 * next(iter(moved.p.values())))
    return np.isfinite(solve(m).incumbent)


@pytest.mark.slow
def test_found_says_whether_a_redispatch_with_phases_alike_exists(random_scenario):
    seen = []
    for seed in range(6):
        scenario = _balanced(random_scenario(seed, spread=0.5, uncertain=3))
        plan = _plan(scenario, method="nominal")
        realizations = draw(scenario, 2, 0, 10)
        setpoints = make_recourse("linear", plan, scenario).respond(realizations)
        exists = [_exists(scenario, FirstStage.of(plan), z) for z in realizations.zeta]
        np.testing.assert_array_equal(setpoints.found, exists)
        seen += exists
    assert len(set(seen)) == 2
