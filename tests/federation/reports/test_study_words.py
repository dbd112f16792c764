"""What was run is said as it was run: overrides in the title, planner, limits and fleet."""

import csv
import json

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.reports.campaign_page import write_report
from gridproof.federation.reports.map_words import der_words
from gridproof.federation.reports.study_words import (
    _fleet,
    capability_table,
    study_facts,
    study_title,
)
from gridproof.federation.studies.study import load_study
from gridproof.federation.wording import title_as_run

SAID = ["campaign.samples=40", "uncertainty.spread=0.1", "uncertainty.spread=0.9",
        "planner.method=nominal", "limits.v_min_pu=0.97"]  # fmt: skip


def test_a_title_has_no_room_for_a_table():
    table = "ders.fleet.a.capability=[{p_kw=0,q_min_kvar=-40,q_max_kvar=60},{p_kw=100}]"
    title = title_as_run("toy", ["limits.v_min_pu=0.97", table])
    assert title.startswith(
        "toy; but run with limits.v_min_pu=0.97, ders.fleet.a.capability=[{p_kw"
    )
    assert title.endswith("…")
    assert len(title) < 110


@pytest.fixture(scope="module")
def toy(tmp_path_factory, write_toy):
    folder = tmp_path_factory.mktemp("said")
    study = load_study(write_toy(folder), SAID)
    return study, run_campaign(study, folder / "c", mode="local").store, folder


def test_title_and_facts_say_what_was_set(toy):
    study, store, _ = toy
    title, facts = study_title(store), dict(study_facts(store, study.scenario))
    assert title.endswith(
        "; but run with uncertainty.spread=0.9, planner.method=nominal, limits.v_min_pu=0.97"
    )
    assert "samples" not in title
    assert facts["overrides"].startswith("campaign.samples=40, uncertainty.spread=0.9, ")
    assert "method nominal" in facts["planner"]
    assert facts["limits"].startswith("0.970 to 1.050 pu")
    assert facts["fleet"].startswith(f"{len(study.scenario.ders.ids)} DERs, ")


@pytest.mark.slow
def test_they_stand_in_the_page_and_its_fleet_is_the_scenarios(toy):
    study, store, folder = toy
    page = write_report(store, study.scenario, folder / "report").read_text()
    assert f"<h1>{study_title(store)}</h1>" in page
    with (folder / "report" / "tables" / "fleet.csv").open() as file:
        rows = list(csv.DictReader(file))
    ders = study.scenario.ders
    assert [row["DER"] for row in rows] == list(ders.ids)
    assert [float(row["most, kW"]) for row in rows] == ders.p_max_kw.sum(axis=1).tolist()


CURVE = (
    "[{p_kw = 0, q_min_kvar = -60, q_max_kvar = 90}, "
    "{p_kw = 240, q_min_kvar = -60, q_max_kvar = 0}]"
)
BOUND = [f"ders.fleet.east.capability={CURVE}", "ders.fleet.west.power_factor=0.6"]


def test_what_binds_reactive_to_active_power_is_told_where_it_is_stated(tmp_path, write_toy):
    free = load_study(write_toy(tmp_path)).scenario
    assert capability_table(free) is None
    assert "with a" not in _fleet(free)
    scenario = load_study(write_toy(tmp_path), BOUND).scenario
    assert _fleet(scenario).endswith("1 with a least power factor, 1 with a capability curve")
    rows = capability_table(scenario).rows
    assert rows[:2] == (
        ("east", "capability curve", 0.0, -60.0, 90.0),
        ("east", "capability curve", 240.0, -60.0, 0.0),
    )
    assert rows[2] == ("west", "power factor 0.600", 0.0, 0.0, 0.0)
    assert rows[3] == ("west", "power factor 0.600", 90.0, pytest.approx(-120.0),
                       pytest.approx(120.0))  # fmt: skip


def test_the_map_says_how_much_reactive_power_may_stand_beside(tmp_path, write_toy, tiny_plan):
    scenario = load_study(write_toy(tmp_path), BOUND).scenario
    plan = tiny_plan(scenario, p_kw=20.0, q_kvar=1.0)
    east, west = der_words(plan, scenario, 0, None)
    assert "60.0 of 240.0 kW, 3.0 kvar\n-60.0 to 67.5 kvar may stand beside" in east
    assert "60.0 of 90.0 kW, 3.0 kvar\n-80.0 to 80.0 kvar may stand beside" in west


@pytest.mark.slow
def test_a_page_lists_it_beside_the_fleet(tmp_path, write_toy):
    study = load_study(write_toy(tmp_path), [*BOUND, "campaign.samples=20"])
    store = run_campaign(study, tmp_path / "c", mode="local").store
    page = write_report(store, study.scenario, tmp_path / "report").read_text()
    assert "Reactive power beside active power" in page
    with (tmp_path / "report" / "tables" / "capability.csv").open() as file:
        assert [row["DER"] for row in csv.DictReader(file)] == ["east", "east", "west", "west"]


def test_a_campaign_from_before_has_its_title(toy, tmp_path):
    study, store, _ = toy
    old = {k: v for k, v in store.environment.items() if k != "overrides"}
    for name in ("study.json", "plan.json"):
        (tmp_path / name).write_bytes((store.root / name).read_bytes())
    (tmp_path / "environment.json").write_text(json.dumps(old))
    before = CampaignStore.open(tmp_path)
    assert "but run with" not in study_title(before)
    assert dict(study_facts(before, study.scenario))["overrides"].startswith("not kept")
