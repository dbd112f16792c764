"""Intervals and tails against closed forms, published values, their own definition, and luck."""

import numpy as np
import pytest
from gridproof.federation.records.streams import distributions, order_statistics
from gridproof.federation.statistics.shares import (
    clopper_pearson,
    distribution_band,
    feasible_share,
    lower_tail_mean,
    quantile,
    quantile_interval,
    quantile_rank,
    share_of,
)
from gridproof.scenarios.verdict import Outcome
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy.stats import binom

FINITE = st.floats(allow_nan=False, allow_infinity=False, width=64)


@pytest.mark.parametrize("trials", [1, 7, 500, 10_000])
def test_no_success_and_no_failure_have_a_closed_form(trials):
    low, high = clopper_pearson(0, trials, 0.95)
    assert low == 0.0
    assert high == pytest.approx(1.0 - 0.025 ** (1.0 / trials), rel=1e-10)
    low, high = clopper_pearson(trials, trials, 0.95)
    assert high == 1.0
    assert low == pytest.approx(0.025 ** (1.0 / trials), rel=1e-10)


def test_a_published_value():
    low, high = clopper_pearson(10, 100, 0.95)
    assert (low, high) == pytest.approx((0.04900469, 0.17622260), abs=5e-9)


@settings(deadline=None, max_examples=40)
@given(data=st.data(), trials=st.integers(2, 400), confidence=st.sampled_from([0.8, 0.95, 0.999]))
def test_at_its_ends_the_count_is_just_as_unlikely_as_allowed(data, trials, confidence):
    count = data.draw(st.integers(1, trials - 1))
    low, high = clopper_pearson(count, trials, confidence)
    half = (1.0 - confidence) / 2.0
    assert binom.sf(count - 1, trials, low) == pytest.approx(half, rel=1e-6)
    assert binom.cdf(count, trials, high) == pytest.approx(half, rel=1e-6)
    mirrored = clopper_pearson(trials - count, trials, confidence)
    assert mirrored == pytest.approx((1.0 - high, 1.0 - low), abs=1e-12)


@pytest.mark.parametrize("truth", [0.001, 0.03, 0.5, 0.9, 0.995])
def test_it_covers_the_truth_as_often_as_it_says(truth):
    trials, repeats = 120, 3000
    counts = np.random.Generator(np.random.Philox(5)).binomial(trials, truth, repeats)
    table = [clopper_pearson(k, trials, 0.9) for k in range(trials + 1)]
    covered = sum(table[k][0] <= truth <= table[k][1] for k in counts)
    exact = sum(
        binom.pmf(k, trials, truth) for k, (low, high) in enumerate(table) if low <= truth <= high
    )
    assert exact >= 0.9
    spread = np.sqrt(exact * (1.0 - exact) / repeats)
    assert abs(covered / repeats - exact) <= 4.0 * spread + 1e-12


@pytest.mark.parametrize(
    ("count", "trials", "confidence"), [(-1, 5, 0.95), (6, 5, 0.95), (1, 5, 0.0), (1, 5, 1.0)]
)
def test_what_cannot_be_is_refused(count, trials, confidence):
    with pytest.raises(ValueError, match="must lie"):
        clopper_pearson(count, trials, confidence)


def test_nothing_tried_says_nothing():
    assert (share_of(0, 0).low, share_of(0, 0).high) == (0.0, 1.0)
    assert np.isnan(share_of(0, 0).value)


def test_erred_counts_neither_way():
    counts = {Outcome.FEASIBLE: 6, Outcome.VIOLATED: 2, Outcome.ERRED: 12}
    share = feasible_share(counts)
    assert (share.count, share.trials) == (6, 8)


def test_quantile_is_the_inverse_of_the_empirical_distribution():
    values = np.array([4.0, 1.0, 3.0, 2.0])
    assert [quantile(values, p) for p in (0.0, 0.25, 0.26, 0.5, 0.75, 1.0)] == [1, 1, 2, 2, 3, 4]


@pytest.mark.parametrize("count", [1, 2, 29, 100, 700, 4096])
def test_a_level_that_is_a_whole_number_of_values_takes_that_one(count):
    """0.07 · 100 is 7.000000000000001 in floating point: the 7th of 100 all the same."""
    assert [quantile_rank(k / count, count) for k in range(1, count + 1)] == list(range(count))
    assert [quantile_rank((k + 1e-4) / count, count) for k in range(count)] == list(range(count))
    assert quantile_rank(0.0, count) == 0
    assert any(k / 100 * 100 > k for k in range(101))


@pytest.mark.parametrize(("level", "count"), [(-0.01, 5), (1.01, 5), (0.5, 0)])
def test_no_quantile_outside_or_of_nothing(level, count):
    with pytest.raises(ValueError, match="must lie"):
        quantile_rank(level, count)


