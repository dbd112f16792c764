"""Corners at which a recourse is tried: all of few, and of many a fixed draw with both extremes."""

from dataclasses import replace
from itertools import product

import numpy as np
from gridproof.optimizer.recourse.cost import CORNERS, _corners
from gridproof.scenarios.sets import Box


def _moving(tiny_scenario, size, spread):
    scenario = tiny_scenario(size, [(i, i + 1) for i in range(size - 1)])
    box = Box(load_ids=scenario.uncertainty.load_ids, spread=np.array(spread))
    return replace(scenario, uncertainty=box)


def test_of_few_loads_every_corner_and_one_that_does_not_move_is_left_high(tiny_scenario):
    found = _corners(_moving(tiny_scenario, 4, [0.2, 0.0, 0.1, 0.3]))
    wanted = {(a, 1.0, b, c) for a, b, c in product((1.0, -1.0), repeat=3)}
    assert set(map(tuple, found.tolist())) == wanted
    assert len(found) == 8
    assert len(_corners(_moving(tiny_scenario, 7, [0.1] * 6 + [0.0]))) == CORNERS == 2**6
    assert _corners(_moving(tiny_scenario, 2, [0.0, 0.0])).shape == (0, 2)


def test_of_many_loads_as_many_corners_with_all_high_and_all_low(tiny_scenario):
    scenario = _moving(tiny_scenario, 12, [0.1] * 11 + [0.0])
    found = _corners(scenario)
    assert found.shape == (CORNERS, 12)
    assert (np.abs(found) == 1.0).all()
    assert (found[0] == 1.0).all()
    assert (found[1, :-1] == -1.0).all()
    assert (found[:, -1] == 1.0).all()
    drawn = found[2:, :-1]
    assert len(np.unique(drawn, axis=0)) > 0.9 * len(drawn)
    assert np.abs(drawn.mean()) < 4.0 / np.sqrt(drawn.size)  # a fair coin each
    np.testing.assert_array_equal(found, _corners(scenario))
