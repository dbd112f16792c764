"""Subset simulation against probabilities that are known, and against itself."""

import math

import numpy as np
import pytest
from gridproof.federation.inquiries.limit_state import LimitState
from gridproof.federation.inquiries.rare import subset_simulation
from gridproof.scenarios.sampling import Uniform
from gridproof.scenarios.setpoints import Setpoints
from gridproof.simulator.linear.engine import LinearEngine
from scipy.special import ndtr
from scipy.stats import norm


def plane(beta, width):
    """A half-space at distance ``beta``: its probability is ``Φ(-beta)`` in any width."""
    return lambda x: beta - x.sum(axis=1) / math.sqrt(width)


@pytest.mark.parametrize(("beta", "width"), [(3.0, 2), (4.0, 6), (4.5, 40)])
def test_a_half_space_has_its_probability_and_about_the_stated_spread(beta, width):
    found = [subset_simulation(plane(beta, width), width, seed=seed) for seed in range(40)]
    truth, ratio = norm.sf(beta), np.array([one.probability for one in found]) / norm.sf(beta)
    assert all(one.reached for one in found)
    stated = np.mean([one.cov for one in found])
    bound = np.mean([one.cov_upper for one in found])
    assert abs(ratio.mean() - 1.0) < 4.0 * ratio.std() / math.sqrt(40)
    assert 0.6 * stated < ratio.std() < bound
    direct = truth * found[0].evaluations * bound**2
    assert direct < 1.0  # plain Monte Carlo of as many points would not come near


def test_two_failure_regions_apart():
    """P(max |x| > 3.2) over four independent normals, with eight ways to fail."""
    truth = 1.0 - (1.0 - 2.0 * norm.sf(3.2)) ** 4
    found = [
        subset_simulation(lambda x: 3.2 - np.abs(x).max(axis=1), 4, seed=s).probability
        for s in range(30)
    ]
    assert np.mean(found) == pytest.approx(truth, rel=0.2)


def test_what_is_not_rare_is_counted_at_once():
    found = subset_simulation(plane(0.5, 3), 3, samples=2000)
    assert len(found.levels) == 1
    assert found.evaluations == 2000
    assert found.probability == pytest.approx(norm.sf(0.5), abs=0.04)
    assert found.cov == pytest.approx(
        math.sqrt((1 - found.probability) / (2000 * found.probability))
    )


def test_what_cannot_fail_is_not_reached_and_said_so():
    found = subset_simulation(lambda x: 1.0 + 1.0 / (1.0 + (x**2).sum(axis=1)), 2, max_levels=4)
    assert (found.reached, found.probability) == (False, 0.0)
    assert len(found.levels) == 4
    assert found.below == pytest.approx(1e-3 * 3e-3, rel=1e-6)


def test_a_plateau_ends_the_search_at_once():
    """Most of the space has one and the same margin: no level can be told from the next."""
    found = subset_simulation(lambda x: np.minimum(0.1, 6.0 - x[:, 0]), 2)
    assert (found.reached, found.evaluations) == (False, 1000)
    assert found.below == pytest.approx(0.003)


@pytest.mark.parametrize("worst", [-1.0, -np.inf])
def test_failures_beside_a_plateau_are_counted(worst):
    truth = 0.05
    found = [
        subset_simulation(lambda x: np.where(x[:, 0] > norm.isf(truth), worst, 0.1), 2, seed=seed)
        for seed in range(20)
    ]
    assert all(one.reached and one.evaluations == 1000 for one in found)
    assert np.mean([one.probability for one in found]) == pytest.approx(truth, rel=0.15)
    assert found[0].cov == pytest.approx(
        math.sqrt((1 - found[0].probability) / (1000 * found[0].probability))
    )


def test_the_last_level_allowed_is_counted():
    found = subset_simulation(plane(norm.isf(0.05), 3), 3, samples=2000, max_levels=1)
    assert found.reached
    assert found.probability == pytest.approx(0.05, abs=0.02)


@pytest.mark.parametrize("width", [1, 6])
def test_a_plateau_across_the_threshold_does_not_bias(width):
    """Four tenths of the space tie where the first level ends; failure lies beyond them."""

    def stepped(x):
        s = x.sum(axis=1) / math.sqrt(width)
        return np.where((s > 0.0753) & (s < 1.5), 1.5, 3.0 - s)

    ratio = np.array(
        [subset_simulation(stepped, width, seed=seed).probability for seed in range(60)]
    ) / norm.sf(3.0)
    assert abs(ratio.mean() - 1.0) < 4.0 * ratio.std() / math.sqrt(60)
    assert ratio.std() < 1.5


