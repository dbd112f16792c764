"""Sets out of samples: closed forms against bisection, transport programs and enumeration."""

from __future__ import annotations

import re
from itertools import product

import numpy as np
import pytest
from gridproof.optimizer.policy_mode.ambiguity import (
    Log,
    components,
    cube_sigma,
    ellipsoid,
    literal_constant,
    sample_box,
    symmetric_root,
    total,
    worst_leaving,
)
from gridproof.optimizer.policy_mode.shapes import Rectangle, Tail, Worst, bound, tail_weights
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.sets import Wasserstein
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog, minimize_scalar

distances = st.lists(st.floats(0.0, 8.0), min_size=2, max_size=30).map(np.array)
tails = st.floats(0.02, 0.95)
radii = st.floats(1e-4, 4.0)


def leaving_by_transport(v: np.ndarray, sigma: float, epsilon: float, order: float) -> float:
    """Most mass outside ``|v|_∞ < σ`` within transport distance ε, as a program over plans.

    A sample may stay, or go to its own nearest place on any face, or to somebody else's.
    """
    places = [v]
    for j, sign in product(range(v.shape[1]), (-1.0, 1.0)):
        moved = v.copy()
        moved[:, j] = sign * np.maximum(sigma, np.abs(v[:, j]))
        places.append(moved)
    goal = np.vstack(places)
    outside = np.abs(goal).max(axis=1) >= sigma - 1e-12
    cost = np.linalg.norm(v[:, None, :] - goal[None, :, :], ord=order, axis=2)
    n, g = cost.shape
    every = np.kron(np.eye(n), np.ones(g))
    found = linprog(
        -np.tile(outside.astype(float), n),
        A_ub=cost.reshape(1, -1),
        b_ub=[epsilon],
        A_eq=every,
        b_eq=np.full(n, 1.0 / n),
    )
    assert found.success
    return float(-found.fun)


@given(distances, tails, radii)
@settings(max_examples=150, deadline=None)
def test_sigma_is_where_the_worst_probability_comes_to_rho(
    z: np.ndarray, rho: float, epsilon: float
) -> None:
    low, high = 0.0, float(z.max()) + epsilon / rho + 1.0
    for _ in range(200):  # the worst probability falls as the cube grows
        middle = (low + high) / 2.0
        low, high = (middle, high) if worst_leaving(z, middle, epsilon) > rho else (low, middle)
    assert cube_sigma(z, rho, epsilon) == pytest.approx(high, abs=1e-6)


@given(
    st.tuples(st.integers(2, 7), st.integers(1, 3)),
    tails,
    radii,
    st.sampled_from([1, 2, np.inf]),
    st.integers(0, 2**31),
)
@settings(max_examples=25, deadline=None)
def test_no_transport_leaves_the_cube_more_often_in_any_norm(
    size: tuple[int, int], rho: float, epsilon: float, order: float, seed: int
) -> None:
    v = np.random.default_rng(seed).normal(size=size)
    z = np.abs(v).max(axis=1)
    sigma = cube_sigma(z, rho, epsilon)
    assert leaving_by_transport(v, sigma, epsilon, order) == pytest.approx(rho, abs=1e-6)
    wider = 0.8 * sigma
    assert leaving_by_transport(v, wider, epsilon, order) == pytest.approx(
        worst_leaving(z, wider, epsilon), abs=1e-6
    )


def test_far_out_sigma_is_cvar_and_a_ratio_and_without_a_radius_a_quantile() -> None:
    z = np.arange(1.0, 101.0)
    assert cube_sigma(z, 0.05, 10.0) == pytest.approx(98.0 + 10.0 / 0.05)
    assert cube_sigma(z, 0.05, 0.0) == 96.0  # the least of the five largest
    assert cube_sigma(z, 0.055, 0.0) == 95.0  # the sixth counts in half
    half = (np.arange(96.0, 101.0).sum() + 0.5 * 95.0) / 5.5
    assert cube_sigma(z, 0.055, 10.0) == pytest.approx(half + 10.0 / 0.055)


@given(distances, tails)
@settings(max_examples=60, deadline=None)
def test_the_tail_is_cvar_as_a_minimum(z: np.ndarray, rho: float) -> None:
    def above(t: float) -> float:  # (8): the least over t is CVaR, at one of the samples
        return t + float(np.maximum(z - t, 0.0).mean()) / rho

    found = Tail(samples=z[:, None], rho=rho).support(np.ones(1)).value
    assert found == pytest.approx(min(above(t) for t in z), abs=1e-9)
    assert tail_weights(len(z), rho).sum() == pytest.approx(rho)


