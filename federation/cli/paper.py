"""Command ``paper``: a publication's studies, run whole, beside the figures it printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Annotated, Any

import typer
from gridproof.federation.campaigns.progress import watching_campaign
from gridproof.federation.cli.options import AsJson, Quiet, keeping, note, print_json, stdout
from gridproof.federation.papers.data import PaperData, load_paper
from gridproof.federation.papers.output import Picture, paper_document, write_paper
from gridproof.federation.papers.partitioning import PaperRun, PlanRow, run_paper
from gridproof.federation.papers.partitioning_tables import PaperTable, paper_tables
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
    data = load_paper(name)
    root = out or Path("campaigns") / f"paper-{name}"
    own = {"--growth": growth, "--limit": limit, "--draws": draws}
    found = _run(data, root, samples, own, quiet=quiet)
    _show(name, data, root, found, as_json=as_json)
    if not quiet:
        note(f"tables and figures in {root}")


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a publication's run gave: its studies, tables and figures, and rows where asked for."""

    studies: str | tuple[str, ...]
    tables: tuple[PaperTable, ...]
    pictures: dict[str, Picture]
    rows: list[dict[str, Any]] | None = None


def _run(
    data: PaperData | RestorationPaper | PolicyModePaper,
    root: Path,
    samples: int | None,
    own: Mapping[str, float | None],
    *,
    quiet: bool,
) -> _Found:
    """Run what a publication's file is of; ``own`` are options that not all of them take."""
    if isinstance(data, RestorationPaper):
        names = {"--growth": "growth_buses", "--limit": "time_limit_s", "--draws": "draws"}
        stated = {names[key]: value for key, value in own.items() if value is not None}
        effort = replace(RestorationEffort(), **stated)  # type: ignore[arg-type]
        tables, pictures = _restoration(data, root, samples, effort, quiet=quiet)
        studies = tuple(case.study for case in data.cases)
        return _Found(studies=studies, tables=tables, pictures=pictures)
    if isinstance(data, PolicyModePaper):
        _refuse({key: own[key] for key in ("--growth", "--limit")})
        return _policy_modes(data, root, samples, own["--draws"], quiet=quiet)
    _refuse(own)
    tables, pictures = _partitioning(data, root, samples, quiet=quiet)
    return _Found(studies=data.paper.study, tables=tables, pictures=pictures)


def _show(
    name: str,
    data: PaperData | RestorationPaper | PolicyModePaper,
    root: Path,
    found: _Found,
    *,
    as_json: bool,
) -> None:
    """Write tables and figures, and print them."""
    about, tables = data.paper, found.tables
    document = paper_document(name, about.title, found.studies, tables, found.pictures, about.notes)
    if found.rows is not None:
        document["rows"] = found.rows
    write_paper(root, document, tables, found.pictures)
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
    data: PolicyModePaper, root: Path, draws: int | None, ac_draws: float | None, *, quiet: bool
) -> _Found:
    """Run the study; ``--samples`` are draws of the linear judge, ``--draws`` those in AC."""
    from gridproof.federation.papers.policy_mode_figures import (  # noqa: PLC0415  matplotlib
        policy_mode_pictures,
    )

    effort = Effort()
    if draws is not None:
        effort = replace(effort, draws=draws)
    if ac_draws is not None:
        effort = replace(effort, ac_draws=int(ac_draws))
    with keeping(root):
        run = run_policy_modes(data, root, effort=effort, tell=(lambda _: None) if quiet else note)
    return _Found(
        studies=data.paper.study,
        tables=policy_mode_tables(run),
        pictures=policy_mode_pictures(run, root),
        rows=[row.figures for row in run.rows],
    )


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
        f"±{row.level_percent:g} %: {decimals(row.summary.served_kw, 0)} of "
        f"{decimals(row.summary.demand_kw, 0)} kW served{beside}. Live blocks green, "
        "dead ones red and dashed, closed switches and grid-forming DERs blue."
    )
