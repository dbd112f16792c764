"""Planner and linear engine share one model: what one expects, the other computes."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.realization import draw
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.linear.engine import LinearEngine

STUDY = Path(__file__).parents[2] / "configs" / "studies" / "ieee37-networked.toml"


def test_the_linear_engine_finds_what_the_linear_recourse_expects():
    scenario = load_study(str(STUDY)).scenario
    plan = make_planner("partitioning", {"method": "nominal"}).plan(scenario)
    realizations = draw(scenario, 11, 0, 40)
    answers = make_recourse("linear", plan, scenario, 0).respond(realizations)
    engine = LinearEngine(scenario)
    engine.hold(plan)
    seen = engine.observe(realizations, answers)
    assert answers.found.any()
    found = answers.found
    forming = plan.grid_forming[0]
    assert forming.any()
    np.testing.assert_allclose(seen.der_p_kw[found], answers.p_kw[found], atol=1e-4)
    np.testing.assert_allclose(seen.der_q_kvar[found], answers.q_kvar[found], atol=1e-4)
    verdicts = judge(seen, plan, scenario)
    # the solver's feasibility tolerance is the only daylight between the two
    assert (verdicts.margin[found] > -1e-5).all()
    assert np.isin(verdicts.outcome[found], (Outcome.FEASIBLE, Outcome.VIOLATED)).all()
