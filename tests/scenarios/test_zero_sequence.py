"""Kirchhoff's law round a delta by complex numbers; which parts float."""

from __future__ import annotations

import numpy as np
import pytest
from gridproof.scenarios.lindist import PHASOR, line_matrices
from gridproof.scenarios.zero_sequence import DeltaRing, EarthedBank, Floating
from hypothesis import given, settings
from hypothesis import strategies as st

Z = np.array([0.010 + 0.030j, 0.015 + 0.050j, 0.008 + 0.020j])
RATIO = np.array([1.00, 1.01, 0.995])
SIDES = [(False, False, False), (True, True, True), (True, False, True)]

small = st.lists(st.floats(-1.0, 1.0), min_size=3, max_size=3).map(np.array)


def _round(from_wye, v, current):
    """Sum of the delta's winding voltages: each wye winding's, past the impedance."""
    ends = np.where(from_wye, (v - Z * current) / RATIO, RATIO * v + Z * current)
    return ends.sum()


@pytest.mark.parametrize("from_wye", SIDES)
@settings(deadline=None, max_examples=30)
@given(small, small, small, small)
def test_the_closure_is_kirchhoffs_law_to_first_order(from_wye, magnitude, angle, p, q):
    """Its error falls with the square of the deviations from the balanced state."""
    bank = EarthedBank(units=(0, 1, 2), wye=0, delta=1, from_wye=from_wye)
    rows = bank.closure(RATIO, Z.real, Z.imag)
    angle = angle - angle.mean()  # turned as a whole the voltages say nothing new
    at_rest = _round(np.array(from_wye), PHASOR, np.zeros(3))
    for scale in (1e-2, 1e-3):
        v = PHASOR * (1.0 + scale * magnitude) * np.exp(1j * scale * angle)
        current = np.conj(scale * (p + 1j * q) / PHASOR)
        w = np.abs(v) ** 2
        parts = (w, scale * angle, scale * p, scale * q, np.ones(3))
        linear = sum(row @ part for row, part in zip(rows, parts, strict=True))
        exact = _round(np.array(from_wye), v, current) - at_rest
        linear = complex(*linear) - at_rest
        assert abs(linear - exact) < 8.0 * scale**2


def test_like_units_need_no_constant():
    ring = DeltaRing(units=(0, 1, 2), bus=0, turned=(False, True, False))
    *_, constant = ring.closure(np.ones(3), Z.real, Z.imag)
    np.testing.assert_allclose(constant.sum(axis=-1), 0.0, atol=1e-15)


def test_a_ring_of_like_units_carries_nothing_round():
    """Equal currents in the three pairs are what circulates, and what the rows put to zero."""
    ring = DeltaRing(units=(0, 1, 2), bus=0, turned=(False, False, False))
    of_p, of_q, _ = ring.closure(np.ones(3), np.full(3, 0.01), np.full(3, 0.03))
    balanced = np.full(3, 0.3), np.full(3, 0.1)
    np.testing.assert_allclose(of_p @ balanced[0] + of_q @ balanced[1], 0.0, atol=1e-15)
    round_it = PHASOR * np.conj(0.3 - 0.1j)
    assert np.abs(of_p @ round_it.real + of_q @ round_it.imag).max() > 0.01


@settings(deadline=None, max_examples=30)
@given(small, small)
def test_an_angle_falls_by_the_imaginary_part_of_the_drop(p, q):
    r = np.array([[0.25, 0.09, 0.07], [0.09, 0.27, 0.08], [0.07, 0.08, 0.23]])
    x = np.array([[0.13, 0.04, 0.03], [0.04, 0.12, 0.05], [0.03, 0.05, 0.14]])
    Mp, Mq = line_matrices(r, x)
    for scale in (1e-3, 1e-4):
        s = scale * (p + 1j * q)
        v = PHASOR - (r + 1j * x) @ np.conj(s / PHASOR)
        turned = np.angle(v / PHASOR)
        linear = (Mq @ s.real - Mp @ s.imag) / 2.0
        assert np.abs(turned - linear).max() < 5.0 * scale**2


def test_a_stray_current_enters_every_phase_alike():
    side = Floating(bus=0, phases=(1, 2), units=(0,), unearthed=True, centre=None)
    of_p, of_q = side.current()
    part = np.array([0.2, -0.1])
    current = np.conj((of_p @ part + 1j * (of_q @ part)) / PHASOR[[1, 2]])
    np.testing.assert_allclose(current, complex(*part))
