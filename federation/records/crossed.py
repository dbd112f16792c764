"""Two judges on the same realizations: how often they agree, and which way they differ."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from federation.records.rows import outcome_codes
from federation.records.store import CampaignStore
from federation.statistics.paired import paired_difference
from scenarios.verdict import Outcome

__all__ = ["crossed_outcomes"]


def crossed_outcomes(
    store: CampaignStore, chunks: Sequence[int], confidence: float
) -> dict[str, Any]:
    """Cross the linear judge's verdicts with those of AC.

    Realizations that either judge *erred* on are left out and counted beside.

    Returns
    -------
    dict
        ``both_feasible``, ``linear_only``, ``ac_only``, ``neither``, ``erred``; ``difference``
        is the linear share less the AC share, with the interval of `paired_difference`; and
        ``outcomes``, the whole table, linear outcome to AC outcome to count.
    """
    kinds = len(Outcome)
    table = np.zeros((kinds, kinds), np.int64)
    for part in store.tables(["outcome", "outcome_linear"], chunks):
        linear = outcome_codes(part.column("outcome_linear"))
        table += np.bincount(
            linear * kinds + outcome_codes(part.column("outcome")), minlength=kinds * kinds
        ).reshape(kinds, kinds)
    sound = [kind for kind in Outcome if kind is not Outcome.ERRED]
    judged = int(table[np.ix_(sound, sound)].sum())
    both = int(table[Outcome.FEASIBLE, Outcome.FEASIBLE])
    linear_only = int(table[Outcome.FEASIBLE, sound].sum()) - both
    ac_only = int(table[sound, Outcome.FEASIBLE].sum()) - both
    return {
        "both_feasible": both,
        "linear_only": linear_only,
        "ac_only": ac_only,
        "neither": judged - both - linear_only - ac_only,
        "erred": int(table.sum()) - judged,
        "difference": paired_difference(linear_only, ac_only, judged, confidence),
        "outcomes": {
            one.name.lower(): {
                other.name.lower(): int(table[one, other]) for other in Outcome if table[one, other]
            }
            for one in Outcome
            if table[one].any()
        },
    }
