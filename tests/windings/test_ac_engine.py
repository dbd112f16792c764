"""Plans over delta windings, tried by the AC engine: the linear model's plan holds there."""

from __future__ import annotations

import numpy as np
import pytest
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.realization import draw
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.opendss.engine import OpenDssEngine
from test_planner import _nominal, _plan, _scenario, _seen

CASES = [
    "dy-unit-lag-loaded",
    "yd-unit-lead-loaded",
    "yd-bank-lag-loaded",
    "yd-unit-lag-empty",
    "dd-bank-lag-loaded",
    "open wye, open delta",
    "open delta on both sides",
    "one pair from a phase",
    "one pair from a pair",
    "side by side, other taps",
    "a grounding bank on the way",
]


def _setpoints(plan, realizations):
    count = len(realizations)
    return Setpoints(
        index=realizations.index,
        found=np.ones(count, bool),
        p_kw=np.repeat(plan.p_kw, count, axis=0),
        q_kvar=np.repeat(plan.q_kvar, count, axis=0),
        source_v_pu=np.repeat(plan.source_v_pu, count, axis=0),
    )


def _observed(scenario, plan, realizations, setpoints):
    engine = OpenDssEngine(scenario)
    try:
        engine.hold(plan)
        return engine.observe(realizations, setpoints)
    finally:
        engine.close()


@pytest.mark.parametrize("name", CASES)
def test_both_engines_see_the_same_magnitudes_and_outputs(winding_feeder, name):
    """Floating parts too, whose magnitudes to earth OpenDSS leaves to its shunts of 1 ppm."""
    scenario = _scenario(winding_feeder(name), "n")
    plan = _plan(scenario)
    nominal = _nominal(scenario)
    linear = _seen(scenario, plan, nominal)
    ac = _observed(scenario, plan, nominal, _setpoints(plan, nominal))
    assert ac.converged.all()
    np.testing.assert_array_equal(np.isnan(ac.v_pu), np.isnan(linear.v_pu))
    np.testing.assert_allclose(ac.v_pu, linear.v_pu, rtol=0, atol=2e-3)
    total = ac.der_p_kw.sum()
    np.testing.assert_allclose(ac.der_p_kw, linear.der_p_kw, rtol=0, atol=1e-3 * total)


def test_a_der_on_a_floating_side_is_answered_so_that_ac_solves(winding_feeder):
    """A watt out of balance between phases and earth would leave OpenDSS without a solution."""
    scenario = _scenario(
        winding_feeder("yd-unit-lag-loaded"), "n", "m", uncertain=("n1", "n2", "ab", "abc")
    )
    plan = _plan(scenario)
    draws = draw(scenario, 5, 0, 20)
    setpoints = make_recourse("linear", plan, scenario).respond(draws)
    seen = _observed(scenario, plan, draws, setpoints)
    assert np.abs(plan.p_kw[0, 1]).max() > 1.0
    assert (judge(seen, plan, scenario).outcome == Outcome.FEASIBLE).all()
