"""What a snapshot shows, and its worst margins, read of some realizations side by side; compiled.

Every number is added up in one order, as in `simulator.fast.loops`.
"""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.compiling import compiled
from gridproof.simulator.fast.loops import LANES

__all__ = ["read"]


@compiled
def _product(matrix, k, x, out):
    """Put one row of a matrix times voltages into ``out``, real and imaginary."""
    start, at, real, imaginary = matrix
    for b in range(LANES):
        out[b] = 0.0
        out[LANES + b] = 0.0
    for n in range(start[k], start[k + 1]):
        j, r, m = at[n], real[n], imaginary[n]
        for b in range(LANES):
            out[b] += r * x[j, b] - m * x[j, LANES + b]
            out[LANES + b] += r * x[j, LANES + b] + m * x[j, b]


@compiled
def _least(kind, s, margin, worst, where):
    """Take a margin that is less than what was least before it; NaN wins, the first of it."""
    for b in range(LANES):
        q, least = margin[b], worst[kind, b]
        less = (q < least) | (np.isnan(q) & ~np.isnan(least))
        worst[kind, b] = q if less else least
        where[kind, b] = s if less else where[kind, b]


@compiled
def _magnitudes(first, here, x, looks, found, worst, where):
    """Magnitudes to neutral, and across the pair that begins at each phase."""
    (at, inverse, across, counted), centres, (low, high, pairs) = looks[0], looks[1], looks[2]
    which, reference, weight, scale = centres
    v_pu, v_ll_pu = found[0], found[1]
    a, middle = np.zeros(3 * LANES), np.zeros(2 * LANES)
    for s in range(len(at)):
        i, j = at[s], at[s // 3 * 3 + (s + 1) % 3]
        f, g, c = inverse[s], across[s], which[s // 3]
        if c < 0:
            for b in range(LANES):
                a[b] = np.sqrt(x[i, b] ** 2 + x[i, LANES + b] ** 2) * f
        else:  # counted from where the neutral would be
            middle[:] = 0.0
            for k in range(3):
                r, w = reference[c, k], weight[c, k]
                for b in range(LANES):
                    middle[b] += w * x[r, b]
                    middle[LANES + b] += w * x[r, LANES + b]
            f *= scale[c]
            for b in range(LANES):
                er, em = x[i, b] - middle[b], x[i, LANES + b] - middle[LANES + b]
                a[b] = np.sqrt(er * er + em * em) * f
        for b in range(LANES):
            er, em = x[i, b] - x[j, b], x[i, LANES + b] - x[j, LANES + b]
            a[LANES + b] = np.sqrt(er * er + em * em) * g
        for b in range(here):
            v_pu[first + b, s] = a[b]
            v_ll_pu[first + b, s] = a[LANES + b]
        if counted[s]:
            from_ = LANES if pairs else 0
            for b in range(LANES):
                below, above = a[from_ + b] - low, high - a[from_ + b]
                a[2 * LANES + b] = below if below < above else above
            _least(0, s, a[2 * LANES :], worst, where)


@compiled
def _currents(first, here, x, looks, found, worst, where, total):
    """Read each line's phases at their larger end; what the lines keep adds to ``total``."""
    (one_end, other_end), (one_at, other_at), rating = looks[3]
    current = found[2]
    a, c, margin = np.zeros(2 * LANES), np.zeros(2 * LANES), np.zeros(LANES)
    for s in range(len(rating)):
        _product(one_end, s, x, a)
        _product(other_end, s, x, c)
        i, j, most = one_at[s], other_at[s], rating[s]
        for b in range(LANES):
            total[b] += x[i, b] * a[b] + x[i, LANES + b] * a[LANES + b]
            total[b] += x[j, b] * c[b] + x[j, LANES + b] * c[LANES + b]
            one, other = a[b] ** 2 + a[LANES + b] ** 2, c[b] ** 2 + c[LANES + b] ** 2
            a[b] = np.sqrt(one if one > other else other)
            margin[b] = 1.0 - a[b] / most
        for b in range(here):
            current[first + b, s] = a[b]
        if most < np.inf:
            _least(1, s, margin, worst, where)


@compiled
def _through(first, here, x, looks, found, worst, where, total, through):
    """Apparent power of each transformer: the larger of its sides."""
    winding, wound, side, sides, rating = looks[4]
    transformer = found[3]
    a, margin = np.zeros(2 * LANES), np.zeros(LANES)
    through[:] = 0.0
    for s in range(len(wound)):
        _product(winding, s, x, a)
        i, t = wound[s], side[s]
        for b in range(LANES):
            p = x[i, b] * a[b] + x[i, LANES + b] * a[LANES + b]
            total[b] += p
            through[0, t, b] += p
            through[1, t, b] += x[i, LANES + b] * a[b] - x[i, b] * a[LANES + b]
    for t in range(len(rating)):
        a[:] = 0.0
        for k in range(sides * t, sides * t + sides):
            for b in range(LANES):
                square = through[0, k, b] ** 2 + through[1, k, b] ** 2
                a[b] = square if square > a[b] else a[b]
        for b in range(LANES):
            a[b] = np.sqrt(a[b]) / 1e3
            margin[b] = 1.0 - a[b] / rating[t]
        for b in range(here):
            transformer[first + b, t] = a[b]
        _least(2, t, margin, worst, where)


@compiled
def read(volts, looks, found):
    """Read and judge solved voltages.

    Parameters
    ----------
    volts
        (block, position, 2 * LANES), the last position earth.
    looks
        What is read, as `simulator.fast.meter.FastMeter` makes it.
    found
        What is filled in: (realization, …) magnitudes to neutral and across, currents, transformer
        power; (source node, realization) power that the network takes there, kVA; (realization,)
        losses, kW; (realization, 3) worst margin of voltage, current, transformers, and its place.
    """
    supplied, losses, margin, place = found[4:]
    (rest, rest_at), (network_at, source) = looks[5], looks[6]
    worst, where = np.zeros((3, LANES)), np.zeros((3, LANES), np.int64)
    total, a = np.zeros(LANES), np.zeros(2 * LANES)
    through = np.zeros((2, looks[4][3] * len(looks[4][4]), LANES))
    for block in range(len(volts)):
        first, x = block * LANES, volts[block]
        here = min(LANES, len(losses) - first)
        worst[:] = np.inf
        where[:] = -1
        total[:] = 0.0
        _magnitudes(first, here, x, looks, found, worst, where)
        _currents(first, here, x, looks, found, worst, where, total)
        _through(first, here, x, looks, found, worst, where, total, through)
        for s in range(len(rest_at)):
            _product(rest, s, x, a)
            i = rest_at[s]
            for b in range(LANES):
                total[b] += x[i, b] * a[b] + x[i, LANES + b] * a[LANES + b]
        for s in range(len(source)):
            _product(network_at, s, x, a)
            i = source[s]
            for b in range(here):
                p = x[i, b] * a[b] + x[i, LANES + b] * a[LANES + b]
                q = x[i, LANES + b] * a[b] - x[i, b] * a[LANES + b]
                supplied[s, first + b] = complex(p / 1e3, q / 1e3)
        for b in range(here):
            losses[first + b] = total[b] / 1e3
            for k in range(3):
                margin[first + b, k] = worst[k, b]
                place[first + b, k] = where[k, b]
