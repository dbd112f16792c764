"""Reading feeders back from OpenDSS: totals, spot checks, and every fault at once."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import opendssdirect
import pytest
from gridproof.scenarios.arrays import content_digest
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.feeder import Connection
from gridproof.scenarios.load_models import LoadModel
from gridproof.simulator.reader.feeder import read_feeder

GOOD = """
Clear
New Circuit.tiny bus1=s basekv=4.16 pu=1.02
New Line.one bus1=s bus2=m r1=0.1 x1=0.2 r0=0.3 x0=0.6 c1=0 c0=0 length=2 units=km normamps=150
New Line.tie bus1=m bus2=e switch=yes r1=1e-3 r0=1e-3 x1=0 x0=0 c1=0 c0=0
{extra}
New Load.d bus1=m.2 phases=1 conn=wye kv=2.4 kw=30 kvar=10
Set VoltageBases=[4.16 0.48]
CalcVoltageBases
Solve
"""


@pytest.fixture
def written(tmp_path):
    def write(extra: str = "", text: str = GOOD) -> Path:
        path = tmp_path / "tiny.dss"
        path.write_text(text.format(extra=extra))
        return path

    return write


def faults_of(path: Path, **arguments) -> str:
    with pytest.raises(ConfigError) as caught:
        read_feeder(path, **arguments)
    assert all(str(path) in fault for fault in caught.value.faults)
    return "\n".join(caught.value.faults)


@pytest.mark.parametrize(
    ("name", "counts", "totals"),
    [  # buses, lines, transformers, loads, switches; kW, kvar
        ("ieee13", (16, 12, 5, 15, 1), (3466.0, 2102.0)),
        ("ieee33", (33, 37, 0, 32, 0), (3715.0, 2300.0)),
        ("ieee37", (39, 36, 4, 30, 0), (2457.0, 1201.0)),
        ("ieee123", (132, 126, 8, 91, 8), (3490.0, 1920.0)),
    ],
)
def test_counts_and_totals(name, counts, totals, reference):
    feeder = read_feeder(reference(name))
    tables = (feeder.buses, feeder.lines, feeder.transformers, feeder.loads)
    assert (*(len(table.ids) for table in tables), len(feeder.switch_ids)) == counts
    demand = feeder.loads.p_kw.sum(), feeder.loads.q_kvar.sum()
    assert demand == pytest.approx(totals)


def test_voltage_bases_are_line_to_neutral(reference):
    feeder = read_feeder(reference("ieee13"))
    base = dict(zip(feeder.buses.ids, feeder.buses.base_kv * np.sqrt(3.0), strict=True))
    assert base["650"] == pytest.approx(4.16)
    assert base["634"] == pytest.approx(0.48)
    assert feeder.sources.v_pu[0] == pytest.approx(1.0001)


def test_line_impedance_of_mixed_units_is_that_of_the_whole_length(reference):
    """Line code in ohm per mile, length in feet, phases listed c before b."""
    feeder = read_feeder(reference("ieee13"))
    lines, k = feeder.lines, feeder.lines.ids.index("650632")
    miles = 2000 / 5280
    assert lines.r_ohm[k, 0, 0] == pytest.approx(0.3465 * miles)
    assert lines.x_ohm[k, 1, 2] == pytest.approx(0.3849 * miles)
    k = lines.ids.index("632645")
    np.testing.assert_array_equal(lines.phases[k], [False, True, True])
    assert lines.r_ohm[k, 2, 2] == pytest.approx(1.3238 * 500 / 5280)
    assert lines.r_ohm[k, 1, 1] == pytest.approx(1.3294 * 500 / 5280)
    assert not lines.r_ohm[k, 0].any()
    k = lines.ids.index("692675")
    farad = 383.948e-9 * 500 / 5280
    assert lines.b_siemens[k, 0, 0] == pytest.approx(2 * np.pi * 60 * farad, rel=1e-6)


def test_an_open_line_keeps_its_impedance_and_says_it_is_open(reference):
    feeder = read_feeder(reference("ieee33"))
    k = feeder.lines.ids.index("l33")
    assert not feeder.lines.closed[k]
    np.testing.assert_allclose(np.diag(feeder.lines.r_ohm[k]), 2.0, rtol=1e-9)
    assert feeder.lines.closed.sum() == 32


def test_the_open_delta_bank_and_the_delta_loads_of_ieee37(reference):
    feeder = read_feeder(reference("ieee37"))
    units = feeder.transformers
    assert [units.ids[k] for k in np.flatnonzero(units.regulating)] == ["reg1a", "reg1c"]
    a, c = units.ids.index("reg1a"), units.ids.index("reg1c")
    assert units.windings[[a, c]].tolist() == [[True, False, False], [False, True, False]]
    steps = (1.0 / units.ratio[[a, c]] - 1.0) / 0.00625
    np.testing.assert_allclose(steps, np.round(steps), atol=1e-6)
    assert set(feeder.loads.connection) == {Connection.DELTA}
    assert feeder.loads.model.count(LoadModel.VOLTAGE_REDUCTION) == 8
    assert feeder.loads.model.count(LoadModel.CONSTANT_IMPEDANCE) == 7
    three = feeder.loads.ids.index("s728")
    np.testing.assert_allclose(feeder.loads.p_kw[three], 42.0)


def test_substation_of_ieee13_lags_and_its_capacitors_are_there(reference):
    feeder = read_feeder(reference("ieee13"))
    k = feeder.transformers.ids.index("sub")
    assert feeder.transformers.lagging[k]
    assert feeder.transformers.from_connection[k] is Connection.DELTA
    assert feeder.transformers.to_connection[k] is Connection.WYE
    np.testing.assert_allclose(feeder.capacitors.q_kvar, [[200, 200, 200], [0, 0, 100]])


def test_switches_can_be_chosen_by_id(reference, written):
    feeder = read_feeder(reference("ieee37"), switches=["L2", "line.l4"])
    assert feeder.switch_ids == ("l2", "l4")
    assert read_feeder(written()).switch_ids == ("tie",)
    assert read_feeder(written(), switches=[]).switch_ids == ()
    assert "switch nowhere" in faults_of(written(), switches=["nowhere", "one"])


def test_a_swtcontrol_makes_its_line_a_switch(written):
    feeder = read_feeder(written("New SwtControl.k SwitchedObj=Line.one SwitchedTerm=1"))
    assert feeder.switch_ids == ("one", "tie")


@pytest.mark.engine_thread
def test_reading_twice_gives_the_same_feeder_and_leaves_other_circuits_alone(written, tmp_path):
    opendssdirect.Text.Command("Clear")
    opendssdirect.Text.Command("New Circuit.mine bus1=x basekv=1")
    here = Path.cwd()
    one, two = read_feeder(written()), read_feeder(written())
    assert content_digest(one) == content_digest(two)
    assert opendssdirect.Circuit.Name() == "mine"
    assert Path.cwd() == here
    opendssdirect.Text.Command("Clear")
    assert one.sources.v_pu[0] == pytest.approx(1.02)


def test_missing_file():
    with pytest.raises(ConfigError, match="no such file"):
        read_feeder(Path("/nowhere/feeder.dss"))


def test_an_error_of_opendss_is_chained(written):
    path = written("New Line.bad bus1=m bus2=q linecode=unheard")
    with pytest.raises(ConfigError) as caught:
        read_feeder(path)
    assert type(caught.value.__cause__).__name__ == "DSSException"
    (fault,) = caught.value.faults
    assert "unheard" in fault


def test_every_fault_of_a_file_is_told(written):
    text = faults_of(
        written(
            """
