"""What stands on the map of a plan: wires, switches, DERs, buses and their loads.

Every meaning is carried by line style or marker as well as by colour, so a greyscale print
reads the same.
"""

from __future__ import annotations

from collections.abc import Container
from typing import Any

import numpy as np
from gridproof.federation.reports.drawing import draw_points, draw_segments
from gridproof.federation.reports.map_words import BusLoads
from gridproof.federation.wording import decimals
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from matplotlib.lines import Line2D
from matplotlib.transforms import ScaledTranslation

__all__ = ["BELOW_PT", "draw_buses", "draw_ders", "draw_switches", "draw_wires", "map_legend"]

_LIVE, _DEAD, _MARK, _OPEN, _INK = "#2f7d3b", "#b5403a", "#1756b8", "#6b6b6b", "#222222"
_UNSURE = "#ffd166"
_LABELS_AT_MOST = 80  # bus labels on a larger feeder are ink, not information
_DERS_AT_MOST = 20  # of more than these, those that make nothing have no name on the map
BELOW_PT = 9.0
"""How far below a DER the load of its bus is drawn, points."""

_IDLE = 0.05  # kW and kvar


def draw_wires(axes: Any, plan: Plan, scenario: Scenario, place: Any, time: int) -> Any:
    """Lines and transformers that no plan switches; returns every drawn segment."""
    feeder = scenario.feeder
    alive = plan.energized[time][feeder.blocks.of_bus]
    lines, transformers = feeder.lines, feeder.transformers
    of_line = place[np.stack([lines.from_bus, lines.to_bus], axis=1)]
    windings = place[np.stack([transformers.from_bus, transformers.to_bus], axis=1)]
    fixed = ~np.asarray(lines.switchable, bool)
    cut = fixed & ~np.asarray(lines.closed, bool)
    draw_segments(axes, of_line[cut], color=_OPEN, linestyle=":", linewidth=1.0, zorder=1)
    for state in (True, False):
        style, mine = _wire(state), alive[transformers.from_bus] == state
        own = of_line[fixed & ~cut & (alive[lines.from_bus] == state)]
        draw_segments(axes, np.concatenate([own, windings[mine]]), zorder=2, **style)
        start, end = windings[mine][:, 0], windings[mine][:, 1]
        symbol = [start + share * (end - start) for share in (0.4, 0.6)]  # its two windings
        draw_points(
            axes, np.concatenate(symbol), marker="o", markersize=6, markerfacecolor="none",
            markeredgecolor=style["color"], zorder=3,
        )  # fmt: skip
    return np.concatenate([of_line, windings])


def _wire(alive: bool) -> dict[str, Any]:
    if alive:
        return {"color": _LIVE, "linewidth": 2.4, "linestyle": "-", "solid_capstyle": "round"}
    return {"color": _DEAD, "linewidth": 1.2, "linestyle": (0, (4, 2))}


def draw_switches(axes: Any, plan: Plan, scenario: Scenario, place: Any, time: int) -> list[Any]:
    """Draw switches, closed ones filled; returns their labels."""
    lines, feeder = scenario.feeder.lines, scenario.feeder
    ends = place[np.stack([lines.from_bus, lines.to_bus], axis=1)[np.asarray(feeder.switches, int)]]
    shut, middle = np.asarray(plan.closed[time], bool), ends.mean(axis=1)
    for state, colour, width, style in ((False, _OPEN, 1.2, ":"), (True, _MARK, 3.0, "-")):
        mine = shut == state
        draw_segments(
            axes, ends[mine], color=colour, linewidth=width, linestyle=style, zorder=3,
            solid_capstyle="projecting",
        )  # fmt: skip
        draw_points(
            axes, middle[mine], marker="s", markersize=7,
            markerfacecolor=colour if state else "white", markeredgecolor=colour,
            markeredgewidth=1.4, zorder=5,
        )  # fmt: skip
    return [
        (
            name,
            middle[k],
            6.0,
            {"fontsize": 7, "color": _MARK if shut[k] else _OPEN, "style": "italic"},
        )
        for k, name in enumerate(plan.switch_ids)
    ]


