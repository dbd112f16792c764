"""The figure of a sweep: feasible share against the swept key, with intervals."""

from __future__ import annotations

import math
from pathlib import Path
from textwrap import wrap
from typing import Any

import numpy as np
from gridproof.federation.campaigns.sweep import Point, Sweep, spoken_intervals, spoken_tried
from gridproof.federation.reports.drawing import Drawing, dress_axes, save_figure
from gridproof.federation.reports.hover import pieces, spots
from gridproof.federation.wording import per_cent, served_words, whole
from matplotlib import rc_context

__all__ = ["figure_sweep"]

_STYLES = (
    ("#1756b8", "o", "-"), ("#b5403a", "s", "--"), ("#2f7d3b", "^", "-."),
    ("#8a5a00", "D", ":"), ("#5b3f8c", "v", "-"),
)  # fmt: skip
_INK, _GREY = "#222222", "#6b6b6b"
_TITLE_LETTERS = 90  # a line of the title
_UNITS = {"s": "s", "kw": "kW", "pu": "pu", "a": "A", "h": "h"}


def figure_sweep(sweep: Sweep, path: Path) -> tuple[Path, ...]:
    """Draw the feasible share of every point with its interval.

    Parameters
    ----------
    sweep
        Values of its key must be numbers to be placed to scale; others stand side by side.
    path
        Where to; ``.svg`` and ``.png`` are written beside each other.

    Returns
    -------
    tuple of Path
        The files.
    """
    with rc_context({"svg.fonttype": "none", "svg.hashsalt": "gridproof", "font.size": 9}):
        figure = Drawing(6.4, 3.9)
        axes = figure.add_subplot()
        lines = (None,) if sweep.by is None else sweep.by.values
        for k, line in enumerate(lines):
            mine = [
                point
                for point in sweep.points
                if sweep.by is None or point.settings[sweep.by.key] == line
            ]
            _draw_line(axes, sweep, mine, k, line)
        if sweep.reference is not None:
            _draw_reference(axes, sweep.reference)
        _dress(axes, sweep)
        _tell(figure, axes, sweep)
        return save_figure(figure, path)


def _places(values: tuple[str, ...], every: tuple[str, ...]) -> list[float]:
    """Where values stand: to scale if all that are swept are numbers, else side by side."""
    try:
        scale = {value: float(value) for value in every}
    except ValueError:
        scale = {value: float(k) for k, value in enumerate(every)}
    return [scale[value] for value in values]


def _draw_line(axes: Any, sweep: Sweep, points: list[Point], k: int, line: str | None) -> None:
    colour, marker, style = _STYLES[k % len(_STYLES)]
    at = _places(tuple(point.settings[sweep.over.key] for point in points), sweep.over.values)
    known = [math.nan if point.share is None else point.share for point in points]
    share = [100.0 * value for value in known]
    below = [100.0 * (value - point.low) for value, point in zip(known, points, strict=True)]
    above = [100.0 * (point.high - value) for value, point in zip(known, points, strict=True)]
    label = None if sweep.by is None else _named(sweep.by.key, line or "")
    axes.errorbar(
        at,
        share,
        yerr=[[max(0.0, v) for v in below], [max(0.0, v) for v in above]],
        color=colour,
        marker=marker,
        markersize=4,
        linestyle=style,
        linewidth=1.2,
        elinewidth=0.9,
        capsize=2.5,
        label=label,
    )


def _draw_reference(axes: Any, point: Point) -> None:
    what = ", ".join(_named(key, value) for key, value in point.settings.items())
    axes.axhspan(100.0 * point.low, 100.0 * point.high, color=_GREY, alpha=0.18, linewidth=0)
    if point.share is None:
        return
    axes.axhline(100.0 * point.share, color=_GREY, linestyle=(0, (6, 3)), linewidth=1.0, label=what)


def _tell(figure: Drawing, axes: Any, sweep: Sweep) -> None:
    """Say of the reference's line, and of every point over it, what was found."""
    one = sweep.reference
    if one is not None and one.share is not None:
        across = [[(end, 100.0 * one.share) for end in axes.get_xlim()]]
        figure.told.append(pieces(axes, np.array(across), [_found(one)]))
    found = [point for point in sweep.points if point.share is not None]
    values = tuple(point.settings[sweep.over.key] for point in found)
    at = _places(values, sweep.over.values)
    places = [(x, 100.0 * (point.share or 0.0)) for x, point in zip(at, found, strict=True)]
    figure.told.append(spots(axes, np.array(places), [_found(point) for point in found]))


def _found(point: Point) -> str:
    what = ", ".join(_named(key, value) for key, value in point.settings.items())
    lines = [
        what,
        f"{per_cent(point.share)} % feasible, {per_cent(point.low)} to {per_cent(point.high)}",
        f"{whole(point.tried)} realizations, {served_words(point.served)}",
    ]
    return "\n".join(lines)


def _label(key: str) -> tuple[str, str]:
    """Name and unit of a key: ``faults.latency_s`` is ("latency", "s")."""
    name = key.rsplit(".", maxsplit=1)[-1]
    stem, _, unit = name.rpartition("_")
    if stem and unit in _UNITS:
        return stem.replace("_", " "), _UNITS[unit]
    return name.replace("_", " "), ""


def _named(key: str, value: str) -> str:
    name, unit = _label(key)
    return f"{name} {value} {unit}".rstrip()


def _dress(axes: Any, sweep: Sweep) -> None:
    name, unit = _label(sweep.over.key)
    axes.set_xlabel(f"{name}, {unit}" if unit else name)
    axes.set_ylabel("feasible realizations, %")
    numbers = [100.0 * point.low for point in sweep.points]
    if sweep.reference is not None:
        numbers.append(100.0 * sweep.reference.low)
    axes.set_ylim(max(0.0, 10.0 * (min(numbers) // 10.0)), 101.5)
    try:
        [float(value) for value in sweep.over.values]
    except ValueError:
        axes.set_xticks(range(len(sweep.over.values)), sweep.over.values)
    dress_axes(axes)
    if sweep.by is not None or sweep.reference is not None:
        axes.legend(frameon=False, loc="best")
    percent = f"{spoken_intervals(sweep)} intervals, {spoken_tried(sweep)} realizations a point"
    said = [*wrap(sweep.title, _TITLE_LETTERS), percent]  # what is longer is cut off
    axes.set_title("\n".join(said), fontsize=9, color=_INK)
