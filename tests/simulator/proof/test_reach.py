"""What is largest over a set, held against its own points."""

from __future__ import annotations

import numpy as np
import pytest
from gridproof.scenarios.sets import Budget
from gridproof.simulator.proof.reach import Reach

GROUPS = np.array([0, 1, -1, 0, 1, 1, 0, 2])


@pytest.mark.parametrize(
    "budget",
    [
        None,
        Budget.over(8, 2.4),
        Budget.over(8, 0.0),
        Budget.over(8, 8.0),
        Budget.over(8, np.inf),
        Budget(group=GROUPS, gamma=np.array([1.0, 1.7, 3.0])),
    ],
)
def test_the_largest_magnitude_is_bounded_and_almost_attained(budget: Budget | None) -> None:
    rng = np.random.default_rng(2)
    reach = Reach(centre=np.zeros(8), spread=np.eye(8), budget=budget)
    rows = rng.normal(size=(30, 8)) + 1j * rng.normal(size=(30, 8))
    bound = reach.largest(rows)
    attained = np.zeros(30)
    for turn in np.exp(-1j * np.linspace(0.0, np.pi, 200)):
        height, omega = reach.support((rows * turn).real)
        there = (rows * omega).sum(axis=1)
        np.testing.assert_allclose((there * turn).real, height, atol=1e-12)
        attained = np.maximum(attained, np.abs(there))
    assert (bound >= attained).all()
    assert (bound <= attained * 1.001 + 1e-300).all()
