"""The command ``studies``: what ships with the program."""

from __future__ import annotations

from gridproof.federation.cli.options import AsJson, print_json, stdout
from gridproof.federation.studies.shipped import list_studies
from gridproof.federation.tables.table import Table, prose, text
from gridproof.federation.tables.terminal import TableView

__all__ = ["studies"]


def studies(as_json: AsJson = False) -> None:
    """List the shipped studies."""
    found = list_studies()
    if as_json:
        rows = [{"name": s.name, "title": s.title, "path": str(s.path)} for s in found]
        print_json({"studies": rows})
        return
    table = Table(
        name="studies",
        title="",
        columns=(text("study"), prose("what it is")),
        rows=tuple((study.name, study.title) for study in found),
    )
    stdout().print(TableView(table))