@given(st.integers(2, 40), st.integers(1, 6), st.integers(0, 2**31), st.floats(1e-3, 1e3))
@settings(max_examples=40, deadline=None)
def test_the_printed_constant_is_a_minimum_over_alpha(
    n: int, m: int, seed: int, scale: float
) -> None:
    v = scale * np.random.default_rng(seed).normal(size=(n, m))
    q = np.abs(v).sum(axis=1) ** 2

    def printed(log_alpha: float) -> float:
        x = np.exp(log_alpha) * q / q.max()
        top = x.max()
        mean = top + np.log(np.exp(x - top).mean())
        return 2.0 * np.sqrt((1.0 + mean) / (2.0 * np.exp(log_alpha)) * q.max())

    grid = np.linspace(-10.0, 25.0, 600)
    start = grid[np.argmin([printed(a) for a in grid])]
    least = minimize_scalar(printed, bounds=(start - 0.1, start + 0.1), method="bounded").fun
    assert literal_constant(v) == pytest.approx(least, rel=1e-6)


def _log(seed: int, n: int = 30, m: int = 3) -> Log:
    rng = np.random.default_rng(seed)
    upper = rng.uniform(20.0, 90.0, m)
    samples = np.where(rng.random((n, m)) < 0.4, rng.uniform(0.0, 1.0, (n, m)) * upper, 0.0)
    return Log(
        ids=tuple(f"e{k}@west" for k in range(m)),
        samples=samples,
        lower=np.zeros(m),
        upper=upper,
    )


def test_covariance_is_shrunk_to_the_boxes_own_and_the_root_is_symmetric() -> None:
    log = _log(1)
    found = components(log, rho=0.05, epsilon=0.1, gamma=0.2).shape
    sample = np.cov(log.samples.T)
    wanted = 0.8 * sample + 0.2 * np.diag((log.upper - log.lower) ** 2 / 12.0)
    np.testing.assert_allclose(found.root @ found.root, wanted, atol=1e-9)
    np.testing.assert_allclose(found.root, found.root.T, atol=1e-12)


def test_a_component_that_never_happened_is_mended_by_the_floor_and_named_without() -> None:
    log = _log(2)
    still = Log(
        ids=log.ids, samples=log.samples * [1.0, 0.0, 1.0], lower=log.lower, upper=log.upper
    )
    assert components(still, rho=0.05, gamma=0.01).shape.sigma > 0.0
    with pytest.raises(ScenarioError, match="component e1@west: the covariance is singular"):
        components(still, rho=0.05, gamma=0.0)
    with pytest.raises(ScenarioError, match="e0@west"):
        symmetric_root(np.diag([0.0, 1.0]), log.ids, 0.0)


def test_the_literal_radius_makes_the_whole_support_box_of_it() -> None:
    log = _log(3, n=100)
    box = Rectangle(lower=log.lower, upper=log.upper)
    literal = components(log, rho=0.05)
    small = components(log, rho=0.05, radius_scale=0.01)
    assert literal.epsilon == literal.literal_epsilon
    assert small.epsilon == pytest.approx(0.01 * literal.epsilon)
    for direction in np.random.default_rng(0).normal(size=(20, 3)):
        whole = box.support(direction).value
        assert literal.shape.support(direction).value == pytest.approx(whole)
        assert small.shape.support(direction).value <= whole + 1e-9


def test_the_total_of_a_step_is_an_interval_inside_its_range() -> None:
    log = _log(4)
    shape = np.array([[1.0, 1.0, 1.0], [1.0, 0.0, -1.0], [0.0, 0.0, 0.0]])
    found = total(log, shape, rho=0.1, radius_scale=0.1)
    assert [len(a.shape.mean) for a in found] == [1, 1, 1]
    for one, row in zip(found, shape, strict=True):
        delta = log.samples @ row
        high = one.shape.support(np.ones(1)).value
        low = -one.shape.support(-np.ones(1)).value
        assert np.mean((delta < low - 1e-9) | (delta > high + 1e-9)) <= 0.1
        assert high <= Rectangle(lower=log.lower, upper=log.upper).support(row).value + 1e-9
    assert found[2].shape.support(np.ones(1)).value == 0.0


