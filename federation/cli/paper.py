"""Command ``paper``: a publication's studies, run whole, beside the figures it printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Any

import typer
from gridproof.federation.campaigns.progress import watching_campaign
from gridproof.federation.cli.options import AsJson, Quiet, keeping, note, print_json, stdout
from gridproof.federation.papers.data import PaperData, load_paper
from gridproof.federation.papers.output import Picture, paper_document, write_paper
from gridproof.federation.papers.partitioning import PaperRun, PlanRow, run_paper
from gridproof.federation.papers.partitioning_tables import PaperTable, paper_tables
from gridproof.federation.papers.policy_mode_figures import policy_mode_pictures
from gridproof.federation.papers.policy_mode_tables import policy_mode_tables
from gridproof.federation.papers.policy_modes import Effort, PolicyModePaper, run_policy_modes
from gridproof.federation.papers.restoration import RestorationEffort, run_restoration_paper
from gridproof.federation.papers.restoration_data import RestorationPaper
from gridproof.federation.papers.restoration_tables import restoration_pictures, restoration_tables
from gridproof.federation.reports.terminal import print_views
from gridproof.federation.wording import decimals
from gridproof.scenarios.errors import ConfigError
from rich.text import Text

__all__ = ["paper"]

_ONLY_RESTORATION = "is for the restoration publication alone; leave it out"


def paper(  # noqa: PLR0917  (typer reads a command's options from its parameters)
    name: Annotated[
        str, typer.Argument(metavar="PAPER", help="Which: partitioning, restoration, policy-modes.")
    ],
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
        typer.Option(
            "--samples", min=1, help="Realizations of each campaign; the study's own if left out."
        ),
    ] = None,
    growth: Annotated[
        int | None,
        typer.Option(
            "--growth", min=0, metavar="BUSES",
            help="restoration: largest network of the growth table; 1000 if left out.",
        ),
    ] = None,
    limit: Annotated[
        float | None,
        typer.Option(
            "--limit", min=1.0, metavar="SECONDS",
            help="restoration: time limit of each search of the tables; 120 if left out.",
        ),
    ] = None,
    draws: Annotated[
        int | None,
        typer.Option(
            "--draws",
            min=0,
            help="restoration: storms of each damage model, 40 if left out; policy-modes: days of "
            "each AC campaign, 200 if left out.",
        ),
    ] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:  # fmt: skip
    """Run a publication's studies and set our figures beside the printed ones."""
    data, rows = load_paper(name), None
    root = out or Path("campaigns") / f"paper-{name}"
    if isinstance(data, RestorationPaper):
        own = {"growth_buses": growth, "time_limit_s": limit, "draws": draws}
        stated = {key: value for key, value in own.items() if value is not None}
        effort = replace(RestorationEffort(), **stated)  # type: ignore[arg-type]
        tables, pictures = _restoration(data, root, samples, effort, quiet=quiet)
        studies: str | tuple[str, ...] = tuple(case.study for case in data.cases)
    elif isinstance(data, PolicyModePaper):
        _refuse({"--growth": growth, "--limit": limit})
        tables, pictures, rows = _policy_modes(data, root, samples, draws, quiet=quiet)
        studies = data.paper.study
    else:
        _refuse({"--growth": growth, "--limit": limit, "--draws": draws})
        tables, pictures = _partitioning(data, root, samples, quiet=quiet)
        studies = data.paper.study
    _show(name, data, studies, root, (tables, pictures), rows=rows, as_json=as_json)
    if not quiet:
        note(f"tables and figures in {root}")


def _show(
    name: str,
    data: PaperData | RestorationPaper | PolicyModePaper,
    studies: str | tuple[str, ...],
    root: Path,
    found: tuple[tuple[PaperTable, ...], dict[str, Picture]],
    *,
    rows: list[dict[str, Any]] | None,
    as_json: bool,
) -> None:
    """Write tables and figures, and print them."""
    (tables, pictures), about = found, data.paper
    document = paper_document(name, about.title, studies, tables, pictures, about.notes)
    if rows is not None:
        document["rows"] = rows
    write_paper(root, document, tables, pictures)
    if as_json:
        print_json(document)
    else:
        print_views(stdout(), *(table.view() for table in tables), *map(Text, about.notes))


def _refuse(given: Mapping[str, float | None]) -> None:
    for option, value in given.items():
        if value is not None:
            raise ConfigError(f"{option} {value:g} {_ONLY_RESTORATION}")


def _partitioning(
    data: PaperData, root: Path, samples: int | None, *, quiet: bool
) -> tuple[tuple[PaperTable, ...], dict[str, Picture]]:
    with keeping(root):
        run = run_paper(
            data,
            root,
            samples=samples,
            tell=(lambda _: None) if quiet else note,
            watch=lambda: watching_campaign(quiet=quiet),
        )
    return paper_tables(run), _one_lines(run, root)


def _policy_modes(
    data: PolicyModePaper, root: Path, draws: int | None, ac_draws: int | None, *, quiet: bool
) -> tuple[tuple[PaperTable, ...], dict[str, Picture], list[dict[str, Any]]]:
    """Run the study; ``--samples`` are draws of the linear judge, ``--draws`` those in AC."""
    own = {"draws": draws, "ac_draws": ac_draws}
    effort = Effort(**{key: value for key, value in own.items() if value is not None})
    with keeping(root):
        run = run_policy_modes(data, root, effort=effort, tell=(lambda _: None) if quiet else note)
    pictures = policy_mode_pictures(run, root)
    return policy_mode_tables(run), pictures, [row.figures for row in run.rows]


def _restoration(
    data: RestorationPaper,
    root: Path,
    samples: int | None,
    effort: RestorationEffort,
    *,
    quiet: bool,
) -> tuple[tuple[PaperTable, ...], dict[str, Picture]]:
    with keeping(root):
        run = run_restoration_paper(
            data,
            root,
            samples=samples,
            effort=effort,
            tell=(lambda _: None) if quiet else note,
            watch=lambda: watching_campaign(quiet=quiet),
        )
    return restoration_tables(run), restoration_pictures(run, root)


def _one_lines(run: PaperRun, root: Path) -> dict[str, Picture]:
    """Draw the one-line diagrams the publication has too; files below ``root`` by plan."""
    from gridproof.federation.reports.figures import figure_one_line  # noqa: PLC0415  (matplotlib is slow)

    return {
        row.name: Picture(
            files=tuple(
                path.relative_to(root).as_posix()
                for path in figure_one_line(
                    row.plan, row.study.scenario, root / "figures" / row.name
                )
            ),
            caption=_caption(row),
        )
        for row in run.plans
        if row.rows.printed
    }


def _caption(row: PlanRow) -> str:
    printed = row.rows.printed.get("served_kw")
    beside = "" if printed is None else f"; printed: {decimals(printed[row.position], 0)} kW"
    return (
        f"±{row.level_percent:g} %: {decimals(row.summary['served_kw'], 0)} of "
        f"{decimals(row.summary['demand_kw'], 0)} kW served{beside}. Live blocks green, "
        "dead ones red and dashed, closed switches and grid-forming DERs blue."
    )
