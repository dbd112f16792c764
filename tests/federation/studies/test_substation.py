"""A substation that is not lost: a former with its own impedance, at a price, with a rating."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.adapters.onm import plan_from_onm
from gridproof.federation.cli.main import app
from gridproof.federation.records.summary import plan_summary
from gridproof.federation.reports.terminal import plan_view
from gridproof.federation.studies.study import Study, load_study
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.audit import audit
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.realization import draw
from typer.testing import CliRunner

CIRCUIT = """clear
new circuit.kept bus1=s basekv=12.47 pu=1.02 angle=30 MVAsc3=60 MVAsc1=50 x1r1=3 x0r0=2
new line.sw bus1=s bus2=m r1=0.05 x1=0.1 r0=0.1 x0=0.3 c1=0 c0=0 length=1 normamps=400 switch=y
new line.l1 bus1=m bus2=n r1=0.2 x1=0.4 r0=0.5 x0=1.1 c1=0 c0=0 length=1 normamps=400
new line.l2 bus1=n bus2=e r1=0.2 x1=0.4 r0=0.5 x0=1.1 c1=0 c0=0 length=1 normamps=400 switch=y
new load.a bus1=n kv=12.47 kw=600 kvar=150
new load.b bus1=e kv=12.47 kw=300 kvar=100
set voltagebases=[12.47]
calcvoltagebases
solve
"""

STUDY = """[feeder]
path = "feeder.dss"
{locked}
[substation]
{substation}
[ders.defaults]
reactive_limit = 0.75
ramp = 0.3
cost_usd_per_kw = 1
redispatch_cost_usd_per_kw = 1
[ders.fleet]
{fleet}
[uncertainty]
loads = ["a"]
spread = 0.1
[campaign]
samples = 20
seed = 1
"""

SMALL = 'der = { bus = "n", capacity_kw = 100 }'
FAR = 'der = { bus = "e", capacity_kw = 400 }'


@pytest.fixture
def study(tmp_path):
    def make(substation: str = "", *, locked: str = "", fleet: str = SMALL) -> Study:
        (tmp_path / "feeder.dss").write_text(CIRCUIT)
        text = STUDY.format(locked=locked, substation=substation, fleet=fleet)
        (tmp_path / "study.toml").write_text(text)
        return load_study(tmp_path / "study.toml")

    return make


def planned(study: Study, **options):
    return make_planner("partitioning", options).plan(study.scenario)


# ------------------------------------------------------------------------- what is lost


def test_a_substation_feeds_unless_locked_open_switches_leave_it_no_load(study) -> None:
    assert study().scenario.ders.ids == ("der", "s")
    for lost in (
        study(locked='locked_open = ["sw"]'),
        study("lost = true"),
    ):
        assert lost.scenario.ders.ids == ("der",)
        assert lost.scenario.ders.substations is None
    assert study(locked='locked_open = ["l2"]').scenario.ders.ids == ("der", "s")
    insists = study("lost = false", locked='locked_open = ["sw"]').scenario
    assert insists.ders.is_substation.tolist() == [False, True]


def test_saying_that_it_is_lost_changes_no_digest_and_no_fingerprint(study) -> None:
    silent = study(locked='locked_open = ["sw"]')
    told = study("lost = true\nrating_kva = 5.0", locked='locked_open = ["sw"]')
    assert told.scenario.digest() == silent.scenario.digest()
    assert told.fingerprint == silent.fingerprint
    digests = {
        study(text).scenario.digest()
        for text in ("", "rating_kva = 1e3", "cost_usd_per_kw = 1.0", "lost = true")
    }
    assert len(digests) == 4


def test_the_source_s_own_impedance_and_voltage_are_part_of_the_digest(study, tmp_path) -> None:
    before = study().scenario.digest()
    file = tmp_path / "feeder.dss"
    for old, new in (("MVAsc3=60", "MVAsc3=70"), ("pu=1.02", "pu=1.01")):
        file.write_text(CIRCUIT.replace(old, new))
        assert load_study(tmp_path / "study.toml").scenario.digest() != before


def test_faults_name_what_to_change(study) -> None:
    with pytest.raises(ConfigError, match="has the name of the substation's bus"):
        study(fleet='s = { bus = "n", capacity_kw = 100 }')
    with pytest.raises(ConfigError, match="rating_kva"):
        study("rating_kva = 0.0")
    with pytest.raises(ConfigError, match="the substation is lost"):
        study("lost = true", fleet="")
    assert study(fleet="").scenario.ders.ids == ("s",)  # a substation alone can form


def test_two_sources_that_no_switch_parts_are_named(study, tmp_path) -> None:
    study()
    second = "new vsource.second bus1=m basekv=12.47 pu=1.02 angle=30\nset voltagebases"
    (tmp_path / "feeder.dss").write_text(CIRCUIT.replace("set voltagebases", second))
    apart = load_study(tmp_path / "study.toml")  # the switch sw parts them
    assert apart.scenario.ders.ids == ("der", "s", "m")
    plan = planned(apart)
    assert plan.energized.all()
    assert plan.grid_forming[0].tolist() == [False, True, True]
    joined = ['feeder.switches=["l2"]']
    with pytest.raises(ConfigError, match="leaves the sources at buses s, m joined"):
        load_study(tmp_path / "study.toml", joined)
    both = load_study(tmp_path / "study.toml", [*joined, "limits.grid_forming_per_island=2"])
    assert both.scenario.ders.ids == ("der", "s", "m")


# ------------------------------------------------------------------------------ planning


def test_a_free_substation_serves_everything_and_costs_nothing(study) -> None:
    kept = study()
    plan = planned(kept)
    assert plan.proof.certified
    assert plan.costs["objective"] == pytest.approx(0.0, abs=1e-6)
    assert plan.energized.all()
    assert plan.grid_forming[0].tolist() == [False, True]
    assert plan.source_v_pu[0, 1] == pytest.approx(1.02)
    assert plan.p_kw[0, 1].sum() == pytest.approx(900.0)
    assert audit(plan, kept.scenario) == ()


@pytest.mark.parametrize("method", ["column_and_constraint", "cutting_plane"])
def test_prices_and_rating_decide_as_by_hand(study, method) -> None:
    """Grid at 2, a DER of 100 kW at 1 USD: 2·800 + 100, and 60 kW of re-dispatch at 0.5."""
    priced = study("cost_usd_per_kw = 2.0\nredispatch_cost_usd_per_kw = 0.5")
    plan = planned(priced, method=method, gap=1e-6)
    assert plan.proof.certified
    assert plan.costs["objective"] == pytest.approx(1700.0 + 30.0, rel=1e-5)
    # at 700 kVA the two together carry no 900 kW; without load b, 600 and 60 more they do
    rated = planned(study("rating_kva = 700.0"), method=method, gap=1e-6)
    live = dict(zip(rated.block_ids, rated.energized[0].tolist(), strict=True))
    assert live == {"s": True, "m": True, "e": False}
    assert rated.costs["shed"] == pytest.approx(10_010.0)


def test_an_island_of_a_der_s_own_stands_beside_the_substation_s(study) -> None:
    apart = study(fleet=FAR, locked='locked_open = ["l2"]')
    plan = planned(apart)
    assert plan.proof.certified
    assert plan.energized.all()
    assert plan.grid_forming[0].tolist() == [True, True]
    closed = dict(zip(plan.switch_ids, plan.closed[0].tolist(), strict=True))
    assert closed == {"sw": True, "l2": False}
    assert plan.costs["objective"] == pytest.approx(300.0)
    assert audit(plan, apart.scenario) == ()


def test_no_der_forms_in_a_substation_s_stead(study, tmp_path) -> None:
    """Below the band the grid serves nobody; its block stays dark, and the rest is the DER's."""
    study(fleet='der = { bus = "n", capacity_kw = 1500 }')
    (tmp_path / "feeder.dss").write_text(CIRCUIT.replace("pu=1.02", "pu=0.90"))
    plan = planned(load_study(tmp_path / "study.toml"))
    live = dict(zip(plan.block_ids, plan.energized[0].tolist(), strict=True))
    assert live == {"s": False, "m": True, "e": True}
    assert plan.grid_forming[0].tolist() == [True, False]


