"""The loops that are compiled: factoring, injecting, sweeping, for some realizations side by side.

Realizations stand in the last axis, ``LANES`` of them, and none sees another: what a lane holds
depends neither on its place nor on its company, to the last bit. Every number is a double, every
operation one of IEEE 754 with nothing fused and no sum taken in another order, so results
are the same on every processor; a load that follows its voltage by a power other than 0, 1 or 2 is
the exception, as powers are the mathematical library's.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

__all__ = ["LANES", "MOST", "factor", "measure", "solve"]

LANES = 16
"""Realizations side by side; a block of fewer is filled up with its last."""

MOST = 25
"""Steps after which a flow is given up: it is near the nose of the voltage curve, or past it."""

_FAR = 1e6  # pu², a step from which nothing comes back

_compiled: Any = njit(cache=True, nogil=True, error_model="numpy")


@_compiled
def _of(blocks, k):
    return blocks[k, 0], blocks[k, 1], blocks[k, 2], blocks[k, 3]


@_compiled
def factor(start, later, row_start, row_at, lower, upper, diagonal, inverse):
    """Factor in place, row after row: ``A = L D U`` with blocks of 2 x 2.

    ``lower`` becomes ``L`` below its unit diagonal, ``upper`` ``U`` above its own.
    """
    count = len(diagonal)
    place = np.full(count, -1)
    for i in range(count):
        for k in range(start[i], start[i + 1]):
            place[later[k]] = k
        for k in range(row_start[i], row_start[i + 1]):
            place[row_at[k]] = k
        for k in range(row_start[i], row_start[i + 1]):
            j = row_at[k]
            a, b, c, d = _of(lower, k)
            p, q, r, s = _of(inverse, j)
            lower[k, 0], lower[k, 1] = a * p + b * r, a * q + b * s
            lower[k, 2], lower[k, 3] = c * p + d * r, c * q + d * s
            a, b, c, d = _of(lower, k)
            for m in range(start[j], start[j + 1]):
                p, q, r, s = _of(upper, m)
                n = later[m]
                if n < i:
                    into = lower[place[n]]
                elif n == i:
                    into = diagonal[i]
                else:
                    into = upper[place[n]]
                into[0] -= a * p + b * r
                into[1] -= a * q + b * s
                into[2] -= c * p + d * r
                into[3] -= c * q + d * s
        a, b, c, d = _of(diagonal, i)
        f = 1.0 / (a * d - b * c)
        inverse[i, 0], inverse[i, 1], inverse[i, 2], inverse[i, 3] = d * f, -b * f, -c * f, a * f
    for i in range(count):  # only now: rows that came later needed them as they were
        p, q, r, s = _of(inverse, i)
        for k in range(start[i], start[i + 1]):
            a, b, c, d = _of(upper, k)
            upper[k, 0], upper[k, 1] = p * a + q * c, p * b + q * d
            upper[k, 2], upper[k, 3] = r * a + s * c, r * b + s * d


@_compiled
def _inject(slots, power, v, right, drawn):
    """Set ``right`` to what slots draw beyond their linear share, at the nodes that any draw at."""
    plus, minus, kind, _, terms, square, slope = slots
    (p, q), (vr, vm), (jr, jm) = power, v, right
    lanes = range(LANES)
    for k in drawn:
        for b in lanes:
            jr[k, b] = 0.0
            jm[k, b] = 0.0
    er, em = np.empty(LANES), np.empty(LANES)
    sp, sq = np.empty(LANES), np.empty(LANES)
    for s in range(len(plus)):
        i, j = plus[s], minus[s]
        for b in lanes:
            er[b] = vr[i, b] - vr[j, b]
            em[b] = vm[i, b] - vm[j, b]
            sp[b] = p[s, b]
            sq[b] = q[s, b]
        if kind[s] == 1:
            c0, c1, c2 = terms[s, 0], terms[s, 1], terms[s, 2]
            d0, d1, d2 = terms[s, 3], terms[s, 4], terms[s, 5]
            f = square[s]
            for b in lanes:
                two = (er[b] * er[b] + em[b] * em[b]) * f
                one = np.sqrt(two)
                sp[b] *= c0 + c1 * one + c2 * two
                sq[b] *= d0 + d1 * one + d2 * two
        elif kind[s] == 2:
            for b in lanes:
                two = (er[b] * er[b] + em[b] * em[b]) * square[s]
                sp[b] *= two ** (0.5 * terms[s, 0])
                sq[b] *= two ** (0.5 * terms[s, 3])
        k0, k1, k2, k3 = slope[s, 0], slope[s, 1], slope[s, 2], slope[s, 3]
        for b in lanes:
            x, y = er[b], em[b]
            f = 1.0 / (x * x + y * y)
            cr = (sp[b] * x + sq[b] * y) * f - (k0 * x + k1 * y)
            cm = (sp[b] * y - sq[b] * x) * f - (k2 * x + k3 * y)
            jr[i, b] -= cr
            jm[i, b] -= cm
            jr[j, b] += cr
            jm[j, b] += cm


@_compiled
def _sweep(factors, right, source, x, every):
    """Solve the linear network: forward over what is driven, back over what is wanted, or all."""
    low_start, low_at, low, works, up_start, up_at, up, inverse, wanted = factors
    (jr, jm), (sr, sm), (xr, xm) = right, source, x
    lanes = range(LANES)
    ar, am = np.empty(LANES), np.empty(LANES)
    for i in range(len(inverse)):
        if works[i]:
            for b in lanes:
                ar[b] = jr[i, b] + sr[i, b]
                am[b] = jm[i, b] + sm[i, b]
            for k in range(low_start[i], low_start[i + 1]):
                j = low_at[k]
                p, q, r, s = low[k, 0], low[k, 1], low[k, 2], low[k, 3]
                for b in lanes:
                    ar[b] -= p * xr[j, b] + q * xm[j, b]
                    am[b] -= r * xr[j, b] + s * xm[j, b]
            for b in lanes:
                xr[i, b] = ar[b]
                xm[i, b] = am[b]
    for i in range(len(inverse) - 1, -1, -1):
        if every or wanted[i]:
            p, q, r, s = inverse[i, 0], inverse[i, 1], inverse[i, 2], inverse[i, 3]
            if works[i]:
                for b in lanes:
                    ar[b] = p * xr[i, b] + q * xm[i, b]
                    am[b] = r * xr[i, b] + s * xm[i, b]
            else:
                for b in lanes:
                    ar[b] = 0.0
                    am[b] = 0.0
            for k in range(up_start[i], up_start[i + 1]):
                j = up_at[k]
                p, q, r, s = up[k, 0], up[k, 1], up[k, 2], up[k, 3]
                for b in lanes:
                    ar[b] -= p * xr[j, b] + q * xm[j, b]
                    am[b] -= r * xr[j, b] + s * xm[j, b]
            for b in lanes:
                xr[i, b] = ar[b]
                xm[i, b] = am[b]


@_compiled
def _settle(x, v, drawn, scale, moving, tolerance):
    """Take a step in every lane that still moves; returns how many do after it."""
    (xr, xm), (vr, vm) = x, v
    worst = np.zeros(LANES)
    for k in drawn:
        f = scale[k]
        for b in range(LANES):
            er = xr[k, b] - vr[k, b]
            em = xm[k, b] - vm[k, b]
            worst[b] = max(worst[b], (er * er + em * em) * f)
            if moving[b] > 0.0:
                vr[k, b] += er
                vm[k, b] += em
    left = 0
    for b in range(LANES):
        if moving[b] > 0.0:
            if worst[b] < tolerance * tolerance:
                moving[b] = 0.0
            elif not worst[b] < _FAR:
                moving[b] = -1.0
            else:
                left += 1
    return left


@_compiled
def _within(slots, v, low, high, b):
    """Whether every slot's voltage is where its load keeps its model."""
    plus, minus = slots[0], slots[1]
    for s in range(len(plus)):
        er = v[0][plus[s], b] - v[0][minus[s], b]
        em = v[1][plus[s], b] - v[1][minus[s], b]
        if not low[s] <= er * er + em * em <= high[s]:
            return False
    return True


