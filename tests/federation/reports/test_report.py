"""The figures are those of the rows, and the tables hold them on 80 columns without colour."""

import io
import json
from dataclasses import replace

import numpy as np
import pyarrow.parquet as pq
import pytest
from gridproof.federation.records.environment import environment_record
from gridproof.federation.records.plan_report import IslandReport
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import campaign_summary, plan_summary
from gridproof.federation.reports.terminal import plan_view, run_summary, verdict_view
from gridproof.federation.statistics.shares import clopper_pearson, lower_tail_mean, quantile
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.provenance import Scope, facts_of
from gridproof.scenarios.verdict import Outcome
from rich.console import Console

SAMPLES = 3000


def shown(view, width=80):
    console = Console(file=io.StringIO(), width=width, color_system=None)
    console.print(view)
    return console.file.getvalue()


@pytest.fixture(scope="module")
def scenario(tiny_scenario):
    return tiny_scenario()


@pytest.fixture(scope="module")
def plan(tiny_plan, scenario):
    return tiny_plan(scenario, closed=[True, False], energized=[True, True, False])


@pytest.fixture(scope="module")
def store(tmp_path_factory, scenario, plan, made_up_batch):
    campaign = {
        "samples": SAMPLES, "judge": "ac", "recourse": "linear", "sampler": "uniform",
        "confidence": 0.9,
    }  # fmt: skip
    study = {"name": "tiny", "fingerprint": "f", "config": {"campaign": campaign}}
    store = CampaignStore.create(
        tmp_path_factory.mktemp("report") / "c", json.dumps(study), environment_record(3)
    )
    sink = CampaignSink(store=store, scenario=scenario, mode="local")
    sink.accept(plan)
    for first, count in store.missing_ranges(500, ()):
        sink.write(*made_up_batch(scenario, plan, first, count))
    return store


@pytest.fixture(scope="module")
def rows(store):
    return pq.read_table(store.root / "parts")


def test_a_plan_in_figures(plan, scenario):
    about = plan_summary(plan, scenario)
    assert (about.energized_blocks, about.closed_switches) == (2, 1)
    assert about.served_kw == 60.0
    assert about.demand_kw == 90.0
    assert about.grid_forming == ("g0",)
    assert about.switches == {"s0": "closed", "s1": "open"}
    assert about.islands == (
        IslandReport(
            blocks=("n0", "n1"),
            grid_forming=("g0",),
            demand_kw=60.0,
            served_kw=60.0,
            capacity_kw=120.0,
        ),
    )
    assert [der.role for der in about.ders.values()] == ["grid-forming", "off"]
    assert (about.proof.certified, about.bound_usd, about.gap) == (False, None, None)
    json.dumps(about.to_json(), allow_nan=False)


def test_what_a_plan_sheds_is_not_shown_as_served(plan, scenario):
    shed = replace(plan, partial_ids=("d1", "d2"), served_share=np.array([[0.25, 0.5]]))
    about = plan_summary(shed, scenario)  # d2 is in the dead block
    assert about.served_kw == 30.0 + 0.25 * 30.0
    assert about.demand_kw == 90.0
    assert about.islands[0].served_kw == 37.5
    assert about.served_in_part == {"d1": 0.25}
    said = shown(plan_view(about), 200)
    assert "37.5 of 90.0 kW nominal, in part d1 25 %" in said
    assert "asked kW" in said


def test_a_proof_is_shown_where_it_holds(plan, scenario):
    proven = replace(
        plan,
        proof=Proof(termination=Termination.OPTIMAL, incumbent=2.0, bound=2.0, robust=True),
        costs={},
        scenario_digest=scenario.digest(),
        made_for=facts_of(scenario),
    )
    here = plan_summary(proven, scenario)
    proof = here.proof
    assert (proof.certified, proof.proof_holds, proof.differences) == (True, Scope.HERE, ())
    box = replace(scenario.uncertainty, spread=scenario.uncertainty.spread + 0.125)
    about = plan_summary(proven, replace(scenario, uncertainty=box))
    assert (about.proof.certified, about.proof.robust) == (False, False)
    assert (about.proof.proof_holds, about.proof.proven_elsewhere) == ("elsewhere", True)
    said = " ".join(shown(plan_view(about), 200).split())
    assert "not certified here (certified, gap 0.0000 % where made)" in said
    assert about.proof.differences[0].words in said
    json.dumps(about.to_json(), allow_nan=False)
    text = plan_to_json(proven)
    blank = plan_from_json(text.replace('"robust": true', '"robust":  true'), scenario)
    assert blank.proof.certified  # no edit of what it says
    forged = plan_from_json(text.replace('"incumbent": 2.0', '"incumbent": 2.5'), scenario)
    said = " ".join(shown(plan_view(plan_summary(forged, scenario)), 200).split())
    assert "not certified external, nothing is proven (its digest is not that of its" in said
    assert "counted from its decisions; its re-dispatch is not known" in said