New Load.lost bus1=nowhere.1 phases=1 kv=2.4 kw=5 kvar=1
New Load.nan bus1=m.1 phases=1 kv=2.4 kw=nan kvar=1
New Line.weak bus1=m bus2=w r1=-0.1 x1=0.2 r0=-0.1 x0=0.2 normamps=-10
New Line.turned bus1=m.1.2.3 bus2=t.2.3.1 r1=0.1 x1=0.2 r0=0.1 x0=0.2
New Reactor.deep bus1=m.1.2.3 bus2=t.2.3.1 phases=3 kv=4.16 kvar=10
New Capacitor.odd bus1=m.1.2.3 bus2=t.2.3.1 phases=3 kv=4.16 kvar=10
New Fault.g bus1=m phases=3 r=1000
"""
        )
    )
    for expected in (
        "Load.lost: bus nowhere", "Load.nan: kW = nan", "Line.weak: normamps = -10",
        "Line.weak: a self resistance", "Line.turned: joins", "Reactor.deep", "Capacitor.odd",
        "Fault.g",
    ):  # fmt: skip
        assert expected in text, text


def test_a_phase_nothing_brings_is_a_fault(written):
    text = faults_of(
        written(
            "New Line.lat phases=1 bus1=m.1 bus2=l.1 r1=0.1 x1=0.1 c1=0 c0=0\n"
            "New Load.off bus1=l.3 phases=1 kv=2.4 kw=5 kvar=1"
        )
    )
    assert "Load.off: nothing brings phase c to bus l" in text


def test_duplicate_names_are_faults(written):
    text = faults_of(
        written(
            "Set AllowDuplicates=yes\n"
            "New Line.two bus1=m bus2=x r1=0.1 x1=0.1\nNew Line.two bus1=m bus2=y r1=0.1 x1=0.1"
        )
    )
    assert "line.two is defined 2 times" in text


def test_taps_of_a_flow_that_does_not_converge_are_not_read(written):
    text = faults_of(
        written(
            "New Transformer.r phases=3 windings=2 xhl=1 buses=(m z) kvs=(4.16 4.16) kvas=(9 9)\n"
            "New RegControl.r transformer=r winding=2 vreg=120 band=2 ptratio=20\n"
            "New Load.big bus1=z kv=4.16 kw=90 kvar=30\nSet MaxIterations=1"
        )
    )
    assert "does not converge" in text


def test_a_voltage_base_that_nothing_tells_is_a_fault(written):
    loose = "New Reactor.r bus1=b bus2=l.1.2.3 phases=3 r=0.1 x=0.2"
    text = faults_of(
        written(
            text="Clear\nNew Circuit.c bus1=s basekv=4.16\nNew Line.a bus1=s bus2=b\n"
            f"{loose}\nNew Transformer.t buses=(l y) kvs=(4.16 0.48) kvas=(99 99)\n"
            "New Load.y bus1=y kv=4.16 kw=9\nSolve\n"
        )
    )
    assert "Bus y: has no voltage base" in text


def test_what_columns_cannot_hold_is_named(written):
    text = faults_of(
        written(
            "New Transformer.four phases=3 windings=4 buses=(m x y z) kvs=(4.16 0.48 0.24 0.1)\n"
            "New Isource.i bus1=m phases=3 amps=1"
        )
    )
    assert "Isource.i is an element the feeder's columns cannot hold" in text
    assert "Transformer.four: has 4 windings" in text