@_compiled
def solve(factors, slots, sources, power, v_pu, base, drawn, limits, place, found):
    """Solve every realization.

    Parameters
    ----------
    factors, slots
        As `simulator.fast.network.Network` makes them.
    sources
        Node (source, 3) and the current (source, 3), real and imaginary, of 1 pu.
    power
        Active and reactive, (realization, what is told), and what each slot takes of which.
    v_pu
        (realization, source).
    base, drawn
        Voltages at which the network was linearised, real and imaginary, with one over their
        squares; positions that slots stand at.
    limits
        Squares of each slot's least and greatest voltage, and the tolerance, pu.
    place, found
        Where a position stands in the voltages that are filled in, (1 + node, realization);
        these, what converged, whether within the limits, and the steps taken.
    """
    (p, q, column), (node, wr, wm) = power, sources
    (base_r, base_m, scale), (low, high, tolerance) = base, limits
    volts, solved, trusted, steps = found
    count, size = len(p), len(base_r)
    shape = (2, size, LANES)
    x, v, right, source = np.zeros(shape), np.zeros(shape), np.zeros(shape), np.zeros(shape)
    taken = np.zeros((2, len(column), LANES))
    moving, share = np.ones(LANES), slots[3]
    for first in range(0, count, LANES):
        source[:] = 0.0
        for b in range(LANES):
            row = min(first + b, count - 1)
            for s in range(len(column)):
                taken[0, s, b] = p[row, column[s]] * share[s]
                taken[1, s, b] = q[row, column[s]] * share[s]
            for f in range(len(node)):
                for k in range(3):
                    source[0, node[f, k], b] += wr[f, k] * v_pu[row, f]
                    source[1, node[f, k], b] += wm[f, k] * v_pu[row, f]
            moving[b] = 1.0
        for k in range(size):
            v[0, k, :] = base_r[k]
            v[1, k, :] = base_m[k]
        used = np.full(LANES, MOST)
        for step in range(1, MOST + 1):
            _inject(slots, (taken[0], taken[1]), (v[0], v[1]), (right[0], right[1]), drawn)
            _sweep(factors, (right[0], right[1]), (source[0], source[1]), (x[0], x[1]), False)
            left = _settle((x[0], x[1]), (v[0], v[1]), drawn, scale, moving, tolerance)
            for b in range(LANES):
                if moving[b] == 0.0 and used[b] == MOST:
                    used[b] = step
            if left == 0:
                break
        # currents of the last voltages, so that every node's add up to nothing
        _inject(slots, (taken[0], taken[1]), (v[0], v[1]), (right[0], right[1]), drawn)
        _sweep(factors, (right[0], right[1]), (source[0], source[1]), (x[0], x[1]), True)
        here = min(LANES, count - first)
        for b in range(here):
            solved[first + b] = moving[b] == 0.0
            trusted[first + b] = _within(slots, (v[0], v[1]), low, high, b)
            steps[first + b] = used[b]
        for k in range(len(place)):
            for b in range(here):
                volts[place[k], first + b] = complex(x[0, k, b], x[1, k, b])


