"""Figures of the resiliency publication: what share of the load is supplied, hour by hour."""

from __future__ import annotations

from pathlib import Path

from gridproof.federation.papers.output import Picture
from gridproof.federation.papers.resiliency import ResiliencyRow, ResiliencyRun, ResiliencyTable
from gridproof.federation.reports.drawing import Drawing, save_figure

__all__ = ["resiliency_pictures"]

_INKS = ("#1d4ed8", "#b45309", "#047857", "#b91c1c", "#6b7280", "#7c3aed", "#0f172a")
_STYLES = ("-", "--", "-.", ":", "-", "--", "-.")
_NAMES = {"cases": "case", "budget": "gamma", "crews": "crews", "mobile": "mobile",
          "outage": "outage_hour"}  # fmt: skip
_WORDS = {"case": "case {}", "gamma": "Γ = {}", "crews": "{} crews", "mobile": "{} generators",
          "outage_hour": "outage at hour {}"}  # fmt: skip


def resiliency_pictures(run: ResiliencyRun, root: Path) -> dict[str, Picture]:
    """Draw and write one figure a table; returns them by key."""
    return {
        f"supplied_{table.key}": Picture(
            files=tuple(
                path.name for path in save_figure(_drawn(table), root / f"supplied_{table.key}")
            ),
            caption=f"{table.title}: share of the worst load found (left) and of heat "
            "(right) that is not cut, by hour; what demand response answers is not cut.",
        )
        for table in run.tables
    }


def _drawn(table: ResiliencyTable) -> Drawing:
    figure = Drawing(8.4, 3.4)
    left, right = figure.subplots(1, 2, sharey=True)
    varied = _NAMES.get(table.key, "case")
    for axes, key, what in (
        (left, "supplied_share", "electric load"), (right, "heat_supplied_share", "heat"),
    ):  # fmt: skip
        for k, row in enumerate(table.rows):
            shares = [100.0 * share for share in getattr(row.figures, key)]
            axes.step(
                range(1, len(shares) + 1), shares, where="mid", color=_INKS[k % len(_INKS)],
                linestyle=_STYLES[k % len(_STYLES)], linewidth=1.4, label=_label(row, varied),
            )  # fmt: skip
        axes.set_xlabel("hour")
        axes.set_title(f"supplied {what}", fontsize=9)
        axes.set_ylim(0.0, 104.0)
        axes.grid(True, alpha=0.25)
    left.set_ylabel("supplied, % of the hour's load")
    left.legend(fontsize=7, loc="lower left")
    return figure


def _label(row: ResiliencyRow, varied: str) -> str:
    return _WORDS[varied].format(getattr(row.asked, varied))
