"""The command ``schema``: what a study file may hold, and what a campaign's parts do."""

from __future__ import annotations

import json
from typing import Annotated

import typer
from gridproof.federation.cli.options import AsJson, stdout
from gridproof.federation.reports.reference import (
    columns_table,
    keys_table,
    reference_page,
    sections_of,
)
from gridproof.federation.studies.study_schema import study_schema
from gridproof.federation.tables.terminal import TableView

__all__ = ["schema"]


def schema(
    key: Annotated[
        str | None,
        typer.Argument(metavar="[SECTION[.KEY]]", help="What to show: campaign, campaign.stop, …"),
    ] = None,
    columns: Annotated[
        bool, typer.Option("--columns", help="The columns of a campaign's Parquet parts instead.")
    ] = False,
    page: Annotated[
        bool, typer.Option("--markdown", help="Everything, as the page of the documentation.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Say what a study file may hold: keys, units, bounds, defaults; as JSON: a JSON schema."""
    if (key is not None) + columns + page + as_json > 1:
        raise typer.BadParameter("choose one of SECTION, --columns, --markdown and --json")
    if as_json:
        typer.echo(json.dumps(study_schema(), indent=1, ensure_ascii=False))
        return
    if page:
        typer.echo(reference_page(), nl=False)
        return
    console = stdout()
    if columns:
        console.print(TableView(columns_table()))
        return
    for section in sections_of(key):
        console.print(TableView(keys_table(section)))
        console.print()
