"""DERs whose phases may be unlike up to a total: planned, answered, audited, judged, and told."""

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
from gridproof.optimizer.partitioning.shortfalls import redispatch_shortfalls
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.optimizer.solver.pyomo_model import solve
from gridproof.scenarios.audit import audit
from gridproof.scenarios.realization import draw, realize
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.linear.engine import LinearEngine


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(gap=1e-6, **options)).plan(scenario)


def _up_to(scenario, *most, least=0.0):
    count = len(scenario.ders.ids)
    ders = replace(
        scenario.ders,
        total_min_kw=np.full(count, least),
        total_max_kw=np.broadcast_to(np.array(most, float), (count,)).copy(),
    )
    return replace(scenario, ders=ders)


@pytest.mark.parametrize("ac_margin", [0.0, 0.002])
def test_a_total_has_its_price(tiny_scenario, ac_margin):
    """30 kW of the cheap one that forms, and no more, where each phase alone could do 120."""
    base = tiny_scenario(1, [], [0, 0], der_kw=120.0, spread=0.0, load_kw=20.0,
                         can_form=[True, False])  # fmt: skip
    costs = replace(base.ders, cost_usd_per_kw=np.array([1.0, 3.0]))
    free = replace(base, ders=costs, shed_usd=np.array([10_000.0]))
    scenario = _up_to(free, 30.0, 360.0)
    plan = _plan(scenario, centre=False, ac_margin=ac_margin)
    # what forms leaves 2 % of each phase's 120 kW, at most half of the range
    cheap = 30.0 - min(3.0 * 10.0 * ac_margin * 120.0, 15.0)
    assert plan.proof.incumbent == pytest.approx(cheap + 3.0 * (60.0 - cheap), rel=1e-6)
    assert audit(plan, scenario) == ()
    assert "outside its capability" in audit(_plan(free, centre=False), scenario)[0]


def _exists(scenario, stage, zeta):
    """Whether a re-dispatch exists, with the totals written out over a free model."""
    ders = scenario.ders
    free = replace(scenario, ders=replace(ders, total_min_kw=None, total_max_kw=None))
    network, plain, m = Network.of(free), stage.decisions(), pyo.ConcreteModel()
    base = tuple(dict(np.ndenumerate(s)) for s in (stage.p, stage.q))
    moved = add_redispatch(m, network, plain, base)
    use = realize(free, zeta[None])
    add_flow(
        m, network, plain, (moved.p, moved.q), network.demand(use.p_kw[0, 0], use.q_kvar[0, 0])
    )
    m.own = pyo.ConstraintList()
    for g in {g for g, _ in moved.p}:
        whole = sum(p for (h, _), p in moved.p.items() if h == g)
        m.own.add((ders.total_min_kw[g] / 1e3, whole, ders.total_max_kw[g] / 1e3))
    m.cost = pyo.Objective(expr=0.0 * next(iter(moved.p.values())))
    return np.isfinite(solve(m).incumbent)


@pytest.mark.parametrize("seeds", [(0,), pytest.param(range(8), marks=pytest.mark.slow)])
def test_found_is_whether_one_exists_and_where_none_the_total_lacks(random_scenario, seeds):
    seen, lacking = [], set()
    for seed in seeds:
        wide = random_scenario(seed, spread=0.9, uncertain=3)
        most = 0.55 * wide.ders.p_max_kw.sum(axis=1)
        scenario = _up_to(wide, *most)
        plan = _plan(_up_to(random_scenario(seed, spread=0.1, uncertain=3), *most), centre=False)
        if not plan.energized.any():
            continue
        realizations = draw(scenario, 2, 0, 8)
        setpoints = make_recourse("linear", plan, scenario).respond(realizations)
        network, stage = Network.of(scenario), FirstStage.of(plan)
        exists = [_exists(scenario, stage, z) for z in realizations.zeta]
        lacks = [redispatch_shortfalls(network, stage, z, time_limit_s=20.0)
                 for z in realizations.zeta]  # fmt: skip
        assert setpoints.found.tolist() == exists == [not one for one in lacks]
        seen += exists
        lacking |= {one.kind for each in lacks for one in each}
    assert len(set(seen)) == 2
    assert "total" in lacking


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_a_robust_plan_answers_every_draw_within_them(random_scenario, seed):
    wide = random_scenario(seed, spread=0.25, uncertain=3, k_der=1)
    scenario = _up_to(wide, *(0.6 * wide.ders.p_max_kw.sum(axis=1)))
    plan = _plan(scenario)
    other = _plan(scenario, centre=False, separation="enumeration")
    assert plan.proof.incumbent == pytest.approx(other.proof.incumbent, rel=5e-6)
    assert audit(plan, scenario) == ()
    realizations = draw(scenario, 1, 0, 60)
    setpoints = make_recourse("linear", plan, scenario).respond(realizations)
    assert setpoints.found.all()
    assert (setpoints.p_kw.sum(axis=2) <= scenario.ders.total_max_kw + 1e-5).all()
    engine = LinearEngine(scenario)
    engine.hold(plan)
    verdicts = judge(engine.observe(realizations, setpoints), plan, scenario)
    assert (verdicts.outcome == Outcome.FEASIBLE).all()
