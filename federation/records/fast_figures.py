"""Counts who answered the realizations of a campaign, from the columns beside the verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
from gridproof.federation.records.fast_report import FastReport
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.trial.guarded import FAST_COLUMNS, SolvedBy

__all__ = ["fast_figures"]


def fast_figures(store: CampaignStore, chunks: Sequence[int]) -> FastReport | None:
    """Count who answered what; None where OpenDSS answers everything.

    Raises
    ------
    StoreError
        If a part cannot be read through.
    """
    asked = store.study["config"]["campaign"]
    if asked.get("engine", "opendss") != "fast":
        return None
    reasons, audited, rows, again, most = Counter[int](), 0, 0, 0, -np.inf
    for table in store.tables(list(FAST_COLUMNS), chunks):
        reason, difference = (table.column(name).to_numpy() for name in FAST_COLUMNS)
        found = Counter(reason.astype(int).tolist())
        reasons.update(found)
        rows += len(reason)
        again += bool(found[SolvedBy.FAILED_AUDIT])
        there = ~np.isnan(difference)
        audited += int(there.sum())
        most = max(most, float(difference[there].max(initial=-np.inf)))
    return FastReport(
        guard=float(asked["guard"]),
        rows=rows,
        audited=audited,
        largest_difference=most if np.isfinite(most) else None,
        by_opendss={
            one.name.lower(): reasons[one] for one in SolvedBy if one and reasons[int(one)]
        },
        done_again=again,
    )
