"""Programs grown by families, and the door through which arrays reach HiGHS."""

from __future__ import annotations

from itertools import product

import numpy as np
import pytest
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.solve import solve_arrays
from gridproof.scenarios.proof import Termination
from scipy import sparse


def knapsack(limit: float) -> Program:
    m = Program()
    x = m.columns(3, cost=[-1.0, -2.0, -3.0], integer=True)
    m.rows("weight", (sparse.csr_array([[1.0, 1.0, 1.0]]), x), upper=limit)
    return m


def test_families_become_rows_and_entries_at_one_place_add_up() -> None:
    m = Program()
    x, y = m.columns(2, lower=-1.0, upper=[3.0, 4.0]), m.columns(1, cost=5.0)
    m.rows("pair", (1.0, x), (np.array([2.0, 3.0]), x[::-1]), lower=0.0)
    m.rows("pair", (1.0, y), (4.0, y), upper=2.0)
    m.fix(x[:1], 2.0)
    m.charge(x, [7.0, 8.0])
    m.whole(y)
    arrays = m.arrays()
    assert arrays.matrix.toarray().tolist() == [[1, 2, 0], [3, 1, 0], [0, 0, 5]]
    assert arrays.row_lower.tolist() == [0, 0, -np.inf]
    assert arrays.row_upper.tolist() == [np.inf, np.inf, 2]
    assert (arrays.lower.tolist(), arrays.upper.tolist()) == ([2, -1, 0], [2, 4, 1])
    assert arrays.cost.tolist() == [7, 8, 5]
    assert arrays.integer.tolist() == [False, False, True]
    assert m.family == {"pair": 3}


def test_terms_of_different_height_are_refused() -> None:
    m = Program()
    with pytest.raises(ValueError, match=r"rows 'odd': terms have \[2, 3\] rows"):
        m.rows("odd", (1.0, m.columns(2)), (1.0, m.columns(3)))


def test_arrays_are_solved_and_a_start_changes_nothing_but_the_way() -> None:
    arrays = knapsack(2.0).arrays()
    answer, values = solve_arrays(arrays)
    assert (answer.termination, answer.incumbent, answer.bound) == (Termination.OPTIMAL, -5, -5)
    assert values.round().tolist() == [0, 1, 1]
    again, _ = solve_arrays(arrays, start=np.array([1.0, np.nan, 0.0]))
    assert again.incumbent == -5


def test_what_cannot_be_is_said_with_no_values() -> None:
    answer, values = solve_arrays(knapsack(-1.0).arrays())
    assert answer.termination is Termination.INFEASIBLE
    assert not answer.found
    assert answer.bound == np.inf
    assert np.isnan(values).all()


def test_a_program_without_columns_is_solved_by_its_constant() -> None:
    m = Program()
    m.constant = 4.5
    answer, values = solve_arrays(m.arrays())
    assert (answer.termination, answer.incumbent, answer.bound) == (Termination.OPTIMAL, 4.5, 4.5)
    assert len(values) == 0


def test_a_search_below_a_cost_finds_what_is_cheaper_or_proves_that_nothing_is() -> None:
    """Against every choice, listed; a constant and a presolved column move no bound."""
    rng = np.random.default_rng(4)
    choices = np.array(list(product((0.0, 1.0), repeat=9)))
    for _ in range(12):
        m = Program()
        m.constant = float(rng.normal(0.0, 50.0))
        x = m.columns(9, cost=rng.normal(size=9), integer=True)
        m.fix(m.columns(1, cost=7.0), 1.0)
        weights, limit = rng.uniform(0.5, 1.0, 9), 2.0
        m.rows("weight", (sparse.csr_array(weights[None]), x), lower=1.0, upper=limit)
        arrays = m.arrays()
        fits = choices[(choices @ weights <= limit) & (choices @ weights >= 1.0)]
        least = float((fits @ arrays.cost[:9]).min()) + 7.0 + m.constant
        answer, values = solve_arrays(arrays, below=least + 0.1)
        assert answer.incumbent == pytest.approx(least)
        assert least - 1e-5 <= answer.bound <= least + 1e-5
        assert float(arrays.cost @ values) + m.constant == pytest.approx(least)
        for below in (least - 1e-3, least - 5.0):
            answer, values = solve_arrays(arrays, below=below)
            assert answer.bound <= below  # nothing is said of what costs as much
            assert answer.bound == pytest.approx(below)
            assert not answer.incumbent < least - 1e-6
