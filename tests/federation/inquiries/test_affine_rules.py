"""The affine rule: what its program finds, what is proven of it, and that it runs everywhere."""

from __future__ import annotations

import json
from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.certificates.affine_rules import with_affine_rule
from gridproof.federation.records.certificate_report import Claim
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.recourse.affine_program import MOST_MARGIN, best_affine_rule
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import plan_digest
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.realization import draw, realize
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.opendss.engine import OpenDssEngine
from scipy.optimize import linprog

import gridproof as gp

AFFINE = ["campaign.recourse=affine", "ders.defaults.ramp=0.05"]


@pytest.mark.parametrize("seed", range(5))
def test_the_rule_is_the_best_over_all_corners(seed: int) -> None:
    """The same program written out corner by corner, by another solver's door."""
    rng = np.random.default_rng(seed)
    limits, width, controls = 7, 3, 2
    m = rng.uniform(0.0, 0.1, limits)
    a, k = rng.normal(0, 0.1, (limits, width)), rng.normal(0, 0.2, (limits, controls))
    found = best_affine_rule(m, a, k)
    corners = np.array(list(product((-1.0, 1.0), repeat=width)))
    rows, right = [], []
    for row in range(limits):
        for omega in corners:
            of_gain = np.outer(k[row], omega).ravel()
            rows.append(np.r_[-of_gain, -k[row], 1.0])
            right.append(m[row] + a[row] @ omega)
    columns = controls * width + controls + 1
    bounds = [(None, None)] * (columns - 1) + [(None, MOST_MARGIN)]
    best = linprog(-np.eye(columns)[-1], A_ub=np.array(rows), b_ub=right, bounds=bounds)
    worst = min(
        (m + a @ omega + k @ (found.offset + found.gain @ omega)).min() for omega in corners
    )
    assert worst >= found.margin - 1e-7
    # a kVA of gain that gains less than 1e-5 of margin is left out
    assert found.margin == pytest.approx(best.x[-1], abs=1e-5 * np.abs(best.x).sum() + 1e-7)


def test_a_rule_proves_what_set_points_that_stay_cannot(toy, toy_plan) -> None:
    fixed = load_study(toy, ["campaign.recourse=fixed", AFFINE[1]])
    plan = toy_plan(fixed.scenario)
    assert gp.prove(fixed, plan).verdict is Claim.REFUTED
    study = load_study(toy, AFFINE)
    found = gp.prove(study, plan)
    assert found.recourse == "affine"
    assert found.verdict is Claim.PROVEN
    carried = with_affine_rule(plan, study.scenario)
    assert gp.prove(study, carried).worst.margin == found.worst.margin
    run = gp.try_plan(study, carried, samples=100)
    assert run.report.feasible_share == 1.0


def _curve(most: int, capacity: int, last: int) -> str:
    return (
        f"[{{p_kw = 0, q_min_kvar = -10, q_max_kvar = {most}}}, "
        f"{{p_kw = {capacity}, q_min_kvar = -10, q_max_kvar = {last}}}]"
    )


@pytest.mark.parametrize(
    "held",
    [
        [f"ders.fleet.east.capability={_curve(55, 240, 40)}",
         f"ders.fleet.west.capability={_curve(40, 90, 16)}"],
        ["ders.defaults.power_factor=0.92"],
    ],
)  # fmt: skip
@pytest.mark.parametrize("recourse", ["affine", "participation"])
def test_a_rule_keeps_what_binds_reactive_to_active_power(toy, recourse, held) -> None:
    """Proven over the box; every corner, solved by OpenDSS, is inside; the plan's own are not."""
    sets = ["uncertainty.spread=0.15", "planner.ac_margin=0.002", *held]
    study = load_study(toy, [f"campaign.recourse={recourse}", *sets])
    plan = gp.plan(study)
    assert plan.energized.any()
    assert gp.prove(study, plan).verdict is Claim.PROVEN
    zeta = np.array(list(product((-1.0, 1.0), repeat=2)))
    told = make_recourse(recourse, plan, study.scenario).respond(realize(study.scenario, zeta))
    engine = OpenDssEngine(study.scenario)
    engine.hold(plan)
    seen = engine.observe(realize(study.scenario, zeta), told)
    engine.close()
    assert study.scenario.ders.half_planes.room(seen.der_p_kw, seen.der_q_kvar).min() > -1e-4
    assert (judge(seen, plan, study.scenario).outcome == Outcome.FEASIBLE).all()
    if "capability" in held[0]:
        fixed = gp.prove(load_study(toy, ["campaign.recourse=fixed", *sets]), plan)
        assert fixed.verdict is Claim.REFUTED
        assert fixed.islands[0].kinds["capability"].verdict is Claim.REFUTED


