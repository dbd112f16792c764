"""Capability curves of DERs: planned, answered, judged, audited and told; a power factor is one."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyomo.environ as pyo
import pytest
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.audit import audit
from gridproof.scenarios.curves import Curves
from gridproof.scenarios.event_faults import event_faults
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.realization import draw
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.linear.engine import LinearEngine
from hypothesis import given, settings
from hypothesis import strategies as st


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(gap=1e-6, **options)).plan(scenario)


def _held(scenario, points):
    """Give DERs, by position, curves of (p, q_min, q_max) of all phases; their ranges widen."""
    least, most = scenario.ders.q_min_kvar.copy(), scenario.ders.q_max_kvar.copy()
    for g, rows in points.items():
        count = scenario.ders.phases[g].sum()
        least[g] = min(low for _, low, _ in rows) / count
        most[g] = max(high for _, _, high in rows) / count
    flat = [(g, *row) for g, rows in points.items() for row in rows]
    der, p, low, high = zip(*flat, strict=True)
    curves = Curves(
        der=np.array(der), p_kw=np.array(p), q_min_kvar=np.array(low), q_max_kvar=np.array(high)
    )
    return replace(
        scenario,
        ders=replace(scenario.ders, curves=curves, q_min_kvar=least, q_max_kvar=most),
    )


def _random(scenario, seed, *, tight=1.0):
    """A random convex curve for every DER, no power needed at its least."""
    rng = np.random.default_rng(seed)
    points = {}
    for g, most in enumerate(scenario.ders.p_max_kw.sum(axis=1)):
        p = np.concatenate([[0.0], rng.uniform([0.2, 0.55], [0.5, 0.8]), [1.0]]) * most
        rises = np.sort(rng.uniform(-0.9, 0.6, (2, 3)), axis=1)
        starts = rng.uniform(0.1, 0.6, 2) * most * tight
        high = starts[0] + np.concatenate([[0.0], np.cumsum(rises[0][::-1] * np.diff(p))])
        low = -starts[1] + np.concatenate([[0.0], np.cumsum(rises[1] * np.diff(p))])
        low = low - max(0.0, float((low - high).max()) + 0.05 * most)
        points[g] = list(zip(p, low, high, strict=True))
    return _held(scenario, points)


def _room(scenario, p, q):
    """Least reactive power that curves leave, kvar, by interpolation of the points."""
    least, curves = np.inf, scenario.ders.curves
    for g in curves.of_ders.tolist():
        at, low, high = curves.of(g)
        fed = scenario.ders.phases[g]
        whole_p, whole_q = p[..., g, fed] * fed.sum(), q[..., g, fed] * fed.sum()
        room = np.minimum(
            np.interp(whole_p, at, high) - whole_q, whole_q - np.interp(whole_p, at, low)
        )
        least = min(least, float(np.where((whole_p == 0.0) & (whole_q == 0.0), 0.0, room).min()))
    return least


def test_reactive_power_of_a_curve_has_its_price_in_kw(one_load):
    """``q₁ ≤ 30 - p₁/3`` and ``q₀ ≤ p₀`` with ``p₀ + p₁ = 60``, ``q₀ + q₁ = 36``: 4/3 p₀ = 26."""
    scenario = _held(
        one_load,
        {
            0: [(0.0, 0.0, 0.0), (360.0, 0.0, 360.0)],
            1: [(0.0, -30.0, 30.0), (360.0, -90.0, -90.0)],
        },
    )
    plan = _plan(scenario, centre=False)
    dear = 26.0 * 3.0 / 4.0
    assert plan.proof.incumbent == pytest.approx(3.0 * dear + (60.0 - dear), rel=1e-5)
    assert plan.q_kvar[0, 0].sum() == pytest.approx(dear, rel=1e-5)
    assert audit(plan, scenario) == ()
    assert "outside its capability" in audit(_plan(one_load, centre=False), scenario)[0]


def test_who_forms_leaves_its_ac_margin_free_of_a_curve(one_load):
    """As above with the cheap one forming: ``q₀ ≤ 30 - p₀/3 - 3 i``, ``i`` of each phase."""
    scenario = _held(
        replace(one_load, ders=replace(one_load.ders, cost_usd_per_kw=np.array([1.0, 3.0]))),
        {
            0: [(0.0, -90.0, 30.0), (360.0, -90.0, -90.0)],
            1: [(0.0, 0.0, 0.0), (360.0, 0.0, 360.0)],
        },
    )
    limits = Network.of(scenario, ac_margin=0.002).ders
    (row,) = np.flatnonzero((limits.planes.der == 0) & (limits.planes.side > 0.0))
    free = 1e3 * limits.plane_inset[row]
    np.testing.assert_allclose(free, 0.02 * 120.0 * np.hypot(1.0, 1.0 / 3.0))
    plan = _plan(scenario, centre=False, ac_margin=0.002)
    cheap = (54.0 - free.sum()) * 3.0 / 4.0
    assert plan.p_kw[0, 0].sum() == pytest.approx(cheap, rel=1e-5)
    assert plan.proof.incumbent == pytest.approx(cheap + 3.0 * (60.0 - cheap), rel=1e-5)


@pytest.mark.parametrize("seed", [0, *(pytest.param(k, marks=pytest.mark.slow) for k in (1, 2, 3))])
@pytest.mark.parametrize("ac_margin", [0.0, 0.004])
def test_a_power_factor_written_as_a_curve_costs_the_same(random_scenario, seed, ac_margin):
    free = random_scenario(seed, spread=0.25, uncertain=2, k_der=1 + seed % 2)
    turned = np.tan(np.arccos(0.92))
    factors = replace(free, ders=replace(free.ders, q_per_p=np.full(3, turned)))
    most = free.ders.p_max_kw.sum(axis=1)
    curves = _held(
        free, {g: [(0.0, 0.0, 0.0), (kw, -turned * kw, turned * kw)] for g, kw in enumerate(most)}
    )
    one, other = (_plan(each, ac_margin=ac_margin) for each in (factors, curves))
    assert one.proof.incumbent == pytest.approx(other.proof.incumbent, rel=5e-6)
    assert one.energized.any() or seed == 1  # which it leaves dead
    assert audit(one, curves) == audit(other, factors) == ()


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(4))
def test_every_method_finds_the_same_and_it_costs_no_less_than_free(random_scenario, seed):
    base = random_scenario(seed, spread=0.25, uncertain=2, k_der=1 + seed % 2)
    scenario = _random(base, seed, tight=0.4)
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
    free = replace(scenario, ders=replace(scenario.ders, curves=None))
    assert cost >= _plan(free, centre=False).proof.incumbent * (1.0 - 5e-6)
    assert all(audit(plan, scenario) == () for plan in plans)


def _holds(free, seed):
    """Plan under random curves; every set-point of plan and re-dispatch lies within them."""
    scenario = _random(free, seed, tight=0.5)
    plan = _plan(scenario)
    assert _room(scenario, plan.p_kw, plan.q_kvar) >= -1e-5
    assert audit(plan, scenario) == ()
    realizations = draw(scenario, 1, 0, 40)
    engine = LinearEngine(scenario)
    engine.hold(plan)
    setpoints = make_recourse("linear", plan, scenario).respond(realizations)
    assert setpoints.found.all()
    assert _room(scenario, setpoints.p_kw, setpoints.q_kvar) >= -1e-5
    verdicts = judge(engine.observe(realizations, setpoints), plan, scenario)
    assert (verdicts.outcome == Outcome.FEASIBLE).all()
    return scenario, plan


@settings(max_examples=4, deadline=None)
@given(st.integers(0, 3), st.integers(0, 10**6))
def test_every_plan_and_every_answer_lies_within_random_curves(random_scenario, which, seed):
    _holds(random_scenario(which, spread=0.25, uncertain=3), seed)


@pytest.mark.slow
def test_where_a_sharp_tolerance_leads_nowhere_the_usual_one_decides(random_scenario):
    """HiGHS came to no end at 1e-9 of what it finds infeasible at 1e-7: another DER forming."""
    _holds(random_scenario(25, spread=0.25, uncertain=3, k_der=1), 225)


@pytest.mark.slow
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 30), st.integers(0, 10**6), st.booleans())
def test_and_within_many_of_them(random_scenario, which, seed, two):
    _holds(random_scenario(which, spread=0.25, uncertain=3, k_der=1 + two), seed)


def test_curves_bind_at_all(random_scenario):
    """Without them plans go beyond: what is tested above is not slack."""
    beyond = 0
    for seed in range(3):
        free = random_scenario(seed, spread=0.25, uncertain=3)
        plan, scenario = _plan(free, centre=False), _random(free, seed, tight=0.5)
        beyond += _room(scenario, plan.p_kw, plan.q_kvar) < -0.1
    assert beyond >= 2


def test_the_judge_holds_what_the_plan_would_leave(one_load):
    """The free plan's own state under narrow curves: outside, by exactly what lacks."""
    plan = _plan(one_load, centre=False)
    scenario = _held(one_load, {g: [(0.0, -3.0, 3.0), (360.0, -1.5, 1.5)] for g in (0, 1)})
    realizations = draw(scenario, 1, 0, 1)
    engine = LinearEngine(scenario)
    engine.hold(plan)
    fixed = make_recourse("fixed", plan, scenario).respond(realizations)
    snapshots = engine.observe(realizations, fixed)
    verdicts = judge(snapshots, plan, scenario)
    room = _room(scenario, snapshots.der_p_kw[0], snapshots.der_q_kvar[0]) / 3.0
    assert verdicts.outcome.tolist() == [Outcome.VIOLATED]
    assert verdicts.margin[0].min() == pytest.approx(room / 120.0, abs=1e-9)
    assert room <= -12.0 / 2.0 + 1.0


