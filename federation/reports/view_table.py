"""How a table is set on the terminal."""

from __future__ import annotations

from rich import box
from rich.table import Table

__all__ = ["blank_table"]


def blank_table(title: str | None) -> Table:
    """Return a table without rows or columns, set as every table on the terminal is."""
    return Table(
        title=title,
        title_justify="left",
        title_style="bold",
        box=box.SIMPLE_HEAD,
        pad_edge=False,
        show_edge=False,
        padding=(0, 1),
    )
