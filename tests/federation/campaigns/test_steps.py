"""A study of several steps: one plan, a campaign each, joined by realization; resumable."""

import json
from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.steps import (
    joint_summary,
    run_study,
    step_stores,
    steps_summary,
)
from gridproof.federation.cli.main import app
from gridproof.federation.records.rows import outcome_codes
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.federation.wording import percent
from gridproof.scenarios.errors import ConfigError, StoreError
from gridproof.scenarios.plan_file import plan_from_json
from gridproof.scenarios.verdict import Outcome
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_storm):
    """A study run once without HELICS."""
    folder = tmp_path_factory.mktemp("storm")
    study = load_study(write_storm(folder))
    return run_study(study, folder / "c"), study


def parts(root):
    return {
        str(path.relative_to(root)): path.read_bytes()
        for path in sorted(root.glob("step-*/parts/*"))
    }


def gridproof(*args, code=0):
    result = CliRunner().invoke(app, [str(arg) for arg in args])
    assert result.exit_code == code, result.output
    return result


def outcomes(root):
    tables = [next(s.tables(["outcome"], [0])) for s in step_stores(CampaignStore.open(root))]
    return np.stack([outcome_codes(table.column("outcome")) for table in tables])


def test_every_step_is_a_whole_campaign_of_the_same_draws(whole):
    done, study = whole
    assert [one.out.name for one in done.campaigns] == ["step-0", "step-1", "step-2", "step-3"]
    names = [f"zeta_{load}" for load in study.scenario.feeder.loads.ids]
    drawn = [next(one.store.tables(names, [0])) for one in done.campaigns]
    assert all(table.equals(drawn[0]) for table in drawn)
    served = [next(one.store.tables(["served_kw", "load_kw"], [0])) for one in done.campaigns]
    about = steps_summary(CampaignStore.open(done.out))
    for table, step in zip(served, about["steps"], strict=True):
        assert step["campaign"]["outcomes"]["erred"] == 0
        assert step["campaign"]["step"] == step["step"]
        supplied = done.plan.energized[step["step"]]
        live = supplied[study.scenario.feeder.block_of_load]
        share = study.scenario.load_p_kw[0][live].sum() / study.scenario.load_p_kw[0].sum()
        found = table["served_kw"].to_numpy().sum() / table["load_kw"].to_numpy().sum()
        assert found == pytest.approx(share, abs=0.03)
    shares = [
        table["served_kw"].to_numpy().mean() / table["load_kw"].to_numpy().mean()
        for table in served
    ]
    assert shares[0] == pytest.approx(1.0, abs=1e-6)
    assert shares[1] <= shares[0]
    assert shares[3] > shares[2]


@pytest.mark.parametrize(("mode", "batch"), [("in_process", 7), ("local", 100)])
def test_helics_and_batch_size_change_no_byte(whole, storm, tmp_path, mode, batch):
    done, _ = whole
    study = load_study(storm, [f"campaign.batch={batch}"])
    run_study(study, tmp_path / "c", mode=mode, plan=done.plan)
    assert parts(tmp_path / "c") == parts(done.out)


def test_a_study_that_was_stopped_is_taken_up_where_it_was(whole, storm, tmp_path, monkeypatch):
    done, study = whole
    names = []

    def stop(name):
        names.append(name)
        if name.startswith("2"):
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_study(study, tmp_path / "c", plan=done.plan, begin=stop)
    assert names == ["0 before", "1 automatic isolation", "2 remote isolation"]
    about = steps_summary(CampaignStore.open(tmp_path / "c"))
    assert [step["campaign"] is None for step in about["steps"]] == [False, False, True, True]
    assert about["joint"]["realizations"] == 0
    # the plan there is used
    monkeypatch.setattr("gridproof.federation.campaigns.study_jobs.make_planner", None)
    again = json.loads(gridproof("resume", tmp_path / "c", "--json", "-q").stdout)
    assert [step["name"] for step in again["steps"]] == list(study.scenario.step_names)
    assert parts(tmp_path / "c") == parts(done.out)


