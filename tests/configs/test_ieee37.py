"""Our IEEE 37-node feeder: equal to its tables, and to the reference's power flow."""

from __future__ import annotations

import csv
from pathlib import Path

import numpy as np
import opendssdirect
import pytest
from gridproof.scenarios.load_models import LoadModel
from gridproof.simulator.opendss.engine_thread import on_engine_thread
from gridproof.simulator.reader.feeder import read_feeder

FEEDERS = Path(__file__).parents[2] / "configs" / "feeders"
OURS = FEEDERS / "ieee37" / "ieee37.dss"
REFERENCE = (
    Path(__file__).parents[2] / ".." / "shared" / "data" / "reference" / "ieee37" / "ieee37.dss"
)
SWITCHES = (
    "702-705", "702-713", "702-703", "703-727", "708-709", "734-737",
    "729-742", "725-731", "725-741", "799r-701",
)  # fmt: skip


def table(name: str) -> list[dict[str, str]]:
    with (FEEDERS / "ieee37" / name).open() as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def feeder():
    return read_feeder(OURS)


def test_lines_agree_with_the_tables(feeder):
    configurations = {row["configuration"]: row for row in table("configurations.csv")}
    rows = table("lines.csv")
    named = {f"{row['from']}-{row['to']}" for row in rows}
    assert named | {"jumper"} == set(feeder.lines.ids)
    for row in rows:
        k = feeder.lines.ids.index(f"{row['from']}-{row['to']}")
        assert feeder.buses.ids[feeder.lines.from_bus[k]] == row["from"]
        assert feeder.buses.ids[feeder.lines.to_bus[k]] == row["to"]
        miles, code = float(row["length_ft"]) / 5280, configurations[row["configuration"]]
        for kind, matrix in (("r", feeder.lines.r_ohm[k]), ("x", feeder.lines.x_ohm[k])):
            for i, one in enumerate("abc"):
                for j, other in enumerate("abc"):
                    entry = float(code[f"{kind}_{''.join(sorted(one + other))}"])
                    assert matrix[i, j] == pytest.approx(entry * miles, rel=1e-9, abs=1e-12)
        siemens = float(code["b_uS_per_mile"]) * 1e-6 * miles
        np.testing.assert_allclose(np.diag(feeder.lines.b_siemens[k]), siemens, rtol=1e-6)


def test_loads_agree_with_the_tables(feeder):
    models = {
        "D-PQ": LoadModel.CONSTANT_POWER,
        "D-Z": LoadModel.CONSTANT_IMPEDANCE,
        "D-I": LoadModel.VOLTAGE_REDUCTION,
    }
    for row in table("spot_loads.csv"):
        bus = feeder.buses.ids.index(row["bus"])
        at = np.flatnonzero(feeder.loads.bus == bus)
        p = [float(row[f"{pair}_kw"]) for pair in ("ab", "bc", "ca")]
        q = [float(row[f"{pair}_kvar"]) for pair in ("ab", "bc", "ca")]
        np.testing.assert_allclose(feeder.loads.p_kw[at].sum(axis=0), p)
        np.testing.assert_allclose(feeder.loads.q_kvar[at].sum(axis=0), q)
        assert {feeder.loads.model[k] for k in at} == {models[row["model"]]}
    assert len(feeder.loads.ids) == 30
    assert feeder.loads.p_kw.sum() == pytest.approx(2457.0)
    assert feeder.loads.q_kvar.sum() == pytest.approx(1201.0)


def test_transformers_and_coordinates_agree_with_the_tables(feeder):
    units = feeder.transformers
    for row in table("transformers.csv"):
        k = units.ids.index(row["name"])
        assert units.rating_kva[k] == float(row["kva"])
        assert units.r_pu[k] == pytest.approx(float(row["r_percent"]) / 100)
        assert units.x_pu[k] == pytest.approx(float(row["x_percent"]) / 100)
        assert (units.from_kv[k], units.to_kv[k]) == (float(row["from_kv"]), float(row["to_kv"]))
    for row in table("regulators.csv"):
        k = units.ids.index(row["name"])
        slot = {"ab": 0, "cb": 1}[row["pair"]]
        assert units.windings[k].tolist() == [slot == n for n in range(3)]
        assert units.regulating[k]
    assert np.isfinite(feeder.buses.xy).all()


@pytest.mark.skipif(not REFERENCE.is_file(), reason=f"no reference feeder at {REFERENCE}")
def test_power_flow_equals_the_reference():
    ours, theirs = node_voltages(OURS), node_voltages(REFERENCE)
    assert ours.keys() == theirs.keys()
    assert len(ours) == 117
    worst = max(abs(ours[node] - theirs[node]) for node in ours)
    assert worst < 1e-6  # 1.1e-8 measured


@on_engine_thread
def node_voltages(path: Path) -> dict[str, complex]:
    dss = opendssdirect.NewContext()
    dss.Basic.AllowChangeDir(False)
    dss.Text.Command(f'Compile "{path}"')
    assert dss.Solution.Converged()
    flat = np.array(dss.Circuit.AllBusVolts())
    base = {}
    for bus in dss.Circuit.AllBusNames():
        dss.Circuit.SetActiveBus(bus)
        base[bus] = dss.Bus.kVBase() * 1e3
    names = dss.Circuit.AllNodeNames()
    return {
        name: complex(v) / base[name.split(".")[0]]
        for name, v in zip(names, flat[::2] + 1j * flat[1::2], strict=True)
    }


def test_networked_feeder_has_seven_blocks_and_the_substation():
    feeder = read_feeder(FEEDERS / "ieee37-networked" / "ieee37_networked.dss", switches=SWITCHES)
    assert set(feeder.switch_ids) == set(SWITCHES)
    assert len(feeder.blocks.ids) == 8
    substation = feeder.blocks.of_bus[feeder.sources.bus[0]]
    members = {
        b for b, n in zip(feeder.buses.ids, feeder.blocks.of_bus, strict=True) if n == substation
    }
    assert members == {"sourcebus", "799", "799r"}
    state = dict(zip(feeder.switch_ids, feeder.lines.closed[feeder.switches], strict=True))
    open_ones = {name for name, closed in state.items() if not closed}
    assert open_ones == {"729-742", "725-731", "725-741", "799r-701"}
    np.testing.assert_array_equal(feeder.lines.rating_a, 400.0)
    tie = feeder.lines.ids.index("729-742")
    assert feeder.lines.r_ohm[tie, 0, 0] == pytest.approx(1.2936 * 1100 / 5280)
    ders_at = [feeder.buses.ids.index(b) for b in ("701", "705", "720", "730", "744", "734", "738")]
    assert len(set(feeder.blocks.of_bus[ders_at])) == 7
