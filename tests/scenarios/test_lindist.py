"""The linear model's algebra, against circuit theory done by complex numbers."""

from __future__ import annotations

import numpy as np
import pytest
from gridproof.scenarios.feeder import Connection
from gridproof.scenarios.lindist import (
    PHASOR,
    delta_to_phase,
    line_matrices,
    load_shares,
    polygon,
    transformer_maps,
)
from gridproof.scenarios.load_models import LoadModel
from hypothesis import given, settings
from hypothesis import strategies as st

PAIR = np.eye(3) - np.roll(np.eye(3), 1, axis=1)  # v_ab = v_a - v_b, and cyclic

# an unbalanced line: every self and mutual term differs, so no sign can hide
R = np.array([[0.25, 0.09, 0.07], [0.09, 0.27, 0.08], [0.07, 0.08, 0.23]])
X = np.array([[0.13, 0.04, 0.03], [0.04, 0.12, 0.05], [0.03, 0.05, 0.14]])


def exact_receiving_voltage(z: np.ndarray, s: np.ndarray) -> np.ndarray:
    """Voltages behind a line of impedance z from a balanced unit source, load s, by iteration."""
    v = PHASOR.copy()
    for _ in range(200):
        v = PHASOR - z @ np.conj(s / v)
    return v


@pytest.mark.parametrize("phase", [0, 1, 2])
@pytest.mark.parametrize("kind", ["p", "q"])
def test_one_line_one_load_the_receiving_end_falls(phase: int, kind: str) -> None:
    mp, mq = line_matrices(R, X)
    drop = (mp if kind == "p" else mq)[phase, phase]
    assert drop < 0.0
    assert drop == pytest.approx(-2.0 * (R if kind == "p" else X)[phase, phase])


def test_mutual_terms_as_the_equations_print_them() -> None:
    mp, mq = line_matrices(R, X)
    root = np.sqrt(3.0)
    assert mp[0, 1] == pytest.approx(R[0, 1] - root * X[0, 1])
    assert mp[0, 2] == pytest.approx(R[0, 2] + root * X[0, 2])
    assert mp[2, 0] == pytest.approx(R[2, 0] - root * X[2, 0])
    assert mq[0, 1] == pytest.approx(X[0, 1] + root * R[0, 1])
    assert mq[1, 0] == pytest.approx(X[1, 0] - root * R[1, 0])


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=3),
    st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=3),
)
def test_first_order_agreement_with_the_exact_line(p: list[float], q: list[float]) -> None:
    """The model is the first-order term of the exact flow: its error falls with the square."""
    s, (mp, mq) = np.array(p) + 1j * np.array(q), line_matrices(R, X)
    worst = []
    for scale in (1e-3, 1e-4):
        w = np.abs(exact_receiving_voltage(R + 1j * X, scale * s)) ** 2
        linear = 1.0 + mp @ (scale * s.real) + mq @ (scale * s.imag)
        worst.append(np.abs(w - linear).max())
    assert worst[0] < 5e-6
    assert worst[1] < 5e-8


def test_missing_phases_drop_out() -> None:
    keep = np.diag([1.0, 0.0, 1.0])
    mp, mq = line_matrices(keep @ R @ keep, keep @ X @ keep)
    assert not mp[1].any()
    assert not mp[:, 1].any()
    assert not mq[1].any()
    assert not mq[:, 1].any()


@settings(deadline=None, max_examples=60)
@given(st.lists(st.floats(-5.0, 5.0), min_size=6, max_size=6))
def test_delta_map_is_exact_at_balanced_voltages(values: list[float]) -> None:
    pair = np.array(values[:3]) + 1j * np.array(values[3:])
    current = np.conj(pair / (PAIR @ PHASOR))
    phase = PHASOR * np.conj(PAIR.T @ current)
    p, q = delta_to_phase(pair.real, pair.imag)
    np.testing.assert_allclose(p + 1j * q, phase, atol=1e-12)
    assert p.sum() == pytest.approx(pair.real.sum(), abs=1e-12)


@pytest.mark.parametrize("lagging", [False, True])
def test_delta_wye_maps_are_exact_at_balanced_voltages(lagging: bool) -> None:
    maps = transformer_maps(Connection.DELTA, Connection.WYE, np.ones(3, bool), lagging=lagging)
    winding = np.array([0.3 + 0.1j, 0.2 - 0.2j, 0.5 + 0.4j])
    turns = np.array([[1, 0, -1], [-1, 1, 0], [0, -1, 1]]) if lagging else PAIR
    current = np.conj(winding / (turns @ PHASOR))
    exact = PHASOR * np.conj(turns.T @ current)
    p = maps.from_active @ winding.real + maps.from_reactive @ winding.imag
    q = maps.from_active @ winding.imag - maps.from_reactive @ winding.real
    np.testing.assert_allclose(p + 1j * q, exact, atol=1e-12)
    np.testing.assert_allclose(maps.to_active @ winding.real, winding.real)
    np.testing.assert_allclose(maps.from_w.sum(axis=1), 1.0)
    expected = [0.5, 0.0, 0.5] if lagging else [0.5, 0.5, 0.0]
    np.testing.assert_allclose(maps.from_w[0], expected)


def test_open_delta_keeps_two_pairs_and_a_closed_delta_is_like_wye() -> None:
    two = transformer_maps(Connection.DELTA, Connection.DELTA, np.array([True, True, False]))
    assert two.from_w.shape == (2, 3)
    np.testing.assert_allclose(two.from_w, [[0.5, 0.5, 0.0], [0.0, 0.5, 0.5]])
    closed = transformer_maps(Connection.DELTA, Connection.DELTA, np.ones(3, bool))
    np.testing.assert_allclose(closed.from_w, np.eye(3))
    np.testing.assert_allclose(closed.to_active, np.eye(3))


@settings(deadline=None, max_examples=40)
@given(st.floats(0.9, 1.1))
def test_load_models_follow_voltage(v: float) -> None:
    exponents = {
        LoadModel.CONSTANT_POWER: (0, 0),
        LoadModel.CONSTANT_IMPEDANCE: (2, 2),
        LoadModel.CONSTANT_CURRENT: (1, 1),
        LoadModel.VOLTAGE_REDUCTION: (1, 2),
    }
    for model, (p_exponent, q_exponent) in exponents.items():
        share = load_shares(model)
        # v ≈ (v² + 1)/2 errs by (v - 1)²/2
        slack = (v - 1.0) ** 2 / 2.0 + 1e-12
        assert abs(share.p_constant + share.p_per_w * v * v - v**p_exponent) <= slack
        assert abs(share.q_constant + share.q_per_w * v * v - v**q_exponent) <= slack


@settings(deadline=None, max_examples=200)
@given(st.integers(3, 64), st.floats(0.0, 2 * np.pi), st.floats(0.0, 1.5))
def test_polygon_never_admits_more_than_the_rating(sides: int, angle: float, size: float) -> None:
    rows = polygon(sides)
    p, q = size * np.cos(angle), size * np.sin(angle)
    admitted = bool(np.all(rows[:, 0] * p + rows[:, 1] * q <= rows[:, 2]))
    if admitted:
        assert size <= 1.0 + 1e-12
    if size <= np.cos(np.pi / sides) - 1e-12:
        assert admitted


def test_polygon_keeps_full_active_power_and_refuses_nonsense() -> None:
    rows = polygon(16)
    assert np.all(rows[:, 0] <= rows[:, 2] + 1e-12)
    with pytest.raises(ValueError, match="at least 3"):
        polygon(2)
