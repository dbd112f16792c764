"""The Python door: each way to bring a plan is one plan, and what is shown is one line."""

import json
from pathlib import Path

import numpy as np
import pytest
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan_file import plan_to_json

import gridproof as gp


@pytest.fixture(scope="module")
def study():
    return gp.load("ieee37-networked", {"campaign.judge": "linear"})


@pytest.fixture(scope="module")
def plan(study):
    return gp.plan(study)


@pytest.mark.slow
def test_a_plan_its_file_and_what_the_file_holds_are_tried_alike(study, plan, tmp_path):
    path = tmp_path / "plan.json"
    path.write_text(plan_to_json(plan), encoding="utf-8")
    brought = (plan, path, str(path), json.loads(path.read_text(encoding="utf-8")))
    rows = [gp.try_plan(study, one, samples=20).frame() for one in brought]
    assert all(one.equals(rows[0]) for one in rows[1:])
    assert rows[0].num_rows == 20


def test_tried_in_memory_and_run_in_a_directory_are_one_verdict(study, plan, tmp_path):
    shorter = gp.load("ieee37-networked", {"campaign.judge": "linear", "campaign.samples": 20})
    done = gp.run(shorter, plan=plan, out=tmp_path / "c")
    tried = gp.try_plan(study, plan, samples=20)
    again = gp.report(tmp_path / "c")
    assert done.report.feasible == tried.report.feasible == again.report.feasible
    assert again.frame().equals(tried.frame())


def test_a_plan_that_is_none_is_refused_with_every_fault(study, plan):
    told = json.loads(plan_to_json(plan))
    (former,) = np.array(plan.der_ids)[plan.grid_forming[0]].tolist()
    told["ders"][former]["grid_forming"] = [False]
    told["ders"][former]["source_v_pu"] = [None]
    with pytest.raises(ConfigError, match=r"plan: step 0: island .* holds 0 grid-forming DERs"):
        gp.try_plan(study, told, samples=1)
    del told["switches"]["703-727"]
    del told["ders"]["der701"]
    with pytest.raises(ConfigError) as raised:
        gp.try_plan(study, told, samples=1)
    assert len(raised.value.faults) >= 2


def test_a_missing_plan_file_is_named(study, tmp_path):
    with pytest.raises(ConfigError, match=r"nowhere\.json: cannot be read"):
        gp.try_plan(study, tmp_path / "nowhere.json")
    assert not (tmp_path / "nowhere.json").exists()


def test_what_a_notebook_shows_is_one_line(study, plan):
    drawn = gp.draw(study, 3, first=4)
    shown = [repr(one) for one in (study, plan, drawn, gp.draw(study, 0))]
    assert all(len(line) < 120 and "\n" not in line for line in shown)
    assert shown[0].startswith("<Study ieee37-networked: 39 buses in 8 blocks")
    assert shown[1].startswith("<Plan partitioning: 4 of 8 blocks live, 3 of 10 switches closed")
    assert shown[2] == "<Realizations 4 to 6: 3 of 30 loads at 1 step>"


def test_realizations_are_those_of_the_campaign(study, plan):
    rows = gp.try_plan(study, plan, samples=5).frame()
    np.testing.assert_array_equal(rows["index"].to_numpy(), gp.draw(study, 5).index)


def test_the_door_says_what_it_offers() -> None:
    assert set(dir(gp)) == {
        "draw", "load", "plan", "prove", "replay", "report", "run", "try_plan",
    }  # fmt: skip
    with pytest.raises(AttributeError, match="it offers draw, load, plan"):
        gp.proof  # noqa: B018
    assert Path(gp.__file__).name == "__init__.py"
