"""Figure: how the worst margins of a campaign's realizations are distributed."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gridproof.federation.records.campaign_report import CampaignReport, MarginReport
from gridproof.federation.records.reading import TAIL_SHARE
from gridproof.federation.records.rows import MARGIN_UNITS
from gridproof.federation.records.streams import HeldColumns
from gridproof.federation.reports.drawing import Drawing, save_figure
from gridproof.federation.reports.hover import Told, pieces
from gridproof.federation.wording import decimals, fixed, whole
from gridproof.scenarios.verdict import MarginKind

__all__ = ["MARGIN_AXES", "figure_margins"]

_LIVE, _DEAD, _MARK, _INK = "#2f7d3b", "#b5403a", "#1756b8", "#222222"
_BINS = 60
_LEAST_SPAN = 1e-3  # pu, or share of rating

_UNUSED = {"pu": "pu", "of rating": "of rating unused"}

MARGIN_AXES = {
    MarginKind.VOLTAGE.value: "distance to the nearer voltage limit, pu; below 0: outside",
    MarginKind.CURRENT.value: "unused share of the worst line's rating; below 0: overloaded",
    MarginKind.TRANSFORMER.value: "unused share of the worst transformer's rating; "
    "below 0: overloaded",
    MarginKind.CAPABILITY.value: "unused share of the worst DER's rating; below 0: asked for more",
    MarginKind.RAMP.value: "unused share of the worst DER's ramp, of its rating; "
    "below 0: asked to move further",
    MarginKind.DAMAGE.value: "\u22121: something damaged is live",
    MarginKind.ENERGY.value: "energy left over, as a share of the rating; below 0: lacking",
    MarginKind.RESERVE.value: "reserve left over, as a share of the rating; below 0: lacking",
}
"""What stands under the axis of each kind of margin."""


def figure_margins(
    campaign: CampaignReport, columns: HeldColumns, path: Path, *, png: bool = True
) -> tuple[Path, ...]:
    """Draw, for each kind of limit, how the worst margin of a realization is distributed.

    A kind whose margin moves by less than a thousandth is told in words, unless all are such.

    One panel per kind; what lies left of zero is violated, and hatched.

    Parameters
    ----------
    campaign
        What became of it.
    columns
        Its margins, as `federation.records.reading.read_campaign` brings them; passed over once.
    path
        Where to; ``.svg`` and ``.png`` are written beside each other.
    png
        Whether the second is wanted.

    Returns
    -------
    tuple of Path
        The files written.

    Raises
    ------
    ValueError
        If nothing was solved, so that there is no margin to draw.
    """
    if not campaign.margins:
        raise ValueError("no realization was solved; there is no margin to draw")
    still = {k: one for k, one in campaign.margins.items() if one.max - one.min < _LEAST_SPAN}
    if len(still) == len(campaign.margins):
        still = {}
    margins = {k: one for k, one in campaign.margins.items() if k not in still}
    edges = {kind: _edges(one.min, one.max) for kind, one in margins.items()}
    counts = {kind: np.zeros(_BINS, np.int64) for kind in margins}
    for item in columns.stream():
        for kind, values in zip(MarginKind, item, strict=True):
            if kind.value in margins:
                counts[kind.value] += np.histogram(values, edges[kind.value])[0]
    figure = Drawing(7.2, 1.8 * len(margins) + 0.53)
    panels = figure.subplots(len(margins), 1, squeeze=False)[:, 0]
    for axes, (name, one) in zip(panels, margins.items(), strict=True):
        _draw_margin(axes, name, one, edges[name], counts[name])
        figure.told.append(_told(axes, one, edges[name], counts[name]))
    figure.place(left=0.62, right=0.12, top=0.8, bottom=0.48, gap=0.78)
    figure.suptitle(
        f"Worst margin of each realization ({campaign.samples} realizations, "
        f"judge {campaign.judge})\n{_still_words(still)}",
        fontsize=9,
        x=0.01,
        y=1.0 - 0.08 / figure.get_figheight(),
        va="top",
        ha="left",
    )
    return save_figure(figure, path, png=png)


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
        f"{kind}: least {decimals(one.min, 4)} {_UNUSED.get(MARGIN_UNITS[kind], '')}, "
        f"mean of the worst {100 * TAIL_SHARE:g} % {decimals(tail, 4)} (dashed)",
        fontsize=8,
        loc="left",
        y=1.0,
    )
    axes.tick_params(labelsize=7)
    axes.ticklabel_format(axis="x", useOffset=False, style="plain")
    axes.locator_params(axis="y", nbins=4)
    axes.locator_params(axis="x", nbins=7)
    axes.set_ylabel("realizations", fontsize=7)
    axes.set_xlabel(MARGIN_AXES[kind], fontsize=7)
    axes.spines[["top", "right"]].set_visible(False)


def _still_words(still: Mapping[str, MarginReport]) -> str:
    """Say of kinds whose margin hardly moves where it stays; a panel would show one bar."""
    told = [
        f"{kind} stays at {decimals(one.min, 4)} {_UNUSED.get(MARGIN_UNITS[kind], '')}".rstrip()
        for kind, one in still.items()
    ]
    return "; ".join(told)


def _told(axes: Any, one: MarginReport, edges: Any, counts: Any) -> Told:
    """Say of each bar how many realizations are in it."""
    at = np.flatnonzero(counts)
    corners = np.stack([edges[at], np.zeros(len(at)), edges[at + 1], counts[at]], axis=1)
    said = [
        f"{whole(counts[k])} realizations\n"
        f"{fixed(edges[k], 4)} to {fixed(edges[k + 1], 4)} {one.unit}"
        for k in at.tolist()
    ]
    return pieces(axes, corners.reshape(-1, 2, 2), said, reach=0.0)
