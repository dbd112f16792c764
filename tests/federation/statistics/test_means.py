"""Means and their intervals, beside closed forms, scipy, and how often they miss."""

import numpy as np
import pytest
from gridproof.federation.statistics.means import (
    Moments,
    asymptotic_sequence,
    mean_interval,
    moments_of,
)
from scipy import stats


def test_moments_in_chunks_are_those_of_the_whole():
    values = np.random.Generator(np.random.Philox(2)).normal(1e6, 1.0, 1000)
    moments = Moments()
    for start in range(0, 1000, 33):
        moments.add(values[start : start + 33])
    assert moments.mean == pytest.approx(values.mean(), rel=1e-14)
    assert moments.standard_error == pytest.approx(values.std(ddof=1) / np.sqrt(1000), rel=1e-6)
    assert Moments().standard_error is None


def test_students_interval_is_that_of_scipy():
    values = np.random.Generator(np.random.Philox(4)).exponential(3.0, 57)
    wanted = stats.t.interval(0.9, 56, values.mean(), stats.sem(values))
    assert mean_interval(moments_of(values), 0.9) == pytest.approx(wanted, rel=1e-9)


def test_a_widened_interval_is_that_of_so_many_fewer():
    moments = moments_of(np.random.Generator(np.random.Philox(5)).normal(size=400))
    low, high = mean_interval(moments, 0.95, widening=4.0)
    reach = stats.t.ppf(0.975, 99) * moments.deviation / 10.0
    assert (high - low) / 2.0 == pytest.approx(reach)


@pytest.mark.parametrize("count", [0, 1])
def test_too_few_have_no_interval(count):
    moments = moments_of(np.full(count, 2.0))
    assert mean_interval(moments) is None
    assert asymptotic_sequence(moments) is None


def test_what_is_not_finite_is_no_value():
    assert moments_of(np.array([1.0, np.nan, 3.0, np.inf])).count == 2


def test_the_sequence_holds_at_every_look_and_students_interval_does_not():
    """400 paths of 4 000 skewed values, a look after each from the 100th on, at 90 %."""
    paths, length, first, confidence = 400, 4000, 100, 0.9
    values = np.random.Generator(np.random.Philox(6)).exponential(1.0, (paths, length))
    n = np.arange(1, length + 1)
    mean = np.cumsum(values, axis=1) / n
    deviation = np.sqrt((np.cumsum(values**2, axis=1) - n * mean**2)[:, 1:] / (n - 1)[1:])
    mean, n, deviation = mean[:, first:], n[first:], deviation[:, first - 1 :]
    away = np.abs(mean - 1.0) / deviation

    def reach(count):
        one = Moments(count=int(count), mean=0.0, squares=float(count - 1))  # deviation 1
        return asymptotic_sequence(one, confidence)[1], mean_interval(one, confidence)[1]

    known = np.array([reach(count) for count in n[::50]])  # what is between lies below
    sequence, student = (np.repeat(known[:, k], 50)[: len(n)] for k in (0, 1))
    missed = (away > sequence).any(axis=1).mean()
    assert missed <= 0.1 + 3.0 * np.sqrt(0.09 / paths)
    assert (away > student).any(axis=1).mean() > 0.4
