"""A feeder file without a study: what is said of it, and the study that is proposed."""

from __future__ import annotations

import json
import tomllib
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.cli.main import app
from gridproof.federation.inquiries.feeder_facts import feeder_facts
from gridproof.federation.inquiries.feeder_study import propose, study_text
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError
from gridproof.simulator.reader.feeder import read_feeder
from gridproof.simulator.reader.machines import machines_of
from gridproof.simulator.reader.refusals import condensed
from typer.testing import CliRunner

TOWN = """Clear
New Circuit.town bus1=s basekv=12.47 pu=1.01
New Line.gate bus1=s bus2=a {switch} r1=0.01 x1=0.01 r0=0.01 x0=0.01 c1=0 c0=0 length=1
New Line.ab bus1=a bus2=b r1=0.3 x1=0.6 r0=0.8 x0=1.9 c1=9 c0=4 length=1 units=km normamps=300
New Line.bc bus1=b bus2=c r1=0.3 x1=0.6 r0=0.8 x0=1.9 c1=9 c0=4 length=1 units=km normamps=300
New Line.tie bus1=b bus2=c enabled=no r1=0.3 x1=0.6
New Transformer.t phases=1 windings=3 buses=(c.2 h.1.0 h.0.2) kvs=(7.2 0.12 0.12)
~ kvas=(25 25 25) %Rs=(0.6 1.2 1.2) xhl=2.04 xht=2.04 xlt=1.36
New Load.a bus1=a kv=12.47 kw=300 kvar=90
New Load.b bus1=b kv=12.47 kw=300 kvar=90 model=4 cvrwatts=0.8 cvrvars=3
New Load.c bus1=c kv=12.47 kw=300 kvar=90
New Load.home bus1=h.1.2 phases=1 conn=delta kv=0.24 kw=8 kvar=2
{machines}
Set VoltageBases=[12.47 0.208]
CalcVoltageBases
Solve
"""
MACHINES = """New Generator.diesel bus1=b kv=12.47 kw=900 kva=1000
New PVSystem.roof bus1=h.1.2 phases=1 conn=delta kv=0.24 kva=5 pmpp=5
New Storage.pack bus1=c.1 phases=1 kv=7.2 kwrated=60 kwhrated=120
"""


@pytest.fixture
def town(tmp_path: Path):
    def write(switch: str = "switch=yes", machines: str = MACHINES) -> Path:
        path = tmp_path / "town.dss"
        path.write_text(TOWN.format(switch=switch, machines=machines))
        return path

    return write


def proposed(path: Path, lost: str = ""):
    feeder, machines = read_feeder(path), machines_of(path)
    facts = feeder_facts(feeder, machines)
    return propose(feeder, facts, machines, lost), facts


def test_what_is_in_a_file(town):
    facts = feeder_facts(read_feeder(town()))
    assert facts.nodes == 4 * 3 + 2
    assert facts.load_kw == pytest.approx(908.0)
    assert facts.elements["service transformers"] == 1
    assert facts.elements["storage (passed over)"] == 1
    assert facts.switches == {"gate": True}
    assert [(one.block, one.load_kw, one.machines_kw) for one in facts.blocks] == [
        ("s", 0.0, 0.0),
        ("a", pytest.approx(908.0), pytest.approx(965.0)),
    ]
    assert facts.agreement.columns_pu < 1e-6
    assert facts.agreement.engine_pu < 1e-5
    assert facts.agreement.linear_pu < 5e-3
    assert not facts.agreement.remarks
    assert 0.0 < facts.losses_kw < 30.0
    assert json.dumps(facts.to_json())


