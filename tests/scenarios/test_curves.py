"""Capability curves: the half-planes they are, and what encloses no convex set."""

from __future__ import annotations

import numpy as np
import pytest
from gridproof.scenarios.curves import Curves, HalfPlanes, curve_fault
from gridproof.scenarios.errors import ScenarioError
from hypothesis import given
from hypothesis import strategies as st

_KW = st.floats(-300.0, 300.0)


@st.composite
def convex(draw):
    """Points of a convex set with p growing: q_max concave, q_min convex, at least 1 kvar apart."""
    count = draw(st.integers(2, 6))
    steps = draw(st.lists(st.floats(1.0, 50.0), min_size=count - 1, max_size=count - 1))
    p = draw(st.floats(-100.0, 50.0)) + np.concatenate([[0.0], np.cumsum(steps)])
    upper, lower = (
        sorted(draw(st.lists(st.floats(-2.0, 2.0), min_size=count - 1, max_size=count - 1)),
               reverse=turned)
        for turned in (True, False)
    )  # fmt: skip
    high = draw(_KW) + np.concatenate([[0.0], np.cumsum(np.array(upper) * steps)])
    low = np.concatenate([[0.0], np.cumsum(np.array(lower) * steps)])
    low += (high - low).min() - draw(st.floats(1.0, 100.0))
    return p, low, high


def curves_of(*points):
    """Curves of DERs 0, 1, … of (p, q_min, q_max) each."""
    return Curves(
        der=np.concatenate([np.full(len(p), g) for g, (p, _, _) in enumerate(points)]),
        p_kw=np.concatenate([p for p, _, _ in points]),
        q_min_kvar=np.concatenate([low for _, low, _ in points]),
        q_max_kvar=np.concatenate([high for _, _, high in points]),
    )


@given(convex(), st.floats(0.0, 1.0), st.floats(-500.0, 500.0), st.integers(1, 3))
def test_half_planes_are_what_lies_between_the_points(points, share, q, count):
    """By interpolation, which knows no half-plane; each phase an equal part."""
    p_all, low, high = points
    phases = np.arange(3)[None] < count
    planes = HalfPlanes.of(phases, None, curves_of(points))
    p = p_all[0] + share * (p_all[-1] - p_all[0])
    room = min(np.interp(p, p_all, high) - q, q - np.interp(p, p_all, low))
    given_p, given_q = p / count * phases, q / count * phases
    least = planes.room(given_p, given_q)[0, :count]
    np.testing.assert_allclose(least, room / count, rtol=1e-9, atol=1e-6)


@given(convex(), st.data())
def test_a_dented_curve_is_refused_at_its_dent(points, data):
    p, low, high = points
    if len(p) < 3:
        return
    at, upper = data.draw(st.integers(1, len(p) - 2)), data.draw(st.booleans())
    dented = [low.copy(), high.copy()]
    straight = np.interp(p[at], p[[at - 1, at + 1]], (high if upper else low)[[at - 1, at + 1]])
    dented[upper][at] = straight - 0.5 if upper else straight + 0.5
    fault = curve_fault(p.tolist(), *(one.tolist() for one in dented))
    name = "q_max_kvar" if upper else "q_min_kvar"
    # the neighbours of a deep dent may be dents themselves, but none lies farther away
    assert name in fault or "is above q_max_kvar" in fault
    with pytest.raises(ScenarioError, match="capability of DER 0"):
        curves_of((p, *dented))
    assert curve_fault(p.tolist(), low.tolist(), high.tolist()) == ""


@pytest.mark.parametrize(
    ("points", "told"),
    [
        ([(0.0, -1.0, 1.0)], "has 1 point; give two or more"),
        ([(0.0, -1.0, 1.0), (0.0, -1.0, 1.0)], "p_kw = 0 follows p_kw = 0; p_kw must grow"),
        ([(5.0, -1.0, 1.0), (4.0, -1.0, 1.0)], "p_kw = 4 follows p_kw = 5"),
        ([(0.0, 2.0, 1.0), (4.0, -1.0, 1.0)], "q_min_kvar = 2 is above q_max_kvar = 1 at p_kw = 0"),
        ([(0.0, -1.0, 9.0), (0.001, -1.0, 1.0), (4.0, -1.0, 1.0)], "less than a thousandth"),
        (
            [(0.0, -1.0, 50.0), (40.0, -1.0, 30.0), (80.0, -1.0, 40.0)],
            "q_max_kvar = 30 at p_kw = 40 lies below the straight line from p_kw = 0 to 80, and "
            "what the DER can do would not be convex; give at least 45 there",
        ),
        (
            [(0.0, -50.0, 1.0), (40.0, -30.0, 1.0), (80.0, -40.0, 1.0)],
            "q_min_kvar = -30 at p_kw = 40 lies above the straight line from p_kw = 0 to 80, and "
            "what the DER can do would not be convex; give at most -45 there",
        ),
    ],
)
def test_each_fault_is_told_with_point_and_remedy(points, told):
    assert told in curve_fault(*zip(*points, strict=True))


def test_points_on_a_straight_line_make_one_half_plane():
    p = np.array([0.0, 30.0, 60.0])
    planes = HalfPlanes.of(
        np.ones((1, 3), bool), None, curves_of((p, -p, np.array([60.0, 45.0, 30.0])))
    )
    assert planes.side.tolist() == [1.0, -1.0]
    assert planes.slope.tolist() == [-0.5, 1.0]
    np.testing.assert_allclose(planes.level, [[20.0] * 3, [0.0] * 3])


def test_what_feeds_no_phase_is_bound_by_nothing():
    """A machine that stands still gives nothing, wherever its curve lies."""
    p = np.array([20.0, 60.0])
    curves = curves_of((p, p, p + 5.0), (p, p, p + 5.0))
    phases = np.array([[False] * 3, [True] * 3])
    planes = HalfPlanes.of(phases, np.array([0.5, np.inf]), curves)
    assert set(planes.der.tolist()) == {1}
