"""One place decides which interval a campaign may show, and every view shows that one."""

import json
from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.sweep import NOT_COVERED, Axis, run_sweep
from gridproof.federation.cli.main import app
from gridproof.federation.inquiries.harden_settings import HardenSettings
from gridproof.federation.inquiries.hardening import _refuse
from gridproof.federation.records.environment import environment_record
from gridproof.federation.records.intervals import Intervals
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import campaign_summary
from gridproof.federation.reports.campaign_page import write_report
from gridproof.federation.reports.compare import compare_campaigns
from gridproof.federation.reports.sweep_figure import figure_sweep
from gridproof.federation.statistics.dependence import effective_trials
from gridproof.federation.statistics.paired import (
    anytime_difference,
    paired_difference,
    tango_interval,
)
from gridproof.federation.statistics.sequential import confidence_sequence
from gridproof.federation.statistics.shares import clopper_pearson
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError
from typer.testing import CliRunner

QUICK = ["campaign.judge=linear", "campaign.recourse=fixed", "planner.method=nominal"]
TIGHT = [*QUICK, "uncertainty.spread=0.6", "limits.v_min_pu=0.985"]
STOP = "campaign.stop={kind='width', width=0.2}"
LATE = ["faults.latency_s=90", "faults.interval_s=60"]
KINDS = [
    ((), "exact"),
    ((STOP, "campaign.samples=20480"), "anytime-valid"),
    pytest.param(("campaign.sampler=vertices",), "nominal", marks=pytest.mark.slow),
    pytest.param(("campaign.sampler=latin_hypercube",), "nominal", marks=pytest.mark.slow),
    pytest.param(("campaign.sampler=sobol",), "nominal", marks=pytest.mark.slow),
    (LATE, "widened"),
    pytest.param((*LATE, "campaign.sampler=vertices"), "nominal", marks=pytest.mark.slow),
    pytest.param(("faults.ramp_kw_per_s=1.0",), "widened", marks=pytest.mark.slow),
]


@pytest.fixture(scope="module")
def run(tmp_path_factory, write_toy):
    folder, made = tmp_path_factory.mktemp("kinds"), {}
    toy = write_toy(folder)

    def make(*more):
        if more not in made:
            study = load_study(toy, ["campaign.samples=400", *TIGHT, *more])
            made[more] = study, run_campaign(study, folder / f"c{len(made)}", mode="local").store
        return made[more]

    return make


def expected(kind, count, trials, widening):
    if kind == "anytime-valid":
        return confidence_sequence(count, trials)
    worth = int(trials / widening)
    return clopper_pearson(round(count / trials * worth), worth)


@pytest.mark.parametrize(("how", "kind"), KINDS)
def test_every_view_shows_the_interval_that_the_campaign_may_show(run, tmp_path, how, kind):
    study, store = run(*how)
    found = campaign_summary(store)
    outcome = [
        name for t in store.tables(["outcome"], store.finished()) for name in t[0].to_pylist()
    ]
    feasible = np.array([name == "feasible" for name in outcome])
    widening = found.widening or 1.0
    low, high = expected(kind, int(feasible.sum()), len(feasible), widening)
    assert found.interval_kind == kind
    assert found.interval == pytest.approx([low, high])
    assert found.feasible_share == feasible.mean()
    told = CliRunner().invoke(app, ["report", str(store.root), "--no-html"]).stdout
    assert f"% {kind} interval" in told
    page = write_report(store, study.scenario, tmp_path / "r").read_text(encoding="utf-8")
    others = {"exact", "anytime-valid", "nominal", "widened"} - {kind}
    assert f"% {kind} interval" in page
    assert not any(f"% {other} interval" in page for other in others)
    watched = json.loads(
        CliRunner().invoke(app, ["watch", str(store.root), "--json", "--once"]).stdout
    )
    assert watched["interval_kind"] == (kind if kind in ("exact", "anytime-valid") else "nominal")
    beside = compare_campaigns(store, store)
    assert beside.interval_kind == kind
    said = CliRunner().invoke(app, ["compare", str(store.root), str(store.root)]).stdout
    assert f"% {kind} interval" in said.replace("\n", " ")
    assert ("exact" in said) == (kind == "exact")


