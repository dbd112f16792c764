"""Figures of a restoration: supplied share by phase and case, and the maps of the stages.

Each figure has a function that makes its data and one that draws it. A zone is told by line
style as well as by colour; files hold no date, so equal content means equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any

import numpy as np
from gridproof.federation.reports.drawing import Drawing, save_figure
from gridproof.federation.reports.hover import pieces
from gridproof.federation.reports.layout import bus_positions, place_labels
from gridproof.federation.statistics.shares import distribution_band, quantile
from gridproof.federation.wording import decimals
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.restoration import PHASE_NAMES, Outage
from gridproof.scenarios.restoration_states import PhaseStates
from matplotlib.collections import LineCollection
from matplotlib.lines import Line2D

__all__ = [
    "LineState",
    "StageMap",
    "figure_stages",
    "figure_storms",
    "figure_supplied",
    "stage_maps",
    "supplied_shares",
]


class LineState(StrEnum):
    """What a line is doing in a stage; the categories of Fig. 4."""

    SUPPLIED = "supplied"
    UNSERVED_MANUAL = "unserved, manual"
    UNSERVED_REMOTE = "unserved, remote"
    DAMAGED = "in the damaged zone"
    OPENED_PROTECTION = "opened, breaker or recloser"
    OPENED_REMOTE = "opened, remote"
    NORMALLY_OPEN = "open as before"
    NEWLY_CLOSED = "closed tie"


_STYLE: Mapping[LineState, tuple[str, Any, float]] = {
    LineState.SUPPLIED: ("#2f7d3b", "solid", 1.6),
    LineState.UNSERVED_MANUAL: ("#8a6100", (0, (7, 1.5)), 1.0),
    LineState.UNSERVED_REMOTE: ("#7a3fa0", (0, (7, 1.5, 1.5, 1.5)), 1.2),
    LineState.DAMAGED: ("#b5403a", "dotted", 1.8),
    LineState.OPENED_PROTECTION: ("#c2185b", (0, (2, 2)), 2.4),
    LineState.OPENED_REMOTE: ("#7a3fa0", (0, (4, 3)), 1.4),
    LineState.NORMALLY_OPEN: ("#8c8c8c", (0, (1, 4)), 1.0),
    LineState.NEWLY_CLOSED: ("#1756b8", "solid", 3.4),
}
"""Colour, dashes and width; no two have both dashes and width alike, so grey reads the same."""

_NAMED_AT_MOST = 40  # switched lines on one map; more names cover the network


@dataclass(frozen=True, slots=True, kw_only=True)
class StageMap:
    """One map: ``state`` (line,) and what is counted on it."""

    phase: str
    state: tuple[LineState, ...]
    supplied_share: float
    damaged_buses: int
    dead_safe_buses: int


def supplied_shares(
    cases: Mapping[str, Outage], plans: Mapping[str, PhaseStates]
) -> dict[str, tuple[float, ...]]:
    """Share of the load supplied at each phase, by case: the data of Fig. 3."""
    return {name: tuple(plans[name].supplied_share(case).tolist()) for name, case in cases.items()}


def stage_maps(case: Outage, plan: PhaseStates) -> tuple[StageMap, ...]:
    """Sort every line of every phase into a category: the data of Fig. 4."""
    shares = plan.supplied_share(case)
    return tuple(
        StageMap(
            phase=PHASE_NAMES[time],
            state=_line_states(case, plan, time),
            supplied_share=float(shares[time]),
            damaged_buses=int((~plan.available[time]).sum()),
            dead_safe_buses=int((plan.available[time] & ~plan.energized[time]).sum()),
        )
        for time in range(4)
    )


def _line_states(case: Outage, plan: PhaseStates, time: int) -> tuple[LineState, ...]:
    before, now = case.feeder.lines.closed, plan.closed[time]
    live = plan.energized[time][case.ends].all(axis=1)
    lost = ~plan.available[time][case.ends].any(axis=1)
    guard, moves = case.devices.protective, case.operable_end.any(axis=1)
    conditions = (
        (now & live & ~before, LineState.NEWLY_CLOSED),
        (now & live, LineState.SUPPLIED),
        (now & lost, LineState.DAMAGED),
        (now & moves, LineState.UNSERVED_REMOTE),
        (now, LineState.UNSERVED_MANUAL),
        (~before, LineState.NORMALLY_OPEN),
        (guard, LineState.OPENED_PROTECTION),
    )
    names = [str(state) for _, state in conditions]
    chosen = np.select([mask for mask, _ in conditions], names, str(LineState.OPENED_REMOTE))
    return tuple(LineState(name) for name in chosen.tolist())


def figure_supplied(
    shares: Mapping[str, tuple[float, ...]],
    path: Path,
    *,
    printed: Mapping[str, float] | None = None,
) -> tuple[Path, ...]:
    """Draw the supplied share over the phases, one line per case; SVG and PNG.

    Parameters
    ----------
    printed
        Shares after reconfiguration that a publication states, by case; a star each.
    """
    figure = Drawing(6.4, 3.8)
    axes = figure.add_subplot()
    for k, (name, share) in enumerate(shares.items()):
        axes.plot(
            range(4),
            [100.0 * value for value in share],
            marker="osD^vP*X"[k % 8],
            linestyle=("solid", "dashed", "dashdot", "dotted")[k % 4],
            label=f"{name}: {decimals(100.0 * share[-1], 2)} %",
        )
    for name, stated in (printed or {}).items():
        axes.plot(3, 100.0 * stated, "*", color="#222222", markersize=11, linestyle="none",
                  label=f"{name}, printed: {decimals(100.0 * stated, 2)} %")  # fmt: skip
    axes.set_xticks(range(4), [name.replace(" ", "\n", 1) for name in PHASE_NAMES])
    axes.set_ylabel("load supplied, %")
    axes.set_ylim(0.0, 105.0)
    axes.grid(axis="y", linewidth=0.4)
    axes.legend(title="after reconfiguration")
    return save_figure(figure, path, dpi=110)


def figure_stages(case: Outage, maps: tuple[StageMap, ...], path: Path) -> tuple[Path, ...]:
    """Draw the four maps, failures marked by a cross, what is switched by name; SVG and PNG."""
    figure = Drawing(10.0, 10.4)
    xy = bus_positions(case.feeder)
    wires, sources = xy[case.ends], xy[case.feeder.sources.bus]
    panels = figure.subplots(2, 2).ravel()
    for axes, stage in zip(panels, maps, strict=True):
        for state, (color, style, width) in _STYLE.items():
            which = [k for k, own in enumerate(stage.state) if own is state]
            drawn = LineCollection(list(wires[which]), colors=color, linestyles=[style])
            drawn.set_linewidth(width)
            axes.add_collection(drawn)
        axes.plot(*sources.T, "s", color="#222222", markersize=7)
        axes.plot(*wires[case.failed].mean(axis=1).T, "x", color="#222222", markersize=6)
        axes.set_title(
            f"{stage.phase}: {decimals(100.0 * stage.supplied_share, 2)} % supplied, "
            f"{stage.damaged_buses} buses damaged",
            fontsize=9,
        )
        axes.set_axis_off()
        axes.set_aspect("equal")
        axes.autoscale_view()
    marks = [
        Line2D([], [], color=color, linestyle=style, linewidth=width, label=str(state))
        for state, (color, style, width) in _STYLE.items()
    ]
    figure.legend(handles=marks, loc="outside lower center", ncols=4, fontsize=8, handlelength=4)
    figure.lay_out()
    for axes, stage in zip(panels, maps, strict=True):
        place_labels(axes, _names(case, stage, wires, sources), wires)
        figure.told.append(pieces(axes, wires, _line_words(case, stage)))
    return save_figure(figure, path, dpi=110)


def _names(case: Outage, stage: StageMap, wires: FloatArray, sources: FloatArray) -> list[Any]:
    """Labels of a map: sources, what failed, and what this phase has switched."""
    feeder, ids = case.feeder, case.feeder.lines.ids
    labels: list[Any] = [
        (feeder.buses.ids[bus], at, 6.0, {"fontsize": 7, "weight": "bold", "color": "#222222"})
        for bus, at in zip(feeder.sources.bus.tolist(), sources, strict=True)
    ]
    moved = [k for k, own in enumerate(stage.state) if own in _SWITCHED]
    named = list(dict.fromkeys([*moved, *case.failed.tolist()]))[:_NAMED_AT_MOST]
    for k in named:
        color = _STYLE[stage.state[k]][0] if k in moved else "#222222"
        labels.append((ids[k], wires[k].mean(axis=0), 4.0, {"fontsize": 5.5, "color": color}))
    return labels


def _line_words(case: Outage, stage: StageMap) -> list[str]:
    lines, buses = case.feeder.lines, case.feeder.buses.ids
    return [
        f"line {name}: {state}\n{buses[one]} to {buses[other]}"
        for name, state, one, other in zip(
            lines.ids, stage.state, lines.from_bus.tolist(), lines.to_bus.tolist(), strict=True
        )
    ]


_SWITCHED = (LineState.OPENED_PROTECTION, LineState.OPENED_REMOTE, LineState.NEWLY_CLOSED)


def figure_storms(groups: Mapping[str, FloatArray], path: Path) -> tuple[Path, ...]:
    """Draw the distribution of the supplied share over storms, one curve a damage model.

    Empirical distribution after reconfiguration with the band that holds the whole true one at
    95 %, and thin, without a band, after the automatic response; SVG and PNG.

    Parameters
    ----------
    groups
        Name of the damage model, and (draw, time) supplied shares.
    """
    figure = Drawing(6.4, 3.8)
    axes = figure.add_subplot()
    for k, (name, shares) in enumerate(groups.items()):
        color, style = f"C{k}", ("solid", "dashed", "dashdot", "dotted")[k % 4]
        rank = np.arange(len(shares) + 1) / len(shares)
        wide = distribution_band(len(shares))
        first, last = (100.0 * np.sort(np.r_[shares[:, t].min(), shares[:, t]]) for t in (1, 3))
        axes.step(first, rank, where="post", color=color, linestyle=style, linewidth=0.7)
        axes.step(
            last, rank, where="post", color=color, linestyle=style, linewidth=1.8,
            label=f"{name}: median {decimals(quantile(last[1:], 0.5), 1)} %, {len(shares)} storms",
        )  # fmt: skip
        axes.fill_between(
            last, np.maximum(rank - wide, 0), np.minimum(rank + wide, 1), step="post",
            color=color, alpha=0.15, linewidth=0,
        )  # fmt: skip
    axes.set_xlabel("load supplied, % (thin: after automatic isolation; bold: reconfigured)")
    axes.set_ylabel("share of storms at or below")
    axes.set_ylim(0.0, 1.0)
    axes.grid(linewidth=0.4)
    axes.legend(loc="upper left", fontsize=8)
    return save_figure(figure, path, dpi=110)
