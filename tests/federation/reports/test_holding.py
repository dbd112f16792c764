"""Who holds a voltage, and who could move it: held against the linear engine, moved by hand."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.reports.holding import Spot, holding_of, is_near
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.recourse.linear import LinearRecourse
from gridproof.scenarios.curves import Curves
from gridproof.scenarios.realization import realize
from gridproof.simulator.linear.engine import LinearEngine


@pytest.fixture(scope="module")
def case():
    """IEEE 37's nominal plan, one load drawn high: the lowest voltage, and what was told there."""
    scenario = load_study("ieee37-networked", ["uncertainty.spread=0.1"]).scenario
    options = PartitioningOptions(method="nominal", centre=False)
    plan = PartitioningPlanner(options=options).plan(scenario)
    zeta = np.full(len(scenario.direction_ids), 0.4)
    drawn = realize(scenario, zeta[None])
    told = LinearRecourse(plan, scenario, learns=False).respond(drawn)
    engine = LinearEngine(scenario)
    engine.hold(plan)
    seen = engine.observe(drawn, told).v_pu[0]
    bus, slot = np.unravel_index(np.nanargmin(np.where(seen > 0.5, seen, np.nan)), seen.shape)
    lowest = float(seen[bus, slot])
    spot = Spot(bus=int(bus), slot=int(slot), name="x", index=0, low=True,
                margin_pu=lowest - 0.95, voltage_pu=lowest)  # fmt: skip
    return scenario, plan, engine, drawn, told, spot, zeta


def test_what_one_more_kw_moves_is_what_the_linear_engine_moves(case):
    scenario, plan, engine, drawn, told, spot, zeta = case
    found = holding_of(plan, scenario, "linear", spot, zeta)
    assert found is not None
    assert plan.grid_forming[0, scenario.ders.ids.index(found.former)]
    assert len(found.movers) > 2
    for one in found.movers:
        g = scenario.ders.ids.index(one.der)
        power = {"P": told.p_kw, "Q": told.q_kvar}[one.power].copy()
        assert one.now == pytest.approx(power[0, g].sum())
        power[0, g] += np.where(scenario.ders.phases[g], 1.0, 0.0)  # one on each phase
        moved = replace(told, **{"P": {"p_kw": power}, "Q": {"q_kvar": power}}[one.power])
        after = engine.observe(drawn, moved).v_pu[0, spot.bus, spot.slot]
        phases = int(scenario.ders.phases[g].sum())
        assert 1e3 * (after - spot.voltage_pu) == pytest.approx(
            phases * one.per_unit_mpu, rel=2e-3, abs=1e-6
        )


def test_what_is_held_by_its_capability_has_no_room(case):
    """With a reactive limit at what is told now, no reactive power of that DER is left to help."""
    scenario, plan, _, _, _, spot, zeta = case
    free = holding_of(plan, scenario, "fixed", spot, zeta)
    best = next(one for one in free.movers if one.power == "Q" and one.room_mpu > 0.01)
    g = scenario.ders.ids.index(best.der)
    assert best.held_by == ""
    most, least = scenario.ders.q_max_kvar.copy(), scenario.ders.q_min_kvar.copy()
    most[g] = least[g] = plan.q_kvar[0, g]  # a phase may help by more, and another by less
    held = replace(scenario, ders=replace(scenario.ders, q_max_kvar=most, q_min_kvar=least))
    found = holding_of(plan, held, "fixed", spot, zeta)
    now = next(one for one in found.movers if (one.der, one.power) == (best.der, "Q"))
    assert now.room_mpu == pytest.approx(0.0, abs=1e-9)
    assert now.held_by == "capability"
    assert f"Q of {best.der} (capability)" in found.words()
    ramp = scenario.ders.ramp_kvar.copy()
    ramp[g] = 0.0
    bound = holding_of(plan, replace(scenario, ders=replace(scenario.ders, ramp_kvar=ramp)),
                       "fixed", spot, zeta)  # fmt: skip
    assert next(m.held_by for m in bound.movers if (m.der, m.power) == (best.der, "Q")) == "ramp"


def test_what_binds_p_to_q_leaves_the_room_that_limits_in_its_place_leave(case):
    """Each of P and Q alone: a band of its own, from the half-planes at the other's set-point."""
    scenario, plan, _, _, _, spot, zeta = case
    ders, p, q = scenario.ders, plan.p_kw[0], plan.q_kvar[0]
    rated = ders.p_max_kw.sum(axis=1)
    ratio = np.abs(q).max(axis=1) / np.maximum(p.min(axis=1), 1.0)
    curves = Curves(
        der=np.repeat(np.arange(len(rated)), 2),
        p_kw=np.column_stack([0.0 * rated, rated]).ravel(),
        q_min_kvar=np.tile([-5e3, -5e3], len(rated)),
        q_max_kvar=np.column_stack([3.0 * q.max(axis=1) + 40.0, 0.0 * rated]).ravel(),
    )
    bound = replace(ders, q_per_p=1.1 * ratio + 0.01, curves=curves)
    (p_low, p_high), (q_low, q_high) = bound.half_planes.around(p, q)
    in_place = replace(
        ders,
        p_min_kw=np.maximum(ders.p_min_kw, p_low), p_max_kw=np.minimum(ders.p_max_kw, p_high),
        q_min_kvar=np.maximum(ders.q_min_kvar, q_low),
        q_max_kvar=np.minimum(ders.q_max_kvar, q_high),
    )  # fmt: skip
    free, held, other = (
        holding_of(plan, replace(scenario, ders=one), "fixed", spot, zeta)
        for one in (ders, bound, in_place)
    )
    rooms = [{(m.der, m.power): m.room_mpu for m in one.movers} for one in (free, held, other)]
    assert rooms[1] == pytest.approx(rooms[2], abs=1e-9)
    assert sum(rooms[0].values()) > 1.1 * sum(rooms[1].values())


def test_it_is_asked_near_a_limit_alone_and_where_the_model_can_say(case):
    scenario, plan, _, _, _, spot, zeta = case
    assert is_near(0.0149, scenario)
    assert is_near(-0.2, scenario)
    assert not is_near(0.0151, scenario)
    assert holding_of(plan, scenario, "ac", spot, zeta) is None
