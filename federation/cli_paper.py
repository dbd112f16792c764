"""Command ``paper``: a publication's studies, run whole, beside the figures it printed."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

import typer
from rich.text import Text

from federation.cli_options import AsJson, Quiet, keeping, note, print_json, stdout
from federation.cli_progress import watching_campaign
from federation.environment import versions
from federation.files import json_text, write_whole
from federation.paper_data import PaperData, load_paper
from federation.paper_run import PaperRun, PlanRow, run_paper
from federation.paper_tables import PaperTable, paper_tables
from federation.report import print_views

__all__ = ["paper"]


def paper(
    name: Annotated[str, typer.Argument(metavar="PAPER", help="Which: partitioning.")],
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            metavar="DIR",
            help="Where rows, tables and figures go; rows that are there are not run again. "
            "campaigns/paper-PAPER if left out.",
        ),
    ] = None,
    samples: Annotated[
        int | None,
        typer.Option("--samples", min=1, help="Realizations of each campaign; 10000 if left out."),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Run a publication's studies and set our figures beside the printed ones."""
    data = load_paper(name)
    root = out or Path("campaigns") / f"paper-{name}"
    with keeping(root):
        run = run_paper(
            data,
            root,
            samples=samples,
            tell=(lambda _: None) if quiet else note,
            watch=lambda: watching_campaign(quiet=quiet),
        )
    tables = paper_tables(run)
    figures = _draw(run, root)
    document = _document(name, data, tables, figures)
    _write(root, document, run, tables)
    if as_json:
        print_json(document)
    else:
        print_views(stdout(), *(table.view() for table in tables), *map(Text, data.paper.notes))
    if not quiet:
        note(f"tables and figures in {root}")


def _draw(run: PaperRun, root: Path) -> dict[str, list[str]]:
    """Draw the one-line diagrams the publication has too; files below ``root`` by plan."""
    from federation.figures import figure_one_line  # noqa: PLC0415  (matplotlib is slow)

    return {
        row.name: [
            path.relative_to(root).as_posix()
            for path in figure_one_line(row.plan, row.study.scenario, root / "figures" / row.name)
        ]
        for row in run.plans
        if row.rows.printed
    }


def _document(
    name: str, data: PaperData, tables: tuple[PaperTable, ...], figures: dict[str, list[str]]
) -> dict[str, Any]:
    return {
        "paper": name,
        "title": data.paper.title,
        "study": data.paper.study,
        "versions": versions(),
        "tables": {table.key: list(table.rows) for table in tables},
        "figures": figures,
        "notes": list(data.paper.notes),
    }


def _write(
    root: Path, document: dict[str, Any], run: PaperRun, tables: tuple[PaperTable, ...]
) -> None:
    data = run.data
    for table in tables:
        write_whole(root / f"{table.key}.csv", table.csv())
    write_whole(root / "tables.json", json_text(document))
    notes = "\n".join(f"- {text}" for text in data.paper.notes)
    rows = {row.name: row for row in run.plans}
    pictures = "\n".join(
        f"![{plan}]({next(file for file in files if file.endswith('.png'))})\n\n"
        f"{_caption(rows[plan])}\n"
        for plan, files in document["figures"].items()
    )
    parts = [f"# {data.paper.title}\n", *(table.markdown() for table in tables), notes, pictures]
    write_whole(root / "tables.md", "\n".join(parts) + "\n")


def _caption(row: PlanRow) -> str:
    printed = row.rows.printed.get("served_kw")
    beside = "" if printed is None else f"; printed: {printed[row.position]:.0f} kW"
    return (
        f"±{row.level_percent:g} %: {row.summary['served_kw']:.0f} of "
        f"{row.summary['demand_kw']:.0f} kW served{beside}. Live blocks green, dead ones red and "
        "dashed, closed switches and grid-forming DERs blue."
    )