def test_verdicts_that_repeat_widen_every_interval_of_the_summary(
    tmp_path, tiny_scenario, tiny_plan, made_up_batch
):
    """Each verdict comes twice: 2000 realizations are worth half as many."""
    scenario = tiny_scenario()
    plan = tiny_plan(scenario)
    campaign = {
        "samples": 2000, "judge": "ac", "recourse": "linear", "sampler": "uniform",
        "confidence": 0.95,
    }  # fmt: skip
    config = {"campaign": campaign, "faults": {"latency_s": 30.0}}
    study = {"name": "tiny", "fingerprint": "f", "config": config}
    store = CampaignStore.create(tmp_path / "c", json.dumps(study), environment_record(1))
    sink = CampaignSink(store=store, scenario=scenario, mode="local")
    sink.accept(plan)
    drawn, setpoints, snapshots, verdicts = made_up_batch(scenario, plan, 0, 2000)
    twice = np.repeat(np.where(np.random.default_rng(1).random(1000) < 0.8, 0, 1), 2)
    sink.write(drawn, setpoints, snapshots, replace(verdicts, outcome=twice))
    found, count = campaign_summary(store), int((twice == 0).sum())
    assert found.widening == effective_trials(twice == 0, 2) == pytest.approx(2.0, abs=0.2)
    exact = clopper_pearson(count, 2000)
    wide = clopper_pearson(
        round(count / 2000 * int(2000 / found.widening)), int(2000 / found.widening)
    )
    assert found.interval == found.outcome_intervals["feasible"] == wide
    assert wide[1] - wide[0] == pytest.approx(2**0.5 * (exact[1] - exact[0]), rel=0.1)
    other, same = found.outcome_intervals["violated"], clopper_pearson(2000 - count, 2000)
    assert other[1] - other[0] > 1.3 * (same[1] - same[0])


def test_a_comparison_with_a_stopped_campaign_is_not_exact_for_either(run):
    """How many pairs there are was decided by looking, for the other campaign as well."""
    _, fixed = run("campaign.samples=4096")
    _, stopped = run(STOP, "campaign.samples=20480")
    for pair in ((fixed, stopped), (stopped, fixed)):
        found = compare_campaigns(*pair)
        assert found.realizations == CHUNK_ROWS
        assert found.interval_kind == "anytime-valid"
        crossed = found.crossed
        both, of = crossed.both_feasible + crossed.first_only, crossed.judged
        assert found.shares[0].interval == confidence_sequence(both, of)
        assert found.difference == anytime_difference(crossed.second_only, crossed.first_only, of)


def test_both_judges_differ_by_an_interval_that_may_be_looked_at(run):
    _, store = run(STOP, "campaign.samples=20480", "campaign.judge=both")
    crossed = campaign_summary(store).crossed
    judged = crossed.both_feasible + crossed.linear_only + crossed.ac_only
    judged += crossed.neither
    assert crossed.difference == anytime_difference(crossed.linear_only, crossed.ac_only, judged)


@pytest.mark.parametrize(("b", "c"), [(0.1, 0.1), (0.02, 0.005), (0.3, 0.1)])
def test_an_anytime_difference_holds_at_all_looks_together(b, c):
    rng = np.random.default_rng(4)
    missed = wrong = 0
    for _ in range(120):
        kinds = rng.choice(3, size=1200, p=[b, c, 1 - b - c])
        first, second = np.cumsum(kinds == 0), np.cumsum(kinds == 1)
        looks = [anytime_difference(int(first[n]), int(second[n]), n + 1, 0.9)
                 for n in range(49, 1200, 50)]  # fmt: skip
        missed += any(not one.interval[0] <= b - c <= one.interval[1] for one in looks)
        wrong += any(one.p_value < 0.1 for one in looks)
    assert missed <= 12  # 10 % allowed
    if b == c:
        assert wrong <= 12
    else:
        assert wrong > 12  # it does tell them apart


