"""Every column that a part can have is told, once, with a unit that fits its name."""

import csv
import re
from collections import Counter
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from gridproof.federation.field.channel import _OF_DEVICES, _POWERS
from gridproof.federation.field.device_faults import FAULT_COLUMN
from gridproof.federation.field.realtime import PACE_COLUMNS
from gridproof.federation.records.row_meanings import ROW_COLUMNS, meaning_of
from gridproof.federation.records.rows import OUTCOME_NAMES, row_schema
from gridproof.federation.trial.guarded import FAST_COLUMNS
from gridproof.federation.trial.rounds import ROUNDS_COLUMN
from gridproof.scenarios.verdict import MarginKind

TRACED = (
    ROUNDS_COLUMN, "age_s", "outside_s", "switches_stuck",
    *(f"{stem}_g0" for stem in _POWERS), *_OF_DEVICES, f"{FAULT_COLUMN}g0",
    *PACE_COLUMNS, *FAST_COLUMNS,
)  # fmt: skip
UNITS = {"kw": "kW", "kvar": "kvar", "usd": "USD", "s": "s"}


def columns(scenario):
    limits = (f"{stem}_{kind.value}" for kind in MarginKind for stem in ("margin", "element"))
    return [*row_schema(scenario, TRACED, both=True, stepped=True).names, *limits]


def test_every_column_is_told(tiny_scenario):
    assert [name for name in columns(tiny_scenario()) if meaning_of(name) is None] == []
    assert meaning_of("nothing_of_ours") is None


def test_nothing_is_told_that_no_part_has(tiny_scenario):
    there = {meaning_of(name).name for name in columns(tiny_scenario())}
    ours = {one.name for one in ROW_COLUMNS if not one.name.startswith("phase_")}
    assert ours <= there
    assert len({one.name for one in ROW_COLUMNS}) == len(ROW_COLUMNS)


@pytest.mark.parametrize("column", ROW_COLUMNS, ids=lambda one: one.name)
def test_units_are_those_of_the_name(column):
    stem = column.name.partition("_<")[0].rsplit("_", maxsplit=1)[-1]
    assert column.unit == UNITS.get(stem, column.unit)
    assert column.meaning


def test_the_page_s_lines_make_csv_and_arrow_of_the_parts(tiny_scenario, tmp_path, monkeypatch):
    """The lines as printed, on two parts of unlike outcomes."""
    page = (Path(__file__).parents[3] / "docs" / "study.md").read_text(encoding="utf-8")
    (lines,) = re.findall(r"```python\n(from pyarrow import .*?)```", page, re.DOTALL)
    schema, names = row_schema(tiny_scenario()), OUTCOME_NAMES
    parts = tmp_path / "campaigns" / "demo" / "parts"
    parts.mkdir(parents=True)
    for number, outcomes in enumerate(([names[0], names[1]], [names[1], names[3]])):
        cells = {name: pa.nulls(2, schema.field(name).type) for name in schema.names}
        cells["index"] = pa.array([2 * number, 2 * number + 1])
        cells["outcome"] = pa.array(outcomes).cast(schema.field("outcome").type)
        pq.write_table(pa.table(cells, schema), parts / f"part-0000000{number}.parquet")
    monkeypatch.chdir(tmp_path)
    exec(compile(lines, "docs/study.md", "exec"), {})
    with (tmp_path / "rows.csv").open(encoding="utf-8") as file:
        told = list(csv.DictReader(file))
    assert [row["index"] for row in told] == ["0", "1", "2", "3"]
    assert Counter(row["outcome"] for row in told) == {names[0]: 1, names[1]: 2, names[3]: 1}
    assert list(told[0]) == schema.names
    with pa.memory_map(str(tmp_path / "rows.arrow")) as source:
        kept = pa.ipc.open_file(source).read_all()
    assert kept["outcome"].to_pylist() == [row["outcome"] for row in told]
