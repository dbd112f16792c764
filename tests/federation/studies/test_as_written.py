"""Feeders, tables and studies as people write them: any name, any editor, a pipe."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.addresses import host_and_port
from gridproof.federation.campaigns import study_jobs
from gridproof.federation.campaigns.sweep import Axis
from gridproof.federation.cli.main import app
from gridproof.federation.cli.options import device_entry
from gridproof.federation.config.study_file import apply_overrides, dotted, split_entry
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.realization import draw
from gridproof.scenarios.setpoints import Setpoints
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.opendss.engine_thread import on_engine_thread
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner

PLAIN = {"source": "src", "one": "b1", "two": "b2", "far": "b3", "switch": "sw", "line": "l",
         "load": "d"}  # fmt: skip
FEEDER = """Clear
New Circuit.tiny bus1={source} basekv=4.16 pu=1.0
New {Line_switch} bus1={source} bus2={one} switch=yes r1=0.001 x1=0.001 r0=0.001 x0=0.001 c1=0 c0=0
New {Line_line} bus1={one} bus2={two} r1=0.1 x1=0.2 r0=0.3 x0=0.6 c1=0 c0=0 length=1
New Line.tie bus1={two} bus2={far} switch=yes r1=0.001 x1=0.001 r0=0.001 x0=0.001 c1=0 c0=0
New Load.one bus1={one} kv=4.16 kw=90 kvar=30
New {Load_load} bus1={two_1} phases=1 kv=2.4 kw=60 kvar=20
{extra}
Set VoltageBases=[4.16]
CalcVoltageBases
Solve
"""
STUDY = """[feeder]
path = "f.dss"
locked_open = [{switch}]

[ders.fleet]
{der} = {{ bus = {two}, capacity_kw = 400 }}

[uncertainty]
loads = [{load}]
spread = 0.2

[campaign]
samples = 6
seed = 3
"""


def in_dss(name: str) -> str:
    """A name as a feeder file has it: in quotes that it does not hold itself."""
    return f"'{name}'" if '"' in name else f'"{name}"'


def written(folder: Path, names: dict[str, str], *, der: str = "g", extra: str = "") -> Path:
    parts = {key: in_dss(name) for key, name in names.items()}
    parts |= {f"Line_{key}": in_dss(f"Line.{names[key]}") for key in ("switch", "line")}
    parts |= {"Load_load": in_dss(f"Load.{names['load']}"), "two_1": in_dss(f"{names['two']}.1")}
    (folder / "f.dss").write_text(FEEDER.format(extra=extra, **parts), encoding="utf-8")
    study = folder / "s.toml"
    keys = {key: json.dumps(name, ensure_ascii=False) for key, name in names.items()}
    text = STUDY.format(der=json.dumps(der, ensure_ascii=False), **keys)
    study.write_text(text, encoding="utf-8")
    return study


def invoked(*words: str, **more):
    return CliRunner().invoke(app, list(words), **more)


def answer_of(study: Path, *overrides: str) -> bytes:
    """Voltages of four realizations under the study's plan, to the last bit."""
    scenario = load_study(study, overrides).scenario
    plan = make_planner("partitioning", {}).plan(scenario)
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    batch = draw(scenario, 3, 0, 4)
    told = Setpoints(
        index=batch.index,
        found=batch.index >= 0,
        p_kw=plan.p_kw[[0] * 4],
        q_kvar=plan.q_kvar[[0] * 4],
        source_v_pu=plan.source_v_pu[[0] * 4],
    )
    seen = engine.observe(batch, told)
    assert seen.converged.all()
    engine.close()
    return seen.v_pu.tobytes() + seen.current_a.tobytes() + seen.der_p_kw.tobytes()


# ---------------------------------------------------------------------------------- names

WORST = {
    "source": "[bold]src", "one": "b,1", "two": "<b>bÜ 2", "far": "@b%3{}", "switch": "sw 0.a=b",
    "line": "[red]l.12 'x'", "load": "d=4 [2].1",
}  # fmt: skip


@pytest.mark.parametrize("per_phase", ["false", "true"])
def test_a_feeder_with_the_worst_names_is_the_plainly_named_one(tmp_path, per_phase) -> None:
    plain, worst = tmp_path / "plain", tmp_path / "worst"
    plain.mkdir()
    worst.mkdir()
    asked = f"campaign.per_phase={per_phase}"
    expected = answer_of(written(plain, PLAIN), asked)
    assert answer_of(written(worst, WORST, der="g.1=<i>"), asked) == expected


