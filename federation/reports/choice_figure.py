"""The figure of a comparison: how much is served against how often the plan holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gridproof.federation.reports.comparison_tables import campaign_names
from gridproof.federation.reports.drawing import Drawing, dress_axes, save_figure
from gridproof.federation.reports.measured import MeasuredCampaign, Measures
from gridproof.federation.wording import fixed
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
    x, y = one.values["served_kw"].mean, 100.0 * (one.values["feasible"].mean or 0.0)
    colour = _CHOICE if chosen else _BEATEN
    axes.plot(
        [x], [y], "o", markersize=7, markeredgecolor=colour, color=colour if chosen else "white"
    )
    cost = "" if one.planned_cost is None else f"\n{fixed(one.planned_cost, 0)} {one.cost_unit}"
    axes.annotate(
        f"{name}{cost}", (x, y), xytext=(7, -4), textcoords="offset points", va="top", color=_INK
    )
