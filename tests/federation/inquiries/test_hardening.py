"""The counter-example loop: what it may claim, how far it moves, and what it hands back."""

import json
import math
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.cli.main import app
from gridproof.federation.inquiries.counterexamples import CounterExamples, counter_examples
from gridproof.federation.inquiries.harden_rounds import unprovable
from gridproof.federation.inquiries.harden_settings import HardenSettings, lower_bound, spent
from gridproof.federation.inquiries.margins import raised, wanted_step, wanted_steps
from gridproof.federation.studies.planner_margins import Margins
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.plan_file import plan_from_json
from scipy.stats import binom
from typer.testing import CliRunner

CASE = str(Path(__file__).parents[2] / "configs" / "ieee37_first.toml")
"""The first reconstruction: rounds of margins end there in a plan that is shown."""
FIXED = ["--set", "campaign.recourse=fixed", "--set", "federation.mode=local"]


def _found(depths=(), without=0, samples=1000, at=None) -> CounterExamples:
    return CounterExamples(
        samples=samples,
        feasible=samples - len(depths) - without,
        outcomes={},
        depths_pu=tuple(sorted(depths, reverse=True)),
        depths_at=at or {},
        without_depth=without,
        places=(),
    )


def test_the_error_spent_over_any_number_of_rounds_is_the_one_asked_for() -> None:
    settings = HardenSettings(share=0.99, confidence=0.9)
    assert sum(spent(settings, k) for k in range(1, 100_000)) == pytest.approx(0.1, rel=1e-4)
    assert sum(spent(settings, k) for k in range(1, 13)) < 0.1


@pytest.mark.parametrize(("share", "samples"), [(0.99, 2000), (0.9, 150), (0.5, 40)])
def test_a_plan_below_the_share_is_shown_no_more_often_than_allowed(share, samples) -> None:
    """Exact, by summing the binomial: the worst case is a plan whose share is just below."""
    settings = HardenSettings(share=share)
    wrongly = 0.0
    for number in range(1, 13):
        alpha = spent(settings, number)
        shown = [x for x in range(samples + 1) if lower_bound(x, samples, alpha) >= share]
        wrongly += binom.sf(min(shown) - 1, samples, share) if shown else 0.0
    assert 0.0 < wrongly <= 0.05


def test_the_fewest_realizations_are_just_enough() -> None:
    settings = HardenSettings(share=0.99, most_rounds=3)
    few, alpha = settings.least_samples, spent(settings, 3)
    assert lower_bound(few, few, alpha) >= 0.99 > lower_bound(few - 1, few - 1, alpha)


def test_the_margin_rises_by_the_depth_that_leaves_the_allowed_share() -> None:
    settings = HardenSettings(share=0.99)
    depths = np.linspace(0.0001, 0.008, 30)  # of 1000: 10 may stay outside
    assert wanted_step(_found(depths), settings) == pytest.approx(
        math.ceil(sorted(depths)[-11] * 1e4) / 1e4
    )
    assert wanted_step(_found(depths[:5]), settings) == settings.least_step_pu
    assert wanted_step(_found([0.5] * 30), settings) == settings.greatest_step_pu


def test_what_was_not_solved_has_no_depth_and_asks_for_the_greatest_step() -> None:
    settings = HardenSettings(share=0.99)
    assert wanted_step(_found(without=11), settings) == settings.greatest_step_pu
    shallow = _found([0.003] * 20, without=4)
    assert wanted_step(shallow, settings) == pytest.approx(0.003)


def test_each_failing_element_rises_by_its_own_depth_and_its_part_of_what_is_allowed() -> None:
    settings = HardenSettings(share=0.99)  # 10 of 1000 may stay outside
    bus, line = ("bus", "b1"), ("line", "l1")
    at = {bus: tuple(np.linspace(0.008, 0.002, 30)), line: tuple(np.linspace(0.003, 0.0001, 10))}
    steps = wanted_steps(_found(depths=at[bus] + at[line], at=at), settings)
    assert steps[bus] == pytest.approx(math.ceil(at[bus][7] * 1e4) / 1e4)  # 7 of 10
    assert steps[line] == pytest.approx(math.ceil(at[line][2] * 1e4) / 1e4)  # 2 of 10
    kept = Margins(everywhere=0.001, at={bus: 0.004})
    wider = raised(kept, _found(depths=at[bus] + at[line], at=at), settings)
    assert wider.everywhere == 0.001
    assert wider.at == pytest.approx({bus: 0.004 + steps[bus], line: 0.001 + steps[line]})


