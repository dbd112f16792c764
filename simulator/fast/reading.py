"""What a snapshot shows, and its worst margins, read of some realizations side by side; compiled.

Every number is added up in one order, as in `simulator.fast.loops`.
"""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.compiling import compiled, inlined, part
from gridproof.scenarios.lanes import LANES, above, alike, below, choose, load, root, store
from gridproof.simulator.fast.loops import at

__all__ = ["read"]


@inlined
def _product(matrix, k, x):
    """Return one row of a matrix times voltages."""
    start, place, real, imaginary = matrix
    total, total_im = alike(0.0), alike(0.0)
    for n in range(start[k], start[k + 1]):
        re, im = at(x, place[n])
        total += real[n] * re - imaginary[n] * im
        total_im += real[n] * im + imaginary[n] * re
    return total, total_im


@inlined
def _spill(values, found, s, rows):
    """Put a number of each realization into its row."""
    first, here, lanes = rows
    store(lanes, (0,), values)
    for b in range(here):
        found[first + b, s] = lanes[b]


@inlined
def _least(kind, s, margin, worst, where):
    """Take a margin that is less than what was least before it; NaN wins, the first of it."""
    least = load(worst, (kind, 0))
    less = below(margin, least)
    store(worst, (kind, 0), choose(less, margin, least))
    store(where, (kind, 0), choose(less, 1.0 * s, load(where, (kind, 0))))


@inlined
def _size(re, im):
    return root(re * re + im * im)


@inlined
def _magnitude(x, i, inverse, c, centres):
    """Magnitude at a position, to earth, or counted from where the neutral would be."""
    _, reference, weight, scale = centres
    if np.isnan(inverse):  # dead, or there is no such phase
        return alike(np.nan)
    re, im = at(x, i)
    if c < 0:
        return _size(re, im) * inverse
    middle, middle_im = alike(0.0), alike(0.0)
    for k in range(3):
        there, there_im = at(x, reference[c, k])
        middle += weight[c, k] * there
        middle_im += weight[c, k] * there_im
    return _size(re - middle, im - middle_im) * (inverse * scale[c])


@part
def _magnitudes(rows, x, looks, found, worst, where):
    """Magnitudes to neutral, and across the pair that begins at each phase."""
    (places, inverse, across, counted), centres, (low, high, pairs) = looks[0], looks[1], looks[2]
    for s in range(len(places)):
        i, j = places[s], places[s // 3 * 3 + (s + 1) % 3]
        alone = _magnitude(x, i, inverse[s], centres[0][s // 3], centres)
        (re, im), (other, other_im) = at(x, i), at(x, j)
        _spill(alone, found[0], s, rows)
        pair = alike(np.nan)
        if not np.isnan(across[s]):
            pair = _size(re - other, im - other_im) * across[s]
        _spill(pair, found[1], s, rows)
        if counted[s]:
            looked = alone
            if pairs:
                looked = pair
            under, over = looked - low, high - looked
            _least(0, s, choose(below(under, over), under, over), worst, where)


@part
def _currents(rows, x, looks, found, worst, where):
    """Read each line's phases at their larger end; returns what the lines keep."""
    (one_end, other_end), (one_at, other_at), rating = looks[3]
    total = alike(0.0)
    for s in range(len(rating)):
        if one_end[0][s] == one_end[0][s + 1] and other_end[0][s] == other_end[0][s + 1]:
            _spill(alike(0.0), found[2], s, rows)  # no such phase, or all of it is dead
            if rating[s] < np.inf:
                _least(1, s, alike(1.0), worst, where)
            continue
        (a, a_im), (c, c_im) = _product(one_end, s, x), _product(other_end, s, x)
        (v, v_im), (u, u_im) = at(x, one_at[s]), at(x, other_at[s])
        total += v * a + v_im * a_im
        total += u * c + u_im * c_im
        one, other = a * a + a_im * a_im, c * c + c_im * c_im
        current = root(choose(above(one, other), one, other))
        _spill(current, found[2], s, rows)
        if rating[s] < np.inf:
            _least(1, s, 1.0 - current / rating[s], worst, where)
    return total


@part
def _through(rows, x, looks, found, worst, where, through):
    """Read apparent power of each transformer, the larger of its sides; returns what they keep."""
    winding, wound, side, sides, rating = looks[4]
    total = alike(0.0)
    through[:] = 0.0
    for s in range(len(wound)):
        (a, a_im), (v, v_im) = _product(winding, s, x), at(x, wound[s])
        p, q, t = v * a + v_im * a_im, v_im * a - v * a_im, side[s]
        total += p
        store(through, (0, t, 0), load(through, (0, t, 0)) + p)
        store(through, (1, t, 0), load(through, (1, t, 0)) + q)
    for t in range(len(rating)):
        most = alike(0.0)
        for k in range(sides * t, sides * t + sides):
            p, q = load(through, (0, k, 0)), load(through, (1, k, 0))
            square = p * p + q * q
            most = choose(above(square, most), square, most)
        apparent = root(most) / 1e3
        _spill(apparent, found[3], t, rows)
        _least(2, t, 1.0 - apparent / rating[t], worst, where)
    return total


@part
def _kept(x, looks):
    """Return what all else keeps."""
    rest, rest_at = looks[5]
    total = alike(0.0)
    for s in range(len(rest_at)):
        (a, a_im), (v, v_im) = _product(rest, s, x), at(x, rest_at[s])
        total += v * a + v_im * a_im
    return total


@part
def _supplied(first, here, x, looks, supplied):
    """Put what the network takes at each source node, kVA."""
    network_at, source = looks[6]
    p, q = np.empty(LANES), np.empty(LANES)
    for s in range(len(source)):
        (a, a_im), (v, v_im) = _product(network_at, s, x), at(x, source[s])
        store(p, (0,), v * a + v_im * a_im)
        store(q, (0,), v_im * a - v * a_im)
        for b in range(here):
            supplied[s, first + b] = complex(p[b] / 1e3, q[b] / 1e3)


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
    worst, where, total = np.empty((3, LANES)), np.empty((3, LANES)), np.empty(LANES)
    lanes, through = np.empty(LANES), np.empty((2, looks[4][3] * len(looks[4][4]), LANES))
    for block in range(len(volts)):
        first, x = block * LANES, volts[block]
        here = min(LANES, len(losses) - first)
        rows = first, here, lanes
        worst[:] = np.inf
        where[:] = -1.0
        _magnitudes(rows, x, looks, found, worst, where)
        lost = _currents(rows, x, looks, found, worst, where)
        lost += _through(rows, x, looks, found, worst, where, through)
        store(total, (0,), lost + _kept(x, looks))
        _supplied(first, here, x, looks, supplied)
        for b in range(here):
            losses[first + b] = total[b] / 1e3
            for k in range(3):
                margin[first + b, k] = worst[k, b]
                place[first + b, k] = int(where[k, b])
