"""Clients and devices that nobody here wrote: pysunspec2's client, a device on pyModbusTCP."""

import math
import struct
from contextlib import contextmanager
from socket import socket
from typing import ClassVar

import numpy as np
import pytest
from gridproof.federation.field.device import DeviceRefusedError
from gridproof.federation.field.emulator import EmulatedDer, Emulator, Rating
from gridproof.federation.field.modbus_client import SunspecDevice
from gridproof.federation.field.sunspec import CONTROLS, MEASUREMENT, TABLES
from pyModbusTCP.server import DataBank, ModbusServer
from sunspec2 import mdef
from sunspec2.modbus.client import SunSpecModbusClientDeviceTCP
from sunspec2.modbus.modbus import ModbusClientException

P_KW, Q_KVAR = 90.0, 70.0
WATTS, VAR_MAX_PCT, VARS = 1, 1, 4  # as the Alliance's models have them


@pytest.fixture
def emulator():
    served = Emulator(EmulatedDer(Rating(p_kw=P_KW, q_kvar=Q_KVAR)))
    yield served
    served.close()


@pytest.fixture
def client(emulator):
    """pysunspec2's own, having found the emulator's models."""
    found = SunSpecModbusClientDeviceTCP(1, "127.0.0.1", emulator.port, timeout=2.0)
    found.scan()
    yield found
    found.close()


def test_pysunspec2_commands_and_reads_the_emulator(client):
    controls, measured = client.DERCtlAC[0], client.DERMeasureAC[0]
    for kind, mode, value in (("W", WATTS, 60000.0), ("Var", VARS, -15000.0)):
        getattr(controls, f"{kind}SetEna").value = 1
        getattr(controls, f"{kind}SetMod").value = mode
        getattr(controls, f"{kind}Set").cvalue = value
    controls.write()
    measured.read()
    assert [measured.points[f"WL{k}"].cvalue for k in (1, 2, 3)] == [20000.0] * 3
    assert [measured.points[f"VarL{k}"].cvalue for k in (1, 2, 3)] == [-5000.0] * 3
    assert measured.W.cvalue == 60000.0
    assert measured.PF.cvalue == pytest.approx(60.0 / math.hypot(60.0, 15.0), abs=1e-3)


@pytest.mark.parametrize(
    ("point", "mode"), [("VarSetMod", VAR_MAX_PCT), ("VarSetMod", 9), ("WSetMod", 0)]
)
def test_the_emulator_refuses_modes_that_it_has_not(client, point, mode):
    controls = client.DERCtlAC[0]
    controls.points[point.replace("Mod", "Ena")].value = 1
    controls.points[point].value = mode
    with pytest.raises(ModbusClientException, match="Modbus exception: 3"):
        controls.write()


class ConformingDevice(DataBank):
    """A DER on another Modbus stack, its registers laid out by the published files alone.

    It takes any mode that model 704 knows and does what it says: a percentage where it is one.
    """

    BASE = 40000
    MODELS = (1, 701, 704)
    FACTORS: ClassVar = {
        (701, "W_SF"): 1, (701, "Var_SF"): 1, (704, "VarSet_SF"): 1, (704, "WSet_SF"): 1,
    }  # fmt: skip

    def __init__(self):
        super().__init__()
        self.places: dict[tuple[int, str], tuple[int, int, str]] = {}
        words, at = [0x5375, 0x6E53], self.BASE + 2
        for model in self.MODELS:
            group = mdef.from_json_str(
                (mdef_folder() / f"model_{model}.json").read_text(encoding="utf-8")
            )["group"]
            start = at
            for prefix, point in listed(group):
                self.places[model, prefix + point["name"]] = (at, point["size"], point["type"])
                words += [0] * point["size"]
                at += point["size"]
            words[start - self.BASE] = model
            words[start - self.BASE + 1] = at - start - 2
        super().set_holding_registers(self.BASE, [*words, 0xFFFF, 0])
        for (model, name), factor in self.FACTORS.items():
            self.put(model, name, factor)

    def put(self, model, name, value):
        at, size, _ = self.places[model, name]
        raw = (value & ((1 << 16 * size) - 1)).to_bytes(2 * size, "big")
        super().set_holding_registers(at, list(struct.unpack(f">{size}H", raw)))

    def value(self, name, model=704):
        at, size, kind = self.places[model, name]
        raw = struct.pack(f">{size}H", *self.get_holding_registers(at, size))
        return int.from_bytes(raw, "big", signed=kind in ("int16", "int32", "sunssf"))

    def on_holding_registers_change(self, *_change, **_named):
        p = q = 0.0
        if self.value("WSetEna") == 1 and self.value("WSetMod") == WATTS:
            p = self.value("WSet") * 10 ** self.value("WSet_SF")
        if self.value("VarSetEna") == 1:
            if self.value("VarSetMod") == VARS:
                q = self.value("VarSet") * 10 ** self.value("VarSet_SF")
            else:
                q = 1000.0 * Q_KVAR * self.value("VarSetPct") / 100.0
        for phase in ("L1", "L2", "L3"):
            self.put(701, f"W{phase}", round(p / 30))
            self.put(701, f"Var{phase}", round(q / 30))


