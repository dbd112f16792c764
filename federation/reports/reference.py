"""The reference of study files and campaign parts, as tables and as the page that is generated."""

from __future__ import annotations

from collections.abc import Sequence

from gridproof.federation.config.study_file import did_you_mean
from gridproof.federation.records.row_meanings import ROW_COLUMNS
from gridproof.federation.studies.study_schema import StudySectionKeys, study_keys
from gridproof.federation.tables.files import markdown_text
from gridproof.federation.tables.table import Table, prose, text
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.verdict import Outcome

__all__ = ["columns_table", "keys_table", "reference_page", "sections_of"]

_HEAD = """# Study file reference

A study is one TOML file; a key that is not here is refused by name, with the nearest that is.
Everything on this page is made from the models that read the file, by `gridproof schema
--markdown`. `gridproof schema campaign.stop` shows a part of it, and `gridproof schema --json`
prints a JSON schema (draft 2020-12), against which editors complete and check:

```toml
#:schema ./gridproof.schema.json
```

as the first line of a study, with `gridproof schema --json > gridproof.schema.json` beside it,
serves those that go by Taplo. `--set section.key=value` overrides any key for one run. In keys,
`<id>` stands for a name of your own, `[]` for each entry.
"""

_COLUMNS = """
A part is Parquet with a row for each realization and step, so one line reads a campaign:

```python
import pandas as pd

rows = pd.read_parquet("campaigns/demo/parts")  # or polars.read_parquet, pyarrow.parquet.read_table
```

and one more, with what gridproof itself needs, makes it CSV or an Arrow file:

```python
from pyarrow import csv, feather, parquet

rows = parquet.read_table("campaigns/demo/parts")
csv.write_csv(rows, "rows.csv")
feather.write_feather(rows, "rows.arrow")
```

`outcome` is one of {outcomes}. Margins and what is measured are null where nothing was solved.
"""


def keys_table(section: StudySectionKeys) -> Table:
    """List the keys of one section."""
    return Table(
        name=f"keys-{section.name.split(',')[0]}",
        title=f"[{section.name}]",
        columns=(text("key"), prose("may be"), text("default"), prose("meaning")),
        rows=tuple((one.key, one.kind, one.default, one.meaning) for one in section.keys),
    )


def columns_table() -> Table:
    """List the columns of a campaign's parts."""
    return Table(
        name="columns",
        title="Columns of a campaign's parts",
        columns=(text("column"), text("unit"), prose("meaning"), prose("where")),
        rows=tuple((one.name, one.unit, one.meaning, one.where) for one in ROW_COLUMNS),
    )


def sections_of(asked: str | None) -> tuple[StudySectionKeys, ...]:
    """Return the sections, or the keys below one place: ``campaign``, ``campaign.stop``.

    Raises
    ------
    ConfigError
        If there is no such section or key.
    """
    sections = study_keys()
    if asked is None:
        return sections
    name, _, key = asked.strip("[]").partition(".")
    found = [one for one in sections if one.name.split(",")[0] == name]
    if not found:
        names = dict.fromkeys(one.name.split(",")[0] for one in sections)
        raise ConfigError(f'"{asked}" is no section; {did_you_mean(name, names, "sections")}')
    if not key:
        return tuple(found)
    below = _below(found, key)
    if not below:
        keys = [one.key for section in found for one in section.keys]
        raise ConfigError(f'"{asked}" is no key; {did_you_mean(key, keys, "keys")}')
    return below


def _below(sections: Sequence[StudySectionKeys], key: str) -> tuple[StudySectionKeys, ...]:
    """Keep the key itself and what it holds."""
    return tuple(
        StudySectionKeys(name=section.name, meaning=section.meaning, keys=kept)
        for section in sections
        if (kept := tuple(one for one in section.keys if _is_at(one.key, key)))
    )


def _is_at(key: str, place: str) -> bool:
    return key == place or key.startswith((f"{place}.", f"{place}[]"))


def reference_page() -> str:
    """Return the whole reference as Markdown: what ``docs/study.md`` holds."""
    pieces = [_HEAD]
    for section in study_keys():
        table = keys_table(section)
        said = f"\n{_sentence(section.meaning)}\n\n"
        heading, _, rest = markdown_text(table).partition("\n\n")
        pieces.append(f"\n{heading}\n{said}{rest}")
    outcomes = ", ".join(f"`{one.name.lower()}`" for one in Outcome)
    heading, _, rest = markdown_text(columns_table()).partition("\n\n")
    pieces.append(f"\n{heading}\n{_COLUMNS.format(outcomes=outcomes)}\n{rest}")
    return "".join(pieces)


def _sentence(words: str) -> str:
    return words[:1].upper() + words[1:] + ("" if words.endswith(".") else ".")
