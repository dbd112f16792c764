"""Figures of a report: verdict shares, voltage envelope, convergence of the estimate."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.records.profile import Profile, slot_names
from gridproof.federation.reports.data import Convergence
from gridproof.federation.reports.distance import Distances
from gridproof.federation.reports.drawing import Drawing, draw_points, draw_segments, save_figure
from gridproof.federation.reports.hover import pieces, spots
from gridproof.federation.wording import MEANING, decimals, per_cent, whole
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.scenario import Scenario
from matplotlib import rc_context
from matplotlib.lines import Line2D

__all__ = ["figure_convergence", "figure_envelope", "figure_shares"]

_INK, _MUTED, _LIMIT, _MARK = "#222222", "#8a8a8a", "#b5403a", "#1756b8"
_FILL = {"feasible": ("#2f7d3b", ""), "violated": ("#ffffff", "////")}
_MARKERS = "os^Dv"
_MARKERS_AT_MOST = 200  # on a larger feeder medians are drawn as dots


def figure_shares(verdicts: CampaignReport, path: Path, *, png: bool = True) -> tuple[Path, ...]:
    """Draw the share of every outcome with its exact interval.

    Parameters
    ----------
    verdicts
        What became of the campaign.
    path
        Where to; ``.svg`` and ``.png`` are written beside each other.
    png
        Whether the second is wanted.
    """
    names = list(verdicts.outcomes)
    share = np.array([verdicts.outcomes[name] / verdicts.samples for name in names])
    low, high = np.array([verdicts.outcome_intervals[name] for name in names]).T
    figure, axes = _figure(7.2, 0.34 * len(names) + 0.9)
    rows = np.arange(len(names))[::-1]
    for row, name, one in zip(rows, names, share, strict=True):
        colour, hatch = _FILL.get(name, ("#d9d9d9", ""))
        axes.barh(row, 100 * one, 0.62, color=colour, edgecolor=_INK, linewidth=0.7, hatch=hatch)
    spread = 100 * np.array([np.maximum(0.0, share - low), np.maximum(0.0, high - share)])
    axes.errorbar(
        100 * share, rows, xerr=spread, fmt="none", ecolor=_INK, capsize=4, elinewidth=1.4
    )
    for row, one, lower, upper in zip(rows, share, low, high, strict=True):
        axes.annotate(
            f"{per_cent(one)} %  ({per_cent(lower)} to {per_cent(upper)})",
            (101.5, row), va="center", fontsize=8, color=_INK, annotation_clip=False,
        )  # fmt: skip
    said = [
        f"{name.replace('_', ' ')}: {MEANING[name]}\n{whole(verdicts.outcomes[name])} of "
        f"{whole(verdicts.samples)} realizations"
        for name in names
    ]
    bands = [[(0.0, row - 0.4), (100.0, row + 0.4)] for row in rows.tolist()]
    figure.told.append(pieces(axes, np.array(bands), said, reach=0.0))
    axes.set_yticks(rows, [name.replace("_", " ") for name in names], fontsize=9)
    axes.set(xlim=(0, 100), ylim=(-0.6, len(names) - 0.4))
    axes.tick_params(axis="x", labelsize=8)
    axes.set_xlabel("share of all realizations, %", fontsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    return save_figure(figure, path, png=png)


def figure_convergence(
    convergence: Convergence, interval: str, path: Path, *, png: bool = True
) -> tuple[Path, ...]:
    """Draw the running feasible share with its interval against the realizations judged."""
    figure, axes = _figure(7.2, 2.7)
    at = convergence.judged
    low, high, share = (100 * v for v in (convergence.low, convergence.high, convergence.share))
    axes.fill_between(at, low, high, color="#cfd8e6", edgecolor=_MARK, linewidth=0.8,
                      linestyle=":", label=interval)  # fmt: skip
    axes.plot(at, share, color=_INK, linewidth=1.6, label="running feasible share")
    axes.axhline(share[-1], color=_MUTED, linewidth=0.8, linestyle="--", label="final estimate")
    axes.set_xscale("log")
    settled = at >= min(100, at[-1])
    bottom, top = low[settled].min(), high[settled].max()
    room = 0.06 * max(top - bottom, 0.1)
    axes.set_ylim(max(-0.5, bottom - room), min(100.5, top + room))
    axes.set_xlim(max(1, at[0]), max(at[-1], 2))
    axes.xaxis.set_major_formatter(lambda value, _: f"{value:,.0f}".replace(",", " "))
    axes.set_xlabel("realizations judged", fontsize=8)
    axes.set_ylabel("feasible, %", fontsize=8)
    axes.tick_params(labelsize=8)
    figure.place(left=0.6, right=0.12, top=0.1, bottom=0.75, gap=0.0)
    figure.legend(loc="lower center", ncols=3, fontsize=8, frameon=False)
    axes.spines[["top", "right"]].set_visible(False)
    said = [
        f"after {whole(n)} realizations: {per_cent(now)} % feasible, "
        f"{per_cent(least)} to {per_cent(most)}"
        for n, now, least, most in zip(
            at.tolist(), convergence.share, convergence.low, convergence.high, strict=True
        )
    ]
    bottom, top = axes.get_ylim()
    strips = [[(n, bottom), (n, top)] for n in at.tolist()]
    figure.told.append(pieces(axes, np.array(strips), said, reach=0.0))
    return save_figure(figure, path, png=png)


def figure_envelope(
    scenario: Scenario, profile: Profile, distances: Distances, path: Path, *, png: bool = True
) -> tuple[Path, ...]:
    """Draw, phase by phase, the voltage of every live bus against its electrical distance.

    A thin whisker from the least to the greatest voltage, a thick one over the middle 90 %,
    a marker at the median; thin lines follow the feeder from the grid-forming DER outward.

    Raises
    ------
    ValueError
        If nothing was counted.
    """
    if not profile.solved or not len(profile.bus):
        raise ValueError("no realization was solved; there is no voltage to draw")
    names = slot_names(scenario)
    with rc_context({"text.parse_math": False}):
        figure = Drawing(7.6, 6.6)
        panels = figure.subplots(3, 1, sharex=True, sharey=True)
        low5, median, high95 = (profile.quantile_pu(level) for level in (0.05, 0.5, 0.95))
        bands = (low5, median, high95)
        for slot, axes in enumerate(panels):
            mine = np.flatnonzero(profile.phase == slot)
            mine = mine[np.isfinite(distances.ohm[profile.bus[mine]])]
            _draw_phase(axes, profile, distances, mine, bands)
            said = [_seen_words(scenario, profile, names[slot], k, bands) for k in mine.tolist()]
            at = np.stack([distances.ohm[profile.bus[mine]], median[mine]], axis=1)
            figure.told.append(spots(axes, at, said))
            axes.set_title(f"{'pair' if len(names[0]) > 1 else 'phase'} {names[slot]}",
                           fontsize=9, loc="left", y=1.0)  # fmt: skip
            axes.set_ylabel("voltage, pu", fontsize=8)
        _frame(panels, scenario, profile)
        panels[-1].set_xlabel(
            "impedance of the path from the grid-forming DER, Ω (positive sequence)", fontsize=8
        )
        figure.place(left=0.66, right=0.12, top=0.28, bottom=0.98, gap=0.3)
        figure.legend(
            handles=_envelope_legend(distances), loc="lower center", ncols=4, fontsize=8,
            frameon=False,
        )  # fmt: skip
        return save_figure(figure, path, png=png)


def _seen_words(
    scenario: Scenario, profile: Profile, slot: str, k: int, bands: tuple[FloatArray, ...]
) -> str:
    """Say what was seen at one bus and phase."""
    low5, median, high95 = (decimals(one[k], 4) for one in bands)
    least, most = decimals(profile.low_pu[k], 4), decimals(profile.high_pu[k], 4)
    return (
        f"bus {scenario.feeder.buses.ids[profile.bus[k]]} {slot}: median {median} pu\n"
        f"5 % to 95 %: {low5} to {high95}\nleast to greatest: {least} to {most}"
    )


def _draw_phase(
    axes: Any,
    profile: Profile,
    distances: Distances,
    mine: IntArray,
    bands: tuple[FloatArray, FloatArray, FloatArray],
) -> None:
    low5, median, high95 = bands
    bus = profile.bus[mine]
    x = distances.ohm[bus]
    at = dict(zip(bus.tolist(), mine.tolist(), strict=True))
    edges = [
        [(distances.ohm[one], median[at[one]]), (distances.ohm[other], median[at[other]])]
        for one, other in zip(bus.tolist(), distances.toward[bus].tolist(), strict=True)
        if other in at
    ]
    draw_segments(axes, np.array(edges), color="#b8b8b8", linewidth=0.8, zorder=1)
    for low, high, style in (
        (profile.low_pu, profile.high_pu, {"linewidth": 0.9, "zorder": 2}),
        (low5, high95, {"linewidth": 3.6, "zorder": 3, "alpha": 0.55}),
    ):
        ends = np.stack([np.stack([x, edge[mine]], axis=1) for edge in (low, high)], axis=1)
        draw_segments(axes, ends, color=_MARK, solid_capstyle="butt", **style)
    size = 4.0 if len(mine) <= _MARKERS_AT_MOST else 1.7
    for island in np.unique(distances.island[bus]).tolist():
        some = mine[distances.island[bus] == island]
        draw_points(
            axes, np.stack([distances.ohm[profile.bus[some]], median[some]], axis=1),
            marker=_MARKERS[island % len(_MARKERS)], markersize=size, markeredgewidth=0.8,
            markerfacecolor="white", markeredgecolor=_INK, zorder=4,
        )  # fmt: skip


def _frame(panels: Any, scenario: Scenario, profile: Profile) -> None:
    """Scale to what happened and the nearer limit; show the other where it fits."""
    low, high = float(profile.low_pu.min()), float(profile.high_pu.max())
    limits = scenario.limits
    near = min((limits.v_min_pu, limits.v_max_pu), key=lambda v: min(abs(v - low), abs(v - high)))
    bottom, top = min(low, near), max(high, near)
    room = 0.08 * max(top - bottom, 1e-3)
    for axes in panels:
        axes.set_ylim(bottom - room, top + room)
        axes.tick_params(labelsize=8)
        axes.ticklabel_format(axis="y", useOffset=False, style="plain")
        axes.grid(axis="y", color="#ececec", linewidth=0.6)
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
        for limit in (limits.v_min_pu, limits.v_max_pu):
            if bottom - room < limit < top + room:
                axes.axhline(limit, color=_LIMIT, linewidth=1.2, linestyle=(0, (5, 3)), zorder=1)


def _envelope_legend(distances: Distances) -> list[Line2D]:
    forming = [
        Line2D([], [], linestyle="none", marker=_MARKERS[k % len(_MARKERS)], markersize=5,
               markerfacecolor="white", markeredgecolor=_INK, label=f"median, island of {name}")
        for k, name in enumerate(distances.forming[: len(_MARKERS)])
    ]  # fmt: skip
    return [
        Line2D([], [], color=_MARK, linewidth=0.9, label="least to greatest"),
        Line2D([], [], color=_MARK, linewidth=3.6, alpha=0.55, label="middle 90 %"),
        *forming,
        Line2D([], [], color=_LIMIT, linewidth=1.2, linestyle=(0, (5, 3)), label="limit"),
    ]


def _figure(width_in: float, height_in: float) -> tuple[Drawing, Any]:
    figure = Drawing(width_in, height_in)
    return figure, figure.add_subplot()
