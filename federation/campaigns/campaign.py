"""A campaign: one plan, one set of realizations, one judge, and a directory that keeps it.

Both federates are described here as jobs, the same for one process and for two, so how a
campaign is run cannot change a byte of its results.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Protocol

from federation.campaigns.follow import following
from federation.members.jobs import Engine, FeederJob, PlannerJob
from federation.members.launch import run_processes
from federation.members.session import SessionSettings, run_session
from federation.members.threads import run_members
from federation.records.environment import environment_record
from federation.records.lock import writing
from federation.records.parts import ChunkSink
from federation.records.sink import CampaignSink, Tally, plan_digest, stored_plan
from federation.records.stopping import drop_surplus, stopper_of, until_enough
from federation.records.store import CampaignStore
from federation.studies.study import Study, write_resolved
from federation.studies.wiring import channel_of, pace_of, rounds_of, trace_columns
from optimizer.planner import PlanProgress, make_planner
from optimizer.recourse import make_recourse
from scenarios.errors import ConfigError, StoreError
from scenarios.plan import Plan, plan_to_json
from scenarios.realization import Realizations
from scenarios.sampling import sample
from scenarios.scenario import Scenario
from simulator.linear import LinearEngine
from simulator.opendss import OpenDssEngine

__all__ = [
    "MODES",
    "CampaignResult",
    "Spread",
    "batch_of",
    "feeder_job_of",
    "make_feeder_job",
    "make_planner_job",
    "open_store",
    "plan_here",
    "refuse_to_spread",
    "run_campaign",
    "session_settings",
]

MODES: Mapping[str, str] = {"in_process": "inproc", "processes": "zmq", "local": "local"}
"""How a campaign is run, and the transport that takes."""

_BATCH_WITH_DEVICES = 16  # a silent device may cost its deadline for each realization

_ENGINES: Mapping[str, Callable[[Scenario], Engine]] = {
    "ac": OpenDssEngine,
    "linear": LinearEngine,
    "both": OpenDssEngine,  # decides; the linear one is asked as well
}


class Spread(Protocol):
    """Tries the missing chunks of a campaign in other processes; writes every part itself."""

    def __call__(
        self,
        study: Study,
        store: CampaignStore,
        plan: Plan,
        progress: Callable[[Tally], None] | None,
    ) -> None:
        """Return when every part is kept."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class CampaignResult:
    """A finished campaign.

    Attributes
    ----------
    out
        Its directory.
    store
        The same, opened; `federation.records.summary.campaign_summary` reads its figures.
    plan
        The plan that was tried.
    resumed
        Realizations that were there before this run.
    seconds
        Wall time of this run, planning included.
    """

    out: Path
    store: CampaignStore
    plan: Plan
    resumed: int
    seconds: float


