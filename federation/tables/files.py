"""A table in files: as CSV with all rows and digits, and as people read it in Markdown."""

from __future__ import annotations

import csv
import io
from typing import Any

from gridproof.federation.files import unsigned_zeros
from gridproof.federation.plain_text import csv_cell
from gridproof.federation.tables.table import Place, Table, void

__all__ = ["csv_text", "markdown_text"]


def csv_text(table: Table) -> str:
    """Print a table as CSV: a heading, then values with full precision, nothing for None."""
    sink = io.StringIO()
    writer = csv.writer(sink, lineterminator="\n")
    writer.writerow([csv_cell(column.heading(Place.FILE)) for column in table.columns])
    for row in table.rows:
        writer.writerow([_value(cell) for cell in row])
    return sink.getvalue()


def _value(cell: Any) -> Any:
    if void(cell):
        return ""
    return csv_cell("; ".join(cell) if isinstance(cell, tuple) else unsigned_zeros(cell))


def markdown_text(table: Table, place: Place = Place.PAGE, level: int = 2) -> str:
    """Set a table for a Markdown file, below a heading of ``level``; without a title, none."""
    seen = table.seen(place)
    lines = [
        [_marked(column.heading(place)) for column in seen],
        ["---:" if column.numeric else "---" for column in seen],
        *([_marked(cell) for cell in row] for row in table.cells(place)),
    ]
    head = f"{'#' * level} {table.title}\n\n" if table.title else ""
    body = "".join(f"| {' | '.join(line)} |\n" for line in lines)
    return head + body + (f"\n{table.note}\n" if table.note else "")


def _marked(words: str) -> str:
    """Take from words what Markdown would take for its own: a bar, a tag."""
    plain = words.replace("\\", "\\\\").replace("|", "\\|").replace("<", "\\<")
    return plain.replace("\n", "<br>")