@given(st.integers(1, 6), st.integers(0, 2**31), st.floats(0.05, 2.0))
@settings(max_examples=25, deadline=None)
def test_the_worst_of_a_cut_set_is_exact_and_the_bound_is_never_less(
    m: int, seed: int, sigma: float
) -> None:
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(m, m))
    root = symmetric_root(half @ half.T + 0.1 * np.eye(m), tuple("abcdef"), 0.1)
    reach = sigma * np.abs(root).sum(axis=1)
    shape = Wasserstein(
        mean=np.zeros(m), root=root, sigma=sigma,
        lower=-reach * rng.uniform(0.0, 1.2, m), upper=reach * rng.uniform(0.0, 1.2, m),
    )  # fmt: skip
    directions = rng.normal(size=(12, m)) * 10.0 ** rng.uniform(-3.0, 2.0, (12, 1))
    worst = Worst(shape)
    values, at = worst(directions)
    for k, direction in enumerate(directions):
        scale = np.abs(direction).max() * max(1.0, float(reach.max()))
        assert values[k] == pytest.approx(shape.support(direction).value, abs=1e-6 * scale)
        assert shape.contains(at[k], 1e-6)
        assert values[k] == pytest.approx(direction @ at[k])
    top, _ = bound(shape, directions)
    assert (top >= values - 1e-6 * np.abs(directions).max(axis=1)).all()
    if shape.cut:
        again, _ = worst.among_known(directions)
        np.testing.assert_allclose(again, values)


def test_the_gaussian_set_holds_its_share_of_a_gaussian() -> None:
    rng = np.random.default_rng(5)
    samples = np.clip(rng.normal(size=(4000, 2)) @ [[3.0, 1.0], [0.0, 2.0]], -50, 50)
    log = Log(ids=("a@x", "b@x"), samples=samples, lower=np.full(2, -50.0), upper=np.full(2, 50.0))
    found = ellipsoid(log, rho=0.1, gamma=0.0)
    direction = np.array([1.0, -0.5])
    top = found.support(direction)
    assert found.contains(top.zeta)
    assert np.mean(samples @ direction > top.value) == pytest.approx(0.05, abs=0.012)


def test_the_box_of_samples_is_their_span_and_its_corners_attain_its_support() -> None:
    box = sample_box(_log(6))
    corners = np.array(list(box.vertices()))
    for direction in np.random.default_rng(1).normal(size=(10, 3)):
        assert box.support(direction).value == pytest.approx((corners @ direction).max())
        assert box.contains(box.support(direction).zeta)


BAD = (
    ("N = 0", lambda log: {"samples": log.samples[:0]}, "N = 0 samples"),
    ("N = 1", lambda log: {"samples": log.samples[:1]}, "N = 1 samples"),
    ("width", lambda log: {"samples": log.samples[:, :2]}, "row 1: 2 values; the mode has 3"),
    (
        "NaN",
        lambda log: {"samples": np.where(np.arange(90).reshape(30, 3) == 13, np.nan, log.samples)},
        "row 5, column e1@west: nan is not a number",
    ),
    (
        "outside",
        lambda log: {"samples": log.samples - np.eye(30, 3) * 500.0},
        "row 1, column e0@west: -",
    ),
    ("turned", lambda log: {"upper": -log.upper}, "component e0@west: its range is"),
)


@pytest.mark.parametrize(("change", "message"), [b[1:] for b in BAD], ids=[b[0] for b in BAD])
def test_a_bad_log_is_refused_with_its_cell(change: object, message: str) -> None:
    log = _log(7)
    given = {"ids": log.ids, "samples": log.samples, "lower": log.lower, "upper": log.upper}
    with pytest.raises(ScenarioError, match=re.escape(message)):
        Log(**given | change(log))  # type: ignore[operator]


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"rho": 0.0}, "rho = 0 must lie in (0, 1)"),
        ({"rho": 1.0}, "rho = 1 must lie in (0, 1)"),
        ({"beta": 1.0}, "beta = 1 must lie in (0, 1)"),
        ({"rho": float("nan")}, "rho = nan"),
        ({"radius_scale": -0.1}, "radius_scale = -0.1 must be"),
        ({"epsilon": -1.0}, "epsilon = -1 must be"),
        ({"epsilon": float("inf")}, "epsilon = inf must be"),
        ({"gamma": 1.5}, "covariance_floor = 1.5"),
    ],
)
def test_parameters_out_of_range_are_named(given: dict[str, float], message: str) -> None:
    with pytest.raises(ScenarioError, match=re.escape(message)):
        components(_log(8), **{"rho": 0.05} | given)