class OlderInverter(ConformingDevice):
    """What most inverters in the field are: totals, and shares of a rating as set-points.

    Its panels give 50 kW at most, whatever it is allowed.
    """

    MODELS = (1, 103, 121, 123)
    FACTORS: ClassVar = {
        (103, "W_SF"): 1, (103, "VAr_SF"): 1, (121, "WMax_SF"): 2, (121, "WMax"): 900,
        (123, "WMaxLimPct_SF"): -2, (123, "VArPct_SF"): -2,
    }  # fmt: skip
    SUN_W = 50_000.0

    def on_holding_registers_change(self, *_change, **_named):
        p, q, rated = self.SUN_W, 0.0, 900 * 10**2
        if self.value("WMaxLim_Ena", 123) == 1:
            p = min(p, rated * self.value("WMaxLimPct", 123) / 100.0 / 100.0)
        if self.value("VArPct_Ena", 123) == 1 and self.value("VArPct_Mod", 123) == 1:
            q = rated * self.value("VArWMaxPct", 123) / 100.0 / 100.0
        self.put(103, "W", round(p / 10))
        self.put(103, "VAr", round(q / 10))


class TotalsOnly(ConformingDevice):
    """Of model 701 it has no phases."""

    def on_holding_registers_change(self, *change, **named):
        super().on_holding_registers_change(*change, **named)
        phases = [("W", f"L{k}") for k in (1, 2, 3)] + [("Var", f"L{k}") for k in (1, 2, 3)]
        for kind in ("W", "Var"):
            at, size, _ = self.places[701, f"{kind}L1"]
            raw = struct.pack(f">{size}H", *self.get_holding_registers(at, size))
            self.put(701, kind, 3 * int.from_bytes(raw, "big", signed=True))
        for kind, slot in phases:
            self.put(701, kind + slot, -0x8000)


def mdef_folder():
    from pathlib import Path

    return Path(mdef.__file__).parent / "models" / "json"


def listed(group, prefix=""):
    for point in group["points"]:
        yield prefix, point
    for inner in group.get("groups", ()):
        yield from listed(inner, f"{prefix}{inner['name']}.")


@contextmanager
def served(bank):
    """A device that serves, and our client at it."""
    with socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = ModbusServer("127.0.0.1", port, no_block=True, data_bank=bank)
    server.start()
    device = SunspecDevice("127.0.0.1", port, deadline_s=2.0)
    yield bank, device
    device.close()
    server.stop()


@pytest.fixture
def conforming():
    with served(ConformingDevice()) as both:
        yield both


def test_a_device_of_totals_says_one_number_for_all_phases():
    with served(TotalsOnly()) as (_, device):
        device.command(45.0, -30.0)
        p, q = device.measure()
        np.testing.assert_allclose(p, [45.0], atol=0.05)
        np.testing.assert_allclose(q, [-30.0], atol=0.05)


def test_an_older_inverter_takes_shares_of_its_rating_and_is_let_go():
    with served(OlderInverter()) as (bank, device):
        device.command(36.0, -18.0)
        assert device.models == [1, 103, 121, 123]
        assert bank.value("WMaxLimPct", 123) == 4000  # 40 % of 90 kW
        p, q = device.measure()
        np.testing.assert_allclose(p, [36.0], atol=0.01)
        np.testing.assert_allclose(q, [-18.0], atol=0.01)
        device.command(80.0, 0.0)  # a limit is no set-point: its panels give less
        np.testing.assert_allclose(device.measure()[0], [50.0], atol=0.01)
        with pytest.raises(DeviceRefusedError, match="model 123 limits what is fed in"):
            device.command(-5.0, 0.0)
        device.release()
        assert bank.value("WMaxLim_Ena", 123) == bank.value("VArPct_Ena", 123) == 0
        for name in ("WMaxLimPct_RvrtTms", "Conn", "OutPFSet"):
            with pytest.raises(ValueError, match=f"{name} may not be written"):
                device._write({name: 1})


def test_a_rating_that_is_none_is_refused_by_name():
    with served(OlderInverter()) as (bank, device):
        bank.put(121, "WMax", 0xFFFF)
        with pytest.raises(DeviceRefusedError, match="WMax of model 121 is None"):
            device.measure()


def test_a_device_is_released_of_the_set_points_that_were_in_force(conforming):
    bank, device = conforming
    device.command(45.0, 57.0)
    device.release()
    assert bank.value("WSetEna") == bank.value("VarSetEna") == 0


def test_a_conforming_device_delivers_the_vars_it_is_asked_for(conforming):
    """It delivered none of 57 kvar: 3 is a percentage of VA, and none was given."""
    _, device = conforming
    device.command(45.0, 57.0)
    p, q = device.measure()
    np.testing.assert_allclose(p, [15.0] * 3, atol=0.02)
    np.testing.assert_allclose(q, [19.0] * 3, atol=0.02)
    assert device.models == [1, MEASUREMENT, CONTROLS]


def test_a_reading_that_is_no_number_is_refused_by_name(conforming):
    bank, device = conforming
    device.command(45.0, 57.0)
    bank.put(701, "VarL2", -0x8000)
    with pytest.raises(DeviceRefusedError, match="VarL2 is not implemented"):
        device.measure()


def test_our_tables_are_the_published_ones_point_by_point():
    for model, table in TABLES.items():
        group = mdef.from_json_file(str(mdef_folder() / f"model_{model}.json"))["group"]
        at = -2
        for prefix, point in listed(group):
            if at >= 0:
                ours = table.points[prefix.replace(".", "_") + point["name"]]
                assert (ours.offset, ours.words) == (at, point["size"])
            at += point["size"]
        assert at == table.length
