"""What is done to devices around a run: none moves in a rehearsal, each settles, all are let go.

::

    rehearsal ── (nothing) ── command ─ settle ─ measure ── … ── release ── close
"""

import os
import signal
import subprocess
import sys
import threading
import time
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.study_jobs import make_feeder_job, make_planner_job
from gridproof.federation.config.faults import DevicesConfig
from gridproof.federation.field.device import DeviceLostError
from gridproof.federation.field.device_faults import DeviceFault
from gridproof.federation.field.devices import FieldDevices
from gridproof.federation.field.sunspec import CONTROLS, TABLES
from gridproof.federation.members.launch import program
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError
from pymodbus.client import ModbusTcpClient

ROOT = Path(__file__).parents[3]


class Noted:
    """A device that does as it is told, and notes what and when."""

    def __init__(self, place, *, phases=(3,), slow_s=0.0):
        self.place, self.phases, self.slow_s = place, phases, slow_s
        self.told = []
        self.lost = False

    def _note(self, what):
        self.told.append((what, time.monotonic()))
        if self.lost:
            raise DeviceLostError("gone")

    def command(self, p_kw, q_kvar):
        self.p_kw, self.q_kvar = p_kw, q_kvar
        self._note("command")

    def measure(self):
        self._note("measure")
        return tuple(np.full(self.phases, v / self.phases[0]) for v in (self.p_kw, self.q_kvar))

    def release(self):
        time.sleep(self.slow_s)
        self._note("release")

    def close(self):
        self.told.append(("close", time.monotonic()))

    @property
    def calls(self):
        return [what for what, _ in self.told]


@pytest.fixture
def west(toy):
    """The toy's smaller DER as a device; start it with a config and a maker."""
    study = load_study(toy, ["devices.at.west=127.0.0.1:5020"])
    plan = make_planner_job(study).make_plan()

    def make(config=None, **more):
        made = []

        def maker(place):
            made.append(Noted(place, **more))
            return made[-1]

        devices = FieldDevices(config or study.config.devices, study.scenario, maker)
        devices.start(plan)
        return devices, made[0], (plan.p_kw[0], plan.q_kvar[0])

    return make


def test_what_was_commanded_is_released_once_and_what_was_not_is_let_alone(west):
    devices, one, _ = west()
    devices.close()
    assert one.calls == ["close"]
    devices, one, command = west()
    devices.apply(*command)
    devices.close()
    devices.close()
    assert one.calls == ["command", "measure", "release", "close", "close"]


def test_a_device_that_was_lost_is_released_all_the_same(west):
    """The command may have arrived, though its answer did not."""
    devices, one, command = west()
    one.lost = True
    assert devices.apply(*command).faults == (DeviceFault.LOST,)
    devices.close()
    assert one.calls == ["command", "release", "close"]


def test_one_that_is_slow_to_be_released_does_not_hold_up_the_end(west):
    devices, one, command = west(slow_s=2.0)
    devices.apply(*command)
    began = time.monotonic()
    devices.close()
    assert time.monotonic() - began < 1.9
    for thread in threading.enumerate():
        if thread.name == "device-release":
            thread.join()
    assert "release" in one.calls


def test_it_is_given_its_time_to_settle_and_the_time_is_in_the_loop(west):
    config = DevicesConfig(at={"west": "127.0.0.1:5020"}, settle_s={"west": 0.15})
    devices, one, command = west(config)
    reading = devices.apply(*command)
    (_, commanded_s), (_, measured_s) = one.told
    assert measured_s - commanded_s >= 0.15
    assert reading.loop_s >= 0.15
    devices.close()


