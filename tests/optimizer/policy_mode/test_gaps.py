"""What a rule answers and does not come: bounds against all that can happen."""

from __future__ import annotations

from typing import Any

import numpy as np
from gridproof.optimizer.policy_mode.gaps import Gaps, add_gaps
from gridproof.optimizer.policy_mode.model import add_dispatch
from gridproof.optimizer.policy_mode.shapes import Rectangle
from gridproof.optimizer.solver.program import Program
from hypothesis import given
from hypothesis import strategies as st


def made(grid: Any, d: Any, over: Rectangle | None) -> tuple[Gaps, np.ndarray]:
    m = Program()
    gaps = add_gaps(m, grid, d, add_dispatch(m, grid), over)
    return gaps, m.arrays().upper[gaps.lost]


def test_bounds_are_those_of_the_worst_corner(
    microgrid: Any, disturbances: Any, demand: np.ndarray
) -> None:
    grid, d = microgrid(demand), disturbances(2, 5)  # two losses of sun, two trips, an error
    over = Rectangle(
        lower=np.array([0.0, -30.0, -20.0, 0.0, -8.0]), upper=np.array([60.0, 50.0, 25.0, 9.0, 4.0])
    )
    gaps, most = made(grid, d, over)
    corners = np.array(list(over.vertices()))
    for t, s in enumerate(d.shape):
        more_sun = -(corners * s) @ d.of_der[:, 2]
        assert most[t, 0] == np.float64(more_sun.max())
    added = np.array([(corners * s) @ d.of_load for s in d.shape]) / grid.load_kw[:, None, :]
    np.testing.assert_allclose(gaps.more, np.maximum(added.max(axis=(0, 1)), 0.0))
    np.testing.assert_allclose(gaps.less, np.maximum(-added.min(axis=(0, 1)), 0.0))


def test_nothing_is_made_good_where_no_set_is_held(
    microgrid: Any, disturbances: Any, demand: np.ndarray
) -> None:
    gaps, most = made(microgrid(demand), disturbances(2), None)
    assert not most.any()
    assert not gaps.more.any()
    assert not gaps.less.any()


@given(st.integers(0, 2**31))
def test_a_row_is_never_worse_than_its_slopes_say(seed: int) -> None:
    rng = np.random.default_rng(seed)
    gaps = Gaps(
        lost=np.zeros((1, 2), np.int64), shed=np.zeros((1, 3), np.int64),
        more=rng.uniform(0.0, 1.5, 3), less=rng.uniform(0.0, 1.5, 3),
    )  # fmt: skip
    of_p, of_shed = rng.normal(size=(4, 2)), rng.normal(size=(4, 3))
    lost, shed = rng.uniform(0.0, 9.0, 2), rng.uniform(0.0, 9.0, 3)
    said = gaps.worst(of_p, of_shed) @ np.concatenate([lost, shed])
    most = np.full(4, -np.inf)
    for _ in range(50):  # any part of the sun lost, any error of what is curtailed
        part, error = rng.uniform(0.0, 1.0, 2), rng.uniform(-gaps.less, gaps.more)
        most = np.maximum(most, -of_p @ (part * lost) + of_shed @ (shed * error))
    assert (most <= said + 1e-9).all()
    ends = np.where(of_p < 0.0, 1.0, 0.0), np.where(of_shed > 0.0, gaps.more, -gaps.less)
    attained = [-of_p[k] @ (ends[0][k] * lost) + of_shed[k] @ (shed * ends[1][k]) for k in range(4)]
    np.testing.assert_allclose(said, attained)
