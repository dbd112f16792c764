"""The loops that are compiled: injecting, sweeping, for some realizations side by side.

Realizations stand in the last axis, ``LANES`` of them, and none sees another: what a lane holds
depends neither on its place nor on its company, to the last bit. Every number is a double, every
operation one of IEEE 754 with nothing fused and no sum taken in another order, so results
are the same on every processor; a load that follows its voltage by a power other than 0, 1 or 2 is
the exception, as powers are the mathematical library's.
"""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.compiling import compiled

__all__ = ["LANES", "MOST", "solve"]

LANES = 16
"""Realizations side by side; a block of fewer is filled up with its last."""

MOST = 25
"""Steps after which a flow is given up: it is near the nose of the voltage curve, or past it."""

_FAR = 1e6  # pu², a step from which nothing comes back
_QUICKEST = 1e-2  # square to which the next step is taken to shrink at most, whatever the last did


@compiled
def _follow(slots, s, w):
    """Turn a slot's power at rated voltage into that at the voltage across it.

    ``w`` has the voltage, real and imaginary, then active and reactive power.
    """
    kind, terms, square = slots[2], slots[4], slots[5]
    if kind[s] == 1:
        c0, c1, c2 = terms[s, 0], terms[s, 1], terms[s, 2]
        d0, d1, d2 = terms[s, 3], terms[s, 4], terms[s, 5]
        f = square[s]
        for b in range(LANES):
            two = (w[b] * w[b] + w[LANES + b] * w[LANES + b]) * f
            one = np.sqrt(two)
            w[2 * LANES + b] *= c0 + c1 * one + c2 * two
            w[3 * LANES + b] *= d0 + d1 * one + d2 * two
    elif kind[s] == 2:
        for b in range(LANES):
            two = (w[b] * w[b] + w[LANES + b] * w[LANES + b]) * square[s]
            w[2 * LANES + b] *= two ** (0.5 * terms[s, 0])
            w[3 * LANES + b] *= two ** (0.5 * terms[s, 3])


@compiled
def _across(plus, minus, x, taken, s, w):
    """Put the voltage across a slot, and its power at rated voltage, into ``w``."""
    i, j = plus[s], minus[s]
    for b in range(LANES):
        w[b] = x[i, b] - x[j, b]
        w[LANES + b] = x[i, LANES + b] - x[j, LANES + b]
    for b in range(LANES):
        w[2 * LANES + b] = taken[s, b]
        w[3 * LANES + b] = taken[s, LANES + b]


@compiled
def _inject(slots, power, v, right, source, drawn):
    """Put into ``right`` the sources, less what slots draw beyond their linear share."""
    plus, minus, slope = slots[0], slots[1], slots[6]
    w = np.empty(6 * LANES)
    for k in drawn:
        for b in range(LANES):
            right[k, b] = source[k, b]
            right[k, LANES + b] = source[k, LANES + b]
    for s in range(len(plus)):
        i, j = plus[s], minus[s]
        _across(plus, minus, v, power, s, w)
        _follow(slots, s, w)
        k0, k1, k2, k3 = slope[s, 0], slope[s, 1], slope[s, 2], slope[s, 3]
        for b in range(LANES):
            x, y, p, q = w[b], w[LANES + b], w[2 * LANES + b], w[3 * LANES + b]
            f = 1.0 / (x * x + y * y)
            w[4 * LANES + b] = (p * x + q * y) * f - (k0 * x + k1 * y)
            w[5 * LANES + b] = (p * y - q * x) * f - (k2 * x + k3 * y)
        for b in range(LANES):
            right[i, b] -= w[4 * LANES + b]
            right[i, LANES + b] -= w[5 * LANES + b]
        for b in range(LANES):
            right[j, b] += w[4 * LANES + b]
            right[j, LANES + b] += w[5 * LANES + b]


@compiled
def _less(block, at, x, w):
    """Take a block's product with a node's voltage off ``w``."""
    p, q, r, s = block[0], block[1], block[2], block[3]
    for b in range(LANES):
        w[b] -= p * x[at, b] + q * x[at, LANES + b]
        w[LANES + b] -= r * x[at, b] + s * x[at, LANES + b]


