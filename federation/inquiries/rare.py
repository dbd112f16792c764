"""Probabilities too small to count: subset simulation (Au and Beck, 2001).

``P(g < 0)`` is written as a product of larger ones: with thresholds ``b_1 > b_2 > … > b_m = 0``,
``P = P(g ≤ b_1) Π_i P(g ≤ b_{i+1} | g ≤ b_i)``. Each threshold is the ``p_0``-quantile of the
level's own points; the conditional points come from Markov chains that start where the last
level ended (Au and Beck, Probabilistic Engineering Mechanics 16, 2001, 263-277).
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.realization import uniforms
from scipy.special import ndtri

__all__ = ["Level", "RareEvent", "subset_simulation"]

_STREAM = 21  # of the counter-based generator; keeps clear of the campaign's own draws
_PICKS = 24  # the like, for which of tied points chains start from
_HALF_WIDTH = 1.0  # of a component's proposal, in standard deviations; Au and Beck's own
_FLAT = 0.5  # share at a threshold that marks a plateau: no slope leads on from there
_WORST = -1e300  # stands for -inf, so that thresholds stay numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Level:
    """One factor of the product.

    Attributes
    ----------
    threshold
        ``b_i``; 0 at the last.
    share
        Of the level's points at or below it (below 0 at the last), among those judged.
    cov
        Its coefficient of variation ``δ_i``, correlation within chains counted.
    accepted
        Share of proposals its chains took; 1 at the first, which has none.
    """

    threshold: float
    share: float
    cov: float
    accepted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RareEvent:
    """An estimated small probability.

    Attributes
    ----------
    probability
        ``P(g < 0)``; 0 if the chains died out before any failure (see ``reached``).
    cov, cov_upper
        ``(Σ δ_i²)^½``, levels taken as independent, and ``Σ δ_i``, an upper bound.
    reached
        Whether failures were reached; else the probability is below what was asked for.
    levels
        From the first.
    samples
        Points per level.
    judged
        Of the last level's, those of which ``g`` says anything (below ``inf``).
    evaluations
        Of ``g``.
    """

    probability: float
    cov: float
    cov_upper: float
    reached: bool
    levels: tuple[Level, ...]
    samples: int
    judged: int
    evaluations: int

    @property
    def below(self) -> float:
        """Where no failure was reached: what it is rarer than, by the rule of three.

        ``Π_{i<m} p_i · 3/N``: none of the last level's ``N`` judged points failed.
        """
        least = math.prod(level.share for level in self.levels[:-1])
        return min(1.0, least * 3.0 / self.judged) if self.judged else 1.0


def subset_simulation(
    limit_state: Callable[[FloatArray], FloatArray],
    width: int,
    *,
    samples: int = 1000,
    level_share: float = 0.1,
    max_levels: int = 12,
    seed: int = 1,
) -> RareEvent:
    """Estimate ``P(g(x) < 0)`` for independent standard normal ``x``.

    A level that leads nowhere, because more than half of it shares one margin or because it is
    the last one allowed, is counted: whatever of its points failed is its share.

    Parameters
    ----------
    limit_state
        (point, width) to (point,); ``-inf`` allowed. ``inf`` says nothing of the point: the
        probability is that among the others.
    width
        Number of normals.
    samples
        ``N`` points per level; ``level_share · N`` and ``1 / level_share`` must be whole.
    level_share
        ``p_0``.
    max_levels
        Gives up below ``p_0 ^ max_levels``.
    seed
        Decides every number.

    Raises
    ------
    ValueError
        If the numbers do not fit together.
    """
    chains, length = round(level_share * samples), round(1.0 / level_share)
    if chains < 2 or chains * length != samples or width < 1 or max_levels < 1:
        raise ValueError(
            f"samples {samples} and level_share {level_share} must give at least two whole chains "
            f"of whole length, width {width} and max_levels {max_levels} be positive"
        )
    draws = _Draws(seed, width)
    points = draws.normal(samples)
    g = _numbers(limit_state(points))
    order, rate, levels = np.arange(samples).reshape(1, samples), 1.0, list[Level]()
    for number in range(max_levels):
        level, inside = _level(g, order, chains, rate)
        stuck = number == max_levels - 1 or level.share > _FLAT or inside.sum() < chains
        if stuck and level.threshold > 0.0 and (g < 0.0).any():
            level = _counted(g, order, rate)
        levels.append(level)
        if level.threshold <= 0.0 or stuck:
            break
        seeds = draws.pick(np.flatnonzero(inside)[np.argsort(g[inside], kind="stable")], chains)
        points, g, rate = _chains(
            limit_state, points[seeds], g[seeds], level.threshold, length=length, draws=draws
        )
        order = np.arange(samples).reshape(length, chains)
    deltas = [level.cov for level in levels]
    reached = levels[-1].threshold <= 0.0 and levels[-1].share > 0.0
    return RareEvent(
        probability=math.prod(level.share for level in levels) if reached else 0.0,
        cov=math.sqrt(sum(delta**2 for delta in deltas)),
        cov_upper=sum(deltas),
        reached=reached,
        levels=tuple(levels),
        samples=samples,
        judged=int(_judged(g).sum()),
        evaluations=draws.evaluated,
    )


class _Draws:
    """Numbers in the order they are asked for, each row by (seed, its place)."""

    def __init__(self, seed: int, width: int) -> None:
        self._seed, self._width, self._next, self._picked = seed, width, 0, 0
        self.evaluated = 0

    def uniform(self, count: int) -> FloatArray:
        """(count, 2 width) in (0, 1)."""
        rows = uniforms(self._seed, self._next, count, 2 * self._width, _STREAM)
        self._next += count
        self.evaluated += count
        return np.clip(rows + 2.0**-54, 2.0**-54, 1.0 - 2.0**-53)

    def normal(self, count: int) -> FloatArray:
        return np.asarray(ndtri(self.uniform(count)[:, : self._width]))

    def pick(self, rows: np.ndarray, count: int) -> np.ndarray:
        """Take so many of ``rows``, each as likely as any other, in their order."""
        if len(rows) == count:
            return rows
        key = uniforms(self._seed, self._picked, len(rows), 1, _PICKS)[:, 0]
        self._picked += len(rows)
        return rows[np.sort(np.argsort(key, kind="stable")[:count])]


def _numbers(g: FloatArray) -> FloatArray:
    return np.maximum(g, _WORST)


def _level(g: FloatArray, order: np.ndarray, chains: int, rate: float) -> tuple[Level, np.ndarray]:
    """Choose the next threshold, and say which points are at or below it.

    ``order`` is (step, chain): the rows of ``g`` as the chains visited them. Of points that tie
    at the threshold all are inside; chains start from any of them alike, for to start from
    some, beside all that are lower, would favour the lower.
    """
    ranked, judged = np.sort(g), int(_judged(g).sum())
    if (g < 0.0).sum() >= chains:
        return _counted(g, order, rate), g < 0.0
    # with too few judged points for all chains there is no level below
    pair = ranked[[chains - 1, chains]] if judged > chains else ranked[[judged - 1, judged - 1]]
    threshold = float(pair.mean()) if judged else math.inf
    if threshold <= 0.0:
        return _counted(g, order, rate), g < 0.0
    inside = _judged(g) & (g <= threshold)
    return _shared(inside, threshold, g, order, rate), inside


def _counted(g: FloatArray, order: np.ndarray, rate: float) -> Level:
    """Make a last level of what failed."""
    return _shared(g < 0.0, 0.0, g, order, rate)


def _shared(
    inside: np.ndarray, threshold: float, g: FloatArray, order: np.ndarray, rate: float
) -> Level:
    """Make a level of the points inside it; whatever chains visit is judged."""
    judged = _judged(g)
    share = float(inside.sum() / judged.sum()) if judged.any() else 0.0
    visited = inside[order] if len(order) > 1 else inside[judged][None]
    return Level(threshold=threshold, share=share, cov=_cov(visited, share), accepted=rate)


def _judged(g: FloatArray) -> np.ndarray:
    return np.asarray(g < np.inf)


def _cov(inside: np.ndarray, share: float) -> float:
    """``δ² = (1 - p)/(p N) (1 + γ)``, ``γ = 2 Σ_k (1 - k N_c / N) R(k) / R(0)``.

    ``R(k)`` is the covariance of the indicator ``k`` steps apart, averaged over chains: (25)
    to (29) of Au and Beck.
    """
    if share <= 0.0:
        return math.inf
    steps, chains = inside.shape
    samples, values = steps * chains, inside.astype(float)
    gamma, variance = 0.0, share * (1.0 - share)
    for k in range(1, steps if variance > 0.0 else 1):
        lagged = float((values[:-k] * values[k:]).mean()) - share**2
        gamma += 2.0 * (1.0 - k / steps) * lagged / variance
    return math.sqrt(max(0.0, (1.0 - share) / (share * samples) * (1.0 + max(gamma, 0.0))))


def _chains(
    limit_state: Callable[[FloatArray], FloatArray],
    points: FloatArray,
    g: FloatArray,
    threshold: float,
    *,
    length: int,
    draws: _Draws,
) -> tuple[FloatArray, FloatArray, float]:
    """Run all chains side by side, a step of each at a time; the seeds are their first states.

    The modified Metropolis rule: each component proposes ``ξ ~ U(x - 1, x + 1)``, taken with
    probability ``min(1, φ(ξ) / φ(x))``; the whole step is taken if ``g ≤ b``.
    """
    width = points.shape[1]
    visited, values, taken = [points], [g], 0
    for _ in range(length - 1):
        random = draws.uniform(len(points))
        step = (2.0 * random[:, :width] - 1.0) * _HALF_WIDTH
        proposed = points + step
        kept = np.log(random[:, width : 2 * width]) < (points**2 - proposed**2) / 2.0
        candidate = np.where(kept, proposed, points)
        there = _numbers(limit_state(candidate))
        moves = there <= threshold
        points = np.where(moves[:, None], candidate, points)
        g = np.where(moves, there, g)
        taken += int((moves & kept.any(axis=1)).sum())
        visited.append(points)
        values.append(g)
    rate = taken / (len(points) * (length - 1))
    return np.concatenate(visited), np.concatenate(values), rate
