"""Both federates of a study as jobs: what is planned, drawn, judged, and where it goes.

The same jobs serve one process and two, workers and clusters, so how a campaign is run cannot
change a byte of its results.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from gridproof.federation.config.foreign import own_word, refuse_ours
from gridproof.federation.members.jobs import FeederJob, KeepingSink, PlannerJob
from gridproof.federation.members.session import SessionSettings
from gridproof.federation.proofs.plans import plan_study
from gridproof.federation.records.answered import keep_word
from gridproof.federation.records.begun import missing_ranges
from gridproof.federation.records.environment import environment_record
from gridproof.federation.records.keeper import Tally, stored_plan
from gridproof.federation.records.parts import CHUNK_ROWS, batches
from gridproof.federation.records.scenario_store import keep_scenario
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.stopping import until_enough
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.outside_loads import OutsideLoads
from gridproof.federation.studies.study import Study, write_resolved
from gridproof.federation.studies.wiring import (
    channel_of,
    pace_of,
    refuse_fast,
    rounds_of,
    trace_columns,
    until_start_s,
)
from gridproof.federation.trial.guarded import Guard
from gridproof.optimizer.recourse.policies import Recourse, Stepwise, make_recourse
from gridproof.optimizer.solver.decomposition import PlanProgress
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.sampling import sample
from gridproof.scenarios.scenario import Scenario
from gridproof.simulator.engine import Engine
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.opendss.engine import OpenDssEngine

__all__ = [
    "MODES",
    "batch_of",
    "feeder_job_of",
    "make_feeder_job",
    "make_planner_job",
    "open_store",
    "ready_plan",
    "session_settings",
    "slow_words",
]

MODES: Mapping[str, str] = {"in_process": "inproc", "processes": "zmq", "local": "local"}
"""How a campaign is run, and the transport that takes."""

_FEW, _MANY = 16, 500  # realizations an exchange, and exchanges, from where one should be told

_BATCH_WITH_DEVICES = 16  # a silent device may cost its deadline for each realization

_ENGINES: Mapping[str, Callable[[Scenario], Engine]] = {
    "ac": OpenDssEngine,
    "linear": LinearEngine,
    "both": OpenDssEngine,  # decides; the linear one is asked as well
}


def make_planner_job(
    study: Study,
    plan: Plan | None = None,
    *,
    out: Path | None = None,
    progress: Callable[[PlanProgress], None] | None = None,
) -> PlannerJob:
    """Describe the planner federate of a study.

    Parameters
    ----------
    study
        What is planned, by whom, and who moves afterwards.
    plan
        A plan to publish instead of making one.
    out
        A campaign directory; the plan it holds, if any, is published instead.
    progress
        Told of the search's steps.

    Raises
    ------
    ConfigError
        If another planner than ours answers the study's campaign.
    """
    config, scenario = study.config, study.scenario
    refuse_ours(study.foreign, study.path.parent if out is None else out)

    def make_plan() -> Plan:
        if plan is not None:
            return ready_plan(plan, study)
        if out is not None and (out / "study.json").exists():
            kept = stored_plan(CampaignStore.open(out), scenario)
            if kept is not None:
                return kept
        return ready_plan(plan_study(study, progress=progress).plan, study)

    return PlannerJob(
        scenario=scenario,
        make_plan=make_plan,
        make_recourse=lambda made: recourse_of(study, made),
        steps=study.steps,
        word=own_word({"config": config.model_dump(mode="json")}),
    )


def ready_plan(plan: Plan, study: Study) -> Plan:
    """Return the plan with what the study's recourse asks of it: an affine rule, for one."""
    if study.config.campaign.recourse != "affine":
        return plan
    from gridproof.federation.certificates.affine_rules import (  # noqa: PLC0415  (optimizer)
        with_what_it_needs,
    )

    return with_what_it_needs(plan, study.scenario, "affine")


def recourse_of(study: Study, plan: Plan) -> Recourse:
    """Return who answers, at every step that is tried."""
    policy, scenario = study.config.campaign.recourse, study.scenario
    quick = study.config.campaign.engine == "fast"

    def at(step: int) -> Recourse:
        return make_recourse(policy, plan, scenario, step, quick=quick)

    return at(study.steps[0]) if len(study.steps) == 1 else Stepwise(at)


def make_feeder_job(
    study: Study,
    out: Path,
    *,
    mode: str = "processes",
    watch: Callable[[Tally], None] | None = None,
) -> FeederJob:
    """Describe the feeder federate of a study: what is still to do, and where it goes.

    Parameters
    ----------
    study
        What is drawn, judged and by what.
    out
        The campaign directory; opened, or made if it is not there.
    mode
        Kept in the record of the run.
    watch
        Told how far the campaign has come, after every batch.

    Raises
    ------
    StoreError
        If the directory is of another campaign or torn.
    """
    store = open_store(study, out)

    def make_sink(traced: Sequence[str]) -> CampaignSink:
        scenario = study.scenario
        return CampaignSink(
            store=store,
            scenario=scenario,
            mode=mode,
            watch=watch,
            traced=traced,
            steps=study.steps,
        )

    batch = batch_of(study)
    job = feeder_job_of(study, missing_ranges(store, store.finished(), batch), make_sink)
    job = replace(job, hear=lambda word: keep_word(store, word))
    assert isinstance(job.sink, CampaignSink)
    if job.sink.stopper.rule is None:
        return job
    return replace(job, ranges=until_enough(job.ranges, job.sink.stopper))


