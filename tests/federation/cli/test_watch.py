"""Watching: figures of a growing directory, lines, and a bar where there is a terminal."""

import io
import json
import platform
import shutil
import sys
import threading
import time

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.progress import (
    CampaignBar,
    campaign_progress,
    running_interval,
    running_kind,
    tally_words,
    watching_campaign,
)
from gridproof.federation.campaigns.steps import joint_summary
from gridproof.federation.cli.main import app
from gridproof.federation.records.keeper import Tally
from gridproof.federation.records.lock import LOCK_NAME, writing
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.statistics.shares import clopper_pearson
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.verdict import Outcome
from rich.console import Console
from typer.testing import CliRunner

OVERRIDES = [
    "campaign.samples=5000", "campaign.batch=256",
    "campaign.judge=linear", "campaign.recourse=fixed",
]  # fmt: skip


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_toy):
    folder = tmp_path_factory.mktemp("whole")
    study = load_study(write_toy(folder), OVERRIDES)
    return run_campaign(study, folder / "c", mode="local")


def watch(*args, code=0):
    result = CliRunner().invoke(app, ["watch", *map(str, args)])
    assert result.exit_code == code, (result.stdout, result.stderr, result.exception)
    return result


def tally(*, done=3000, total=10_000, resumed=1000, feasible=2900, erred=10, seconds=4.0):
    counts = {
        **dict.fromkeys(Outcome, 0),
        Outcome.FEASIBLE: feasible,
        Outcome.ERRED: erred,
        Outcome.VIOLATED: done - feasible - erred,
    }
    return Tally(
        done=done, total=total, resumed=resumed, counts=counts, seconds=seconds,
        looked=(feasible, done - erred),
    )  # fmt: skip


def test_rate_and_time_left_count_this_run_alone():
    assert tally().rate == 500.0
    assert tally().left_s == 14.0
    fresh = tally(done=1000, feasible=900, resumed=1000)
    assert fresh.rate is None
    assert fresh.left_s is None


def test_words_of_a_tally():
    low, high = clopper_pearson(2900, 2990)  # erred counts neither way
    assert tally_words(tally(), {"confidence": 0.95}) == {
        "of": "3000/10000",
        "rate": "500/s",
        "share": f"feasible {290000 / 2990:.2f} % [{100 * low:.2f}, {100 * high:.2f}]",
        "left": "0:00:14 left",
    }
    nothing = tally_words(tally(done=0, feasible=0, erred=0, resumed=0), {"confidence": 0.95})
    assert nothing == {"of": "0/10000", "rate": "", "share": "feasible –", "left": ""}


def test_with_a_stopping_rule_the_interval_may_be_looked_at():
    fixed = running_interval(tally(), {"confidence": 0.95})
    rule = {"confidence": 0.95, "stop": {"kind": "width", "width": 0.01}}
    always = running_interval(tally(), rule)
    assert always[0] < fixed[0] < fixed[1] < always[1]


def test_a_bar_on_a_terminal():
    screen = io.StringIO()
    with campaign_progress(Console(file=screen, force_terminal=True, width=140)) as progress:
        bar = CampaignBar(progress, {"confidence": 0.95})
        bar(tally())
    assert bar.last == tally()
    for word in ("trying the plan", "3000/10000", "500/s", "96.99 %", "0:00:14 left"):
        assert word in screen.getvalue()


def test_no_bar_without_a_terminal(capsys, monkeypatch):
    with watching_campaign(quiet=False) as bar:
        bar(tally())
    assert bar.last == tally()
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich takes it for a terminal; --quiet stays quiet
    with watching_campaign(quiet=True) as bar:
        bar(tally())
    assert capsys.readouterr() == ("", "")


def test_a_complete_campaign_is_told_once(whole):
    result = watch(whole.out, "--json")
    (line,) = result.stdout.splitlines()
    figures = json.loads(line)
    assert (figures["done"], figures["total"]) == (5000, 5000)
    assert sum(figures["outcomes"].values()) == 5000
    assert figures["interval"][0] <= figures["feasible_share"] <= figures["interval"][1]
    assert figures["writer"] is None
    assert figures["state"] == "complete"
    assert figures["interval_kind"] == "exact"
    assert figures["samples_per_s"] is None  # nothing came while it was watched
    assert result.stderr == ""
    spoken = watch(whole.out)
    assert "5000/5000" in spoken.stdout
    assert f"gridproof report {whole.out}" in spoken.stderr


def test_it_follows_until_the_writer_has_left(whole, tmp_path, toy):
    study, out = load_study(toy, OVERRIDES), tmp_path / "c"
    begun, seen = threading.Event(), []

    def follow():
        begun.wait(30)
        seen.append(watch(out, "--json", "--every", "0.05"))

    def begin(_):
        begun.set()

    watcher = threading.Thread(target=follow)
    watcher.start()
    stdout = sys.stdout
    run_campaign(study, out, mode="local", plan=whole.plan, progress=begin)
    watcher.join(30)
    assert not watcher.is_alive()
    assert sys.stdout is stdout
    looks = [json.loads(line) for line in seen[0].stdout.splitlines()]
    done = [look["done"] for look in looks]
    assert done == sorted(done)
    assert done[-1] == 5000
    assert looks[-1]["writer"] is None


