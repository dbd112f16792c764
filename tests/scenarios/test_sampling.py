"""Samplers: index i is a function of the declared fields and i, and the laws are those declared."""

from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
from gridproof.scenarios.realization import draw, realize
from gridproof.scenarios.sampling import (
    Empirical,
    LatinHypercube,
    Sobol,
    TruncatedNormal,
    Uniform,
    Vertices,
    sample,
)
from gridproof.scenarios.sets import Box
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import ndtr
from scipy.stats import chisquare, kstest, qmc, truncnorm

LENGTH = 96
CORRELATION = np.array([[1.0, 0.6, -0.3], [0.6, 1.0, 0.1], [-0.3, 0.1, 1.0]])
HISTORY = np.linspace(-1.0, 1.0, 21).reshape(7, 3)
NAMES = ["uniform", "corners", "all corners", "latin", "sobol", "normal", "history"]


def sampler(name, seed, samples=LENGTH):
    moving = np.array([True, False, True])
    return {
        "uniform": lambda: Uniform(seed=seed, width=3),
        "corners": lambda: Vertices(seed=seed, samples=3, moving=moving),
        "all corners": lambda: Vertices(seed=seed, samples=samples, moving=moving),
        "latin": lambda: LatinHypercube(seed=seed, width=3, samples=samples),
        "sobol": lambda: Sobol(seed=seed, width=3, samples=samples),
        "normal": lambda: TruncatedNormal(seed=seed, std_share=0.4, correlation=CORRELATION),
        "history": lambda: Empirical(seed=seed, history=HISTORY),
    }[name]()


@settings(deadline=None, max_examples=60)
@given(
    name=st.sampled_from(NAMES),
    seed=st.integers(0, 2**64 - 1),
    cuts=st.lists(st.integers(0, LENGTH), max_size=6),
    data=st.data(),
)
def test_any_cut_in_any_order_gives_the_same_bytes(name, seed, cuts, data):
    whole = sampler(name, seed).coordinates(0, LENGTH)
    assert np.abs(whole).max() <= 1.0
    edges = sorted({0, LENGTH, *cuts})
    for first, last in data.draw(st.permutations(list(pairwise(edges)))):
        part = sampler(name, seed).coordinates(first, last - first)  # a worker of its own
        assert part.tobytes() == whole[first:last].tobytes()


@pytest.mark.parametrize("name", [name for name in NAMES if name != "all corners"])
def test_seeds_differ(name):
    one, other = (sampler(name, seed).coordinates(0, LENGTH) for seed in (1, 2))
    assert not np.array_equal(one, other)


def test_the_uniform_sampler_is_the_draw(tiny_scenario):
    scenario = tiny_scenario()
    mine = sample(scenario, Uniform(seed=5, width=3), 40, 9)
    other = draw(scenario, 5, 40, 9)
    assert mine.zeta.tobytes() == other.zeta.tobytes()
    assert mine.p_kw.tobytes() == other.p_kw.tobytes()
    assert mine.index.tolist() == list(range(40, 49))


# ------------------------------------------------------------------------------------ corners


def test_all_corners_in_the_order_of_the_set_then_again():
    box = Box(load_ids=("a", "b", "c"), spread=[0.1, 0.0, 0.2])
    found = Vertices(seed=1, samples=10, moving=box.spread > 0.0)
    assert found.exhaustive
    corners = list(box.vertices())
    assert found.coordinates(0, 10).tolist() == [corners[i % 4].tolist() for i in range(10)]


def test_more_corners_than_samples_are_drawn_evenly():
    found = Vertices(seed=3, samples=4096, moving=np.ones(13, bool))
    assert not found.exhaustive
    zeta = found.coordinates(0, 4096)
    assert set(np.unique(zeta)) == {-1.0, 1.0}
    assert np.abs(zeta.mean(axis=0)).max() < 5.0 / np.sqrt(4096)
    assert np.abs(np.corrcoef(zeta.T) - np.eye(13)).max() < 5.0 / np.sqrt(4096)
    assert len({row.tobytes() for row in zeta}) > 3000


