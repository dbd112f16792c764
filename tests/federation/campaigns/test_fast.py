"""Campaigns with the fast engine: OpenDSS's verdicts, the same bytes, audits that bite."""

import json
import shutil
from collections import Counter
from contextlib import closing
from dataclasses import replace
from importlib.metadata import version

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gridproof.federation.campaigns import chunks
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.chunks import Share
from gridproof.federation.campaigns.study_jobs import make_planner_job
from gridproof.federation.campaigns.workers import Workers
from gridproof.federation.records import environment
from gridproof.federation.records.environment import compiler_versions
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.records.summary import campaign_summary
from gridproof.federation.reports.campaign_words import sentences
from gridproof.federation.studies import wiring
from gridproof.federation.studies.study import load_study
from gridproof.federation.trial.guarded import FAST_COLUMNS, Guard, GuardedTrial, SolvedBy
from gridproof.federation.trial.trial import Trial
from gridproof.scenarios.errors import ConfigError, StoreError
from gridproof.scenarios.sampling import sample
from gridproof.simulator.fast.engine import FastEngine

SAMPLES = 4500
FAST = "campaign.engine=fast"


def parts(root):
    return {path.name: path.read_bytes() for path in sorted((root / "parts").iterdir())}


def rows(root) -> pa.Table:
    return pq.read_table(root / "parts")


WIDE = "uncertainty.spread=0.6"  # than the plan was made for, so that some are violated


def run(toy, out, *more, samples=SAMPLES, mode="local", **given):
    told = [f"campaign.samples={samples}", "campaign.recourse=fixed", WIDE, *more]
    study = load_study(toy, told)
    return run_campaign(study, out, mode=mode, **given)


@pytest.fixture(scope="module")
def opendss(tmp_path_factory, write_toy):
    """A campaign by OpenDSS alone."""
    folder = tmp_path_factory.mktemp("opendss")
    toy = write_toy(folder)
    plan = make_planner_job(load_study(toy)).make_plan()
    return run(toy, folder / "c", plan=plan)


@pytest.fixture(scope="module")
def fast(tmp_path_factory, write_toy, opendss):
    """The same by the fast engine."""
    folder = tmp_path_factory.mktemp("fast")
    return run(write_toy(folder), folder / "c", FAST, plan=opendss.plan)


def same_verdicts(one, other) -> None:
    assert one["outcome"].to_pylist() == other["outcome"].to_pylist()
    for name in one.column_names:
        if name.startswith("margin_") or name.endswith("_kw"):
            np.testing.assert_allclose(one[name].to_numpy(), other[name].to_numpy(), atol=2e-6)


def test_verdicts_are_those_of_opendss(fast, opendss):
    same_verdicts(rows(fast.out), rows(opendss.out))
    assert len(Counter(rows(fast.out)["outcome"].to_pylist())) > 1
    told = campaign_summary(fast.store).fast
    assert told.rows == SAMPLES
    assert 0 < told.audited == told.by_opendss["audit"] + told.by_opendss.get("near_limit", 0)
    assert told.largest_difference < 1e-7
    assert told.done_again == 0
    assert campaign_summary(opendss.store).fast is None
    assert any("audited" in line for line in sentences(campaign_summary(fast.store)))


@pytest.mark.parametrize("batch", [2048, pytest.param(17, marks=pytest.mark.slow)])
def test_batches_and_helics_change_no_byte(fast, toy, tmp_path, batch):
    run(toy, tmp_path / "c", FAST, f"campaign.batch={batch}", mode="in_process", plan=fast.plan)
    assert parts(tmp_path / "c") == parts(fast.out)


def test_what_opendss_answered_has_its_numbers_to_the_bit(fast, opendss):
    again = rows(fast.out)["fast_reason"].to_numpy() > 0
    assert 0 < again.sum() < SAMPLES / 10
    own, whole = (
        table.filter(pa.array(again)).drop_columns(
            [c for c in FAST_COLUMNS if c in table.schema.names]
        )
        for table in (rows(fast.out), rows(opendss.out))
    )
    assert own.equals(whole)


@pytest.fixture
def wrong(monkeypatch):
    """An engine whose estimates of realizations from 2100 on are a little off."""
    estimate = FastEngine.estimate

    def off(engine, realizations, setpoints):
        found = estimate(engine, realizations, setpoints)
        late = (realizations.index >= 2100)[:, None, None]
        seen = replace(found.snapshots, v_pu=found.snapshots.v_pu + 3e-6 * late)
        worst = found.worst.margin + 3e-6 * late[:, :, 0] * np.array([1.0, 0.0, 0.0])
        return replace(found, snapshots=seen, worst=replace(found.worst, margin=worst))

    monkeypatch.setattr(FastEngine, "estimate", off)


