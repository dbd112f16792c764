"""Two studies of several steps on the same realizations: each step, and all of them together."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gridproof.federation.records.intervals import Intervals
from gridproof.federation.records.losses import served_share
from gridproof.federation.records.rows import outcome_codes
from gridproof.federation.records.stopping import counted_chunks
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.reports.compare import (
    compare_campaigns,
    crossed_difference,
    intervals_of_both,
)
from gridproof.federation.reports.comparison import (
    ComparedStep,
    ComparedSteps,
    Comparison,
    CrossedCampaigns,
)
from gridproof.scenarios.arrays import BoolArray
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.verdict import Outcome

__all__ = ["compare_steps"]


def compare_steps(
    first: CampaignStore, second: CampaignStore, confidence: float = 0.95
) -> ComparedSteps:
    """Compare two studies of several steps, step by step and at all steps together.

    Raises
    ------
    StoreError
        If their steps are not the same, one was not tried, or as `compare_campaigns`.
    """
    if first.steps != second.steps:
        raise StoreError(
            f"{first.root} has steps {', '.join(first.steps) or 'none'}, {second.root} has "
            f"{', '.join(second.steps) or 'none'}; give two of the same steps, or one step of each"
        )
    found, pairs = [], []
    for step, name in enumerate(first.steps):
        pair = []
        for store in (first, second):
            one = store.of_step(step)
            if one is None:
                raise StoreError(
                    f"{store.root} has not tried step {step} ({name}) yet; go on with: gridproof "
                    f"resume {store.root}"
                )
            pair.append(one)
        pairs.append((pair[0], pair[1]))
        one_step = compare_campaigns(pair[0], pair[1], confidence)
        found.append(ComparedStep(step=step, name=name, comparison=one_step))
    intervals = intervals_of_both(first, second, confidence)
    return ComparedSteps(steps=tuple(found), joint=_joint((first, second), pairs, intervals))


def _joint(
    stores: tuple[CampaignStore, CampaignStore],
    pairs: Sequence[tuple[CampaignStore, CampaignStore]],
    intervals: Intervals,
) -> Comparison:
    """Cross what is feasible at every step; a realization that erred anywhere is left out."""
    kept = [set(counted_chunks(one)[0]) for pair in pairs for one in pair]
    gained = [np.zeros(0)]
    counts = dict.fromkeys(("both_feasible", "first_only", "second_only", "neither"), 0)
    realizations = 0
    for chunk in sorted(set.intersection(*kept)):
        (first, erred), (second, other) = (
            _held([pair[side] for pair in pairs], chunk) for side in (0, 1)
        )
        rows = min(len(first), len(second))
        judged = ~(erred[:rows] | other[:rows])
        one, two = first[:rows][judged], second[:rows][judged]
        realizations += rows
        gained.append(two.astype(float) - one)
        for name, where in (
            ("both_feasible", one & two),
            ("first_only", one & ~two),
            ("second_only", ~one & two),
            ("neither", ~one & ~two),
        ):
            counts[name] += int(where.sum())
    chunks = sorted(set.intersection(*kept))
    served = [served_share([pair[side] for pair in pairs], chunks) for side in (0, 1)]
    return crossed_difference(
        stores,
        CrossedCampaigns(**counts),
        realizations,
        intervals=intervals.seen(np.concatenate(gained)),
        served=served,
    )


def _held(stores: Sequence[CampaignStore], chunk: int) -> tuple[BoolArray, BoolArray]:
    """(realization,) feasible at every step, and erred at any."""
    tables = [next(iter(store.tables(["outcome"], [chunk]))) for store in stores]
    rows = min(table.num_rows for table in tables)
    codes = np.stack([outcome_codes(table.column("outcome"))[:rows] for table in tables])
    return (codes == Outcome.FEASIBLE).all(axis=0), (codes == Outcome.ERRED).any(axis=0)
