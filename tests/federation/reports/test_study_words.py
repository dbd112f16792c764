"""What was run is said as it was run: overrides in the title, planner, limits and fleet."""

import csv
import json

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.reports.campaign_page import write_report
from gridproof.federation.reports.study_words import study_facts, study_title
from gridproof.federation.studies.study import load_study

SAID = ["campaign.samples=40", "uncertainty.spread=0.1", "uncertainty.spread=0.9",
        "planner.method=nominal", "limits.v_min_pu=0.97"]  # fmt: skip


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


def test_a_campaign_from_before_has_its_title(toy, tmp_path):
    study, store, _ = toy
    old = {k: v for k, v in store.environment.items() if k != "overrides"}
    for name in ("study.json", "plan.json"):
        (tmp_path / name).write_bytes((store.root / name).read_bytes())
    (tmp_path / "environment.json").write_text(json.dumps(old))
    before = CampaignStore.open(tmp_path)
    assert "but run with" not in study_title(before)
    assert dict(study_facts(before, study.scenario))["overrides"].startswith("not kept")
