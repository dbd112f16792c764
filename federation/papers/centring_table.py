"""The same campaigns with plans moved off their limits and with plans left on them, side by side.

A plan of least cost lies on limits: a voltage at its bound, a phase at its rating. The linear
model calls that feasible, whose error is of the order of a per cent, and AC then finds it
outside. `optimizer.partitioning.centring` moves such a plan inward at no cost; this table says
what the verdicts owe to it.
"""

from __future__ import annotations

from typing import Any

from gridproof.federation.papers.paper_table import paper_table
from gridproof.federation.papers.partitioning import CampaignRow, PaperRun
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.tables.table import Table

__all__ = ["centring_table"]


def centring_table(run: PaperRun) -> Table | None:
    """Pair each campaign of a twin with that of the plan it is the twin of; None without pairs."""
    twin_of = {row.rows.key: row.rows.twin_of for row in run.plans}
    by_place = {_place(row, row.rows.plan): row for row in run.campaigns}
    pairs = [
        (by_place.get(_place(row, twin)), row)
        for row in run.campaigns
        if (twin := twin_of.get(row.rows.plan)) is not None
    ]
    rows = [_pair(centred, plain) for centred, plain in pairs if centred is not None]
    if not rows:
        return None
    return paper_table(
        name="centring",
        title="With planner.centre and without it: feasible %, and where the least margin is",
        columns=(
            ("what", "plan, recourse, judge, ±%", 0),
            ("with_percent", "with %", 2),
            ("without_percent", "without %", 2),
            ("without_low_percent to without_high_percent", "interval %", 2),
            ("without_fails_at", "without: outside at", 0),
        ),
        rows=rows,
    )


def _place(row: CampaignRow, plan: str) -> tuple[str, str, str, float]:
    return plan, row.rows.recourse, row.rows.judge, row.level_percent


def _pair(centred: CampaignRow, plain: CampaignRow) -> dict[str, Any]:
    rows = centred.rows
    return {
        "what": f"{rows.plan} {rows.recourse} {rows.judge} {centred.level_percent:g}",
        "plan": rows.plan,
        "recourse": rows.recourse,
        "judge": rows.judge,
        "level_percent": centred.level_percent,
        "samples": centred.summary.samples,
        **_figures("with", centred.summary),
        **_figures("without", plain.summary),
        "printed_feasible_percent": rows.printed(centred.position),
        "command": plain.command,
    }


def _figures(name: str, report: CampaignReport) -> dict[str, Any]:
    share, (low, high) = report.feasible_share, report.interval
    outside = {kind: one for kind, one in report.violations.items() if one.count}
    often = max(outside, key=lambda kind: outside[kind].count, default=None)
    return {
        f"{name}_percent": None if share is None else 100.0 * share,
        f"{name}_low_percent": 100.0 * low,
        f"{name}_high_percent": 100.0 * high,
        f"{name}_fails_at": ("–" if often is None else f"{often} of {report.worst[often].element}"),
        f"{name}_no_recourse": report.outcomes["no_recourse"],
        f"{name}_not_mended": report.outcomes["not_mended"],
    }
