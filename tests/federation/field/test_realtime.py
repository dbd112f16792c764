"""Against the wall clock: steps are due when they are due, and what came too late is stale."""

import time
from datetime import UTC, datetime, timedelta

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.study_jobs import (
    make_feeder_job,
    make_planner_job,
    session_settings,
)
from gridproof.federation.cli.main import app
from gridproof.federation.config.clock import start_time
from gridproof.federation.config.faults import RealtimeConfig
from gridproof.federation.field.realtime import PACE_COLUMNS, Pace
from gridproof.federation.members.jobs import PlannerJob
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.records.pace_figures import pace_figures
from gridproof.federation.records.reading import read_campaign
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.federation.studies.wiring import pace_of, until_start_s
from gridproof.scenarios.errors import ConfigError, FederationError
from gridproof.scenarios.verdict import MarginKind, Outcome, Verdicts
from hypothesis import given
from hypothesis import strategies as st
from typer.testing import CliRunner


class Clock:
    """A clock that only moves when someone sleeps or works."""

    def __init__(self):
        self.now_s = 100.0
        self.slept = []

    def __call__(self):
        return self.now_s

    def sleep(self, seconds):
        self.slept.append(seconds)
        self.now_s += seconds


def pace(**settings):
    clock = Clock()
    config = RealtimeConfig(step_s=2.0, **settings)
    return clock, Pace(config, monotonic=clock, sleep=clock.sleep, wall=clock)


def verdicts(*outcomes):
    n, kinds = len(outcomes), len(MarginKind)
    return Verdicts(
        index=np.arange(n), outcome=np.array(outcomes), margin=np.zeros((n, kinds)),
        element=np.zeros((n, kinds)), phase=np.zeros((n, kinds)),
    )  # fmt: skip


def test_steps_are_due_at_fixed_times_and_lateness_is_not_forgiven():
    clock, own = pace(factor=2.0)  # a step a second of the wall clock
    lateness = []
    for work_s in (0.25, 1.5, 0.25, 0.25):
        own.await_step()
        lateness.append(own.arrived(clock(), clock())["lateness_s"][0])
        clock.now_s += work_s
    assert clock.slept == pytest.approx([0.75, 0.25])
    assert lateness == pytest.approx([0.0, 0.0, 1.0, 0.0])  # s of the feeder's world


def test_ages_are_counted_in_the_feeders_world():
    clock, own = pace(factor=4.0, stale_after_s=3.0)
    own.await_step()
    trace = own.arrived(clock() - 0.5, clock() - 0.25)
    assert set(trace) == set(PACE_COLUMNS)
    assert trace["loads_age_s"][0] == pytest.approx(2.0)
    assert trace["setpoints_age_s"][0] == pytest.approx(1.0)
    assert own.judged(verdicts(Outcome.FEASIBLE), trace).outcome[0] == Outcome.FEASIBLE
    old = own.arrived(clock() - 1.0, clock())
    assert own.judged(verdicts(Outcome.VIOLATED), old).outcome[0] == Outcome.STALE
    assert own.judged(verdicts(Outcome.NO_RECOURSE), old).outcome[0] == Outcome.NO_RECOURSE
    assert own.judged(verdicts(Outcome.ERRED), old).outcome[0] == Outcome.ERRED


def test_the_bound_is_a_step_if_none_is_stated():
    clock, own = pace()
    own.await_step()
    assert own.stale_after_s == 2.0
    late = own.arrived(clock() - 2.1, clock())
    assert own.judged(verdicts(Outcome.FEASIBLE), late).outcome[0] == Outcome.STALE


def test_strict_ends_a_late_run_and_says_how_late():
    clock, own = pace(strict=True, late_after_s=0.5)
    own.await_step()
    clock.now_s += 2.4
    own.await_step()  # 0.4 s late is allowed
    clock.now_s += 2.4
    with pytest.raises(FederationError, match=r"step 3 began 0\.800 s late; strict allows 0\.5 s"):
        own.await_step()


def test_strict_ends_a_run_on_stale_set_points():
    clock, own = pace(strict=True, stale_after_s=1.0)
    own.await_step()
    with pytest.raises(FederationError, match=r"step 1 are 1\.500 s old; strict allows 1 s"):
        own.arrived(clock() - 1.5, clock())


# ------------------------------------------------------------------------------- the start


NOON = datetime(2026, 3, 1, 12, 0, 0, tzinfo=UTC)


@pytest.mark.parametrize(
    ("text", "hours"),
    [
        ("12:00:05+00:00", 5 / 3600),
        ("14:30:00Z", 2.5),
        ("01:00:00+01:00", -12.0),  # of the two that are as near, today's
        ("02:00:00Z", -10.0),
        ("23:59:59Z", 12.0 - 1 / 3600),
        ("2026-03-02T06:00:00+00:00", 18.0),
        ("2026-03-02 06:00:00Z", 18.0),
    ],
)
def test_a_start_is_the_nearest_of_its_time_of_day_or_that_of_its_date(text, hours):
    assert (start_time(text, NOON) - NOON).total_seconds() == pytest.approx(3600 * hours)


