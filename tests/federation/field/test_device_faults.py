"""What a device may say that is no truth, each fault by its name."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.campaigns.study_jobs import make_planner_job
from gridproof.federation.config.faults import DevicesConfig
from gridproof.federation.field.device_faults import DeviceFault
from gridproof.federation.field.devices import FieldDevices
from gridproof.federation.field.emulator import EmulatedDer, Emulator, Rating
from gridproof.federation.field.modbus_client import SunspecDevice
from gridproof.federation.field.protocols import make_of
from gridproof.federation.field.sunspec import CONTROLS, MEASUREMENT, TABLES
from gridproof.scenarios.curves import Curves


class Lying(SunspecDevice):
    """A device that measures what nobody can believe."""

    def measure(self):
        p, q = super().measure()
        return p + 1000.0, q


def test_values_out_of_range_are_refused_both_ways(study, emulator):
    plan = make_planner_job(study).make_plan()
    devices = FieldDevices(study.config.devices, study.scenario, make_of("sunspec"))
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
    devices = FieldDevices(config, study.scenario, make_of("sunspec"))
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


@pytest.mark.parametrize("what", ["capability curve", "power factor"])
def test_a_command_beside_which_so_much_reactive_power_may_not_stand_is_not_sent(
    study, emulator, what
):
    ders, west = study.scenario.ders, study.scenario.ders.ids.index("west")
    if what == "power factor":
        held = replace(ders, q_per_p=np.where(np.arange(len(ders.ids)) == west, 0.25, np.inf))
    else:
        held = replace(
            ders,
            curves=Curves(der=np.full(2, west), p_kw=np.array([0.0, 90.0]),
                          q_min_kvar=np.full(2, -30.0), q_max_kvar=np.array([0.0, 22.5])),
        )  # fmt: skip
    config = DevicesConfig(at={"west": f"127.0.0.1:{emulator.port}"})
    scenario = replace(study.scenario, ders=held)
    devices = FieldDevices(config, scenario, make_of("sunspec"))
    plan = make_planner_job(study).make_plan()
    devices.start(plan)
    p, q = plan.p_kw[0].copy(), plan.q_kvar[0].copy()
    p[west], q[west] = 20.0, 4.9  # 60 kW leave 15 kvar
    assert devices.apply(p, q).faults == (DeviceFault.NONE,)
    q[west] = 5.0 + config.tolerance * ders.p_max_kw[west].max()
    assert devices.apply(p, q).faults == (DeviceFault.COMMAND_OUT_OF_RANGE,)
    assert f"kvar beside 60 kW; its {what} leaves" in devices.said[0]
    devices.close()
