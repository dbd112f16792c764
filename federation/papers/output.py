"""What a publication's run leaves behind: tables as CSV, JSON and Markdown, figures beside them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridproof.federation.files import json_text, write_whole
from gridproof.federation.records.environment import versions
from gridproof.federation.tables.files import csv_text, markdown_text
from gridproof.federation.tables.table import Table

__all__ = ["Picture", "paper_document", "write_paper"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Picture:
    """A figure: its files below the run's directory, and what it shows."""

    files: tuple[str, ...]
    caption: str


def paper_document(  # noqa: PLR0917  (the parts of one object)
    name: str,
    title: str,
    study: str | Sequence[str],
    tables: Sequence[Table],
    pictures: Mapping[str, Picture],
    notes: Sequence[str],
) -> dict[str, Any]:
    """Put everything into one JSON object."""
    return {
        "paper": name,
        "title": title,
        "study": study if isinstance(study, str) else list(study),
        "versions": versions(),
        "tables": {table.name: table.records() for table in tables},
        "figures": {key: list(picture.files) for key, picture in pictures.items()},
        "notes": list(notes),
    }


def write_paper(
    root: Path,
    document: Mapping[str, Any],
    tables: Sequence[Table],
    pictures: Mapping[str, Picture],
) -> None:
    """Write ``<table>.csv``, ``tables.json`` and ``tables.md``."""
    for table in tables:
        write_whole(root / f"{table.name}.csv", csv_text(table))
    write_whole(root / "tables.json", json_text(document))
    notes = "\n".join(f"- {text}" for text in document["notes"])
    shown = "\n".join(
        f"![{key}]({next(file for file in picture.files if file.endswith('.png'))})\n\n"
        f"{picture.caption}\n"
        for key, picture in pictures.items()
    )
    parts = [f"# {document['title']}\n", *(markdown_text(table) for table in tables), notes, shown]
    write_whole(root / "tables.md", "\n".join(parts) + "\n")