def test_the_files_machines_are_proposed(town):
    proposal, _ = proposed(town(), lost="gate")
    assert proposal.lost == "gate"
    by_name = {der.name: der for der in proposal.ders}
    assert by_name["diesel"].can_form
    assert (by_name["diesel"].capacity_kw, by_name["diesel"].rating_kva) == (900.0, 1000.0)
    assert (by_name["pack"].phases, by_name["pack"].can_form) == ("a", False)
    assert "roof" not in by_name  # on a split-phase service
    assert any("1 of the file's 3 machines" in doubt for doubt in proposal.doubts)


def test_switches_are_proposed_where_there_are_none(town):
    proposal, _ = proposed(town(switch=""))
    assert set(proposal.assumed_switches) <= {"gate", "ab", "bc"}
    assert {"ab", "bc"} <= set(proposal.assumed_switches)
    assert any("no switch" in doubt for doubt in proposal.doubts)


def test_a_former_is_assumed_where_the_file_has_none(town):
    proposal, _ = proposed(town(machines=""), lost="Line.gate")
    (der,) = proposal.ders
    assert der.can_form
    assert der.bus == "c"  # its block has the most load of those the proposed switches leave
    assert der.capacity_kw == 422.0  # 1.3 times thrice 108 kW, its largest phase, rounded up
    assert any("assumed" in doubt for doubt in proposal.doubts)


def test_a_line_that_is_not_there_cannot_be_lost(town):
    with pytest.raises(ConfigError, match="--lost gatee"):
        proposed(town(), lost="gatee")


@pytest.mark.parametrize("lost", ["", "gate"])
def test_the_study_that_is_written_runs_to_a_verdict(town, tmp_path, monkeypatch, lost):
    path = town()
    monkeypatch.chdir(tmp_path)
    asked = ["init", str(path), "--json", *(["--lost", lost] if lost else [])]
    made = CliRunner().invoke(app, asked)
    assert made.exit_code == 0, made.output
    study = tmp_path / "town.toml"
    assert json.loads(made.stdout)["proposal"]["lost"] == lost
    raw = tomllib.loads(study.read_text())
    assert raw["feeder"]["path"] == "town.dss"
    assert load_study(study).scenario.feeder.switch_ids[0] == "gate"
    few = ["run", str(study), "--set", "campaign.samples=20", "--json", "-q"]
    ran = CliRunner().invoke(app, few)
    assert ran.exit_code == 0, ran.output
    outcomes = json.loads(ran.stdout)["campaign"]["outcomes"]
    assert sum(outcomes.values()) == 20
    assert outcomes["erred"] == 0


def test_a_study_that_is_there_is_not_written_over(town, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "town.toml").write_text("mine")
    again = CliRunner().invoke(app, ["init", str(town())])
    assert again.exit_code == 2
    assert (tmp_path / "town.toml").read_text() == "mine"


def test_feeder_says_it_in_tables(town):
    said = CliRunner().invoke(app, ["feeder", str(town())])
    assert said.exit_code == 0, said.output
    for words in ("908.0 kW", "service transformers", "columns against OpenDSS", "gate"):
        assert words in said.stdout


def test_names_of_the_file_pass_into_the_study_whole(town):
    path = town()
    odd = path.with_name("odd.dss")
    odd.write_text(path.read_text().replace("Load.a ", '"Load.a\'s #1" '))
    proposal, facts = proposed(odd)
    raw = tomllib.loads(study_text(proposal, "odd.dss", facts))
    assert "a's #1" in raw["uncertainty"]["loads"]


def test_refusals_of_a_kind_are_one_line():
    many = [f"f.dss: Load.l{k}: stands on nodes ({k}, 9); no" for k in range(900)]
    few = ["f.dss: Line.x: joins a and b", "f.dss: Set LoadMult = 2 must be 1"]
    said = condensed([*many, *few])
    assert len(said) == 3
    assert said[0].startswith(many[0])
    assert "900 such, also Load.l1, Load.l2" in said[0]
    assert said[1:] == few
    assert condensed(many[:3]) == many[:3]


