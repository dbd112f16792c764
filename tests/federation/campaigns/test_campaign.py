"""However a campaign is run, stopped or taken up, its parts are the same to the byte."""

import errno
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pytest
from gridproof.federation.campaigns import campaign as subject
from gridproof.federation.campaigns import study_jobs
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.study_jobs import make_planner_job, open_store
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import campaign_summary
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.audit import audit
from gridproof.scenarios.errors import ConfigError, StoreError
from gridproof.scenarios.plan import plan_digest
from gridproof.scenarios.plan_file import plan_from_json

SAMPLES = 4500
ROOT = Path(__file__).parents[3]


@pytest.fixture
def load(toy):
    """Load the toy study with overrides."""
    return lambda *more: load_study(toy, [f"campaign.samples={SAMPLES}", *more])


@pytest.fixture(scope="module")
def whole(tmp_path_factory, write_toy):
    """A campaign run once without HELICS."""
    folder = tmp_path_factory.mktemp("whole")
    study = load_study(write_toy(folder), [f"campaign.samples={SAMPLES}"])
    return run_campaign(study, folder / "c", mode="local")


def parts(root):
    return {path.name: path.read_bytes() for path in sorted((root / "parts").iterdir())}


def outcomes(root):
    return campaign_summary(CampaignStore.open(root)).outcomes


def test_a_campaign_from_nothing(whole):
    assert whole.store.finished() == (0, 1, 2)
    about = campaign_summary(whole.store)
    assert about.samples == SAMPLES
    assert sum(about.outcomes.values()) == SAMPLES
    assert about.outcomes["erred"] == 0
    assert about.outcomes["feasible"] > 0
    (run,) = whole.store.environment["runs"]
    assert (run["mode"], run["realizations"], run["ended"]) == ("local", SAMPLES, "finished")
    assert 0.0 < run["seconds"] <= whole.seconds
    assert audit(whole.plan, load_study(whole.out / "study.json").scenario) == ()


@pytest.mark.parametrize("batch", [17, 256, 100_000])
def test_helics_and_batch_size_change_no_byte(whole, load, tmp_path, batch):
    run_campaign(load(f"campaign.batch={batch}"), tmp_path / "c", mode="in_process")
    assert parts(tmp_path / "c") == parts(whole.out)


@pytest.mark.slow
def test_two_processes_change_no_byte(whole, load, tmp_path):
    seen = []
    run_campaign(load(), tmp_path / "c", mode="processes", progress=seen.append)
    assert parts(tmp_path / "c") == parts(whole.out)
    assert seen[-1].done == SAMPLES


@pytest.mark.parametrize("judge", ["ac", "linear"])
@pytest.mark.parametrize("recourse", ["fixed", "linear"])
def test_every_judge_with_every_recourse(whole, load, tmp_path, judge, recourse):
    study = load(f"campaign.judge={judge}", f"campaign.recourse={recourse}", "campaign.samples=300")
    result = run_campaign(study, tmp_path / "c", mode="local", plan=whole.plan)
    about = campaign_summary(result.store)
    assert (about.judge, about.recourse, about.samples) == (judge, recourse, 300)
    assert about.outcomes["erred"] == about.outcomes["no_solution"] == 0


def test_stopped_by_ctrl_c_and_taken_up(whole, load, tmp_path):
    def stop(tally):
        if tally.done >= 3000:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        run_campaign(load(), tmp_path / "c", mode="local", progress=stop)
    assert list(parts(tmp_path / "c")) == ["part-00000000.parquet"]
    assert CampaignStore.open(tmp_path / "c").environment["runs"][0]["ended"] == "interrupted"
    result = run_campaign(load(), tmp_path / "c", mode="in_process")
    assert 2048 <= result.resumed < SAMPLES  # what was begun of the next chunk is kept, too
    assert parts(tmp_path / "c") == parts(whole.out)
    assert outcomes(tmp_path / "c") == outcomes(whole.out)