names = st.text(
    st.sampled_from("abz09 .=%()[]{}<>&,;:!@#$~^*+-_/\\|?'üÄβ中"), min_size=1, max_size=8
).map(str.strip)  # OpenDSS strips names itself


@given(data=st.data())
@settings(
    max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_a_name_is_read_as_written(tmp_path, data) -> None:
    def drawn(key: str) -> str:
        name = data.draw(names.filter(bool), label=key)
        if key in ("source", "one", "two", "far"):
            name = name.split(".")[0] + key  # a bus's name ends at its first dot
        return f"{name}{key}"

    chosen = {key: drawn(key) for key in PLAIN}
    study = written(tmp_path, chosen)
    feeder = load_study(study).scenario.feeder
    assert feeder.lines.ids == (chosen["switch"].lower(), chosen["line"].lower(), "tie")
    assert set(feeder.buses.ids) == {chosen[k].lower() for k in ("source", "one", "two", "far")}
    assert feeder.loads.ids == ("one", chosen["load"].lower())
    OpenDssEngine(load_study(study).scenario).close()


def test_the_whole_way_with_the_worst_names(tmp_path) -> None:
    study, out = written(tmp_path, WORST, der="g.1=<i>"), tmp_path / "out"
    ended = invoked("run", str(study), "--out", str(out), "--json")
    assert ended.exit_code == 0, ended.stderr
    figures = json.loads(ended.stdout)
    assert figures["campaign"]["outcomes"]["feasible"] == 6
    assert figures["plan"]["ders"]["g.1=<i>"]["bus"] == "<b>bü 2"
    told = invoked("report", str(out))
    assert told.exit_code == 0, told.stderr
    assert "<b>bü 2" in told.stdout  # a table of words, no markup
    assert "<b>bü" not in (out / "report" / "report.html").read_text(encoding="utf-8")


def test_a_name_in_another_encoding_is_refused_with_its_line(tmp_path) -> None:
    study = written(tmp_path, PLAIN | {"line": "lü"})
    feeder = tmp_path / "f.dss"
    feeder.write_bytes(feeder.read_text(encoding="utf-8").encode("latin-1"))
    ended = invoked("plan", str(study))
    assert ended.exit_code == 2
    assert "f.dss, line 4" in ended.stderr
    assert "save the file as UTF-8" in ended.stderr


def test_a_comment_in_another_encoding_is_none_of_our_business(tmp_path) -> None:
    study = written(tmp_path, PLAIN, extra="! gehört dazu")
    feeder = tmp_path / "f.dss"
    feeder.write_bytes(feeder.read_text(encoding="utf-8").encode("latin-1"))
    assert invoked("plan", str(study)).exit_code == 0


# ------------------------------------------------------------------------------- disabled

DISABLED = {
    "generator": "New Generator.x bus1=b2 kv=4.16 kw=50 enabled=no",
    "pvsystem": "New PVSystem.x bus1=b2 kv=4.16 kva=50 pmpp=50\nPVSystem.x.enabled=no",
    "storage": "New Storage.x bus1=b2 kv=4.16 kwrated=50\nDisable Storage.x",
    "reactor": "New Reactor.x bus1=b2 kv=4.16 kvar=50 enabled=no",
    "capacitor": "New Capacitor.x bus1=b2 kv=4.16 kvar=600 enabled=no",
    "line": "New Line.x bus1=b1 bus2=b3 r1=0.1 x1=0.1 enabled=no",
    "line to nowhere": "New Line.x bus1=b1 bus2=nowhere enabled=no",
    "load": "New Load.x bus1=b2 kv=4.16 kw=900 enabled=no",
    "load at its own bus": "New Load.x bus1=nowhere kv=4.16 kw=900 enabled=no",
    "transformer": "New Transformer.x buses=(b1 b2) kvs=(4.16 4.16) enabled=no",
    "source": "New Vsource.x bus1=b2 basekv=4.16 enabled=no",
    "fault": "New Fault.x bus1=b2 r=0.001 enabled=no",
    "isource": "New Isource.x bus1=b2 amps=9 enabled=no",
    "control": "New SwtControl.x SwitchedObj=Line.tie enabled=no",
    "namesake": "Set AllowDuplicates=yes\nNew Load.d bus1=b1 kv=4.16 kw=900 enabled=no",
    "namesake before": "Set AllowDuplicates=yes\nNew Line.l bus1=b1 bus2=b3 enabled=no",
}


@pytest.mark.parametrize("kind", DISABLED)
def test_a_disabled_element_does_not_exist(tmp_path, kind) -> None:
    without, withit = tmp_path / "without", tmp_path / "with"
    without.mkdir()
    withit.mkdir()
    study = written(withit, PLAIN, extra=DISABLED[kind])
    if "before" in kind:
        path = withit / "f.dss"
        lines = path.read_text().splitlines()
        lines.remove(DISABLED[kind].splitlines()[1])
        lines.remove("Set AllowDuplicates=yes")
        lines[2:2] = DISABLED[kind].splitlines()
        path.write_text("\n".join(lines))
    bare = written(without, PLAIN)
    assert load_study(study).scenario.digest() == load_study(bare).scenario.digest()
    assert answer_of(study) == answer_of(bare)
    assert answer_of(study, "campaign.per_phase=true") == answer_of(bare, "campaign.per_phase=true")


# ------------------------------------------------------------------------------ overrides


@pytest.mark.parametrize(
    ("entry", "path", "value"),
    [
        ("a.b=1", ["a", "b"], "1"),
        (' a . b = "x=y" ', ["a", "b"], '"x=y"'),
        ('ders.fleet."g.1".ramp=0.2', ["ders", "fleet", "g.1", "ramp"], "0.2"),
        ("ders.fleet.'g=\"1'.ramp=0.2", ["ders", "fleet", 'g="1', "ramp"], "0.2"),
        ('devices.at."a\\"b"=[::1]:5', ["devices", "at", 'a"b'], "[::1]:5"),
        ("a.b", [], ""),
        ("", [], ""),
    ],
)
def test_entries_are_taken_apart_as_toml_has_keys(entry, path, value) -> None:
    assert split_entry(entry) == (path, value)


written_keys = st.text(st.characters(exclude_categories=("Cc", "Cs")), min_size=1, max_size=6)


@given(parts=st.lists(written_keys, min_size=2, max_size=4))
def test_every_path_can_be_written(parts) -> None:
    parts = [part.strip() or "x" for part in parts]
    assert split_entry(f"{dotted(parts)}=1") == (parts, "1")


def test_a_der_with_a_dot_is_reached_and_named(tmp_path) -> None:
    study = written(tmp_path, PLAIN, der="g.1")
    entry = 'ders.fleet."g.1".capacity_kw'
    assert load_study(study, [f"{entry}=90"]).config.ders.fleet["g.1"].capacity_kw == 90
    with pytest.raises(ConfigError, match=r'--set ders.fleet."g.1".capacity_kw = -3 must be'):
        load_study(study, [f"{entry}=-3"])
    assert Axis.parse(f"{entry}=90,100").values == ("90", "100")
    _, _, faults = apply_overrides({}, [f"{Axis.parse(f'{entry}=1').key}=1"], "s")
    assert not faults


@pytest.mark.parametrize("der", ["g", "g.1", "g=1", 'g"1', "ü 1"])
def test_a_device_is_given_to_any_der(tmp_path, der) -> None:
    study = written(tmp_path, PLAIN, der=der)
    config = load_study(study, [device_entry(f"{der}=[::1]:5020")]).config
    assert dict(config.devices.at) == {der.lower(): "[::1]:5020"}


@pytest.mark.parametrize(
    ("address", "found"),
    [
        ("127.0.0.1:5020", ("127.0.0.1", 5020)),
        ("[::1]:5020", ("::1", 5020)),
        ("[fe80::1%eth0]:1", ("fe80::1%eth0", 1)),
        ("node-7.lan:65535", ("node-7.lan", 65535)),
        ("::1:5020", None), ("[::1]", None), ("host", None), ("host:0", None), (":1", None),
        ("host:65536", None), ("a b:1", None), ("[x]:1", None),
    ],
)  # fmt: skip
def test_addresses(address, found) -> None:
    assert host_and_port(address) == found


# -------------------------------------------------------------------------------- editors


def test_byte_order_marks_and_carriage_returns(tmp_path) -> None:
    study, plan = written(tmp_path, PLAIN), tmp_path / "p.json"
    assert invoked("plan", str(study), "--out", str(plan)).exit_code == 0
    digest = load_study(study).scenario.digest()
    for path in (study, plan, tmp_path / "f.dss"):
        text = path.read_text(encoding="utf-8").replace("\n", "\r\n")
        path.write_bytes(b"\xef\xbb\xbf" + text.encode())
    assert load_study(study).scenario.digest() == digest
    ended = invoked("check", str(plan), str(study))
    assert ended.exit_code == 0, ended.stderr
    assert "made for this study" in ended.stdout


def test_a_history_with_a_latin_1_column_that_is_not_read(tmp_path) -> None:
    study = written(tmp_path, PLAIN)
    text = study.read_text() + 'sampler = "empirical"\nhistory = "h.csv"\n'
    study.write_text(text + 'history_unit = "multiplier"\n')
    rows = "time,d,gemeint für\r\n1,1.1,schön\r\n2,0.9,\xe4\r\n"
    (tmp_path / "h.csv").write_bytes(b"\xef\xbb\xbf" + rows.encode("latin-1"))
    assert load_study(study).sampler.history.ravel().tolist() == pytest.approx([0.5, -0.5])
    rows = rows.replace("1.1", "1.1\xe4")
    (tmp_path / "h.csv").write_bytes(rows.encode("latin-1"))
    ended = invoked("plan", str(study))
    assert ended.exit_code == 2
    assert "row 2, column d" in ended.stderr
    assert "\\xe4" in ended.stderr


# ----------------------------------------------------------------------------------- pipes


def test_a_study_on_standard_input(tmp_path, monkeypatch) -> None:
    study, out = written(tmp_path, PLAIN), tmp_path / "out"
    monkeypatch.chdir(tmp_path)
    ended = invoked("run", "-", "--out", str(out), "--json", input=study.read_text())
    assert ended.exit_code == 0, ended.stderr
    assert json.loads(ended.stdout)["campaign"]["outcomes"]["feasible"] == 6
    again = invoked("report", str(out), "--json")
    assert again.exit_code == 0, again.stderr
    swept = invoked(
        "sweep", "-", "--over", "campaign.seed=1,2", "--out", str(tmp_path / "w"), "--json",
        input=study.read_text(),
    )  # fmt: skip
    assert swept.exit_code == 0, swept.stderr  # read once, loaded for every point
    empty = invoked("plan", "-", input="")
    assert empty.exit_code == 2
    assert "nothing came through the pipe" in empty.stderr
    bad = invoked("plan", "-", input="[feeder\n")
    assert bad.exit_code == 2
    assert "standard input: not valid TOML" in bad.stderr


@pytest.mark.skipif(os.name == "nt", reason="named pipes are another thing there")
def test_a_study_from_a_named_pipe(tmp_path) -> None:
    study, pipe = written(tmp_path, PLAIN), tmp_path / "pipe"
    os.mkfifo(pipe)
    program = [sys.executable, "-m", "gridproof", "plan", str(pipe), "--json"]
    root = Path(__file__).parents[3]
    with subprocess.Popen(
        program,
        cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": str(root)},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
    ) as running:
        pipe.write_text(study.read_text())
        out, err = running.communicate(timeout=120)
    assert running.returncode == 0, err.decode()
    assert json.loads(out)["plan"]["certified"]


@pytest.mark.skipif(os.name == "nt", reason="a folder in use cannot be deleted there")
def test_a_deleted_working_directory_is_one_message(tmp_path) -> None:
    """In a process of its own: the library must not even be loaded there."""
    study, gone = written(tmp_path, PLAIN), tmp_path / "gone"
    gone.mkdir()
    root = Path(__file__).parents[3]
    program = (
        "import os, sys, runpy; os.chdir(sys.argv[1]); os.rmdir(sys.argv[1]); "
        "sys.argv[1:] = ['plan', sys.argv[2]]; runpy.run_module('gridproof', run_name='__main__')"
    )
    ended = subprocess.run(
        [sys.executable, "-c", program, str(gone), str(study)],
        env={**os.environ, "PYTHONPATH": str(root)},
        capture_output=True,
        timeout=120,
        check=False,
    )
    assert ended.returncode == 2, ended.stderr.decode()
    assert ended.stderr.decode().strip().startswith("error: the working directory is not there")


# ----------------------------------------------------------------------------------- erred


class Scaled(OpenDssEngine):
    """An engine whose circuit has a setting that nobody refused."""

    @on_engine_thread
    def hold(self, plan, time=0) -> None:
        super().hold(plan, time)
        self._circuit.text("set loadmult=1.5")


def test_what_errs_is_named_and_the_exit_code_says_so(tmp_path, monkeypatch) -> None:
    monkeypatch.setitem(study_jobs._ENGINES, "ac", Scaled)
    study, out = written(tmp_path, PLAIN), tmp_path / "out"
    ended = invoked("run", str(study), "--out", str(out), "--json")
    assert ended.exit_code == 5
    campaign = json.loads(ended.stdout)["campaign"]
    assert campaign["outcomes"]["erred"] == 6
    assert campaign["erred"]["first"] == 0
    said = campaign["erred"]["said"]
    assert "load one at bus b1 draws 135 of 90 kW (2 of 2 loads are off)" in said
    assert "a setting of the feeder file scales it" in said
    shown = invoked("report", str(out))
    assert "6 of 6 realizations erred" in shown.stdout
    assert "load one at bus b1" in " ".join(shown.stdout.split())
    page = (out / "report" / "report.html").read_text(encoding="utf-8")
    assert "load one at bus b1" in page
    other = tmp_path / "other"
    again = invoked("run", str(study), "--out", str(other), "-q", "--set", "campaign.batch=1")
    assert again.exit_code == 5
    assert next(other.glob("parts/*")).read_bytes() == next(out.glob("parts/*")).read_bytes()


def test_a_load_outside_its_band_is_named(tmp_path) -> None:
    scenario = load_study(written(tmp_path, PLAIN)).scenario
    plan = make_planner("partitioning", {}).plan(scenario)
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    batch = draw(scenario, 3, 0, 1)
    told = Setpoints(
        index=batch.index,
        found=batch.index >= 0,
        p_kw=plan.p_kw,
        q_kvar=plan.q_kvar,
        source_v_pu=plan.source_v_pu,
    )
    assert engine.explain(batch, told) == ""
    handle = engine._elements.loads[1]
    number = on_engine_thread(engine._circuit.property_number)("load", "kv")
    on_engine_thread(engine._circuit.set_number)(handle, number, 12.47)  # as where it was left out
    table = engine._elements.load_table
    rated = replace(table, rated_v=np.array([table.rated_v[0], 12470.0]))
    engine._elements = replace(engine._elements, load_table=rated)
    engine.hold(plan)
    said = engine.explain(batch, told)
    assert "load d at bus b2" in said
    assert "(1 of 2 loads are off)" in said
    assert "at 0.186 of its rated voltage: outside 0.5 to 1.5" in said
    on_engine_thread(engine._circuit.set_number)(handle, number, 2.4)
    engine._elements = replace(engine._elements, load_table=table)
    engine.hold(plan)
    assert engine.explain(batch, told) == ""
    engine.close()


def test_a_der_that_gives_less_than_told_is_named(tmp_path) -> None:
    study = written(tmp_path, PLAIN)
    row = 'h = { bus = "b3", capacity_kw = 60, can_form = false }'
    more = f"[ders.fleet]\n{row}\n"
    study.write_text(study.read_text().replace("[ders.fleet]\n", more))
    scenario = load_study(study).scenario
    plan = make_planner("partitioning", {}).plan(scenario)
    engine = OpenDssEngine(scenario)
    engine.hold(plan)
    batch = draw(scenario, 3, 0, 1)
    told = Setpoints(
        index=batch.index,
        found=batch.index >= 0,
        p_kw=np.where(scenario.ders.phases, [[[9.0] * 3, [12.0] * 3]], 0.0),
        q_kvar=plan.q_kvar,
        source_v_pu=plan.source_v_pu,
    )
    assert engine.explain(batch, told) == ""
    on_engine_thread(engine._circuit.text)("set genmult=0.5")
    engine.hold(plan)
    der = scenario.ders.ids[int(np.flatnonzero(~plan.grid_forming[0])[0])]
    assert engine.explain(batch, told).startswith(f"DER {der}, phase a, gives ")
    engine.close()
