"""``report`` and ``compare`` as they are typed."""

import json
from shutil import copytree

import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.studies.study import load_study
from typer.testing import CliRunner


@pytest.fixture(scope="module")
def folder(tmp_path_factory, write_toy):
    """Two campaigns on the same realizations, and one of another seed, under one plan."""
    folder = tmp_path_factory.mktemp("cli")
    path, plan = write_toy(folder), None
    for name, more in (
        ("fixed", ["campaign.recourse=fixed"]),
        ("linear", ["campaign.recourse=linear", "campaign.judge=both"]),
        ("other", ["campaign.seed=2", "campaign.recourse=fixed"]),
    ):
        study = load_study(path, ["campaign.samples=60", *more])
        plan = run_campaign(study, folder / name, mode="local", plan=plan).plan
    return folder


def gridproof(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def test_report_prints_tables_and_writes_the_page(folder, tmp_path):
    result = gridproof("report", folder / "linear", "--out", tmp_path / "r")
    assert "feasible" in result.stdout
    assert "Linear judge (rows) against AC judge" in result.stdout
    assert str(tmp_path / "r" / "report.html") in result.stderr.replace("\n", "")
    assert (tmp_path / "r" / "report.html").stat().st_size > 10_000
    assert (tmp_path / "r" / "tables" / "linear-against-ac.csv").is_file()


def test_no_files_where_none_are_asked_for(folder):
    gridproof("report", folder / "fixed", "--no-html")
    said = json.loads(gridproof("report", folder / "fixed", "--json").stdout)
    assert said["campaign"]["samples"] == 60
    assert not (folder / "fixed" / "report").exists()


def test_compare_in_words_and_as_json(folder):
    result = gridproof("compare", folder / "fixed", folder / "linear")
    assert "Second less first" in result.stdout
    assert "McNemar" in result.stdout
    found = json.loads(gridproof("compare", folder / "fixed", folder / "linear", "--json").stdout)
    assert found["realizations"] == 60
    assert sum(found["crossed"].values()) == 60
    assert [one["directory"] for one in found["measures"]["campaigns"]] == [
        str(folder / "fixed"), str(folder / "linear")
    ]  # fmt: skip


def test_compare_of_many_is_a_table_a_figure_and_json(folder, tmp_path):
    again = tmp_path / "again"
    copytree(folder / "fixed", again)
    three = (folder / "fixed", folder / "linear", again)
    said = gridproof("compare", *three, "--figure", tmp_path / "choices.svg")
    assert "What each campaign is worth" in said.stdout
    assert (tmp_path / "choices.png").stat().st_size > 5_000
    assert "linear" in (tmp_path / "choices.svg").read_text(encoding="utf-8")
    found = json.loads(gridproof("compare", *three, "--json").stdout)
    assert [len(found["pairs"]), len(found["measures"]["campaigns"])] == [2, 3]


@pytest.mark.parametrize("names", [["fixed"], ["fixed", "linear", "fixed"]])
def test_compare_wants_two_or_more_and_each_once(folder, names):
    assert "DIR DIR" in gridproof("compare", *(folder / name for name in names), code=2).stderr


def test_compare_refuses_other_draws(folder):
    result = gridproof("compare", folder / "fixed", folder / "other", code=2)
    assert "campaign.seed is 1 and 2" in result.stderr
    assert "Traceback" not in result.output
