"""Figures: the one-line diagram of a plan, and how its margins are distributed.

Every meaning is carried by line style or marker as well as by colour, so a greyscale print
reads the same; files hold no date, so equal content means equal bytes.
"""

from __future__ import annotations

from collections.abc import Container
from pathlib import Path
from typing import Any

import numpy as np
from gridproof.federation.records.campaign_report import CampaignReport, MarginReport
from gridproof.federation.records.profile import Profile
from gridproof.federation.records.reading import TAIL_SHARE
from gridproof.federation.records.rows import MARGIN_UNITS
from gridproof.federation.records.streams import HeldColumns
from gridproof.federation.reports.drawing import Drawing, draw_points, draw_segments, save_figure
from gridproof.federation.reports.families.views import view_of
from gridproof.federation.reports.halos import draw_halos, halo_legend, haloed_ders
from gridproof.federation.reports.layout import bus_positions, place_labels
from gridproof.federation.wording import decimals
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import MarginKind
from matplotlib import rc_context
from matplotlib.lines import Line2D

__all__ = ["figure_margins", "figure_one_line"]

_LIVE, _DEAD, _MARK, _OPEN, _INK = "#2f7d3b", "#b5403a", "#1756b8", "#6b6b6b", "#222222"
_LABELS_AT_MOST = 80  # bus labels on a larger feeder are ink, not information
_BINS = 60
_LEAST_SPAN = 1e-3  # pu, or share of rating


def figure_one_line(
    plan: Plan,
    scenario: Scenario,
    path: Path,
    time: int = 0,
    *,
    profile: Profile | None = None,
) -> tuple[Path, ...]:
    """Draw the plan on the feeder's map.

    Live blocks are solid and green, dead ones dashed and red; closed switches and
    grid-forming DERs are blue and filled, open switches hollow.

    Parameters
    ----------
    plan, scenario
        What is drawn.
    path
        Where to; ``.svg`` and ``.png`` are written beside each other.
    time
        The step.
    profile
        How often each element was outside its limits; drawn as halos if given.

    Returns
    -------
    tuple of Path
        The files written.
    """
    with rc_context({"text.parse_math": False}):  # an id may hold a dollar sign
        figure = _one_line(plan, scenario, time, profile)
    return save_figure(figure, path)


def _one_line(plan: Plan, scenario: Scenario, time: int, profile: Profile | None) -> Drawing:
    place = bus_positions(scenario.feeder)
    figure = Drawing(*_size(place))
    axes = figure.add_subplot()
    axes.set_axis_off()
    axes.set_aspect("equal" if _wide_enough(place) else "auto")
    segments = _draw_wires(axes, plan, scenario, place, time)
    labels = [] if profile is None else draw_halos(axes, scenario, place, profile)
    haloed = () if profile is None else haloed_ders(profile)
    labels += _draw_ders(axes, plan, scenario, place, time, haloed=haloed)
    labels += _draw_switches(axes, plan, scenario, place, time)
    labels += _draw_buses(axes, plan, scenario, place, time)
    axes.margins(0.08)
    live, forming = int(plan.energized[time].sum()), int(plan.grid_forming[time].sum())
    step = f", {scenario.step_names[time]}" if len(plan.closed) > 1 else ""
    view = view_of(scenario)
    source = "grid-forming DER" if view is None else view.source
    axes.set_title(
        f"{scenario.name}{step}: {live} of {len(plan.block_ids)} blocks live, "
        f"{forming} {source}{'' if forming == 1 else 's'}",
        loc="left",
        y=1.0,
        fontsize=11,
        color=_INK,
    )
    axes.legend(
        handles=_legend() + ([] if profile is None else halo_legend(profile)),
        loc="upper center", bbox_to_anchor=(0.5, 0.0), ncols=4, fontsize=8,
        frameon=False, handlelength=2.6,
    )  # fmt: skip
    figure.lay_out()
    place_labels(axes, labels, segments)
    return figure


def _draw_wires(axes: Any, plan: Plan, scenario: Scenario, place: Any, time: int) -> Any:
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


def _draw_switches(axes: Any, plan: Plan, scenario: Scenario, place: Any, time: int) -> list[Any]:
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


def _draw_ders(
    axes: Any,
    plan: Plan,
    scenario: Scenario,
    place: Any,
    time: int,
    *,
    haloed: Container[int] = (),
) -> list[Any]:
    alive = plan.energized[time][scenario.feeder.blocks.of_bus[scenario.ders.bus]]
    forming = np.asarray(plan.grid_forming[time], bool)
    where = place[scenario.ders.bus]
    colours = np.where(forming, _MARK, np.where(alive, _LIVE, _DEAD)).tolist()
    for forms in (False, True):
        for colour in (_LIVE, _DEAD, _MARK):
            mine = (forming == forms) & (np.array(colours) == colour)
            draw_points(
                axes, where[mine], marker="*" if forms else "D", markersize=17 if forms else 8,
                markerfacecolor=colour if forms else "white", markeredgecolor=colour,
                markeredgewidth=1.5, zorder=6,
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
    ]


