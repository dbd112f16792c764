"""Every column that a part can have is told, once, with a unit that fits its name."""

import pytest
from gridproof.federation.field.channel import _OF_DEVICES, _POWERS
from gridproof.federation.field.device_faults import FAULT_COLUMN
from gridproof.federation.field.realtime import PACE_COLUMNS
from gridproof.federation.records.row_meanings import ROW_COLUMNS, meaning_of
from gridproof.federation.records.rows import row_schema
from gridproof.federation.trial.rounds import ROUNDS_COLUMN
from gridproof.scenarios.verdict import MarginKind

TRACED = (
    ROUNDS_COLUMN, "age_s", "outside_s", "switches_stuck",
    *(f"{stem}_g0" for stem in _POWERS), *_OF_DEVICES, f"{FAULT_COLUMN}g0", *PACE_COLUMNS,
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
