"""OpenDSS asked directly, and where the reference feeders are."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import opendssdirect
import pytest
from gridproof.scenarios.feeder import Feeder
from gridproof.simulator.opendss.engine_thread import on_engine_thread

REFERENCE = Path(__file__).parents[2] / ".." / "shared" / "data" / "reference"
FILES = {
    "ieee13": "ieee13/IEEE13Nodeckt.dss",
    "ieee33": "ieee33/ieee33.dss",
    "ieee37": "ieee37/ieee37.dss",
    "ieee123": "ieee123/IEEE123Master.dss",
    "ieee8500": "ieee8500/Master.dss",
}


@pytest.fixture(scope="session")
def reference() -> Callable[[str], Path]:
    """Path of a reference feeder; skips the test where the data is not there."""

    def find(name: str) -> Path:
        path = REFERENCE / FILES[name]
        if not path.is_file():
            pytest.skip(f"reference feeder {name} is not at {path}")
        return path

    return find


@pytest.fixture(scope="session")
def opendss_voltages() -> Callable[..., np.ndarray]:
    """(bus, 3) complex per-unit voltages by OpenDSS, in the feeder's bus order.

    Loads keep their model at any voltage, taps stay where the file's solve left them.
    """

    @on_engine_thread
    def solve(path: Path, feeder: Feeder, commands: Sequence[str] = ()) -> np.ndarray:
        dss = opendssdirect.NewContext()
        dss.Basic.AllowChangeDir(False)
        dss.Text.Command(f'Compile "{path}"')
        dss.Solution.Solve()
        dss.Text.Command("Set ControlMode=off")
        dss.Text.Command("BatchEdit Load..* vminpu=0.5 vmaxpu=1.5")
        for command in commands:
            dss.Text.Command(command)
        dss.Text.Command("Set Tolerance=1e-9")
        dss.Text.Command("Set MaxIterations=500")
        dss.Solution.Solve()
        assert dss.Solution.Converged()
        v = np.full((len(feeder.buses.ids), 3), np.nan, complex)
        for k, bus in enumerate(feeder.buses.ids):
            dss.Circuit.SetActiveBus(bus)
            pu = np.array(dss.Bus.PuVoltage())
            v[k, np.array(dss.Bus.Nodes()) - 1] = pu[::2] + 1j * pu[1::2]
        return v

    return solve
