"""The command ``sweep``: one study at several values of a key."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from gridproof.federation.campaigns.study_jobs import slow_words
from gridproof.federation.campaigns.sweep import (
    NOT_COVERED,
    Axis,
    Point,
    run_sweep,
)
from gridproof.federation.cli.options import (
    AsJson,
    Overrides,
    Quiet,
    StudyName,
    keeping,
    note,
    print_json,
    stdout,
)
from gridproof.federation.reports.sweep_table import sweep_table
from gridproof.federation.studies.study import load_study
from gridproof.federation.tables.terminal import TableView
from gridproof.federation.wording import per_cent, served_words
from gridproof.scenarios.errors import ConfigError

__all__ = ["sweep"]


def sweep(  # noqa: PLR0917  (typer reads a command's options from its parameters)
    study: StudyName,
    over: Annotated[
        str,
        typer.Option(
            "--over", metavar="SECTION.KEY=V1,V2,…", help="The key on the axis, and its values."
        ),
    ],
    by: Annotated[
        str | None,
        typer.Option("--by", metavar="SECTION.KEY=V1,V2,…", help="A second key: one line each."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option("--reference", metavar="SECTION.KEY=VALUE", help="One more run to compare."),
    ] = None,
    overrides: Overrides = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", metavar="DIR", help="Directory of the campaigns, table and figure."),
    ] = None,
    samples: Annotated[int | None, typer.Option("--samples", help="Realizations a point.")] = None,
    as_json: AsJson = False,
    quiet: Quiet = False,
) -> None:
    """Try a study at several values of a key: feasible share with intervals, as a figure."""
    axis, lines = Axis.parse(over), None if by is None else Axis.parse(by)
    if reference is not None and "=" not in reference:
        raise ConfigError(f'--reference "{reference}" is not of the form section.key=value')
    entries = list(overrides or ())
    entries += [f"campaign.samples={samples}"] if samples is not None else []
    root = out or Path("campaigns") / f"sweep-{Path(study).stem}-{axis.key.split('.')[-1]}"

    def tell(point: Point) -> None:
        if not quiet:
            share = "none judged" if point.share is None else f"{per_cent(point.share)} % feasible"
            note(f"{point.campaign}: {share}, {served_words(point.served)}")

    slow = slow_words(load_study(study, entries))
    if slow is not None and not quiet:
        note(slow)
    with keeping(root):
        found = run_sweep(study, entries, root, over=axis, by=lines, reference=reference, tell=tell)
    from gridproof.federation.reports.sweep_figure import figure_sweep  # noqa: PLC0415  (matplotlib is slow)

    files = figure_sweep(found, root / "sweep")
    if as_json:
        print_json(replace(found.report(), figures=tuple(map(str, files))))
        return
    stdout().print(TableView(sweep_table(found)))
    stdout().print("Not covered: " + ";\n  ".join(NOT_COVERED) + ".")
    if not quiet:
        note(f"figures: {', '.join(str(path) for path in files)}")
