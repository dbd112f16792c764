"""What is proven of a study's plan, refuted or left undecided: over Python and the command line."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.cli.main import app
from gridproof.federation.proofs.proving import ProofSettings, prove
from gridproof.federation.records.certificate_report import Claim
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.plan_file import plan_to_json
from gridproof.scenarios.realization import realize
from gridproof.scenarios.sets import Budget, Wasserstein
from gridproof.scenarios.verdict import Outcome, judge, least_margin
from gridproof.simulator.opendss.engine import OpenDssEngine
from typer.testing import CliRunner

import gridproof as gp

FIXED = ["campaign.recourse=fixed"]


def tried(study, plan, zeta: np.ndarray):
    """Verdicts of OpenDSS at points of the set."""
    engine = OpenDssEngine(study.scenario)
    engine.hold(plan)
    drawn = realize(study.scenario, zeta)
    told = make_recourse(study.config.campaign.recourse, plan, study.scenario).respond(drawn)
    found = judge(engine.observe(drawn, told), plan, study.scenario)
    engine.close()
    return found


def test_what_is_proven_no_draw_contradicts(toy, toy_plan) -> None:
    study = load_study(toy, FIXED)
    plan = toy_plan(study.scenario)
    found = gp.prove(study, plan)
    assert found.verdict is Claim.PROVEN
    assert found.remainder < 1e-3
    (island,) = found.islands
    assert island.formers == ("east",)
    assert island.unique
    assert island.nominal_inside
    assert set(island.kinds) == {"voltage", "current", "capability", "ramp"}
    rng = np.random.default_rng(1)
    seen = tried(study, plan, rng.uniform(-1.0, 1.0, (200, 2)))
    assert (seen.outcome == Outcome.FEASIBLE).all()
    limits = study.scenario.limits
    least = least_margin(seen.margin, limits).min()
    assert least >= found.worst.relative - found.remainder - 1e-6
    at = tried(study, plan, np.array([[found.worst.zeta["lb"], found.worst.zeta["lc"]]]))
    attained = least_margin(at.margin, limits)[0]
    assert attained == pytest.approx(found.worst.relative, abs=found.remainder + 1e-6)


def test_a_refuted_limit_comes_with_the_load_that_breaks_it(toy, toy_plan) -> None:
    study = load_study(toy, [*FIXED, "ders.defaults.ramp=0.03"])
    plan = toy_plan(study.scenario)
    found = gp.prove(study, plan)
    assert found.verdict is Claim.REFUTED
    claim = found.islands[0].kinds["ramp"]
    assert claim.verdict is Claim.REFUTED
    assert found.islands[0].kinds["voltage"].verdict is Claim.PROVEN
    seen = tried(study, plan, np.array([[claim.zeta["lb"], claim.zeta["lc"]]]))
    assert seen.outcome[0] == Outcome.VIOLATED
    assert claim.attained == pytest.approx(seen.margin[0, 4], abs=1e-9)
    assert found.worst.kind == "ramp"


def test_a_set_too_wide_for_one_tangent_is_cut(toy, toy_plan) -> None:
    """A limit between the tangent's worst and its remainder is decided on parts of the set."""
    study = load_study(toy, [*FIXED, "uncertainty.spread=1.0"])
    heavy = heavier(study, 12.0)
    plan = toy_plan(heavy.scenario)
    claim = prove(heavy, plan, settings=ProofSettings(depth=0)).islands[0].kinds["voltage"]
    assert claim.remainder > 1e-5
    at_worst = tried(heavy, plan, np.array([[claim.zeta["lb"], claim.zeta["lc"]]]))
    # the edge a little below the truth, and above what one tangent can exclude
    least = claim.worst - claim.remainder
    edge = heavy.scenario.limits.v_min_pu + at_worst.margin[0, 0]
    edge -= 0.3 * (at_worst.margin[0, 0] - least)
    limits = replace(heavy.scenario.limits, v_min_pu=float(edge), v_max_pu=1.2)
    narrow = replace(heavy, scenario=replace(heavy.scenario, limits=limits))
    once = prove(narrow, plan, settings=ProofSettings(depth=0)).islands[0].kinds["voltage"]
    assert once.verdict is Claim.UNDECIDED
    assert "lacking" in once.missing
    deeper = prove(narrow, plan, settings=ProofSettings(depth=8)).islands[0]
    assert deeper.kinds["voltage"].verdict is Claim.PROVEN
    assert deeper.parts > 1


def heavier(study, by: float):
    """The study with every load multiplied."""
    scenario = study.scenario
    loads = {name: getattr(scenario, name) * by for name in ("load_p_kw", "load_q_kvar")}
    return replace(study, scenario=replace(scenario, **loads))


@pytest.mark.parametrize("by", [2.0, 5.0, 10.0, 40.0])
def test_loads_scaled_towards_collapse_are_never_proven_wrongly(toy, toy_plan, by) -> None:
    study = load_study(toy, [*FIXED, "uncertainty.spread=1.0", "ders.defaults.ramp=1.0"])
    study = heavier(study, by)
    plan = toy_plan(study.scenario)
    found = prove(study, plan, settings=ProofSettings(depth=3, seconds=5.0))
    corners = np.array([[a, b] for a in (-1.0, 0.0, 1.0) for b in (-1.0, 0.0, 1.0)])
    seen = tried(study, plan, corners)
    if (seen.outcome != Outcome.FEASIBLE).any():
        assert found.verdict is not Claim.PROVEN
    for claim in found.islands[0].kinds.values():
        if claim.verdict is Claim.REFUTED:
            zeta = np.array([[claim.zeta["lb"], claim.zeta["lc"]]])
            assert tried(study, plan, zeta).outcome[0] == Outcome.VIOLATED