def test_what_nobody_goes_on_with_is_said(whole, tmp_path, toy):
    study, out = load_study(toy, OVERRIDES), tmp_path / "c"

    def stop(tally):
        if tally.done >= 3000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign(study, out, mode="local", plan=whole.plan, progress=stop)
    result = watch(out, "--once")
    assert "3072/5000" in result.stdout  # what was begun is kept, too
    assert f"gridproof resume {out}" in result.stderr
    with writing(out):
        figures = json.loads(watch(out, "--once", "--json").stdout)
        assert figures["writer"]["pid"] > 0
        assert "nobody" not in watch(out, "--once").stderr


def test_an_abandoned_campaign_ends_the_watching_and_has_no_rate(whole, tmp_path, toy):
    """The writer stops while it is watched: killed, say, for its lock ends with it."""
    study, out = load_study(toy, OVERRIDES), tmp_path / "c"
    begun, gone, seen = threading.Event(), threading.Event(), []

    def follow():
        begun.wait(30)
        seen.append(watch(out, "--json", "--every", "0.05"))
        gone.set()

    def stop(tally):
        if tally.done >= 2048:
            begun.set()
            time.sleep(1.0)  # long enough for a rate
        if tally.done >= 3000:
            raise KeyboardInterrupt

    watcher = threading.Thread(target=follow)
    watcher.start()
    with pytest.raises(KeyboardInterrupt):
        run_campaign(study, out, mode="local", plan=whole.plan, progress=stop)
    assert gone.wait(30)
    watcher.join(5)
    looks = [json.loads(line) for line in seen[0].stdout.splitlines()]
    assert {look["state"] for look in looks[:-1]} == {"running"}
    assert looks[-1]["state"] == "abandoned"
    assert looks[-1]["writer"] is looks[-1]["samples_per_s"] is looks[-1]["left_s"] is None
    spoken = watch(out)  # without --once
    assert f"nobody is writing to it; go on with: gridproof resume {out}" in spoken.stderr


def test_what_a_killed_writer_left_is_abandoned(whole, tmp_path):
    """Its lock file is there, and says this host; one of another host cannot be told dead."""
    out = tmp_path / "c"
    shutil.copytree(whole.out, out)
    CampaignStore.open(out).part_path(2).unlink()
    (out / LOCK_NAME).write_text(json.dumps({"pid": 1, "host": platform.node()}))
    assert json.loads(watch(out, "--json").stdout)["state"] == "abandoned"
    (out / LOCK_NAME).write_text(json.dumps({"pid": 1, "host": "elsewhere"}))
    assert json.loads(watch(out, "--json", "--once").stdout)["state"] == "running"
    shutil.copy(whole.store.part_path(2), CampaignStore.open(out).part_path(2))
    assert json.loads(watch(out, "--json").stdout)["state"] == "complete"


def test_a_running_interval_says_where_it_claims_nothing():
    sobol = {"confidence": 0.95, "sampler": "sobol"}
    late = {"confidence": 0.95, "faults": {"latency_s": 30.0}}
    for campaign in (sobol, late):
        assert tally_words(tally(), campaign)["share"].endswith("] nominal")
        assert running_kind(campaign) == "nominal"
    assert running_kind({"confidence": 0.95, "stop": {"kind": "width", "width": 0.1}}) == (
        "anytime-valid"
    )
    assert running_kind({"confidence": 0.95, "faults": {"interval_s": 60.0}}) == "exact"


def test_a_study_of_several_steps_is_watched_by_its_realizations(storm, tmp_path):
    out = tmp_path / "c"
    asked = ["campaign.samples=60", "campaign.batch=20", "campaign.judge=linear"]

    def stop(tally):
        if tally.done >= 40:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign(load_study(storm, asked), out, progress=stop)
    figures = json.loads(watch(out, "--json").stdout)
    assert (figures["done"], figures["total"], figures["state"]) == (40, 60, "abandoned")
    store = run_campaign(load_study(storm, asked), out).store
    figures = json.loads(watch(out, "--json").stdout)
    assert (figures["done"], figures["total"], figures["state"]) == (60, 60, "complete")
    joint = joint_summary(store)
    assert figures["outcomes"]["feasible"] == joint.feasible
    assert figures["feasible_share"] == joint.feasible_share
    assert figures["interval"] == pytest.approx(joint.interval)
    assert figures["served_share"] == pytest.approx(joint.served_share)
    assert "step" not in figures
    assert "60/60" in watch(out).stdout


def test_a_directory_for_each_step_is_refused_by_name(whole, tmp_path):
    """Nobody writes to what an earlier version left; its report is still there."""
    out = tmp_path / "c"
    out.mkdir()
    shutil.copytree(whole.out, out / "step-0")
    record = json.loads((whole.out / "study.json").read_text())
    (out / "study.json").write_text(json.dumps({**record, "steps": ["before", "after"]}))
    for words in ((), ("--once",), ("--json",)):
        said = " ".join(watch(out, *words, code=2).stderr.split())
        assert "made by an earlier version, with a directory for each step" in said
        assert f"gridproof report {out}" in said


def test_no_campaign(tmp_path):
    assert "is not a campaign directory" in watch(tmp_path, code=2).stderr
