"""Registers are as the published models have them, and what is not a number is none."""

import pytest
from gridproof.federation.field.sunspec import (
    COMMON,
    CONTROLS,
    MEASUREMENT,
    NOT_IMPLEMENTED,
    TABLES,
    WRITABLE,
    decode,
    encode,
    scaled,
    unscaled,
)
from hypothesis import given, settings
from hypothesis import strategies as st

WORDS = {"i16": 1, "u16": 1, "e16": 1, "sf": 1, "i32": 2, "u32": 2, "b32": 2, "u64": 4}


def test_lengths_are_the_published_ones():
    assert {model: table.length for model, table in TABLES.items()} == {
        COMMON: 66, MEASUREMENT: 153, CONTROLS: 65,
        101: 50, 102: 50, 103: 50, 120: 26, 121: 30, 123: 24,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("model", "point", "offset"),  # counted from the model's id, as the publication does
    [
        (CONTROLS, "WMaxLimPctEna", 14), (CONTROLS, "WSetEna", 22), (CONTROLS, "WSet", 24),
        (CONTROLS, "VarSetEna", 35), (CONTROLS, "VarSet", 38), (CONTROLS, "AntiIslEna", 52),
        (CONTROLS, "VarSetPct_SF", 58), (MEASUREMENT, "W", 10), (MEASUREMENT, "Hz", 17),
        (MEASUREMENT, "WL1", 41), (MEASUREMENT, "W_SF", 116), (MEASUREMENT, "MnAlrmInfo", 123),
        (COMMON, "SN", 50),
    ],
)  # fmt: skip
def test_points_stand_where_the_publication_has_them(model, point, offset):
    assert TABLES[model].points[point].offset + 2 == offset


def test_what_is_written_is_a_set_point_and_nothing_else():
    for name in WRITABLE:
        assert name in TABLES[CONTROLS].points
        assert name.startswith(("WSet", "VarSet"))
        assert not name.endswith(("_SF", "Rem"))


@given(st.sampled_from(sorted(WORDS)), st.data())
@settings(deadline=None, max_examples=200)
def test_numbers_survive_the_wire(kind, data):
    bits = 16 * WORDS[kind]
    signed = kind in ("i16", "i32", "sf")
    low = -(1 << (bits - 1)) if signed else 0
    high = (1 << (bits - 1)) - 1 if signed else (1 << bits) - 1
    value = data.draw(st.integers(low, high).filter(lambda v: v != NOT_IMPLEMENTED[kind]))
    registers = encode(kind, value, WORDS[kind])
    assert len(registers) == WORDS[kind]
    assert all(0 <= word <= 0xFFFF for word in registers)
    assert decode(kind, registers) == value


@pytest.mark.parametrize("kind", sorted(WORDS))
def test_not_implemented_is_none_both_ways(kind):
    assert decode(kind, encode(kind, None, WORDS[kind])) is None
    with pytest.raises(ValueError, match="without"):
        encode(kind, NOT_IMPLEMENTED[kind], WORDS[kind])


def test_high_word_first():
    assert encode("i32", 0x12345, 2) == (1, 0x2345)
    assert decode("i32", (0xFFFF, 0xFFFE)) == -2


@pytest.mark.parametrize(("kind", "value"), [("i16", 40000), ("u16", -1), ("i32", 2**31)])
def test_what_does_not_fit_is_refused(kind, value):
    with pytest.raises(ValueError, match=str(value)):
        encode(kind, value, WORDS[kind])


def test_scale_factors():
    assert scaled(12, 3) == 12000.0
    assert scaled(-125, -1) == -12.5
    assert scaled(None, 0) is None
    assert scaled(1, None) is None
    assert unscaled(12345.0, 1) == 1234
    assert unscaled(-1.25, -2) == -125
    with pytest.raises(ValueError, match="-10 to 10"):
        scaled(1, 11)
