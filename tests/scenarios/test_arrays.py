"""Read-only arrays and content digests."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from enum import Enum

import numpy as np
import pytest
from gridproof.scenarios.arrays import content_digest, frozen, index_of
from gridproof.scenarios.limits import Limits
from hypothesis import given, settings
from hypothesis import strategies as st


def test_frozen_copies_what_could_still_be_written():
    mine = np.arange(4.0)
    kept, part = frozen(mine, float), frozen(mine[1:], float)
    mine[:] = -1.0
    assert kept.tolist() == [0.0, 1.0, 2.0, 3.0]
    assert part.tolist() == [1.0, 2.0, 3.0]
    assert not kept.flags.writeable
    assert not part.flags.writeable
    assert frozen(kept, float) is kept


def test_frozen_checks_the_shape():
    assert frozen([[1, 2, 3]], float, (-1, 3)).shape == (1, 3)
    with pytest.raises(ValueError, match=r"shape \(1, 3\) found where \(-1, 2\) is needed"):
        frozen([[1, 2, 3]], float, (-1, 2))
    with pytest.raises(ValueError, match="is needed"):
        frozen([1, 2, 3], float, (-1, 3))


def test_index_of():
    assert index_of(["b", "a"]) == {"b": 0, "a": 1}


@dataclass(frozen=True)
class Thing:
    name: str = "x"
    values: tuple = ()
    where: str = field(default="", compare=False)


class Colour(Enum):
    RED = 1


def test_digest_is_the_same_in_every_process():
    """The recorded hash: a change here makes every stored digest foreign."""
    value = Thing(name="é", values=(1, 2.5, None, True, Colour.RED, {"b": 1, "a": [0.1]}))
    assert content_digest(value) == content_digest(replace(value, where="elsewhere"))
    recorded = "732ac217e52155adba73680fed3050b1d7c9476dccae447c29ad012c286f440a"
    assert content_digest(value) == recorded


def test_digest_counts_equal_content_as_equal():
    assert content_digest(0.0) == content_digest(-0.0)
    assert content_digest(np.array([0.0])) == content_digest(np.array([-0.0]))
    assert content_digest({"a": 1, "b": 2}) == content_digest({"b": 2, "a": 1})
    assert content_digest(np.float64(0.5)) == content_digest(0.5)
    assert content_digest(np.int64(3)) == content_digest(3)
    assert content_digest(np.bool_(True)) == content_digest(True)
    turned = np.arange(6.0).reshape(2, 3)
    assert content_digest(turned.T) == content_digest(np.ascontiguousarray(turned.T))


@pytest.mark.parametrize(
    ("one", "other"),
    [
        (("x,str:y", "z"), ("x", "y,str:z")),
        (("ab", "c"), ("a", "bc")),
        ((("a",), "b"), ("a", ("b",))),
        ((), ("",)),
        (1, 1.0),
        (1, True),
        (None, "None"),
        ("1", 1),
        (np.zeros(4), np.zeros((2, 2))),
        (np.zeros(2), np.zeros(2, np.int64)),
        (Thing(name="a"), Thing(name="b")),
        (Thing(name="a|values="), Thing(name="a")),
        ({"a": 1}, {"a": 2}),
        (Limits(), Limits(v_min_pu=0.94)),
    ],
)
def test_digest_tells_different_content_apart(one, other):
    assert content_digest(one) != content_digest(other)


words = st.text("a,:|=()<>str", max_size=6)


@settings(deadline=None, max_examples=200)
@given(one=st.lists(words, max_size=3), other=st.lists(words, max_size=3))
def test_digest_of_lists_of_strings_is_injective(one, other):
    assert (content_digest(one) == content_digest(other)) == (one == other)


def test_digest_refuses_what_it_cannot_read():
    with pytest.raises(TypeError, match="cannot digest a set"):
        content_digest({1, 2})


def test_scenario_digest_sees_content_and_not_the_path(tiny_scenario):
    scenario = tiny_scenario()
    assert scenario.digest() == tiny_scenario().digest()
    feeder = scenario.feeder
    moved = replace(scenario, feeder=replace(feeder, path="/elsewhere/tiny.dss"))
    assert moved.digest() == scenario.digest()
    others = [
        tiny_scenario(spread=0.2),
        tiny_scenario(load_kw=10.001),
        tiny_scenario(locked=[0]),
        tiny_scenario(steps=2),
        tiny_scenario(limits=Limits(grid_forming_per_island=2)),
        replace(scenario, shed_usd=scenario.shed_usd + 1.0),
        replace(scenario, feeder=replace(feeder, lines=replace(feeder.lines, rating_a=[1] * 5))),
    ]
    digests = {s.digest() for s in [scenario, *others]}
    assert len(digests) == len(others) + 1
