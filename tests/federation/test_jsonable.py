"""Values print themselves as JSON and are read back; what no number can say is null."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

import numpy as np
import pytest
from gridproof.federation.jsonable import (
    IF_KNOWN,
    INLINED,
    UNWRITTEN,
    Jsonable,
    json_value,
    read_as,
)
from gridproof.federation.records.probe_report import RareLevel, RareReport
from hypothesis import given, settings
from hypothesis import strategies as st


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True, kw_only=True)
class Leaf(Jsonable):
    size: float | None
    colour: Colour = Colour.RED
    note: str | None = field(default=None, metadata=IF_KNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class Tree(Jsonable):
    name: str = field(metadata=UNWRITTEN)
    first: Leaf = field(metadata=INLINED)
    others: tuple[Leaf, ...]
    by_name: Mapping[str, Leaf]


numbers = st.floats(allow_nan=False, allow_infinity=False)
words = st.text(max_size=5)
leaves = st.builds(Leaf, size=st.none() | numbers, note=st.none() | words)


@settings(deadline=None)  # the first reading of a type takes a moment
@given(leaves)
def test_what_is_read_back_is_what_was_printed(leaf):
    assert read_as(Leaf, json.loads(json.dumps(leaf.to_json()))) == leaf


@given(leaves, st.lists(leaves, max_size=3), st.dictionaries(words, leaves, max_size=3))
def test_keys_are_the_fields_in_order(first, others, by_name):
    tree = Tree(name="t", first=first, others=tuple(others), by_name=by_name)
    told = tree.to_json()
    assert list(told) == [*first.to_json(), "others", "by_name"]
    assert told["others"] == [one.to_json() for one in others]
    assert told["by_name"] == {name: one.to_json() for name, one in by_name.items()}
    assert ("note" in told) == (first.note is not None)
    assert told["colour"] == "red"
    assert type(told["colour"]) is str


@given(st.recursive(st.floats() | st.integers() | words, lambda v: st.lists(v, max_size=3)))
def test_strict_json_can_hold_it_whatever_the_number(value):
    told = json_value(value)
    assert json.loads(json.dumps(told, allow_nan=False)) == told


@pytest.mark.parametrize("number", [math.nan, math.inf, -math.inf, np.float64("nan")])
def test_no_number_is_null(number):
    assert Leaf(size=number).to_json()["size"] is None


def test_arrays_are_lists():
    array = np.array([[1.0, np.nan], [2.5, np.inf]])
    assert json_value({"a": array, "n": np.int64(3)}) == {"a": [[1.0, None], [2.5, None]], "n": 3}


def test_its_mappings_are_read_only():
    held = {"one": Leaf(size=1.0)}
    tree = Tree(name="t", first=Leaf(size=None), others=(), by_name=held)
    with pytest.raises(TypeError):
        tree.by_name["two"] = Leaf(size=2.0)  # type: ignore[index]


def test_every_fault_is_named():
    with pytest.raises(ValueError, match=r"size: .*; colour: "):
        read_as(Leaf, {"size": "large", "colour": "blue"})


def test_an_answer_of_an_earlier_version_is_read_into_the_same_type():
    """One that did not say what it leaves out has no such key when it is printed again."""
    level = {"threshold": 0.25, "share": 0.1, "cov": None, "accepted": 0.5}
    kept = {
        "judge": "ac", "recourse": "linear", "sampler": "uniform", "seed": 1,
        "samples_per_level": 20, "reached": False, "probability": None, "below": 1e-4, "cov": None,
        "cov_upper": None, "levels": [level], "evaluations": 40, "erred": 0,
    }  # fmt: skip
    answer = read_as(RareReport, kept)
    assert answer.levels == (RareLevel(threshold=0.25, share=0.1, cov=None, accepted=0.5),)
    assert answer.not_covered is None
    assert answer.to_json() == kept
