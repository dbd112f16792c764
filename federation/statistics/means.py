"""Means of measured quantities, and their intervals: of a fixed number, or whenever one looks."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray

__all__ = ["Moments", "asymptotic_sequence", "mean_interval", "moments_of"]

_TIGHTEST_AT = 2048
"""Trials at which `asymptotic_sequence` is narrowest; must not depend on what is looked at."""


@dataclass(slots=True, kw_only=True)
class Moments:
    """Count, mean and sum of squared deviations of a stream, chunk by chunk (Chan et al., 1979)."""

    count: int = 0
    mean: float = 0.0
    squares: float = 0.0

    def add(self, values: FloatArray) -> None:
        """Take a chunk of values."""
        if not len(values):
            return
        count, mean = len(values), float(values.mean())
        total, step = self.count + count, mean - self.mean
        self.squares += float(((values - mean) ** 2).sum()) + step**2 * self.count * count / total
        self.mean += step * count / total
        self.count = total

    @property
    def deviation(self) -> float | None:
        """Standard deviation, from ``n - 1``; None below two."""
        return math.sqrt(self.squares / (self.count - 1)) if self.count > 1 else None

    @property
    def standard_error(self) -> float | None:
        """Of the mean, for independent values; None below two."""
        deviation = self.deviation
        return None if deviation is None else deviation / math.sqrt(self.count)


def mean_interval(
    moments: Moments, confidence: float = 0.95, widening: float = 1.0
) -> tuple[float, float] | None:
    """Return Student's interval of a mean, ``m ± t s / √(n / w)``; exact for normal values.

    Parameters
    ----------
    moments
        Of the values.
    confidence
        Of the interval.
    widening
        ``w``, values that are worth one independent one.

    Returns
    -------
    tuple of float or None
        None where fewer than two independent values are there.
    """
    worth = moments.count / widening
    if moments.deviation is None or worth < 2.0:
        return None
    from scipy.special import stdtrit  # noqa: PLC0415  (a fifth of a second of every start)

    quantile = float(stdtrit(worth - 1.0, 0.5 + confidence / 2.0))
    reach = quantile * moments.deviation / math.sqrt(worth)
    return moments.mean - reach, moments.mean + reach


def asymptotic_sequence(moments: Moments, confidence: float = 0.95) -> tuple[float, float] | None:
    """Interval of a mean that is valid, for large samples, whenever one looks.

    ``m ± s √( 2 (n ρ² + 1) / (n² ρ²) · ln( √(n ρ² + 1) / α ) )``, the normal mixture of Robbins
    with the variance estimated: Waudby-Smith, Arbour, Sinha, Kennedy and Ramdas, Ann. Statist. 52
    (2024) 2613-2640, theorem 2.2. ``ρ² = (-2 ln α + ln(1 - 2 ln α)) / 2048`` makes it narrowest
    about where a campaign's first part ends.

    Returns
    -------
    tuple of float or None
        None below two values.
    """
    deviation = moments.deviation
    if deviation is None:
        return None
    n, log_alpha = moments.count, math.log1p(-confidence)
    rho2 = (-2.0 * log_alpha + math.log1p(-2.0 * log_alpha)) / _TIGHTEST_AT
    spread = n * rho2 + 1.0
    reach = deviation * math.sqrt(
        2.0 * spread / (n * n * rho2) * (0.5 * math.log(spread) - log_alpha)
    )
    return moments.mean - reach, moments.mean + reach


def moments_of(values: FloatArray) -> Moments:
    """Return the moments of values at hand; those that are not finite are left out."""
    found = Moments()
    found.add(values[np.isfinite(values)])
    return found
