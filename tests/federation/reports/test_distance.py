"""Electrical distance from the grid-forming DER: by hand on a feeder of known impedances."""

import numpy as np
import pytest
from gridproof.federation.reports.distance import electrical_distances

Z1 = abs(0.05 + 0.10j)  # 0.06 self less 0.01 mutual, and twice that in reactance


@pytest.fixture(scope="module")
def scenario(tiny_scenario):
    return tiny_scenario(4, ((0, 1), (1, 2), (2, 3), (3, 0)))


def test_sums_along_the_shortest_closed_path(scenario, tiny_plan):
    plan = tiny_plan(scenario, closed=[True, True, False, True])
    found = electrical_distances(scenario, plan)
    # n0 forms; n1 and n3 are one switch away, n2 two; each m is one line beyond its n
    expected = Z1 * np.array([0, 1, 1, 2, 2, 3, 1, 2])
    np.testing.assert_allclose(found.ohm, expected, rtol=1e-12)
    assert found.forming == ("g0",)
    assert found.toward.tolist() == [-1, 0, 0, 2, 2, 4, 0, 6]
    assert (found.island == 0).all()


def test_the_dead_have_no_distance_and_islands_their_own_source(scenario, tiny_plan):
    plan = tiny_plan(
        scenario, closed=[True, False, False, False], energized=[True, True, False, True],
        forming=[True, True],
    )  # fmt: skip
    found = electrical_distances(scenario, plan)
    assert found.forming == ("g0", "g1")
    assert found.island.tolist() == [0, 0, 0, 0, -1, -1, 1, 1]
    assert np.isnan(found.ohm[4:6]).all()
    np.testing.assert_allclose(found.ohm[[0, 3, 6, 7]], Z1 * np.array([0, 2, 0, 1]), rtol=1e-12)
    assert found.toward[[0, 4, 6]].tolist() == [-1, -1, -1]


def test_nobody_forms(scenario, tiny_plan):
    plan = tiny_plan(scenario, energized=[False] * 4, forming=[False, False])
    found = electrical_distances(scenario, plan)
    assert np.isnan(found.ohm).all()
    assert found.forming == ()
