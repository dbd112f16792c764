"""What is said to be lacking is lacking: against a second formulation, and against all corners."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gridproof.optimizer.policy_mode.dispatch import dispatch
from gridproof.optimizer.policy_mode.hedge import Hedge, Settings, hedge, outside
from gridproof.optimizer.policy_mode.model import add_dispatch
from gridproof.optimizer.policy_mode.response import add_affine, add_corners
from gridproof.optimizer.policy_mode.shapes import Rectangle
from gridproof.optimizer.policy_mode.shortfall import shortfall
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.solve import solve_arrays
from gridproof.scenarios.errors import NoPlanExists
from gridproof.scenarios.proof import Termination
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

SOME = Settings(radius_scale=0.02, radius_scale_total=0.2)


def box(log: Any) -> Hedge:
    shape = Rectangle(lower=log.lower, upper=log.upper)
    return Hedge(method="box", shape=shape, totals=(), samples=None, rho=0.05, says="a box")


def by_corners(grid: Any, d: Any, log: Any) -> Termination:
    """Whether an affine response exists, every corner of the box a row, no sums anywhere."""
    m = Program()
    columns = add_dispatch(m, grid)
    A = add_affine(m, grid, d)
    corners = np.array(list(Rectangle(lower=log.lower, upper=log.upper).vertices()))
    add_corners(m, grid, columns, corners, d=d, A=A)
    return solve_arrays(m.arrays())[0].termination


@given(st.integers(0, 2**31), st.floats(0.5, 12.0))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_where_reserve_is_lacking_no_response_exists(
    microgrid: Any, disturbances: Any, training_log: Any, seed: int, share: float
) -> None:
    rng = np.random.default_rng(seed)
    grid, d = microgrid(rng.uniform(60.0, 180.0, (4, 2))), disturbances(2)
    log = training_log(seed=seed, share=share)
    found = shortfall(grid, d, box(log), "affine")
    assert found is not None
    exists = by_corners(grid, d, log) is Termination.OPTIMAL
    assert found.proven != exists  # a box is shared out in proportion: the sums say all


def test_what_is_lacking_is_what_would_have_to_come_from_outside(
    microgrid: Any, disturbances: Any, training_log: Any, demand: np.ndarray
) -> None:
    """With a machine of that size more there is a plan, with less there is none."""
    grid, d, log = microgrid(demand), disturbances(2), training_log(share=4.0)
    found = shortfall(grid, d, box(log), "affine")
    assert found is not None
    assert found.proven
    worst = float(found.lacking_kw.max())

    def with_more(kw: float) -> bool:
        ders = grid.ders
        high = ders.p_max_kw.copy()
        high[1] += kw / 3.0  # a machine's headroom answers up, or down from a higher set-point
        more = replace(grid, ders=replace(ders, p_max_kw=high))
        again = shortfall(more, d, box(log), "affine")
        return again is not None and not again.proven

    assert with_more(worst + 1.0)
    assert not with_more(worst - 1.0)


def test_no_plan_says_when_how_much_and_of_whom(
    microgrid: Any, disturbances: Any, training_log: Any, demand: np.ndarray
) -> None:
    grid, d, log = microgrid(demand), disturbances(2), training_log(share=20.0)
    held = hedge("support_box", log, d.shape, SOME)
    found = shortfall(grid, d, held, "affine")
    assert found is not None
    assert found.answering == ("former", "machine", "cell")
    step = int(found.lacking_kw.argmax())
    for form in ("dual", "worst"):
        with pytest.raises(NoPlanExists) as caught:
            dispatch(grid, d, held, response="affine", form=form)
        assert f"{found.lacking_kw[step]:.0f} kW of reserve are lacking" in str(caught.value)
        assert f"{found.start_h[step]:g} h after the start" in str(caught.value)
        assert caught.value.proof is not None
        assert caught.value.proof.termination is Termination.INFEASIBLE
    assert shortfall(grid, d, hedge("cvar", log, d.shape, SOME), "shared") is None


@pytest.mark.parametrize("method", ["gaussian", "sample_box", "dro_components"])
def test_draws_outside_are_those_the_set_does_not_hold(
    disturbances: Any, training_log: Any, method: str
) -> None:
    d, log = disturbances(2), training_log()
    held = hedge(method, log, d.shape, SOME)
    rng = np.random.default_rng(2)
    w = log.lower + rng.uniform(-0.2, 1.2, (200, 3)) * (log.upper - log.lower)
    left = outside(held, w)
    assert left is not None
    assert 0 < left.sum() < 200
    inside = [held.shape.contains(one) for one in w]  # type: ignore[union-attr]
    np.testing.assert_array_equal(left, np.logical_not(inside))
    assert outside(hedge("cvar", log, d.shape, SOME), w) is None
