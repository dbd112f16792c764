"""What events take: as demand, as lost output, and held against the reserves that answer it."""

import json
from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.trial.trial import Trial
from gridproof.federation.wire.codec import Codec
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.disturbances import Disturbances
from gridproof.scenarios.errors import ConfigError, ScenarioError
from gridproof.scenarios.plan import plan_digest
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.realization import realize
from gridproof.scenarios.response import Reserves, ResponseRule
from gridproof.scenarios.verdict import MarginKind, Outcome, kinds_of
from gridproof.simulator.linear.engine import LinearEngine
from hypothesis import given
from hypothesis import strategies as st

RESERVE = list(MarginKind).index(MarginKind.RESERVE)
CAPABILITY = list(MarginKind).index(MarginKind.CAPABILITY)
W = st.tuples(st.floats(-20.0, 20.0), st.floats(0.0, 20.0))


@pytest.fixture(scope="module")
def scenario(tiny_scenario):
    """Demand at the last load grows by the first component, the second takes output of g1."""
    whole = tiny_scenario(size=2, ders=(0, 1), steps=2, switches=((0, 1),))
    share = np.zeros((2, 2, 3))
    share[0, 1] = 1.0 / 3.0
    return replace(
        whole,
        uncertainty=replace(whole.uncertainty, spread=np.zeros(2)),
        disturbances=Disturbances(
            ids=("load@east", "trip@east"),
            shape=[[1.0, 1.0], [0.5, 1.0]],
            load_share=share,
            der_share=[[0.0, 0.0], [0.0, 1.0]],
            lower_kw=[-20.0, 0.0],
            upper_kw=[20.0, 20.0],
        ),
    )


@pytest.fixture(scope="module")
def plan(scenario, tiny_plan):
    """g1 gives 12 kW, and answers all that the second load asks and three quarters of a trip."""
    made = tiny_plan(scenario)
    p = made.p_kw.copy()
    p[:, 1] = 4.0
    demand = scenario.load_p_kw.sum(axis=(1, 2))
    p[:, 0] = ((demand - 12.0) / 3.0)[:, None]
    gain = np.zeros((2, 2, 4))
    gain[:, 1, 2] = scenario.disturbances.shape[:, 0]
    gain[:, 0, 3], gain[:, 1, 3] = 0.25, 0.75
    return replace(
        made,
        p_kw=p,
        q_kvar=np.repeat(scenario.load_q_kvar.sum(axis=1)[:, None] / 2.0, 2, axis=1),
        rule=ResponseRule(direction_ids=scenario.direction_ids, gain=gain),
        reserves=Reserves(up_kw=[[5.0, 30.0]] * 2, down_kw=[[1.0, 30.0]] * 2),
    )


def drawn(scenario, *w_kw):
    w = np.array(w_kw, float).reshape(-1, 2)
    return realize(scenario, np.hstack([np.zeros((len(w), 2)), w]))


def tried(scenario, plan, batch, step, recourse="rule"):
    trial = Trial(LinearEngine(scenario), scenario, plan)
    trial.enter(step)
    answer = make_recourse(recourse, plan, scenario, step).respond(batch.at(step))
    return trial.observe(batch, answer)


@given(W)
def test_demand_grows_by_the_component_times_its_shape_at_the_loads_power_factor(scenario, w):
    batch = drawn(scenario, w)
    for step, shape in enumerate((1.0, 0.5)):
        more = batch.p_kw[0, step] - scenario.load_p_kw[step]
        np.testing.assert_allclose(more[1], w[0] * shape / 3.0, atol=1e-12)
        np.testing.assert_allclose(more[0], 0.0, atol=1e-12)
        tangent = scenario.load_q_kvar[step, 1] / scenario.load_p_kw[step, 1]
        moved = batch.q_kvar[0, step, 1] - scenario.load_q_kvar[step, 1]
        np.testing.assert_allclose(moved, more[1] * tangent, atol=1e-12)
    assert scenario.disturbances.deficit_kw(np.array([w]), 1)[0] == pytest.approx(0.5 * w[0] + w[1])


