"""A table as a value: what it says, once, for whoever sets it.

A table is made by one function from the data it shows. How wide a place is, and whether it has
colours or wants numbers with all digits, is for the renderers beside this file to know:
`federation.tables.terminal`, `federation.tables.html` and `federation.tables.files`.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from enum import IntEnum, StrEnum
from typing import Any

import numpy as np
from gridproof.federation.wording import fixed, per_cent, plain, whole

__all__ = [
    "Column",
    "Place",
    "Table",
    "Tone",
    "count",
    "filed",
    "interval",
    "number",
    "prose",
    "share",
    "text",
    "void",
]

NOTHING = "\u2013"
"""What stands for a figure that there is none of."""


class Place(IntEnum):
    """Where a table is set, from the narrowest on."""

    TERMINAL = 0
    PAGE = 1
    FILE = 2


class Tone(StrEnum):
    """What a colour says again that the words have said: nothing is told by a tone alone."""

    GOOD = "good"
    BAD = "bad"
    QUIET = "quiet"
    LIVE = "live"


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column of values.

    Attributes
    ----------
    title, unit
        What people read above it.
    short
        The title where there is little room; as ``title`` if empty.
    key
        What files have above it; title and unit if empty.
    words
        How a value is said; a value that is none (None, NaN, infinite) is said by ``nothing``.
    numeric
        Set so that digits stand under digits.
    prose
        Sentences, which may wrap.
    joined
        Where set, people read the value in the cell of the column before: ``{} to {}``. Where
        there is no value, that cell stays as it is. Files have a column for each.
    place
        The narrowest place that it is shown in.
    tone
        Of all its cells.
    """

    title: str
    unit: str = ""
    short: str = ""
    key: str = ""
    words: Callable[[Any], str] = plain
    nothing: str = NOTHING
    numeric: bool = False
    prose: bool = False
    joined: str = ""
    place: Place = Place.TERMINAL
    tone: Tone | None = None

    def heading(self, place: Place) -> str:
        """Return what stands above it."""
        if place is Place.FILE:
            own = f"{self.title}, {self.unit}" if self.unit else self.title
            return self.key or own
        if place is Place.TERMINAL:
            return f"{self.short or self.title} {self.unit}".rstrip()
        return f"{self.title}, {self.unit}" if self.unit and self.title else self.title or self.unit

    def say(self, value: Any) -> str:
        """Put a value in words."""
        return self.nothing if void(value) else self.words(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table.

    Attributes
    ----------
    name
        Of its files, without the ending.
    title
        What it shows, in one line.
    columns, rows
        Values as they are, one for each column; the first column names its row.
    shown
        Rows that people are shown, the first ones; files have all.
    note
        A sentence that must be read with it.
    tones
        Of the rows, where any has one.

    Raises
    ------
    ValueError
        If a row has more or fewer values than there are columns.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    shown: int = 1000
    note: str = ""
    tones: tuple[Tone | None, ...] = ()

    def __post_init__(self) -> None:
        if any(len(row) != len(self.columns) for row in self.rows):
            raise ValueError(f"table {self.name}: not every row has {len(self.columns)} values")
        if self.columns and self.columns[0].joined:
            raise ValueError(f"table {self.name}: its first column has none to be joined to")
        if self.tones and len(self.tones) != len(self.rows):
            raise ValueError(f"table {self.name}: {len(self.tones)} tones, {len(self.rows)} rows")

    def seen(self, place: Place) -> tuple[Column, ...]:
        """Columns that people see there; those joined to another stand in its cells."""
        return tuple(one for one in self.columns if one.place <= place and not one.joined)

    def cells(self, place: Place) -> list[list[str]]:
        """Words of the rows that people see there, a cell for each column of `seen`."""
        return [list(self._row(row, place)) for row in self.rows[: self.shown]]

    def _row(self, row: tuple[Any, ...], place: Place) -> Iterator[str]:
        said: str | None = None
        for column, value in zip(self.columns, row, strict=True):
            hidden = column.place > place
            if column.joined:
                if said is not None and not hidden and not void(value):
                    said = column.joined.format(said, column.say(value))
                continue
            if said is not None:
                yield said
            said = None if hidden else column.say(value)
        if said is not None:
            yield said

    def tone(self, number: int) -> Tone | None:
        """Return the tone of a row."""
        return self.tones[number] if self.tones else None

    def records(self) -> list[dict[str, Any]]:
        """One mapping a row, from the heading that files have to the value as it is."""
        keys = [column.heading(Place.FILE) for column in self.columns]
        return [dict(zip(keys, row, strict=True)) for row in self.rows]


def void(value: Any) -> bool:
    """Whether there is no value: None, or a number that is none."""
    return value is None or (isinstance(value, (float, np.floating)) and not np.isfinite(value))


def text(title: str, **more: Any) -> Column:
    """Return a column of words."""
    return Column(title=title, **more)


def prose(title: str, **more: Any) -> Column:
    """Return a column of sentences, which may wrap; several of a cell stand below each other."""
    return Column(title=title, prose=True, **more)


def count(title: str, **more: Any) -> Column:
    """Return a column of whole numbers, thousands grouped."""
    return Column(title=title, words=whole, numeric=True, **more)


def number(title: str, digits: int, unit: str = "", **more: Any) -> Column:
    """Return a column of numbers with so many digits behind the point."""
    return Column(
        title=title, unit=unit, words=lambda value: fixed(value, digits), numeric=True, **more
    )


def share(title: str, **more: Any) -> Column:
    """Return a column of shares: people read per cent, files have the share itself."""
    found = Column(title=title, unit="%", words=per_cent, numeric=True, **more)
    return found if found.key else replace(found, key=title)


def interval(title: str, low: Column, high: Column, **more: Any) -> tuple[Column, Column]:
    """Return the columns of an interval: files have its ends apart, people read them together."""
    first = replace(low, title=title, short="", key=low.heading(Place.FILE), **more)
    last = replace(high, key=high.heading(Place.FILE), joined="{} to {}", **more)
    return first, last


def filed(key: str) -> Column:
    """Return a column that files alone have."""
    return Column(title=key, place=Place.FILE)
