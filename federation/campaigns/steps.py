"""A study of several steps: one plan, a campaign for each step, and what holds at all of them.

::

    DIR/
      study.json, environment.json, plan.json    as in every campaign directory
      step-0/ … step-3/    one whole campaign each, of the same plan and the same draws

Realization ``i`` is the same draw at every step, so steps are joined index by index.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from gridproof.federation.campaigns.campaign import (
    CampaignResult,
    Spread,
    plan_here,
    refuse_to_spread,
    run_campaign,
)
from gridproof.federation.campaigns.study_jobs import make_planner_job, open_store, session_settings
from gridproof.federation.records.intervals import Intervals
from gridproof.federation.records.keeper import Tally, stored_plan
from gridproof.federation.records.lock import writing
from gridproof.federation.records.losses import UnservedEnergy, served_share
from gridproof.federation.records.rows import outcome_codes
from gridproof.federation.records.stopping import counted_chunks
from gridproof.federation.records.store import CampaignStore, step_root
from gridproof.federation.records.summary import campaign_summary
from gridproof.federation.studies.study import Study
from gridproof.optimizer.solver.decomposition import PlanProgress
from gridproof.scenarios.arrays import IntArray
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan import Plan, plan_digest
from gridproof.scenarios.plan_file import plan_to_json
from gridproof.scenarios.verdict import Outcome

__all__ = ["StudyResult", "joint_summary", "run_study", "step_stores", "steps_summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyResult:
    """A finished study.

    Attributes
    ----------
    out
        Its directory.
    plan
        The plan that was tried.
    campaigns
        One for each step that was tried.
    seconds
        Wall time of this run, planning included.
    """

    out: Path
    plan: Plan
    campaigns: tuple[CampaignResult, ...]
    seconds: float


def step_stores(store: CampaignStore) -> tuple[CampaignStore, ...]:
    """Open the campaigns of every step that was begun, in order; itself where it is one.

    Raises
    ------
    StoreError
        If one cannot be read.
    """
    if not store.steps:
        return (store,)
    begun = (store.of_step(k) for k in range(len(store.steps)))
    return tuple(one for one in begun if one is not None)


def run_study(
    study: Study,
    out: Path,
    *,
    mode: str | None = None,
    plan: Plan | None = None,
    progress: Callable[[Tally], None] | None = None,
    planning: Callable[[PlanProgress], None] | None = None,
    spread: Spread | None = None,
    begin: Callable[[str], None] | None = None,
) -> StudyResult:
    """Plan if need be, try the plan at every step the study asks for, and keep what came of it.

    Parameters
    ----------
    study, out, mode, plan, progress, planning, spread
        As in `run_campaign`, which does it where one step is tried.
    begin
        Told the name of each step as its campaign begins, where there are several.

    Raises
    ------
    BaseException
        As `run_campaign`.
    """
    started = time.monotonic()

    def try_one(one: Study, root: Path, made: Plan | None) -> CampaignResult:
        return run_campaign(
            one, root, mode=mode, plan=made, progress=progress, planning=planning, spread=spread
        )

    if len(study.steps) == 1:
        done = (try_one(study, out, plan),)
        return StudyResult(out=out, plan=done[0].plan, campaigns=done, seconds=done[0].seconds)
    chosen = study.config.federation.mode if mode is None else mode
    session_settings(study, chosen)  # refuses an unknown mode before anything is made
    if spread is not None:
        refuse_to_spread(study, chosen)
    with writing(out):
        made = _planned(study, out, plan, planning, spread)
        campaigns = []
        for step in study.steps:
            if begin is not None:
                begin(f"{step} {study.scenario.step_names[step]}")
            campaigns.append(try_one(study.at_step(step), step_root(out, step), made))
    seconds = time.monotonic() - started
    return StudyResult(out=out, plan=made, campaigns=tuple(campaigns), seconds=seconds)


def _planned(
    study: Study,
    out: Path,
    given: Plan | None,
    planning: Callable[[PlanProgress], None] | None,
    spread: Spread | None,
) -> Plan:
    """Put the plan of all steps in place: the one there, the one given, or a new one."""
    store = open_store(study, out, parts=False)
    kept = stored_plan(store, study.scenario)
    if kept is not None:
        if given is not None and plan_digest(given) != plan_digest(kept):
            raise StoreError(
                f"{out} holds campaigns of another plan than the one given; give another --out"
            )
        return kept
    if spread is not None:
        spread.ready(study)
    made = given or plan_here(make_planner_job(study.at_step(0), progress=planning))
    store.write("plan.json", plan_to_json(made) + "\n")
    return made


def steps_summary(
    store: CampaignStore,
    summarize: Callable[[CampaignStore], dict[str, Any]] = campaign_summary,
) -> dict[str, Any]:
    """Say what became of the realizations at each step, and at all of them together.

    Parameters
    ----------
    store
        The study's directory.
    summarize
        Makes the summary of one step's campaign.

    Returns
    -------
    dict
        ``steps``: number, name, directory and `campaign_summary` (None before the first part)
        of each step; ``joint``: `joint_summary`.

    Raises
    ------
    StoreError
        If a part is torn or foreign.
    """
    stores = {one.step: one for one in step_stores(store)}
    steps = [
        {
            "step": step,
            "name": name,
            "directory": str(step_root(store.root, step)),
            "campaign": summarize(stores[step])
            if step in stores and counted_chunks(stores[step])[0]
            else None,
        }
        for step, name in enumerate(store.steps)
    ]
    return {"steps": steps, "joint": joint_summary(store)}


def joint_summary(store: CampaignStore) -> dict[str, Any]:
    """Share of realizations that are feasible at every step, paired by index.

    A realization that erred at any step says nothing and is left out; one that is stale at a step
    is not feasible there, as in a campaign of one step. ``first_failed`` counts each at the first
    step it is not feasible at.

    Raises
    ------
    StoreError
        If a part is torn or foreign.
    """
    stores = step_stores(store)
    intervals = Intervals.of(store.study["config"])
    whole = [set(counted_chunks(one)[0]) for one in stores]
    chunks = sorted(set.intersection(*whole)) if len(stores) == len(store.steps) else []
    realizations = unjudged = feasible = 0
    first_failed = np.zeros(len(store.steps), np.int64)
    held = [np.zeros(0, bool)]
    for chunk in chunks:
        codes = [_outcomes(one, chunk) for one in stores]
        rows = min(len(one) for one in codes)  # one that was stopped may hold fewer
        outcome = np.stack([one[:rows] for one in codes])
        lost = (outcome == Outcome.ERRED).any(axis=0)
        failed = (outcome != Outcome.FEASIBLE)[:, ~lost]
        realizations, unjudged = realizations + outcome.shape[1], unjudged + int(lost.sum())
        held.append(~failed.any(axis=0))
        feasible += int(held[-1].sum())
        where = failed.argmax(axis=0)[failed.any(axis=0)]
        first_failed += np.bincount(where, minlength=len(store.steps))
    judged = realizations - unjudged
    intervals = intervals.seen(np.concatenate(held))
    return {
        "realizations": realizations,
        "unjudged": unjudged,
        "feasible": feasible,
        "feasible_share": feasible / judged if judged else None,
        "served_share": _served(stores, chunks),
        "interval": list(intervals.share(feasible, judged)),
        **intervals.words(),
        "first_failed": dict(zip(store.steps, first_failed.tolist(), strict=True)),
    }


def _served(stores: Sequence[CampaignStore], chunks: Sequence[int]) -> float | None:
    """Share of the demand served, as drawn, over all steps: of what is feasible at each."""
    energy = UnservedEnergy(hours=1.0)
    for one in stores:
        for table in one.tables(["outcome", "load_kw", "served_kw"], chunks):
            energy.add(table)
    return served_share(energy.figures())


def _outcomes(store: CampaignStore, chunk: int) -> IntArray:
    (table,) = store.tables(["outcome"], [chunk])
    return outcome_codes(table.column("outcome"))
