"""A campaign through a device: killed and restarted, never there, too slow."""

import socket
import time

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.study_jobs import make_feeder_job, make_planner_job
from gridproof.federation.cli.main import app
from gridproof.federation.field.device_faults import DeviceFault
from gridproof.federation.field.emulator import EmulatedDer, Emulator
from gridproof.federation.field.modbus_client import (
    SunspecDevice,
)
from gridproof.federation.members.jobs import PlannerJob
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.records.reading import read_campaign
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import FederationError
from typer.testing import CliRunner


def rows(folder):
    return pq.read_table(next((folder / "parts").glob("*.parquet")))


def test_a_campaign_through_a_device(study, tmp_path):
    result = run_campaign(study, tmp_path / "c", mode="in_process")
    again = load_study(result.out / "study.json")  # what a feeder of its own process reads
    assert again.config.devices == study.config.devices
    table = rows(result.out)
    assert set(table["devices_lost"].to_pylist()) == {0.0}
    assert max(table["device_age_s"].to_pylist()) < 1.0
    commanded = np.array(table["commanded_kw_west"])
    applied = np.array(table["applied_kw_west"])
    assert np.abs(commanded).max() > 1.0
    assert np.abs(applied - commanded).max() < 0.02
    for quantity in ("kw", "kvar"):
        own = np.array(table[f"applied_{quantity}_west"])
        assert np.abs(own - np.array(table[f"commanded_{quantity}_west"])).max() < 0.02
    assert set(table["device_fault_west"].to_pylist()) == {0.0}
    assert "stale" not in table["outcome"].to_pylist()


def interrupted(job, at, do):
    """The same planner, doing something before it answers a realization."""

    class Acting:
        def __init__(self, recourse):
            self._recourse = recourse

        def respond(self, realizations):
            if int(realizations.index[0]) in at:
                do(int(realizations.index[0]))
            return self._recourse.respond(realizations)

    return PlannerJob(
        scenario=job.scenario,
        make_plan=job.make_plan,
        make_recourse=lambda plan: Acting(job.make_recourse(plan)),
    )


def test_killed_and_restarted_in_mid_run(study, emulator, tmp_path):
    """Stale while it is gone, measured again once it is back; the run goes on throughout."""
    served = [emulator]

    def act(index):
        if index == 16:
            served[0].close()
        else:
            time.sleep(0.3)  # a lost device is tried again after a while
            served.append(Emulator(EmulatedDer(emulator.der.rating), port=emulator.port))

    more = load_study(study.path, [f"devices.at.west=127.0.0.1:{emulator.port}"])
    planner = interrupted(make_planner_job(more), (16, 32), act)
    try:
        run_session(
            planner, make_feeder_job(more, tmp_path / "c"), SessionSettings(transport="local")
        )
    finally:
        served[-1].close()
    table = rows(tmp_path / "c")
    lost = np.array(table["devices_lost"])
    np.testing.assert_array_equal(lost, [0.0] * 16 + [1.0] * 16 + [0.0] * 8)
    stale = np.array([name == "stale" for name in table["outcome"].to_pylist()])
    np.testing.assert_array_equal(stale, lost > 0.0)
    applied = np.array(table["applied_kw_west"])
    assert len(set(applied[15:32])) == 1  # the last output seen stays in force
    age = np.array(table["device_age_s"])
    assert (np.diff(age[16:32]) > 0.0).all()


def test_a_device_never_there_costs_verdicts_not_the_run(toy, tmp_path):
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]  # free once this closes
    study = load_study(toy, [f"devices.at.west=127.0.0.1:{port}"])
    result = run_campaign(study, tmp_path / "c", mode="local")
    assert set(rows(result.out)["outcome"].to_pylist()) == {"stale"}
    assert set(rows(result.out)["device_fault_west"].to_pylist()) == {DeviceFault.LOST}
    report = read_campaign(CampaignStore.open(result.out)).report
    assert report.devices.faults == {"west": {"lost": 40}}
    assert report.to_json()["devices"]["faults"]["west"] == {"lost": 40}
    said = CliRunner().invoke(app, ["report", str(result.out)])
    words = "device west: of 40 exchanges 40 without an answer"
    assert words in " ".join(said.stdout.split())
    assert words in (result.out / "report" / "report.html").read_text()
    base = result.plan.p_kw[0, result.plan.der_ids.index("west")].sum()
    np.testing.assert_allclose(np.array(rows(result.out)["applied_kw_west"]), base)


SLOW_S = 0.3


@pytest.fixture
def slow(monkeypatch):
    """Every device takes its time to be measured."""
    measure = SunspecDevice.measure

    def later(self):
        time.sleep(SLOW_S)
        return measure(self)

    monkeypatch.setattr(SunspecDevice, "measure", later)


def test_the_time_a_device_takes_is_in_the_age_of_what_is_applied(study, slow, tmp_path):
    """At ten times the clock: what takes 0.3 s is 3 s old in the feeder's world."""
    paced = ["realtime.step_s=2.0", "realtime.factor=10", "campaign.samples=3"]
    at = [f"devices.at.west={study.config.devices.at['west']}"]
    result = run_campaign(load_study(study.path, [*at, *paced]), tmp_path / "c", mode="in_process")
    table = rows(result.out)
    loop, age, own = (
        np.array(table[name]) for name in ("device_loop_s", "loads_age_s", "setpoints_age_s")
    )
    assert (loop >= SLOW_S).all()
    assert (age >= 10 * loop).all()
    assert (own >= 10 * loop).all()
    assert set(table["outcome"].to_pylist()) == {"stale"}


def test_strict_does_not_pass_a_device_that_is_too_slow(study, slow, tmp_path):
    strict = ["realtime.step_s=0.25", "realtime.strict=true", "realtime.late_after_s=60"]
    at = [f"devices.at.west={study.config.devices.at['west']}"]
    with pytest.raises(FederationError, match=r"s old, .* s of it devices'; strict allows 0\.25 s"):
        run_campaign(load_study(study.path, [*at, *strict]), tmp_path / "c", mode="in_process")