@given(st.lists(W, min_size=2, max_size=9))
def test_each_realization_is_what_it_is_alone(scenario, plan, ws):
    whole = drawn(scenario, *ws)
    told = make_recourse("rule", plan, scenario, 1).respond(whole)
    for k, w in enumerate(ws):
        alone = drawn(scenario, w)
        assert alone.p_kw.tobytes() == whole.p_kw[k : k + 1].tobytes()
        one = make_recourse("rule", plan, scenario, 1).respond(alone)
        assert one.p_kw.tobytes() == told.p_kw[k : k + 1].tobytes()


@given(W)
def test_what_others_answer_in_full_leaves_the_forming_unit_where_it_was(scenario, plan, w):
    """``Σ_i A_ij = 1``: a loss that the response covers moves the former by its own part alone."""
    batch = drawn(scenario, w)
    snapshots, _ = tried(scenario, plan, batch, 0)
    base = plan.p_kw[0, 0].sum()
    assert snapshots.der_p_kw[0, 0].sum() == pytest.approx(base + 0.25 * w[1], abs=1e-6)
    assert snapshots.der_p_kw[0, 1].sum() == pytest.approx(12.0 + w[0] - 0.25 * w[1], abs=1e-6)


def test_the_former_is_held_to_its_set_point_and_reserve_not_to_its_nameplate(scenario, plan):
    # 0.25 of a trip falls to the former, whose reserve up is 5 kW; down 1 kW
    batch = drawn(scenario, (0.0, 19.0), (0.0, 20.4))
    _, verdicts = tried(scenario, plan, batch, 0)
    scale = scenario.ders.p_max_kw[0].sum()
    np.testing.assert_allclose(
        verdicts.margin[:, RESERVE], (5.0 - 0.25 * np.array([19.0, 20.4])) / scale, atol=1e-9
    )
    assert verdicts.element[:, RESERVE].tolist() == [0, 0]
    assert (verdicts.margin[:, CAPABILITY] > 0.0).all()
    assert verdicts.outcome.tolist() == [Outcome.FEASIBLE, Outcome.VIOLATED]


def test_without_an_answer_all_falls_to_the_former(scenario, plan):
    _, verdicts = tried(scenario, plan, drawn(scenario, (3.0, 4.0)), 0, recourse="fixed")
    assert verdicts.outcome.tolist() == [Outcome.VIOLATED]
    scale = scenario.ders.p_max_kw[0].sum()
    assert verdicts.margin[0, RESERVE] == pytest.approx((5.0 - 7.0) / scale)


def test_a_machine_that_trips_takes_its_headroom_along(scenario, plan):
    """``p - w + r ≤ P_max - w``: the margin to capability is that of what it was told."""
    ders = scenario.ders
    full = replace(plan, reserves=None, rule=replace(plan.rule, gain=np.zeros((2, 2, 4))))
    batch = drawn(scenario, (0.0, 0.0), (0.0, 10.0))
    snapshots, verdicts = tried(scenario, full, batch, 0)
    gave = snapshots.der_p_kw[:, 1].sum(axis=1)
    np.testing.assert_allclose(gave, [12.0, 2.0])
    room = np.minimum(ders.p_max_kw[1] - 4.0, 4.0 - ders.p_min_kw[1]).min() / ders.p_max_kw[1, 0]
    assert (verdicts.margin[:, CAPABILITY] <= room + 1e-12).all()


def test_a_rule_of_two_signs_answers_each_by_its_own(scenario, plan):
    up, down = np.zeros((2, 2, 4)), np.zeros((2, 2, 4))
    up[:, 0, 2:], down[:, 1, 2:] = 1.0, 1.0
    weight = np.hstack([np.zeros((2, 2)), scenario.disturbances.shape])
    rule = ResponseRule(
        direction_ids=scenario.direction_ids, gain=up, gain_down=down, weight=weight
    )
    zeta = np.array([[0.0, 0.0, 6.0, 1.0], [0.0, 0.0, -6.0, 1.0]])
    np.testing.assert_allclose(rule.answer_kw(zeta, 0), [[7.0, 0.0], [0.0, -5.0]])
    with pytest.raises(ValueError, match="two signs"):
        ResponseRule(direction_ids=scenario.direction_ids, gain=up, gain_down=down)