def test_a_failed_audit_gives_its_stretch_to_opendss(wrong, fast, opendss, toy, tmp_path):
    run(toy, tmp_path / "a", FAST, "campaign.guard=2e-5", plan=fast.plan)
    reasons = rows(tmp_path / "a")["fast_reason"].to_numpy().reshape(-1)
    assert (reasons[2048:] == SolvedBy.FAILED_AUDIT).all()
    assert not (reasons[:2048] == SolvedBy.FAILED_AUDIT).any()
    own, whole = (table.drop_columns([c for c in FAST_COLUMNS if c in table.schema.names])
                  for table in (rows(tmp_path / "a"), rows(opendss.out)))  # fmt: skip
    assert own.slice(2048).equals(whole.slice(2048))
    told = campaign_summary(CampaignStore.open(tmp_path / "a"))
    assert told.fast.done_again == 2
    assert told.fast.largest_difference == pytest.approx(3e-6, rel=0.01)
    assert any("FAILED ITS AUDIT" in line for line in sentences(told))
    run(toy, tmp_path / "b", FAST, "campaign.guard=2e-5", "campaign.batch=100", plan=fast.plan)
    assert parts(tmp_path / "a") == parts(tmp_path / "b")


@pytest.mark.parametrize("at", [3400, pytest.param(2300, marks=pytest.mark.slow)])
def test_stopped_amid_what_is_done_again_and_taken_up(wrong, fast, toy, tmp_path, at):
    seen = []

    def stop(tally):
        seen.append(tally.done)
        if tally.done >= at:
            raise KeyboardInterrupt

    told = FAST, "campaign.guard=2e-5", "campaign.batch=100"
    run(toy, tmp_path / "a", *told, plan=fast.plan)
    with pytest.raises(KeyboardInterrupt):
        run(toy, tmp_path / "b", *told, plan=fast.plan, progress=stop)
    run(toy, tmp_path / "b", *told, plan=fast.plan)
    assert parts(tmp_path / "a") == parts(tmp_path / "b")
    assert max(seen) <= SAMPLES


@pytest.mark.slow
def test_workers_change_no_byte(fast, toy, tmp_path):
    run(toy, tmp_path / "c", FAST, mode="in_process", plan=fast.plan, spread=Workers(count=2))
    assert parts(tmp_path / "c") == parts(fast.out)


def test_a_network_that_it_does_not_model_is_opendss_s(fast, opendss, toy, tmp_path, monkeypatch):
    monkeypatch.setattr(FastEngine, "estimate", lambda *_: None)
    result = run(toy, tmp_path / "c", FAST, samples=300, plan=fast.plan)
    told = campaign_summary(result.store).fast
    assert told.by_opendss == {"not_modelled": 300}
    assert (told.audited, told.largest_difference) == (0, None)
    assert (
        rows(tmp_path / "c")["outcome"].to_pylist()
        == (rows(opendss.out)["outcome"].to_pylist()[:300])
    )


def test_other_switch_states_are_opendss_s_whatever_the_batch(fast, toy):
    study = load_study(toy, ["campaign.recourse=fixed"])
    scenario, plan = study.scenario, fast.plan
    asked = plan.asked(sample(scenario, study.sampler, 0, 40), scenario)
    told = make_planner_job(study, plan).make_recourse(plan).respond(asked)
    guard = Guard(width=1e-5, audit=0.0, seed=1, span=2048)
    with closing(FastEngine(scenario)) as engine:
        trial = GuardedTrial(engine, scenario, plan, guard)
        trial.enter(0, asked.index)
        for standing, reason in ((plan, SolvedBy.FAST), (replace(plan), SolvedBy.OTHER_NETWORK)):
            trial.enter(0, asked.index)
            trial.observe(asked, told, standing)
            noted = trial.noted(asked.index)
            assert (noted["fast_reason"] == reason).all()
            assert np.isnan(noted["fast_difference"]).all()
        before = trial.observe(asked, told)[0]
        own = engine.observe(asked, told)
    np.testing.assert_allclose(before.v_pu, own.v_pu, atol=1e-7)


@pytest.mark.slow
@pytest.mark.parametrize("recourse", ["linear", "ac"])
def test_every_recourse_passes_through_it(fast, toy, tmp_path, recourse):
    told = f"campaign.recourse={recourse}"
    own = run(toy, tmp_path / "a", FAST, told, samples=300, plan=fast.plan)
    whole = run(toy, tmp_path / "b", told, samples=300, plan=fast.plan)
    same_verdicts(rows(own.out), rows(whole.out))


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ("campaign.engine=slow", r"campaign\.engine"),
        ("campaign.guard=-1e-6", r"campaign\.guard.*-1e-06"),
        ("campaign.audit_share=2", r"campaign\.audit_share"),
        ("campaign.judge=linear", "judge"),
    ],
)
def test_bad_input_is_named(toy, change, said):
    with pytest.raises(ConfigError, match=said):
        load_study(toy, [FAST, change] if "engine" not in change else [change])


def test_without_what_it_needs_it_says_what_to_install(toy, tmp_path, monkeypatch):
    monkeypatch.setattr(wiring, "find_spec", lambda _: None)
    with pytest.raises(ConfigError, match=r"pip install 'gridproof\[fast\]'"):
        run(toy, tmp_path / "c", FAST)
    assert not (tmp_path / "c").exists()


