"""What a re-dispatch lacks, as crosses on the one-line diagram."""

from __future__ import annotations

from typing import Any

import numpy as np
from gridproof.federation.reports.drawing import draw_points
from gridproof.federation.reports.lacking import Lack, Lacking
from gridproof.federation.wording import decimals
from gridproof.scenarios.arrays import FloatArray, index_of
from gridproof.scenarios.scenario import Scenario
from matplotlib.lines import Line2D

__all__ = ["draw_lacking", "lacking_legend"]

_CROSS = "#7a1fa2"
_NAMED_AT_MOST = 4
_MARK: dict[str, Any] = {
    "marker": "X", "markersize": 22, "markerfacecolor": "white", "markeredgecolor": _CROSS,
    "markeredgewidth": 1.6,
}  # fmt: skip


def draw_lacking(axes: Any, scenario: Scenario, place: FloatArray, found: Lacking) -> list[Any]:
    """Mark where limits stand in the way of a re-dispatch; returns labels for the most frequent."""
    by_element: dict[tuple[float, float], list[Lack]] = {}
    for one in found.rows:
        at = _where(scenario, place, one)
        by_element.setdefault((float(at[0]), float(at[1])), []).append(one)
    if not by_element:
        return []
    draw_points(axes, np.array(list(by_element)), zorder=5.5, **_MARK)
    style = {
        "fontsize": 7,
        "color": _CROSS,
        "bbox": {"boxstyle": "round,pad=0.12", "fc": "white", "ec": _CROSS, "lw": 0.6},
    }
    labels = []
    for spot, held in list(by_element.items())[:_NAMED_AT_MOST]:
        told = "\n".join(
            f"{one.element} lacks {decimals(one.mean, 4 if one.unit == 'pu' else 1)} {one.unit}\n"
            f"({one.limit}) in {one.count} of {found.asked}"
            for one in held[:2]
        )
        labels.append((told, np.array(spot), 18.0, style))
    return labels


def _where(scenario: Scenario, place: FloatArray, one: Lack) -> FloatArray:
    feeder, ders = scenario.feeder, scenario.ders
    if one.kind in {"line", "transformer"}:
        for table in (feeder.lines, feeder.transformers):
            if one.element in table.ids:
                k = table.ids.index(one.element)
                return np.asarray(place[[table.from_bus[k], table.to_bus[k]]].mean(axis=0))
    if one.element in feeder.buses.ids and one.kind in {
        "voltage", "missing_active", "missing_reactive",
    }:  # fmt: skip
        return np.asarray(place[index_of(feeder.buses.ids)[one.element]])
    return np.asarray(place[ders.bus[ders.ids.index(one.element)]])


def lacking_legend(found: Lacking | None) -> list[Line2D]:
    """Legend entry; none where nothing lacks."""
    if found is None or not found.rows:
        return []
    return [Line2D([], [], linestyle="none", label="lacks, no re-dispatch",
                   **{**_MARK, "markersize": 9})]  # fmt: skip