def draw_ders(
    axes: Any,
    plan: Plan,
    scenario: Scenario,
    place: Any,
    time: int,
    *,
    haloed: Container[int] = (),
) -> list[Any]:
    """Draw DERs, those that form an island as stars; returns their labels, with what each makes."""
    alive = plan.energized[time][scenario.feeder.blocks.of_bus[scenario.ders.bus]]
    forming = np.asarray(plan.grid_forming[time], bool)
    made = np.abs(plan.p_kw[time]).sum(axis=1) + np.abs(plan.q_kvar[time]).sum(axis=1) > _IDLE
    named = forming | made | (len(made) <= _DERS_AT_MOST)
    where = place[scenario.ders.bus]
    colours = np.where(forming, _MARK, np.where(alive, _LIVE, _DEAD)).tolist()
    for forms, full in ((False, False), (False, True), (True, True)):
        for colour in (_LIVE, _DEAD, _MARK):
            mine = (forming == forms) & (named == full) & (np.array(colours) == colour)
            draw_points(
                axes, where[mine], marker="*" if forms else "D",
                markersize=17 if forms else 8 if full else 4,
                markerfacecolor=colour if forms else "white", markeredgecolor=colour,
                markeredgewidth=1.5 if full else 0.9, zorder=6 + full + forms,
            )  # fmt: skip
    return [
        (
            f"{name}\n{decimals(plan.p_kw[time, k].sum(), 0)} kW" if alive[k] else f"{name}\noff",
            where[k],
            16.0 if k in haloed else 12.0 if forming[k] else 8.0,
            {
                "fontsize": 8,
                "color": colours[k],
                "weight": "bold" if forming[k] else "normal",
            },
        )
        for k, name in enumerate(plan.der_ids)
        if named[k]
    ]


def draw_buses(
    axes: Any, plan: Plan, scenario: Scenario, place: Any, time: int, *, loads: BusLoads
) -> list[Any]:
    """Draw buses as dots and what has a load as a triangle; returns labels, with the demand.

    A load that is uncertain has an outline in ink around a light face, and ± behind its kW.
    """
    feeder = scenario.feeder
    alive = plan.energized[time][feeder.blocks.of_bus]
    asks = np.abs(loads.p_kw) + np.abs(loads.q_kvar) > 0.0
    beside = np.isin(np.arange(len(place)), scenario.ders.bus)  # whose middle a DER covers
    for state, colour, fill in ((True, _LIVE, _LIVE), (False, _DEAD, "white")):
        for aside in (False, True):
            mine = (alive == state) & (beside == aside)
            draw_points(
                axes, place[mine & (aside | ~asks)], marker="o", markersize=4,
                markerfacecolor=fill, markeredgecolor=colour, zorder=4,
            )  # fmt: skip
            for unsure in (False, True):
                draw_points(
                    axes, place[mine & asks & (loads.moving == unsure)], marker="v",
                    markersize=7.5 if unsure else 6, markerfacecolor=_UNSURE if unsure else fill,
                    markeredgecolor=_INK if unsure else colour, zorder=9 if aside else 4.5,
                    markeredgewidth=1.1 if unsure else 0.8,
                    **({"transform": _below(axes)} if aside else {}),
                )  # fmt: skip
    if len(feeder.buses.ids) > _LABELS_AT_MOST:
        return []
    return [
        (
            f"{name}\n{decimals(loads.p_kw[k], 0)} kW{' ±' if loads.moving[k] else ''}"
            if asks[k]
            else name,
            place[k],
            8.0 if beside[k] else 4.5 if asks[k] else 3.0,
            {"fontsize": 6, "color": _INK, "linespacing": 0.95},
        )
        for k, name in enumerate(feeder.buses.ids)
    ]


def _below(axes: Any) -> Any:
    """Return the data's transform, moved down beyond the marker of a DER."""
    points = 1.0 / 72.0
    return axes.transData + ScaledTranslation(0.0, -BELOW_PT * points, axes.figure.dpi_scale_trans)


def map_legend(*, unsure: bool) -> list[Line2D]:
    """Return what each mark means; that of uncertain loads where there are any."""

    def marker(shape: str, colour: str, fill: str, size: float, label: str) -> Line2D:
        return Line2D(
            [], [], linestyle="none", marker=shape, markersize=size, markerfacecolor=fill,
            markeredgecolor=colour, label=label,
        )  # fmt: skip

    return [
        Line2D([], [], label="live block", **_wire(True)),
        Line2D([], [], label="dead block", **_wire(False)),
        Line2D([], [], color=_MARK, linewidth=3, marker="s", markersize=7, label="closed switch"),
        Line2D(
            [],
            [],
            color=_OPEN,
            linewidth=1.2,
            linestyle=":",
            marker="s",
            markersize=7,
            markerfacecolor="white",
            label="open switch",
        ),
        marker("*", _MARK, _MARK, 14, "grid-forming DER"),
        marker("D", _LIVE, "white", 8, "grid-following DER"),
        marker("D", _DEAD, "white", 8, "DER that is off"),
        marker("v", _LIVE, _LIVE, 6, "load (kW)"),
        *([marker("v", _INK, _UNSURE, 7.5, "uncertain load (±)")] if unsure else []),
    ]
