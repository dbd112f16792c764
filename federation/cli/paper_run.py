"""What ``paper`` does: a publication's studies run, its tables written and printed."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from gridproof.federation.campaigns.progress import watching_campaign
from gridproof.federation.cli.options import keeping, note, print_json, stdout
from gridproof.federation.papers.data import Paper, PaperData, load_paper
from gridproof.federation.papers.output import Picture, paper_document, write_paper
from gridproof.federation.papers.partitioning import PaperRun, PlanRow, run_paper
from gridproof.federation.papers.partitioning_tables import paper_tables
from gridproof.federation.papers.policy_mode_tables import policy_mode_tables
from gridproof.federation.papers.policy_modes import Effort, PolicyModePaper, run_policy_modes
from gridproof.federation.papers.resiliency_data import ResiliencyPaper
from gridproof.federation.papers.restoration import RestorationEffort, run_restoration_paper
from gridproof.federation.papers.restoration_data import RestorationPaper
from gridproof.federation.papers.restoration_tables import restoration_pictures, restoration_tables
from gridproof.federation.reports.terminal import print_views
from gridproof.federation.tables.table import Table
from gridproof.federation.tables.terminal import TableView
from gridproof.federation.wording import decimals
from gridproof.scenarios.errors import ConfigError
from rich.text import Text

__all__ = ["run_and_show"]

_NOT_HERE = "is for another publication; leave it out (gridproof paper --help says which)"


def run_and_show(
    name: str,
    root: Path,
    samples: int | None,
    own: Mapping[str, float | None],
    *,
    as_json: bool,
    quiet: bool,
) -> None:
    """Run a publication's studies, write tables and figures below ``root``, and print them.

    Parameters
    ----------
    name
        Which publication.
    root
        Where rows, tables and figures go; rows that are there are not run again.
    samples
        Realizations of each campaign; the study's own if None.
    own
        Options that not every publication takes, by name; None where left out.
    as_json, quiet
        As of every command.

    Raises
    ------
    ConfigError
        If there is no such publication, or it does not take an option.
    """
    data = load_paper(name)
    _show(name, data, root, _run(data, root, samples, own, quiet=quiet), as_json=as_json)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    """What a publication's run gave: its studies, tables and figures, and rows where asked for."""

    studies: str | tuple[str, ...]
    tables: tuple[Table, ...]
    pictures: dict[str, Picture]
    rows: list[dict[str, Any]] | None = None


def _run(
    data: Paper,
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
    if isinstance(data, ResiliencyPaper):
        _refuse({**own, "--limit": None, "--samples": samples})
        return _resiliency(data, root, own["--limit"], quiet=quiet)
    _refuse(own)
    tables, pictures = _partitioning(data, root, samples, quiet=quiet)
    return _Found(studies=data.paper.study, tables=tables, pictures=pictures)


def _show(
    name: str,
    data: Paper,
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
        print_views(stdout(), *map(TableView, tables), *map(Text, about.notes))


def _refuse(given: Mapping[str, float | None]) -> None:
    for option, value in given.items():
        if value is not None:
            raise ConfigError(f"{option} {value:g} {_NOT_HERE}")


def _partitioning(
    data: PaperData, root: Path, samples: int | None, *, quiet: bool
) -> tuple[tuple[Table, ...], dict[str, Picture]]:
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
        rows=[row.figures.to_json() for row in run.rows],
    )


def _resiliency(data: ResiliencyPaper, root: Path, limit_s: float | None, *, quiet: bool) -> _Found:
    """Plan every row; ``--limit`` is each search's."""
    from gridproof.federation.papers.resiliency import run_resiliency  # noqa: PLC0415  the planner
    from gridproof.federation.papers.resiliency_figures import (  # noqa: PLC0415  matplotlib
        resiliency_pictures,
    )
    from gridproof.federation.papers.resiliency_tables import (  # noqa: PLC0415
        resiliency_rows,
        resiliency_tables,
    )

    with keeping(root):
        run = run_resiliency(
            data, root, time_limit_s=limit_s, tell=(lambda _: None) if quiet else note
        )
    return _Found(
        studies=data.instance.feeder.path,
        tables=resiliency_tables(run),
        pictures=resiliency_pictures(run, root),
        rows=resiliency_rows(run),
    )


def _restoration(
    data: RestorationPaper,
    root: Path,
    samples: int | None,
    effort: RestorationEffort,
    *,
    quiet: bool,
) -> tuple[tuple[Table, ...], dict[str, Picture]]:
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
    from gridproof.federation.reports.one_line import figure_one_line  # noqa: PLC0415  (matplotlib is slow)

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
        if "costs" in row.rows.tables
    }


def _caption(row: PlanRow) -> str:
    printed = row.rows.printed.get("served_kw")
    beside = "" if printed is None else f"; printed: {decimals(printed[row.position], 0)} kW"
    return (
        f"±{row.level_percent:g} %: {decimals(row.summary.served_kw, 0)} of "
        f"{decimals(row.summary.demand_kw, 0)} kW served{beside}. Live blocks green, "
        "dead ones red and dashed, closed switches and grid-forming DERs blue."
    )
