"""A table in a page, or in a notebook: the one piece of HTML that every table is set in."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Any

from gridproof.federation.plain_text import shown
from gridproof.federation.tables.table import Place, Table

if TYPE_CHECKING:
    import jinja2

__all__ = ["as_read", "table_html"]


def as_read(value: Any) -> Any:
    """Show what would act on a reader's screen; our own figures and styles are left alone."""
    return shown(value) if type(value) is str else value


def table_html(table: Table) -> str:
    """Set a table: a caption, headings that screen readers find, and a class for each tone."""
    return _template().render(
        table=table,
        columns=table.seen(Place.PAGE),
        headings=[column.heading(Place.PAGE) for column in table.seen(Place.PAGE)],
        rows=table.cells(Place.PAGE),
    )


@cache
def _template() -> jinja2.Template:
    import jinja2  # noqa: PLC0415  (a tenth of a second, and few commands set a page)

    environment = jinja2.Environment(
        loader=jinja2.PackageLoader("gridproof.federation.tables", "templates"),
        autoescape=True, finalize=as_read, undefined=jinja2.StrictUndefined,
        trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    return environment.get_template("table.html.j2")
