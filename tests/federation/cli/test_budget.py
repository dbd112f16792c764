"""A time for planning and trying: it ends, keeps what was done, and says what was not."""

import json
import time

import pyarrow.parquet as pq
import pytest
from gridproof.federation.cli.budget import Budget, duration_s, planning_entry
from gridproof.federation.cli.main import app
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError
from typer.testing import CliRunner


@pytest.mark.parametrize(
    ("said", "seconds"), [("90s", 90.0), ("10m", 600.0), ("1h30m", 5400.0), (" 0.5s ", 0.5)]
)
def test_a_time_is_read(said, seconds):
    assert duration_s(said) == seconds


@pytest.mark.parametrize("said", ["", "10", "m", "0s", "-5m", "10m 5s", "5m1h", "1e9m", "nan s"])
def test_what_is_no_time_is_refused_by_its_remedy(said):
    with pytest.raises(ConfigError, match="say it as 90s, 10m or 1h30m"):
        duration_s(said)


def test_the_search_has_half_and_no_more_than_it_would_have(tmp_path, write_toy):
    study = load_study(write_toy(tmp_path), ["planner.time_limit_s=40"])
    assert planning_entry(study, 60.0) == ("planner.time_limit_s=30",)
    assert planning_entry(study, 80.0) == ()
    assert planning_entry(study, 60.0, share=1.0) == ()


def test_the_main_thread_is_interrupted_once_and_only_within():
    budget = Budget(said="0.05s", seconds=0.05)
    with pytest.raises(KeyboardInterrupt), budget.interrupting():
        time.sleep(5.0)
    assert budget.over
    other = Budget(said="0.1s", seconds=0.1)
    with other.interrupting():
        pass
    time.sleep(0.15)
    assert not other.over


@pytest.mark.slow
@pytest.mark.parametrize(
    ("how", "time_s"), [((), 4), (("--processes",), 10), (("--workers", "2"), 12)]
)
def test_a_campaign_ends_with_its_time_and_goes_on_from_there(tmp_path, write_toy, how, time_s):
    root, run = tmp_path / "c", CliRunner().invoke
    words = ["run", str(write_toy(tmp_path)), "--samples", "1000000", "--out", str(root), "--json",
             "--for", f"{time_s}s", *how]  # fmt: skip
    begun = time.monotonic()
    first = run(app, words)
    assert first.exit_code == 0, first.output
    assert time.monotonic() - begun < 40.0
    assert "the time is up: " in first.stderr
    done = json.loads(first.stdout)["campaign"]
    assert 0 < done["samples"] < 1_000_000
    kept = done["samples"]
    parts = sum(pq.read_metadata(part).num_rows for part in (root / "parts").glob("*.parquet"))
    # chunks that are begun count, too
    assert parts == kept if "--workers" in how else parts <= kept
    said = f"{kept} of 1000000 realizations are kept in {root}; go on with: gridproof resume {root}"
    assert said in first.stderr.replace("\n", " ")
    assert CampaignStore.open(root).environment["runs"][-1]["ended"] == "interrupted"
    again = run(app, ["resume", str(root), "--json", "--for", "3s"])
    assert again.exit_code == 0, again.output
    assert json.loads(again.stdout)["campaign"]["samples"] > done["samples"]


def test_where_nothing_came_of_it_that_is_said(tmp_path, write_toy, monkeypatch):
    """The time is up while the plan is searched for: exit as where there is no plan."""

    def slow(*_, **__):
        time.sleep(10.0)

    monkeypatch.setattr("gridproof.federation.cli.run.run_campaign", slow)
    done = CliRunner().invoke(
        app, ["run", str(write_toy(tmp_path)), "--out", str(tmp_path / "c"), "--for", "0.2s"]
    )
    assert done.exit_code == 3
    assert "the time is up before a plan was found; go on with: gridproof resume" in done.stderr
