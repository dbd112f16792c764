"""Which lines fail in a storm: independent, or together where the gusts are.

Realization ``i`` is a function of (seed, i) alone, like a load's.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.realization import uniforms
from gridproof.scenarios.restoration import Outage

__all__ = ["StormDamage", "draw_damage", "failure_probability"]

_STREAM = 1  # of uniform numbers; 0 is the loads'
_WAVES = 64  # plane waves in a gust field: enough for a normal intensity at every place


@dataclass(frozen=True, slots=True, kw_only=True)
class StormDamage:
    """How a storm breaks lines.

    A line of length ``l`` fails with probability ``1 - exp(-rate l k)``; ``k`` is 1 on
    average, and lognormal over storms: ``k = exp(σ g - σ²/2)`` with a Gaussian field ``g``
    whose correlation falls with distance ``d`` as ``exp(-d² / 2L²)``.

    Attributes
    ----------
    rate_per_km
        Failures per km of overhead line in an average storm.
    buried_factor
        What burying a line leaves of its rate.
    sigma
        Spread of the local intensity; 0 makes failures independent.
    correlation_km
        ``L``: how far a gust reaches.

    Raises
    ------
    ValueError
        With every fault.
    """

    rate_per_km: float
    buried_factor: float = 0.1
    sigma: float = 0.0
    correlation_km: float = 2.0

    def __post_init__(self) -> None:
        faults = [
            f"{name} = {getattr(self, name)} must not be negative"
            for name in ("rate_per_km", "buried_factor", "sigma")
            if getattr(self, name) < 0.0
        ]
        if not self.correlation_km > 0.0:
            faults.append(f"correlation_km = {self.correlation_km} must be positive")
        if faults:
            raise ValueError("; ".join(faults))


def failure_probability(
    case: Outage, storm: StormDamage, gust: FloatArray | float = 0.0
) -> FloatArray:
    """Probability of each line's failure where the field has the value ``gust`` (..., line)."""
    spot = case.feeder.buses.xy[case.ends]
    length = np.linalg.norm(spot[:, 0] - spot[:, 1], axis=1)
    rate = storm.rate_per_km * np.where(case.devices.underground, storm.buried_factor, 1.0)
    force = np.exp(storm.sigma * np.asarray(gust) - 0.5 * storm.sigma**2)
    return np.asarray(-np.expm1(-rate * length * force), float)


def draw_damage(case: Outage, storm: StormDamage, seed: int, first: int, count: int) -> BoolArray:
    """Draw failures ``first … first + count - 1``.

    Returns
    -------
    ndarray of shape (count, line)
        True where a line fails; `scenarios.restoration_scenario.with_failures` takes their ids.
    """
    from scipy.special import ndtri  # noqa: PLC0415  (a fifth of a second of every start)

    lines = len(case.feeder.lines.ids)
    middle = case.feeder.buses.xy[case.ends].mean(axis=1)
    rows = uniforms(seed, first, count, lines + 3 * _WAVES, stream=_STREAM)
    fails = np.zeros((count, lines), bool)
    for k, row in enumerate(rows):
        wave = ndtri(np.maximum(row[lines : lines + 2 * _WAVES], 1e-16)).reshape(2, _WAVES)
        phase = 2.0 * np.pi * row[lines + 2 * _WAVES :]
        gust = np.sqrt(2.0 / _WAVES) * np.cos(middle @ wave / storm.correlation_km + phase).sum(1)
        fails[k] = row[:lines] < failure_probability(case, storm, gust)
    return fails