def test_what_one_that_forms_needs_is_asked_of_all_that_could() -> None:
    settings, at = HardenSettings(share=0.99), {("der", "d1"): (0.004,) * 20}
    found = _found(depths=at["der", "d1"], at=at)
    start = Margins(everywhere=0.0, at={("der", "d2"): 0.02})
    wider = raised(start, found, settings, formers=("d1", "d2", "d3"))
    assert wider.at == {("der", "d1"): 0.004, ("der", "d2"): 0.02, ("der", "d3"): 0.004}
    assert raised(start, found, settings).at == {("der", "d2"): 0.02, ("der", "d1"): 0.004}


def test_what_has_no_place_or_is_asked_for_everywhere_widens_every_limit() -> None:
    start, at = Margins(everywhere=0.002, at={}), {("bus", "b1"): (0.004,) * 20}
    nowhere = raised(start, _found(without=20), HardenSettings(share=0.99))
    assert nowhere == Margins(everywhere=0.012, at={})
    alike = raised(
        start,
        _found(depths=at["bus", "b1"], at=at),
        HardenSettings(share=0.99, everywhere=True),
    )
    assert alike == Margins(everywhere=0.006, at={})
    used_up = Margins(everywhere=0.0, at={("bus", "b1"): 0.045})
    assert raised(used_up, _found(depths=at["bus", "b1"], at=at), HardenSettings(share=0.99)) == (
        used_up
    )


@pytest.mark.slow
def test_counter_examples_are_the_rows_outside(tmp_path: Path) -> None:
    study = load_study(
        CASE,
        ["campaign.recourse=fixed", "campaign.samples=200", "uncertainty.spread=0.15"],
    )
    store = run_campaign(study, tmp_path / "c", mode="local").store
    found = counter_examples(store, study.scenario.limits)
    (table,) = store.tables(["index", "outcome", "margin_capability", "element_capability"], (0,))
    margin = table["margin_capability"].to_numpy()
    element = np.array(table["element_capability"].to_pylist())
    outside = margin < -study.scenario.limits.tolerance
    assert found.samples == 200
    assert 0 < found.feasible == table["outcome"].to_pylist().count("feasible") < 200
    assert len(found.depths_pu) + found.without_depth == 200 - found.feasible
    # a share of rating becomes pu by the band's width, 0.1 pu
    assert found.depths_pu[0] == pytest.approx(-0.1 * margin.min())
    for place in (one for one in found.places if one.kind == "capability"):
        here = outside & (element == place.element)
        assert place.count == here.sum()
        assert place.worst == margin[here].min() == margin[place.index]
    place = next(one for one in found.places if one.kind == "capability")
    deep = found.depths_at["der", place.element]
    assert deep[0] == pytest.approx(0.1 * -min(margin[outside & (element == place.element)]))
    assert list(deep) == sorted(deep, reverse=True)
    counts = [place.count for place in found.places]
    assert counts == sorted(counts, reverse=True)


@pytest.fixture(scope="module")
def hardened(tmp_path_factory):
    out = tmp_path_factory.mktemp("harden") / "out"
    start = ["--set", "planner.ac_margin=0.02"]
    arguments = ["harden", CASE, *FIXED, *start, "--samples", "1100", "--out", str(out), "--json"]
    return out, arguments, CliRunner().invoke(app, arguments)


@pytest.mark.slow
def test_a_plan_that_fails_is_hardened_until_it_is_shown(hardened) -> None:
    out, _, ran = hardened
    assert ran.exit_code == 0, ran.stderr
    told = json.loads(ran.stdout)
    first, last = told["rounds"][0], told["rounds"][-1]
    assert told["shown"]
    assert not first["shown"]
    assert first["fails_at"]
    assert last["one_sided_bound"] >= 0.99 > first["one_sided_bound"]
    assert [r["shown"] for r in told["rounds"][:-1]] == [False] * (len(told["rounds"]) - 1)
    assert {one["ac_margin_pu"] for one in told["rounds"]} == {0.02}
    margins = [one["margins_at_pu"].get("der", {}) for one in told["rounds"]]
    for before, after in pairwise(margins):  # no margin is taken back, and every round adds to one
        assert all(after[der] >= kept for der, kept in before.items())
        assert sum(after.values()) > sum(before.values())
    assert len({one["seed"] for one in told["rounds"]}) == len(told["rounds"])
    assert told["price"]["served_kw"] == first["served_kw"] - last["served_kw"] > 0.0
    assert told["price"]["objective_usd"] > 0.0
    for one in told["rounds"]:
        assert load_study(out / one["directory"] / "study.json").config.campaign.seed == one["seed"]


