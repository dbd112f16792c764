"""Programs taken apart, against the same programs solved as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from gridproof.optimizer.solver import solve_parts as parts
from gridproof.optimizer.solver.solve import Answer, Arrays, solve_arrays
from gridproof.optimizer.solver.solve_parts import solve_parts
from gridproof.scenarios.proof import Termination
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse


def apart(seed: int, *, places: int = 4, tied: bool = False) -> Arrays:
    """Some knapsacks with a second row each, and a column that presolve fixes in all of them."""
    draw = np.random.default_rng(seed)
    width = 7
    blocks = [draw.uniform(0.3, 2.0, (2, width)) for _ in range(places)]
    matrix = sparse.block_diag(blocks).toarray()
    matrix = np.hstack([matrix, draw.uniform(0.1, 0.4, (2 * places, 1))])
    if tied:
        matrix = np.vstack([matrix, np.append(draw.uniform(0.5, 1.0, places * width), 0.0)])
    columns = matrix.shape[1]
    integer = draw.random(columns) < 0.7
    integer[-1] = False
    fixed = np.append(np.zeros(columns - 1), 0.7)
    return Arrays(
        cost=np.append(-draw.uniform(0.5, 2.0, columns - 1), 3.0),
        constant=11.0,
        matrix=sparse.csc_array(matrix),
        row_lower=np.full(len(matrix), -np.inf),
        row_upper=matrix.sum(axis=1) * 0.55,
        lower=fixed,
        upper=np.append(np.ones(columns - 1), 0.7),
        integer=integer,
    )


@settings(max_examples=12, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), places=st.integers(2, 5))
def test_the_least_is_the_sum_of_the_parts(seed, places):
    arrays = apart(seed, places=places)
    whole, _ = solve_arrays(arrays, gap=0.0)
    found = solve_parts(arrays, gap=1e-7)
    if found is None:  # presolve solved all but one of them
        return
    answer, values = found
    assert answer.termination is Termination.OPTIMAL
    assert answer.gap <= 1e-7
    assert answer.incumbent == pytest.approx(whole.incumbent, abs=1e-5)
    assert answer.bound <= whole.incumbent + 1e-6
    assert arrays.cost @ values + arrays.constant == pytest.approx(answer.incumbent)
    assert (arrays.matrix @ values <= arrays.row_upper + 1e-6).all()
    np.testing.assert_allclose(values[arrays.integer], np.round(values[arrays.integer]), atol=1e-6)


def test_most_of_them_are_taken_apart():
    found = [solve_parts(apart(seed)) for seed in range(20)]
    assert sum(each is not None for each in found) > 10


def test_what_hangs_together_or_is_too_large_is_not_taken_apart():
    assert solve_parts(apart(3, tied=True)) is None
    seed = next(seed for seed in range(20) if solve_parts(apart(seed)) is not None)
    assert solve_parts(apart(seed), most=2) is None


def test_a_part_that_a_limit_ended_leaves_its_gap_open(monkeypatch):
    solve = parts.solve_arrays

    def ended(arrays, **told):
        answer, values = solve(arrays, **told)
        slack = Answer(
            termination=Termination.TIME_LIMIT,
            incumbent=answer.incumbent,
            bound=answer.bound - 0.25,
            seconds=answer.seconds,
        )
        return slack, values

    monkeypatch.setattr(parts, "solve_arrays", ended)
    seed = next(seed for seed in range(20) if solve_parts(apart(seed)) is not None)
    answer, _ = solve_parts(apart(seed))
    assert answer.termination is Termination.TIME_LIMIT
    assert answer.incumbent - answer.bound >= 0.5 - 1e-9


def test_values_that_are_no_solution_are_not_told(monkeypatch):
    monkeypatch.setattr(parts, "_postsolved", lambda _, values: np.zeros(len(values) + 1))
    assert all(solve_parts(apart(seed)) is None for seed in range(5))
