"""Where a study's linear model stands, and what is said of it."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gridproof.federation.inquiries.linear_error import linear_errors
from gridproof.federation.records.plan_report import LinearError
from gridproof.federation.reports.plan_words import linear_words
from gridproof.federation.studies.linearised import base_plan
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError
from typer.testing import CliRunner


@pytest.fixture
def fed(toy):
    """Path of the toy study with its substation there: nothing is locked open."""
    toy.write_text(toy.read_text().replace('locked_open = ["src-a"]\n', ""))
    return toy


def test_a_study_chooses_where_its_linear_model_stands(fed):
    flat, around = load_study(fed), load_study(fed, ('planner.linearise="ac"',))
    assert flat.scenario.linearisation is None
    assert around.scenario.linearisation.lost_p.sum() > 0.0
    with pytest.raises(ConfigError, match="linearise"):
        load_study(fed, ('planner.linearise="round"',))


def test_the_base_state_is_what_the_substation_reaches(fed):
    scenario = load_study(fed).scenario
    plan = base_plan(scenario)
    assert plan.closed.all()
    assert plan.energized.all()
    np.testing.assert_array_equal(plan.grid_forming[0], scenario.ders.is_substation)


def test_without_a_grid_each_block_stands_by_itself(toy):
    plan = base_plan(load_study(toy).scenario)
    assert not plan.closed.any()
    assert plan.grid_forming.sum() == plan.energized.sum()


def test_the_error_of_a_plan_is_smaller_around_its_state(fed):
    found = {}
    for at in ("flat", "ac"):
        scenario = load_study(fed, (f'planner.linearise="{at}"',)).scenario
        (found[at],) = linear_errors(base_plan(scenario), scenario, (0,))
        assert found[at].linearised == at
    assert found["ac"].error_pu < 1e-6 < found["flat"].error_pu
    assert found["flat"].bus in scenario.feeder.buses.ids


def test_the_plan_command_says_it(fed):
    from gridproof.federation.cli.main import app

    told = CliRunner().invoke(app, ["plan", str(fed), "--json", "--quiet"])
    assert told.exit_code == 0, told.output
    linear = json.loads(told.stdout)["plan"]["linear"]
    assert linear["linearised"] == "flat"
    assert 0.0 < linear["error_pu"] < 0.01


def test_its_words_name_place_or_reason():
    assert "2.0e-03 pu" in linear_words(LinearError(linearised="flat", error_pu=2e-3, bus="b"))
    assert "no solution" in linear_words(LinearError(linearised="ac", remark="no solution"))
