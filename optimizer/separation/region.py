"""Parts of the uncertainty set: a box, a budget, and how to halve what is left of it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import combinations, product
from math import comb

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray, frozen
from gridproof.scenarios.sets import Box

__all__ = ["Region", "vertex_count"]

_ROUND = 1e-9  # a budget nearer than this to a whole number is that number


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """All ζ with ``low ≤ ζ ≤ high`` and ``Σ |ζ| ≤ budget`` (Γ).

    Attributes
    ----------
    low, high
        (direction,) each pair holds 0 within [-1, 1], or is a single point.
    budget
        How far loads may be off nominal in sum; as large as there are directions, or
        larger, it says nothing.
    """

    low: FloatArray
    high: FloatArray
    budget: float

    def __post_init__(self) -> None:
        n = len(self.low)
        object.__setattr__(self, "low", frozen(self.low, float, (n,)))
        object.__setattr__(self, "high", frozen(self.high, float, (n,)))

    @classmethod
    def whole(cls, size: int, budget: float | None = None) -> Region:
        """Box of ``size`` directions with a budget, if any."""
        ones = np.ones(size)
        most = float(size) if budget is None else min(float(budget), float(size))
        return cls(low=-ones, high=ones, budget=most)

    @classmethod
    def of(cls, box: Box, directions: IntArray, budget: float | None = None) -> Region:
        """Take some directions of a box; a budget, if any, counts loads that move evenly alone."""
        whole = cls.whole(len(directions), budget)
        return cls(low=box.low[directions], high=box.high[directions], budget=whole.budget)

    @property
    def free(self) -> FloatArray:
        """(direction,) 1 where the region has a width."""
        return np.asarray(self.high > self.low, dtype=float)

    @property
    def left(self) -> float:
        """Budget that the fixed directions leave to the free ones."""
        fixed = np.where(self.high > self.low, 0.0, np.abs(self.low)).sum()
        return float(self.budget - fixed)

    @property
    def unlimited(self) -> bool:
        """Whether the budget binds nothing."""
        return self.left >= float(self.free.sum()) - _ROUND

    @property
    def inside(self) -> FloatArray:
        """(direction,) the point nearest to nominal."""
        return np.where(self.high > self.low, 0.0, self.low)

    def highest(self, gradient: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Highest value of linear functions over the region, and where.

        Parameters
        ----------
        gradient
            (row, direction).

        Returns
        -------
        tuple of ndarrays of shape (row,) and (row, direction)
        """
        wide = self.high > self.low
        up = gradient * self.high >= gradient * self.low
        corner = np.where(up, self.high, self.low)
        gain = np.where(wide, gradient * corner, 0.0)
        # without a budget ties go to the corner, so that what comes out is a vertex
        share = np.ones(gain.shape) if self.unlimited else _greedy(gain, max(0.0, self.left))
        zeta = np.where(wide, share * corner, self.low)
        return np.asarray((gradient * zeta).sum(axis=1)), np.asarray(zeta, dtype=float)

    def halves(self, direction: int) -> tuple[Region, ...]:
        """Parts that hold every vertex of this region, apart in one direction."""
        low, high = float(self.low[direction]), float(self.high[direction])
        if self.budget >= len(self.low) - _ROUND:  # never limited: both ends are vertices
            parts = [(end, end) for end in (low, high)]
        elif self.unlimited:
            parts = [(end, end) for end in {low, high} - {0.0}]
        elif low < 0.0 < high:
            parts = [(low, 0.0), (0.0, high)]
        else:
            end = low + high
            rest = self.left - np.floor(self.left + _ROUND)
            steps = {0.0, end} | ({end * rest} if rest > _ROUND else set())
            parts = [(step, step) for step in sorted(steps)]
        found = []
        for least, most in sorted(parts):
            ends = (self.low.copy(), self.high.copy())
            ends[0][direction], ends[1][direction] = least, most
            part = Region(low=ends[0], high=ends[1], budget=self.budget)
            if part.left >= -_ROUND:
                found.append(part)
        return tuple(found)

    def vertices(self) -> Iterator[FloatArray]:
        """Yield the vertices of a whole set, along a Gray code if there is no budget."""
        size = len(self.low)
        if self.unlimited:
            yield from np.where(gray_signs(size) > 0.0, self.high, self.low)
            return
        whole = int(np.floor(self.budget + _ROUND))
        rest = self.budget - whole
        for chosen in combinations(range(size), whole):
            others = [d for d in range(size) if d not in chosen] if rest > _ROUND else [-1]
            for last in others:
                for signs in product((1.0, -1.0), repeat=whole + (last >= 0)):
                    zeta = np.zeros(size)
                    zeta[list(chosen)] = signs[:whole]
                    if last >= 0:
                        zeta[last] = signs[-1] * rest
                    yield zeta


def gray_signs(count: int) -> FloatArray:
    """(2^count, count) every sign vector, neighbours differing in one entry, all +1 first."""
    codes = np.arange(2**count)
    codes ^= codes >> 1
    return np.asarray(1.0 - 2.0 * ((codes[:, None] >> np.arange(count)) & 1), dtype=np.float64)


def vertex_count(size: int, budget: float | None) -> int:
    """Count the vertices of a whole set."""
    if budget is None or budget >= size - _ROUND:
        return int(2**size)
    whole = int(np.floor(budget + _ROUND))
    if budget - whole <= _ROUND:
        return int(comb(size, whole) * 2**whole)
    return int(comb(size, whole) * (size - whole) * 2 ** (whole + 1))


def _greedy(gain: FloatArray, budget: float) -> FloatArray:
    """(row, direction) share of each gain that a budget buys, the largest first."""
    order = np.argsort(-gain, axis=1, kind="stable")
    rank = np.empty_like(order)
    np.put_along_axis(rank, order, np.arange(gain.shape[1])[None], axis=1)
    return np.asarray(np.clip(budget - rank, 0.0, 1.0) * (gain > 0.0))
