"""How many realizations are worth one: against autocorrelations worked out by hand."""

import numpy as np
import pytest
from gridproof.federation.statistics.dependence import effective_trials


def test_one_that_repeats_for_a_while_is_worth_less():
    """1 1 0 0: mean ½, deviations ½ ½ -½ -½; ρ₁ = ¼ (of ¾ - ½), ρ₂ = -½, ρ₃ = -¼."""
    values = np.array([True, True, False, False])
    assert effective_trials(values, 1) == pytest.approx(1.0 + 2.0 * 0.25)
    assert effective_trials(values, 2) == 1.0  # 1 + 2 (¼ - ½) is less than one: never below it
    assert effective_trials(values.astype(float), 0) == 1.0


def test_every_lag_counts_twice_up_to_the_last_there_is():
    values = np.array([3.0, 3.0, 3.0, 0.0, 0.0, 0.0, 3.0, 3.0])
    x = values - values.mean()
    rho = [sum(a * b for a, b in zip(x[k:], x[:-k], strict=True)) / (x @ x) for k in range(1, 8)]
    for lags in range(1, 12):
        wanted = max(1.0, 1.0 + 2.0 * sum(rho[:lags]))
        assert effective_trials(values, lags) == pytest.approx(wanted)
    assert effective_trials(values, 1) > 1.5


@pytest.mark.parametrize("values", [np.zeros(0), np.ones(5, bool), np.full(3, 0.5), np.ones(1)])
def test_what_does_not_vary_depends_on_nothing(values):
    assert effective_trials(values, 3) == 1.0
