"""A table on a terminal: as wide as it is, or narrower where the terminal is."""

from __future__ import annotations

import re
import textwrap
from collections.abc import Iterable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridproof.federation.tables.table import Column, Place, Table, Tone
from gridproof.federation.wording import typed
from rich import box
from rich.cells import cell_len
from rich.table import Table as Grid
from rich.text import Text

if TYPE_CHECKING:
    from rich.console import Console, ConsoleOptions, RenderableType, RenderResult

__all__ = ["STYLES", "TableView", "facts_view"]

STYLES = {Tone.GOOD: "green", Tone.BAD: "red", Tone.QUIET: "dim", Tone.LIVE: "bold blue"}
"""How a tone looks on a terminal."""

_LEAST_PROSE = 16
_MOST_LINES = 4  # of a heading


@dataclass(frozen=True, slots=True)
class TableView:
    """A table, for rich to print.

    Where it is wider than the terminal, headings wrap first, then gaps close, then words wrap;
    figures give way last. Numbers are as they are typed.
    """

    table: Table

    def __rich_console__(self, console: Console, options: ConsoleOptions) -> RenderResult:
        if self.table.title:
            yield Text(typed(self.table.title), style="bold")
        yield self._grid(options.max_width)
        if self.table.note:
            yield Text(self.table.note)

    def _grid(self, width: int) -> Grid:
        seen = self.table.seen(Place.TERMINAL)
        cells = [[typed(cell) for cell in row] for row in self.table.cells(Place.TERMINAL)]
        headings = [column.heading(Place.TERMINAL) for column in seen]
        bodies = [max(map(_width, line), default=0) for line in zip(*cells, strict=True)]
        bodies = bodies or [0] * len(seen)
        needed = [
            min(body, _LEAST_PROSE) if column.prose else body
            for column, body in zip(seen, bodies, strict=True)
        ]
        gap, lines, fits = 3, 1, _fits(headings, needed, width, 3)
        while not fits and lines < _MOST_LINES:
            lines += 1
            headings = [
                heading if column.prose else _folded(column.heading(Place.TERMINAL), body, lines)
                for column, heading, body in zip(seen, headings, bodies, strict=True)
            ]
            fits = _fits(headings, needed, width, 3)
        while not fits and gap > 1:
            gap -= 1
            fits = _fits(headings, needed, width, gap)
        grid = Grid(
            box=box.SIMPLE_HEAD, pad_edge=False, show_edge=False, padding=(0, gap > 1, 0, gap > 2),
            show_header=any(headings),
        )  # fmt: skip
        for column, heading in zip(seen, headings, strict=True):
            _add(grid, column, heading, wraps=column.prose or not (fits or column.numeric))
        for number, row in enumerate(cells):
            tone = self.table.tone(number)
            grid.add_row(*map(Text, row), style=STYLES[tone] if tone else "")
        return grid


def _add(grid: Grid, column: Column, heading: str, *, wraps: bool) -> None:
    grid.add_column(
        Text(heading),
        justify="right" if column.numeric else "left",
        no_wrap=not wraps,
        overflow="fold" if wraps else "ellipsis",
        vertical="top",
        style=STYLES[column.tone] if column.tone else "",
    )


def _fits(headings: list[str], needed: list[int], width: int, between: int) -> bool:
    wide = sum(max(_width(one), body) for one, body in zip(headings, needed, strict=True))
    return wide + between * (len(headings) - 1) <= width


def _folded(heading: str, body: int, lines: int) -> str:
    """Break a heading between words, to so many lines or to the width of what stands below it."""
    kept = re.sub(r"(?<=\d) (?=%)", "\u00a0", heading)
    width = max(body, *map(cell_len, kept.split(" ")), 1)
    while len(folded := textwrap.wrap(kept, width, break_on_hyphens=False)) > lines:
        width += 1
    return "\n".join(folded).replace("\u00a0", " ")


def _width(words: str) -> int:
    return max(map(cell_len, words.split("\n")))


def facts_view(facts: Iterable[tuple[str, RenderableType]]) -> Grid:
    """Set terms and what is said of each."""
    grid = Grid.grid(padding=(0, 2))
    grid.add_column(style="bold", no_wrap=True)
    grid.add_column(overflow="fold")
    for label, value in facts:
        grid.add_row(label, Text(value) if isinstance(value, str) else value)
    return grid
