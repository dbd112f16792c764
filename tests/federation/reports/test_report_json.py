"""What ``--json`` prints of small campaigns, key by key in order, against what is kept here.

A key that moves, is renamed or is lost breaks whoever reads it: the documents in ``pinned/`` are
those of plain dictionaries, from the time before a report had types. What a machine or a moment
decides (times, versions, places) is left out; numbers are held to seven digits. After a change
that is meant, write them anew with ``GRIDPROOF_PIN=1``, and read the difference.
"""

import json
import math
import os
from dataclasses import replace
from pathlib import Path

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.studies.study import load_study
from typer.testing import CliRunner

PINNED = Path(__file__).parent / "pinned"
MOMENTARY = {
    "versions", "seconds", "samples_per_s", "directory", "beaten_by", "fingerprint", "figures",
    "time", "study", "stages_s",
}  # fmt: skip
DAY = """
[horizon]
load_profile = [0.6, 0.8, 1.0]

[ders.fleet.store]
bus = "d"
capacity_kw = 30
[ders.fleet.store.storage]
energy_kwh = 100
floor_share = 0.10
start_share = 0.50
end_share = 0.20
charge_efficiency = 0.9
discharge_efficiency = 0.8
schedule_kw = [-20.0, 30.0, 30.0]

[ders.fleet.sun]
bus = "b"
capacity_kw = 20
[ders.fleet.sun.renewable]
spread = 0.2
profile = [0.0, 0.5, 0.25]

[planner]
family = "partitioning"
hold_configuration = true
"""
MODES = [
    "campaign.samples=4", "campaign.judge=linear", "planner.network=copperplate",
    "planner.response=shared", "planner.method=support_box",
]  # fmt: skip


def gridproof(*words):
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == 0, result.output
    return json.loads(result.stdout)


def lasting(value):
    """Leave out what a machine or a moment decides."""
    if isinstance(value, dict):
        return {key: lasting(one) for key, one in value.items() if key not in MOMENTARY}
    return [lasting(one) for one in value] if isinstance(value, list) else value


def differences(now, kept, where="$"):
    """Every place at which two documents differ; the order of keys counts."""
    if isinstance(now, dict) and isinstance(kept, dict):
        if list(now) != list(kept):
            return [f"{where}: keys {list(now)}, not {list(kept)}"]
        return [d for key in now for d in differences(now[key], kept[key], f"{where}.{key}")]
    if isinstance(now, list) and isinstance(kept, list):
        if len(now) != len(kept):
            return [f"{where}: {len(now)} entries, not {len(kept)}"]
        pairs = enumerate(zip(now, kept, strict=True))
        return [d for k, (one, two) in pairs for d in differences(one, two, f"{where}[{k}]")]
    if isinstance(now, float) and isinstance(kept, float):
        return [] if math.isclose(now, kept, rel_tol=1e-7, abs_tol=1e-7) else [f"{where}: {now}"]
    same = type(now) is type(kept) and now == kept
    return [] if same else [f"{where}: {now!r}, not {kept!r}"]


def hold(name, document):
    path, found = PINNED / f"{name}.json", lasting(document)
    if os.environ.get("GRIDPROOF_PIN"):
        path.parent.mkdir(exist_ok=True)
        path.write_text(json.dumps(found, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
    assert differences(found, json.loads(path.read_text(encoding="utf-8"))) == []


@pytest.fixture(scope="module")
def toys(tmp_path_factory, write_toy):
    """One plan tried by two recourses, one of them before both judges and probed."""
    folder = tmp_path_factory.mktemp("toys")
    path, plan = write_toy(folder), None
    for name, more in (
        ("both", ["campaign.recourse=linear", "campaign.judge=both"]),
        ("fixed", ["campaign.recourse=fixed", 'campaign.stop={kind="width", width=0.9}']),
    ):
        study = load_study(path, ["campaign.samples=60", *more])
        plan = run_campaign(study, folder / name, mode="local", plan=plan).plan
    return folder


@pytest.fixture(scope="module")
def storms(tmp_path_factory, write_storm):
    """A restoration of four phases, and the same under a floor that some realizations leave."""
    folder = tmp_path_factory.mktemp("storms")
    path = write_storm(folder)
    done = run_campaign(load_study(path), folder / "whole")
    plan = replace(done.plan, scenario_digest="")
    floor = ["campaign.recourse=fixed", "limits.v_min_pu=1.0"]
    run_campaign(load_study(path, floor), folder / "strict", plan=plan)
    return folder


def test_one_step(toys):
    hold("toy", gridproof("report", toys / "both", "--json", "--no-html"))


def test_one_step_that_was_asked_more(toys):
    gridproof("adversary", toys / "both", "--budget", "40", "--json")
    hold("toy-rare", gridproof("rare", toys / "both", "--level-samples", "20", "--json"))
    hold("toy-asked", gridproof("report", toys / "both", "--why", "--json", "--no-html"))


def test_a_campaign_that_a_rule_may_end(toys):
    hold("toy-rule", gridproof("report", toys / "fixed", "--json", "--no-html"))


def test_two_campaigns(toys):
    hold("toy-compared", gridproof("compare", toys / "both", toys / "fixed", "--json"))


def test_a_look_at_a_campaign(toys):
    hold("toy-watched", gridproof("watch", toys / "both", "--once", "--json"))


def test_a_plan_alone(toys):
    hold("toy-plan", gridproof("plan", toys / "toy.toml", "--why", "--json", "--quiet"))


def test_the_phases_of_a_restoration(storms):
    hold("storm", gridproof("report", storms / "whole", "--json", "--no-html"))
    hold("storm-strict", gridproof("report", storms / "strict", "--json", "--no-html"))


def test_two_restorations(storms):
    hold("storm-compared", gridproof("compare", storms / "whole", storms / "strict", "--json"))


def test_the_hours_of_a_day(tmp_path, write_toy):
    path = write_toy(tmp_path)
    path.write_text(path.read_text() + DAY)
    study = load_study(path, ["campaign.samples=30", "campaign.recourse=fixed"])
    run_campaign(study, tmp_path / "c", mode="local")
    hold("day", gridproof("report", tmp_path / "c", "--json", "--no-html"))


@pytest.mark.slow
def test_a_plan_of_policies(tmp_path):
    run_campaign(load_study("ieee123-policy-modes", MODES), tmp_path / "c", mode="local")
    found = gridproof("report", tmp_path / "c", "--json", "--no-html")
    hold("modes", {**found, "steps": found["steps"][:2]})
