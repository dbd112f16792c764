"""Fixed factors: an island's mismatch is shared whole, by capacity, and never cut off."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.optimizer.recourse.participation import ParticipationRecourse
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.realization import draw, realize
from hypothesis import given, settings
from hypothesis import strategies as st


def two_islands(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(4, [(0, 1), (1, 2), (2, 3)], [0, 1, 3])
    plan = tiny_plan(scenario, [True, False, False], [True, True, False, True], [True, False, True])
    return scenario, plan


def test_each_island_shares_its_own_mismatch_by_capacity(tiny_scenario, tiny_plan):
    scenario, plan = two_islands(tiny_scenario, tiny_plan)
    zeta = np.array([[1.0, 0.5, 1.0, -1.0]])
    answer = make_recourse("participation", plan, scenario).respond(realize(scenario, zeta))
    assert answer.found.all()
    # blocks 0 and 1: 30 kW each, ±25 %: 7.5 + 3.75 kW over two DERs of three equal phases
    np.testing.assert_allclose(answer.p_kw[0, :2], 10.0 + 11.25 / 6)
    np.testing.assert_allclose(answer.q_kvar[0, :2], 5.0 + 5.625 / 6)
    np.testing.assert_allclose(answer.p_kw[0, 2], 10.0 - 7.5 / 3)  # block 2 is dead: not served
    np.testing.assert_array_equal(answer.source_v_pu[0], plan.source_v_pu[0])


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 2**32), cut=st.integers(0, 12))
def test_shares_add_up_and_batches_change_no_bit(seed, cut, tiny_scenario, tiny_plan):
    scenario, plan = two_islands(tiny_scenario, tiny_plan)
    recourse = ParticipationRecourse(plan, scenario)
    batch = draw(scenario, seed, 0, 12)
    whole = recourse.respond(batch)
    moved = (whole.p_kw - plan.p_kw[0]).sum(axis=(1, 2))
    live = (batch.p_kw - scenario.load_p_kw)[:, 0, [0, 1, 3]].sum(axis=(1, 2))
    np.testing.assert_allclose(moved, live, atol=1e-12)
    parts = [
        recourse.respond(draw(scenario, seed, first, count))
        for first, count in ((0, cut), (cut, 12 - cut))
    ]
    assert np.concatenate([p.p_kw for p in parts]).tobytes() == whole.p_kw.tobytes()
    assert np.concatenate([p.q_kvar for p in parts]).tobytes() == whole.q_kvar.tobytes()


def test_own_weights_and_nothing_is_cut_off(tiny_scenario, tiny_plan):
    scenario, plan = two_islands(tiny_scenario, tiny_plan)
    weight = np.zeros((3, 3))
    weight[1, 0] = weight[2, 0] = 2.0
    recourse = ParticipationRecourse(plan, scenario, weight=weight)
    up = recourse.respond(realize(scenario, np.array([[1.0, 1.0, 0.0, 1.0]])))
    np.testing.assert_allclose(up.p_kw[0, 0], 10.0)
    assert up.p_kw[0, 1, 0] == pytest.approx(25.0)  # +15 kW, though its ramp is 12 kW
    assert up.p_kw[0, 1, 0] - 10.0 > scenario.ders.ramp_kw[1, 0]


def test_what_a_plan_does_not_serve_is_no_mismatch(tiny_scenario, tiny_plan):
    scenario, plan = two_islands(tiny_scenario, tiny_plan)
    plan = replace(plan, partial_ids=scenario.feeder.loads.ids[:1], served_share=np.array([[0.5]]))
    drawn = plan.asked(realize(scenario, np.array([[0.0] * 4, [1.0, 0.0, 0.0, 0.0]])), scenario)
    answer = make_recourse("participation", plan, scenario).respond(drawn)
    np.testing.assert_allclose(answer.p_kw[0], plan.p_kw[0], atol=1e-12)
    # 25 % of the 15 kW that are served
    np.testing.assert_allclose(answer.p_kw[1, :2], 10.0 + 3.75 / 6)


def test_an_island_without_capacity_is_refused(tiny_scenario, tiny_plan):
    scenario, plan = two_islands(tiny_scenario, tiny_plan)
    with pytest.raises(ScenarioError, match="no DER with a capacity"):
        ParticipationRecourse(plan, scenario, weight=np.zeros((3, 3)))