# ----------------------------------------------------------------------- file and audit


def test_a_plan_survives_its_file_and_an_older_one_without_the_row_is_read(study) -> None:
    scenario = study().scenario
    plan = planned(study())
    again = plan_from_json(plan_to_json(plan), scenario)
    assert plan_to_json(again) == plan_to_json(plan)
    older = json.loads(plan_to_json(plan))
    del older["ders"]["s"]
    read = plan_from_json(json.dumps(older), scenario)
    assert not read.grid_forming[0, 1]
    assert np.isnan(read.source_v_pu[0, 1])
    assert any("substation s does not form" in fault for fault in audit(read, scenario))
    del older["ders"]["der"]
    with pytest.raises(ConfigError, match=r"ders\.der is missing"):
        plan_from_json(json.dumps(older), scenario)


def test_the_audit_finds_another_voltage_and_a_second_former(study) -> None:
    scenario = study().scenario
    plan = planned(study())
    other = replace(plan, source_v_pu=np.array([[np.nan, 1.0]]))
    assert [fault for fault in audit(other, scenario) if "holds 1.0 pu" in fault]
    two = replace(plan, grid_forming=np.ones((1, 2), bool), source_v_pu=np.array([[1.0, 1.02]]))
    assert [fault for fault in audit(two, scenario) if "holds 2 grid-forming" in fault]


