"""A DER behind Modbus on this machine: commanded, measured, lost, found again, disbelieved."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.study_jobs import make_feeder_job, make_planner_job
from gridproof.federation.cli.main import app
from gridproof.federation.config.faults import DevicesConfig
from gridproof.federation.field.device_faults import DeviceFault
from gridproof.federation.field.devices import ModbusDevices
from gridproof.federation.field.emulator import EmulatedDer, Emulator, Rating
from gridproof.federation.field.modbus_client import (
    DeviceLostError,
    DeviceRefusedError,
    SunspecDevice,
)
from gridproof.federation.field.sunspec import CONTROLS, MEASUREMENT, TABLES
from gridproof.federation.members.jobs import PlannerJob
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.records.reading import read_campaign
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError, FederationError
from pymodbus.client import ModbusTcpClient
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
DEADLINE_S = 1.0


@pytest.fixture
def emulator():
    served = Emulator(EmulatedDer(Rating(p_kw=90.0, q_kvar=70.0)))
    yield served
    served.close()


@pytest.fixture
def device(emulator):
    found = SunspecDevice("127.0.0.1", emulator.port, deadline_s=DEADLINE_S)
    yield found
    found.close()


def poke(emulator, model, name, registers):
    """Set an emulator's registers behind its back."""
    at = emulator.der.starts[model] + TABLES[model].points[name].offset
    emulator.der.registers[at : at + len(registers)] = registers


def raw(emulator):
    client = ModbusTcpClient("127.0.0.1", port=emulator.port, timeout=DEADLINE_S, retries=0)
    assert client.connect()
    return client


# --------------------------------------------------------------------------------- device


def test_a_command_is_followed_and_measured_by_phase(device):
    device.command(60.0, -15.0)
    p, q = device.measure()
    np.testing.assert_allclose(p, [20.0, 20.0, 20.0], atol=0.005)
    np.testing.assert_allclose(q, [-5.0, -5.0, -5.0], atol=0.005)
    assert device.models == [1, MEASUREMENT, CONTROLS]


def test_a_device_of_some_phases_and_with_a_ramp():
    clock = [0.0]
    der = EmulatedDer(
        Rating(p_kw=30.0, q_kvar=10.0, phases="b", ramp_kw_per_s=5.0), clock=lambda: clock[0]
    )
    served = Emulator(der)
    device = SunspecDevice("127.0.0.1", served.port, deadline_s=DEADLINE_S)
    try:
        device.command(30.0, 0.0)
        clock[0] = 2.0
        np.testing.assert_allclose(device.measure()[0], [0.0, 10.0, 0.0], atol=0.005)
        clock[0] = 60.0
        np.testing.assert_allclose(device.measure()[0], [0.0, 30.0, 0.0], atol=0.005)
    finally:
        device.close()
        served.close()


def test_beyond_its_rating_the_device_refuses(device):
    with pytest.raises(DeviceRefusedError, match="writing WSetEna, WSetMod, WSet"):
        device.command(91.0, 0.0)
    with pytest.raises(DeviceRefusedError, match="VarSet"):
        device.command(10.0, 71.0)
    device.command(90.0, 70.0)


def test_only_set_points_can_be_written(emulator, device):
    """The emulator refuses the rest, and the client never asks for it."""
    client = raw(emulator)
    allowed = set()
    base = 40000
    for at in range(len(emulator.der.registers)):
        before = list(client.read_holding_registers(base + at, count=1, device_id=1).registers)
        if not client.write_registers(base + at, before, device_id=1).isError():
            allowed.add(at)
    client.close()
    start, points = emulator.der.starts[CONTROLS], TABLES[CONTROLS].points
    assert allowed <= {
        start + points[name].offset + k
        for name in ("WSetEna", "WSetMod", "WSet", "VarSetEna", "VarSetMod", "VarSetPri", "VarSet")
        for k in range(points[name].words)
    }
    device.connect()
    with pytest.raises(ValueError, match="AntiIslEna may not be written"):
        device._write({"AntiIslEna": 0})
    with pytest.raises(ValueError, match="may not be written"):
        device._write({"WSetEna": 1, "VarSet": 5})  # not neighbours


def test_a_gone_device_is_lost_within_the_deadline_and_found_again(emulator):
    device = SunspecDevice("127.0.0.1", emulator.port, deadline_s=DEADLINE_S)
    device.command(30.0, 0.0)
    emulator.close()
    started = time.monotonic()
    with pytest.raises(DeviceLostError):
        device.command(30.0, 0.0)
    with pytest.raises(DeviceLostError, match="no connection"):
        device.measure()
    assert time.monotonic() - started < 3 * DEADLINE_S
    again = Emulator(EmulatedDer(Rating(p_kw=90.0, q_kvar=70.0)), port=emulator.port)
    try:
        device.command(30.0, 0.0)
        np.testing.assert_allclose(device.measure()[0].sum(), 30.0, atol=0.02)
    finally:
        device.close()
        again.close()


