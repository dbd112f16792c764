"""Judging hand-made snapshots: every outcome `judge` gives, every margin with its place."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.scenarios.limits import Limits, VoltageTest
from gridproof.scenarios.resources import Fleet, Renewables, Storages
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import (
    DELIVERY_TOLERANCE,
    MarginKind,
    Outcome,
    breaches,
    judge,
    kinds_of,
    least_margin,
)

KINDS = list(MarginKind)


def solved(scenario, plan, count=1):
    """A flawless state: 1 pu everywhere alive, 40 A, DERs at their base, all served."""
    feeder = scenario.feeder
    live = plan.energized[0][feeder.blocks.of_bus]
    v = np.where(live[:, None], 1.0, np.nan) * np.ones((count, 1, 3))
    return {
        "index": np.arange(count) + 100,
        "converged": np.ones(count, bool),
        "iterations": np.full(count, 4),
        "v_pu": v.copy(),
        "v_ll_pu": v.copy(),
        "current_a": np.full((count, len(feeder.lines.ids), 3), 40.0),
        "transformer_kva": np.full((count, len(feeder.transformers.ids)), 30.0),
        "der_p_kw": np.tile(plan.p_kw[0], (count, 1, 1)),
        "der_q_kvar": np.tile(plan.q_kvar[0], (count, 1, 1)),
        "delivered_kw": np.full(count, 90.0),
        "requested_kw": np.full(count, 90.0),
        "losses_kw": np.zeros(count),
    }


def verdict(scenario, plan, **changes):
    """Judge one flawless state with single entries changed: name={place: value}."""
    state = solved(scenario, plan)
    for name, entries in changes.items():
        for place, value in entries.items():
            state[name][(0, *place)] = value
    return judge(Snapshots(**state), plan, scenario)


def worst(result, kind):
    k = KINDS.index(kind)
    return result.margin[0, k], int(result.element[0, k]), int(result.phase[0, k])


@pytest.fixture
def case(tiny_scenario, tiny_plan):
    scenario = tiny_scenario()  # 3 blocks, 6 buses, lines l0 l1 l2 s0 s1, DERs of 40 kW at 0, 2
    return scenario, tiny_plan(scenario)


def with_transformer(scenario, rating_kva=60.0):
    feeder = scenario.feeder
    one = {name: np.ones(1) for name in ("from_kv", "to_kv", "ratio", "r_pu", "x_pu")}
    unit = replace(
        feeder.transformers,
        ids=("t",), from_bus=[0], to_bus=[1], windings=np.ones((1, 3)),
        from_connection=("wye",), to_connection=("wye",),
        rating_kva=[rating_kva], regulating=[False], **one,
    )  # fmt: skip
    return replace(scenario, feeder=replace(feeder, transformers=unit))


def test_a_flawless_state_is_feasible_with_the_margins_worked_out_by_hand(case):
    result = verdict(*case)
    assert result.index.tolist() == [100]
    assert result.outcome.tolist() == [Outcome.FEASIBLE]
    margin = dict(zip(KINDS, result.margin[0], strict=True))
    assert margin[MarginKind.VOLTAGE] == pytest.approx(0.05)
    assert margin[MarginKind.CURRENT] == pytest.approx(0.6)  # 1 - 40 A / 100 A
    assert margin[MarginKind.TRANSFORMER] == np.inf  # there is none
    assert margin[MarginKind.CAPABILITY] == pytest.approx(10 / 40)  # 10 kW above 0
    assert margin[MarginKind.RAMP] == pytest.approx(12 / 40)  # at its base


def test_a_line_without_a_rating_has_no_margin_to_one(case):
    scenario, plan = case
    place = KINDS.index(MarginKind.CURRENT)
    for free, margin in (([4], 0.6), (range(5), np.inf)):
        rating = np.where(np.isin(np.arange(5), free), np.inf, 100.0)
        lines = replace(scenario.feeder.lines, rating_a=rating)
        asked = replace(scenario, feeder=replace(scenario.feeder, lines=lines))
        found = verdict(asked, plan, current_a={(4, 0): 9e4})
        assert found.outcome.tolist() == [Outcome.FEASIBLE]
        assert found.margin[0, place] == pytest.approx(margin)


VIOLATIONS = {
    "low voltage": (MarginKind.VOLTAGE, {"v_pu": {(3, 1): 0.94}}, -0.01, 3, 1),
    "high voltage": (MarginKind.VOLTAGE, {"v_pu": {(5, 2): 1.08}}, -0.03, 5, 2),
    "current": (MarginKind.CURRENT, {"current_a": {(4, 0): 125.0}}, -0.25, 4, 0),
    "too much P": (MarginKind.CAPABILITY, {"der_p_kw": {(1, 2): 41.0}}, -1 / 40, 1, 2),
    "P below its least": (MarginKind.CAPABILITY, {"der_p_kw": {(1, 0): -2.0}}, -2 / 40, 1, 0),
    "too much Q": (MarginKind.CAPABILITY, {"der_q_kvar": {(0, 1): 24.0}}, -4 / 40, 0, 1),
    "Q below its least": (MarginKind.CAPABILITY, {"der_q_kvar": {(0, 1): -30.0}}, -10 / 40, 0, 1),
    "ramp up": (MarginKind.RAMP, {"der_p_kw": {(0, 0): 24.0}}, -2 / 40, 0, 0),
    "ramp down in Q": (MarginKind.RAMP, {"der_q_kvar": {(1, 1): -9.0}}, -2 / 40, 1, 1),
}


@pytest.mark.parametrize("name", VIOLATIONS)
def test_each_limit_is_held_with_element_and_phase(name, case):
    kind, changes, margin, element, phase = VIOLATIONS[name]
    result = verdict(*case, **changes)
    assert result.outcome.tolist() == [Outcome.VIOLATED]
    found = worst(result, kind)
    assert found[0] == pytest.approx(margin)
    assert found[1:] == (element, phase)


def test_apparent_power_is_held_where_it_is_stated(case):
    scenario, plan = case
    ders = replace(scenario.ders, s_max_kva=np.full((2, 3), 20.0))
    scenario = replace(scenario, ders=ders)
    result = verdict(scenario, plan, der_p_kw={(1, 1): 16.0}, der_q_kvar={(1, 1): 13.0})
    margin, element, phase = worst(result, MarginKind.CAPABILITY)
    assert margin == pytest.approx((20 - np.hypot(16, 13)) / 40)
    assert (element, phase) == (1, 1)
    assert result.outcome.tolist() == [Outcome.VIOLATED]


def test_a_transformer_is_held_to_its_whole_rating(case):
    scenario = with_transformer(case[0])
    result = verdict(scenario, case[1])
    assert worst(result, MarginKind.TRANSFORMER) == (0.5, 0, -1)  # it has no phase
    result = verdict(scenario, case[1], transformer_kva={(0,): 66.0})
    assert worst(result, MarginKind.TRANSFORMER) == (pytest.approx(-0.1), 0, -1)
    assert result.outcome.tolist() == [Outcome.VIOLATED]


def test_tolerance_is_the_only_allowance(case):
    scenario, plan = case
    inside = verdict(scenario, plan, v_pu={(0, 0): 0.95 - 0.9e-6})
    outside = verdict(scenario, plan, v_pu={(0, 0): 0.95 - 1.1e-6})
    assert inside.outcome.tolist() == [Outcome.FEASIBLE]
    assert inside.margin[0, 0] < 0.0  # the margin is not rounded up
    assert outside.outcome.tolist() == [Outcome.VIOLATED]


@pytest.mark.parametrize("name", ["v_pu", "current_a"])
def test_the_least_margin_is_below_zero_where_the_judge_says_violated(name, case):
    scenario, plan = case
    edge = {"v_pu": 0.95, "current_a": scenario.feeder.lines.rating_a[0]}[name]
    unit = {"v_pu": -1.0, "current_a": edge}[name]
    for past, outcome in ((0.9e-6, Outcome.FEASIBLE), (1.1e-6, Outcome.VIOLATED)):
        result = verdict(scenario, plan, **{name: {(0, 0): edge + past * unit}})
        (least,) = least_margin(result.margin, scenario.limits)
        assert result.outcome.tolist() == [outcome]
        assert (least < 0.0) == (outcome is Outcome.VIOLATED)
        assert abs(least) < 1e-5


def test_the_least_margin_has_all_kinds_on_one_scale(case):
    limits = case[0].limits
    margin = np.full((4, len(KINDS)), np.inf)
    voltage, current = KINDS.index(MarginKind.VOLTAGE), KINDS.index(MarginKind.CURRENT)
    margin[0, [voltage, current]] = 0.02, 0.41  # 40 % of half the band
    margin[1, [voltage, current]] = 0.02, 0.39
    margin[2, [voltage, current]] = np.nan, 0.5
    expected = [0.4 + 2e-5, 0.39 + 1e-6, np.nan, np.inf]
    np.testing.assert_allclose(least_margin(margin, limits), expected, rtol=1e-12)
    assert least_margin(margin[0], limits) == pytest.approx(expected[0])


@pytest.mark.parametrize(
    "change",
    [
        {"converged": {(): False}},
        {"v_pu": {(2, 0): np.nan}},
        {"v_pu": {(2, 0): np.inf}},
        {"current_a": {(1, 1): np.nan}},
        {"current_a": {(1, 1): np.inf}},
        {"der_p_kw": {(1, 1): np.nan}},
        {"der_q_kvar": {(0, 2): -np.inf}},
        {"delivered_kw": {(): np.nan}},
        {"requested_kw": {(): np.inf}},
    ],
)
def test_no_number_no_solution(change, case):
    """A state that is not wholly numbers is no state: not feasible, not a violation."""
    result = verdict(*case, **change)
    assert result.outcome.tolist() == [Outcome.NO_SOLUTION]
    assert np.isnan(result.margin).all()
    assert (result.element == -1).all()
    assert (result.phase == -1).all()


@pytest.mark.parametrize("value", [1e308, np.inf, -np.inf, np.nan])
def test_what_a_diverged_flow_left_behind_means_nothing(value, case):
    scenario, plan = case
    state = solved(scenario, plan)
    for name in ("v_pu", "current_a", "der_p_kw", "der_q_kvar", "delivered_kw", "requested_kw"):
        state[name][:] = value
    state["converged"][:] = False
    assert judge(Snapshots(**state), plan, scenario).outcome.tolist() == [Outcome.NO_SOLUTION]


def test_a_live_bus_left_dead_is_no_solution_and_a_dead_one_is_nothing(case, tiny_plan):
    scenario, _ = case
    plan = tiny_plan(scenario, closed=[True, False], energized=[True, True, False])
    result = verdict(scenario, plan)
    assert result.outcome.tolist() == [Outcome.FEASIBLE]
    result = verdict(scenario, plan, v_pu={(4, 0): 7.0})  # bus n2 is planned dead
    assert result.outcome.tolist() == [Outcome.FEASIBLE]
    result = verdict(scenario, plan, v_pu={(3, 2): np.nan})  # bus m1 is planned live
    assert result.outcome.tolist() == [Outcome.NO_SOLUTION]


def test_all_dead_is_feasible_with_nothing_to_measure(case, tiny_plan):
    scenario, _ = case
    plan = tiny_plan(scenario, [False, False], [False] * 3, [False, False])
    result = verdict(scenario, plan)
    assert result.outcome.tolist() == [Outcome.FEASIBLE]
    for kind in (MarginKind.VOLTAGE, MarginKind.CAPABILITY, MarginKind.RAMP):
        assert worst(result, kind) == (np.inf, -1, -1)


def test_another_load_than_asked_is_our_error_not_a_verdict(case):
    limit = 90.0 * DELIVERY_TOLERANCE
    result = verdict(*case, delivered_kw={(): 90.0 - 1.1 * limit})
    assert result.outcome.tolist() == [Outcome.ERRED]
    result = verdict(*case, delivered_kw={(): 90.0 + 0.9 * limit})
    assert result.outcome.tolist() == [Outcome.FEASIBLE]
    result = verdict(*case, delivered_kw={(): 80.0}, v_pu={(0, 0): 0.5})
    assert result.outcome.tolist() == [Outcome.ERRED]  # a wrong state violates nothing


def test_missing_phases_are_not_judged(case):
    scenario, plan = case
    feeder = scenario.feeder
    has = np.ones((6, 3), bool)
    has[5] = [True, False, False]
    carries = np.ones((5, 3), bool)
    carries[2] = [True, False, False]
    buses, lines = replace(feeder.buses, phases=has), replace(feeder.lines, phases=carries)
    scenario = replace(scenario, feeder=replace(feeder, buses=buses, lines=lines))
    result = verdict(scenario, plan, v_pu={(5, 1): np.nan, (5, 2): 0.1}, current_a={(2, 1): 999.0})
    assert result.outcome.tolist() == [Outcome.FEASIBLE]


def test_line_to_line_band_looks_at_pairs_only(case):
    scenario, plan = case
    scenario = replace(scenario, limits=Limits(voltage_test=VoltageTest.LINE_TO_LINE))
    floating = {(0, 0): 1.5, (0, 1): np.nan}
    result = verdict(scenario, plan, v_pu=floating)  # the neutral is nowhere in particular
    assert result.outcome.tolist() == [Outcome.FEASIBLE]
    result = verdict(scenario, plan, v_ll_pu={(4, 2): 1.06})
    assert result.outcome.tolist() == [Outcome.VIOLATED]
    assert worst(result, MarginKind.VOLTAGE) == (pytest.approx(-0.01), 4, 2)


@pytest.mark.parametrize(
    ("phases", "pairs"),
    [("abc", {0, 1, 2}), ("ab", {0}), ("bc", {1}), ("ac", {2}), ("b", set())],
)
def test_a_pair_exists_where_both_phases_do(phases, pairs, case):
    scenario, plan = case
    has = np.ones((6, 3), bool)
    has[3] = [name in phases for name in "abc"]
    buses = replace(scenario.feeder.buses, phases=has)
    scenario = replace(
        scenario,
        feeder=replace(scenario.feeder, buses=buses),
        limits=Limits(voltage_test=VoltageTest.LINE_TO_LINE),
    )
    judged = {
        slot
        for slot in range(3)
        if verdict(scenario, plan, v_ll_pu={(3, slot): 0.5}).outcome[0] == Outcome.VIOLATED
    }
    assert judged == pairs


def test_ramp_counts_from_the_base_of_its_own_step(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(steps=2)
    plan = tiny_plan(scenario)
    base = plan.p_kw.copy()
    base[1] = 30.0
    plan = replace(plan, p_kw=base)
    state = Snapshots(**solved(scenario, plan))  # at 10 kW
    assert judge(state, plan, scenario, time=0).outcome.tolist() == [Outcome.FEASIBLE]
    late = judge(state, plan, scenario, time=1)
    assert worst(late, MarginKind.RAMP)[0] == pytest.approx((12 - 20) / 40)


def test_rows_are_judged_one_by_one(case):
    scenario, plan = case
    state = solved(scenario, plan, count=4)
    state["v_pu"][1, 2, 0] = 0.9
    state["converged"][2] = False
    state["delivered_kw"][3] = 0.0
    result = judge(Snapshots(**state), plan, scenario)
    assert result.outcome.tolist() == [
        Outcome.FEASIBLE, Outcome.VIOLATED, Outcome.NO_SOLUTION, Outcome.ERRED,
    ]  # fmt: skip
    for row in range(4):
        one = {name: values[row : row + 1] for name, values in state.items()}
        alone = judge(Snapshots(**one), plan, scenario)
        assert alone.outcome[0] == result.outcome[row]
        assert alone.margin.tobytes() == result.margin[row : row + 1].tobytes()


def test_every_breach_is_told_of_its_own_element_and_none_of_the_rest(case):
    scenario, plan = with_transformer(case[0]), case[1]
    tolerance = scenario.limits.tolerance
    state = solved(scenario, plan, count=2)
    state["v_pu"][0, [2, 4], 1] = 0.94, 1.06
    state["v_pu"][1, 3, 0] = 0.95 - 0.9 * tolerance  # inside what is allowed
    state["current_a"][1, 4, 2] = 101.0
    state["transformer_kva"][1, 0] = 66.0
    state["der_p_kw"][0, 1, 0] = 41.0  # beyond its capability, and its ramp
    found = breaches(Snapshots(**state), plan, scenario)
    wanted = {
        MarginKind.VOLTAGE: {(0, 2), (0, 4)},
        MarginKind.CURRENT: {(1, 4)},
        MarginKind.TRANSFORMER: {(1, 0)},
        MarginKind.CAPABILITY: {(0, 1)},
        MarginKind.RAMP: {(0, 1)},
        MarginKind.DAMAGE: set(),
    }
    assert {kind: set(map(tuple, np.argwhere(at).tolist())) for kind, at in found.items()} == wanted
    judged = judge(Snapshots(**state), plan, scenario)
    assert judged.outcome.tolist() == [Outcome.VIOLATED, Outcome.VIOLATED]


@pytest.mark.parametrize("margin", [-1.0, -0.5, 0.0])
def test_a_breach_is_one_beyond_the_tolerance_not_at_it(case, margin):
    """At a tolerance of half a rating a line may carry one and a half of it, and not more."""
    scenario = replace(case[0], limits=Limits(tolerance=0.5))
    state = solved(scenario, case[1])
    state["current_a"][0, 1, 0] = 100.0 * (1.0 - margin)
    found = breaches(Snapshots(**state), case[1], scenario)[MarginKind.CURRENT]
    assert found[0].tolist() == [False, margin < -0.5, False, False, False]
    outcome = judge(Snapshots(**state), case[1], scenario).outcome[0]
    assert outcome == (Outcome.VIOLATED if margin < -0.5 else Outcome.FEASIBLE)


def test_only_kinds_that_can_be_judged_are_kinds_of_a_scenario(tiny_scenario):
    scenario = tiny_scenario()
    plain = {"voltage", "current", "transformer", "capability", "ramp"}
    store = Storages(
        ids=("s",), der=[1], energy_max_kwh=[60.0], energy_min_kwh=[10.0], start_kwh=[30.0],
        charge_efficiency=[0.9], discharge_efficiency=[0.8], end_min_kwh=[20.0],
    )  # fmt: skip
    sun = Renewables(ids=("r",), der=[0], available_kw=[[9.0]], spread=[0.2])
    assert set(kinds_of(scenario)) == plain
    for fleet in (Fleet(storages=store), Fleet(renewables=sun)):
        assert set(kinds_of(replace(scenario, fleet=fleet))) == plain | {"energy"}


def test_some_rows_of_a_batch_keep_what_was_judged(case):
    scenario, plan = case
    state = solved(scenario, plan, count=3)
    state["v_pu"][1, 2, 0] = 0.9
    whole = judge(Snapshots(**state), plan, scenario)
    part = whole.take(np.array([2, 1]))
    assert (len(whole), len(part)) == (3, 2)
    assert part.index.tolist() == [102, 101]
    assert part.outcome.tolist() == [Outcome.FEASIBLE, Outcome.VIOLATED]
    assert worst(part.take(slice(1, 2)), MarginKind.VOLTAGE) == (pytest.approx(-0.05), 2, 0)


@pytest.mark.parametrize("name", ["index", "outcome", "margin", "element", "phase"])
def test_a_verdict_has_its_shape_and_is_not_written_to(case, name):
    made = verdict(*case)
    with pytest.raises(ValueError, match="read-only"):
        getattr(made, name)[0] = 1
    with pytest.raises(ValueError, match="is needed"):
        replace(made, **{name: np.zeros((2, 3))})


def test_a_snapshot_of_the_wrong_shape_is_refused(case):
    state = solved(*case)
    with pytest.raises(ValueError, match="is needed"):
        Snapshots(**{**state, "v_pu": state["v_pu"][:, :, :2]})