def run_campaign(
    study: Study,
    out: Path,
    *,
    mode: str | None = None,
    plan: Plan | None = None,
    progress: Callable[[Tally], None] | None = None,
    planning: Callable[[PlanProgress], None] | None = None,
    spread: Spread | None = None,
) -> CampaignResult:
    """Plan if need be, try the plan on every realization, and keep what came of it.

    A directory that holds part of the same campaign is taken up; a whole one is only read.

    Parameters
    ----------
    study
        Decides everything that can change a result.
    out
        The campaign directory; made if missing.
    mode
        ``in_process``, ``processes`` or ``local``; the study's own if None.
    plan
        A plan to try; made by the study's planner if None.
    progress
        Told how far the campaign has come; called from another thread.
    planning
        Told of the planner's steps, where it plans in this process; from another thread too.
    spread
        Tries the chunks in other processes; the plan is then made in this one. One federation
        that tries all of them if None.

    Raises
    ------
    StoreError
        If the directory is of another campaign, torn, or cannot be written, or another program
        writes to it.
    PlanError, FederationError
        If there is no plan; if the federation could not go on (finished parts are whole).
    ConfigError
        If there is no such mode, or the study has several steps and names none
        (`federation.campaigns.steps.run_study` tries each).
    """
    study.step  # noqa: B018  (refuses several)
    mode = study.config.federation.mode if mode is None else mode
    session_settings(study, mode)  # refuses an unknown mode before anything is made
    if spread is not None:
        refuse_to_spread(study, mode)
    started = time.monotonic()
    with writing(out):
        store = open_store(study, out)
        resumed = _resumable(store, study, plan)
        if not resumed or stopper_of(store).missing(store.finished()):
            _try_missing(study, store, plan, progress, planning, mode=mode, spread=spread)
        stopper = stopper_of(store)
        drop_surplus(store, stopper)
    tried = stored_plan(store, study.scenario)
    if tried is None or stopper.missing(store.finished()):
        raise StoreError(f"{out} is not complete after the run; go on with: gridproof resume {out}")
    seconds = time.monotonic() - started
    return CampaignResult(out=out, store=store, plan=tried, resumed=resumed, seconds=seconds)


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
    """
    config, scenario = study.config, study.scenario

    def make_plan() -> Plan:
        if plan is not None:
            return plan
        if out is not None and (out / "study.json").exists():
            kept = stored_plan(CampaignStore.open(out), scenario)
            if kept is not None:
                return kept
        planner = make_planner(config.planner.family, config.planner.options)
        return planner.plan(scenario, progress=progress)

    return PlannerJob(
        scenario=scenario,
        make_plan=make_plan,
        make_recourse=lambda made: make_recourse(
            config.campaign.recourse, made, scenario, study.step
        ),
        step=study.step,
    )


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
            step=study.step,
        )

    batch = batch_of(study)
    job = feeder_job_of(study, store.missing_ranges(batch, store.finished()), make_sink)
    assert isinstance(job.sink, CampaignSink)
    if job.sink.stopper.rule is None:
        return job
    return replace(job, ranges=until_enough(job.ranges, job.sink.stopper))


def batch_of(study: Study) -> int:
    """Realizations of an exchange: one where a wall clock sets the pace."""
    batch = study.config.campaign.batch
    if pace_of(study) is not None:
        return 1
    return min(batch, _BATCH_WITH_DEVICES) if study.config.devices.at else batch


def feeder_job_of(
    study: Study,
    ranges: Iterable[tuple[int, int]],
    make_sink: Callable[[Sequence[str]], CampaignSink | ChunkSink],
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

    def draw(first: int, count: int) -> Realizations:
        return sample(scenario, study.sampler, first, count)

    channel, pace = channel_of(study, draw), pace_of(study)
    rounds = rounds_of(study.config)
    traced = trace_columns(channel, pace, rounds)
    sink = make_sink(traced)
    return FeederJob(
        scenario=scenario,
        make_engine=lambda _: _ENGINES[campaign.judge](scenario),
        draw=draw,
        ranges=ranges,
        sink=sink,
        channel=channel,
        pace=pace,
        keep_trace=sink.keep_trace if traced else None,
        rounds=rounds,
        step=study.step,
        make_second=(lambda _: LinearEngine(scenario)) if campaign.judge == "both" else None,
    )


def open_store(study: Study, out: Path, *, parts: bool = True) -> CampaignStore:
    """Make or take up the campaign directory of a study; see `CampaignStore.create`."""
    with TemporaryDirectory() as folder:
        path = Path(folder) / "study.json"
        write_resolved(study, path)
        text = path.read_text(encoding="utf-8")
    return CampaignStore.create(
        out, text, environment_record(study.config.campaign.seed), parts=parts
    )


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
        step_deadline_s=federation.step_deadline_s,
    )


def _resumable(store: CampaignStore, study: Study, plan: Plan | None) -> int:
    """Put a given plan in place, or hold it against the one there; returns what is done."""
    kept = stored_plan(store, study.scenario)
    finished = store.finished(None if kept is None else plan_digest(kept))
    if finished and kept is None:
        raise StoreError(f"{store.root} holds parts but no plan.json; restore it, or delete all")
    if plan is not None and kept is None:
        store.write("plan.json", plan_to_json(plan) + "\n")
    elif plan is not None and kept is not None and plan_digest(plan) != plan_digest(kept):
        raise StoreError(
            f"{store.root} holds a campaign of another plan than the one given; give another --out"
        )
    return sum(store.chunk_range(chunk)[1] for chunk in finished)


def _try_missing(
    study: Study,
    store: CampaignStore,
    plan: Plan | None,
    progress: Callable[[Tally], None] | None,
    planning: Callable[[PlanProgress], None] | None,
    *,
    mode: str,
    spread: Spread | None,
) -> None:
    """Try the plan on what is missing, in one federation here, in two processes, or spread."""
    settings = session_settings(study, mode)
    if mode == "processes":
        with following(store, progress):
            run_processes(store.root / "study.json", store.root, settings)
        return
    job = make_planner_job(study, plan, out=store.root, progress=planning)
    if spread is not None:
        spread(study, store, plan_here(job), progress)
    else:
        _run_here(job, make_feeder_job(study, store.root, mode=mode, watch=progress), settings)


def refuse_to_spread(study: Study, mode: str) -> None:
    """Refuse to hand to workers what one process, clock or device must do; `ConfigError`."""
    if mode == "processes":
        raise ConfigError("workers hold both federates each; leave out --processes, or the workers")
    if pace_of(study) is not None or study.config.devices.at:
        raise ConfigError("one clock and one device cannot serve several workers; leave them out")


def plan_here(job: PlannerJob) -> Plan:
    """Make the plan on a thread, so that Ctrl-C is heard while the solver is at it."""
    return run_members({"planner": lambda _: job.make_plan()}, lambda _: None)["planner"]


def _run_here(planner_job: PlannerJob, feeder_job: FeederJob, settings: SessionSettings) -> None:
    sink = feeder_job.sink
    assert isinstance(sink, CampaignSink)
    try:
        run_session(planner_job, feeder_job, settings)
    except BaseException as error:
        sink.record("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        raise
