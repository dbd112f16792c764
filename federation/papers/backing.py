"""What a campaign's parts say of its verdicts: solutions behind them, corrections before them."""

from __future__ import annotations

import numpy as np
import pyarrow.compute as pc
from gridproof.federation.papers.policy_mode_row import AcBreaches
from gridproof.federation.records.rows import STEP
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.trial.rounds import ROUNDS_COLUMN
from gridproof.scenarios.arrays import BoolArray
from gridproof.scenarios.verdict import MarginKind, Outcome

__all__ = ["backed_by_solutions", "breached_pairs", "correction_rounds"]

_SOLVED = tuple(one.name.lower() for one in (Outcome.FEASIBLE, Outcome.VIOLATED))
_NETWORK = (MarginKind.VOLTAGE, MarginKind.CURRENT, MarginKind.TRANSFORMER)


def backed_by_solutions(store: CampaignStore, tolerance: float) -> int:
    """Count feasible verdicts that stand on a solved power flow with every margin inside.

    Read back from the parts, not from whoever gave the verdict: the row must hold what the
    physics served, and no margin below ``-tolerance``.

    Parameters
    ----------
    store
        The campaign.
    tolerance
        As the scenario's limits have it.
    """
    margins = [f"margin_{kind.value}" for kind in MarginKind]
    count = 0
    for table in store.tables(["outcome", "served_kw", *margins], store.finished()):
        inside: BoolArray = np.array(table.column("outcome").to_pylist()) == "feasible"
        inside &= pc.is_valid(table.column("served_kw")).to_numpy()
        for name in margins:
            margin = table.column(name).to_numpy()
            inside &= ~np.isnan(margin) & (margin >= -tolerance)
        count += int(inside.sum())
    return count


def breached_pairs(
    store: CampaignStore, tolerance: float, inside: BoolArray | None = None
) -> AcBreaches:
    """Count (realization, step) pairs that were solved outside a limit, by kind.

    Parameters
    ----------
    store, tolerance
        As for `backed_by_solutions`.
    inside
        (realization, step) whether what is drawn lies in the set a plan is proven over: then
        ``in_set`` of the solved pairs do, and ``in_set_breached`` of those left any limit.
    """
    names = {kind: f"margin_{kind.value}" for kind in MarginKind}
    counts = dict.fromkeys(("pairs", "solved", "network", *(k.value for k in MarginKind)), 0)
    in_set = in_set_breached = 0
    for table in store.tables(["index", STEP, "outcome", *names.values()], store.finished()):
        outcome = np.array(table.column("outcome").to_pylist())
        solved: BoolArray = np.isin(outcome, _SOLVED)
        left = {
            kind: solved & (table.column(name).to_numpy() < -tolerance)
            for kind, name in names.items()
        }
        counts["pairs"] += len(outcome)
        counts["solved"] += int(solved.sum())
        counts["network"] += int(np.any([left[kind] for kind in _NETWORK], axis=0).sum())
        for kind, rows in left.items():
            counts[kind.value] += int(rows.sum())
        if inside is not None:
            at = table.column("index").to_numpy(), table.column(STEP).to_numpy()
            within = solved & inside[at]
            in_set += int(within.sum())
            in_set_breached += int((within & np.any(list(left.values()), axis=0)).sum())
    known = inside is not None
    return AcBreaches(
        **counts,
        in_set=in_set if known else None,
        in_set_breached=in_set_breached if known else None,
    )


def correction_rounds(store: CampaignStore) -> tuple[int, int] | None:
    """Count realizations that were corrected, and the most rounds one took; None without any."""
    if store.study["config"]["campaign"]["recourse"] != "ac":
        return None
    corrected, most = 0, 0
    for table in store.tables([ROUNDS_COLUMN], store.finished()):
        rounds = np.nan_to_num(table.column(ROUNDS_COLUMN).to_numpy().astype(float))
        corrected += int((rounds > 0).sum())
        most = max(most, int(rounds.max(initial=0.0)))
    return corrected, most
