"""A generated network in OpenDSS: the script compiles, solves, and is the network of the tables."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import opendssdirect as dss
import pytest
from gridproof.federation.families.restoration_files import (
    read_devices,
    read_network,
    write_network,
)
from gridproof.federation.papers.networks.mv_network import (
    MvNetwork,
    draw_failures,
    generate_network,
)
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_scenario import restoration_scenario
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.reader.feeder import read_feeder

SHIPPED = Path(__file__).parents[3] / "configs" / "feeders" / "mv315"


def linear_voltage(scenario: Scenario) -> dict[str, float]:
    """Voltage by name, of the lossless linear model, walked out from the substations."""
    case = Outage.of(scenario)
    p, q = (demand / 1e3 for demand in case.bus_demand())
    r, x = (z / 20.0**2 for z in case.impedance_ohm())
    ends = case.ends[case.feeder.lines.closed]  # each line after its parent's
    below_p, below_q = p.copy(), q.copy()
    for parent, child in ends[::-1].tolist():
        below_p[parent] += below_p[child]
        below_q[parent] += below_q[child]
    w = np.full(len(p), float(case.feeder.sources.v_pu[0]) ** 2)
    for k, (i, j) in enumerate(ends.tolist()):
        w[j] = w[i] - 2.0 * (r[k] * below_p[j] + x[k] * below_q[j])
    return dict(zip(case.feeder.buses.ids, np.sqrt(w).tolist(), strict=True))


@pytest.mark.engine_thread
@pytest.mark.parametrize(("seed", "buses"), [(1, 315), (4, 120), (2, 1000)])
def test_normal_operation_is_in_band_and_within_ratings(
    seed: int, buses: int, tmp_path: Path
) -> None:
    case = generate_network(MvNetwork(seed=seed, buses=buses))
    write_network(case, tmp_path)
    dss.Text.Command(f"Redirect {tmp_path / f'mv{buses}.dss'}")
    try:
        assert dss.Solution.Converged()
        expected = linear_voltage(case)
        seen = set()
        for name in dss.Circuit.AllBusNames():
            dss.Circuit.SetActiveBus(name)
            v = dss.Bus.puVmagAngle()[::2]
            assert len(v) == 3
            assert 0.95 < min(v) <= max(v) < 1.05
            assert v[0] == pytest.approx(expected[name], abs=2e-3)  # losses
            seen.add(name)
        assert seen == set(case.feeder.buses.ids)
        closed = 0
        for _ in dss.Lines:
            amps = max(dss.CktElement.CurrentsMagAng()[::2])
            assert amps <= dss.Lines.NormAmps()
            closed += amps > 0.1
        assert closed == case.feeder.lines.closed.sum()
        total = -dss.Circuit.TotalPower()[0] - dss.Circuit.Losses()[0] / 1e3
        assert total == pytest.approx(case.load_p_kw[0].sum(), rel=1e-4)
    finally:
        dss.Text.Command("ClearAll")


def test_the_compiled_feeder_is_the_one_of_the_tables() -> None:
    case, feeder = read_network(SHIPPED), read_feeder(SHIPPED / "mv315.dss")
    for name in case.feeder.lines.ids:
        k, j = case.feeder.lines.ids.index(name), feeder.lines.ids.index(name)
        assert feeder.lines.closed[j] == case.feeder.lines.closed[k]
        assert feeder.lines.rating_a[j] == case.feeder.lines.rating_a[k]
        np.testing.assert_allclose(feeder.lines.r_ohm[j], case.feeder.lines.r_ohm[k], atol=1e-9)
        np.testing.assert_allclose(feeder.lines.x_ohm[j], case.feeder.lines.x_ohm[k], atol=1e-9)
        assert (
            feeder.buses.ids[feeder.lines.from_bus[j]]
            == f"{case.feeder.buses.ids[case.feeder.lines.from_bus[k]]}"
        )
    assert sorted(feeder.buses.ids) == sorted(case.feeder.buses.ids)
    assert feeder.loads.p_kw.sum() == pytest.approx(58_935.0)
    devices = read_devices(SHIPPED / "lines.csv", feeder)
    names = draw_failures(case, 2, 15)
    compiled = restoration_scenario("mv315", feeder, devices, names)
    assert Outage.of(compiled).bus_demand()[0].sum() == pytest.approx(58_935.0)
