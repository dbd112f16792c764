"""Planning with proof: what is handed back holds, at a price that is told; or why there is none."""

from __future__ import annotations

import json
from itertools import product

import numpy as np
import pytest
from gridproof.federation.cli.main import app
from gridproof.federation.proofs.plans import plan_study
from gridproof.federation.proofs.proven_plans import lacks, wider
from gridproof.federation.records.certificate_report import Claim
from gridproof.federation.studies.planner_margins import MOST_MARGIN_PU, Margins
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.errors import ConfigError, PlanNotFound
from gridproof.scenarios.realization import realize
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.opendss.engine import OpenDssEngine
from typer.testing import CliRunner

import gridproof as gp

FIXED = ["campaign.recourse=fixed", "ders.fleet.east.capacity_kw=170"]
"""The linear plan counts on re-dispatch here, which nobody does."""
PROVEN = [*FIXED, "planner.ac_proof=true"]


def at_corners(study, plan, policy: str) -> np.ndarray:
    """Outcomes of OpenDSS at every corner of the box, and at its centre."""
    width = len(study.scenario.direction_ids)
    zeta = np.array([*product((-1.0, 1.0), repeat=width), (0.0,) * width])
    engine = OpenDssEngine(study.scenario)
    engine.hold(plan)
    drawn = realize(study.scenario, zeta)
    told = make_recourse(policy, plan, study.scenario).respond(drawn)
    found = judge(engine.observe(drawn, told), plan, study.scenario).outcome
    engine.close()
    return found


def test_a_plan_that_ac_refutes_is_planned_again_until_it_is_proven(toy) -> None:
    linear, study = load_study(toy, FIXED), load_study(toy, PROVEN)
    first = plan_study(linear)
    assert first.ac_proof is None
    assert (at_corners(linear, first.plan, "fixed") != Outcome.FEASIBLE).any()
    made = plan_study(study)
    told = made.ac_proof
    assert [one.verdict for one in told.rounds] == [Claim.REFUTED, Claim.PROVEN]
    assert (at_corners(study, made.plan, "fixed") == Outcome.FEASIBLE).all()
    assert gp.prove(study, made.plan).verdict is Claim.PROVEN
    assert told.rounds[0].objective_usd == pytest.approx(first.plan.costs["objective"])
    assert told.price_usd == pytest.approx(
        made.plan.costs["objective"] - first.plan.costs["objective"]
    )
    assert told.price_usd > 0.0
    assert told.bound_usd <= made.plan.costs["objective"]
    assert told.least_margin > 0.0
    assert "AC power flow inside every limit, with recourse fixed" in made.plan.proof.over


def test_a_recourse_that_is_not_affine_gets_the_rule_that_is_proven(toy) -> None:
    study = load_study(toy, ["planner.ac_proof=true", "ders.fleet.east.capacity_kw=170"])
    made = plan_study(study)
    assert study.config.campaign.recourse == "linear"
    assert made.ac_proof.recourse == "affine"
    assert made.plan.affine is not None
    assert (at_corners(study, made.plan, "affine") == Outcome.FEASIBLE).all()
    assert len(made.ac_proof.rounds) == 1  # the rule needs no wider margin here
    assert made.ac_proof.price_usd == 0.0


def test_campaign_and_command_plan_with_proof(toy, tmp_path) -> None:
    study = load_study(toy, [*PROVEN, "campaign.samples=30"])
    done = gp.run(study, out=tmp_path / "campaign", mode="local")
    assert done.report.figures.feasible_share == 1.0
    assert done.plan.proof.over
    assert done.plan.costs["objective"] == gp.plan(study).costs["objective"]
    entries = [word for entry in PROVEN for word in ("--set", entry)]
    ran = CliRunner().invoke(app, ["plan", str(toy), *entries, "--json", "--quiet"])
    assert ran.exit_code == 0, ran.output
    told = json.loads(ran.stdout)["plan"]["ac_proof"]
    assert told["rounds"][-1]["verdict"] == "proven"
    assert told["rounds"][-1]["margins_at_pu"]["der"].keys() == {"east", "west"}
    shown = CliRunner().invoke(app, ["plan", str(toy), *entries, "--quiet"])
    words = " ".join(shown.output.split())
    assert "proven for every load of the box, recourse fixed" in words
    assert "no plan that is robust under AC costs less" in words


@pytest.mark.parametrize(
    ("entries", "why"),
    [
        (["ders.fleet.west.capacity_kw=60"], "it serves nothing"),
        (["planner.min_served_kw=190"], "no plan keeps wider margins"),
    ],
)
def test_where_none_is_proven_the_reason_the_worst_load_and_the_bound_are_told(
    toy, entries, why
) -> None:
    with pytest.raises(PlanNotFound) as told:
        plan_study(load_study(toy, [*PROVEN, *entries]))
    words = str(told.value)
    assert why in words
    assert "no such plan costs less than" in words
    if why != "it serves nothing":
        assert "capability of east, at lb +1.000" in words


def test_what_lacks_is_where_and_as_deep_as_opendss_finds_it(toy) -> None:
    study = load_study(toy, FIXED)
    plan = gp.plan(study)
    found, limits = gp.prove(study, plan), study.scenario.limits
    outside = lacks(found, limits)
    claim = found.islands[0].kinds["capability"]
    assert outside.keys() == {("der", "east")}
    depth = 0.1 * max(-claim.attained, claim.remainder - claim.worst)  # of a band of 0.1 pu
    assert outside["der", "east"] == pytest.approx(depth)
    start = Margins(everywhere=0.0, at={})
    once = wider(start, start, found, limits, ("east", "west"))
    assert once.at == {("der", "east"): pytest.approx(depth, abs=1e-4)} | {
        ("der", "west"): once.at["der", "east"]
    }
    twice = wider(once, start, found, limits, ("east", "west"))
    assert twice.at["der", "east"] >= 2.0 * once.at["der", "east"] - 1e-6
    full = Margins(everywhere=0.0, at={("der", name): MOST_MARGIN_PU for name in ("east", "west")})
    alike = wider(full, start, found, limits, ("east", "west"))
    assert alike == Margins(everywhere=0.01, at=full.at)


def test_a_budget_is_proven_over_the_budget(toy) -> None:
    study = load_study(toy, [*PROVEN, "planner.budget=1.0"])
    assert plan_study(study).ac_proof.load_set == "budget"


def test_what_is_proven_is_the_set_that_is_planned_for(toy) -> None:
    apart = [*PROVEN, "planner.per_phase=true"]
    with pytest.raises(
        ConfigError, match=r"\[planner\] ac_proof .* set \[campaign\] per_phase = true"
    ):
        load_study(toy, apart)
    assert load_study(toy, [*apart, "campaign.per_phase=true"]).scenario.draws_per_phase
