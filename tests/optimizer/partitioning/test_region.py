"""Parts of the uncertainty set: their vertices, their halves, what is highest over them."""

from itertools import product

import numpy as np
import pytest
from gridproof.optimizer.separation.affine import PATTERNS
from gridproof.optimizer.separation.region import Region, vertex_count
from gridproof.scenarios.sets import Box
from hypothesis import given, settings
from hypothesis import strategies as st


@pytest.mark.parametrize("budget", [None, 0.0, 1.0, 2.5, 3.0, 4.0])
def test_vertices_are_as_many_as_counted_and_lie_in_the_set(budget):
    region = Region.whole(4, budget)
    found = np.array([*region.vertices()])
    assert len({tuple(z) for z in found.tolist()}) == len(found) == vertex_count(4, budget)
    assert (np.abs(found) <= 1.0).all()
    assert (np.abs(found).sum(axis=1) <= (4.0 if budget is None else budget) + 1e-12).all()


@given(
    st.integers(0, 10_000),
    st.integers(1, 5),
    st.floats(0.0, 6.0).map(lambda b: round(b, 2)),
)
@settings(deadline=None, max_examples=60)
def test_highest_is_that_of_the_vertices_and_parts_lose_none(seed, size, budget):
    rng = np.random.default_rng(seed)
    region = Region.whole(size, budget)
    vertices = np.array([*region.vertices()]).reshape(-1, size)
    gradient = rng.normal(size=(3, size))
    value, zeta = region.highest(gradient)
    np.testing.assert_allclose(value, (gradient @ vertices.T).max(axis=1), atol=1e-12)
    np.testing.assert_allclose((gradient * zeta).sum(axis=1), value, atol=1e-12)
    parts = [region]
    for direction in rng.permutation(size).tolist():
        parts = [half for part in parts for half in _halved(part, direction)]
        best = np.max([part.highest(gradient)[0] for part in parts], axis=0)
        np.testing.assert_allclose(best, value, atol=1e-9)
    assert all(part.free.sum() == 0.0 for part in parts)


def _halved(part, direction):
    """Halve until the direction is a point."""
    if part.free[direction] == 0.0:
        return [part]
    return [half for one in part.halves(direction) for half in _halved(one, direction)]


def test_parts_of_an_uneven_box_keep_the_corners_that_are_nominal():
    box = Box.between(("a", "b", "c"), np.array([0.1, 0.3, 0.0]), np.array([0.4, 0.0, 0.2]))
    region = Region.of(box, np.array([0, 1, 2]))
    vertices = {tuple(v) for v in region.vertices()}
    assert vertices == set(product((-0.25, 1.0), (-1.0, 0.0), (0.0, 1.0)))
    parts = [region]
    for direction in range(3):
        parts = [half for part in parts for half in part.halves(direction)]
    assert {tuple(part.low) for part in parts} == vertices
    value, where = region.highest(np.array([[1.0, 1.0, -1.0]]))
    assert (value.tolist(), where.tolist()) == ([1.0], [[1.0, 0.0, 0.0]])


def test_every_pattern_is_its_own():
    assert {tuple(p) for p in PATTERNS.tolist()} == set(product((1.0, -1.0), repeat=3))
