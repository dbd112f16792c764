"""Paired shares: intervals that invert their own test and cover what they say they cover."""

import numpy as np
import pytest
from gridproof.federation.statistics.paired import (
    anytime_difference,
    mcnemar_p,
    paired_difference,
    tango_interval,
)
from gridproof.federation.statistics.sequential import confidence_sequence
from scipy.integrate import quad
from scipy.stats import beta, binom


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


def test_a_difference_is_told_with_its_interval_and_test():
    said = paired_difference(5, 1, 40, 0.9)
    assert said.value == pytest.approx(0.1)
    assert said.interval == tango_interval(5, 1, 40, 0.9)
    assert said.confidence == 0.9
    assert said.p_value == mcnemar_p(5, 1) == pytest.approx(2 * 7 / 64)


@pytest.mark.parametrize(("b", "c"), [(12, 1), (1, 12), (9, 3), (4, 4), (0, 0)])
def test_evidence_is_the_likelihood_mixed_over_what_the_share_may_be(b, c):
    """By quadrature over ``θ = sin²(t)``, under which Jeffreys' law is flat in t."""
    mixed, _ = quad(lambda t: np.sin(t) ** (2 * b) * np.cos(t) ** (2 * c), 0.0, np.pi / 2.0)
    ratio = mixed / (np.pi / 2.0) / 0.5 ** (b + c)
    assert beta(0.5, 0.5).cdf(0.25) == pytest.approx(1.0 / 3.0)  # as sin² of a sixth of a turn
    said = anytime_difference(b, c, 60, 0.9)
    assert said.p_value == pytest.approx(min(1.0, 1.0 / ratio), rel=1e-9)
    assert said.value == pytest.approx((b - c) / 60)
    assert said.confidence == 0.9


def test_at_any_time_the_difference_lies_between_both_shares_own_ends():
    first, second = (confidence_sequence(count, 60, 0.95) for count in (12, 1))
    said = anytime_difference(12, 1, 60, 0.9)  # each share at half of what may be missed
    assert said.interval == pytest.approx([first[0] - second[1], first[1] - second[0]])
    mirrored = anytime_difference(1, 12, 60, 0.9).interval
    assert mirrored == pytest.approx([-said.interval[1], -said.interval[0]])


def test_where_all_that_differ_differ_alike_the_end_is_one():
    assert tango_interval(30, 0, 30)[1] == 1.0
    assert tango_interval(0, 30, 30)[0] == -1.0
    z = 1.959963984540054  # n (1 - Δ) = z² (1 + Δ), as p̃ = (1 - Δ) / 2 there
    assert tango_interval(30, 0, 30)[0] == pytest.approx((30 - z**2) / (30 + z**2))


def test_mcnemar_counts_only_disagreement():
    assert mcnemar_p(0, 0) == 1.0
    assert mcnemar_p(3, 3) == 1.0  # twice the half of all would be more
    assert mcnemar_p(5, 0) == pytest.approx(2 * 0.5**5)
    assert mcnemar_p(1, 4) == pytest.approx(2 * 6 * 0.5**5)


def test_nothing_judged_says_nothing():
    for of in (paired_difference, anytime_difference):
        assert of(0, 0, 0, 0.9).to_json() == {
            "value": None, "interval": [-1.0, 1.0], "confidence": 0.9, "p_value": 1.0,
        }  # fmt: skip


@pytest.mark.parametrize(
    "counts",
    [(-1, 0, 5), (0, -1, 5), (3, 3, 5), (0, 0, 0), (1, 1, 5, 0.0), (1, 1, 5, 1.0), (1, 1, 5, -0.5)],
)
def test_counts_that_cannot_be(counts):
    with pytest.raises(ValueError, match="cannot be"):
        tango_interval(*counts)
