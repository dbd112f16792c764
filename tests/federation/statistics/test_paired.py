"""Paired shares: intervals that invert their own test and cover what they say they cover."""

import numpy as np
import pytest
from gridproof.federation.statistics.paired import mcnemar_p, paired_difference, tango_interval
from scipy.stats import binom


@pytest.mark.parametrize(("b", "c", "n"), [(12, 2, 50), (0, 0, 40), (30, 0, 30), (3, 3, 9)])
def test_an_interval_holds_the_estimate_and_mirrors(b, c, n):
    low, high = tango_interval(b, c, n)
    assert -1.0 <= low <= (b - c) / n <= high <= 1.0
    assert low < high
    assert tango_interval(c, b, n) == pytest.approx((-high, -low), abs=1e-9)


def test_it_is_where_the_score_reaches_the_quantile():
    """The restricted estimate is found anew, by maximising the likelihood on a grid."""
    b, c, n, z = 12, 2, 50, 1.959963984540054
    for delta in tango_interval(b, c, n):
        second = np.linspace(max(0.0, -delta) + 1e-9, (1.0 - delta) / 2.0 - 1e-9, 2_000_001)
        likelihood = (
            b * np.log(second + delta) + c * np.log(second)
            + (n - b - c) * np.log1p(-2.0 * second - delta)
        )  # fmt: skip
        best = second[likelihood.argmax()]
        score = (b - c - n * delta) / np.sqrt(n * (2.0 * best + delta * (1.0 - delta)))
        assert abs(score) == pytest.approx(z, abs=2e-4)


@pytest.mark.parametrize(("first", "second"), [(0.05, 0.02), (0.2, 0.2), (0.002, 0.0)])
def test_it_covers_what_it_says(first, second):
    """Exact coverage at n = 120: every possible pair of counts, weighted by its probability."""
    n, covered = 120, 0.0
    for differing in range(n + 1):
        outer = binom.pmf(differing, n, first + second)
        if outer < 1e-9:
            continue
        b = np.arange(differing + 1)
        inner = binom.pmf(b, differing, first / (first + second))
        for k, weight in zip(b.tolist(), inner.tolist(), strict=True):
            if weight * outer > 1e-9:
                low, high = tango_interval(k, differing - k, n)
                covered += outer * weight * (low <= first - second <= high)
    assert 0.93 < covered <= 1.0


def test_mcnemar_counts_only_disagreement():
    assert mcnemar_p(0, 0) == 1.0
    assert mcnemar_p(5, 0) == pytest.approx(2 * 0.5**5)
    assert mcnemar_p(1, 4) == pytest.approx(2 * 6 * 0.5**5)


def test_nothing_judged_says_nothing():
    said = paired_difference(0, 0, 0)
    assert (said["value"], said["interval"], said["p_value"]) == (None, [-1.0, 1.0], 1.0)


@pytest.mark.parametrize("counts", [(-1, 0, 5), (3, 3, 5), (0, 0, 0)])
def test_counts_that_cannot_be(counts):
    with pytest.raises(ValueError, match="cannot be"):
        tango_interval(*counts)