def test_the_joint_share_is_that_of_the_rows(whole, storm, tmp_path):
    done, _ = whole
    lows = [
        next(one.store.tables(["margin_voltage"], [0]))["margin_voltage"].to_numpy()
        for one in done.campaigns
    ]
    # a floor that half of the realizations leave at some phase
    middle = float(np.median(np.min(lows, axis=0)))
    study = load_study(storm, [f"limits.v_min_pu={0.95 + middle:.9f}"])
    plan = replace(done.plan, scenario_digest="")
    run_study(study, tmp_path / "c", plan=plan)
    codes = outcomes(tmp_path / "c")
    feasible = (codes == Outcome.FEASIBLE).all(axis=0)
    assert 0 < feasible.sum() < len(feasible)
    joint = joint_summary(CampaignStore.open(tmp_path / "c"))
    assert joint["feasible"] == int(feasible.sum())
    assert joint["feasible_share"] == pytest.approx(feasible.mean())
    assert joint["interval"][0] < joint["feasible_share"] < joint["interval"][1]
    assert sum(joint["first_failed"].values()) == int((~feasible).sum())
    compared = json.loads(gridproof("compare", done.out, tmp_path / "c", "--json").stdout)
    before = (outcomes(done.out) == Outcome.FEASIBLE).all(axis=0)
    assert compared["joint"]["realizations"] == len(feasible)
    assert compared["joint"]["crossed"] == {
        "both_feasible": int((before & feasible).sum()),
        "first_only": int((before & ~feasible).sum()),
        "second_only": int((~before & feasible).sum()),
        "neither": int((~before & ~feasible).sum()),
    }
    difference = compared["joint"]["difference"]
    assert difference["value"] == pytest.approx(feasible.mean() - before.mean())
    assert difference["interval"][0] < difference["value"] < difference["interval"][1]
    told = gridproof("report", tmp_path / "c").stderr
    page = tmp_path / "c" / "report" / "report.html"
    assert str(page) in told.replace("\n", "")
    words = page.read_text(encoding="utf-8")
    assert percent(joint["feasible_share"]) in words
    assert words.count("<svg") == 1
    for step in range(4):
        assert f'href="step-{step}/report.html"' in words
        assert (page.parent / f"step-{step}" / "report.html").exists()
    failed = (page.parent / "tables" / "first-failed.csv").read_text().splitlines()[1:]
    assert sum(int(row.split(",")[1]) for row in failed) == int((~feasible).sum())
    rows = (page.parent / "tables" / "steps.csv").read_text().splitlines()
    assert [row.split(",")[0] for row in rows[1:]] == [
        f"{k} {name}" for k, name in enumerate(study.scenario.step_names)
    ]
    assert "All steps together" in gridproof("compare", done.out, tmp_path / "c").stdout
    said = gridproof("report", tmp_path / "c", "--no-html").stdout
    assert "feasible at every step" in said
    assert "first not feasible" in said


def test_another_plan_or_another_study_is_refused(whole, storm):
    done, study = whole
    closed = done.plan.closed.copy()
    closed[3] = closed[2]
    with pytest.raises(StoreError, match="another plan"):
        run_study(study, done.out, plan=replace(done.plan, closed=closed))
    with pytest.raises(StoreError, match="another configuration"):
        run_study(load_study(storm, ["campaign.seed=2"]), done.out)
    with pytest.raises(ConfigError, match="4 steps"):
        run_campaign(study, done.out / "x")


def test_one_step_alone_is_a_plain_campaign(whole, storm, tmp_path):
    done, _ = whole
    one = load_study(storm, ["campaign.step=3"])
    result = run_study(one, tmp_path / "c", plan=done.plan)
    assert len(result.campaigns) == 1
    whole_parts, own = parts(done.out), sorted((tmp_path / "c" / "parts").iterdir())
    assert [path.read_bytes() for path in own] == [
        data for name, data in whole_parts.items() if name.startswith("step-3")
    ]


def test_the_commands_speak_of_phases(whole, storm, tmp_path):
    done, _ = whole
    plan = tmp_path / "plan.json"
    said = gridproof("plan", storm, "--out", plan).stdout
    for words in ("optimal for the nominal load", "Switching orders", "dead safe", "Fed by"):
        assert words in said
    assert "no fault" in gridproof("check", plan, storm).stdout
    about = json.loads(gridproof("plan", storm, "--json").stdout)["plan"]
    last = about["phases"][3]
    assert sum(feed["supplied_kw"] for feed in last["feeds"].values()) == pytest.approx(
        last["supplied_kw"]
    )
    assert (
        last["supplied_buses"] + last["damaged_buses"] + last["dead_safe_buses"] == (about["buses"])
    )
    watched = gridproof("watch", done.out, "--once", "--json").stdout
    assert json.loads(watched)["step"] == "3 remote reconfiguration"
    compared = json.loads(gridproof("compare", done.out, done.out, "--json").stdout)
    assert [step["difference"]["value"] for step in compared["steps"]] == [0.0] * 4
    assert compared["joint"]["difference"]["value"] == 0.0
    gridproof(
        "federate",
        "feeder",
        storm,
        "--broker",
        "x:1",
        "--key",
        "k",
        "--out",
        tmp_path / "d",
        code=2,
    )
    assert (
        "campaign.step" in gridproof("sweep", storm, "--over", "campaign.seed=1,2", code=2).output
    )


def test_a_plan_that_sheds_in_part_asks_for_less(whole, storm, tmp_path):
    """The load drawn is kept whole; the physics is asked for, and serves, the plan's share."""
    done, study = whole
    live = done.plan.energized[3][study.scenario.feeder.block_of_load]
    name = study.scenario.feeder.loads.ids[int(np.argmax(live))]
    share = np.ones((4, 1))
    share[3] = 0.25
    shed = replace(done.plan, partial_ids=(name,), served_share=share)
    assert (
        plan_from_json(
            __import__("gridproof.scenarios.plan", fromlist=["x"]).plan_to_json(shed),
            study.scenario,
        ).served_share.tolist()
        == share.tolist()
    )
    result = run_study(study, tmp_path / "c", plan=shed)
    kept = [one.store for one in (done.campaigns[3], result.campaigns[3])]
    before, after = (next(store.tables(["served_kw", "load_kw"], [0])) for store in kept)
    assert after["load_kw"].equals(before["load_kw"])
    factor = 1.0 + 0.1 * next(kept[0].tables([f"zeta_{name}"], [0]))[f"zeta_{name}"].to_numpy()
    where = study.scenario.feeder.loads.ids.index(name)
    missing = 0.75 * study.scenario.load_p_kw[3, where].sum() * factor
    found = before["served_kw"].to_numpy() - after["served_kw"].to_numpy()
    np.testing.assert_allclose(found, missing, rtol=1e-5)