# ------------------------------------------------------------------------------------ designs


@pytest.mark.parametrize("samples", [1, 2, 7, 1000])
def test_a_latin_hypercube_has_one_point_in_every_stratum(samples):
    zeta = LatinHypercube(seed=11, width=4, samples=samples).coordinates(0, samples)
    strata = np.floor((zeta + 1.0) / 2.0 * samples)
    for column in strata.T:
        assert sorted(column) == list(range(samples))
    if samples == 1000:
        assert np.abs(np.corrcoef(zeta.T) - np.eye(4)).max() < 5.0 / np.sqrt(samples)


def test_latin_strata_are_shuffled_evenly():
    """Every order of three strata comes up as often: χ² of 6 cells over 3000 seeds."""
    designs = (LatinHypercube(seed=s, width=1, samples=3) for s in range(3000))
    orders = [tuple(np.floor((d.coordinates(0, 3)[:, 0] + 1) * 1.5)) for d in designs]
    counts = np.unique(orders, axis=0, return_counts=True)[1]
    assert len(counts) == 6
    assert chisquare(counts).pvalue > 1e-3


def test_a_latin_hypercube_estimates_a_sum_far_better_than_independent_draws():
    def spread(make):
        return np.std([make(seed).coordinates(0, 64).sum(axis=1).mean() for seed in range(200)])

    independent = spread(lambda seed: Uniform(seed=seed, width=3))
    assert spread(lambda seed: LatinHypercube(seed=seed, width=3, samples=64)) < independent / 20
    assert spread(lambda seed: Sobol(seed=seed, width=3, samples=64)) < independent / 5


@pytest.mark.parametrize("seed", [0, 7, 2**64 - 1])
@pytest.mark.parametrize("width", [1, 6, 40])
def test_sobol_points_are_scipys_whatever_the_row_asked_first(seed, width):
    points = 2.0 * qmc.Sobol(width, bits=30, rng=seed).random(256) - 1.0
    mine = Sobol(seed=seed, width=width, samples=200)
    np.testing.assert_array_equal(mine.coordinates(131, 69), points[131:200])
    np.testing.assert_array_equal(mine.coordinates(0, 200), points[:200])


def test_sobol_is_far_more_even_than_chance():
    def unevenness(found):
        return qmc.discrepancy((found.coordinates(0, 256) + 1.0) / 2.0)

    sobol = unevenness(Sobol(seed=1, width=3, samples=256))
    assert sobol < unevenness(Uniform(seed=1, width=3)) / 10


@pytest.mark.parametrize("name", ["latin", "sobol"])
def test_beyond_its_length_a_design_has_no_rows(name):
    with pytest.raises(ValueError, match="a longer design has other points"):
        sampler(name, 1).coordinates(LENGTH - 2, 3)


# --------------------------------------------------------------------------------------- laws


def test_truncated_normal_margins_are_truncated_normal():
    for std in (0.25, 0.5, 2.0):
        found = TruncatedNormal(seed=4, std_share=std, correlation=CORRELATION)
        zeta = found.coordinates(0, 20_000)
        law = truncnorm(-1.0 / std, 1.0 / std, scale=std)
        for column in zeta.T:
            assert kstest(column, law.cdf).pvalue > 1e-3
            assert column.std() == pytest.approx(law.std(), rel=0.02)
        assert np.abs(zeta).max() <= 1.0


def test_the_copula_is_the_gaussian_one_declared():
    std, count = 0.4, 40_000
    zeta = TruncatedNormal(seed=9, std_share=std, correlation=CORRELATION).coordinates(0, count)
    law = truncnorm(-1.0 / std, 1.0 / std, scale=std)
    normal = np.clip(law.cdf(zeta), 1e-12, 1 - 1e-12)
    from scipy.special import ndtri

    error = np.abs(np.corrcoef(ndtri(normal).T) - CORRELATION)
    assert error.max() < 5.0 / np.sqrt(count)