@pytest.mark.slow
def test_a_second_run_says_the_same_and_tries_nothing_again(hardened) -> None:
    out, arguments, ran = hardened
    parts = {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")}
    again = CliRunner().invoke(app, arguments)
    assert again.stdout == ran.stdout
    assert {path: path.stat().st_mtime_ns for path in out.rglob("*.parquet")} == parts
    assert json.loads((out / "hardening.json").read_text()) == json.loads(ran.stdout)
    assert "Counter-examples" in (out / "hardening.md").read_text()


@pytest.mark.slow
def test_rounds_used_up_end_in_three_and_name_the_failing_elements(tmp_path: Path) -> None:
    arguments = ["harden", CASE, *FIXED, "--samples", "400", "--rounds", "1"]
    ran = CliRunner().invoke(app, [*arguments, "--out", str(tmp_path / "out"), "--quiet"])
    assert ran.exit_code == 3
    assert "99 % not shown: no round left" in " ".join(ran.stdout.split())
    assert "capability" in (tmp_path / "out" / "hardening.md").read_text()


@pytest.mark.parametrize(
    ("extra", "said"),
    [
        (["--share", "1.1"], "share 1.1 must lie above 0, and be at most 1"),
        (["--share", "1.0"], "recourse linear is not affine in the draw; ask for a smaller share"),
        (["--confidence", "0"], "confidence 0.0 must lie"),
        (["--rounds", "0"], "rounds 0 must be at least 1"),
        (["--samples", "100"], "samples = 100 could not show a share of 0.99"),
        (["--set", "campaign.sampler=sobol"], "makes no independent draws"),
        (
            ["--set", 'campaign.stop={kind="target", share=0.9}'],
            "harden spends its error over whole campaigns",
        ),
    ],
)
def test_what_the_error_control_does_not_cover_is_refused(extra, said, tmp_path: Path) -> None:
    ran = CliRunner().invoke(app, ["harden", CASE, *extra, "--out", str(tmp_path / "out")])
    assert ran.exit_code == 2
    assert said in " ".join(ran.stderr.split())
    assert not (tmp_path / "out").exists()


UNFIT = ["campaign.recourse=fixed", "ders.fleet.east.capacity_kw=170", "federation.mode=local"]
"""Of the toy: a plan that AC refutes, and that wider margins mend."""


def hardening(study, out, *options, entries=UNFIT):
    words = [word for entry in entries for word in ("--set", entry)]
    return CliRunner().invoke(
        app, ["harden", str(study), *words, *options, "--out", str(out), "--json"]
    )


def test_what_is_proven_is_not_sampled(toy, tmp_path) -> None:
    out = tmp_path / "out"
    ran = hardening(toy, out, "--samples", "900", entries=[UNFIT[0], UNFIT[2]])
    assert ran.exit_code == 0, ran.stderr
    (one,) = json.loads(ran.stdout)["rounds"]
    assert (one["certificate"], one["one_sided_bound"], one["samples"]) == ("proven", 1.0, 0)
    assert one["feasible_share"] is None
    assert not list(out.rglob("*.parquet"))
    assert plan_from_json((out / "round-01" / "plan.json").read_text(), load_study(toy).scenario)


def test_a_share_of_one_is_shown_by_a_proof_that_margins_lead_to(toy, tmp_path) -> None:
    ran = hardening(toy, tmp_path / "out", "--share", "1")
    assert ran.exit_code == 0, ran.stderr
    told = json.loads(ran.stdout)
    assert [one["shown"] for one in told["rounds"]][-2:] == [False, True]
    assert [one["certificate"] for one in told["rounds"]][-2:] == ["refuted", "proven"]
    assert told["rounds"][0]["worst"]["margin"] < 0.0 < told["rounds"][-1]["worst"]["margin"]
    assert {one["samples"] for one in told["rounds"]} == {0}
    again = hardening(toy, tmp_path / "out", "--share", "1")
    assert json.loads(again.stdout)["rounds"][-1]["shown"]


def test_what_is_not_proven_is_sampled(toy, tmp_path) -> None:
    ran = hardening(toy, tmp_path / "out", "--rounds", "1", "--samples", "400")
    assert ran.exit_code == 3, ran.stderr
    (one,) = json.loads(ran.stdout)["rounds"]
    assert one["certificate"] == "refuted"
    assert one["samples"] == 400 > one["feasible"]


@pytest.mark.parametrize(
    ("entry", "said"),
    [
        ("campaign.recourse=fixed", ""),
        ("campaign.recourse=affine", ""),
        ("campaign.recourse=linear", "recourse linear is not affine in the draw"),
        ("campaign.recourse=ac", "recourse ac is not affine in the draw"),
        ("campaign.judge=linear", "[campaign] judge = 'linear' asks no power flow"),
    ],
)
def test_what_no_certificate_speaks_of_is_sampled(toy, entry, said) -> None:
    assert unprovable(load_study(toy, ["campaign.recourse=fixed", entry])) == said
