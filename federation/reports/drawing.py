"""A figure that is laid out once and drawn once for every file it becomes.

matplotlib lays a constrained figure out anew, and draws it once more to no purpose, whenever it is
saved; in a report of many figures that is most of what it costs.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
from gridproof.federation.plain_text import shown
from gridproof.federation.reports.hover import Told, hover_layer
from gridproof.federation.reports.svg import write_figure
from gridproof.scenarios.arrays import FloatArray
from matplotlib import rc_context
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.layout_engine import ConstrainedLayoutEngine
from matplotlib.text import Text
from matplotlib.ticker import FixedFormatter, FuncFormatter

__all__ = ["Drawing", "draw_points", "draw_segments", "dress_axes", "save_figure"]


class Drawing(Figure):
    """A figure whose axes take their places once.

    Parameters
    ----------
    width_in, height_in
        Size, inches.
    """

    def __init__(self, width_in: float, height_in: float) -> None:
        super().__init__(figsize=(width_in, height_in))
        FigureCanvasAgg(self)
        self._laid_out = False
        self.told: list[Told] = []
        """What is said of places of it, see `federation.reports.hover`."""

    def lay_out(self) -> None:
        """Give the axes their places, so that nothing drawn so far overlaps or is cut off.

        What is added afterwards moves nothing; a second call does nothing.
        """
        self.read_plainly()
        if not self._laid_out:
            with rc_context(_PLAIN):
                ConstrainedLayoutEngine().execute(self)
            for axes in self.axes:
                axes.apply_aspect()  # only then is a point's place on the paper final
            self._laid_out = True

    def place(self, *, left: float, right: float, top: float, bottom: float, gap: float) -> None:
        """Give the axes, which stand below each other, their places by hand.

        A figure whose texts are as long as ever needs no solver, which takes as long as drawing.

        Parameters
        ----------
        left, right, top, bottom, gap
            What is left free about the axes and between two of them, inches.
        """
        wide, high = self.get_size_inches()
        count = len(self.axes)
        each = (high - top - bottom - gap * (count - 1)) / count
        for row, axes in enumerate(self.axes):
            below = high - top - each * (row + 1) - gap * row
            inside = (left / wide, below / high, (wide - left - right) / wide, each / high)
            axes.set_position(inside)
            axes.apply_aspect()
        self.read_plainly()
        self._laid_out = True

    def read_plainly(self) -> None:
        """Take every text as it is read: a dollar sign begins no formula, a control acts nowhere.

        Formulas that do not parse would end the drawing. Ticks that are not there yet are left to
        `_PLAIN`, in force wherever they come to be: asking makes them, which takes longer than all.
        """
        held: list[Any] = [*_texts(self), *(text for one in self.legends for text in one.texts)]
        for axes in self.axes:
            held += _texts(axes)
            legend = axes.get_legend()
            held += [] if legend is None else [*legend.texts, legend.get_title()]
            for axis in (axes.xaxis, axes.yaxis):
                held.append(axis.label)
                for tick in (*vars(axis).get("majorTicks", ()), *vars(axis).get("minorTicks", ())):
                    tick.label1.set_parse_math(False)
                    tick.label2.set_parse_math(False)
                said = axis.get_major_formatter()
                if isinstance(said, FixedFormatter | FuncFormatter):
                    axis.set_major_formatter(
                        FuncFormatter(lambda x, k, said=said: shown(said(x, k)))
                    )
        for text in held:
            text.set_parse_math(False)
            text.set_text(shown(text.get_text()))


def _texts(holder: Any) -> list[Text]:
    """Texts that a figure or its axes hold themselves, titles among them."""
    return [one for one in holder.get_children() if isinstance(one, Text)]


_PLAIN = {"text.parse_math": False}


def dress_axes(axes: Any) -> None:
    """Lay a grid behind what is drawn, and leave out the frame where no scale stands."""
    axes.grid(visible=True, color="#dddddd", linewidth=0.6)
    axes.set_axisbelow(True)
    axes.spines[["top", "right"]].set_visible(False)


def draw_segments(axes: Any, segments: FloatArray, **style: Any) -> None:
    """Draw straight pieces of one style as one artist; nothing where there are none.

    Parameters
    ----------
    axes
        Matplotlib's.
    segments
        (segment, 2, 2) ends, data coordinates.
    style
        Of a line.
    """
    if len(segments):
        gap = np.full((len(segments), 1, 2), np.nan)
        axes.plot(*np.concatenate([segments, gap], axis=1).reshape(-1, 2).T, **style)


def draw_points(axes: Any, points: FloatArray, **style: Any) -> None:
    """Mark (point, 2) places in one style as one artist; nothing where there are none."""
    if len(points):
        axes.plot(*np.asarray(points).T, linestyle="none", **style)


def save_figure(
    figure: Drawing, path: Path, *, dpi: int = 150, png: bool = True
) -> tuple[Path, ...]:
    """Write a figure as SVG, its text as text, and as PNG if wanted, neither with a date in it."""
    path.parent.mkdir(parents=True, exist_ok=True)
    figure.lay_out()
    files = [path.with_suffix(".svg")]
    with rc_context({**_PLAIN, "svg.hashsalt": "gridproof", "svg.fonttype": "none"}):
        over = hover_layer(figure.told, figure)
        write_figure(figure, files[0], over=over, metadata={"Date": None, "Creator": None})
        if png:
            files.append(path.with_suffix(".png"))
            write_figure(figure, files[1], dpi=dpi, metadata={"Software": None})
    return tuple(files)
