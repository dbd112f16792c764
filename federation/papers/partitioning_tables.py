"""A publication's tables with ours beside the printed figures: as tables."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

from gridproof.federation.papers.centring_table import centring_table
from gridproof.federation.papers.data import CampaignRows
from gridproof.federation.papers.paper_table import paper_table
from gridproof.federation.papers.partitioning import CampaignRow, PaperRun, PlanRow
from gridproof.federation.statistics.shares import Share, share_of
from gridproof.federation.tables.table import Table

__all__ = ["paper_tables"]


def paper_tables(run: PaperRun) -> tuple[Table, ...]:
    """Make every table that the publication's rows fill."""
    planned: Mapping[str, Callable[[Sequence[PlanRow]], Table]] = {
        "costs": _costs,
        "search": _search,
        "unpartitioned": _unpartitioned,
    }
    tables = []
    for key, show in planned.items():
        plans = [row for row in run.plans if key in row.rows.tables]
        tables += [show(plans)] if plans else []
    makers: Mapping[str, Callable[[Sequence[CampaignRow]], Table]] = {
        "out_of_sample": _out_of_sample,
        "ac_robustness": _ac_robustness,
        "mended": _mended,
        "crossed": _crossed,
    }
    for key, make in makers.items():
        rows = [row for row in run.campaigns if row.rows.table == key]
        tables += [make(rows)] if rows else []
    twins = centring_table(run)
    return (*tables, twins) if twins is not None else tuple(tables)


_COSTS = (
    ("generation_cost_usd", "generation", 0),
    ("shed_cost_usd", "shed", 0),
    ("redispatch_cost_usd", "moved", 0),
    ("energized_blocks", "blocks", 0),
    ("closed_switches", "shut", 0),
    ("served_kw", "kW", 0),
    ("seconds", "s", 1),
)
_COSTS_IN_FILES = ("seconds_to_best",)


def _costs(rows: Sequence[PlanRow]) -> Table:
    return paper_table(
        name="costs",
        title="Costs USD, live blocks, switches, served kW, time: ours/printed (Table I)",
        columns=(("level_percent", "±%", 0), *_COSTS),
        rows=tuple(_cost_row(row) for row in rows),
    )


def _cost_row(row: PlanRow) -> dict[str, Any]:
    found: dict[str, Any] = {"level_percent": row.level_percent}
    figures = {**row.summary.to_json(), "seconds_to_best": row.seconds_to_best}
    for key in (*(key for key, _, _ in _COSTS), *_COSTS_IN_FILES):
        found[key] = figures[key]
        printed = row.rows.printed.get(key)
        found[f"printed_{key}"] = None if printed is None else printed[row.position]
    return {
        **found,
        "demand_kw": row.summary.demand_kw,
        "certified": row.summary.proof.certified,
        "gap": row.summary.gap,
        "iterations": row.summary.iterations,
        "live": " ".join(row.summary.blocks_that_are("live")),
        "grid_forming": " ".join(row.summary.grid_forming),
    }


def _search(rows: Sequence[PlanRow]) -> Table:
    return paper_table(
        name="search",
        title="Search: time, and when it held the plan it ended with: ours/printed (Table I)",
        columns=(
            ("plan", "plan", 0),
            ("level_percent", "±%", 0),
            ("iterations", "iterations", 0),
            ("seconds", "s", 1),
            ("seconds_to_best", "s to best", 1),
            ("best_percent", "of the whole %", 0),
        ),
        rows=tuple(_search_row(row) for row in rows),
    )


def _search_row(row: PlanRow) -> dict[str, Any]:
    """Tell a search's times, and the share of it after which its last plan was known."""
    seconds, printed = row.summary.seconds, row.rows.printed
    found: dict[str, Any] = {
        "plan": row.rows.key,
        "level_percent": row.level_percent,
        "iterations": row.summary.iterations,
        "seconds": seconds,
        "seconds_to_best": row.seconds_to_best,
        "best_percent": 100.0 * row.seconds_to_best / seconds if seconds else None,
        "certified": row.summary.proof.certified,
        "objective_usd": row.summary.objective_usd,
    }
    if {"seconds", "seconds_to_best"} <= printed.keys():
        whole, best = printed["seconds"][row.position], printed["seconds_to_best"][row.position]
        found |= {"printed_seconds": whole, "printed_seconds_to_best": best}
        found["printed_best_percent"] = 100.0 * best / whole
    return found


def _unpartitioned(rows: Sequence[PlanRow]) -> Table:
    return paper_table(
        name="unpartitioned",
        title="Without partitioning, every switch as it stands: served kW, ours/printed (IV-C)",
        columns=(
            ("level_percent", "±%", 0),
            ("served_kw", "served kW", 0),
            ("energized_blocks", "live blocks", 0),
            ("shed_cost_usd", "shed USD", 0),
            ("certified", "certified", 0),
        ),
        rows=tuple(_cost_row(row) for row in rows),
    )


