"""A DER behind Modbus on this machine: commanded, measured, lost, found again, disbelieved."""

import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.campaigns.study_jobs import make_planner_job
from gridproof.federation.cli.main import app
from gridproof.federation.config.faults import DevicesConfig
from gridproof.federation.field.device import DeviceLostError, DeviceRefusedError
from gridproof.federation.field.devices import FieldDevices
from gridproof.federation.field.emulator import EmulatedDer, Emulator, Rating
from gridproof.federation.field.modbus_client import SunspecDevice
from gridproof.federation.field.protocols import make_of
from gridproof.federation.field.sunspec import CONTROLS, MEASUREMENT, TABLES
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError, FederationError
from pymodbus.client import ModbusTcpClient
from typer.testing import CliRunner

ROOT = Path(__file__).parents[3]
DEADLINE_S = 1.0


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


def test_a_grid_forming_der_is_no_device(toy):
    study = load_study(toy, ["devices.at.east=127.0.0.1:5020"])
    plan = make_planner_job(study).make_plan()
    forming = plan.der_ids[int(np.flatnonzero(plan.grid_forming[0])[0])]
    config = DevicesConfig(at={forming: "127.0.0.1:5020"})
    with pytest.raises(ConfigError, match="forms an island in this plan"):
        FieldDevices(config, study.scenario, make_of("sunspec")).start(plan)


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
