"""Where no re-dispatch exists, the page and its map say what is in the way."""

import csv
from types import SimpleNamespace

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.reports.campaign_page import write_report
from gridproof.federation.reports.lacking import Lacking, _counted, asked_at_most, lacking_table
from gridproof.federation.studies.study import load_study


@pytest.fixture(scope="module")
def toy(tmp_path_factory, write_toy):
    folder = tmp_path_factory.mktemp("lacking")
    study = load_study(
        write_toy(folder),
        ["campaign.samples=60", "campaign.recourse=linear", "uncertainty.spread=0.9",
         "planner.method=nominal"],
    )  # fmt: skip
    result = run_campaign(study, folder / "c", mode="local")
    return result.store, study.scenario, folder


@pytest.mark.slow
def test_page_table_and_map_name_what_lacks(toy):
    store, scenario, folder = toy
    page = write_report(store, scenario, folder / "report").read_text()
    with (folder / "report" / "tables" / "outcomes.csv").open() as file:
        lost = next(int(row["count"]) for row in csv.DictReader(file)
                    if row["outcome"].replace(" ", "_") == "no_recourse")  # fmt: skip
    assert lost > 0
    with (folder / "report" / "tables" / "lacking.csv").open() as file:
        rows = list(csv.DictReader(file))
    asked = min(lost, 20)
    assert rows
    assert all(0 < int(row["realizations"]) <= asked for row in rows)
    assert f"{lost} realizations have no re-dispatch. Of the first {asked} of them" in page
    assert f"{rows[0]['element']} lacks" in (folder / "report/figures/one-line.svg").read_text()


@pytest.mark.slow
def test_the_same_campaign_says_the_same(toy):
    store, scenario, folder = toy
    one, other = (write_report(store, scenario, folder / name) for name in ("one", "other"))
    assert one.read_bytes() == other.read_bytes()


def test_it_is_asked_only_of_what_a_program_answered(tiny_scenario):
    scenario = tiny_scenario(2, ((0, 1),))
    assert asked_at_most(scenario, 1, "linear") == 20
    assert asked_at_most(scenario, 24, "ac") == 1
    assert asked_at_most(scenario, 1, "fixed") == 0


def test_phases_are_added_up_and_realizations_counted():
    def lack(phase, amount, element="g"):
        return SimpleNamespace(kind="active", element=element, phase=phase, upper=True,
                               amount=amount, unit="kW")  # fmt: skip

    rows = _counted([[lack("a", 2.0), lack("b", 1.0)], [lack("a", 5.0), lack("c", 1.0, "h")]])
    assert [(one.element, one.count, one.mean, one.most) for one in rows] == [
        ("g", 2, 4.0, 5.0), ("h", 1, 1.0, 1.0),
    ]  # fmt: skip
    told = Lacking(asked=2, lost=7, rows=rows)
    assert told.words() == (
        "7 realizations have no re-dispatch. Of the first 2 of them 2 lack most often at the "
        "active power of g: 4.0 kW on average."
    )
    assert lacking_table(told).rows[0][:4] == ("g", "active power", 2, 1.0)