def test_from_normal_has_the_samplers_own_law():
    normal = np.random.Generator(np.random.Philox(6)).normal(size=(20_000, 3))
    zeta = Uniform(seed=1, width=3).from_normal(normal)
    np.testing.assert_allclose(zeta, 2 * ndtr(normal) - 1)
    assert kstest(zeta[:, 0], "uniform", args=(-1.0, 2.0)).pvalue > 1e-3
    found = TruncatedNormal(seed=1, std_share=0.3, correlation=CORRELATION)
    law = truncnorm(-1 / 0.3, 1 / 0.3, scale=0.3)
    assert kstest(found.from_normal(normal)[:, 2], law.cdf).pvalue > 1e-3


@pytest.mark.parametrize(
    ("matrix", "why"),
    [
        ([[1.0, 0.5], [0.4, 1.0]], "not symmetric"),
        ([[1.0, 0.5], [0.5, 2.0]], "diagonal"),
        ([[1.0, 1.0], [1.0, 1.0]], "not positive definite"),
        ([[1.0, 0.9, -0.9], [0.9, 1.0, 0.9], [-0.9, 0.9, 1.0]], "least eigenvalue is -"),
    ],
)
def test_what_is_no_correlation_is_refused(matrix, why):
    with pytest.raises(ValueError, match=why):
        TruncatedNormal(seed=1, std_share=0.5, correlation=np.array(matrix))


def test_history_rows_are_drawn_evenly_and_whole():
    found = Empirical(seed=2, history=HISTORY)
    rows = found.rows(0, 7000)
    assert chisquare(np.bincount(rows, minlength=7)).pvalue > 1e-3
    np.testing.assert_array_equal(found.coordinates(0, 50), HISTORY[rows[:50]])


# ---------------------------------------------------------------------------------- per phase


def test_each_phase_moves_on_its_own_and_only_on_slots_that_are_there(tiny_scenario):
    scenario = replace(
        tiny_scenario(),
        draws_per_phase=True,
        uncertainty=Box(load_ids=("d2", "d0"), spread=[0.5, 0.25]),
    )
    assert scenario.direction_ids == ("d2.a", "d2.b", "d2.c", "d0.a", "d0.b", "d0.c")
    assert scenario.direction_spread.tolist() == [0.5] * 3 + [0.25] * 3
    zeta = np.array([[1.0, 0.0, -1.0, 0.0, 1.0, 0.0]])
    batch = realize(scenario, zeta)
    assert batch.p_kw[0, 0, 2].tolist() == [15.0, 10.0, 5.0]
    assert batch.p_kw[0, 0, 0].tolist() == [10.0, 12.5, 10.0]
    assert batch.p_kw[0, 0, 1].tolist() == [10.0, 10.0, 10.0]
    assert batch.q_kvar[0, 0, 2].tolist() == [7.5, 5.0, 2.5]
    share = sample(scenario, Uniform(seed=1, width=6), 0, 400).p_kw / scenario.load_p_kw
    assert np.abs(share[:, 0, 2] - 1.0).max() <= 0.5
    assert abs(np.corrcoef(share[:, 0, 2].T)[0, 1]) < 0.25


def test_equal_phases_are_the_loads_own_direction(tiny_scenario):
    scenario = replace(tiny_scenario(), draws_per_phase=True)
    zeta = np.array([[0.3, -0.7, 1.0]])
    together, apart = realize(scenario, zeta), realize(scenario, np.repeat(zeta, 3, axis=1))
    np.testing.assert_array_equal(together.p_kw, apart.p_kw)
    with pytest.raises(ValueError, match="4 coordinates found where 3"):
        realize(scenario, np.zeros((1, 4)))


def test_how_phases_are_drawn_is_not_the_planners_business(tiny_scenario):
    scenario = tiny_scenario()
    assert replace(scenario, draws_per_phase=True).digest() == scenario.digest()
