"""What a sample of verdicts allows to be said: shares, intervals, quantiles and tails.

Pure functions of counts and numbers; nothing here knows a file or a federate.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.verdict import Outcome

__all__ = [
    "Share",
    "clopper_pearson",
    "distribution_band",
    "feasible_share",
    "lower_tail_mean",
    "quantile",
    "quantile_interval",
    "quantile_rank",
    "share_of",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Share:
    """A share with its exact interval.

    Attributes
    ----------
    count, trials
        ``count`` of ``trials``.
    low, high
        Clopper-Pearson interval at ``confidence``.
    confidence
        Two-sided, in (0, 1).
    """

    count: int
    trials: int
    low: float
    high: float
    confidence: float

    @property
    def value(self) -> float:
        """``count / trials``; NaN without a trial."""
        return self.count / self.trials if self.trials else math.nan


def clopper_pearson(count: int, trials: int, confidence: float = 0.95) -> tuple[float, float]:
    """Exact two-sided interval of a binomial share (Clopper and Pearson, 1934).

    With ``α = 1 - confidence``, ``k`` of ``n``, and ``B(q; a, b)`` the quantile of the beta
    distribution: ``low = B(α/2; k, n-k+1)``, ``high = B(1-α/2; k+1, n-k)``; 0 at ``k = 0``
    and 1 at ``k = n``. It covers the true share with at least the confidence, whatever the
    share and however few the trials.

    Parameters
    ----------
    count, trials
        ``k`` successes in ``n`` independent trials.
    confidence
        In (0, 1).

    Returns
    -------
    low, high
        ``(0, 1)`` without a trial: nothing is known.

    Raises
    ------
    ValueError
        If ``count`` is not in [0, ``trials``] or ``confidence`` not in (0, 1).
    """
    from scipy.special import betaincinv  # noqa: PLC0415  (a fifth of a second of every start)

    if not 0 <= count <= trials:
        raise ValueError(f"count {count} must lie in [0, trials = {trials}]")
    if not 0.0 < confidence < 1.0:
        raise ValueError(f"confidence {confidence} must lie strictly between 0 and 1")
    half = (1.0 - confidence) / 2.0
    low = float(betaincinv(count, trials - count + 1, half)) if count else 0.0
    high = float(betaincinv(count + 1, trials - count, 1.0 - half)) if count < trials else 1.0
    return low, high


def share_of(count: int, trials: int, confidence: float = 0.95) -> Share:
    """Put a count and its exact interval together; raises as `clopper_pearson`."""
    low, high = clopper_pearson(count, trials, confidence)
    return Share(count=count, trials=trials, low=low, high=high, confidence=confidence)


def feasible_share(counts: Mapping[Outcome, int], confidence: float = 0.95) -> Share:
    """Share of feasible realizations among those that could be judged.

    ``erred`` says nothing about the plan, so it counts neither for nor against it:
    ``n = Σ counts - erred``.
    """
    trials = sum(counts.values()) - counts.get(Outcome.ERRED, 0)
    return share_of(counts.get(Outcome.FEASIBLE, 0), trials, confidence)


def quantile_rank(level: float, count: int) -> int:
    """Position (from 0) in sorted order of the quantile ``min {x : F(x) ≥ level}``.

    The empirical distribution's own inverse: always an observed value, no interpolation.
    ``max(0, ⌈level · n⌉ - 1)``, guarded against ``level · n`` a rounding error above a whole.

    Raises
    ------
    ValueError
        If ``level`` is outside [0, 1] or there is no value.
    """
    if not 0.0 <= level <= 1.0 or count < 1:
        raise ValueError(f"level {level} must lie in [0, 1] and count {count} be positive")
    return min(count - 1, max(0, math.ceil(level * count - 1e-9) - 1))


def quantile(values: FloatArray, level: float) -> float:
    """Empirical quantile, ``x_(⌈level · n⌉)``; see `quantile_rank`."""
    rank = quantile_rank(level, len(values))
    return float(np.partition(values, rank)[rank])


def lower_tail_mean(values: FloatArray, share: float) -> float:
    """Mean of the worst (smallest) ``share`` of margins: the conditional value at risk.

    ``CVaR = (1/m) · (Σ_{i≤⌊m⌋} x_(i) + (m - ⌊m⌋) x_(⌊m⌋+1))`` with ``m = share · n``: a value
    that straddles the edge of the tail counts by the part inside it.

    Raises
    ------
    ValueError
        If ``share`` is outside (0, 1] or there is no value.
    """
    if not 0.0 < share <= 1.0 or len(values) == 0:
        raise ValueError(f"share {share} must lie in (0, 1] and there must be values")
    mass = share * len(values)
    whole = math.floor(mass + 1e-9)
    ordered = np.sort(values)
    total = float(ordered[:whole].sum())
    if whole < len(values):
        total += max(0.0, mass - whole) * float(ordered[whole])
    return total / mass


def quantile_interval(
    values: FloatArray, level: float, confidence: float, *, ends: tuple[float, float]
) -> tuple[float, float]:
    """Interval of a quantile by order statistics, whatever the distribution.

    ``[x_(l), x_(u)]`` with ``l = Q(α/2)`` and ``u = Q(1 - α/2) + 1``, Q the quantile function of
    a binomial of ``n`` trials at ``level``: at least ``confidence`` for independent values, ties
    included. A rank outside 1 to n takes the end of the values' range.

    Parameters
    ----------
    ends
        Least and largest value there can be.

    Raises
    ------
    ValueError
        If ``level`` or ``confidence`` is not in (0, 1), or there is no value.
    """
    if not (0.0 < level < 1.0 and 0.0 < confidence < 1.0) or len(values) == 0:
        raise ValueError(
            f"level {level} and confidence {confidence} must lie in (0, 1), with values"
        )
    half, ordered = (1.0 - confidence) / 2.0, np.sort(values)
    from scipy.stats import binom  # noqa: PLC0415  (half a second, and few ask)

    low = int(binom.ppf(half, len(values), level))
    high = int(binom.ppf(1.0 - half, len(values), level)) + 1
    return (
        float(ordered[low - 1]) if low >= 1 else ends[0],
        float(ordered[high - 1]) if high <= len(values) else ends[1],
    )


def distribution_band(count: int, confidence: float = 0.95) -> float:
    """Half width of the band around an empirical distribution function (Dvoretzky, Massart).

    ``sqrt(ln(2 / α) / 2n)``: the whole true function lies inside with ``confidence``.
    """
    return math.sqrt(math.log(2.0 / (1.0 - confidence)) / (2.0 * count))
