"""The time grid."""

import pytest
from gridproof.federation.wire.schedule import FEEDER_GRID, PLANNER_GRID, RECORDER_GRID, TimeGrid
from hypothesis import given, settings
from hypothesis import strategies as st


def times(grid: TimeGrid, count: int) -> list[float]:
    found, now = [], 0.0
    for _ in range(count):
        now = grid.next_after(now)
        found.append(now)
    return found


def test_the_three_grids() -> None:
    assert times(PLANNER_GRID, 3) == [1.0, 2.0, 3.0]
    assert times(FEEDER_GRID, 3) == [0.5, 1.5, 2.5]
    assert times(RECORDER_GRID, 3) == [0.25, 0.75, 1.25]


@settings(deadline=None, max_examples=100)
@given(st.integers(0, 10**9))
def test_no_two_federates_are_ever_granted_the_same_time(k) -> None:
    time_s = PLANNER_GRID.next_after(float(k))
    assert PLANNER_GRID.holds(time_s)
    assert not FEEDER_GRID.holds(time_s)
    assert FEEDER_GRID.holds(FEEDER_GRID.next_after(time_s))
    assert time_s < FEEDER_GRID.next_after(time_s) < PLANNER_GRID.next_after(time_s)


@pytest.mark.parametrize(("period", "offset"), [(0.0, 0.0), (1.0, 1.0), (1.0, -0.5), (-1.0, 0.0)])
def test_a_grid_that_is_none(period, offset) -> None:
    with pytest.raises(ValueError, match="0 <= offset_s < period_s"):
        TimeGrid(period_s=period, offset_s=offset)
