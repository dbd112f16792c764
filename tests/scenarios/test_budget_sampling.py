"""Draws within a budget of steps."""

import numpy as np
import pytest
from gridproof.scenarios.budget_sampling import Budgeted
from hypothesis import given
from hypothesis import strategies as st


@given(
    seed=st.integers(0, 2**32), width=st.integers(1, 4), steps=st.integers(1, 6),
    gamma=st.floats(0.0, 6.0),
)  # fmt: skip
def test_every_load_keeps_its_budget_over_the_steps(seed, width, steps, gamma):
    made = Budgeted(seed=seed, width=width, steps=steps, gamma=gamma)
    drawn = np.stack([made.coordinates_at(3, 5, step) for step in range(steps)])
    assert np.abs(drawn).max() <= 1.0
    assert np.abs(drawn).sum(axis=0).max() <= gamma + 1e-9
    # a row is a function of its index, whatever batch it is drawn in
    alone = made.coordinates_at(6, 1, steps - 1)
    np.testing.assert_array_equal(alone[0], drawn[-1, 3])


def test_steps_are_drawn_anew_and_fill_the_box_where_all_may_move():
    made = Budgeted(seed=1, width=2, steps=24, gamma=24.0)
    one, other = made.coordinates(0, 4000), made.coordinates_at(0, 4000, 1)
    assert abs(np.corrcoef(one[:, 0], other[:, 0])[0, 1]) < 0.06
    assert one.max() > 0.99
    assert one.min() < -0.99
    assert one.std() == pytest.approx(1 / np.sqrt(3.0), rel=0.05)
