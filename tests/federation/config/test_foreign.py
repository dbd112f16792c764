"""One campaign has one planner: who answers is part of what a campaign is."""

from __future__ import annotations

import json
import shutil
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.study_jobs import make_feeder_job, make_planner_job, open_store
from gridproof.federation.campaigns.workers import Workers as WorkerPool
from gridproof.federation.cli.main import app
from gridproof.federation.config.foreign import FOREIGN, ForeignPlanner
from gridproof.federation.inquiries.probe import Target
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.records.answered import keep_word
from gridproof.federation.records.store import ANSWERED, CampaignStore
from gridproof.federation.records.summary import campaign_summary
from gridproof.federation.studies.study import load_study, resolved_text
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.errors import ConfigError, StoreError
from gridproof.scenarios.plan_file import plan_to_json
from gridproof.scenarios.setpoints import Setpoints
from typer.testing import CliRunner

EXAMPLE = Path(__file__).parents[3] / "examples" / "planner_plain_helics.py"


def gridproof(*words, code=0):
    result = CliRunner().invoke(app, [str(word) for word in words], catch_exceptions=False)
    assert result.exit_code == code, result.output
    return result


def command(script, plan):
    return f"{sys.executable} {script} {plan} {{broker}}"


@pytest.fixture(scope="module")
def launched(tmp_path_factory, write_toy):
    """A finished campaign of a planner that is not ours, its script and its plan."""
    folder = tmp_path_factory.mktemp("foreign")
    study = load_study(write_toy(folder))
    plan = make_planner("partitioning", {}).plan(study.scenario)
    (folder / "plan.json").write_text(plan_to_json(plan))
    shutil.copy(EXAMPLE, folder / "mine.py")
    planner = command(folder / "mine.py", folder / "plan.json")
    gridproof("launch", study.path, "--planner", planner, "--out", folder / "c", "--quiet")
    return folder


@pytest.fixture
def stopped(launched):
    """The same, stopped before its last part."""
    part = next((launched / "c" / "parts").iterdir())
    kept = part.read_bytes()
    part.unlink()
    yield launched
    part.write_bytes(kept)


@pytest.mark.slow
def test_a_foreign_recourse_is_called_so(launched, tmp_path):
    said = gridproof("report", launched / "c")
    assert f"recourse {FOREIGN}" in said.stdout
    assert "recourse linear" not in said.stdout
    figures = json.loads(gridproof("report", launched / "c", "--json").stdout)
    assert figures["campaign"]["recourse"] == FOREIGN
    study = load_study(launched / "toy.toml")
    ours = run_campaign(study, tmp_path / "ours", mode="local")
    found = json.loads(gridproof("compare", launched / "c", ours.out, "--json").stdout)
    assert [found[one]["recourse"] for one in ("first", "second")] == [FOREIGN, "linear"]


def test_ours_does_not_go_on_with_it(stopped):
    root = stopped / "c"
    said = " ".join(gridproof("resume", root, "--quiet", code=2).stderr.split())
    assert "is answered by a foreign planner" in said
    assert "mine.py" in said
    assert f"gridproof launch {root}/study.json --out {root} --planner" in said
    said = gridproof("run", stopped / "toy.toml", "--out", root, "--quiet", code=2).stderr
    assert "answered by another planner: by a foreign one" in said
    assert "not by our own (family partitioning, recourse linear)" in said
    said = gridproof("resume", root, "--processes", "--quiet", code=2).stderr
    assert "is answered by a foreign planner" in said
    assert not list((root / "parts").iterdir())


def test_nor_does_a_foreign_one_that_was_edited(stopped):
    root, script = stopped / "c", stopped / "mine.py"
    planner, was = command(script, stopped / "plan.json"), script.read_text()
    script.write_text(was + "# another\n")
    said = gridproof("launch", root / "study.json", "--planner", planner, "--out", root, code=2)
    script.write_text(was)
    assert "answered by another planner" in said.stderr
    assert said.stderr.count("mine.py") == 2
    assert not list((root / "parts").iterdir())


def test_the_same_goes_on_as_the_refusal_says(stopped):
    root = stopped / "c"
    planner = command(stopped / "mine.py", stopped / "plan.json")
    gridproof("launch", root / "study.json", "--planner", planner, "--out", root, "--quiet")
    assert len(list((root / "parts").iterdir())) == 1


def test_a_foreign_planner_does_not_go_on_with_ours(toy, tmp_path):
    study = load_study(toy, ["campaign.samples=8"])
    root = run_campaign(study, tmp_path / "c", mode="local").out
    foreign = study.answered_by(ForeignPlanner.of(["./mine", "{broker}"]))
    with pytest.raises(StoreError, match=r"by our own .*not by a foreign one, \"\./mine"):
        open_store(foreign, root)


def test_no_inquiry_takes_our_recourse_for_its(launched):
    with pytest.raises(ConfigError, match="foreign planner, which this cannot ask"):
        Target.of_directory(launched / "c")