@pytest.mark.parametrize("erred", [0.5, 0.95])
def test_what_erred_is_left_out(erred):
    """Every so many points say nothing, wherever they lie: the others are what is counted."""

    def state(x):
        silent = (np.abs(x[:, 1]) * 1e6) % 1.0 < erred
        return np.where(silent, np.inf, 2.0 - x[:, 0])

    found = [subset_simulation(state, 2, seed=seed) for seed in range(60)]
    mean = np.mean([one.probability if one.reached else 0.0 for one in found])
    assert mean == pytest.approx(norm.sf(2.0), rel=0.3)
    nothing = subset_simulation(lambda x: np.full(len(x), np.inf), 2)
    assert (nothing.reached, nothing.below, nothing.judged) == (False, 1.0, 0)


def test_lost_realizations_are_the_worst_there_are():
    """Beyond 3.5 nothing converges: -inf, without any slope to follow."""
    found = [
        subset_simulation(
            lambda x: np.where(x[:, 0] > 3.5, -np.inf, 10.0 - x[:, 0]), 1, seed=seed
        ).probability
        for seed in range(20)
    ]
    assert np.mean(found) == pytest.approx(norm.sf(3.5), rel=0.3)


def test_the_seed_decides_every_number():
    one, same, other = (subset_simulation(plane(3.0, 4), 4, seed=s) for s in (5, 5, 6))
    assert one == same
    assert one.probability != other.probability


@pytest.mark.parametrize("numbers", [{"samples": 15}, {"samples": 10}, {"level_share": 0.3}])
def test_numbers_that_make_no_chains_are_refused(numbers):
    with pytest.raises(ValueError, match="whole chains"):
        subset_simulation(plane(3.0, 2), 2, **numbers)


# ------------------------------------------------------------------------ on a feeder


class Fixed:
    """Set-points stay at the plan's base."""

    def __init__(self, plan):
        self._plan = plan

    def respond(self, realizations):
        count = len(realizations)
        return Setpoints(
            index=realizations.index,
            found=np.ones(count, bool),
            p_kw=np.tile(self._plan.p_kw[0], (count, 1, 1)),
            q_kvar=np.tile(self._plan.q_kvar[0], (count, 1, 1)),
            source_v_pu=np.tile(self._plan.source_v_pu[0], (count, 1)),
        )


@pytest.fixture
def feeder(tiny_scenario, tiny_plan):
    """Three loads of 10 kW a phase, ±25 %, fed by one source whose capacity is the limit.

    In the lossless model a phase's output is ``10 Σ (1 + 0.25 ζ_d)``, so it exceeds ``c``
    where ``Σ ζ > t = (c - 30) / 2.5``; for uniform ``ζ``, ``P = (3 - t)³ / 48`` if ``t ≥ 1``.
    """

    def make(t):
        scenario = tiny_scenario(3, ders=[0], der_kw=30.0 + 2.5 * t)
        object.__setattr__(scenario.ders, "ramp_kw", np.full((1, 3), 1e3))
        object.__setattr__(scenario.ders, "ramp_kvar", np.full((1, 3), 1e3))
        object.__setattr__(scenario.ders, "q_max_kvar", np.full((1, 3), 1e3))
        return scenario, tiny_plan(scenario, p_kw=30.0, q_kvar=15.0)

    return make


@pytest.mark.parametrize(
    ("truth", "samples"), [(1e-3, 1000), pytest.param(1e-5, 1000, marks=pytest.mark.slow)]
)
def test_a_small_feeder_whose_probability_is_known(feeder, truth, samples):
    t = 3.0 - (48.0 * truth) ** (1.0 / 3.0)
    assert t >= 1.0
    scenario, plan = feeder(t)
    law = Uniform(seed=1, width=3)
    found = []
    with LimitState(scenario, plan, Fixed(plan), LinearEngine) as limit_state:
        nominal = limit_state(np.zeros((1, 3)))
        worst = limit_state(np.ones((1, 3)))
        for seed in range(4):
            found.append(
                subset_simulation(
                    lambda x: limit_state(law.from_normal(x)), 3, samples=samples, seed=seed
                )
            )
        assert limit_state.evaluations == 2 + sum(one.evaluations for one in found)
    assert nominal[0] > 0.0 > worst[0]
    assert all(one.reached for one in found)
    mean = np.mean([one.probability for one in found])
    assert mean == pytest.approx(truth, rel=4.0 * found[0].cov_upper / math.sqrt(4))
    assert mean == pytest.approx(truth, rel=0.6)


def test_the_limit_state_is_negative_exactly_where_the_judge_finds_a_violation(feeder):
    scenario, plan = feeder(0.0)
    zeta = 2.0 * ndtr(np.random.Generator(np.random.Philox(1)).normal(size=(200, 3))) - 1.0
    with LimitState(scenario, plan, Fixed(plan), LinearEngine, batch=37) as limit_state:
        g = limit_state(zeta)
        outcomes = [limit_state.row(point)["outcome"] for point in zeta[:40]]
    assert 60 < (g < 0.0).sum() < 140
    np.testing.assert_array_equal(g < 0.0, (zeta.sum(axis=1) * 2.5) > 1e-6 * (30.0 + 1e-9))
    assert [value < 0.0 for value in g[:40]] == [name == "violated" for name in outcomes]
