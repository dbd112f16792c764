"""Draws of events: their range, their frequencies, and how the actual ones differ."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from gridproof.optimizer.policy_mode.events import (
    Actual,
    Event,
    component_ids,
    draw,
    expected_kw,
    physical_range,
    width,
)
from gridproof.scenarios.errors import ScenarioError


def _event(**given: Any) -> Event:
    return Event(**{
        "name": "trip", "locations": ("1", "2", "3"), "area": np.array([0, 0, 1]),
        "base_kw": np.array([100.0, 50.0, 200.0]), "probability": np.full(3, 0.2),
        "support": (0.0, 1.0), "low": 0.4, "high": 0.8,
    } | given)  # fmt: skip


ERROR = {
    "name": "error", "probability": np.ones(3), "support": (-0.3, 0.3), "low": 0.0, "high": 0.0,
    "deviation": 0.1, "cut": 0.25, "correlation": 0.5,
}  # fmt: skip


def uniforms(events: list[Event], n: int = 20000) -> np.ndarray:
    return np.random.default_rng(1).random((n, width(events)))


def test_components_are_events_by_area_with_their_physical_range() -> None:
    events = [_event(), _event(name="loss", sign=-1)]
    assert component_ids(events, ("west", "east")) == (
        "trip@west", "trip@east", "loss@west", "loss@east",
    )  # fmt: skip
    lower, upper = physical_range(events)
    np.testing.assert_array_equal(lower, [0.0, 0.0, -150.0, -200.0])
    np.testing.assert_array_equal(upper, [150.0, 200.0, 0.0, 0.0])


def test_draws_come_as_often_and_as_large_as_stated() -> None:
    events = [_event()]
    w = draw(events, uniforms(events))
    assert np.mean(w[:, 1] > 0.0) == pytest.approx(0.2, abs=0.01)
    assert np.mean(w[:, 0] > 0.0) == pytest.approx(1 - 0.8**2, abs=0.01)
    hit = w[:, 1][w[:, 1] > 0.0]
    assert hit.min() >= 80.0
    assert hit.max() <= 160.0
    np.testing.assert_allclose(expected_kw(events[0]), [60.0, 30.0, 120.0])


def test_one_chance_decides_for_an_area_and_only_for_one() -> None:
    events = [_event(together=True)]
    w = draw(events, uniforms(events))
    assert np.mean(w[:, 0] > 0.0) == pytest.approx(0.2, abs=0.01)
    assert w[:, 0][w[:, 0] > 0.0].min() >= 0.4 * 150.0  # both places, or none
    both = np.mean((w[:, 0] > 0.0) & (w[:, 1] > 0.0))
    assert both == pytest.approx(0.04, abs=0.01)


def test_normal_fractions_have_their_deviation_correlation_and_cut() -> None:
    events = [_event(**ERROR | {"area": np.array([0, 1, 2])})]
    w = draw(events, uniforms(events)) / [100.0, 50.0, 200.0]
    assert np.abs(w).max() <= 0.25
    assert np.std(w[:, 0]) == pytest.approx(0.1, rel=0.05)
    assert np.corrcoef(w.T)[0, 2] == pytest.approx(0.5, abs=0.03)
    assert expected_kw(events[0])[0] == pytest.approx(100.0 * np.abs(w[:, 0]).mean(), rel=0.05)


def test_the_actual_distribution_is_likelier_larger_biased_and_still_possible() -> None:
    events = [
        _event(actual=Actual(probability_factor=1.5, uniform_factor=1.5)),
        _event(**ERROR | {"support": (-0.6, 0.6)}, actual=Actual(deviation_factor=2.0, bias=0.05)),
    ]
    u = uniforms(events)
    sampled, actual = draw(events, u), draw(events, u, actual=True)
    assert np.mean(actual[:, 1] > 0.0) == pytest.approx(0.3, abs=0.01)
    assert (actual[:, :2] >= sampled[:, :2]).all()
    assert np.std(actual[:, 3]) > 1.5 * np.std(sampled[:, 3])
    assert actual[:, 3].mean() == pytest.approx(0.05 * 200.0, abs=1.0)
    lower, upper = physical_range(events)
    assert ((actual >= lower - 1e-9) & (actual <= upper + 1e-9)).all()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"probability": np.array([0.2, 1.2, 0.2])}, "event trip, location 2: probability = 1.2"),
        ({"probability": np.array([0.2, np.nan, 0.2])}, "location 2: probability = nan"),
        ({"base_kw": np.array([1.0, 1.0, -1.0])}, "location 3: base = -1"),
        ({"support": (0.0, 0.5)}, "event trip: support"),
        ({"sign": 2}, "sign = 2"),
        ({"correlation": -0.5}, "correlation = -0.5"),
    ],
)
def test_a_wrong_event_is_named(given: dict[str, Any], message: str) -> None:
    with pytest.raises(ScenarioError, match=message):
        _event(**given)