def test_a_device_that_says_nothing_is_lost_at_the_deadline():
    with socket.create_server(("127.0.0.1", 0)) as listener:
        device = SunspecDevice("127.0.0.1", listener.getsockname()[1], deadline_s=0.2)
        started = time.monotonic()
        with pytest.raises(DeviceLostError, match="reading 2 registers at 40000"):
            device.measure()
        assert 0.15 < time.monotonic() - started < 1.5
        device.close()


@pytest.mark.parametrize(
    ("model", "name", "registers", "message"),
    [
        (CONTROLS, "WSet_SF", [0x8000], "WSet_SF is None"),
        (MEASUREMENT, "W_SF", [11], "W_SF is 11"),
    ],
)
def test_a_scale_factor_that_is_none_is_refused(emulator, model, name, registers, message):
    poke(emulator, model, name, registers)
    emulator.close()
    served = Emulator(emulator.der)
    device = SunspecDevice("127.0.0.1", served.port, deadline_s=DEADLINE_S)
    try:
        with pytest.raises(DeviceRefusedError, match=message):
            device.measure()
    finally:
        device.close()
        served.close()


def broken(registers):
    """Serve registers that are no SunSpec device."""
    der = EmulatedDer(Rating(p_kw=1.0, q_kvar=1.0))
    der.registers = registers(der)
    der.refresh = lambda _: None
    return Emulator(der)


@pytest.mark.parametrize(
    ("registers", "message"),
    [
        (lambda der: [0, *der.registers[1:]], "no SunSpec signature"),
        (lambda der: [*der.registers[:2], 1, 66, *[0] * 66, 0xFFFF, 0], "no SunSpec model 701"),
        (lambda der: [*der.registers[:2], *[7, 0] * 200], "has no end"),
        (lambda der: der.registers[:150], "reading"),
    ],
)
def test_what_is_no_sunspec_device_is_refused(registers, message):
    served = broken(registers)
    device = SunspecDevice("127.0.0.1", served.port, deadline_s=DEADLINE_S)
    try:
        with pytest.raises(DeviceRefusedError, match=message):
            device.measure()
    finally:
        device.close()
        served.close()


# ------------------------------------------------------------------- in front of the feeder


@pytest.fixture
def study(toy, emulator):
    """The toy with its smaller DER, which follows, as a device."""
    address = f"devices.at.west=127.0.0.1:{emulator.port}"
    return load_study(toy, [address, "campaign.samples=30"])


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


class Lying(SunspecDevice):
    """A device that measures what nobody can believe."""

    def measure(self):
        p, q = super().measure()
        return p + 1000.0, q


def test_values_out_of_range_are_refused_both_ways(study, emulator):
    plan = make_planner_job(study).make_plan()
    devices = ModbusDevices(study.config.devices, study.scenario)
    devices.start(plan)
    k = plan.der_ids.index("west")
    p, q = plan.p_kw[0].copy(), plan.q_kvar[0].copy()
    good = devices.apply(p, q)
    assert good.lost == 0
    assert devices.said == ("",)
    p[k] = 1000.0
    mad = devices.apply(p, q)
    assert mad.lost == 1
    assert "the command is" in devices.said[0]
    np.testing.assert_array_equal(mad.p_kw[k], good.p_kw[k])
    p[k] = np.nan
    assert devices.apply(p, q).lost == 1
    (kept,) = devices._kept
    kept.device.__class__ = Lying
    lie = devices.apply(plan.p_kw[0], q)
    assert lie.lost == 1
    assert "the measurement is" in devices.said[0]
    np.testing.assert_array_equal(lie.p_kw[k], good.p_kw[k])
    devices.close()


def serve(emulator, model, name, words):
    """Let a served device hold something else from its next answer on."""
    refresh, at = emulator.der.refresh, emulator.der.starts[model]
    at += TABLES[model].points[name].offset

    def changed(registers):
        refresh(registers)
        registers[at : at + len(words)] = words

    emulator.der.refresh = changed


def at_port(study, emulator, **more):
    """The devices of a study, started, and a command within their capability."""
    config = DevicesConfig(at={"west": f"127.0.0.1:{emulator.port}"}, **more)
    devices = ModbusDevices(config, study.scenario)
    plan = make_planner_job(study).make_plan()
    devices.start(plan)
    return devices, (plan.p_kw[0], plan.q_kvar[0])


