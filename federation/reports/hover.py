"""What a figure says of a place that a pointer rests on: titles of SVG, without a script.

Each place is a shape that is not seen, laid over the drawing, with a ``<title>`` that a browser
shows. The files have them, and so has the page they stand in; a PNG has not.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from xml.sax.saxutils import escape

import numpy as np
from gridproof.federation.plain_text import shown
from gridproof.federation.wording import decimals
from gridproof.scenarios.arrays import FloatArray

__all__ = ["MOST_TITLES", "Told", "hover_layer", "pieces", "spots"]

MOST_TITLES = 6000
"""Of one figure: beyond it the page would grow by more than a megabyte, and nothing is titled."""

_POINTS_PER_INCH = 72.0
_LEAST_WIDE = 6.0  # points: what is thinner is not found by a hand


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Told:
    """Places of one kind, and what is said of each.

    Attributes
    ----------
    axes
        Whose data coordinates the places are in.
    ends
        (place, 2, 2) two corners of a box, or two ends of a piece; a spot has both alike.
    reach
        Points about a spot, or across a piece; 0 for a box, whose corners say it all.
    words
        (place,) texts.
    """

    axes: Any
    ends: FloatArray
    reach: float
    words: tuple[str, ...]


def spots(axes: Any, places: FloatArray, words: Sequence[str], *, reach: float = 6.0) -> Told:
    """Tell of (place, 2) points."""
    at = np.asarray(places, float).reshape(-1, 2)
    return Told(axes=axes, ends=np.stack([at, at], axis=1), reach=reach, words=tuple(words))


def pieces(axes: Any, ends: FloatArray, words: Sequence[str], *, reach: float = 7.0) -> Told:
    """Tell of (place, 2, 2) straight pieces; a reach of 0 makes boxes of them."""
    at = np.asarray(ends, float).reshape(-1, 2, 2)
    return Told(axes=axes, ends=at, reach=reach, words=tuple(words))


def hover_layer(told: Sequence[Told], figure: Any) -> str:
    """Return one ``<g>`` to stand last in the figure's SVG, or nothing.

    Parameters
    ----------
    told
        In the order they are laid on: what comes later is on top.
    figure
        matplotlib's, laid out for good.
    """
    told = [one for one in told if one.words]
    if not told or sum(len(one.words) for one in told) > MOST_TITLES:
        return ""
    shapes = [shape for one in told for shape in _shapes(one, figure)]
    look = 'class="hover" fill="#000" fill-opacity="0" stroke="#000" stroke-opacity="0"'
    return f'<g {look} pointer-events="all">{"".join(shapes)}</g>'


def _shapes(told: Told, figure: Any) -> list[str]:
    at = told.axes.transData.transform(told.ends.reshape(-1, 2)).reshape(-1, 4)
    at = at * (_POINTS_PER_INCH / figure.dpi)
    at[:, 1::2] = figure.get_figheight() * _POINTS_PER_INCH - at[:, 1::2]
    made = []
    for corners, words in zip(at.tolist(), told.words, strict=True):
        title = f"<title>{escape(shown(words))}</title>"
        x0, y0, x1, y1 = (decimals(one, 1) for one in corners)
        if told.reach and (x0, y0) == (x1, y1):
            made.append(f'<circle cx="{x0}" cy="{y0}" r="{told.reach:g}">{title}</circle>')
        elif told.reach:
            line = f'x1="{x0}" y1="{y0}" x2="{x1}" y2="{y1}"'
            made.append(f'<line {line} stroke-width="{told.reach:g}">{title}</line>')
        else:
            made.append(f'<rect {_box(corners)} stroke="none">{title}</rect>')
    return made


def _box(corners: Sequence[float]) -> str:
    """Return a box about two corners, wide enough to be found."""
    ends = (corners[0::2], corners[1::2])
    size = [max(abs(b - a), _LEAST_WIDE) for a, b in ends]
    first = [(a + b - own) / 2.0 for (a, b), own in zip(ends, size, strict=True)]
    x, y, wide, high = (decimals(one, 1) for one in (*first, *size))
    return f'x="{x}" y="{y}" width="{wide}" height="{high}"'