def _draw_buses(axes: Any, plan: Plan, scenario: Scenario, place: Any, time: int) -> list[Any]:
    feeder = scenario.feeder
    alive = plan.energized[time][feeder.blocks.of_bus]
    for state, colour, fill in ((True, _LIVE, _LIVE), (False, _DEAD, "white")):
        axes.plot(
            *place[alive == state].T, linestyle="none", marker="o", markersize=4,
            markerfacecolor=fill, markeredgecolor=colour, zorder=4,
        )  # fmt: skip
    if len(feeder.buses.ids) > _LABELS_AT_MOST:
        return []
    return [
        (name, place[k], 3.0, {"fontsize": 6, "color": _INK})
        for k, name in enumerate(feeder.buses.ids)
    ]


def _legend() -> list[Line2D]:
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
    ]


def figure_margins(campaign: CampaignReport, columns: HeldColumns, path: Path) -> tuple[Path, ...]:
    """Draw, for each kind of limit, how the worst margin of a realization is distributed.

    One panel per kind; what lies left of zero is violated, and hatched.

    Parameters
    ----------
    campaign
        What became of it.
    columns
        Its margins, as `federation.records.reading.read_campaign` brings them; passed over once.
    path
        Where to; ``.svg`` and ``.png`` are written beside each other.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    ValueError
        If nothing was solved, so that there is no margin to draw.
    """
    margins = campaign.margins
    if not margins:
        raise ValueError("no realization was solved; there is no margin to draw")
    edges = {kind: _edges(one.min, one.max) for kind, one in margins.items()}
    counts = {kind: np.zeros(_BINS, np.int64) for kind in margins}
    for item in columns.stream():
        for kind, values in zip(MarginKind, item, strict=True):
            if kind.value in margins:
                counts[kind.value] += np.histogram(values, edges[kind.value])[0]
    figure = Drawing(7.2, 1.5 * len(margins) + 0.6)
    panels = figure.subplots(len(margins), 1, squeeze=False)[:, 0]
    for axes, (name, one) in zip(panels, margins.items(), strict=True):
        _draw_margin(axes, name, one, edges[name], counts[name])
    figure.suptitle(
        f"Worst margin of each realization ({campaign.samples} realizations, "
        f"judge {campaign.judge})",
        fontsize=11,
        x=0.01,
        ha="left",
    )
    return save_figure(figure, path)


def _edges(low: float, high: float) -> Any:
    """Bin edges over [low, high], zero on an edge where it lies inside.

    A spread too small to matter is shown as one bar, not blown up to fill the panel.
    """
    span = max(high - low, _LEAST_SPAN)
    if low < 0.0 < high:
        width = span / (_BINS - 1)
        below = int(np.ceil(-low / width))
        return width * (np.arange(_BINS + 1) - below)
    return np.linspace(low, low + span * (1.0 + 1e-9), _BINS + 1)


def _draw_margin(axes: Any, kind: str, one: MarginReport, edges: Any, counts: Any) -> None:
    outside = int((edges[1:] <= 1e-12).sum())  # the first bins, whole
    if outside:
        axes.stairs(
            counts[:outside], edges[: outside + 1], fill=True, facecolor="white", edgecolor=_DEAD,
            hatch="/////", linewidth=0.6,
        )  # fmt: skip
    axes.stairs(counts[outside:], edges[outside:], fill=True, color=_LIVE, linewidth=0.0)
    if edges[0] <= 0.0 <= edges[-1]:
        axes.axvline(0.0, color=_INK, linewidth=1.0)
    tail = one.cvar.mean
    axes.axvline(tail, color=_MARK, linewidth=1.2, linestyle="--")
    axes.set_title(
        f"{kind} ({MARGIN_UNITS[kind]}): least {decimals(one.min, 4)}, "
        f"mean of the worst {100 * TAIL_SHARE:g} % {decimals(tail, 4)} (dashed)",
        fontsize=8,
        loc="left",
        y=1.0,
    )
    axes.tick_params(labelsize=7)
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")
    axes.set_ylabel("count", fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _wide_enough(place: Any) -> bool:
    span = np.ptp(place, axis=0)
    return bool(span.min() > 0.25 * span.max())


def _size(place: Any) -> tuple[float, float]:
    span = np.ptp(place, axis=0)
    shape = float(np.clip(span[1] / max(span[0], 1e-9), 0.5, 1.0)) if _wide_enough(place) else 0.6
    return 9.5, 9.5 * shape + 0.9
