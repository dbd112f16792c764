"""A feeder file is a program, and what no reading of a feeder needs is refused before OpenDSS."""

import pytest
from gridproof.scenarios.errors import ConfigError
from gridproof.simulator.opendss.contexts import borrow, give_back
from gridproof.simulator.opendss.guard import TRUSTED, refuse_programs
from gridproof.simulator.reader.feeder import read_feeder

CIRCUIT = """\
Clear
New Circuit.x basekv=4.16 phases=3 bus1=src MVAsc3=2000 MVAsc1=2100
New Linecode.three nphases=3 units=km rmatrix=(0.2 | 0.05 0.2 | 0.05 0.05 0.2)
~ xmatrix=(0.4 | 0.15 0.4 | 0.15 0.15 0.4) cmatrix=(0 | 0 0 | 0 0 0)
New Line.a bus1=src bus2=a linecode=three length=0.1 units=km normamps=400 switch=yes
New Load.l bus1=a phases=3 kV=4.16 kW=60 kvar=20
{line}
Set VoltageBases=[4.16]
CalcVoltageBases
"""
G = "New Generator.g bus1=a kv=4.16 kw=1 "


@pytest.fixture
def feeder(tmp_path):
    (tmp_path / "evil.so").write_bytes(b"\x7fELF" + bytes(60))
    (tmp_path / "evil.dll").write_bytes(b"MZ" + bytes(60))
    (tmp_path / "notes.txt").write_bytes(b"\xcf\xfa\xed\xfe" + bytes(60))
    (tmp_path / "sub").mkdir()

    def write(line):
        (tmp_path / "x.dss").write_text(CIRCUIT.format(line=line), encoding="utf-8")
        return tmp_path / "x.dss"

    return write


LOADS = [
    G + "usermodel=evil", G + "UserMod = 'evil'", G + "us=evil", G + "ShaftModel=(evil)",
    "New Storage.s bus1=a DynaDLL=evil", "New PVSystem.p bus1=a\n~ usermodel=evil",
    "Generator.g.UserModel=evil", "Edit Generator.g D=1 ./evil.so", G + "D=1 evil.so",
    G + "D=1 evil", "var @x=./evil.so", G + "D=1 notes.txt", "More D=1 'evil.dll'",
    "/*\nNew Generator.g usermodel=evil\n*/", "a\u2028! usermodel=evil", "a\r! usermodel=evil",
]  # fmt: skip
WRITES = [
    "Export Voltages", "  'Show' powers", "exp v", "Save circuit", "Du", "DOScmd touch x",
    "fileedit x.dss", "AlignFile x.dss", "Set DemandInterval=yes", "set datapath=/tmp", "Connect",
    "set logfile=x", G + "debugtrace=yes", "New Loadshape.s npts=1 mult=(1) action=DblSave",
    "var @c=export\n@c voltages", "[redirect] x.dss",
]  # fmt: skip


@pytest.mark.parametrize("line", [*LOADS, *WRITES])
def test_what_no_feeder_needs_is_refused_by_line(feeder, line, monkeypatch) -> None:
    path = feeder(line)
    with pytest.raises(ConfigError, match=r"x\.dss, line \d+: .*gridproof --trust-feeder"):
        refuse_programs(path)
    before = sorted(path.parent.rglob("*"))
    with pytest.raises(ConfigError, match="--trust-feeder"):
        read_feeder(path)
    assert sorted(path.parent.rglob("*")) == before
    monkeypatch.setenv(TRUSTED, "1")
    refuse_programs(path)


@pytest.mark.parametrize(
    "how", ["redirect more.dss", "var @m=more.dss\nredirect @m", "compile more"]
)
def test_what_a_file_leads_to_is_looked_at(feeder, how) -> None:
    path = feeder(how)
    (path.parent / "more.dss").write_text(f"! nothing\n{G} usermodel=evil\n")
    with pytest.raises(ConfigError, match=r"more\.dss, line 2: usermodel loads a native library"):
        read_feeder(path)


@pytest.mark.parametrize(
    "line",
    [
        "", "! usermodel=evil", "// export voltages", "Set Mode=daily", "Solve", "Plot profile",
        "New Loadshape.s npts=2 mult=(file=shape.csv)", "New Load.shaft bus1=a kV=4.16 kW=1 kvar=0",
        "New Monitor.m element=Line.a", "Set tracecontrol=no", "Buscoords sub/coords.csv",
    ],
)  # fmt: skip
def test_what_feeders_say_is_not_refused(feeder, line) -> None:
    path = feeder(line)
    (path.parent / "shape.csv").write_text("1\n0.5\n")
    (path.parent / "sub" / "coords.csv").write_text("a, 1, 2\n")
    refuse_programs(path)
    assert "a" in read_feeder(path).buses.ids


@pytest.mark.engine_thread
def test_shell_editor_and_working_directory_are_off(tmp_path, monkeypatch) -> None:
    monkeypatch.chdir(tmp_path)
    context = borrow()
    try:
        basic = context.Basic
        assert not any((basic.AllowDOScmd(), basic.AllowEditor(), basic.AllowChangeDir()))
        with pytest.raises(Exception, match=r"(?i)disabled|not allowed|DOScmd"):
            context.Text.Command("DOScmd touch made")
    finally:
        give_back(context)
    assert not (tmp_path / "made").exists()