def test_a_plan_with_rule_reserves_and_commitment_survives_its_file(scenario, plan):
    whole = replace(plan, committed=[[True, False], [True, True]], cost_unit="points")
    back = plan_from_json(plan_to_json(whole), scenario)
    assert plan_digest(back) == plan_digest(whole)
    assert plan_digest(back) != plan_digest(plan)
    assert back.cost_unit == "points"
    assert back.rule.gain.tobytes() == whole.rule.gain.tobytes()
    assert back.reserves.up_kw.tobytes() == whole.reserves.up_kw.tobytes()
    assert back.committed.tolist() == [[True, False], [True, True]]


@pytest.mark.parametrize(
    ("edit", "words"),
    [
        (lambda f: f["reserves"].update(ghost=f["reserves"]["g0"]), r"reserves\.ghost is not in"),
        (lambda f: f["reserves"]["g0"]["up_kw"].append(1.0), r"reserves\.g0\.up_kw has 3 steps"),
        (lambda f: f["reserves"]["g0"].update(up_kw=[-1.0, 0.0]), r"reserves\.g0\.up_kw\.0"),
        (lambda f: f["rule"]["gain"]["g0"].pop(), r"rule\.gain\.g0 has 1 rows"),
        (lambda f: f["rule"]["gain"]["g0"][0].pop(), r"numbers; it needs 2, one a step, of 4"),
        (lambda f: f["rule"].update(gain_down={}), r"rule\.weight has 0 rows"),
        (lambda f: f.update(committed={"ghost": [True, True]}), r"committed\.ghost is not in"),
    ],
)
def test_what_is_no_reserve_and_no_rule_is_refused_by_its_place(scenario, plan, edit, words):
    file = json.loads(plan_to_json(plan))
    edit(file)
    with pytest.raises(ConfigError, match=words):
        plan_from_json(json.dumps(file), scenario)


def test_a_rule_for_other_directions_or_none_is_refused_before_anything_is_tried(scenario, plan):
    with pytest.raises(ConfigError, match="brings no response rule"):
        make_recourse("rule", replace(plan, rule=None), scenario, 0)
    other = replace(plan.rule, direction_ids=("a", "b", "c", "d"))
    with pytest.raises(ConfigError, match="the plan's rule answers a, b, c, d"):
        make_recourse("rule", replace(plan, rule=other), scenario, 0)


def test_a_draw_survives_the_wire(scenario):
    codec, batch = (
        Codec.of(scenario, 3, steps=(0, 1)),
        drawn(scenario, (1.5, 2.0), (-3.0, 0.0), (0.0, 7.25)),
    )
    for step in (0, 1):
        payload = codec.pack_realizations(batch, sequence=1, step=step)
        _, back = codec.read_realizations(payload, "feeder/realizations")
        assert back.zeta.tobytes() == batch.zeta.tobytes()
        assert back.demand_at(step)[0].tobytes() == batch.demand_at(step)[0].tobytes()


def test_reserve_is_a_kind_of_limit_only_where_something_is_taken(scenario, tiny_scenario):
    assert MarginKind.RESERVE in kinds_of(scenario)
    assert MarginKind.RESERVE not in kinds_of(tiny_scenario())


@pytest.mark.parametrize(
    ("change", "words"),
    [
        ({"shape": np.ones((3, 2))}, "given for 3 steps; there are 2"),
        ({"der_share": np.ones((2, 3))}, "given for 3 DERs; there are 2"),
        ({"lower_kw": [1.0, 0.0]}, "load@east: 1 to 20 kW must hold 0"),
        ({"der_share": [[0.0, 0.0], [0.0, 0.5]]}, "trip@east: its shares sum to 0.5"),
        ({"der_share": [[1.0, 0.0], [0.0, 1.0]]}, "load@east: its shares sum to 2"),
    ],
)
def test_contradictions_are_named(scenario, change, words):
    with pytest.raises(ScenarioError, match=words):
        replace(scenario, disturbances=replace(scenario.disturbances, **change))
