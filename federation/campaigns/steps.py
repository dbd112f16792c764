"""What a campaign of several steps says of each, and of all of them together.

Every part holds a realization at every step, and `step_stores` looks at one step alone; a campaign
of a time before has a directory for each step instead, with the same draws. Realization ``i`` is
one at every step, so steps are joined index by index.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.records.intervals import Intervals
from gridproof.federation.records.losses import served_share
from gridproof.federation.records.report import JointReport, StepReport, StepsReport
from gridproof.federation.records.rows import outcome_codes
from gridproof.federation.records.stopping import counted_chunks
from gridproof.federation.records.store import CampaignStore, step_root
from gridproof.federation.records.summary import campaign_summary
from gridproof.scenarios.arrays import IntArray
from gridproof.scenarios.verdict import Outcome

__all__ = ["joint_summary", "step_stores", "steps_summary"]


def step_stores(store: CampaignStore) -> tuple[CampaignStore, ...]:
    """Look at every step that was begun on its own, in order; itself where it is one.

    Raises
    ------
    StoreError
        If one cannot be read.
    """
    if not store.steps:
        return (store,)
    begun = (store.of_step(k) for k in range(len(store.steps)))
    return tuple(one for one in begun if one is not None)


def steps_summary(
    store: CampaignStore,
    summarize: Callable[[CampaignStore], CampaignReport] = campaign_summary,
) -> StepsReport:
    """Say what became of the realizations at each step, and at all of them together.

    Parameters
    ----------
    store
        The study's directory.
    summarize
        Says what became of one step's campaign.

    Raises
    ------
    StoreError
        If a part is torn or foreign.
    """
    stores = {one.step: one for one in step_stores(store)}
    steps = tuple(
        StepReport(
            step=step,
            name=name,
            directory=str(store.root if store.stepped else step_root(store.root, step)),
            campaign=summarize(stores[step])
            if step in stores and counted_chunks(stores[step])[0]
            else None,
        )
        for step, name in enumerate(store.steps)
    )
    return StepsReport(steps=steps, joint=joint_summary(store))


def joint_summary(store: CampaignStore) -> JointReport:
    """Share of realizations that are feasible at every step, paired by index.

    A realization that erred at any step says nothing and is left out; one that is stale at a step
    is not feasible there, as in a campaign of one step. ``first_failed`` counts each at the first
    step it is not feasible at, and ``stopping`` says why the campaign ended: a rule looks at the
    share that is feasible at every step.

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
    return JointReport(
        realizations=realizations,
        unjudged=unjudged,
        feasible=feasible,
        feasible_share=feasible / judged if judged else None,
        served_share=served_share(stores, chunks),
        interval=intervals.share(feasible, judged),
        interval_kind=intervals.kind,
        confidence=intervals.confidence,
        widening=intervals.told_widening,
        stopping=counted_chunks(store)[1] if store.stepped else None,
        first_failed=dict(zip(store.steps, first_failed.tolist(), strict=True)),
    )


def _outcomes(store: CampaignStore, chunk: int) -> IntArray:
    (table,) = store.tables(["outcome"], [chunk])
    return outcome_codes(table.column("outcome"))
