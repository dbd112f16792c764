"""Compiled parts of walks between critical regions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

pytest.importorskip("numba")

from gridproof.optimizer.solver.walking import nearest


@settings(max_examples=50, deadline=None)
@given(
    seed=st.integers(0, 2**32 - 1),
    points=st.integers(1, 40),
    parameters=st.integers(0, 6),
    grid=st.booleans(),
)
def test_the_nearest_point_is_the_first_of_the_nearest(seed, points, parameters, grid):
    source = np.random.default_rng(seed)
    at, theta = (source.uniform(-2, 2, (count, parameters)) for count in (points, 12))
    if grid:  # so that several are as near
        at, theta = np.rint(at), np.rint(theta)
    found = np.full(len(theta), -1)
    nearest(theta, np.ascontiguousarray(at.T), found)
    far = np.zeros((len(theta), points))
    for k in range(parameters):
        far += (at[:, k] - theta[:, k : k + 1]) ** 2
    np.testing.assert_array_equal(found, far.argmin(axis=1))