def _written_out(scenario):
    """Take curves away, and say how they are stated: by their points' own shares as variables.

    What a DER can do is the convex hull of its points: no half-plane is stated.
    """
    curves = scenario.ders.curves

    def state(m, moved):
        corners = {}
        for g, k in moved.p:
            p, low, high = (part / 3e3 for part in curves.of(g))
            corners[g, k] = [*zip(p, low, strict=True), *zip(p, high, strict=True)]
        m.share = pyo.Var(
            [(g, k, i) for (g, k), held in corners.items() for i in range(len(held))],
            bounds=(0, 1),
        )
        for (g, k), held in corners.items():
            parts = [m.share[g, k, i] for i in range(len(held))]
            m.own.add(sum(parts) == 1.0)
            for axis, power in enumerate((moved.p, moved.q)):
                mixed = sum(part * at[axis] for part, at in zip(parts, held, strict=True))
                m.own.add(power[g, k] == mixed)

    return replace(scenario, ders=replace(scenario.ders, curves=None)), state


@pytest.mark.parametrize("seeds", [(0,), pytest.param(range(10), marks=pytest.mark.slow)])
def test_found_is_whether_one_exists_and_where_none_does_something_lacks(
    random_scenario, found_where_one_exists, seeds
):
    def case(seed):
        both = (random_scenario(seed, spread=one, uncertain=3) for one in (0.9, 0.1))
        return [_random(one, seed, tight=0.4) for one in both]

    seen, lacking = found_where_one_exists(map(case, seeds), _written_out)
    assert len(set(seen)) == 2
    assert lacking


def test_who_does_not_hold_it_refuses_it_by_name(one_load):
    scenario = _held(one_load, {1: [(0.0, -30.0, 30.0), (360.0, -30.0, 30.0)]})
    faults = event_faults(scenario, "any", ())
    assert faults == [
        "capability of DER g1 would be planned past: the any family knows reactive limits alone; "
        "state reactive_limit instead, or use a family that holds it"
    ]
    assert event_faults(scenario, "any", (), half_planes=True) == []
