"""Scenario generation: what may happen where, how large it is, and draws of it.

Table I of the policy-mode paper names nine kinds of events with their buses. A **component** is
an event in an area, ``event@area``: the kW of deficit of all its places there, at shape 1. A step
sees ``w_j s_j(t)``, so that one set of ``w`` serves all steps.

The training log comes of the *sampled* distribution; what a plan is judged under may be the
*actual* one (Fig. 2a): likelier, larger, biased, and still within the physical range.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray, frozen
from gridproof.scenarios.errors import ScenarioError

__all__ = ["Actual", "Event", "component_ids", "draw", "expected_kw", "physical_range", "width"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Actual:
    """How the actual distribution differs from the sampled one.

    Attributes
    ----------
    probability_factor, uniform_factor, deviation_factor
        On the probability, on uniform fractions, on the deviation and cut of normal ones.
    bias
        Added to the fraction.
    """

    probability_factor: float = 1.0
    uniform_factor: float = 1.0
    deviation_factor: float = 1.0
    bias: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Event:
    """One kind of event.

    Attributes
    ----------
    name
        Its name.
    locations
        Where it may happen.
    area
        (location,) position of each place's area.
    base_kw
        (location,) kW that a fraction of 1 stands for.
    probability
        (location,) that it happens within an hour, in [0, 1].
    sign
        +1: a deficit; -1: a surplus.
    low, high
        Fraction uniform between these, or ``deviation`` and ``cut``: normal about 0, cut.
    support
        Least and largest fraction there can physically be.
    together
        Whether one chance decides for all places of an area.
    correlation
        Of the normal fractions of any two places, in [0, 1].
    actual
        How the actual distribution differs.

    Raises
    ------
    ScenarioError
        With every value out of range.
    """

    name: str
    locations: tuple[str, ...]
    area: IntArray
    base_kw: FloatArray
    probability: FloatArray
    support: tuple[float, float]
    sign: int = 1
    low: float = 0.0
    high: float = 0.0
    deviation: float = 0.0
    cut: float = 0.0
    together: bool = False
    correlation: float = 0.0
    actual: Actual = field(default_factory=Actual)

    def __post_init__(self) -> None:
        n = len(self.locations)
        object.__setattr__(self, "area", frozen(self.area, np.int64, (n,)))
        for name in ("base_kw", "probability"):
            object.__setattr__(self, name, frozen(getattr(self, name), float, (n,)))
        faults = [
            f"event {self.name}, location {place}: probability = {p:g} must lie in [0, 1]"
            for place, p in zip(self.locations, self.probability, strict=True)
            if not 0.0 <= p <= 1.0
        ]
        faults += [
            f"event {self.name}, location {place}: base = {kw:g} kW; give a number of at least 0"
            for place, kw in zip(self.locations, self.base_kw, strict=True)
            if not 0.0 <= kw < np.inf
        ]
        if not self.support[0] <= min(self.low, 0.0) <= max(self.high, 0.0) <= self.support[1]:
            faults.append(
                f"event {self.name}: support = {list(self.support)} must hold 0 and the fractions "
                f"{self.low:g} to {self.high:g}"
            )
        if not 0.0 <= self.correlation <= 1.0:
            faults.append(f"event {self.name}: correlation = {self.correlation:g} is not in [0, 1]")
        if self.sign not in (-1, 1):
            faults.append(f"event {self.name}: sign = {self.sign} must be 1 or -1")
        if faults:
            raise ScenarioError(faults)


def component_ids(events: Sequence[Event], areas: Sequence[str]) -> tuple[str, ...]:
    """(component,) ``event@area``, areas within events; an area without a place has none."""
    return tuple(f"{e.name}@{areas[a]}" for e in events for a in np.unique(e.area))


def physical_range(events: Sequence[Event]) -> tuple[FloatArray, FloatArray]:
    """(component,) least and largest kW of deficit at shape 1: the box Ξ."""
    ends = np.array([np.array(e.support) * e.sign * kw for e in events for kw in _by_area(e)])
    ends = ends.reshape(-1, 2)
    return ends.min(axis=1), ends.max(axis=1)


def expected_kw(event: Event) -> FloatArray:
    """(location,) kW that the event moves on average where it happens, whatever its direction."""
    fraction = (event.low + event.high) / 2.0
    if event.deviation > 0.0:
        fraction = float(np.sqrt(2.0 / np.pi) * event.deviation)  # the cut at 3 sd left out
    return np.asarray(event.base_kw * abs(fraction))


def width(events: Sequence[Event]) -> int:
    """Uniform numbers that one draw takes."""
    return sum(2 * len(e.locations) + 1 for e in events)


def draw(events: Sequence[Event], uniforms: FloatArray, *, actual: bool = False) -> FloatArray:
    """Draw disturbances.

    Parameters
    ----------
    events
        What may happen; a mode's events give the mode's components.
    uniforms
        (draw, `width`) in [0, 1).
    actual
        From the actual distribution instead of the sampled one.

    Returns
    -------
    ndarray of shape (draw, component)
        kW of deficit at shape 1.
    """
    first, found = 0, []
    for event in events:
        last = first + 2 * len(event.locations) + 1
        found.append(_draw_one(event, uniforms[:, first:last], event.actual if actual else None))
        first = last
    return np.hstack(found)


def _draw_one(event: Event, u: FloatArray, actual: Actual | None) -> FloatArray:
    from scipy.special import ndtri  # noqa: PLC0415  (a fifth of a second of every start)

    n, law = len(event.locations), actual or Actual()
    chance, size, common = u[:, :n], u[:, n : 2 * n], u[:, 2 * n :]
    if event.together:  # the first place of an area throws for all of it
        first = np.array([int(np.flatnonzero(event.area == a)[0]) for a in event.area.tolist()])
        chance = chance[:, first]
    happens = chance < np.minimum(1.0, event.probability * law.probability_factor)
    if event.deviation > 0.0:
        tiny = np.finfo(float).tiny
        shared = np.sqrt(event.correlation) * ndtri(np.maximum(common, tiny))
        own = np.sqrt(1.0 - event.correlation) * ndtri(np.maximum(size, tiny))
        edge = event.cut * law.deviation_factor
        fraction = np.clip((shared + own) * event.deviation * law.deviation_factor, -edge, edge)
    else:
        fraction = (event.low + (event.high - event.low) * size) * law.uniform_factor
    fraction = np.clip(fraction + law.bias, *event.support)
    kw = event.sign * event.base_kw * np.where(happens, fraction, 0.0)
    return np.stack([kw[:, event.area == a].sum(axis=1) for a in np.unique(event.area)], axis=1)


def _by_area(event: Event) -> list[float]:
    return [float(event.base_kw[event.area == a].sum()) for a in np.unique(event.area)]
