"""Every uncertainty set obeys the laws of the protocol, and its own closed form."""

from itertools import product

import numpy as np
import pytest
from gridproof.scenarios.arrays import content_digest
from gridproof.scenarios.points import Scenarios
from gridproof.scenarios.sets import Box, Budget, UncertaintySet, Wasserstein
from hypothesis import given, settings
from hypothesis import strategies as st


def box(rng: np.random.Generator) -> Box:
    size = int(rng.integers(1, 5))
    return Box(load_ids=tuple(f"l{k}" for k in range(size)), spread=np.full(size, 0.2))


def uneven(rng: np.random.Generator) -> Box:
    size = int(rng.integers(1, 5))
    down, up = rng.choice([0.0, 0.1, 0.3, 1.0], (2, size))
    up[down + up == 0.0] = 0.2  # what does not move at all has no corner of its own
    return Box.between(tuple(f"l{k}" for k in range(size)), down, up)


def budget(rng: np.random.Generator) -> Budget:
    size = int(rng.integers(1, 6))
    gamma = np.round(rng.uniform(0.0, 3.5, 2), int(rng.integers(0, 2)))
    return Budget(group=rng.integers(-1, 2, size), gamma=gamma)


def whole(rng: np.random.Generator) -> Wasserstein:
    size = int(rng.integers(1, 5))
    spread = rng.normal(size=(size, size))
    values, vectors = np.linalg.eigh(spread @ spread.T + np.eye(size))
    root = vectors * np.sqrt(values) @ vectors.T
    return Wasserstein(mean=rng.normal(size=size), root=root, sigma=float(rng.uniform(0, 2)))


def cut(rng: np.random.Generator) -> Wasserstein:
    one = whole(rng)
    reach = one.sigma * np.abs(one.root).sum(axis=1)
    return Wasserstein(
        mean=one.mean, root=one.root, sigma=one.sigma,
        lower=one.mean - rng.uniform(0.1, 0.9, one.size) * reach,
        upper=one.mean + rng.uniform(0.1, 1.5, one.size) * reach,
    )  # fmt: skip


def scenarios(rng: np.random.Generator) -> Scenarios:
    count, size = int(rng.integers(1, 7)), int(rng.integers(1, 4))
    return Scenarios(points=rng.normal(size=(count, size)), weight=rng.uniform(0.1, 1.0, count))


KINDS = (box, uneven, budget, whole, cut, scenarios)
ANY = st.tuples(st.sampled_from(KINDS), st.integers(0, 2**32 - 1))


def made(asked) -> tuple[UncertaintySet, np.random.Generator]:
    kind, seed = asked
    rng = np.random.default_rng(seed)
    return kind(rng), rng


@given(ANY)
@settings(max_examples=150, deadline=None)
def test_a_maximiser_is_in_the_set_and_attains_the_value(asked):
    one, rng = made(asked)
    direction = rng.normal(size=one.size)
    found = one.support(direction)
    assert one.contains(found.zeta, 1e-7)
    assert found.value == pytest.approx(direction @ found.zeta, abs=1e-12)


@given(ANY)
@settings(max_examples=150, deadline=None)
def test_no_drawn_point_is_outside_or_beyond_the_support(asked):
    one, rng = made(asked)
    drawn = one.draw(rng.random((40, one.width)))
    assert drawn.shape == (40, one.size)
    assert all(one.contains(point, 1e-9) for point in drawn)
    direction = rng.normal(size=one.size)
    assert (drawn @ direction).max() <= one.support(direction).value + 1e-7


@given(ANY)
@settings(max_examples=150, deadline=None)
def test_the_best_vertex_attains_the_support(asked):
    one, rng = made(asked)
    if isinstance(one, Wasserstein) and one.cut:
        with pytest.raises(ValueError, match="support"):
            next(one.vertices())
        return
    corners = np.array(list(one.vertices()))
    assert all(one.contains(corner, 1e-9) for corner in corners)
    for direction in rng.normal(size=(5, one.size)):
        assert (corners @ direction).max() == pytest.approx(one.support(direction).value, abs=1e-9)


