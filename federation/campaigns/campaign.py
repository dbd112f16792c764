"""A campaign: one plan, one set of realizations, one judge, and a directory that keeps it.

`federation.campaigns.study_jobs` describes both federates; here they are run, in one process, in
two, or spread over many, and resumed.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gridproof.federation.campaigns.follow import following
from gridproof.federation.campaigns.study_jobs import (
    make_feeder_job,
    make_planner_job,
    open_store,
    ready_plan,
    session_settings,
)
from gridproof.federation.config.foreign import refuse_ours
from gridproof.federation.members.jobs import FeederJob, PlannerJob
from gridproof.federation.members.launch import run_processes
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.members.threads import run_members
from gridproof.federation.records.answered import refuse_our_word
from gridproof.federation.records.begun import begun_chunks, read_begun
from gridproof.federation.records.footers import check_whole
from gridproof.federation.records.keeper import Tally, stored_plan
from gridproof.federation.records.lock import writing
from gridproof.federation.records.run_record import recorded
from gridproof.federation.records.sink import CampaignSink
from gridproof.federation.records.stopping import drop_surplus, stopper_of
from gridproof.federation.records.store import LOGS, CampaignStore
from gridproof.federation.studies.study import Study
from gridproof.federation.studies.trust import trust_words
from gridproof.federation.studies.wiring import (
    pace_of,
    refuse_fast,
    refuse_unnamed,
    refuse_unsent,
)
from gridproof.optimizer.solver.decomposition import PlanProgress
from gridproof.scenarios.errors import ConfigError, StoreError
from gridproof.scenarios.plan import Plan, plan_digest
from gridproof.scenarios.plan_file import plan_to_json

__all__ = ["CampaignResult", "Spread", "plan_here", "refuse_to_spread", "run_campaign"]


class Spread(Protocol):
    """Tries the missing chunks of a campaign in other processes; writes every part itself."""

    def ready(self, study: Study) -> None:
        """Raise what would keep it from trying anything, before a plan is made for it."""
        ...

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
        If there is no such mode.
    """
    mode = study.config.federation.mode if mode is None else mode
    session_settings(study, mode)  # refuses an unknown mode before anything is made
    if spread is not None:
        refuse_to_spread(study, mode)
    refuse_unnamed(study)
    refuse_unsent(study)
    refuse_fast(study.config)
    started = time.monotonic()
    with writing(out):
        store = open_store(study, out)
        plan = None if plan is None else ready_plan(plan, study)
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


def _resumable(store: CampaignStore, study: Study, plan: Plan | None) -> int:
    """Put a given plan in place, or hold it against the one there; returns what is done."""
    kept = stored_plan(store, study.scenario)
    finished = store.finished(None if kept is None else plan_digest(kept))
    check_whole(store.part_path(chunk) for chunk in finished)
    if (finished or begun_chunks(store)) and kept is None:
        raise StoreError(f"{store.root} holds parts but no plan.json; restore it, or delete all")
    if plan is not None and kept is None:
        store.write("plan.json", plan_to_json(plan) + "\n")
    elif plan is not None and kept is not None and plan_digest(plan) != plan_digest(kept):
        raise StoreError(
            f"{store.root} holds a campaign of another plan than the one given; give another --out"
        )
    begun = (read_begun(store, chunk) for chunk in begun_chunks(store))
    rows = sum(one.realizations for one in begun if one is not None)
    return rows + sum(store.chunk_range(chunk)[1] for chunk in finished)


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
    refuse_ours(study.foreign, store.root)
    refuse_our_word(store)
    settings = session_settings(study, mode)
    if mode == "processes":
        with recorded(store, mode), following(store, progress):
            logs = store.root / LOGS
            run_processes(
                store.root / "study.json",
                store.root,
                settings,
                trust=trust_words(study),
                logs=logs,
            )
        return
    job = make_planner_job(study, plan, out=store.root, progress=planning)
    if spread is not None:
        if stored_plan(store, study.scenario) is None:
            spread.ready(study)  # before what may take an hour
            store.write("plan.json", plan_to_json(plan_here(job)) + "\n")  # kept, whatever comes
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
        sink.record_failure(error)
        raise