def batch_of(study: Study) -> int:
    """Realizations of an exchange: one where a wall clock sets the pace."""
    batch = study.config.campaign.batch
    if study.config.realtime.step_s is not None:
        return 1
    return min(batch, _BATCH_WITH_DEVICES) if study.config.devices.at else batch


def slow_words(study: Study) -> str | None:
    """Say so where exchanges of few realizations make a long campaign slow; None if they do not.

    An exchange costs the federates several milliseconds, however many realizations it has.
    """
    campaign, batch = study.config.campaign, batch_of(study)
    exchanges = -(-campaign.samples // batch)
    own_choice = batch == campaign.batch and study.config.realtime.step_s is None
    if not own_choice or batch >= _FEW or exchanges < _MANY:
        return None
    return (
        f"[campaign] batch = {batch} makes {exchanges} exchanges of {campaign.samples} "
        "realizations, and each exchange costs its own time: 256 a batch may be 25 times faster, "
        "with the same bytes"
    )


def feeder_job_of(
    study: Study,
    ranges: Iterable[tuple[int, int]],
    make_sink: Callable[[Sequence[str]], KeepingSink],
) -> FeederJob:
    """Describe the feeder federate of a study, wherever its results go.

    Parameters
    ----------
    study
        What is drawn, judged and by what.
    ranges
        Batches to do.
    make_sink
        Where results go, given the columns that come beside the verdicts.
    """
    campaign, scenario = study.config.campaign, study.scenario

    def draw(first: int, count: int, step: int | None = None) -> Realizations:
        return sample(scenario, study.sampler, first, count, step=step)

    begun = isinstance(ranges, Sequence) and bool(ranges) and ranges[0][0] > 0
    channel, pace = channel_of(study, draw), pace_of(study, resumed=begun)
    rounds = rounds_of(study.config)
    guard = _guard_of(study)
    traced = trace_columns(channel, pace, rounds, fast=guard is not None)
    sink = make_sink(traced)

    def again(first: int) -> Sequence[tuple[int, int]]:
        sink.forget(first // CHUNK_ROWS)
        return batches(first // CHUNK_ROWS, campaign.samples, batch_of(study))

    return FeederJob(
        scenario=scenario,
        make_engine=lambda _: _engine_of(study),
        draw=draw,
        ranges=ranges,
        sink=sink,
        channel=channel,
        pace=pace,
        keep_trace=sink.keep_trace if traced else None,
        keep_cause=sink.keep_cause,
        rounds=rounds,
        as_planned=study.config.campaign.enters == "planned",
        steps=study.steps,
        outside=study.sampler.take if isinstance(study.sampler, OutsideLoads) else None,
        make_second=(lambda _: LinearEngine(scenario)) if campaign.judge == "both" else None,
        guard=guard,
        again=None if guard is None else again,
    )


def _guard_of(study: Study) -> Guard | None:
    """Return what the fast engine may settle; None where OpenDSS answers everything."""
    campaign = study.config.campaign
    if campaign.engine != "fast":
        return None
    refuse_fast(study.config)
    return Guard(
        width=campaign.guard, audit=campaign.audit_share, seed=campaign.seed, span=CHUNK_ROWS
    )


def _engine_of(study: Study) -> Engine:
    if study.config.campaign.engine != "fast":
        return _ENGINES[study.config.campaign.judge](study.scenario)
    from gridproof.simulator.fast.engine import FastEngine  # noqa: PLC0415  (an optional dependency)

    return FastEngine(study.scenario)


def open_store(study: Study, out: Path) -> CampaignStore:
    """Make or take up the campaign directory of a study; see `CampaignStore.create`.

    It holds the scenario from then on, so that a report needs no feeder.
    """
    with TemporaryDirectory() as folder:
        path = Path(folder) / "study.json"
        write_resolved(study, path)
        text = path.read_text(encoding="utf-8")
    campaign = study.config.campaign
    fast = campaign.engine == "fast"
    record = environment_record(campaign.seed, study.overrides, fast=fast)
    store = CampaignStore.create(out, text, record)
    keep_scenario(store, study.scenario)
    return store


def session_settings(study: Study, mode: str) -> SessionSettings:
    """Say how the federates run, from the study's ``[federation]`` section.

    Raises
    ------
    ConfigError
        If there is no such mode.
    """
    if mode not in MODES:
        raise ConfigError(f"mode {mode!r} is not one of {', '.join(MODES)}")
    federation = study.config.federation
    return SessionSettings(
        transport=MODES[mode],
        batch=study.config.campaign.batch,
        join_deadline_s=federation.join_deadline_s,
        plan_deadline_s=federation.plan_deadline_s,
        step_deadline_s=federation.step_deadline_s + _waits_s(study),
        observers=federation.observers if mode == "processes" else 0,
        port=federation.port if mode == "processes" else 0,
    )


def _waits_s(study: Study) -> float:
    """Return how long an exchange takes by its own will: for a clock, or for devices to settle."""
    realtime, devices = study.config.realtime, study.config.devices
    clock_s = 0.0 if realtime.step_s is None else realtime.step_s / realtime.factor
    settling_s = batch_of(study) * max(devices.settle_s.values(), default=0.0)
    return max(clock_s, until_start_s(study) or 0.0) + settling_s