def test_a_wall_clock_and_it_do_not_go_together(toy, tmp_path):
    with pytest.raises(ConfigError, match="a wall clock"):
        run(toy, tmp_path / "c", FAST, "realtime.step_s=1.0", samples=2)


def test_engine_and_guard_are_in_the_fingerprint(toy):
    def mark(*more):
        return load_study(toy, list(more)).fingerprint

    assert mark() == mark("campaign.engine=opendss", "campaign.guard=1e-4")
    marks = {
        mark(),
        mark(FAST),
        mark(FAST, "campaign.guard=1e-4"),
        mark(FAST, "campaign.audit_share=0.1"),
    }
    assert len(marks) == 4


def test_audits_are_a_share_drawn_one_by_one():
    guard = Guard(width=1e-5, audit=0.01, seed=3, span=2048)
    drawn = guard.audits(np.arange(200_000))
    assert abs(drawn.mean() - 0.01) < 0.001
    np.testing.assert_array_equal(guard.audits(np.arange(777, 900)), drawn[777:900])
    other = replace(guard, seed=4).audits(np.arange(200_000))
    assert (drawn & other).sum() < 60  # two draws of their own meet by chance alone
    assert replace(guard, audit=1.0).audits(np.arange(9)).all()
    assert not replace(guard, audit=0.0).audits(np.arange(9)).any()


def differences(name, scale, count):
    """Try draws times a number by OpenDSS and by the fast engine; count what differs."""
    study = load_study(name, ["campaign.recourse=fixed"])
    scenario = study.scenario
    job = make_planner_job(study)
    plan = job.make_plan()
    answer = job.make_recourse(plan)
    guard = Guard(width=1e-5, audit=0.01, seed=1, span=2048)
    apart, outcomes, reasons, most = 0, Counter(), Counter(), 0.0
    with closing(FastEngine(scenario)) as engine:
        trials = Trial(engine, scenario, plan), GuardedTrial(engine, scenario, plan, guard)
        for first in range(0, count, 500):
            drawn = sample(scenario, study.sampler, first, min(500, count - first))
            asked = plan.asked(
                replace(drawn, p_kw=drawn.p_kw * scale, q_kvar=drawn.q_kvar * scale), scenario
            )
            told = answer.respond(asked)
            for trial in trials:
                trial.enter(0, asked.index)
            one, other = (trial.observe(asked, told)[1] for trial in trials)
            apart += int((one.outcome != other.outcome).sum())
            outcomes.update(one.outcome.tolist())
            noted = trials[1].noted(asked.index)
            reasons.update(noted["fast_reason"].tolist())
            most = float(np.fmax(most, np.nanmax(np.append(noted["fast_difference"], 0.0))))
    return apart, outcomes, reasons, most


CASES = [
    (name, scale, count)
    for name in ("ieee37-networked", "ieee123-networked")
    for scale, count in ((1.0, 10_000), (1.6, 10_000), (6.0, 10_000), (12.0, 300), (30.0, 300))
]  # OpenDSS takes a tenth of a second to give up a flow of the larger one


@pytest.mark.slow
@pytest.mark.parametrize(("name", "scale", "count"), CASES)
def test_no_verdict_differs(name, scale, count):
    """At nominal spread, overloaded, at the nose of the voltage curve, and past it."""
    apart, _, _, most = differences(name, scale, count)
    assert apart == 0
    assert most < 1e-6


@pytest.mark.parametrize("scale", [6.0])
def test_no_verdict_differs_on_a_few(scale):
    apart, outcomes, _, most = differences("ieee37-networked", scale, 150)
    assert apart == 0
    assert most < 1e-6
    assert sum(outcomes.values()) == 150


def test_what_compiles_its_loops_is_among_the_versions(fast, opendss, toy, tmp_path, monkeypatch):
    names = {"numba", "llvmlite"}
    told = {one.out: one.store.environment["versions"] for one in (fast, opendss)}
    assert {name: told[fast.out][name] for name in names} == compiler_versions()
    assert names.isdisjoint(told[opendss.out])
    share = Share.of(fast.store.read("study.json"), fast.store.read("plan.json"))
    assert dict(share.versions).items() >= compiler_versions().items()
    shutil.copytree(fast.out, tmp_path / "c")
    other = {"numba": "0.1"}
    monkeypatch.setattr(environment, "version", lambda name: other.get(name) or version(name))
    assert chunks.differences(share.versions) == [f"numba 0.1 (asked {told[fast.out]['numba']})"]
    with pytest.raises(StoreError, match=r"made with numba .*\(now 0\.1\)"):
        run(toy, tmp_path / "c", FAST, plan=fast.plan)
    kept = json.loads((tmp_path / "c/environment.json").read_text())
    kept["versions"] = {k: v for k, v in kept["versions"].items() if k not in names}
    (tmp_path / "c/environment.json").write_text(json.dumps(kept))  # as it was written once
    run(toy, tmp_path / "c", FAST, plan=fast.plan)
    assert parts(tmp_path / "c") == parts(fast.out)