@compiled
def _sweep(factors, right, x, every):
    """Solve the linear network: forward over what is driven, back over what is wanted, or all."""
    low_start, low_at, low, works, up_start, up_at, up, inverse, wanted = factors
    w = np.empty(2 * LANES)
    for i in range(len(inverse)):
        if works[i]:
            for b in range(LANES):
                w[b] = right[i, b]
                w[LANES + b] = right[i, LANES + b]
            for k in range(low_start[i], low_start[i + 1]):
                _less(low[k], low_at[k], x, w)
            for b in range(LANES):
                x[i, b] = w[b]
                x[i, LANES + b] = w[LANES + b]
    for i in range(len(inverse) - 1, -1, -1):
        if every or wanted[i]:
            p, q, r, s = inverse[i, 0], inverse[i, 1], inverse[i, 2], inverse[i, 3]
            w[:] = 0.0
            if works[i]:
                for b in range(LANES):
                    w[b] = p * x[i, b] + q * x[i, LANES + b]
                    w[LANES + b] = r * x[i, b] + s * x[i, LANES + b]
            for k in range(up_start[i], up_start[i + 1]):
                _less(up[k], up_at[k], x, w)
            for b in range(LANES):
                x[i, b] = w[b]
                x[i, LANES + b] = w[LANES + b]


@compiled
def _apart(x, v, drawn, scale, w):
    """Put into ``w`` the largest square by which each lane's voltages would step."""
    w[:] = 0.0
    for k in drawn:
        f = scale[k]
        for b in range(LANES):
            er, em = x[k, b] - v[k, b], x[k, LANES + b] - v[k, LANES + b]
            far = (er * er + em * em) * f
            w[b] = far if far > w[b] or np.isnan(far) else w[b]


@compiled
def _settle(x, v, drawn, scale, moving, before, tolerance):
    """Take a step in every lane that still moves; returns how many do after it.

    Steps shrink by much the same from one to the next, so a lane comes to rest when the step after
    this one will be less than the tolerance; `_confirm` sees to it that it is.
    """
    w, far = np.zeros(3 * LANES), np.zeros(LANES)  # the step's parts, and whether it is taken
    _apart(x, v, drawn, scale, far)
    for b in range(LANES):
        w[2 * LANES + b] = 1.0 if moving[b] > 0.0 else 0.0
    for k in drawn:
        for b in range(LANES):
            w[b], w[LANES + b] = x[k, b] - v[k, b], x[k, LANES + b] - v[k, LANES + b]
        for b in range(LANES):
            v[k, b] += w[b] * w[2 * LANES + b]
            v[k, LANES + b] += w[LANES + b] * w[2 * LANES + b]
    left = 0
    for b in range(LANES):
        if moving[b] > 0.0:
            shrinks = far[b] / before[b]
            before[b] = far[b]
            if far[b] * max(4.0 * shrinks, _QUICKEST) < tolerance * tolerance:
                moving[b] = 0.0
            elif not far[b] < _FAR:
                moving[b] = -1.0
            else:
                left += 1
    return left


@compiled
def _confirm(x, v, drawn, scale, moving, tolerance):
    """Give up every lane that rests and would step further than the tolerance all the same."""
    far = np.zeros(LANES)
    _apart(x, v, drawn, scale, far)
    for b in range(LANES):
        if moving[b] == 0.0 and not far[b] < tolerance * tolerance:
            moving[b] = -1.0


@compiled
def _within(slots, v, low, high, b):
    """Whether every slot's voltage is where its load keeps its model."""
    plus, minus = slots[0], slots[1]
    for s in range(len(plus)):
        er = v[plus[s], b] - v[minus[s], b]
        em = v[plus[s], LANES + b] - v[minus[s], LANES + b]
        if not low[s] <= er * er + em * em <= high[s]:
            return False
    return True


@compiled
def _start(first, network, told, room):
    """Put what a block's realizations ask for into their lanes, and voltages at their base."""
    _, slots, (node, wr, wm), (base_r, base_m, _), _, _ = network
    p, q, v_pu = told
    (_, v, right, source), taken, moving, used = room
    share, column = slots[3], slots[7]
    source[:] = 0.0
    for b in range(LANES):
        row = min(first + b, len(p) - 1)
        for s in range(len(column)):
            taken[s, b] = p[row, column[s]] * share[s]
            taken[s, LANES + b] = q[row, column[s]] * share[s]
        for f in range(len(node)):
            for k in range(3):
                source[node[f, k], b] += wr[f, k] * v_pu[row, f]
                source[node[f, k], LANES + b] += wm[f, k] * v_pu[row, f]
        moving[b] = 1.0
        used[b] = MOST
    right[:] = source
    for k in range(len(base_r)):
        v[k, :LANES] = base_r[k]
        v[k, LANES:] = base_m[k]