@given(st.integers(0, 2**32 - 1))
@settings(max_examples=60, deadline=None)
def test_the_support_of_a_cut_parallelotope_is_that_of_its_dual(seed):
    # weak duality, written by hand: any multiplier of the box bounds what is inside
    rng = np.random.default_rng(seed)
    one = cut(rng)
    direction = rng.normal(size=one.size)
    value = one.support(direction).value
    for multiplier in rng.normal(size=(50, one.size)):
        rest = direction - multiplier
        free = rest @ one.mean + one.sigma * np.abs(one.root.T @ rest).sum()
        boxed = np.where(multiplier > 0.0, multiplier * one.upper, multiplier * one.lower).sum()
        assert value <= free + boxed + 1e-7


def test_a_budget_is_what_a_grid_search_finds():
    one = Budget(group=np.array([0, 0, 0, -1]), gamma=np.array([1.5]))
    direction = np.array([3.0, -2.0, 1.0, -0.5])
    steps = np.linspace(-1.0, 1.0, 9)
    best = max(
        direction @ np.array(zeta)
        for zeta in product(steps, repeat=4)
        if np.abs(zeta[:3]).sum() <= 1.5
    )
    assert one.support(direction).value == pytest.approx(best) == pytest.approx(3.0 + 1.0 + 0.5)


def test_a_budget_of_everything_is_a_box_and_of_nothing_is_nominal():
    everything = Budget(group=np.zeros(3, int), gamma=np.array([3.0]))
    nothing = Budget(group=np.zeros(3, int), gamma=np.array([0.0]))
    direction = np.array([1.0, -2.0, 0.5])
    assert everything.support(direction).value == 3.5
    assert nothing.support(direction).value == 0.0
    assert len(list(nothing.vertices())) == 1


def test_weights_say_how_often_a_scenario_is_drawn():
    one = Scenarios(points=np.array([[0.0], [1.0]]), weight=np.array([3.0, 1.0]))
    drawn = one.draw(np.linspace(0.0, 1.0, 4000, endpoint=False)[:, None])
    assert drawn.mean() == pytest.approx(0.25)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Budget(group=np.array([0]), gamma=np.array([-1.0])),
        lambda: Budget(group=np.array([1]), gamma=np.array([1.0])),
        lambda: Wasserstein(mean=np.zeros(1), root=np.eye(1), sigma=-1.0),
        lambda: Wasserstein(mean=np.ones(1), root=np.eye(1), sigma=1.0, upper=np.zeros(1)),
        lambda: Scenarios(points=np.zeros((0, 2)), weight=np.zeros(0)),
        lambda: Scenarios(points=np.zeros((1, 2)), weight=np.zeros(1)),
    ],
)
def test_what_is_no_set_is_refused(make):
    with pytest.raises(ValueError, match=r"must|numbered|mean|weights"):
        make()


@given(st.lists(st.floats(0.0, 1.0), max_size=5), st.integers(0, 2**32 - 1))
@settings(max_examples=100, deadline=None)
def test_as_far_down_as_up_is_the_even_box_to_the_byte(shares, seed):
    names, spread = tuple(f"l{k}" for k in range(len(shares))), np.array(shares, float)
    one, other = Box(load_ids=names, spread=spread), Box.between(names, spread, spread)
    assert other.even
    assert content_digest(one) == content_digest(other)
    uniforms = np.random.default_rng(seed).random((20, len(shares)))
    np.testing.assert_array_equal(one.draw(uniforms), 2.0 * uniforms - 1.0)
    np.testing.assert_array_equal(one.draw(uniforms), other.draw(uniforms))
    np.testing.assert_array_equal(list(one.vertices()), list(other.vertices()))


def test_an_uneven_box_moves_a_load_between_its_own_ends():
    one = Box.between(("a", "b", "c"), np.array([0.1, 0.4, 0.0]), np.array([0.4, 0.0, 0.0]))
    corners = np.array(list(one.vertices())) * one.spread
    assert sorted(map(tuple, corners.round(12).tolist())) == [
        (-0.1, -0.4, 0.0), (-0.1, 0.0, 0.0), (0.4, -0.4, 0.0), (0.4, 0.0, 0.0),
    ]  # fmt: skip
    drawn = one.draw(np.random.default_rng(1).random((4000, 3))) * one.spread
    np.testing.assert_allclose(drawn.min(axis=0), [-0.1, -0.4, 0.0], atol=2e-3)
    np.testing.assert_allclose(drawn.max(axis=0), [0.4, 0.0, 0.0], atol=2e-3)
    assert content_digest(one) != content_digest(Box(load_ids=one.load_ids, spread=one.spread))
