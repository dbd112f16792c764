"""Our account of stored energy against OpenDSS's own Storage element in its daily mode."""

from __future__ import annotations

import numpy as np
import opendssdirect
import pytest
from gridproof.scenarios.carried import carry, start
from gridproof.scenarios.resources import Fleet, Storages
from gridproof.scenarios.snapshot import Snapshots

pytestmark = pytest.mark.engine_thread

RATED_KWH, RESERVE, START, CHARGE, DISCHARGE = 500.0, 20.0, 60.0, 92.0, 88.0
SCHEDULE_KW = np.array(
    [-50, -40, -35, -20, -10, 0, 20, 60, 90, 40, 0, -30,
     -70, -80, -60, -20, 0, 45, 80, 75, 50, 20, 0, 0],
    float,
)  # fmt: skip


def opendss_energy() -> tuple[np.ndarray, np.ndarray]:
    """kWh stored after each hour, and kW delivered in it, as OpenDSS has them."""
    dss = opendssdirect.NewContext()
    dss.Text.Command("Clear")
    dss.Text.Command("New Circuit.one basekv=4.16 pu=1.0 phases=3 bus1=src MVAsc3=2000 MVAsc1=2100")
    dss.Text.Command(
        f"New Storage.s bus1=src phases=3 kv=4.16 kWrated=100 kWhrated={RATED_KWH} pf=1 "
        f"%stored={START} %reserve={RESERVE} %EffCharge={CHARGE} %EffDischarge={DISCHARGE} "
        "%IdlingkW=0 %Idlingkvar=0 dispmode=external balanced=yes vminpu=0.5 vmaxpu=1.5"
    )
    dss.Text.Command("Set VoltageBases=[4.16]")
    dss.Text.Command("CalcVoltageBases")
    dss.Text.Command("Set mode=daily stepsize=1h number=1")
    stored, given = [], []
    for kw in SCHEDULE_KW:
        state = "idling" if kw == 0 else "discharging" if kw > 0 else "charging"
        dss.Text.Command(f"Storage.s.State={state}")
        if kw:
            key = "%Discharge" if kw > 0 else "%Charge"
            dss.Text.Command(f"Edit Storage.s {key}={abs(kw)}")  # of the 100 kW rated
        dss.Solution.Solve()
        dss.Circuit.SetActiveElement("Storage.s")
        given.append(-sum(dss.CktElement.Powers()[::2]))
        dss.Text.Command("? Storage.s.kWhstored")
        stored.append(float(dss.Text.Result()))
    return np.array(stored), np.array(given)


def test_the_account_is_that_of_opendss_over_a_day(tiny_scenario) -> None:
    from dataclasses import replace

    stored, given = opendss_energy()
    assert given == pytest.approx(SCHEDULE_KW, abs=0.05)  # it did as it was told
    whole = tiny_scenario(size=1, switches=(), ders=(0,), steps=24)
    scenario = replace(
        whole,
        fleet=Fleet(
            storages=Storages(
                ids=("s",), der=[0], energy_max_kwh=[RATED_KWH],
                energy_min_kwh=[RATED_KWH * RESERVE / 100], start_kwh=[RATED_KWH * START / 100],
                charge_efficiency=[CHARGE / 100], discharge_efficiency=[DISCHARGE / 100],
                end_min_kwh=[RATED_KWH * RESERVE / 100],
            )
        ),
    )  # fmt: skip
    carried = start(scenario, 1)
    for time, kw in enumerate(given):
        carried = carry(scenario, time, carried, _output(scenario, kw))
        assert carried.energy_kwh[0, 0] == pytest.approx(stored[time], abs=1e-3)
    assert np.ptp(stored) > 200.0  # a day that moved something


def _output(scenario, kw: float) -> Snapshots:
    feeder, n = scenario.feeder, 1
    return Snapshots(
        index=np.zeros(1, int), converged=np.ones(1, bool), iterations=np.ones(1, int),
        v_pu=np.ones((n, len(feeder.buses.ids), 3)), v_ll_pu=np.ones((n, len(feeder.buses.ids), 3)),
        current_a=np.zeros((n, len(feeder.lines.ids), 3)), transformer_kva=np.zeros((n, 0)),
        der_p_kw=np.full((1, 1, 3), kw / 3.0), der_q_kvar=np.zeros((1, 1, 3)),
        delivered_kw=np.ones(n), requested_kw=np.ones(n), losses_kw=np.zeros(n),
    )  # fmt: skip
