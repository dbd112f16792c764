"""A publication's table from rows of named figures, ours beside the printed ones."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

from gridproof.federation.tables.table import Column, Table, filed
from gridproof.federation.wording import fixed, plain

__all__ = ["paper_table"]

_TO = " to "
_PRINTED = "printed_"


def paper_table(
    name: str,
    title: str,
    columns: Sequence[tuple[str, str, int]],
    rows: Sequence[Mapping[str, Any]],
) -> Table:
    """Make a table of rows that say more than people read at once.

    Parameters
    ----------
    name, title
        Of its files; what it shows.
    columns
        What people read: the key of a figure, or two keys joined by ``to`` for an interval, its
        heading, and its decimals. Where a row has ``printed_`` and the key, that figure stands
        behind ours.
    rows
        One mapping a row; None where there is no figure. What is in no column is for files alone.
    """
    made = [one for column in columns for one in _read(*column, rows)]
    keys = [column.key for column in made]
    rest = [key for key in dict.fromkeys(key for row in rows for key in row) if key not in keys]
    return Table(
        name=name,
        title=title,
        columns=(*made, *map(filed, rest)),
        rows=tuple(tuple(row.get(key) for key in (*keys, *rest)) for row in rows),
    )


def _read(
    key: str, heading: str, digits: int, rows: Sequence[Mapping[str, Any]]
) -> Iterator[Column]:
    first, _, last = key.partition(_TO)

    def column(own: str, joined: str = "") -> Column:
        return Column(
            title=heading,
            key=own,
            words=lambda value: _said(value, digits),
            numeric=any(not isinstance(row.get(own), (str, type(None))) for row in rows),
            joined=joined,
        )

    yield column(first)
    if last:
        yield column(last, "{}\u2013{}")
    elif any(f"{_PRINTED}{key}" in row for row in rows):
        yield column(f"{_PRINTED}{key}", "{}/{}")


def _said(value: Any, digits: int) -> str:
    return plain(value) if isinstance(value, (str, bool)) else fixed(value, digits)
