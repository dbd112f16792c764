"""Linearised DistFlow on one line, against its closed form."""

import numpy as np
import pytest
from gridproof.optimizer.network.feed_rows import Feed
from gridproof.optimizer.restoration.distflow import LineData, add_distflow
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.solve import solve_arrays
from gridproof.scenarios.proof import Termination

W_SOURCE, W_MIN, W_MAX = 1.02**2, 0.95**2, 1.05**2


def _solved(*, p, q, r=0.0, x=0.0, s_max=100.0, turned=False, switched=True, along=1.0):
    """Largest share served over one line from bus 0 to bus 1, and the columns' values.

    ``turned`` writes the line from bus 1 to bus 0; ``along`` says how much of it is fed.
    """
    m = Program()
    one = np.array([1 if switched else 0])
    forward, backward = (m.columns(int(one[0])) for _ in range(2))
    m.fix(forward, 0.0 if turned else along)
    m.fix(backward, along if turned else 0.0)
    energized = m.columns(2)
    m.fix(energized, 1.0)
    supply = np.array([0]), m.columns(1, upper=100.0), m.columns(1, upper=100.0)
    net = LineData(
        ends=np.array([[1, 0] if turned else [0, 1]]),
        r=np.array([r]),
        x=np.array([x]),
        s_max=np.array([s_max]),
        p=np.array([0.0, p]),
        q=np.array([0.0, q]),
    )
    feed = Feed(forward=forward, backward=backward, used=(forward, backward))
    flow = add_distflow(
        m, net, feed, np.arange(int(one[0])), energized, supply=supply, w_band=(W_MIN, W_MAX)
    )
    m.fix(flow.w[:1], W_SOURCE)
    m.charge(flow.share[1:], -1.0)
    answer, values = solve_arrays(m.arrays())
    assert answer.termination is Termination.OPTIMAL
    return {name: values[getattr(flow, name)] for name in ("p", "q", "w", "share")}


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("switched", [False, True])
@pytest.mark.parametrize(("r", "x"), [(0.02, 0.0), (0.0, 0.05), (0.01, 0.04)])
def test_voltage_falls_by_resistance_and_reactance_alike(turned, switched, r, x):
    at = _solved(p=1.0, q=0.6, r=r, x=x, turned=turned, switched=switched)
    way = -1.0 if turned else 1.0
    assert at["share"][1] == pytest.approx(1.0)
    assert (at["p"][0], at["q"][0]) == pytest.approx((way * 1.0, way * 0.6))
    assert at["w"][1] == pytest.approx(W_SOURCE - 2.0 * (r * 1.0 + x * 0.6))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("switched", [False, True])
@pytest.mark.parametrize(("r", "x"), [(0.09, 0.0), (0.0, 0.3), (0.05, 0.1)])
def test_the_band_is_what_limits_the_share(turned, switched, r, x):
    at = _solved(p=1.0, q=0.6, r=r, x=x, turned=turned, switched=switched)
    share = (W_SOURCE - W_MIN) / (2.0 * (r * 1.0 + x * 0.6))
    assert share < 1.0
    assert at["share"][1] == pytest.approx(share)
    assert at["w"][1] == pytest.approx(W_MIN)


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("switched", [False, True])
@pytest.mark.parametrize("degrees", [0.0, 11.25, 22.5, 30.0, 45.0, 60.0, 78.75, 90.0])
def test_the_rating_is_the_inner_polygon_of_sixteen_sides(turned, switched, degrees):
    """Its corners lie on the circle, at multiples of 22.5°; its sides cos(π/16) inside."""
    angle, s_max = np.radians(degrees), 0.7
    at = _solved(
        p=2.0 * np.cos(angle), q=2.0 * np.sin(angle), s_max=s_max, turned=turned, switched=switched
    )
    off = abs(degrees % 22.5 - 11.25)  # from the middle of the nearest side
    most = s_max * np.cos(np.pi / 16) / np.cos(np.radians(off))
    assert most <= s_max * (1 + 1e-12)
    assert np.hypot(at["p"][0], at["q"][0]) == pytest.approx(most)


def test_a_line_that_is_not_fed_carries_nothing_and_frees_its_voltages():
    at = _solved(p=1.0, q=0.6, r=0.5, x=0.5, along=0.0)
    np.testing.assert_allclose([*at["p"], *at["q"], at["share"][1]], 0.0, atol=1e-9)
    assert W_MIN - 1e-9 <= at["w"][1] <= W_MAX + 1e-9