def test_lines_without_a_rating_are_told_and_held_to_none(town, tmp_path, monkeypatch):
    path = town()
    facts = feeder_facts(read_feeder(path))
    assert facts.unrated_lines == ("gate",)
    proposal, _ = proposed(path)
    assert any("1 of 3 lines have no rating in the file" in doubt for doubt in proposal.doubts)
    monkeypatch.chdir(tmp_path)
    assert CliRunner().invoke(app, ["init", str(path)]).exit_code == 0
    asked = ["plan", "town.toml", "--set", "feeder.locked_open=[]"]
    said = CliRunner().invoke(app, [*asked, "--json", "-q"])
    assert said.exit_code == 0, said.output
    assert json.loads(said.stdout)["plan"]["unrated_lines"] == ["gate"]
    shown = CliRunner().invoke(app, [*asked, "-q"])
    assert "gate: the file states no rating, none is held" in " ".join(shown.stdout.split())
    rated = ["--set", "limits.line_rating_a=400", "--json", "-q"]
    said = CliRunner().invoke(app, [*asked, *rated])
    assert "unrated_lines" not in json.loads(said.stdout)["plan"]


def test_a_pv_system_gives_no_more_than_its_inverter(town):
    roof = "New PVSystem.roof bus1=h.1.2 phases=1 conn=delta kv=0.24 kva=5 pmpp=7"
    (machine,) = machines_of(town(machines=roof))
    assert machine.capacity_kw == 5.0
    assert machine.rating_kva == 5.0


def test_what_carries_more_than_its_rating_is_a_doubt(town):
    path = town(machines="")
    path.write_text(path.read_text().replace("kw=8 kvar=2", "kw=40 kvar=10"))
    proposal, facts = proposed(path)
    (worst, *_) = facts.overloads
    assert str(worst).startswith("transformer t carries")
    assert any("transformer t carries" in doubt for doubt in proposal.doubts)
    written = tomllib.loads(study_text(proposal, str(path), facts))["limits"]
    assert written["transformer_ratings_kva"]["t"] == np.ceil(1.4 * worst.carried)
    assert proposed(town())[1].overloads == ()


def test_where_the_flat_model_is_far_off_a_fed_study_stands_at_an_ac_state(town):
    from dataclasses import replace

    path = town()
    proposal, facts = proposed(path)
    far = replace(facts, agreement=replace(facts.agreement, linear_pu=0.03))
    assert "planner" not in tomllib.loads(study_text(proposal, path.name, facts))
    written = study_text(proposal, path.name, far)
    assert tomllib.loads(written)["planner"] == {"linearise": "ac"}
    study = path.with_suffix(".toml")
    study.write_text(written)
    assert load_study(study).scenario.linearisation is not None
    lost = replace(proposal, lost="gate")
    assert "planner" not in tomllib.loads(study_text(lost, path.name, far))


def test_a_switch_that_is_closed_in_a_loop_stays_a_line(town):
    """A radial plan would open it; what the file runs as a mesh is planned as one."""
    path = town()
    ring = "New Line.ring bus1=c bus2=a switch=yes r1=0.3 x1=0.6 r0=0.8 x0=1.9 c1=0 c0=0 length=1\n"
    path.write_text(path.read_text().replace("New Transformer.t", f"{ring}New Transformer.t"))
    proposal, facts = proposed(path)
    assert facts.switches == {"gate": True, "ring": True}
    assert proposal.switches == ("gate",)
    assert any("stand closed in loops" in doubt and "ring" in doubt for doubt in proposal.doubts)
    assert facts.agreement.linear_pu < 1e-2
    assert "ring" in proposed(path, lost="ring")[0].switches


def test_a_line_that_the_file_has_open_is_a_doubt(town):
    path = town()
    path.write_text(path.read_text() + "Open Line.bc 1\nSolve\n")
    doubts = proposed(path)[0].doubts
    assert any("1 lines stand open in the file and are no switches: bc" in one for one in doubts)
