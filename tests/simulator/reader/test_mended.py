"""Files that OpenDSS does not get through as written, or guesses the bases of, are still read.

What is read is held against OpenDSS itself on a file in which the same was written out by hand.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.inquiries.feeder_facts import feeder_facts
from gridproof.scenarios.errors import ConfigError
from gridproof.simulator.opendss.mending import JUMPER_OHM, without_impedance
from gridproof.simulator.reader.agreement import columns_flow, farthest_apart, opendss_flow
from gridproof.simulator.reader.feeder import read_feeder

HEAD = """Clear
New Circuit.mended bus1=s basekv=12.47 pu=1.02 r1=0.2 x1=1.1 r0=0.3 x0=1.4
New Line.main bus1=s bus2=m r1=0.3 x1=0.6 r0=0.8 x0=1.9 c1=9 c0=4 length=2 units=km
"""
BASES = "Set VoltageBases=[12.47 0.48]\nCalcVoltageBases\nSolve\n"
JUMPERS = """
New LineCode.none nphases=3 r1=0 x1=0 r0=0 x0=0 c1=0 c0=0 units=mi
New Line.zero bus1=m bus2=n switch=yes r1=0 x1=0 r0=0 x0=0 c1=0 c0=0
New Line.code bus1=n bus2=o linecode=none length=30 units=ft
New Line.short bus1=o bus2=p r1=0.3 x1=0.6 r0=0.8 x0=1.9 length=0 units=km
New Line.half bus1=p bus2=q r1=0.3 x1=0.6 r0=0 x0=0 length=1
New Line.one bus1=q.2 bus2=r.2 phases=1 r1=0 x1=0 c1=0
New Line.tie bus1=m bus2=q switch=yes r1=0 x1=0 r0=0 x0=0 enabled=no
New Load.q bus1=q kv=12.47 kw=900 kvar=300
New Load.r bus1=r.2 phases=1 kv=7.2 kw=90 kvar=30
"""
SMALL = "r1=1e-7 x1=0 r0=1e-7 x0=0 c1=0 c0=0 length=1 units=none"


def agreed(path: Path) -> float:
    """Columns against OpenDSS, pu; the AC engine must agree, too."""
    feeder = read_feeder(path)
    told = feeder_facts(feeder, ()).agreement
    assert told.columns_pu is not None, told.remarks
    assert told.engine_pu is not None, told.remarks
    assert told.engine_pu < 1e-5
    return told.columns_pu


def faults_of(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_feeder(path)
    return "\n".join(caught.value.faults)


# ------------------------------------------------------------------------- no impedance


def test_lines_without_impedance_are_jumpers(tmp_path):
    path, by_hand = tmp_path / "zero.dss", tmp_path / "hand.dss"
    late = "New Line.late bus1=r.2 bus2=t.2 phases=1 r1=0 x1=0 c1=0\nSolve\n"
    path.write_text(HEAD + JUMPERS + BASES + late)
    written = JUMPERS.replace(
        "r1=0 x1=0 r0=0 x0=0 c1=0 c0=0\nNew Line.code", f"{SMALL}\nNew Line.code"
    )
    written = written.replace("linecode=none length=30 units=ft", SMALL)
    written = written.replace("r1=0.3 x1=0.6 r0=0.8 x0=1.9 length=0 units=km", SMALL)
    written = written.replace(
        "r1=0.3 x1=0.6 r0=0 x0=0", "r1=0.3000001 x1=0.6 r0=1e-7 x0=0 c1=0 c0=0"
    )
    written = written.replace("r1=0 x1=0 c1=0", "r1=1e-7 x1=0 c1=0 length=1")
    written = written.replace("r1=0 x1=0 r0=0 x0=0 enabled", f"{SMALL} enabled")
    by_hand.write_text(HEAD + written + late.replace("r1=0", "r1=1e-7") + BASES)
    feeder, wanted = read_feeder(path), read_feeder(by_hand)
    assert agreed(path) < 1e-6
    np.testing.assert_array_equal(feeder.lines.closed, wanted.lines.closed)
    assert not feeder.lines.closed[feeder.lines.ids.index("tie")]
    one, other = opendss_flow(path, feeder), opendss_flow(by_hand, wanted)
    assert farthest_apart(feeder, one, other) < 1e-7


def test_a_file_that_leaves_solving_to_others_is_mended(tmp_path):
    path = tmp_path / "unsolved.dss"
    path.write_text(HEAD + JUMPERS)
    assert agreed(path) < 1e-6


def test_impedance_is_told_from_none():
    assert without_impedance(np.zeros((3, 3), complex))
    assert without_impedance(np.array([[2, -1, -1], [-1, 2, -1], [-1, -1, 2]], complex))
    assert not without_impedance(JUMPER_OHM * np.eye(3, dtype=complex))
    assert not without_impedance(np.full((2, 2), np.nan, complex))


def test_what_is_wrong_besides_is_told_in_the_files_own_paths(tmp_path):
    path = tmp_path / "wrong.dss"
    path.write_text(HEAD + JUMPERS + BASES + "New Line.bad bus1=m bus2=x linecode=unheard\n")
    told = faults_of(path)
    assert "unheard" in told
    assert f'[file: "{path}"' in told
    assert "gridproof-" not in told


# --------------------------------------------------------------------- what is not there


def test_a_redirect_whose_letters_or_folder_are_others_is_followed(tmp_path):
    """As files come from a system that minds neither, or from an archive unpacked flat."""
    (tmp_path / "Parts").mkdir()
    (tmp_path / "Parts" / "Loads.DSS").write_text(
        "New Load.m bus1=m kv=12.47 kw=900 kvar=300\n"
        "New Line.zero bus1=m bus2=z r1=0 x1=0 r0=0 x0=0\n"
    )
    (tmp_path / "codes.dss").write_text("New Load.z bus1=z kv=12.47 kw=90 kvar=30\n")
    path = tmp_path / "led.dss"
    path.write_text(f"{HEAD}Redirect parts\\loads.dss\nRedirect ../Codes.dss ! up\n{BASES}")
    assert read_feeder(path).loads.ids == ("m", "z")
    assert agreed(path) < 1e-6
    (tmp_path / "codes.dss").write_text("Export voltages\n")  # it is looked through like any other
    assert "codes.dss, line 1: export" in faults_of(path)
    (tmp_path / "codes.dss").write_text("Redirect ../codes.dss\n")  # not to itself
    assert "Redirect file not found" in faults_of(path)


def test_machines_that_keep_the_file_from_solving_do_not_keep_it_from_being_read(tmp_path):
    from gridproof.simulator.reader.machines import machines_of

    path = tmp_path / "control.dss"
    load = "New Load.m bus1=m kv=12.47 kw=900 kvar=300\n"
    roof = "New PVSystem.p bus1=m kv=12.47 kva=300 pmpp=300\nNew InvControl.i mode=VOLTVAR\n"
    path.write_text(f"{HEAD}{load}{roof}{BASES}")  # of a curve that is not there
    assert read_feeder(path).loads.ids == ("m",)
    assert agreed(path) < 1e-6
    (machine,) = machines_of(path)
    assert machine.name == "p"


def test_a_four_wire_delta_is_refused_by_its_bus(tmp_path):
    path = tmp_path / "high_leg.dss"
    path.write_text(
        HEAD + "New Transformer.light phases=1 windings=3 buses=(m.1 h.1.0 h.0.2)\n"
        "~ kvs=(7.2 0.12 0.12) kvas=(50 50 50) xhl=2 xht=2 xlt=1.4\n"
        "New Transformer.power phases=1 buses=(m.2 h.2.3) kvs=(7.2 0.24) kvas=(50 50) xhl=2\n"
        "New Load.h bus1=h phases=3 conn=delta kv=0.24 kw=30\n"
        "Set VoltageBases=[12.47 0.208]\nCalcVoltageBases\nSolve\n"
    )
    told = faults_of(path)
    assert "Transformer.power: closes a delta at bus h" in told
    assert "\n" not in told


def test_profiles_and_places_that_are_not_there_are_passed_over(tmp_path):
    (tmp_path / "parts").mkdir()
    (tmp_path / "there.csv").write_text("1\n0.5\n")
    (tmp_path / "parts" / "shapes.dss").write_text(
        "New LoadShape.a npts=2 mult=(file=../nowhere.csv) qmult=[file='no where.csv']\n"
        "New LoadShape.b npts=2 csvfile=nowhere.csv\n"
        "New LoadShape.d npts=2 mult=(sngfile=nowhere.sng)\n"
        "New LoadShape.c npts=2 mult=(file=../there.csv)\n"
        "New XYCurve.e npts=2 xarray=[0 1] yarray=(file=nowhere.csv)\n"
    )
    path = tmp_path / "profiles.dss"
    load = "New Load.m bus1=m kv=12.47 kw=900 kvar=300 daily=a yearly=b\n"
    path.write_text(
        f"{HEAD}Redirect parts/shapes.dss\n{load}{BASES}BusCoords nowhere.csv\n"
        "New Line.l bus1=m bus2=k\n"
    )
    feeder = read_feeder(path)
    assert feeder.lines.ids == ("main", "l")
    np.testing.assert_allclose(feeder.loads.p_kw, [[300.0] * 3])
    assert agreed(path) < 1e-6


def test_a_part_of_the_feeder_that_is_not_there_is_a_fault(tmp_path):
    path = tmp_path / "part.dss"
    path.write_text(f"{HEAD}Redirect nowhere.dss\n{BASES}")
    assert "nowhere.dss" in faults_of(path)


# --------------------------------------------------------------------------------- bases

LOW = """
New Transformer.t phases=3 buses=(m n) conns=(delta wye) kvs=(12.47 0.48) kvas=(500 500) xhl=4
New Line.l bus1=n bus2=k r1=0.01 x1=0.01 r0=0.03 x0=0.03 length=1
New Load.l bus1=k kv=0.48 kw=200 kvar=50
New Load.one bus1=k.1 phases=1 kv=0.277 kw=20 kvar=5
"""


@pytest.mark.parametrize(
    "late",
    [
        "Solve",
        "Set VoltageBases=[12.47]\nCalcVoltageBases\nSolve",
        "Set VoltageBases=[138 0.4]\nCalcV",
    ],
    ids=["none", "a-level-lacks", "another's"],
)
def test_bases_are_what_all_ratings_say(tmp_path, late):
    path = tmp_path / "bases.dss"
    path.write_text(f"{HEAD}{LOW}{late}\n")
    feeder = read_feeder(path)
    told = dict(zip(feeder.buses.ids, (feeder.buses.base_kv * np.sqrt(3.0)).tolist(), strict=True))
    low = 0.4 if "0.4]" in late else 0.48  # a base that fits the ratings is the file's to choose
    assert told == pytest.approx({"s": 12.47, "m": 12.47, "n": low, "k": low})
    assert agreed(path) < 1e-6


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kv=0.48 kw", "kv=12.47 kw", "kV of winding 2 = 0.48"),  # ratings disagree
        ("CalcVoltageBases", "CalcVoltageBases\nSetkVBase Bus=k kVLL=12.47", "Line.l: joins"),
    ],
)
def test_bases_that_ratings_disagree_on_are_refused(tmp_path, old, new, said):
    path = tmp_path / "bases.dss"
    path.write_text((HEAD + LOW + BASES.replace("12.47 0.48", "12.47")).replace(old, new))
    if "Setk" in new:
        path.write_text((HEAD + LOW + BASES).replace(old, new))
    assert said in faults_of(path)


# ------------------------------------------------------------------------- three windings

CORE = """
New Transformer.t phases=3 windings=3 buses=(m y z) kvs=(12.47 4.16 0.48)
~ conns=({conns}) kvas=(5000 4000 900) %rs=(0.4 0.5 0.6) xhl={x[0]} xht={x[1]} xlt={x[2]}
~ taps=(1 1.05 0.975) %noloadloss=0.3 %imag=0.8 {more}
New Line.l bus1=y bus2=k r1=0.1 x1=0.2 r0=0.3 x0=0.4 c1=3 c0=1 length=1
New Load.k bus1=k.1 phases=1 kv=2.4 kw=500 kvar=100
New Load.all bus1=k kv=4.16 kw=1500 kvar=300
New Load.z bus1=z kv=0.48 conn={conn} kw=400 kvar=90
"""
UNLIKE_LEGS = """
New Transformer.t phases=1 windings=3 buses=(m.2 h.1.0 h.0.2) kvs=(7.2 0.12 0.12)
~ kvas=(25 25 25) %Rs=(0.6 1.2 1.3) xhl=2.04 xht=1.6 xlt=1.36 %noloadloss=0.2 %imag=0.5
New Load.one bus1=h.1 phases=1 kv=0.12 kw=5 kvar=1
New Load.two bus1=h.2 phases=1 kv=0.12 kw=3 kvar=1
New Load.across bus1=h.1.2 phases=1 conn=delta kv=0.24 kw=6 kvar=2
"""
CORES = {
    "dyd": CORE.format(conns="delta wye delta", x=(8, 10, 7), conn="delta", more=""),
    "yyd": CORE.format(conns="wye wye delta", x=(8, 24, 13), conn="delta", more=""),
    "a_branch_without": CORE.format(conns="wye wye delta", x=(8, 4, 4), conn="delta", more=""),
    "dyy_lead": CORE.format(conns="delta wye wye", x=(8, 10, 7), conn="wye", more="leadlag=lead"),
    "regulated": CORE.format(
        conns="wye wye wye",
        x=(8, 10, 7),
        conn="wye",
        more="\nNew RegControl.r transformer=t winding=2 vreg=123 band=2 ptratio=20",
    ),
    "unlike_legs": UNLIKE_LEGS,
    "unlike_legs_between_phases": UNLIKE_LEGS.replace("(m.2 ", "(m.2.3 ").replace("7.2", "12.47"),
}


@pytest.mark.parametrize("kind", CORES)
def test_three_windings_are_a_star_of_three_units(tmp_path, kind):
    path = tmp_path / f"{kind}.dss"
    path.write_text(HEAD + CORES[kind] + "Set VoltageBases=[12.47 4.16 0.48 0.208]\nCalcV\nSolve\n")
    feeder = read_feeder(path)
    assert feeder.transformers.ids == ("t_w1", "t_w2", "t_w3")
    assert "t_star" in feeder.buses.ids
    if kind == "regulated":
        assert feeder.transformers.regulating.tolist() == [False, True, False]
    assert agreed(path) < 1e-6


def test_the_legs_of_a_star_are_no_loop(tmp_path):
    from gridproof.scenarios.loops import turning_blocks

    path = tmp_path / "legs.dss"
    path.write_text(HEAD + CORES["unlike_legs"] + "Set VoltageBases=[12.47 0.208]\nCalcV\nSolve\n")
    assert turning_blocks(read_feeder(path)) == ()


def test_a_star_of_another_turn_is_seen(tmp_path):
    """What the agreement is worth: a delta turned the other way is 30 degrees off."""
    from dataclasses import replace

    path = tmp_path / "dyd.dss"
    path.write_text(HEAD + CORES["dyd"] + "Set VoltageBases=[12.47 4.16 0.48]\nCalcV\nSolve\n")
    feeder = read_feeder(path)
    theirs = opendss_flow(path, feeder)
    units = replace(feeder.transformers, lagging=~feeder.transformers.lagging)
    ours = columns_flow(replace(feeder, transformers=units), theirs)
    assert farthest_apart(feeder, ours, theirs) > 0.1