def test_a_finished_campaign_is_only_read(whole, load, monkeypatch):
    before = parts(whole.out)
    monkeypatch.setattr(subject, "run_session", None)
    result = run_campaign(load_study(whole.out / "study.json"), whole.out, mode="local")
    assert result.resumed == SAMPLES
    assert parts(whole.out) == before


def test_taken_up_under_the_plan_it_was_begun_with(whole, load, tmp_path, monkeypatch):
    study = load()
    open_store(study, tmp_path / "c").write("plan.json", (whole.out / "plan.json").read_text())
    monkeypatch.setattr(study_jobs, "plan_study", None)
    job = make_planner_job(study, out=tmp_path / "c")
    assert plan_digest(job.make_plan()) == plan_digest(whole.plan)
    run_campaign(study, tmp_path / "c", mode="local")
    assert parts(tmp_path / "c") == parts(whole.out)


def test_a_given_plan_is_the_one_tried_and_another_refused(whole, load, tmp_path, monkeypatch):
    monkeypatch.setattr(study_jobs, "plan_study", None)
    study = load("campaign.samples=100")
    given = replace(whole.plan, p_kw=whole.plan.p_kw * 0.99)
    run_campaign(study, tmp_path / "c", mode="local", plan=given)
    kept = plan_from_json((tmp_path / "c" / "plan.json").read_text(), study.scenario)
    assert plan_digest(kept) == plan_digest(given) != plan_digest(whole.plan)
    with pytest.raises(StoreError, match="another plan"):
        run_campaign(study, tmp_path / "c", mode="local", plan=whole.plan)


@pytest.mark.parametrize(
    "change", ["campaign.seed=2", "uncertainty.spread=0.2", "campaign.recourse='fixed'"]
)
def test_another_configuration_is_refused(whole, load, change):
    with pytest.raises(StoreError, match="another configuration"):
        run_campaign(load(change), whole.out, mode="local")


def test_a_full_disk_surfaces_as_itself(load, tmp_path, monkeypatch):
    real, renamed = Path.replace, []

    def refuse(path, target):
        if "part-00000001" in str(target):
            raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC))
        renamed.append(Path(target).name)
        return real(path, target)

    monkeypatch.setattr(Path, "replace", refuse)
    with pytest.raises(StoreError, match=r"part-00000001.*disk is full.*run again"):
        run_campaign(load(), tmp_path / "c", mode="local")
    assert CampaignStore.open(tmp_path / "c").finished() == (0,)
    assert CampaignStore.open(tmp_path / "c").environment["runs"][-1]["ended"] == "failed"


def test_there_is_no_such_mode(load, tmp_path):
    with pytest.raises(ConfigError, match="in_process, processes, local"):
        run_campaign(load(), tmp_path / "c", mode="telepathy")
    assert not (tmp_path / "c").exists()


RUN = """
import sys
from pathlib import Path
from gridproof.federation.campaigns.campaign import (run_campaign)
from gridproof.federation.studies.study import load_study
study = load_study(Path(sys.argv[1]), ["campaign.samples=" + sys.argv[3]])
run_campaign(study, Path(sys.argv[2]), mode="in_process")
"""


@pytest.mark.slow
@pytest.mark.parametrize("wait_for_parts", [1, 2])
def test_killed_and_taken_up(whole, load, toy, tmp_path, wait_for_parts):
    out = tmp_path / "c"
    command = [sys.executable, "-c", RUN, str(toy), str(out), str(SAMPLES)]
    child = subprocess.Popen(command, cwd=ROOT, stderr=subprocess.PIPE)
    try:
        until = time.monotonic() + 60.0
        while len(list(out.glob("parts/part-*"))) < wait_for_parts and child.poll() is None:
            assert time.monotonic() < until, "no part came in 60 s"
            time.sleep(0.002)
    finally:
        child.send_signal(signal.SIGKILL)
        child.communicate(timeout=10)
    finished = CampaignStore.open(out).finished()
    assert len(finished) >= wait_for_parts
    result = run_campaign(load(), out, mode="local")
    assert result.resumed >= 2048
    assert parts(out) == parts(whole.out)