@_compiled
def _product(matrix, k, x, out):
    """Put one row of a matrix times voltages into ``out``, real and imaginary."""
    start, at, real, imaginary = matrix
    for b in range(LANES):
        out[0, b] = 0.0
        out[1, b] = 0.0
    for n in range(start[k], start[k + 1]):
        j, r, m = at[n], real[n], imaginary[n]
        for b in range(LANES):
            out[0, b] += r * x[0, j, b] - m * x[1, j, b]
            out[1, b] += r * x[1, j, b] + m * x[0, j, b]


@_compiled
def _magnitudes(x, buses, v_pu, v_ll_pu, first, here):
    """Magnitudes to neutral, and across the pair that begins at each phase."""
    at, inverse, across = buses
    a = np.zeros((2, LANES))
    for s in range(len(at)):
        i, j = at[s], at[s // 3 * 3 + (s + 1) % 3]
        for b in range(LANES):
            a[0, b] = np.sqrt(x[0, i, b] ** 2 + x[1, i, b] ** 2) * inverse[s]
            er, em = x[0, i, b] - x[0, j, b], x[1, i, b] - x[1, j, b]
            a[1, b] = np.sqrt(er * er + em * em) * across[s]
        for b in range(here):
            v_pu[first + b, s] = a[0, b]
            v_ll_pu[first + b, s] = a[1, b]


@_compiled
def _through(x, winding, windings, through, transformer, first, here):
    """Apparent power of each transformer: the larger of its sides."""
    wound, side, sides = windings
    a = np.zeros((2, LANES))
    through[:] = 0.0
    for s in range(len(wound)):
        _product(winding, s, x, a)
        i, t = wound[s], side[s]
        for b in range(LANES):
            through[0, t, b] += x[0, i, b] * a[0, b] + x[1, i, b] * a[1, b]
            through[1, t, b] += x[1, i, b] * a[0, b] - x[0, i, b] * a[1, b]
    for t in range(transformer.shape[1]):
        for b in range(here):
            most = 0.0
            for k in range(sides * t, sides * t + sides):
                most = max(most, through[0, k, b] ** 2 + through[1, k, b] ** 2)
            transformer[first + b, t] = np.sqrt(most) / 1e3


@_compiled
def measure(volts, matrices, windings, nodes, buses, found):
    """Magnitudes and flows of solved voltages.

    Parameters
    ----------
    volts
        (1 + node, realization), zero where dead or unsolved.
    matrices
        Both ends of the lines, windings, and the network, as rows.
    windings
        Node and side of each winding's row; sides of a transformer.
    nodes
        Live nodes; of these those that hold no voltage; those that do.
    buses
        Node of each bus's phase, one over its base, the same across the pair that begins there.
    found
        What is filled in: (realization, …) magnitudes to neutral and across, currents, transformer
        power; (source node, realization) power; (realization,) losses and what is drawn, in kW.
    """
    one_end, other_end, winding, network = matrices
    live, free, source = nodes
    v_pu, v_ll_pu, current, transformer, supplied, losses, drawn = found
    size, count = volts.shape
    x, a, c = np.zeros((2, size, LANES)), np.zeros((2, LANES)), np.zeros((2, LANES))
    through = np.zeros((2, windings[2] * transformer.shape[1], LANES))
    total, rest = np.zeros(LANES), np.zeros(LANES)
    for first in range(0, count, LANES):
        here = min(LANES, count - first)
        for k in range(size):
            for b in range(here):
                x[0, k, b] = volts[k, first + b].real
                x[1, k, b] = volts[k, first + b].imag
        _magnitudes(x, buses, v_pu, v_ll_pu, first, here)
        for s in range(current.shape[1]):
            _product(one_end, s, x, a)
            _product(other_end, s, x, c)
            for b in range(LANES):
                one, other = a[0, b] ** 2 + a[1, b] ** 2, c[0, b] ** 2 + c[1, b] ** 2
                a[0, b] = np.sqrt(max(one, other))
            for b in range(here):
                current[first + b, s] = a[0, b]
        _through(x, winding, windings, through, transformer, first, here)
        total[:] = 0.0
        rest[:] = 0.0
        for i in live:
            _product(network, i, x, a)
            for b in range(LANES):
                p = (x[0, i, b] * a[0, b] + x[1, i, b] * a[1, b]) / 1e3
                total[b] += p
                if free[i]:
                    rest[b] -= p
        for b in range(here):
            losses[first + b] = total[b]
            drawn[first + b] = rest[b]
        for s in range(len(source)):
            i = source[s]
            _product(network, i, x, a)
            for b in range(here):
                p = x[0, i, b] * a[0, b] + x[1, i, b] * a[1, b]
                q = x[1, i, b] * a[0, b] - x[0, i, b] * a[1, b]
                supplied[s, first + b] = complex(p / 1e3, q / 1e3)
