"""The search for the worst realization, where the worst is known and where it hides."""

import numpy as np
import pytest
from gridproof.federation.inquiries.adversary import ENUMERATED, worst_realization
from hypothesis import given, settings
from hypothesis import strategies as st


def all_moving(width):
    return np.ones(width, bool)


@settings(deadline=None, max_examples=25)
@given(seed=st.integers(0, 10**6), width=st.integers(1, 8))
def test_a_linear_margin_is_worst_at_its_own_corner(seed, width):
    slope = np.random.Generator(np.random.Philox(seed)).normal(size=width)

    def margin(zeta):
        return 1.0 + zeta @ slope

    found = worst_realization(margin, margin, all_moving(width), budget=200, seed=seed)
    assert found.least == pytest.approx(1.0 - np.abs(slope).sum())
    np.testing.assert_array_equal(found.zeta, -np.sign(slope))
    assert found.at_corner
    assert found.evaluations <= 220
    assert found.linear_evaluations == 2**width


def test_a_linear_model_that_errs_is_mended_by_the_physics():
    """The linear model ranks corners the wrong way round; the coordinate search walks back."""
    slope = np.array([1.0, -2.0, 0.5, 1.5])
    found = worst_realization(
        lambda z: z @ slope, lambda z: -(z @ slope), all_moving(4), budget=400
    )
    assert found.least == pytest.approx(-np.abs(slope).sum())


def test_a_worst_point_inside_is_found():
    """A narrow dip inside the box that no corner shows."""
    centre = np.array([0.3, -0.55, 0.1])

    def margin(zeta):
        return 1.0 - 2.0 * np.exp(-6.0 * ((zeta - centre) ** 2).sum(axis=1))

    found = worst_realization(margin, lambda z: z.sum(axis=1), all_moving(3), budget=3000)
    assert found.least == pytest.approx(-1.0, abs=0.01)
    assert not found.at_corner
    assert np.abs(found.zeta - centre).max() < 0.1
    assert [stage.name for stage in found.stages] == ["corners", "coordinates", "evolution"]
    assert found.stages[0].least > found.stages[-1].least


def test_many_directions_are_climbed_not_enumerated():
    width = ENUMERATED + 18
    slope = np.random.Generator(np.random.Philox(9)).normal(size=width)

    def margin(zeta):
        return zeta @ slope

    found = worst_realization(margin, margin, all_moving(width), budget=300)
    assert found.least == pytest.approx(-np.abs(slope).sum())
    assert found.linear_evaluations < 30_000


def test_what_does_not_move_stays_and_what_is_lost_is_the_worst():
    moving = np.array([True, False, True])
    found = worst_realization(
        lambda z: np.where(z[:, 0] < -0.9, -np.inf, z[:, 2]), lambda z: z[:, 2], moving, budget=150
    )
    assert found.least == -np.inf
    assert found.zeta[1] == 1.0
    nothing = worst_realization(lambda z: z.sum(axis=1), lambda z: z[:, 0], ~all_moving(2))
    assert (nothing.least, nothing.evaluations) == (2.0, 1)


def test_the_seed_decides_every_point():
    def margin(zeta):
        return np.sin(5.0 * zeta).sum(axis=1)

    runs = [
        worst_realization(margin, lambda z: z.sum(axis=1), all_moving(4), budget=500, seed=s)
        for s in (3, 3)
    ]
    assert runs[0].zeta.tobytes() == runs[1].zeta.tobytes()
    assert runs[0].stages == runs[1].stages


@pytest.mark.parametrize("budget", [1, 10, 100, 1000])
def test_the_budget_holds(budget):
    asked = []

    def margin(zeta):
        asked.append(len(zeta))
        return zeta.sum(axis=1)

    found = worst_realization(margin, lambda z: z[:, 0], all_moving(5), budget=budget)
    assert sum(asked) == found.evaluations <= budget