def test_who_answers_is_part_of_the_fingerprint_and_survives_its_file(toy, tmp_path):
    study = load_study(toy)
    one = study.answered_by(ForeignPlanner.of(["./mine", "{broker}"]))
    other = study.answered_by(ForeignPlanner.of(["./yours", "{broker}"]))
    assert len({study.fingerprint, one.fingerprint, other.fingerprint}) == 3
    path = tmp_path / "study.json"
    path.write_text(resolved_text(one))
    back = load_study(path)
    assert (back.foreign, back.fingerprint) == (one.foreign, one.fingerprint)
    assert "answers" not in json.loads(resolved_text(study))
    with pytest.raises(ConfigError, match="foreign planner"):
        make_planner_job(back, out=tmp_path)
    path.write_text(resolved_text(one).replace('"digest"', '"digset"'))
    with pytest.raises(ConfigError, match="answers lacks 'digest'"):
        load_study(path)
    path.write_text(resolved_text(one).replace(one.foreign.digest, "0" * 64))
    with pytest.raises(ConfigError, match="changed since it was written"):
        load_study(path)


def test_a_command_is_its_words_and_its_files(tmp_path):
    (tmp_path / "a").write_text("x")
    one = ForeignPlanner.of([str(tmp_path / "a"), "b c"])
    assert ForeignPlanner.of([str(tmp_path / "a"), "b c"]) == one
    assert ForeignPlanner.of([str(tmp_path / "a"), "b", "c"]).digest != one.digest
    (tmp_path / "a").write_text("y")
    assert ForeignPlanner.of([str(tmp_path / "a"), "b c"]).digest != one.digest


def test_a_directory_of_an_earlier_version_says_what_its_study_says(toy, tmp_path):
    store = open_store(load_study(toy), tmp_path / "c")
    assert CampaignStore.open(store.root).recourse == "linear"


# ------------------------------------------------ a feeder that others started, by the word alone


class Fixed:
    """A recourse that is not ours: the base set-points, whatever the load."""

    def __init__(self, plan):
        self._plan = plan

    def respond(self, realizations):
        n = len(realizations)
        return Setpoints(
            index=realizations.index,
            found=np.ones(n, bool),
            p_kw=np.tile(self._plan.p_kw[0], (n, 1, 1)),
            q_kvar=np.tile(self._plan.q_kvar[0], (n, 1, 1)),
            source_v_pu=np.tile(self._plan.source_v_pu[0], (n, 1)),
        )


def stranger(study, word):
    return replace(make_planner_job(study), make_recourse=Fixed, word=word)


def federation(study, out, planner):
    feeder = make_feeder_job(study, out, mode="local")
    run_session(planner, feeder, SessionSettings(transport="local", batch=16))
    return CampaignStore.open(out)


@pytest.fixture
def half(toy, tmp_path):
    """Study, directory without its last part, and what wrote the first."""

    def make(word):
        study = load_study(toy)
        store = federation(study, tmp_path / "c", stranger(study, word))
        next((tmp_path / "c" / "parts").iterdir()).unlink()
        return study, store

    return make


@pytest.mark.parametrize("word", ["mine 1.2", ""])
def test_ours_does_not_go_on_with_what_a_foreign_word_began(half, word, tmp_path):
    study, store = half(word)
    assert store.recourse == FOREIGN
    named = "mine 1.2" if word else "a planner that does not say who it is"
    for more in ({}, {"spread": WorkerPool(count=1)}):
        with pytest.raises(StoreError, match=rf"answered by .*{named}.* now 'gridproof: family"):
            run_campaign(study, store.root, mode="local", **more)
    with pytest.raises(StoreError, match="never mixed"):
        federation(study, store.root, stranger(study, "mine 1.3"))
    with pytest.raises(ConfigError, match="cannot ask"):
        Target.of_directory(store.root)
    assert not list((store.root / "parts").iterdir())
    whole = federation(study, store.root, stranger(study, word))
    assert campaign_summary(whole).recourse == FOREIGN


@pytest.mark.parametrize("mode", ["local", "in_process"])
def test_a_stranger_does_not_go_on_with_ours(toy, tmp_path, mode):
    study = load_study(toy)
    store = run_campaign(study, tmp_path / "c", mode=mode).store
    assert store.answered_word == "gridproof: family partitioning, recourse linear"
    assert store.recourse == "linear"
    next((store.root / "parts").iterdir()).unlink()
    with pytest.raises(StoreError, match=r"gridproof: family.* now 'mine' answers"):
        federation(study, store.root, stranger(study, "mine"))


def test_an_earlier_directory_is_gone_on_with_by_ours_alone(toy, tmp_path):
    study = load_study(toy)
    store = run_campaign(study, tmp_path / "c", mode="local").store
    (store.root / ANSWERED).unlink()
    with pytest.raises(StoreError, match="does not say who answered its finished parts"):
        keep_word(store, "mine")
    keep_word(store, "gridproof: family partitioning, recourse linear")
    assert store.answered_word is not None