@given(st.integers(0, 86399), st.integers(0, 86399))
def test_a_start_without_a_date_is_within_twelve_hours(now_s, at_s):
    now = NOON.replace(hour=0) + timedelta(seconds=now_s)
    written = f"{at_s // 3600:02d}:{at_s // 60 % 60:02d}:{at_s % 60:02d}Z"
    found = start_time(written, now)
    assert abs(found - now) <= timedelta(hours=12)
    assert (found - NOON.replace(hour=0)).seconds == at_s


def test_a_start_without_an_offset_is_local():
    found = start_time("2026-03-01T12:00:00", NOON)
    assert found.tzinfo is not None
    assert found.replace(tzinfo=None) == datetime(2026, 3, 1, 12, 0, 0)


@pytest.mark.parametrize(
    ("entries", "part"),
    [
        (["realtime.start=12:00:00"], "start needs step_s"),
        (["realtime.step_s=1", "realtime.start=25:00:00"], "is no time of a day"),
        (["realtime.step_s=1", "realtime.start=noon"], "realtime"),
    ],
)
def test_a_start_that_is_none_is_refused(toy, entries, part):
    with pytest.raises(ConfigError, match=part):
        load_study(toy, entries)


def test_the_first_step_is_due_at_the_start_and_the_others_after_it():
    clock = Clock()
    config = RealtimeConfig(step_s=2.0)
    own = Pace(config, start_s=107.0, monotonic=clock, sleep=clock.sleep, wall=clock)
    for _ in range(3):
        own.await_step()
    assert clock.slept == pytest.approx([7.0, 2.0, 2.0])


def test_a_start_that_passed_while_it_was_planned_is_an_error():
    clock = Clock()
    config = RealtimeConfig(step_s=2.0, strict=False)
    own = Pace(config, start_s=99.0, monotonic=clock, sleep=clock.sleep, wall=clock)
    with pytest.raises(FederationError, match=r"had passed 1\.0 s before the first step could"):
        own.await_step()


def in_seconds(seconds):
    return (datetime.now(UTC) + timedelta(seconds=seconds)).isoformat(timespec="seconds")


def test_a_start_that_is_past_is_refused_before_anything_is_planned(toy, tmp_path):
    past = load_study(toy, ["realtime.step_s=1", f"realtime.start={in_seconds(-60)}"])
    with pytest.raises(ConfigError, match=r"\[realtime\] start = .* passed \d+ s ago"):
        run_campaign(past, tmp_path / "past", mode="local")
    assert until_start_s(past) < 0.0
    assert pace_of(past, resumed=True)._until_start_s() == 0.0


@pytest.mark.slow
def test_a_run_begins_at_its_start_and_resumed_at_once(toy, tmp_path):
    begin = datetime.now(UTC).replace(microsecond=0) + timedelta(seconds=8)
    entries = ["realtime.step_s=0.02", f"realtime.start={begin.isoformat()}"]
    study = load_study(toy, [*entries, "campaign.samples=2050"])
    planner = slow(make_planner_job(study), _broken_off_at(2049))
    with pytest.raises(RuntimeError, match="broken off"):
        run_session(
            planner, make_feeder_job(study, tmp_path / "c"), SessionSettings(transport="local")
        )
    assert datetime.now(UTC) >= begin + timedelta(seconds=2048 * 0.02)
    again = load_study(tmp_path / "c" / "study.json")
    assert again.config.realtime.start == study.config.realtime.start
    result = run_campaign(again, tmp_path / "c", mode="local")  # though its start has passed
    rows = np.concatenate(
        [np.array(t.column("lateness_s")) for t in result.store.tables(["lateness_s"], (0, 1))]
    )
    assert len(rows) == 2050
    assert rows[-1] < 5.0  # on a clock that starts anew


def _broken_off_at(index):
    def act(k):
        if k == index:
            raise RuntimeError("broken off")
        return 0.0

    return act


def test_a_start_far_off_is_in_the_planner_s_patience(toy):
    study = load_study(toy, ["realtime.step_s=300", f"realtime.start={in_seconds(3600)}"])
    assert 3600 < session_settings(study, "processes").step_deadline_s < 3600 + 121
    slow = load_study(toy, ["realtime.step_s=300"])
    assert session_settings(slow, "local").step_deadline_s == 420.0