def test_a_closed_switch_between_dead_blocks_does_not_count(tiny_plan, scenario):
    about = plan_summary(tiny_plan(scenario, energized=[True, False, False]), scenario)
    assert about.closed_switches == 0


def test_a_campaign_in_figures(store, rows):
    about = campaign_summary(store)
    names = rows.column("outcome").to_pylist()
    assert about.outcomes == {o.name.lower(): names.count(o.name.lower()) for o in Outcome}
    assert about.outcomes["erred"] > 0
    judged = SAMPLES - about.outcomes["erred"]
    feasible = about.outcomes["feasible"]
    assert about.feasible_share == feasible / judged
    assert tuple(about.interval) == clopper_pearson(feasible, judged, 0.9)
    assert about.samples == about.asked == SAMPLES
    assert about.samples_per_s == pytest.approx(SAMPLES / about.seconds)
    json.dumps(about.to_json(), allow_nan=False)


@pytest.mark.parametrize("kind", ["voltage", "current", "ramp"])
def test_margins_in_figures(store, rows, kind):
    about = campaign_summary(store)
    erred = np.array([name == "erred" for name in rows.column("outcome").to_pylist()])
    margin = np.where(erred, np.nan, rows.column(f"margin_{kind}").to_numpy())
    assert erred.any()
    finite = margin[np.isfinite(margin)]
    worst, spread = about.worst[kind], about.margins[kind]
    row = int(np.nanargmin(margin))
    assert (worst.margin, worst.index) == (finite.min(), row)
    assert worst.element == rows.column(f"element_{kind}")[row].as_py()
    assert worst.phase == rows.column(f"phase_{kind}")[row].as_py()
    assert spread.count == len(finite)
    assert spread.quantiles["0.05"] == quantile(finite, 0.05)
    assert spread.cvar.mean == pytest.approx(lower_tail_mean(finite, 0.05))


def test_a_kind_without_elements_is_left_out(store):
    assert "transformer" not in campaign_summary(store).worst


def test_an_unfinished_campaign_says_so(tmp_path, scenario, plan, made_up_batch):
    campaign = {
        "samples": 5000, "judge": "ac", "recourse": "linear", "sampler": "uniform",
        "confidence": 0.95,
    }  # fmt: skip
    study = {"name": "tiny", "fingerprint": "f", "config": {"campaign": campaign}}
    store = CampaignStore.create(tmp_path / "c", json.dumps(study), environment_record(3))
    with pytest.raises(StoreError, match="no finished part"):
        campaign_summary(store)
    sink = CampaignSink(store=store, scenario=scenario, mode="local")
    sink.accept(plan)
    sink.write(*made_up_batch(scenario, plan, 0, 2048))
    sink.record("interrupted")
    about = campaign_summary(store)
    assert (about.samples, about.asked) == (2048, 5000)
    assert "2952 of 5000 realizations not done" in shown(verdict_view(about))


def test_tables_fit_80_columns_and_say_it_without_colour(store, plan, scenario):
    about = campaign_summary(store)
    verdicts, planned = shown(verdict_view(about)), shown(plan_view(plan_summary(plan, scenario)))
    assert max(map(len, (verdicts + planned).splitlines())) <= 80
    assert "…" not in verdicts + planned  # nothing cut off
    assert "\x1b" not in verdicts + planned
    for name, count in about.outcomes.items():
        label = f"{name.replace('_', ' ')} "
        line = [row for row in verdicts.splitlines() if row.startswith(label)][-1]
        assert line.removeprefix(label).split()[0] == str(count)
    worst = about.worst["voltage"]
    assert f"{worst.margin:.4f}" in verdicts
    assert f"#{worst.index}" in verdicts
    assert "not certified" in planned
    assert "2 of 3: n0, n1" in planned


def test_a_certified_plan_says_what_is_proven(plan, scenario):
    proof = Proof(
        termination=Termination.OPTIMAL, incumbent=100.0, bound=100.0, robust=True,
        iterations=4, seconds={"total": 1.25},
    )  # fmt: skip
    certified = replace(plan, proof=proof, costs={"objective": 100.0, "shed": 60.0})
    text = shown(plan_view(plan_summary(certified, scenario)))
    assert "certified (robust, search ended: optimal, gap 0.0000 %)" in text
    assert "4 iterations, 1.25 s" in text


def test_one_object_for_machines(store, plan, scenario):
    whole = run_summary("tiny", 3, plan_summary(plan, scenario), campaign_summary(store)).to_json()
    assert list(whole) == ["study", "seed", "versions", "plan", "campaign"]
    assert {"python", "numpy", "opendss", "helics", "highs", "gridproof"} <= set(whole["versions"])
    assert json.loads(json.dumps(whole, allow_nan=False)) == whole
