"""DERs whose phases may be unlike up to a total: planned, answered, audited, judged, and told."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.audit import audit
from gridproof.scenarios.realization import draw
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


def _written_out(scenario):
    """Take totals away, and say how they are stated."""
    ders = scenario.ders

    def state(m, moved):
        for g in {g for g, _ in moved.p}:
            whole = sum(p for (h, _), p in moved.p.items() if h == g)
            m.own.add((ders.total_min_kw[g] / 1e3, whole, ders.total_max_kw[g] / 1e3))

    return replace(scenario, ders=replace(ders, total_min_kw=None, total_max_kw=None)), state


@pytest.mark.parametrize("seeds", [(0,), pytest.param(range(8), marks=pytest.mark.slow)])
def test_found_is_whether_one_exists_and_where_none_the_total_lacks(
    random_scenario, found_where_one_exists, seeds
):
    def case(seed):
        wide, near = (random_scenario(seed, spread=one, uncertain=3) for one in (0.9, 0.1))
        most = 0.55 * wide.ders.p_max_kw.sum(axis=1)
        return _up_to(wide, *most), _up_to(near, *most)

    seen, lacking = found_where_one_exists(map(case, seeds), _written_out)
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
