"""DERs with a least power factor: planned, answered, judged and audited alike; others refuse it."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.audit import audit
from gridproof.scenarios.event_faults import event_faults
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.realization import draw
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.linear.engine import LinearEngine


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(gap=1e-6, **options)).plan(scenario)


def _turned(power_factor):
    return np.tan(np.arccos(power_factor))


def _held(scenario, *factors):
    given = np.array([_turned(one) for one in factors])
    count = len(scenario.ders.ids)
    own = np.broadcast_to(given if len(given) > 1 else given[0], (count,)).copy()
    return replace(scenario, ders=replace(scenario.ders, q_per_p=own))


def test_reactive_power_has_its_price_in_kw(one_load):
    """At 0.95 the cheap one gives 0.33 kvar for each kW; the dear one at 0.6 gives the rest."""
    cheap, dear = _turned(0.95), _turned(0.6)
    assert _plan(one_load, centre=False).proof.incumbent == pytest.approx(60.0)
    scenario = _held(one_load, 0.6, 0.95)
    plan = _plan(scenario, centre=False)
    of_dear = (12.0 - 20.0 * cheap) / (dear - cheap)
    assert plan.proof.incumbent == pytest.approx(3.0 * (3.0 * of_dear + (20.0 - of_dear)), rel=1e-5)
    assert audit(plan, scenario) == ()
    assert "outside its capability" in audit(_plan(one_load, centre=False), scenario)[0]


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_every_method_finds_the_same_and_it_costs_no_less_than_free(random_scenario, seed):
    free = random_scenario(seed, spread=0.25, uncertain=2, k_der=1 + seed % 2)
    scenario = _held(free, 0.9)
    plans = [
        _plan(scenario, centre=False),
        _plan(scenario, centre=False, method="cutting_plane", separation="enumeration"),
        _plan(scenario, centre=False, separation="enumeration"),
    ]
    cost = plans[0].proof.incumbent
    for plan in plans:  # cuts may come to stand still, and then say that nothing is proven
        proven = plan.proof.termination is Termination.OPTIMAL
        assert proven or plan is plans[1]
        assert not proven or plan.proof.incumbent == pytest.approx(cost, rel=5e-6)
    assert cost >= _plan(free, centre=False).proof.incumbent * (1.0 - 5e-6)
    assert all(audit(plan, scenario) == () for plan in plans)


@pytest.mark.parametrize("seed", [0, 1, *(pytest.param(k, marks=pytest.mark.slow) for k in (2, 3))])
def test_a_robust_plan_answers_every_draw_within_them(random_scenario, seed):
    scenario = _held(random_scenario(seed, spread=0.25, uncertain=3, k_der=1), 0.92)
    plan = _plan(scenario)
    realizations = draw(scenario, 1, 0, 60)
    setpoints = make_recourse("linear", plan, scenario).respond(realizations)
    assert setpoints.found.all()
    assert (np.abs(setpoints.q_kvar) <= _turned(0.92) * setpoints.p_kw + 1e-5).all()
    engine = LinearEngine(scenario)
    engine.hold(plan)
    verdicts = judge(engine.observe(realizations, setpoints), plan, scenario)
    assert (verdicts.outcome == Outcome.FEASIBLE).all()


def test_the_judge_holds_what_the_plan_would_leave(one_load):
    """The free plan's own state under the limit: outside, by exactly what lacks."""
    plan, scenario = _plan(one_load, centre=False), _held(one_load, 0.6, 0.95)
    realizations = draw(scenario, 1, 0, 1)
    engine = LinearEngine(scenario)
    engine.hold(plan)
    fixed = make_recourse("fixed", plan, scenario).respond(realizations)
    snapshots = engine.observe(realizations, fixed)
    verdicts = judge(snapshots, plan, scenario)
    assert verdicts.outcome.tolist() == [Outcome.VIOLATED]
    p, q = snapshots.der_p_kw[0], snapshots.der_q_kvar[0]
    rated = scenario.ders.p_max_kw.max()
    room = np.array([[_turned(0.6)], [_turned(0.95)]]) * p - np.abs(q)
    assert verdicts.margin[0].min() == pytest.approx(room.min() / rated, abs=1e-9)


def _written_out(scenario):
    """Take power factors away, and say how they are stated."""
    turned = scenario.ders.q_per_p

    def state(m, moved):
        for g, k in moved.p:
            m.own.add(moved.q[g, k] <= turned[g] * moved.p[g, k])
            m.own.add(moved.q[g, k] >= -turned[g] * moved.p[g, k])

    return replace(scenario, ders=replace(scenario.ders, q_per_p=None)), state


@pytest.mark.parametrize("seeds", [(0,), pytest.param(range(8), marks=pytest.mark.slow)])
def test_found_is_whether_one_exists_and_where_none_does_something_lacks(
    random_scenario, found_where_one_exists, seeds
):
    cases = (
        [_held(random_scenario(seed, spread=spread, uncertain=3), 0.93) for spread in (0.9, 0.1)]
        for seed in seeds
    )
    seen, lacking = found_where_one_exists(cases, _written_out)
    assert len(set(seen)) == 2
    assert lacking


def test_who_does_not_hold_it_refuses_it_by_name(one_load):
    scenario = _held(one_load, 0.95)
    faults = event_faults(scenario, "any", ())
    assert [fault.split(" would")[0] for fault in faults] == [
        f"power_factor of DER {name}" for name in scenario.ders.ids
    ]
    assert event_faults(scenario, "any", (), half_planes=True) == []