_SHARE: tuple[tuple[str, str, int], ...] = (
    ("level_percent", "±%", 0),
    ("samples", "drawn", 0),
    ("feasible", "feasible", 0),
    ("feasible_percent", "share %", 2),
    ("low_percent to high_percent", "interval %", 2),
)


def _out_of_sample(rows: Sequence[CampaignRow]) -> Table:
    return paper_table(
        name="out_of_sample",
        title="Nominal plan out of sample, linear verdict: ours/printed (IV-D)",
        columns=(*_SHARE, ("no_recourse", "no re-dispatch", 0)),
        rows=tuple(_share_row(row) for row in rows),
    )


def _ac_robustness(rows: Sequence[CampaignRow]) -> Table:
    return paper_table(
        name="ac_robustness",
        title="Robust plan under three-phase AC power flow: ours/printed (Table II)",
        columns=(
            *(column for column in _SHARE if column[0] != "feasible"),
            ("at_least_printed", "met", 0),
            *_CORRECTIONS,
            ("certificate", "every load, by a rule", 0),
            ("certified_margin", "at least", 4),
        ),
        rows=tuple({**_share_row(row), **_certificate(row)} for row in rows),
    )


def _certificate(row: CampaignRow) -> dict[str, Any]:
    """Say what is proven of the plan over its whole box, with the affine rule."""
    found = row.certificate
    if found is None or found.worst is None:
        return {"certificate": None, "certified_margin": None}
    return {"certificate": found.verdict.value, "certified_margin": found.least_margin}


def _mended(rows: Sequence[CampaignRow]) -> Table:
    return paper_table(
        name="mended",
        title="Nominal plan under AC, re-dispatch corrected by measurements",
        columns=(
            *(column for column in _SHARE if column[0] != "feasible"),
            ("no_recourse", "no re-d.", 0),
            *_CORRECTIONS,
        ),
        rows=tuple(_share_row(row) for row in rows),
    )


_CORRECTIONS = (
    ("backed", "solved", 0),
    ("corrected", "corrected", 0),
    ("not_mended", "unmended", 0),
)


def _about(row: CampaignRow) -> dict[str, Any]:
    rows: CampaignRows = row.rows
    return {
        "level_percent": row.level_percent,
        "plan": rows.plan,
        "recourse": rows.recourse,
        "judge": rows.judge,
        "samples": row.summary.samples,
        "confidence": row.summary.confidence,
    }


def _share_row(row: CampaignRow) -> dict[str, Any]:
    share, printed = row.summary.feasible_share, row.rows.printed(row.position)
    percent = None if share is None else 100.0 * share
    low, high = row.summary.interval
    return {
        **_about(row),
        "feasible_percent": percent,
        "low_percent": 100.0 * low,
        "high_percent": 100.0 * high,
        "printed_feasible_percent": printed,
        "at_least_printed": None if printed is None or percent is None else percent >= printed,
        **row.summary.outcomes,
        "backed": row.backed,
        "corrected": row.corrected,
        "most_rounds": row.most_rounds,
        "command": row.command,
    }


def _crossed(rows: Sequence[CampaignRow]) -> Table:
    return paper_table(
        name="crossed",
        title="Safe by both, by the linear model or AC alone, by neither; trusted wrongly",
        columns=(
            ("what", "plan, recourse, ±%", 0),
            ("both_feasible", "both", 0),
            ("linear_only", "linear", 0),
            ("ac_only", "AC", 0),
            ("neither", "neither", 0),
            ("wrong_percent", "wrongly %", 2),
            ("wrong_low_percent to wrong_high_percent", "interval %", 2),
        ),
        rows=tuple(_crossed_row(row) for row in rows),
    )


_CELLS = ("both_feasible", "linear_only", "ac_only", "neither")


def _crossed_row(row: CampaignRow) -> dict[str, Any]:
    """Cells of the 2×2 table; of what the linear model calls safe, the share that AC does not."""
    if row.rows.judge != "both":
        raise ValueError(f'rows of table crossed need judge "both"; found {row.rows.judge!r}')
    cells, confidence = row.summary.crossed, row.summary.confidence
    assert cells is not None
    both, linear_only = cells.both_feasible, cells.linear_only
    judged = both + linear_only + cells.ac_only + cells.neither
    wrong = share_of(linear_only, both + linear_only, confidence)
    linear = share_of(both + linear_only, judged, confidence)
    ac = share_of(both + cells.ac_only, judged, confidence)
    return {
        "what": f"{row.rows.plan} {row.rows.recourse} {row.level_percent:g}",
        **_about(row),
        **{name: getattr(cells, name) for name in _CELLS},
        "erred": cells.erred,
        **_percents("linear", linear),
        **_percents("ac", ac),
        **_percents("wrong", wrong),
        "command": row.command,
    }


def _percents(name: str, share: Share) -> dict[str, float | None]:
    return {
        f"{name}_percent": 100.0 * share.value if share.trials else None,
        f"{name}_low_percent": 100.0 * share.low,
        f"{name}_high_percent": 100.0 * share.high,
    }