def test_overruns_are_counted_and_listed(toy, tmp_path):
    study = load_study(toy, ["campaign.samples=8", "realtime.step_s=0.2"])
    planner = slow(make_planner_job(study), lambda i: 0.25 if i == 3 else 0.0)
    run_session(planner, make_feeder_job(study, tmp_path / "c"), SessionSettings(transport="local"))
    store = CampaignStore.open(tmp_path / "c")
    pace = pace_figures(store, store.finished())
    rows = pq.read_table(next((tmp_path / "c" / "parts").glob("*.parquet")))
    late, age = np.array(rows["lateness_s"]), np.array(rows["loads_age_s"])
    over = np.flatnonzero(late + age > 0.2)
    assert 3 in over
    assert pace.overruns == len(over)
    assert [one.index for one in pace.listed] == over.tolist()
    assert pace.lateness_s.max == late.max()
    assert pace.to_json()["loads_age_s"]["p50"] == np.percentile(age, 50)
    assert f"{len(over)} not done when the next was due: #" in pace.words()[1]


@pytest.mark.slow
def test_lateness_is_in_terminal_page_and_json(toy, tmp_path):
    study = load_study(toy, ["campaign.samples=8", "realtime.step_s=0.2"])
    run_campaign(study, tmp_path / "c", mode="local")
    said = CliRunner().invoke(app, ["report", str(tmp_path / "c")])
    assert "real time: 8 steps of 0.2 s; lateness" in " ".join(said.stdout.split())
    page = (tmp_path / "c" / "report" / "report.html").read_text()
    assert "real time: 8 steps of 0.2 s; lateness" in page
    report = read_campaign(CampaignStore.open(tmp_path / "c")).report
    assert list(report.to_json()["pace"]) == [
        "steps", "step_s", "lateness_s", "loads_age_s", "overruns", "listed",
    ]  # fmt: skip


def table(result):
    return pq.read_table(next((result.out / "parts").glob("*.parquet")))


@pytest.mark.parametrize("mode", ["local", "in_process"])
def test_a_run_takes_its_time_and_keeps_what_was_late(toy, tmp_path, mode):
    study = load_study(toy, ["campaign.samples=12", "realtime.step_s=6", "realtime.factor=100"])
    started = time.monotonic()
    result = run_campaign(study, tmp_path / "c", mode=mode)
    assert time.monotonic() - started > 11 * 0.06
    rows = table(result)
    for name in PACE_COLUMNS:
        assert np.isfinite(np.array(rows[name])).all()
    assert (np.array(rows["lateness_s"]) >= 0.0).all()
    assert (np.array(rows["loads_age_s"]) >= np.array(rows["setpoints_age_s"])).all()
    assert "stale" not in rows["outcome"].to_pylist() or max(rows["loads_age_s"].to_pylist()) > 6


def slow(job, wait_s):
    """The same planner, taking its time over some realizations."""

    class Slow:
        def __init__(self, recourse):
            self._recourse = recourse

        def respond(self, realizations):
            time.sleep(wait_s(int(realizations.index[0])))
            return self._recourse.respond(realizations)

    return PlannerJob(
        scenario=job.scenario,
        make_plan=job.make_plan,
        make_recourse=lambda plan: Slow(job.make_recourse(plan)),
        word=job.word,
    )


def test_a_late_answer_is_stale_and_the_rest_is_not(toy, tmp_path):
    study = load_study(
        toy,
        ["campaign.samples=8", "realtime.step_s=0.3", "realtime.stale_after_s=0.25"],
    )
    planner = slow(make_planner_job(study), lambda i: 0.28 if i == 3 else 0.0)
    run_session(planner, make_feeder_job(study, tmp_path / "c"), SessionSettings(transport="local"))
    rows = pq.read_table(next((tmp_path / "c" / "parts").glob("*.parquet")))
    age = np.array(rows["loads_age_s"])
    assert age[3] > 0.25
    stale = np.array([name == "stale" for name in rows["outcome"].to_pylist()])
    np.testing.assert_array_equal(stale, age > 0.25)
    assert stale.sum() < 8
    assert rows["margin_voltage"].null_count == 0  # the physics was asked all the same


@pytest.mark.parametrize("transport", ["local", "inproc"])
def test_strict_ends_the_whole_federation(toy, tmp_path, transport):
    study = load_study(toy, ["campaign.samples=8", "realtime.step_s=0.05", "realtime.strict=true"])
    planner = slow(make_planner_job(study), lambda _: 0.2)
    with pytest.raises(FederationError, match="real time: the set-points of step 1"):
        run_session(
            planner, make_feeder_job(study, tmp_path / "c"), SessionSettings(transport=transport)
        )


def test_one_clock_cannot_serve_several_workers(toy, tmp_path):
    study = load_study(toy, ["realtime.step_s=1"])
    with pytest.raises(ConfigError, match="one clock"):
        run_campaign(study, tmp_path / "c", spread=lambda *_: None)
