"""Asking for the worst and for the rare: of a directory, of a study, and kept beside its parts."""

import json

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.inquiries.probe import Target, ask_adversary, ask_rare
from gridproof.federation.records.scenario_store import stored_scenario
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import campaign_summary
from gridproof.federation.reports.data import gather
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError, StoreError
from typer.testing import CliRunner

FIXED = ["campaign.recourse=fixed", "campaign.samples=300", "ders.defaults.ramp=0.05"]


@pytest.fixture(scope="module")
def tried(tmp_path_factory, write_toy, toy_plan):
    """A campaign whose failures are few: the ramp of the forming DER, passed now and then."""
    folder = tmp_path_factory.mktemp("tried")
    study = load_study(write_toy(folder), FIXED)
    plan = toy_plan(study.scenario)
    return run_campaign(study, folder / "c", mode="local", plan=plan)


def said(*arguments):
    result = CliRunner().invoke(app, [str(part) for part in arguments])
    assert result.exit_code == 0, result.output
    return result.stdout


def test_the_search_ends_at_or_below_the_least_that_was_drawn(tried):
    answer = json.loads(said("adversary", tried.out, "--budget", 300, "--json"))
    assert answer["evaluations"] <= 301
    assert answer["monte_carlo"]["realizations"] == 300
    assert answer["least_margin"] <= answer["monte_carlo"]["least_margin"]
    store = CampaignStore.open(tried.out)
    listed = gather(store, stored_scenario(store)).worst[0]
    assert listed.index == answer["monte_carlo"]["index"]
    assert listed.relative == answer["monte_carlo"]["least_margin"]
    assert answer["outcome"] == "violated"
    assert answer["bound"] <= answer["least_margin"] <= answer["bound"] + 1e-4
    assert answer["bound"] <= answer["monte_carlo"]["least_margin"]
    assert [stage["name"] for stage in answer["stages"]] == ["certificate"]
    assert answer["zeta"] == {"lb": 1.0, "lc": 1.0}
    assert answer["at_corner"]
    worst = min(answer["margins"].items(), key=lambda item: item[1]["margin"])
    assert worst[0] == "ramp"
    assert worst[1]["element"] == "east"
    kept = campaign_summary(CampaignStore.open(tried.out)).adversary
    assert kept.to_json() == answer
    text = said("report", tried.out)
    assert "worst realization certified" in text
    assert "Worst realization there is" in said("adversary", tried.out, "--budget", 50)


@pytest.mark.slow
def test_the_rare_estimate_is_that_of_plain_counting(tried):
    answer = json.loads(said("rare", tried.out, "--json"))
    assert answer["reached"]
    assert answer["sampler"] == "uniform"
    target = Target.of_directory(tried.out)
    with target.limit_state() as limit_state:
        counted = np.mean(limit_state(target.study.sampler.coordinates(0, 6000)) < 0.0)
    assert 0.005 < counted < 0.1
    assert answer["probability"] == pytest.approx(counted, rel=4.0 * answer["cov_upper"])
    assert campaign_summary(CampaignStore.open(tried.out)).rare.to_json() == answer
    assert f"failure by subset simulation {answer['probability']:.2g}" in " ".join(
        said("report", tried.out).split()
    )
    assert "probability of failure" in said("rare", tried.out)


@pytest.mark.parametrize("recourse", ["fixed", "participation", "linear", "ac"])
def test_a_probe_sees_what_the_campaign_saw(toy_plan, toy, tmp_path, recourse):
    study = load_study(
        toy,
        [*FIXED, f"campaign.recourse={recourse}", "campaign.samples=50", "ders.defaults.ramp=0.04"],
    )
    plan = toy_plan(study.scenario)
    result = run_campaign(study, tmp_path / "c", mode="local", plan=plan)
    (table,) = result.store.tables(["index", "outcome", "margin_voltage", "margin_ramp"], (0,))
    with Target(study=study, plan=result.plan).limit_state() as limit_state:
        zeta = study.sampler.coordinates(0, 50)
        seen = [limit_state.row(point) for point in zeta]
        g = limit_state(zeta)
    rows = table.to_pylist()
    assert [row["outcome"] for row in seen] == [row["outcome"] for row in rows]
    assert [row["margin_ramp"] for row in seen] == [row["margin_ramp"] for row in rows]
    assert [value >= 0.0 for value in g] == [row["outcome"] == "feasible" for row in rows]


def test_a_study_with_a_plan_and_nothing_kept(tried, toy, tmp_path):
    answer = json.loads(
        said(
            "adversary", toy, "--plan", tried.out / "plan.json", "--budget", 60, "--json",
            *(part for entry in FIXED for part in ("--set", entry)),
        )
    )  # fmt: skip
    assert answer["monte_carlo"] is None
    assert answer["outcome"] == "violated"
    assert not list(tmp_path.glob("*.json"))


def test_what_cannot_fail_is_said_to_be_rarer(tried, toy):
    study = load_study(toy, ["campaign.recourse=fixed"])
    target = Target(study=study, plan=tried.plan)
    answer = ask_rare(target, samples=100, max_levels=3)
    assert (answer.reached, answer.probability) == (False, None)
    assert answer.below == pytest.approx(0.1 * 0.1 * 3.0 / 100)
    assert answer.evaluations == 280
    assert ask_adversary(target, budget=100).outcome == "feasible"


@pytest.mark.parametrize(
    ("entries", "samples", "says"),
    [
        (["campaign.sampler=vertices"], 1000, "has no law with a density"),
        (["uncertainty.loads=[]"], 1000, "nothing is drawn"),
        ([], 25, "multiple of 10"),
    ],
)
def test_what_has_no_answer_is_refused(tried, toy, entries, samples, says):
    target = Target(study=load_study(toy, entries), plan=tried.plan)
    with pytest.raises(ConfigError, match=says):
        ask_rare(target, samples=samples)


def test_a_directory_cannot_be_overridden_and_must_hold_a_plan(tried, tmp_path, toy):
    with pytest.raises(ConfigError, match="cannot change what"):
        Target.of_directory(tried.out, ["campaign.seed=2"])
    from gridproof.federation.campaigns.study_jobs import open_store

    open_store(load_study(toy), tmp_path / "empty")
    with pytest.raises(StoreError, match=r"no plan\.json yet"):
        Target.of_directory(tmp_path / "empty")