@pytest.mark.parametrize("share", [0.0, -0.1, 1.1])
def test_no_tail_outside_or_of_nothing(share):
    with pytest.raises(ValueError, match="must lie"):
        lower_tail_mean(np.ones(4), share)
    with pytest.raises(ValueError, match="must lie"):
        lower_tail_mean(np.zeros(0), 0.5)


@pytest.mark.parametrize("level", [0.05, 0.5, 0.9])
@pytest.mark.parametrize("confidence", [0.8, 0.95])
def test_a_quantile_lies_between_order_statistics_as_often_as_is_said(level, confidence):
    """Exactly: of n values, a binomial number lies below the quantile."""
    count = 60
    low, high = quantile_interval(
        np.random.Generator(np.random.Philox(2)).permutation(np.arange(1.0, count + 1.0)),
        level, confidence, ends=(-np.inf, np.inf),
    )  # fmt: skip
    # x_(l) ≤ quantile ≤ x_(u) where at least l, and at most u - 1, lie below it
    first = 0 if low == -np.inf else int(low)
    last = count if high == np.inf else int(high) - 1
    covered = binom.pmf(np.arange(first, last + 1), count, level).sum()
    assert confidence <= covered
    half = (1.0 - confidence) / 2.0
    assert first == 0 or binom.cdf(first, count, level) >= half > binom.cdf(first - 1, count, level)
    assert last == count or binom.cdf(last, count, level) >= 1.0 - half
    assert last == 0 or binom.cdf(last - 1, count, level) < 1.0 - half


def test_a_rank_beyond_the_values_takes_the_end_of_their_range():
    assert quantile_interval(np.array([2.0, 1.0]), 0.5, 0.95, ends=(-7.0, 9.0)) == (-7.0, 9.0)
    assert quantile_interval(np.array([2.0, 1.0]), 0.5, 0.4, ends=(-7.0, 9.0)) == (1.0, 2.0)
    assert quantile_interval(np.array([2.0]), 0.9, 0.5, ends=(-7.0, 9.0)) == (2.0, 9.0)


@pytest.mark.parametrize(
    ("values", "level", "confidence"),
    [([1.0], 0.0, 0.9), ([1.0], 1.0, 0.9), ([1.0], 0.5, 0.0), ([1.0], 0.5, 1.0), ([], 0.5, 0.9)],
)
def test_no_interval_of_a_quantile_outside_or_of_nothing(values, level, confidence):
    with pytest.raises(ValueError, match="must lie"):
        quantile_interval(np.array(values), level, confidence, ends=(0.0, 1.0))


def test_a_band_holds_the_whole_distribution_as_often_as_is_said():
    """The distance from a uniform law exceeds it with 2 exp(-2 n ε²), at most."""
    for count, confidence in ((50, 0.8), (200, 0.95)):
        width = distribution_band(count, confidence)
        assert 2.0 * np.exp(-2.0 * count * width**2) == pytest.approx(1.0 - confidence)
    assert distribution_band(100) == distribution_band(100, 0.95)


def test_tail_mean_counts_the_straddling_value_in_part():
    values = np.array([3.0, 1.0, 2.0, 10.0])
    assert lower_tail_mean(values, 0.25) == 1.0
    assert lower_tail_mean(values, 0.375) == pytest.approx((1.0 + 0.5 * 2.0) / 1.5)
    assert lower_tail_mean(values, 1.0) == 4.0
    assert lower_tail_mean(values, 1e-6) == pytest.approx(1.0)


def test_tail_mean_of_a_uniform_law():
    values = np.random.Generator(np.random.Philox(3)).random(200_000)
    assert lower_tail_mean(values, 0.05) == pytest.approx(0.025, abs=3e-4)


@settings(deadline=None, max_examples=60)
@given(values=arrays(float, st.integers(1, 60), elements=FINITE), cut=st.integers(0, 60))
def test_radix_selection_is_sorting(values, cut):
    pieces = [values[:cut], values[cut:]]
    ranks = list(range(len(values)))
    (found,) = order_statistics(lambda: [[piece] for piece in pieces], [ranks])
    np.testing.assert_array_equal(found, np.sort(values) + 0.0)


@pytest.mark.parametrize("ties", [False, True])
def test_streamed_and_held_distributions_are_the_same(ties):
    values = np.random.Generator(np.random.Philox(8)).normal(0.0, 0.01, (5000, 2))
    values = np.round(values, 3) if ties else values

    def stream():
        for start in range(0, 5000, 700):
            piece = values[start : start + 700]
            yield [piece[:, 0], piece[piece[:, 1] > 0.0, 1], np.zeros(0)]

    held = distributions(stream, 3)
    streamed = distributions(stream, 3, held_at_most=100)
    assert held[2] is streamed[2] is None
    for one, other in zip(held[:2], streamed[:2], strict=True):
        assert (one.count, one.quantiles) == (other.count, other.quantiles)
        assert one.tail_mean == pytest.approx(other.tail_mean, rel=1e-12)