@compiled
def _flow(first, network, told, room):
    """Solve a block; its voltages are then in the first of the room."""
    factors, slots, _, (_, _, scale), drawn, (_, _, tolerance) = network
    _start(first, network, told, room)
    (x, v, right, source), taken, moving, used = room
    before = np.full(LANES, np.inf)
    for step in range(1, MOST + 1):
        _inject(slots, taken, v, right, source, drawn)
        _sweep(factors, right, x, False)
        left = _settle(x, v, drawn, scale, moving, before, tolerance)
        for b in range(LANES):
            if moving[b] == 0.0 and used[b] == MOST:
                used[b] = step
        if left == 0:
            break
    # currents of the last voltages, so that every node's add up to nothing
    _inject(slots, taken, v, right, source, drawn)
    _sweep(factors, right, x, True)
    _confirm(x, v, drawn, scale, moving, tolerance)


@compiled
def _ended(first, here, network, room, found):
    """Say of a block what converged, what stands where loads keep their models, and the steps."""
    _, slots, _, _, _, (low, high, _) = network
    (x, v, _, _), _, moving, used = room
    solved, trusted, steps = found
    odd = np.zeros(LANES)
    for k in range(len(x)):
        for b in range(LANES):
            odd[b] += x[k, b] * 0.0 + x[k, LANES + b] * 0.0
    for b in range(here):
        solved[first + b] = moving[b] == 0.0 and odd[b] == 0.0
        trusted[first + b] = _within(slots, v, low, high, b)
        steps[first + b] = used[b]


@compiled
def _loads(x, slots, taken, near, drawn, asked):
    """Put what loads ask for at their voltages: all, those at source buses, and there by node."""
    plus, minus = slots[0], slots[1]
    at_plus, at_minus = near
    w = np.empty(6 * LANES)
    drawn[:] = 0.0
    asked[:] = 0.0
    for s in range(len(at_plus)):
        _across(plus, minus, x, taken, s, w)
        _follow(slots, s, w)
        for b in range(LANES):
            asked[0, b] += w[2 * LANES + b]
        if at_plus[s] < 0 and at_minus[s] < 0:
            continue
        for b in range(LANES):
            asked[1, b] += w[2 * LANES + b]
            f = 1.0 / (w[b] * w[b] + w[LANES + b] * w[LANES + b])
            w[4 * LANES + b] = (w[2 * LANES + b] * w[b] + w[3 * LANES + b] * w[LANES + b]) * f
            w[5 * LANES + b] = (w[3 * LANES + b] * w[b] - w[2 * LANES + b] * w[LANES + b]) * f
        for n, k, sign in ((at_plus[s], plus[s], 1.0), (at_minus[s], minus[s], -1.0)):
            if n >= 0:
                for b in range(LANES):
                    drawn[0, n, b] += sign * (
                        w[4 * LANES + b] * x[k, b] - w[5 * LANES + b] * x[k, LANES + b]
                    )
                    drawn[1, n, b] += sign * (
                        w[4 * LANES + b] * x[k, LANES + b] + w[5 * LANES + b] * x[k, b]
                    )


@compiled
def solve(network, told, near, room, volts, ended, loads):
    """Solve every realization.

    Parameters
    ----------
    network
        As `simulator.fast.network.Network` makes it: factors, slots, sources, where voltages
        start, positions that slots stand at, and limits.
    told
        Active and reactive power, (realization, what is told), and (realization, source) pu.
    near
        (load's slot,) where among the source nodes its ends stand; -1 where at none.
    room
        What a block is solved in: (position, 2 * LANES) voltages of the loads, currents, and those
        of sources; (slot, 2 * LANES) powers; (LANES,) whether it moves, and steps.
    volts
        What is filled in: (block, position, 2 * LANES) voltages, real parts, then imaginary ones.
    ended
        (realization,) what converged to finite numbers, whether within the limits, steps taken.
    loads
        (2, block, LANES) what loads ask for, all and those at source buses, W, and
        (2, source node, block, LANES) what these take there.
    """
    slots, count = network[1], len(told[0])
    (v, right, source), taken, moving, used = room
    drawn, asked = np.zeros((2, loads[1].shape[1], LANES)), np.zeros((2, LANES))
    for block in range(len(volts)):
        first, x = block * LANES, volts[block]
        here = min(LANES, count - first)
        x[:] = 0.0
        own = (x, v, right, source), taken, moving, used
        _flow(first, network, told, own)
        _ended(first, here, network, own, ended)
        _loads(x, slots, taken, near, drawn, asked)
        loads[0][:, block] = asked
        loads[1][:, :, block] = drawn