def test_people_are_told_who_forms(study) -> None:
    kept = study()
    facts = plan_summary(planned(kept), kept.scenario)
    assert facts.ders["s"].role == "substation"
    assert facts.ders["s"].capacity_kw is None
    assert facts.islands[0].capacity_kw is None
    from rich.console import Console

    console = Console(width=100)
    with console.capture() as said:
        console.print(plan_view(facts))
    assert "s (substation)" in said.get()
    rated = study("rating_kva = 2000.0")
    facts = plan_summary(planned(rated), rated.scenario)
    assert facts.islands[0].capacity_kw == pytest.approx(2100.0)


# --------------------------------------------------------------------- another tool's plan


def partition(*formers: str) -> str:
    states = {"line.sw": "CLOSED", "line.l2": "CLOSED"}
    one = {"rank": 1, "grid_forming_devices": list(formers), "configuration": states}
    return json.dumps([one])


def test_a_partition_that_the_substation_feeds_is_fed_by_it(study) -> None:
    scenario = study().scenario
    plan = plan_from_onm(partition("vsource.source"), scenario)
    assert plan.energized.all()
    assert plan.grid_forming[0].tolist() == [False, True]
    assert audit(plan, scenario) == ()


def test_a_partition_that_a_lost_substation_feeds_is_refused(study) -> None:
    lost = study(locked='locked_open = ["sw"]').scenario
    with pytest.raises(ConfigError, match="alone forms, and the study has lost its substation"):
        plan_from_onm(partition("vsource.source"), lost)


def test_the_grid_takes_the_whole_mismatch_under_fixed_factors(study) -> None:
    scenario = study().scenario
    plan = planned(study())
    draws = draw(scenario, 3, 0, 8)
    answer = make_recourse("participation", plan, scenario, 0).respond(draws)
    np.testing.assert_array_equal(answer.p_kw[:, 0], np.tile(plan.p_kw[0, 0], (8, 1)))
    asked = draws.p_kw[:, 0].sum(axis=(1, 2))
    np.testing.assert_allclose(answer.p_kw.sum(axis=(1, 2)), asked)


def test_nobody_commands_the_substation(study, tmp_path) -> None:
    study()
    with pytest.raises(ConfigError, match=r"at\.s: this is the substation"):
        load_study(tmp_path / "study.toml", ['devices.at.s="127.0.0.1:1502"'])


def test_run_says_so(study, tmp_path, monkeypatch) -> None:
    study()
    monkeypatch.chdir(tmp_path)
    said = CliRunner().invoke(app, ["run", str(tmp_path / "study.toml"), "--json"])
    assert said.exit_code == 0, said.output
    facts = json.loads(said.stdout)
    assert facts["campaign"]["outcomes"]["feasible"] == 20
    assert facts["plan"]["islands"][0]["grid_forming"] == ["s"]
    assert facts["plan"]["served_kw"] == pytest.approx(900.0)
    assert Path(tmp_path / "campaigns").is_dir()
