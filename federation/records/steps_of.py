"""Counts over the steps of a campaign, read from its rows."""

from __future__ import annotations

import numpy as np
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.verdict import MarginKind, Outcome

__all__ = ["breached_pairs"]

_TOLERANCE = 1e-6


def breached_pairs(store: CampaignStore) -> dict[str, int]:
    """Count (realization, step) pairs by limit that was left, and how many were solved.

    ``pairs``, ``solved``, ``network`` (voltage, current or transformer) and each kind of limit.
    """
    names = [f"margin_{kind.value}" for kind in MarginKind]
    counts = dict.fromkeys(("pairs", "solved", "network", *(k.value for k in MarginKind)), 0)
    for table in store.tables(None, store.finished()):
        outcome = np.array(table["outcome"].to_pylist())
        solved = np.isin(outcome, [Outcome.FEASIBLE.name.lower(), Outcome.VIOLATED.name.lower()])
        counts["pairs"] += len(outcome)
        counts["solved"] += int(solved.sum())
        network = np.zeros(len(outcome), bool)
        for kind, name in zip(MarginKind, names, strict=True):
            if name not in table.column_names:
                continue
            left = solved & (np.array(table[name].to_pylist(), float) < -_TOLERANCE)
            counts[kind.value] += int(left.sum())
            if kind in (MarginKind.VOLTAGE, MarginKind.CURRENT, MarginKind.TRANSFORMER):
                network |= left
        counts["network"] += int(network.sum())
    return counts
