"""Fixed factors that keep power factors and capability curves, held against every corner."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.curves import Curves
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations, draw, realize
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.sets import Box
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.linear.engine import LinearEngine
from scipy.optimize import linprog


@pytest.fixture
def made(tiny_scenario, tiny_plan):
    """A random case: three blocks in a row, a former and two followers bound, unlike loads."""

    def of(seed: int, tight: float) -> tuple[Scenario, Plan]:
        rng = np.random.default_rng(seed)
        base = tiny_scenario(3, ders=[0, 1, 2], der_kw=60.0, spread=0.4)
        p_kw = rng.uniform(8.0, 20.0, (3, 3))
        q_kvar = p_kw * rng.uniform(0.2, 0.6, (3, 1))
        loads = replace(base.feeder.loads, p_kw=p_kw, q_kvar=q_kvar)
        share = rng.dirichlet([3.0, 3.0, 3.0], 2)
        set_p = share[0][:, None] * p_kw.sum(axis=0)
        set_q = share[1][:, None] * q_kvar.sum(axis=0)
        points = []
        for g in range(3):
            at, q = set_p[g].sum(), set_q[g].sum()
            room = tight * rng.uniform(0.05, 0.4) * max(at, 5.0)
            slopes = np.sort(rng.uniform(-0.5, 0.8, 2))[::-1]
            high = q + room + slopes * np.array([at, 180.0 - at]) * np.array([-1.0, 1.0])
            ends = ((0.0, high[0]), (at, q + room), (180.0, high[1]))
            points += [(g, p, -90.0, most) for p, most in ends]
        der, p, low, high = np.array(points).T
        low = np.minimum(low, high.min() - 1.0)
        scenario = replace(
            base,
            feeder=replace(base.feeder, loads=loads),
            load_p_kw=p_kw[None],
            load_q_kvar=q_kvar[None],
            ders=replace(
                base.ders,
                curves=Curves(der=der, p_kw=p, q_min_kvar=low, q_max_kvar=high),
                q_min_kvar=np.full((3, 3), -60.0),
                q_max_kvar=np.full((3, 3), 60.0),
                ramp_kw=np.full((3, 3), 60.0),
                ramp_kvar=np.full((3, 3), 60.0),
            ),
            uncertainty=Box(load_ids=base.feeder.loads.ids, spread=np.array([0.4, 0.2, 0.3])),
        )
        plan = tiny_plan(scenario)
        return scenario, replace(plan, p_kw=set_p[None], q_kvar=set_q[None])

    return of


def corners(scenario: Scenario) -> Realizations:
    zeta = np.array(list(product((-1.0, 1.0), repeat=len(scenario.direction_ids))))
    return realize(scenario, zeta)


def rooms(scenario: Scenario, plan: Plan, drawn: Realizations, told: Setpoints) -> np.ndarray:
    """(realization, row, 3) what every half-plane leaves once the physics has its say, kvar."""
    engine = LinearEngine(scenario)
    engine.hold(plan)
    seen = engine.observe(drawn, told)
    planes = scenario.ders.half_planes
    p, q = seen.der_p_kw[:, planes.der], seen.der_q_kvar[:, planes.der]
    return planes.slope[:, None] * p + planes.level - planes.side[:, None] * q


def by_capacity(scenario: Scenario, plan: Plan, drawn: Realizations) -> Setpoints:
    free = replace(scenario, ders=replace(scenario.ders, curves=None))
    return make_recourse("participation", plan, free).respond(drawn)


def least_excess(scenario: Scenario, plan: Plan) -> float:
    """The same by enumeration: slopes by differences of the engine, a row for every corner.

    Each half-plane of each phase has what it is passed by at its worst corner; they are summed.
    """
    drawn = corners(scenario)
    fixed = make_recourse("fixed", plan, scenario).respond(drawn)
    now = rooms(scenario, plan, drawn, fixed)
    change = [
        (part - base[0]).sum(axis=(1, 2))
        for part, base in zip(
            drawn.demand_at(0), (scenario.load_p_kw, scenario.load_q_kvar), strict=True
        )
    ]
    followers = [(g, k) for g in np.flatnonzero(~plan.grid_forming[0]) for k in range(3)]
    columns = []
    for name, moved in zip(("p_kw", "q_kvar"), change, strict=True):
        for g, k in followers:
            other = getattr(fixed, name).copy()
            other[:, g, k] += 1.0
            slope = rooms(scenario, plan, drawn, replace(fixed, **{name: other})) - now
            columns.append((slope * moved[:, None, None]).ravel())
    count, passed = len(columns), now[0].size
    worst = np.tile(-np.eye(passed), (len(now), 1))
    rows = np.hstack([-np.array(columns).T, worst])
    whole = np.zeros((2, count + passed))
    whole[0, : count // 2] = whole[1, count // 2 : count] = 1.0
    found = linprog(
        np.concatenate([np.zeros(count), np.ones(passed)]),
        A_ub=np.vstack([rows, whole]),
        b_ub=np.concatenate([now.ravel(), np.ones(2)]),
        bounds=[(0.0, 1.0)] * count + [(0.0, None)] * passed,
    )
    assert found.status == 0
    return float(found.fun)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("tight", [1.0, 0.2])
def test_no_factors_leave_curves_by_less_at_any_corner(made, seed: int, tight: float) -> None:
    scenario, plan = made(seed, tight)
    told = make_recourse("participation", plan, scenario).respond(corners(scenario))
    worst = rooms(scenario, plan, corners(scenario), told).min(axis=0)
    excess = np.maximum(-worst, 0.0).sum()
    assert excess == pytest.approx(least_excess(scenario, plan), abs=3e-5)


def test_some_are_kept_that_factors_by_capacity_leave_and_some_by_none(made) -> None:
    """What is held above is neither always free nor never possible."""
    left, lost = 0, 0
    for seed in range(3):
        for tight in (1.0, 0.2):
            scenario, plan = made(seed, tight)
            told = by_capacity(scenario, plan, corners(scenario))
            left += rooms(scenario, plan, corners(scenario), told).min() < -0.1
            lost += least_excess(scenario, plan) > 0.1
    assert lost < left
    assert lost > 0


def test_factors_stay_fixed_and_add_up(made) -> None:
    scenario, plan = made(1, 1.0)
    drawn = draw(scenario, 1, 0, 30)
    told = make_recourse("participation", plan, scenario).respond(drawn)
    moved = told.p_kw - plan.p_kw[0]
    mismatch = (drawn.demand_at(0)[0] - scenario.load_p_kw[0]).sum(axis=(1, 2))
    np.testing.assert_allclose(moved.sum(axis=(1, 2)), mismatch, atol=1e-9)
    shares = moved / mismatch[:, None, None]
    np.testing.assert_allclose(shares, np.broadcast_to(shares[0], shares.shape), atol=1e-8)
    assert shares.min() >= -1e-12


def test_where_factors_by_capacity_keep_them_they_are_as_they_were(made) -> None:
    scenario, plan = made(0, 1.0)
    wide = Curves(
        der=np.repeat(np.arange(3), 2),
        p_kw=np.tile([-100.0, 200.0], 3),
        q_min_kvar=np.full(6, -500.0),
        q_max_kvar=np.full(6, 500.0),
    )
    held = replace(scenario, ders=replace(scenario.ders, curves=wide))
    drawn = draw(scenario, 1, 0, 5)
    told = make_recourse("participation", plan, held).respond(drawn)
    np.testing.assert_array_equal(told.q_kvar, by_capacity(scenario, plan, drawn).q_kvar)


def test_phases_of_a_balanced_der_have_one_factor(made) -> None:
    scenario, plan = made(4, 0.2)
    balanced = np.array([False, True, False])
    ders = replace(scenario.ders, balanced=balanced)
    for name, part in (("p_kw", plan.p_kw), ("q_kvar", plan.q_kvar)):
        even = part.copy()
        even[0, 1] = part[0, 1].mean()
        even[0, 0] += part[0, 1] - even[0, 1]
        plan = replace(plan, **{name: even})
    scenario = replace(scenario, ders=ders)
    told = make_recourse("participation", plan, scenario).respond(corners(scenario))
    assert np.ptp(told.p_kw[:, 1] - plan.p_kw[0, 1], axis=1).max() < 1e-9
    assert np.ptp(told.q_kvar[:, 1] - plan.q_kvar[0, 1], axis=1).max() < 1e-9
    assert np.abs(told.q_kvar - by_capacity(scenario, plan, corners(scenario)).q_kvar).max() > 1e-3


def test_power_factors_are_kept_at_every_draw_and_judged_so(made) -> None:
    scenario, plan = made(2, 1.0)
    ratio = (plan.q_kvar[0] / plan.p_kw[0]).max(axis=1) * 1.05
    ders = replace(scenario.ders, curves=None, q_per_p=ratio)
    scenario = replace(scenario, ders=ders)
    drawn = draw(scenario, 5, 0, 200)
    told = make_recourse("participation", plan, scenario).respond(drawn)
    before = by_capacity(replace(scenario, ders=replace(ders, q_per_p=None)), plan, drawn)
    engine = LinearEngine(scenario)
    engine.hold(plan)
    outcomes = [
        judge(engine.observe(drawn, each), plan, scenario).outcome == Outcome.FEASIBLE
        for each in (told, before)
    ]
    assert outcomes[0].mean() > outcomes[1].mean()


def test_an_island_that_the_linear_model_does_not_know_is_refused_by_its_name(
    made, tiny_plan
) -> None:
    scenario, _ = made(0, 1.0)
    nobody = tiny_plan(scenario, forming=[False, False, False])
    with pytest.raises(ScenarioError, match=r"participation looks for factors .* no grid-forming"):
        make_recourse("participation", nobody, scenario)