def test_a_scale_factor_that_changes_is_named_and_then_taken_up(study, emulator):
    """Of a model that is written, and of one that is read: either would be off by tens."""
    devices, command = at_port(study, emulator)
    assert devices.apply(*command).faults == (DeviceFault.NONE,)
    for model, name, factor in ((CONTROLS, "WSet_SF", 1), (MEASUREMENT, "W_SF", 2)):
        serve(emulator, model, name, [factor])
        seen = devices.apply(*command)
        assert seen.faults == (DeviceFault.SCALE_CHANGED,), devices.said
        assert f"scale factor {name} was" in devices.said[0]
        assert devices.apply(*command).faults != (DeviceFault.SCALE_CHANGED,)
    devices.close()


def test_a_wrong_unit_identifier_is_named(study, emulator):
    devices, command = at_port(study, emulator, unit=9)
    assert devices.apply(*command).faults == (DeviceFault.NO_SUCH_UNIT,)
    assert "under unit 9" in devices.said[0]
    devices.close()


def test_a_write_that_is_refused_and_what_is_beyond_are_named(study, emulator):
    small = Emulator(EmulatedDer(Rating(p_kw=0.1, q_kvar=0.1)))
    devices, (p_kw, q_kvar) = at_port(study, small)
    try:
        assert devices.apply(p_kw, q_kvar).faults == (DeviceFault.REFUSED,)
        assert "writing WSetEna" in devices.said[0]
        assert devices.apply(p_kw + 1e6, q_kvar).faults == (DeviceFault.COMMAND_OUT_OF_RANGE,)
    finally:
        devices.close()
        small.close()
    devices, command = at_port(study, emulator)
    (kept,) = devices._kept
    kept.device.__class__ = Lying
    assert devices.apply(*command).faults == (DeviceFault.READING_OUT_OF_RANGE,)
    devices.close()


def test_a_grid_forming_der_is_no_device(toy):
    study = load_study(toy, ["devices.at.east=127.0.0.1:5020"])
    plan = make_planner_job(study).make_plan()
    forming = plan.der_ids[int(np.flatnonzero(plan.grid_forming[0])[0])]
    config = DevicesConfig(at={forming: "127.0.0.1:5020"})
    with pytest.raises(ConfigError, match="forms an island in this plan"):
        ModbusDevices(config, study.scenario).start(plan)


@pytest.mark.parametrize(
    ("value", "part"),
    [("nobody=127.0.0.1:5020", "no DER of this id"), ("west=127.0.0.1", "at.west")],
)
def test_a_wrong_device_is_one_sentence(toy, value, part):
    said = CliRunner().invoke(app, ["run", str(toy), "--device", value, "--quiet"])
    assert said.exit_code == 2
    assert part in said.output


# --------------------------------------------------------------------------- command line


def test_the_shipped_emulator_in_a_process_of_its_own():
    """What the manual shows: start it, look at it, end it."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    command = [sys.executable, "-m", "gridproof", "device", "emulate", "--port", str(port)]
    process = subprocess.Popen(
        [*command, "--p-kw", "45"], cwd=ROOT, stderr=subprocess.PIPE, text=True
    )
    try:
        assert f"127.0.0.1:{port}" in process.stderr.readline()
        said = CliRunner().invoke(app, ["device", "probe", f"127.0.0.1:{port}"])
        assert said.exit_code == 0, said.output
        assert "SunSpec models 1, 701, 704" in said.output
        process.send_signal(signal.SIGTERM)  # Ctrl-C is ignored below a background shell
        assert process.wait(20) == 130
    finally:
        process.kill()
        process.wait(10)
        process.stderr.close()


def test_probing_nothing_says_so():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
    said = CliRunner().invoke(app, ["device", "probe", f"127.0.0.1:{port}"])
    assert said.exit_code == 4
    assert "no connection" in said.output
    assert CliRunner().invoke(app, ["device", "probe", "nowhere"]).exit_code == 2


def test_a_taken_port_is_said(emulator):
    with pytest.raises(FederationError, match="give another --port"):
        Emulator(EmulatedDer(Rating(p_kw=1.0, q_kvar=1.0)), port=emulator.port)


def test_without_the_client_it_says_what_to_install(toy):
    code = (
        "import sys; sys.modules['pymodbus.client'] = None\n"
        "from federation.cli.main import main\n"
        f"sys.argv = ['gridproof', 'run', {str(toy)!r}, '--device', 'west=127.0.0.1:5020', '-q']\n"
        "main()"
    )
    said = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=False
    )
    assert said.returncode == 2
    assert "pip install 'gridproof[device]'" in said.stderr
