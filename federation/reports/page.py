"""The page every report is set in: sections of words, facts, figures, tables and links."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from gridproof.federation.reports.svg import inline_svg
from gridproof.federation.tables.html import as_read, table_html
from gridproof.federation.tables.table import Table

__all__ = ["PAGE", "Headline", "PageFigure", "Section", "figure_entry", "render_page"]

PAGE = "report.html"


@dataclass(frozen=True, slots=True, kw_only=True)
class Headline:
    """The one figure of a page, and what must be known before it is quoted.

    Attributes
    ----------
    title
        Of the page.
    share, what, interval
        The figure in words, what it is of, and how sure it is.
    notes
        Sentences.
    """

    title: str
    share: str
    what: str
    interval: str
    notes: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class PageFigure:
    """A drawing ready to stand in a page.

    Attributes
    ----------
    name, title, description
        What it is called, and what it shows.
    svg
        As it stands in the page.
    files
        Where else it is.
    """

    name: str
    title: str
    description: str
    svg: str
    files: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Section:
    """A section of a page.

    Attributes
    ----------
    id, title
        Anchor and heading.
    lead
        Paragraphs.
    facts
        Terms, and what is said of each.
    links
        Pages beside this one, by relative address, and what each is called.
    figures, tables
        From `figure_entry`; values of `federation.tables.table`.
    """

    id: str
    title: str
    lead: tuple[str, ...] = ()
    facts: tuple[tuple[str, str], ...] = ()
    links: tuple[tuple[str, str], ...] = ()
    figures: tuple[PageFigure, ...] = ()
    tables: tuple[Table, ...] = ()

    @property
    def empty(self) -> bool:
        """Whether there is nothing in it."""
        return not (self.lead or self.facts or self.links or self.figures or self.tables)


def figure_entry(name: str, files: Sequence[Path], *, title: str, description: str) -> PageFigure:
    """Make a drawn figure, its SVG first, ready to stand in a page."""
    svg = files[0]
    return PageFigure(
        name=name,
        title=title,
        description=description,
        svg=inline_svg(svg, key=name, title=title, description=description),
        files=", ".join(f"figures/{one.name}" for one in files),
    )


def render_page(study: str, headline: Headline, sections: Sequence[Section]) -> str:
    """Set a page; sections with nothing in them are left out.

    Parameters
    ----------
    study
        Name of the study.
    headline
        What stands above everything.
    sections
        In order.
    """
    import jinja2  # noqa: PLC0415  (a tenth of a second, and few commands set a page)

    loader = jinja2.PackageLoader("gridproof.federation.reports", "templates")
    environment = jinja2.Environment(
        loader=loader, autoescape=True, finalize=as_read,
        undefined=jinja2.StrictUndefined, trim_blocks=True, lstrip_blocks=True,
    )  # fmt: skip
    shown = [section for section in sections if not section.empty]
    return environment.get_template("report.html.j2").render(
        study=study, headline=headline, sections=shown, set_table=table_html
    )
