"""Programs solved region by region, against the same programs solved as a whole."""

from __future__ import annotations

import numpy as np
import pytest
from gridproof.optimizer.solver.places import Places, Region, Whole, with_bounds
from gridproof.optimizer.solver.solve import Arrays, solve_arrays
from gridproof.optimizer.solver.solve_regions import solve_regions
from gridproof.scenarios.proof import Termination
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

_WIDTH = 4  # columns of a place


def chain(seed: int, *, size: int = 5, shared: float = -0.3) -> tuple[Arrays, Places, np.ndarray]:
    """Knapsacks in a row; neighbours share a column that only one of them can have, all share one.

    The last column costs too, belongs to no place, and helps where ``shared`` is negative. Zero
    solves it.
    """
    draw = np.random.default_rng(seed)
    own, ties = size * _WIDTH, size - 1
    count = own + ties + 1
    rows = np.zeros((2 * size, count))
    tags = np.full((count, 2), -1)
    for place in range(size):
        mine = np.arange(_WIDTH) + place * _WIDTH
        tags[mine, 0] = place
        rows[2 * place : 2 * place + 2, mine] = draw.uniform(0.3, 2.0, (2, _WIDTH))
        rows[2 * place, own + np.arange(max(0, place - 1), min(ties, place + 1))] = -0.7
        rows[2 * place : 2 * place + 2, -1] = draw.uniform(shared, 0.3, 2)
    for tie in range(ties):
        tags[own + tie] = tie, tie + 1
        rows[2 * tie + 1, own + tie] = draw.uniform(0.8, 1.2)
    integer = draw.random(count) < 0.8
    cost = -draw.uniform(0.5, 2.0, count)
    cost[own:] = draw.uniform(0.05, 0.3, ties + 1)
    arrays = Arrays(
        cost=cost,
        constant=7.0,
        matrix=sparse.csc_array(rows),
        row_lower=np.full(len(rows), -np.inf),
        row_upper=np.full(len(rows), 1.9),
        lower=np.zeros(count),
        upper=np.ones(count),
        integer=integer,
    )
    return arrays, Places(tags=tags, core=np.arange(size)), np.zeros(count)


@settings(max_examples=10, deadline=None, derandomize=True)
@given(seed=st.integers(0, 10**6), wrong=st.booleans())
def test_the_least_is_what_the_whole_has_wherever_columns_are_said_to_belong(seed, wrong):
    arrays, places, start = chain(seed)
    if wrong:
        draw = np.random.default_rng(seed)
        places = Places(tags=draw.integers(-1, 5, places.tags.shape), core=draw.integers(0, 3, 5))
    whole, best = solve_arrays(arrays, gap=0.0)
    found = solve_regions(arrays, places, start, gap=1e-7)
    answer, values = found.answer, found.values
    assert answer.bound <= whole.incumbent + 1e-6 <= answer.incumbent + 2e-6
    assert arrays.cost @ values + arrays.constant == pytest.approx(answer.incumbent)
    assert (arrays.matrix @ values <= arrays.row_upper + 1e-6).all()
    np.testing.assert_allclose(values[arrays.integer], np.round(values[arrays.integer]), atol=1e-6)
    for region in found.regions:
        assert region.cost @ best[region.columns] >= region.bound - 1e-6
    charged = np.concatenate([region.columns for region in found.regions])
    assert len(np.unique(charged)) == len(charged)
    again, _ = solve_arrays(with_bounds(arrays, found.regions), gap=0.0)
    assert again.incumbent == pytest.approx(whole.incumbent, abs=1e-5)


def test_regions_become_one_until_nothing_is_open():
    merged = 0
    for seed in range(6):
        arrays, places, start = chain(seed, shared=0.0)
        whole, _ = solve_arrays(arrays, gap=0.0)
        found = solve_regions(arrays, places, start, gap=1e-6)
        assert found.answer.termination is Termination.OPTIMAL
        assert found.answer.incumbent == pytest.approx(whole.incumbent, abs=1e-4)
        assert found.answer.gap <= 1e-6
        merged += len(found.regions) < 5
    assert merged >= 3


def test_a_region_of_every_place_is_the_whole():
    arrays, places, start = chain(3)
    every = Whole(arrays, places).region(np.ones(5, bool))
    for part, columns in (
        Whole(arrays, places).relaxed(every),
        Whole(arrays, places).held(every, start),
    ):
        assert len(columns) == len(arrays.cost)
        np.testing.assert_array_equal(part.matrix.toarray(), arrays.matrix.toarray())
        np.testing.assert_array_equal(part.row_upper, arrays.row_upper)


def test_others_may_do_what_their_bounds_let_them_or_stay():
    """One row over two places: -x + 2 y ≤ 1 with x elsewhere."""
    arrays = Arrays(
        cost=np.array([1.0, -1.0]),
        constant=0.0,
        matrix=sparse.csc_array(np.array([[-1.0, 2.0]])),
        row_lower=np.array([-np.inf]),
        row_upper=np.array([1.0]),
        lower=np.array([0.0, 0.0]),
        upper=np.array([3.0, 9.0]),
        integer=np.array([True, True]),
    )
    places = Places(tags=np.array([[0, -1], [1, -1]]), core=np.arange(2))
    whole = Whole(arrays, places)
    region = whole.region(np.array([False, True]))
    assert region.bound == -9.0  # by its own bounds
    relaxed, columns = whole.relaxed(region)
    np.testing.assert_array_equal(columns, [1])
    assert relaxed.row_upper[0] == 4.0  # x = 3 at most
    held, _ = whole.held(region, np.array([1.0, 0.0]))
    assert held.row_upper[0] == 2.0


def test_without_time_the_start_is_what_is_found_and_bounds_are_what_is_known():
    arrays, places, start = chain(4)
    found = solve_regions(arrays, places, start, time_limit_s=0.0)
    assert found.answer.termination is Termination.TIME_LIMIT
    assert found.answer.incumbent == arrays.constant
    assert found.answer.bound == pytest.approx(arrays.constant + arrays.cost.clip(max=0.0).sum())


def test_no_rows_are_added_for_no_regions():
    arrays, _, _ = chain(5)
    assert with_bounds(arrays, ()) is arrays
    one = Region(
        places=np.ones(5, bool), columns=np.array([0, 2]), cost=np.array([-1.0, -2.0]), bound=-2.5
    )
    more = with_bounds(arrays, [one], slack=0.5)
    assert more.row_lower[-1] == -3.0
    np.testing.assert_array_equal(more.matrix.toarray()[-1, :3], [-1.0, 0.0, -2.0])
