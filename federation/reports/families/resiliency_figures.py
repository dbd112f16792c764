"""Figure of a day with an outage: what each hour supplies, by the source that forms the island."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gridproof.federation.families.resiliency_facts import HourFigures, resiliency_summary
from gridproof.federation.reports.drawing import Drawing, save_figure
from gridproof.federation.reports.hover import Told, pieces
from gridproof.federation.reports.page import PageFigure, figure_entry
from gridproof.federation.wording import decimals
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario

__all__ = ["figure_supply", "supply_by_hour", "supply_figure"]

_INKS = ("#475569", "#1d4ed8", "#b45309", "#047857", "#b91c1c", "#7c3aed", "#0e7490", "#a16207",
         "#be185d")  # fmt: skip
_HALF = 0.425  # of a bar's width, hours
_HATCHES = ("", "//", "\\\\", "..", "xx", "--", "||", "oo", "++")


def supply_by_hour(hours: tuple[HourFigures, ...]) -> dict[str, FloatArray]:
    """(hour,) kW that each source's island supplies, sources in the order they first form one."""
    names = dict.fromkeys(one.former for hour in hours for one in hour.islands)
    found = {name: np.zeros(len(hours)) for name in names}
    for k, hour in enumerate(hours):
        for one in hour.islands:
            found[one.former][k] += one.supplied_kw
    return {name: kw for name, kw in found.items() if kw.any()}


def figure_supply(
    parts: dict[str, FloatArray], asked_kw: FloatArray, path: Path
) -> tuple[Path, ...]:
    """Draw bars by hour, one part a forming source, below the nominal load; SVG and PNG."""
    figure = Drawing(7.2, 3.8)
    axes = figure.add_subplot()
    hour, below = np.arange(len(asked_kw)) + 1, np.zeros(len(asked_kw))
    for k, (name, kw) in enumerate(parts.items()):
        figure.told.append(_told(axes, name, kw, below))
        axes.bar(
            hour, kw / 1e3, bottom=below, width=2.0 * _HALF, label=f"formed by {name}",
            color=_INKS[k % len(_INKS)], alpha=0.75, hatch=_HATCHES[k % len(_HATCHES)],
            edgecolor="white", linewidth=0.3,
        )  # fmt: skip
        below = below + kw / 1e3
    axes.step(
        np.r_[0.5, hour + 0.5], np.r_[asked_kw[:1], asked_kw] / 1e3, where="pre",
        color="#111111", linewidth=1.2, label="nominal load",
    )  # fmt: skip
    loads = list(enumerate(asked_kw.tolist(), start=1))
    tops = [[(h - 0.5, kw / 1e3), (h + 0.5, kw / 1e3)] for h, kw in loads]
    said = [f"hour {h}: nominal load {decimals(kw, 1)} kW" for h, kw in loads]
    figure.told.append(pieces(axes, np.array(tops), said))
    axes.set_xlabel("hour")
    axes.set_ylabel("supplied at nominal load, MW")
    axes.set_xlim(0.4, len(asked_kw) + 0.6)
    figure.legend(loc="outside lower center", ncols=4, fontsize=8)
    return save_figure(figure, path, dpi=110)


def _told(axes: Any, name: str, kw: FloatArray, below: FloatArray) -> Told:
    """Say of each bar of one source what it stands for."""
    at = np.flatnonzero(kw > 0.0)
    low, high = below[at], below[at] + kw[at] / 1e3
    ends = np.stack(
        [np.column_stack([at + 1.0 - _HALF, low]), np.column_stack([at + 1.0 + _HALF, high])],
        axis=1,
    )
    said = [f"hour {k + 1}: {decimals(float(kw[k]), 1)} kW\nformed by {name}" for k in at.tolist()]
    return pieces(axes, ends, said, reach=0.0)


def supply_figure(plan: Plan, scenario: Scenario, folder: Path) -> PageFigure:
    """Draw the day, ready to stand in a page."""
    hours = resiliency_summary(plan, scenario).hours
    asked = scenario.load_p_kw.sum(axis=(1, 2))
    told = "; ".join(
        f"hour {one.hour}: {decimals(100.0 * one.supplied_share, 1)} %, {len(one.islands)} islands"
        for one in hours
    )
    return figure_entry(
        "supply",
        figure_supply(supply_by_hour(hours), asked, folder / "supply"),
        title="What each hour supplies, by the source that forms the island",
        description=f"Bars by hour, one part a forming source. {told}.",
    )
