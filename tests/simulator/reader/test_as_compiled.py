"""What OpenDSS makes of a file is what it would make of it again, or the file is refused."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import opendssdirect
import pytest
from gridproof.scenarios.arrays import content_digest
from gridproof.scenarios.errors import ConfigError, EngineError
from gridproof.simulator.opendss.circuit import DssCircuit
from gridproof.simulator.opendss.dss_files import circle_of_redirects
from gridproof.simulator.opendss.engine_thread import on_engine_thread
from gridproof.simulator.reader.feeder import read_feeder

BODY = """
New Circuit.c bus1=s basekv=12.47
New Line.sw bus1=s bus2=m switch=y r1=0.05 x1=0.1 r0=0.1 x0=0.3 c1=3 c0=2 length=1
New Transformer.t buses=(m n) conns=(wye wye) kvs=(12.47 0.4) kvas=(1000 1000) xhl=6
New Load.a bus1=n kv=0.4 kw=300 kvar=150
New Capacitor.k bus1=n kv=0.4 kvar=60
{extra}
Set VoltageBases=[12.47 0.4]
{late}
CalcVoltageBases
Solve
"""


@pytest.fixture
def written(tmp_path):
    def write(late: str = "", extra: str = "", first: str = "", name: str = "f.dss") -> Path:
        path = tmp_path / name
        path.write_text(f"Clear\n{first}\n" + BODY.format(late=late, extra=extra))
        return path

    return write


def faults_of(path: Path) -> str:
    with pytest.raises(ConfigError) as caught:
        read_feeder(path)
    return "\n".join(caught.value.faults)


def told_twice(path: Path) -> tuple[np.ndarray, ...]:
    """Node voltages of the file by OpenDSS alone, compiled a first and a second time."""

    @on_engine_thread
    def both() -> tuple[np.ndarray, ...]:
        dss = opendssdirect.NewContext()
        dss.Basic.AllowChangeDir(False)
        found = []
        for _ in range(2):
            dss.Text.Command("Clear")
            dss.Text.Command(f'Compile "{path}"')
            found.append(np.asarray(dss.Circuit.AllBusVMag()))
        return tuple(found)

    return both()


# -------------------------------------------------------------------------- base frequency


@pytest.mark.engine_thread
def test_a_base_frequency_set_late_is_the_one_set_first(written) -> None:
    late = written(late="Set DefaultBaseFrequency=50", name="late.dss")
    early = written(first="Set DefaultBaseFrequency=50", name="early.dss")
    once, again = told_twice(late)
    assert not once.any()  # the trap: a dead source, and wrong bases
    assert again.all()
    read, wanted = read_feeder(late), read_feeder(early)
    for part in ("buses", "lines", "transformers", "loads", "capacitors", "sources"):
        assert content_digest(getattr(read, part)) == content_digest(getattr(wanted, part)), part
    np.testing.assert_allclose(read.buses.base_kv * np.sqrt(3.0), [12.47, 12.47, 0.4])
    np.testing.assert_allclose(read.lines.x_ohm[0, 0, 0], (0.3 + 2 * 0.1) / 3, rtol=1e-9)
    farad = (2.0 + 2 * 3.0) / 3 * 1e-9
    np.testing.assert_allclose(read.lines.b_siemens[0, 0, 0], 2 * np.pi * 50 * farad, rtol=1e-6)


@pytest.mark.engine_thread
def test_the_engine_solves_what_would_be_compiled_again(written) -> None:
    path = written(late="Set DefaultBaseFrequency=50")
    circuit = DssCircuit(str(path), tolerance=1e-9, max_iterations=100)
    circuit.solve_cold()
    found = np.abs(circuit.voltages())[1:]
    circuit.clear()
    np.testing.assert_allclose(found, told_twice(path)[1], rtol=1e-3)
    other = DssCircuit(str(written(name="g.dss")), tolerance=1e-9, max_iterations=100)
    other.text("get defaultbasefrequency")
    assert other.dss.Text.Result == "60"  # nothing of the file before is left in the context
    other.clear()


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"late": "Set Frequency=50"}, ["line 11", "Set Frequency = 50", "before `New Circuit`"]),
        ({"extra": "Edit Vsource.source frequency=50"}, ["Vsource.source: frequency = 50", "dead"]),
        ({"extra": "Edit Vsource.source pu=0"}, ["Vsource.source", "must be positive"]),
        ({"extra": "Edit Vsource.source enabled=no"}, ["no Vsource that is enabled"]),
        ({"extra": "Open Vsource.source 1"}, ["Vsource.source", "dead", "is it open"]),
        ({"late": "Set Year=5"}, ["line 11", "Set Year = 5", "kW and kvar"]),
        ({"late": "Set LoadModel=Admittance"}, ["line 11", "LoadModel", "model=2"]),
        ({"late": "Set LoadMult=1.1"}, ["LoadMult = 1.1"]),
    ],
)
def test_settings_that_make_the_physics_anothers_are_refused(written, change, said) -> None:
    text = faults_of(written(**change))
    assert all(part in text for part in said), text


@pytest.mark.parametrize("late", ["Set GenMult=0.5", "Set Mode=daily", "Set %growth=9", ""])
def test_settings_that_change_nothing_are_taken(written, late) -> None:
    assert read_feeder(written(late=late)).loads.p_kw.sum() == pytest.approx(300.0)


# --------------------------------------------------------------------------------- bases


@pytest.mark.parametrize(
    ("old", "new", "said"),
    [
        ("kvs=(12.47 0.4)", "kvs=(12.47 7.2)", ["Load.a: kV = 0.4", "bus n"]),
        ("kv=0.4 kvar=60", "kv=4.16 kvar=60", ["Capacitor.k: kV = 4.16"]),
        ("[12.47 0.4]", "[7.2 0.4]", ["Vsource.source: basekv = 12.47"]),
        ("kv=0.4 kw=300", "kw=300", ["Load.a: kV = 12.47", "bus n"]),
        ("kv=0.4 kw=300", "kv=0.231 kw=300", ["Load.a: kV = 0.231"]),  # to neutral
        ("kv=0.4 kvar=60", "kvar=60", ["Capacitor.k: kV = 12.47"]),
    ],
)
def test_voltages_that_do_not_fit_their_bases_are_named(written, old, new, said) -> None:
    path = written()
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new))
    found = faults_of(path)
    assert all(part in found for part in said), found


def test_bases_taken_while_a_switch_was_open_are_those_of_the_ratings(written) -> None:
    opened, wanted = read_feeder(written(late="Open Line.sw 2")), read_feeder(written(name="w.dss"))
    np.testing.assert_allclose(opened.buses.base_kv, wanted.buses.base_kv)


def test_a_line_between_two_bases_is_refused(written) -> None:
    far = "New Line.far bus1=n bus2=far r1=0.01 x1=0.01 c1=0 c0=0 length=1"
    path = written(extra=far, late="CalcVoltageBases\nSetkVBase Bus=far kVLL=12.47")
    path.write_text(path.read_text().replace("CalcVoltageBases\nSolve", "Solve"))
    assert "Line.far: joins bus n" in faults_of(path)


@pytest.mark.parametrize("change", ["kv=0.48 kw=300", "kv=0.38 kw=300"])
def test_ratings_near_the_base_are_taken(written, change) -> None:
    path = written()
    path.write_text(path.read_text().replace("kv=0.4 kw=300", change))
    assert read_feeder(path).loads.ids == ("a",)


# ------------------------------------------------------------- what OpenDSS does not survive


@pytest.mark.engine_thread
@pytest.mark.parametrize(
    "line",
    [
        "Redirect f.dss", "red f", 'redirect "f.dss"', "compile (f.dss)", "co f.dss",
        "redirect file=f.dss ! again", "Redirect ../here/f.dss", "var @me=f.dss\nredirect @me",
    ],
)  # fmt: skip
def test_a_file_that_redirects_to_itself_is_refused(tmp_path, line) -> None:
    folder = tmp_path / "here"
    folder.mkdir()
    path = folder / "f.dss"
    path.write_text(f"Clear\n{line}\n" + BODY.format(late="", extra=""))
    number = 1 + len(f"Clear\n{line}".splitlines()) - 1
    text = faults_of(path)
    assert f"f.dss, line {number}: redirects to itself" in text
    with pytest.raises(ConfigError, match="redirects to itself"):
        DssCircuit(str(path), tolerance=1e-6, max_iterations=10)


def test_a_circle_over_files_and_folders_is_told_step_by_step(written, tmp_path) -> None:
    (tmp_path / "sub").mkdir()
    (tmp_path / "sub" / "b.dss").write_text("! nothing\nRedirect c.dss\n")
    (tmp_path / "sub" / "c.dss").write_text("Redirect ../f.dss\n")
    path = written(extra="Redirect sub/b.dss")
    text = faults_of(path)
    assert f"{path}, line 9: redirects to b.dss" in text
    assert "c.dss, line 1" in text


def test_files_that_are_read_twice_or_only_named_in_comments_are_no_circle(written, tmp_path):
    (tmp_path / "x.dss").write_text("New Line.{} bus1=m bus2=e\n")
    (tmp_path / "lines.dss").write_text("! Redirect f.dss\n/* redirect f.dss\nredirect f.dss\n*/\n")
    path = written(extra="Redirect lines.dss\nRedirect lines.dss\n// Redirect f.dss\nclear_f.dss")
    assert circle_of_redirects(path) == ()


@pytest.mark.skipif(os.name == "nt", reason="a folder in use cannot be deleted there")
@pytest.mark.engine_thread
def test_without_a_working_directory_there_is_one_message(written, tmp_path, monkeypatch) -> None:
    path = written()
    gone = tmp_path / "gone"
    gone.mkdir()
    monkeypatch.chdir(gone)
    gone.rmdir()
    assert "working directory" in faults_of(path)
    with pytest.raises(ConfigError, match="working directory"):
        DssCircuit(str(path), tolerance=1e-6, max_iterations=10)


@pytest.mark.engine_thread
def test_a_path_with_a_quote_is_refused(tmp_path) -> None:
    path = tmp_path / 'a"b.dss'
    path.write_text("Clear\n")
    assert "quote" in faults_of(path)
    with pytest.raises((ConfigError, EngineError), match="quote"):
        DssCircuit(str(path), tolerance=1e-6, max_iterations=10)