def test_phases_of_a_balanced_der_are_answered_alike(toy, toy_plan) -> None:
    loads = ['uncertainty.loads=["lc"]', "uncertainty.spread=0.3"]
    free = load_study(toy, [*AFFINE[:1], *loads])
    study = load_study(toy, [*AFFINE[:1], *loads, "ders.fleet.west.balanced=true"])
    west = study.scenario.ders.ids.index("west")
    apart = []
    for one in (free, study):
        rule = with_affine_rule(toy_plan(one.scenario), one.scenario).affine
        parts = (rule.offset_p_kw, rule.offset_q_kvar), (rule.gain_p_kw, rule.gain_q_kvar)
        for k, axis in ((0, -1), (1, -2)):
            apart.append(max(float(np.ptp(part[0, west], axis=axis).max()) for part in parts[k]))
    assert max(apart[:2]) > 1e-3
    np.testing.assert_allclose(apart[2:], 0.0, atol=1e-9)


def test_the_rule_is_in_the_plan_s_file_and_digest(toy, toy_plan) -> None:
    study = load_study(toy, AFFINE)
    plan = toy_plan(study.scenario)
    carried = with_affine_rule(plan, study.scenario)
    back = plan_from_json(plan_to_json(carried), study.scenario)
    for name in ("offset_p_kw", "offset_q_kvar", "gain_p_kw", "gain_q_kvar"):
        np.testing.assert_array_equal(getattr(back.affine, name), getattr(carried.affine, name))
    assert plan_digest(back) == plan_digest(carried) != plan_digest(plan)
    assert "affine" not in json.loads(plan_to_json(plan))
    text = json.loads(plan_to_json(carried))
    text["affine"]["ders"]["west"]["gain_p_kw"][0][0].append(1.0)
    with pytest.raises(ConfigError, match=r"affine.ders.west has gains of"):
        plan_from_json(json.dumps(text), study.scenario)


def test_an_answer_is_a_product_and_does_not_depend_on_its_batch(toy, toy_plan) -> None:
    study = load_study(toy, AFFINE)
    plan = with_affine_rule(toy_plan(study.scenario), study.scenario)
    recourse = make_recourse("affine", plan, study.scenario)
    drawn = draw(study.scenario, 3, 0, 40)
    whole = recourse.respond(drawn)
    for row in (0, 17, 39):
        one = recourse.respond(drawn.take(slice(row, row + 1)))
        np.testing.assert_array_equal(one.p_kw[0], whole.p_kw[row])
        np.testing.assert_array_equal(one.q_kvar[0], whole.q_kvar[row])
    rule, zeta = plan.affine, drawn.zeta[17]
    wanted = plan.p_kw[0] + rule.offset_p_kw[0] + rule.gain_p_kw[0] @ zeta
    np.testing.assert_allclose(whole.p_kw[17], wanted, rtol=1e-12)


def test_a_plan_without_a_rule_is_told_so(toy, toy_plan) -> None:
    study = load_study(toy, AFFINE)
    plan = toy_plan(study.scenario)
    with pytest.raises(ConfigError, match="brings no affine rule"):
        make_recourse("affine", plan, study.scenario)
    carried = with_affine_rule(plan, study.scenario)
    other = replace(carried.affine, direction_ids=("lb", "ld"))
    with pytest.raises(ConfigError, match="answers lb, ld"):
        make_recourse("affine", replace(carried, affine=other), study.scenario)


def test_a_campaign_is_the_same_over_helics(toy, toy_plan, tmp_path) -> None:
    study = load_study(toy, AFFINE)
    plan = toy_plan(study.scenario)
    tables = []
    for mode in ("local", "in_process"):
        run = run_campaign(study, tmp_path / mode, mode=mode, plan=plan)
        done = gp.report(run.out)
        assert done.plan.affine is not None
        tables.append(
            done.frame().drop_columns(
                ["iterations"],
            )
        )
    assert tables[0].equals(tables[1])
