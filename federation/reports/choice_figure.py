"""The figure of a comparison: how much is served against how often the plan holds."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gridproof.federation.reports.comparison_tables import campaign_names
from gridproof.federation.reports.drawing import Drawing, dress_axes, save_figure
from gridproof.federation.reports.hover import spots
from gridproof.federation.reports.measured import MeasuredCampaign, Measures
from gridproof.federation.wording import decimals, fixed, per_cent
from matplotlib import rc_context

__all__ = ["figure_choices"]

_CHOICE, _BEATEN, _INK = "#1756b8", "#6b6b6b", "#222222"


def figure_choices(found: Measures, path: Path) -> tuple[Path, ...]:
    """Draw every campaign by power served and share feasible; choices are filled.

    Parameters
    ----------
    found
        The campaigns; those without a judged realization have no place.
    path
        Where to; ``.svg`` and ``.png`` are written beside each other.

    Returns
    -------
    tuple of Path
        The files.
    """
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "gridproof", "font.size": 9}):
        figure = Drawing(6.4, 4.2)
        axes = figure.add_subplot()
        names = campaign_names(found)
        placed = [one for one in found.campaigns if one.values["feasible"].mean is not None]
        for one in placed:
            _place(axes, one, names[one.about.directory])
        at = np.array([_where(one) for one in placed])
        figure.told.append(spots(axes, at, [_words(one, names) for one in placed]))
        axes.margins(x=0.25, y=0.18)
        axes.set_xlabel("power served, kW (a realization that fails counts as dark)")
        axes.set_ylabel("feasible realizations, %")
        dress_axes(axes)
        axes.set_title(
            f"{found.realizations} realizations; filled: beaten by none in "
            "feasible, served and cost together",
            fontsize=9,
            color=_INK,
        )
        return save_figure(figure, path)


def _place(axes: Any, one: MeasuredCampaign, name: str) -> None:
    chosen = one.beaten_by is None
    x, y = _where(one)
    colour = _CHOICE if chosen else _BEATEN
    axes.plot(
        [x], [y], "o", markersize=7, markeredgecolor=colour, color=colour if chosen else "white"
    )
    cost = "" if one.planned_cost is None else f"\n{fixed(one.planned_cost, 0)} {one.cost_unit}"
    axes.annotate(
        f"{name}{cost}", (x, y), xytext=(7, -4), textcoords="offset points", va="top", color=_INK
    )


def _where(one: MeasuredCampaign) -> tuple[float, float]:
    served, feasible = one.values["served_kw"].mean, one.values["feasible"].mean
    return served or 0.0, 100.0 * (feasible or 0.0)


def _words(one: MeasuredCampaign, names: Mapping[str, str]) -> str:
    """Say what a campaign came to, and by which other it is beaten, if by any."""
    served, _ = _where(one)
    lines = [
        names[one.about.directory],
        f"{per_cent(one.values['feasible'].mean)} % feasible, {decimals(served, 1)} kW served",
    ]
    if one.planned_cost is not None:
        lines.append(f"planned at {decimals(one.planned_cost, 2)} {one.cost_unit or ''}".rstrip())
    moved = one.values["redispatch_usd"].mean
    if moved is not None:
        lines.append(f"mean re-dispatch {decimals(moved, 2)} USD")
    beaten = one.beaten_by
    lines.append("a choice" if beaten is None else f"beaten by {names.get(beaten, beaten)}")
    return "\n".join(lines)