def test_a_total_is_shared_out_evenly_over_the_phases_that_the_der_feeds(west):
    devices, _, (p, q) = west(phases=(1,))
    reading = devices.apply(p, q)
    assert reading.lost == 0
    np.testing.assert_allclose(reading.p_kw.sum(axis=1), p.sum(axis=1))
    moved = np.flatnonzero(reading.p_kw[:, 0] != p[:, 0])
    for k in moved:
        assert np.ptp(reading.p_kw[k]) < 1e-9
    devices.close()
    devices, _, command = west(phases=(2,))
    assert devices.apply(*command).faults == (DeviceFault.NO_NUMBER,)
    devices.close()


def test_who_settles_is_a_device(toy):
    with pytest.raises(ConfigError, match="settle_s names east, which at does not"):
        load_study(toy, ["devices.at.west=127.0.0.1:5020", "devices.settle_s.east=1"])


# ------------------------------------------------------------------------ with the emulator


def enabled(emulator):
    """What another client reads."""
    client = ModbusTcpClient("127.0.0.1", port=emulator.port, timeout=2.0, retries=0)
    assert client.connect()
    try:
        at = 40000 + emulator.der.starts[CONTROLS]
        return [
            client.read_holding_registers(
                at + TABLES[CONTROLS].points[name].offset, count=1, device_id=1
            ).registers[0]
            for name in ("WSetEna", "VarSetEna")
        ]
    finally:
        client.close()


@pytest.fixture
def commands(monkeypatch):
    """Every command that a device of ours is sent."""
    from gridproof.federation.field.modbus_client import SunspecDevice

    sent, command = [], SunspecDevice.command

    def noted(self, p_kw, q_kvar):
        sent.append(p_kw)
        command(self, p_kw, q_kvar)

    monkeypatch.setattr(SunspecDevice, "command", noted)
    return sent


def test_a_rehearsal_moves_no_device_and_the_end_releases_it(study, emulator, commands, tmp_path):
    at = f"devices.at.west={study.config.devices.at['west']}"
    paced = load_study(study.path, [at, "realtime.step_s=0.05", "campaign.samples=5"])
    run_campaign(paced, tmp_path / "c", mode="local")
    assert len(commands) == 5  # six exchanges were made
    assert enabled(emulator) == [0, 0]


def test_an_error_in_mid_run_releases_the_device(study, emulator, commands, tmp_path):
    class Broken:
        def __init__(self, recourse):
            self._recourse = recourse

        def respond(self, realizations):
            if int(realizations.index[0]) == 16:
                assert enabled(emulator) == [1, 1]
                raise RuntimeError("a defect of its own")
            return self._recourse.respond(realizations)

    from dataclasses import replace

    job = make_planner_job(study)
    job = replace(job, make_recourse=lambda plan, make=job.make_recourse: Broken(make(plan)))
    with pytest.raises(RuntimeError, match="a defect"):
        run_session(job, make_feeder_job(study, tmp_path / "c"), SessionSettings(transport="local"))
    assert len(commands) == 16
    assert enabled(emulator) == [0, 0]


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
@pytest.mark.parametrize("mode", ["in one process", "--processes"])
def test_who_ends_the_run_releases_the_device(study, emulator, tmp_path, mode, number):
    """While it sleeps between two steps, a set-point in force."""
    words = [
        *program(), "run", str(study.path), "--device",
        f"west={study.config.devices.at['west']}", "--set", "realtime.step_s=3",
        "--samples", "50", "--quiet", "--out", str(tmp_path / "c"),
    ]  # fmt: skip
    words += [mode] if mode.startswith("--") else []
    environment = os.environ | {"PYTHONPATH": str(ROOT)}
    one = subprocess.Popen(
        words, cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True, process_group=0,
        executable=sys.executable,
    )  # fmt: skip
    try:
        until = time.monotonic() + 60.0
        while enabled(emulator) != [1, 1] and time.monotonic() < until:
            time.sleep(0.05)
        assert enabled(emulator) == [1, 1]
        time.sleep(0.3)
        one.send_signal(number)
        _, said = one.communicate(timeout=30)
    finally:
        one.kill()
    assert one.returncode == 130, said
    assert enabled(emulator) == [0, 0]