def test_a_budget_and_a_parallelotope(toy, toy_plan) -> None:
    study = load_study(toy, [*FIXED, "ders.defaults.ramp=0.03"])
    plan = toy_plan(study.scenario)
    whole = gp.prove(study, plan)
    part = gp.prove(study, plan, load_set=Budget.over(2, 0.2))
    assert whole.verdict is Claim.REFUTED
    assert part.verdict is Claim.PROVEN
    assert part.load_set.kind == "budget"
    ball = Wasserstein(mean=np.zeros(2), root=0.2 * np.eye(2), sigma=0.5)
    small = gp.prove(study, plan, load_set=ball)
    assert small.verdict is Claim.PROVEN
    assert small.load_set.kind == "parallelotope"
    with pytest.raises(ValueError, match="coordinates"):
        gp.prove(study, plan, load_set=Budget.over(3, 1.0))


def test_loads_that_are_served_in_part_are_proven_as_they_are_asked(toy, toy_plan) -> None:
    study = load_study(toy, FIXED)
    plan = toy_plan(study.scenario)
    half = replace(plan, partial_ids=("lb",), served_share=np.array([[0.5]]))
    found = prove(study, half)
    claim = found.islands[0].kinds["ramp"]
    assert claim.verdict is not Claim.UNDECIDED
    assert abs(claim.worst - prove(study, plan).islands[0].kinds["ramp"].worst) > 0.01
    zeta = np.array([[claim.zeta["lb"], claim.zeta["lc"]]])
    engine = OpenDssEngine(study.scenario)
    engine.hold(half)
    drawn = half.asked(realize(study.scenario, zeta), study.scenario)
    told = make_recourse("fixed", half, study.scenario).respond(drawn)
    seen = judge(engine.observe(drawn, told), half, study.scenario)
    engine.close()
    assert seen.margin[0, 4] == pytest.approx(claim.worst, abs=claim.remainder + 1e-6)


def test_what_a_certificate_is_not_about_is_said(toy, toy_plan) -> None:
    normal = [
        *FIXED, 'campaign.sampler="truncated_normal"', "campaign.std_share=0.3",
    ]  # fmt: skip
    study = load_study(toy, normal)
    plan = toy_plan(study.scenario)
    assert any("truncation" in line for line in gp.prove(study, plan).said)
    linear = load_study(toy)
    found = gp.prove(linear, plan)
    assert found.recourse == "affine"
    assert any("is not affine" in line for line in found.said)
    shared = load_study(toy, ["campaign.recourse=participation"])
    assert gp.prove(shared, plan).recourse == "participation"


def test_a_plan_that_is_outside_at_nominal_load_is_said_to_be(toy, toy_plan) -> None:
    study = load_study(toy, FIXED)
    plan = toy_plan(study.scenario)
    found = prove(study, replace(plan, source_v_pu=1.06 * plan.source_v_pu))
    assert found.verdict is Claim.REFUTED
    assert not found.islands[0].nominal_inside
    assert any("already outside" in line for line in found.said)


def test_nothing_live_is_nothing_outside(toy, toy_plan, tiny_plan) -> None:
    study = load_study(toy, FIXED)
    dark = tiny_plan(study.scenario, [False] * 3, [False] * 4, [False, False])
    found = gp.prove(study, dark)
    assert found.islands == ()
    assert any("nothing" in line for line in found.said)
    assert found.worst is None


def test_a_directory_keeps_what_is_proven_and_its_report_says_so(toy, toy_plan, tmp_path) -> None:
    study = load_study(toy, [*FIXED, "campaign.samples=20"])
    out = tmp_path / "campaign"
    gp.run(study, plan=toy_plan(study.scenario), out=out, mode="local")
    assert gp.report(out).report.figures.certificate is None
    told = CliRunner().invoke(app, ["prove", str(out), "--json"])
    assert told.exit_code == 0, told.output
    kept = gp.report(out).report.figures.certificate
    assert kept.to_json() == json.loads(told.stdout)
    shown = CliRunner().invoke(app, ["report", str(out)])
    assert "proven for every load of the box, recourse fixed" in " ".join(shown.output.split())


def test_the_command_prints_and_gives_json(toy, toy_plan, tmp_path) -> None:
    study = load_study(toy, FIXED)
    plan = tmp_path / "plan.json"
    plan.write_text(plan_to_json(toy_plan(study.scenario)))
    command = ["prove", str(toy), "--plan", str(plan), "--set", FIXED[0]]
    told = CliRunner().invoke(app, [*command, "--json"])
    assert told.exit_code == 0, told.output
    answer = json.loads(told.stdout)
    assert answer["verdict"] == "proven"
    assert {"verdict", "islands", "worst", "remainder"} <= set(answer)
    assert answer["islands"][0]["kinds"]["voltage"]["zeta"].keys() == {"lb", "lc"}
    shown = CliRunner().invoke(app, command)
    assert "proven" in shown.output
    assert "within" in shown.output
    small = CliRunner().invoke(app, [*command, "--budget", "0.2", "--json"])
    assert json.loads(small.stdout)["load_set"]["gamma"] == 0.2
    other = CliRunner().invoke(app, ["prove", str(toy), "--plan", str(toy)])
    assert other.exit_code == 2
