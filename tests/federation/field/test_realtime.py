"""Against the wall clock: steps are due when they are due, and what came too late is stale."""

import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.study_jobs import make_feeder_job, make_planner_job
from gridproof.federation.config.faults import RealtimeConfig
from gridproof.federation.field.realtime import PACE_COLUMNS, Pace
from gridproof.federation.members.jobs import PlannerJob
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError, FederationError
from gridproof.scenarios.verdict import MarginKind, Outcome, Verdicts


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
