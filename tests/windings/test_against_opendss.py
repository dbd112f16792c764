"""Every way to wind a transformer: the linear flow against OpenDSS's solution.

Loads are small against the impedances, so that what the linear model leaves out (losses, the
angles that unbalance turns) is below the bounds, and what a winding does is far above them:
with a wrong closure powers are off by a tenth and more.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import opendssdirect
import pytest
from gridproof.scenarios.feeder import Connection
from gridproof.simulator.opendss.engine_thread import on_engine_thread
from winding_cases import OTHERS, PAIRS


@dataclass(frozen=True)
class Solved:
    """OpenDSS's solution: what the source supplies (kVA), pu voltages, units' kVA."""

    source: np.ndarray
    v: dict[str, np.ndarray]
    unit_kva: dict[str, float]


@on_engine_thread
def solve_ac(path: Path) -> Solved:
    dss = opendssdirect.NewContext()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command(f'Compile "{path}"')
    dss.Text.Command("Set Tolerance=1e-9")
    dss.Text.Command("Set MaxIterations=500")
    dss.Solution.Solve()
    assert dss.Solution.Converged()

    def powers() -> np.ndarray:
        flat = np.array(dss.CktElement.Powers())
        return flat[::2] + 1j * flat[1::2]

    dss.Circuit.SetActiveElement("vsource.source")
    source, v, units = -powers()[:3], {}, {}
    for bus in dss.Circuit.AllBusNames():
        dss.Circuit.SetActiveBus(bus)
        pu = np.array(dss.Bus.PuVoltage())
        v[bus] = np.full(3, np.nan, complex)
        v[bus][np.array(dss.Bus.Nodes()) - 1] = pu[::2] + 1j * pu[1::2]
    for name in dss.Transformers.AllNames():
        dss.Circuit.SetActiveElement(f"transformer.{name}")
        units[name] = abs(powers()[: dss.CktElement.NumConductors()].sum())
    return Solved(source=source, v=v, unit_kva=units)


@pytest.mark.parametrize("name", [*PAIRS, *OTHERS])
def test_powers_and_voltages_are_those_of_opendss(winding_feeder, name, solve_feeder):
    feeder = winding_feeder(name)
    truth, found = solve_ac(Path(feeder.path)), solve_feeder(feeder)
    assert found.converged
    total = truth.source.real.sum()
    # two units in a row have twice the losses and turn the angles twice
    bound = 2e-3 if "then" in name else 1e-3
    np.testing.assert_allclose(found.held_kw, truth.source.real, rtol=0, atol=bound * total)
    np.testing.assert_allclose(found.held_kvar, truth.source.imag, rtol=0, atol=3e-3 * total)
    for k, bus in enumerate(feeder.buses.ids):
        v = truth.v[bus]
        across = np.abs(v - np.roll(v, -1)) / np.sqrt(3.0)
        np.testing.assert_allclose(found.v_ll_pu[k], across, rtol=0, atol=2.5e-3)
        if bus in ("s", "n"):  # earthed: the magnitudes to ground carry information
            np.testing.assert_allclose(found.v_pu[k], np.abs(v), rtol=0, atol=1e-4)
    kva = [truth.unit_kva[unit] for unit in feeder.transformers.ids]
    np.testing.assert_allclose(found.transformer_kva, kva, rtol=0, atol=5e-3 * total)


@pytest.mark.parametrize("name", [name for name in PAIRS if name.endswith("loaded")])
def test_an_earthed_far_side_has_the_magnitudes_of_opendss(winding_feeder, name, solve_feeder):
    feeder = winding_feeder(name)
    if feeder.transformers.to_connection[0] is Connection.DELTA:
        v = solve_ac(Path(feeder.path)).v
        truth = {bus: np.abs(v[bus] - v[bus].mean()) for bus in ("f", "m")}  # from the centre
    else:
        truth = {bus: np.abs(v) for bus, v in solve_ac(Path(feeder.path)).v.items()}
    found = solve_feeder(feeder)
    for bus in ("f", "m"):
        at = feeder.buses.ids.index(bus)
        np.testing.assert_allclose(found.v_pu[at], truth[bus], rtol=0, atol=1e-3)


def test_the_cases_would_show_a_bank_that_takes_no_zero_sequence(winding_feeder):
    """The grounding bank takes so much that leaving it out fails the bound many times over."""
    source = solve_ac(Path(winding_feeder("a grounding bank on the way").path)).source
    without = np.array([15.0, 5.0, 30.0])
    assert np.abs(source.real - without).max() > 20 * 1e-3 * without.sum()


def test_a_current_that_finds_no_way_back_is_no_solution(winding_feeder, tmp_path, solve_feeder):
    from gridproof.simulator.reader.feeder import read_feeder

    text = Path(winding_feeder("yd-unit-lag-loaded").path).read_text()
    path = tmp_path / "stray.dss"
    path.write_text(text.replace("New Load.ab bus1=m.1.2 phases=1 conn=delta kv=0.24",
                                 "New Load.ab bus1=m.1 phases=1 conn=wye kv=0.1386"))  # fmt: skip
    assert not solve_feeder(read_feeder(path)).converged
    assert solve_feeder(winding_feeder("yd-unit-lag-loaded")).converged