def test_an_anytime_difference_is_wider_than_the_one_of_a_fixed_number():
    wide, narrow = anytime_difference(30, 10, 2000), paired_difference(30, 10, 2000)
    assert wide.value == narrow.value == 0.01
    assert wide.interval[0] < narrow.interval[0] < narrow.interval[1]
    assert narrow.interval[1] < wide.interval[1]
    assert wide.p_value > narrow.p_value
    assert narrow.interval == tango_interval(30, 10, 2000)
    assert anytime_difference(0, 0, 0).value is None
    assert anytime_difference(0, 0, 50).p_value == 1.0


@pytest.fixture(scope="module")
def swept(tmp_path_factory, write_toy):
    folder = tmp_path_factory.mktemp("sweep")
    out = folder / "out"
    found = run_sweep(
        str(write_toy(folder)), ["campaign.samples=20480", STOP, *QUICK], out,
        over=Axis.parse("limits.v_min_pu=0.95,0.97"), mode="local",
    )  # fmt: skip
    return out, found


def test_a_sweep_tells_what_was_tried_with_the_interval_of_each_campaign(swept, tmp_path):
    out, found = swept
    for point in found.points:
        told = campaign_summary(CampaignStore.open(out / point.campaign))
        assert point.tried == told.samples == sum(point.counts.values()) == CHUNK_ROWS
        assert (point.low, point.high) == told.interval
        assert (point.interval_kind, point.confidence) == ("anytime-valid", told.confidence)
        assert point.share == told.feasible_share
    kept = json.loads((out / "sweep.json").read_text())
    assert [point["tried"] for point in kept["points"]] == [CHUNK_ROWS] * 2
    assert kept["not_covered"] == list(NOT_COVERED)
    text = figure_sweep(found, tmp_path / "f")[0].read_text()
    assert "95 % anytime-valid intervals, 2048 realizations a point" in text
    assert "20480" not in text


@pytest.mark.parametrize("sampler", ["vertices", "sobol"])
def test_a_sweep_over_a_design_claims_nothing(toy, tmp_path, sampler):
    said = CliRunner().invoke(
        app,
        ["sweep", str(toy), "--over", "limits.v_min_pu=0.9,0.95", "--samples", "16", "--out",
         str(tmp_path / "s"), "-q", "--set", f"campaign.sampler={sampler}",
         *(word for one in QUICK for word in ("--set", one))],
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    assert "95 % nominal interval" in said.stdout
    assert "exact" not in said.stdout
    assert "Not covered: each interval is of its own point" in said.stdout


def test_a_sweep_in_which_nothing_was_judged_is_printed(toy, tmp_path, monkeypatch):
    """A share of none is no number, and JSON has no word for it."""
    monkeypatch.setattr(
        "gridproof.federation.campaigns.sweep.feasible_of_judged", lambda _: np.zeros(0, bool)
    )
    said = CliRunner().invoke(
        app,
        ["sweep", str(toy), "--over", "limits.v_min_pu=0.9,0.95", "--samples", "16", "--out",
         str(tmp_path / "s"), "--json", *(word for one in QUICK for word in ("--set", one))],
    )  # fmt: skip
    assert said.exit_code == 0, said.output
    assert [point["share"] for point in json.loads(said.stdout)["points"]] == [None, None]
    assert "none judged" in said.stderr


def test_harden_refuses_what_its_bound_does_not_cover(toy):
    study = load_study(toy, [*LATE, "campaign.samples=5000"])
    with pytest.raises(ConfigError, match="tie realizations to those before them"):
        _refuse(study, HardenSettings(share=0.9))


def test_of_two_kinds_the_weaker_is_that_of_both():
    def kind(**campaign):
        return Intervals.of({"campaign": {"confidence": 0.95, "sampler": "uniform", **campaign}})

    exact, anytime = kind(), kind(stop={"kind": "width", "width": 0.1})
    nominal = kind(sampler="sobol")
    assert exact.beside(anytime).kind == anytime.beside(exact).kind == "anytime-valid"
    assert nominal.beside(anytime).kind == exact.beside(nominal).kind == "nominal"
    assert exact.beside(exact) == exact
