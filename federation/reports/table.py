"""A table of a report: the same rows for the page, as words, and for a CSV file, as numbers."""

from __future__ import annotations

import csv
import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from gridproof.federation.files import unsigned_zeros
from gridproof.federation.plain_text import csv_cell
from gridproof.federation.wording import fixed, plain

__all__ = ["Column", "Table", "csv_text", "number", "number_of", "prose", "text"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One column: its heading, how a value of it is put in words, and how it is set."""

    title: str
    words: Callable[[Any], str] = plain
    numeric: bool = False
    prose: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A table.

    Attributes
    ----------
    name
        File name of its CSV, without the ending.
    caption
        What it shows, in one line.
    columns, rows
        Values as they are; the first column names its row.
    shown
        Rows on the page, the first ones; the CSV has all.
    """

    name: str
    caption: str
    columns: tuple[Column, ...]
    rows: tuple[tuple[Any, ...], ...]
    shown: int = 1000

    def words(self) -> list[list[str]]:
        """Cells of the rows on the page."""
        return [
            [column.words(cell) for column, cell in zip(self.columns, row, strict=True)]
            for row in self.rows[: self.shown]
        ]


def csv_text(table: Table) -> str:
    """Print a table as CSV: a heading, then values with full precision, nothing for None."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow([csv_cell(column.title) for column in table.columns])
    for row in table.rows:
        writer.writerow(["" if _void(cell) else csv_cell(unsigned_zeros(cell)) for cell in row])
    return sink.getvalue()


def _void(cell: Any) -> bool:
    return cell is None or (isinstance(cell, float) and not np.isfinite(cell))


def text(title: str) -> Column:
    """Return a column of words."""
    return Column(title=title)


def prose(title: str) -> Column:
    """Return a column of sentences, which may wrap."""
    return Column(title=title, prose=True)


def number(title: str, words: Callable[[Any], str] = plain) -> Column:
    """Return a column of numbers."""
    return Column(title=title, words=words, numeric=True)


def number_of(digits: int) -> Callable[[str], Column]:
    """Return a maker of columns of numbers with so many digits."""
    return lambda title: number(title, lambda value: fixed(value, digits))
