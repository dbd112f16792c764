"""Counting voltages in one pass; compiled. What it counts is what `Profile` counts without it."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.compiling import compiled

__all__ = ["count"]

_TILE = 512  # slots whose bins stay in a core's cache


@compiled
def count(magnitude, rows, at, extremes, total, histogram, scale):
    """Count some rows of (realization, place) into slots.

    Parameters
    ----------
    magnitude, rows, at
        Voltages, pu; which rows count; (slot,) its place in a row.
    extremes
        (slot,) least and greatest voltage so far, both written.
    total
        (slot,) sums so far, in whole units.
    histogram
        (slot, bin) counts so far; the first and last take what lies beyond.
    scale
        Where the second bin begins, how wide a bin is, units a pu, most that is summed, pu.
    """
    low, high = extremes
    lowest, width, units, most = scale
    last = histogram.shape[1] - 1.0
    for first in range(0, len(at), _TILE):
        end = min(first + _TILE, len(at))
        for row in rows:
            for s in range(first, end):
                v = magnitude[row, at[s]]
                low[s] = min(low[s], v)
                high[s] = max(high[s], v)
                total[s] += int(np.rint(min(v, most) * units))
                place = (v - lowest) / width + 1.0
                histogram[s, int(min(max(place, 0.0), last))] += 1
