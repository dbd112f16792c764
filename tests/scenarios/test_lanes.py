"""Lanes reckon as numpy does, to the bit, each by itself."""

from __future__ import annotations

import ast
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

pytest.importorskip("numba")

from gridproof.scenarios.compiling import compiled
from gridproof.scenarios.lanes import LANES, above, alike, below, choose, load, root, store

ANY = arrays(float, (2, LANES), elements=st.floats(-1e9, 1e9) | st.just(np.nan) | st.just(-0.0))


@compiled
def reckoned(x, number, out):
    a, b = load(x, (0, 0)), load(x, (1, 0))
    store(out, (0, 0), a + b)
    store(out, (1, 0), a - number)
    store(out, (2, 0), number * b)
    store(out, (3, 0), a / b)
    store(out, (4, 0), root(a * a + b * b))
    store(out, (5, 0), choose(above(a, b), a, b))
    store(out, (6, 0), choose(below(a, b), 1.0, alike(number)))
    a += b
    a -= number
    a *= b
    store(out, (7, 0), a)


@settings(max_examples=60, deadline=None)
@given(x=ANY, number=st.floats(-1e3, 1e3))
def test_every_operation_is_numpys(x, number):
    out = np.empty((8, LANES))
    reckoned(x, number, out)
    a, b = x
    fresh = np.isnan(a) & ~np.isnan(b)
    with np.errstate(all="ignore"):
        told = [
            a + b,
            a - number,
            number * b,
            a / b,
            np.sqrt(a * a + b * b),
            np.where((a > b) | fresh, a, b),
            np.where((a < b) | fresh, 1.0, number),
            ((a + b) - number) * b,
        ]
    np.testing.assert_array_equal(out, np.array(told))


@pytest.mark.parametrize("wrong", [np.zeros((3, LANES), np.float32), np.zeros((LANES, 3)).T])
def test_only_rows_of_doubles_are_loaded(wrong):
    from numba.core.errors import TypingError

    with pytest.raises(TypingError):
        reckoned(wrong, 1.0, np.empty((8, LANES)))


def test_what_is_kept_on_disk_is_called_by_python_alone():
    """A kept loop names the kinds of its arguments; were lanes among them, they could not move."""
    root_of_all, seen = Path(__file__).parents[2], 0
    for part in ("scenarios", "optimizer", "simulator", "federation"):
        for path in (root_of_all / part).rglob("*.py"):
            text = path.read_text(encoding="utf-8")
            if "scenarios.lanes import" not in text or "import compiled" not in text:
                continue
            tree, seen = ast.parse(text), seen + 1
            public = next(
                ast.literal_eval(node.value)
                for node in tree.body
                if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == "__all__"
            )
            kept = [
                node.name
                for node in tree.body
                if isinstance(node, ast.FunctionDef)
                and "compiled" in map(ast.unparse, node.decorator_list)
            ]
            assert set(kept) <= set(public), path
    assert seen
