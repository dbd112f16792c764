"""A campaign directory holds all that its report needs: no feeder, and nothing compiled."""

from __future__ import annotations

import json
import shutil
from pathlib import Path

import gridproof.federation.studies.study as studies
import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.records.earlier_scenarios import EARLIER
from gridproof.federation.records.scenario_store import (
    SCENARIO,
    scenario_from_json,
    scenario_to_json,
    stored_scenario,
)
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.provenance import differences, facts_of
from gridproof.scenarios.restoration_scenario import with_failures
from hypothesis import given, settings
from hypothesis import strategies as st
from typer.testing import CliRunner


def gridproof(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


@pytest.mark.parametrize("name", ["ieee37-networked", "ieee123-restoration", "mv315-case1"])
def test_every_shipped_scenario_comes_back_whole(name):
    scenario = load_study(name).scenario
    text = scenario_to_json(scenario, "f")
    back = scenario_from_json(json.loads(text))
    assert back.digest() == scenario.digest()
    assert back.draws_per_phase == scenario.draws_per_phase
    np.testing.assert_array_equal(back.feeder.buses.xy, scenario.feeder.buses.xy)
    assert back.feeder.path == ""
    assert scenario.feeder.path not in text
    assert scenario_to_json(back, "f") == text


def as_then(document):
    """The document as the version before kept it: written from memory of its fields."""
    told = dict(document["scenario"])
    prices = told.pop("prices")
    devices, events = told.pop("devices"), told.pop("events")
    del told["step_labels"]
    told |= {"slack_usd_per_kw": 0.0, "restoration": None}
    if devices is not None:
        assert prices["unit"] == "points"
        told["restoration"] = {
            "name": told["name"],
            "feeder": {"same": ".feeder"},
            "devices": {k: one for k, one in devices.items() if k != "protection_remote"},
            "failed": events["element"],
            "limits": {"same": ".limits"},
            "weights": {"alpha": 10.0, "beta": 0.1, "unserved": 0.5, "lost_bus": 1.0,
                        "switching": 0.1},
            "ders": None,
            "protection_remote": devices["protection_remote"],
        }  # fmt: skip
    return {**document, "format": EARLIER, "scenario": told}


@pytest.mark.parametrize("name", ["ieee37-networked", "ieee123-restoration", "mv315-case1"])
def test_a_scenario_that_an_earlier_version_kept_is_the_same_scenario(name):
    scenario = load_study(name).scenario
    then = as_then(json.loads(scenario_to_json(scenario, "f")))
    back = scenario_from_json(json.loads(json.dumps(then)))
    assert back.digest() == scenario.digest()
    assert back.step_names == scenario.step_names


def test_a_plan_of_an_earlier_version_was_made_for_what_it_was_made_for(storm):
    scenario = load_study(storm).scenario
    facts = facts_of(scenario)
    told = {key: one for key, one in facts.items()
            if not key.startswith(("devices.", "events.", "prices."))}  # fmt: skip
    told |= {f"restoration.{key}": one for key, one in facts.items() if key.startswith("devices.")}
    told |= {
        "slack_usd_per_kw": "0.0",
        "restoration.failed": facts["events.element"],
        "restoration.protection_remote": facts["devices.protection_remote"],
        "restoration.limits.v_min_pu": "0.95",
        **{f"restoration.weights.{name}": str(value) for name, value in (
            ("alpha", 10.0), ("beta", 0.1), ("unserved", 0.5), ("lost_bus", 1.0),
            ("switching", 0.1),
        )},
    }  # fmt: skip
    assert differences(told, scenario) == ()
    dearer = load_study(storm, ["restoration.weights.beta=0.2"]).scenario
    assert [one.what for one in differences(told, dearer)] == ["prices.switching"]
    names = [scenario.feeder.lines.ids[k] for k in scenario.events.element]
    for kept in (names[:1], names[:2], []):
        found = {one.what for one in differences(told, with_failures(scenario, kept))}
        assert found >= {"events.kind", "events.element"}
    one = with_failures(scenario, names[:1])
    alone = told | {"restoration.failed": facts_of(one)["events.element"]}
    assert differences(alone, one) == ()
    odd = told | {"restoration.weights.beta": "much"}
    assert differences(odd, scenario)


@settings(deadline=None, max_examples=25)
@given(size=st.integers(1, 4), steps=st.integers(1, 3), data=st.data())
def test_small_scenarios_come_back_whole(size, steps, data, tiny_scenario):
    edges = st.tuples(st.integers(0, size - 1), st.integers(0, size - 1))
    switches = data.draw(st.lists(edges, max_size=3))
    scenario = tiny_scenario(size, switches, data.draw(st.sampled_from([[], [0]])), steps=steps)
    back = scenario_from_json(json.loads(scenario_to_json(scenario, "f")))
    assert back.digest() == scenario.digest()


@pytest.fixture(scope="module")
def made(tmp_path_factory, write_toy, write_storm):
    """Finished campaigns of one and of four steps, beside their feeders, and their reports."""
    folder = tmp_path_factory.mktemp("kept")
    for name, write in (("toy", write_toy), ("storm", write_storm)):
        (folder / name).mkdir()
        study = load_study(write(folder / name), ["campaign.samples=24"])
        run_campaign(study, folder / name / "c", mode="local")
    return folder


@pytest.fixture
def place(made, tmp_path):
    """The same, to be spoilt."""
    shutil.copytree(made, tmp_path / "p")
    for study in (tmp_path / "p").glob("*/c/**/study.json"):
        study.write_text(study.read_text().replace(str(made), str(tmp_path / "p")))
    return tmp_path / "p"


@pytest.fixture
def no_compiler(monkeypatch):
    """Whoever compiles a feeder now fails."""

    def refuse(path):
        raise AssertionError(f"{path} was compiled")

    monkeypatch.setattr(studies, "read_feeder", refuse)


def timeless(text):
    said = json.loads(text)
    for one in (said, said.get("campaign", {}), *(s["campaign"] for s in said.get("steps", ()))):
        for key in ("seconds", "samples_per_s"):
            one.pop(key, None)
    for one in said.get("steps", ()):
        one.pop("directory")
    return said


def spoil(folder: Path, how: str) -> None:
    (feeder,) = folder.glob("*.dss")
    if how == "moved":
        feeder.rename(folder / "elsewhere.dss")
    elif how == "edited":
        feeder.write_text(feeder.read_text().replace("kW=", "kW=1"))
    elif how == "hostile":
        feeder.write_text("New Circuit.x\nRedirect " + feeder.name)
    else:
        feeder.unlink()


@pytest.mark.usefixtures("no_compiler")
@pytest.mark.parametrize("how", ["moved", "edited", "hostile", "deleted"])
@pytest.mark.parametrize("name", ["toy", pytest.param("storm", marks=pytest.mark.slow)])
def test_a_finished_campaign_is_read_whatever_became_of_its_feeder(
    name, how, place, made, tmp_path
):
    before = timeless(gridproof("report", made / name / "c", "--json").stdout)
    spoil(place / name, how)
    root = place / name / "c"
    assert timeless(gridproof("report", root, "--json").stdout) == before
    assert "compare" not in gridproof("watch", root, "--once").output
    other = made / name / "c"
    assert gridproof("compare", root, other).stdout
    if how == "moved":
        page = tmp_path / "page"
        assert "written" in gridproof("report", root, "--out", page).stderr
        assert (page / "report.html").stat().st_size > 10_000


def test_resume_still_refuses_a_changed_feeder(place):
    spoil(place / "toy", "edited")
    (feeder,) = (place / "toy").glob("*.dss")
    root = place / "toy" / "c"
    assert "a feeder file is a program" in " ".join(
        gridproof("resume", root, code=2).stderr.split()
    )
    said = gridproof("resume", root, "--feeder", feeder, code=2).stderr
    assert "the feeder or the program has changed" in said
    spoil(place / "toy", "deleted")
    assert "is neither a file" in gridproof("resume", root, code=2).stderr
    assert "no such file" in gridproof("resume", root, "--feeder", feeder, code=2).stderr


def test_a_directory_of_an_earlier_version_is_read_and_what_it_lacks_is_said(place, no_compiler):
    root = place / "toy" / "c"
    (root / SCENARIO).unlink()
    assert stored_scenario(CampaignStore.open(root)) is None
    result = gridproof("report", root)
    assert "feasible" in result.stdout
    assert "its plan and its page are left out" in " ".join(result.stderr.split())
    assert "plan" not in json.loads(gridproof("report", root, "--json").stdout)


def test_resume_gives_an_earlier_directory_what_it_lacks(place):
    root = place / "toy" / "c"
    kept = (root / SCENARIO).read_text()
    (root / SCENARIO).unlink()
    (feeder,) = (place / "toy").glob("*.dss")
    gridproof("resume", root, "--feeder", feeder, "--quiet")
    assert (root / SCENARIO).read_text() == kept


@pytest.mark.parametrize(
    ("spoilt", "words"),
    [
        (lambda d: d | {"fingerprint": "0" * 64}, "belongs to another campaign"),
        (lambda d: d | {"format": "gridproof-scenario/9"}, "format is"),
        (lambda d: d | {"scenario": {}}, "TypeError"),
        (lambda d: d | {"scenario": d["scenario"] | {"spy": 1}}, "has no spy"),
        (lambda d: d | {"scenario": d["scenario"] | {"feeder": {"same": "x"}}}, "KeyError"),
        (
            lambda d: (
                d
                | {
                    "scenario": d["scenario"]
                    | {"hours": {"shape": [10**15], "kind": "f", "all": 0}}
                }
            ),
            "an array of shape",
        ),
        (lambda d: [d], "not a JSON object"),
    ],
    ids=range(7),
)
def test_a_spoilt_scenario_is_named(spoilt, words, place):
    path = place / "toy" / "c" / SCENARIO
    path.write_text(json.dumps(spoilt(json.loads(path.read_text()))))
    with pytest.raises(StoreError, match=words) as caught:
        stored_scenario(CampaignStore.open(path.parent))
    assert SCENARIO in str(caught.value)
    path.write_text(path.read_text()[:200])
    with pytest.raises(StoreError, match=r"cannot be understood"):
        stored_scenario(CampaignStore.open(path.parent))
