"""The loops that are compiled: injecting, sweeping, for some realizations side by side.

Realizations stand in the last axis, `LANES` of them, real parts and then imaginary ones, and none
sees another: what a lane holds depends neither on its place nor on its company, to the last bit
(`scenarios.lanes`). Loads that follow their voltage by a power other than 0, 1 or 2 are the
exception to results that are the same on every processor, as powers are the mathematical library's.
"""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.compiling import compiled, inlined, part
from gridproof.scenarios.lanes import LANES, above, alike, below, choose, load, root, store

__all__ = ["MOST", "at", "put", "solve"]

MOST = 25
"""Steps after which a flow is given up: it is near the nose of the voltage curve, or past it."""

_FAR = 1e6  # pu², a step from which nothing comes back
_QUICKEST = 1e-2  # square to which the next step is taken to shrink at most, whatever the last did


@inlined
def at(x, k):
    """Real and imaginary parts at a position."""
    return load(x, (k, 0)), load(x, (k, LANES))


@inlined
def put(x, k, real, imaginary):
    """Put both parts at a position."""
    store(x, (k, 0), real)
    store(x, (k, LANES), imaginary)


@inlined
def _across(slots, x, s):
    """Voltage across a slot."""
    (re, im), (re_less, im_less) = at(x, slots[0][s]), at(x, slots[1][s])
    return re - re_less, im - im_less


@inlined
def _by_power(two, exponent):
    w = np.empty(LANES)
    store(w, (0,), two)
    for b in range(LANES):
        w[b] **= 0.5 * exponent
    return load(w, (0,))


@inlined
def _follow(slots, s, re, im, p, q):
    """Turn a slot's power at rated voltage into that at the voltage across it."""
    kind, terms, square = slots[2], slots[4], slots[5]
    if kind[s] == 0:
        return p, q
    two = (re * re + im * im) * square[s]
    if kind[s] == 1:
        one = root(two)
        return (
            p * (terms[s, 0] + terms[s, 1] * one + terms[s, 2] * two),
            q * (terms[s, 3] + terms[s, 4] * one + terms[s, 5] * two),
        )
    return p * _by_power(two, terms[s, 0]), q * _by_power(two, terms[s, 3])


@part
def _inject(slots, power, v, right, sources, drawn):
    """Put into ``right`` the sources, less what slots draw beyond their linear share."""
    plus, minus, slope = slots[0], slots[1], slots[6]
    for k in drawn:
        put(right, k, 0.0, 0.0)
    nodes, currents = sources
    for n in range(len(nodes)):
        put(right, nodes[n], 0.0, 0.0)
    for n in range(len(nodes)):
        (re, im), (more, more_im) = at(right, nodes[n]), at(currents, n)
        put(right, nodes[n], re + more, im + more_im)
    for s in range(len(plus)):
        i, j = plus[s], minus[s]
        x, y = _across(slots, v, s)
        told_p, told_q = at(power, s)
        p, q = _follow(slots, s, x, y, told_p, told_q)
        f = 1.0 / (x * x + y * y)
        re = (p * x + q * y) * f - (slope[s, 0] * x + slope[s, 1] * y)
        im = (p * y - q * x) * f - (slope[s, 2] * x + slope[s, 3] * y)
        before, before_im = at(right, i)
        put(right, i, before - re, before_im - im)
        before, before_im = at(right, j)
        put(right, j, before + re, before_im + im)


@inlined
def _times(block, k, x, i):
    """Return a block's product with what stands at a position."""
    re, im = at(x, i)
    return block[k, 0] * re + block[k, 1] * im, block[k, 2] * re + block[k, 3] * im


@part
def _sweep(factors, right, x, every):
    """Solve the linear network: forward over what is driven, back over what is wanted, or all."""
    low_start, low_at, low, works, up_start, up_at, up, inverse, wanted = factors
    for i in range(len(inverse)):
        if works[i]:
            re, im = at(right, i)
            for k in range(low_start[i], low_start[i + 1]):
                less, less_im = _times(low, k, x, low_at[k])
                re -= less
                im -= less_im
            put(x, i, re, im)
    for i in range(len(inverse) - 1, -1, -1):
        if every or wanted[i]:
            re, im = alike(0.0), alike(0.0)
            if works[i]:
                re, im = _times(inverse, i, x, i)
            for k in range(up_start[i], up_start[i + 1]):
                less, less_im = _times(up, k, x, up_at[k])
                re -= less
                im -= less_im
            put(x, i, re, im)


@part
def _stepped(x, v, drawn, scale, share):
    """Take a share of the step in each lane; returns the largest square of a whole one."""
    largest = alike(0.0)
    for k in drawn:
        (re, im), (before, before_im) = at(x, k), at(v, k)
        er, em = re - before, im - before_im
        put(v, k, before + er * share, before_im + em * share)
        far = (er * er + em * em) * scale[k]
        largest = choose(above(far, largest), far, largest)
    return largest


@part
def _settle(x, v, drawn, scale, moving, before, tolerance):
    """Take a step in every lane that still moves; returns how many do after it.

    Steps shrink by much the same from one to the next, so a lane comes to rest when the step after
    this one will be less than the tolerance; `_confirm` sees to it that it is.
    """
    far = np.empty(LANES)
    for b in range(LANES):
        far[b] = 1.0 if moving[b] > 0.0 else 0.0
    store(far, (0,), _stepped(x, v, drawn, scale, load(far, (0,))))
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


@part
def _confirm(x, v, drawn, scale, moving, tolerance):
    """Give up every lane that rests and would step further than the tolerance all the same."""
    far = np.empty(LANES)
    store(far, (0,), _stepped(x, v, drawn, scale, alike(0.0)))
    for b in range(LANES):
        if moving[b] == 0.0 and not far[b] < tolerance * tolerance:
            moving[b] = -1.0


@part
def _outside(slots, v, low, high):
    """Return 0 in the lanes in which every slot's voltage is where its load keeps its model."""
    outside = alike(0.0)
    for s in range(len(low)):
        re, im = _across(slots, v, s)
        square = re * re + im * im
        outside = choose(below(square, low[s]), 1.0, outside)
        outside = choose(above(square, high[s]), 1.0, outside)
    return outside


@part
def _start(first, network, told, room):
    """Put what a block's realizations ask for into their lanes, and voltages at their base."""
    _, slots, (node, wr, wm), (base_r, base_m, _), _, _ = network
    p, q, v_pu = told
    (_, v, _, source), taken, moving, used = room
    share, column = slots[3], slots[7]
    for b in range(LANES):
        row = min(first + b, len(p) - 1)
        for s in range(len(column)):
            taken[s, b] = p[row, column[s]] * share[s]
            taken[s, LANES + b] = q[row, column[s]] * share[s]
        for n in range(len(node)):
            source[n, b] = wr[n] * v_pu[row, n // 3]
            source[n, LANES + b] = wm[n] * v_pu[row, n // 3]
        moving[b] = 1.0
        used[b] = MOST
    for k in range(len(base_r)):
        put(v, k, base_r[k], base_m[k])


@part
def _flow(first, network, told, room):
    """Solve a block; its voltages are then in the first of the room."""
    factors, slots, (node, _, _), (_, _, scale), drawn, (_, _, tolerance) = network
    _start(first, network, told, room)
    (x, v, right, source), taken, moving, used = room
    sources, before = (node, source), np.full(LANES, np.inf)
    for step in range(1, MOST + 1):
        _inject(slots, taken, v, right, sources, drawn)
        _sweep(factors, right, x, False)
        left = _settle(x, v, drawn, scale, moving, before, tolerance)
        for b in range(LANES):
            if moving[b] == 0.0 and used[b] == MOST:
                used[b] = step
        if left == 0:
            break
    # currents of the last voltages, so that every node's add up to nothing
    _inject(slots, taken, v, right, sources, drawn)
    _sweep(factors, right, x, True)
    _confirm(x, v, drawn, scale, moving, tolerance)


@part
def _ended(first, here, network, room, found):
    """Say of a block what converged, what stands where loads keep their models, and the steps."""
    _, slots, _, _, _, (low, high, _) = network
    (x, v, _, _), _, moving, used = room
    solved, trusted, steps = found
    odd, outside, none = np.empty(LANES), np.empty(LANES), alike(0.0)
    for k in range(len(x)):
        re, im = at(x, k)
        none += re * 0.0 + im * 0.0
    store(odd, (0,), none)
    store(outside, (0,), _outside(slots, v, low, high))
    for b in range(here):
        solved[first + b] = moving[b] == 0.0 and odd[b] == 0.0
        trusted[first + b] = outside[b] == 0.0
        steps[first + b] = used[b]


@part
def _loads(x, slots, taken, near, drawn, asked):
    """Put what loads ask for at their voltages: all, those at source buses, and there by node."""
    at_plus, at_minus = near
    whole, close = alike(0.0), alike(0.0)
    drawn[:] = 0.0
    for s in range(len(at_plus)):
        re, im = _across(slots, x, s)
        told_p, told_q = at(taken, s)
        p, q = _follow(slots, s, re, im, told_p, told_q)
        whole += p
        if at_plus[s] < 0 and at_minus[s] < 0:
            continue
        close += p
        f = 1.0 / (re * re + im * im)
        a, c = (p * re + q * im) * f, (q * re - p * im) * f
        for n, k, sign in ((at_plus[s], slots[0][s], 1.0), (at_minus[s], slots[1][s], -1.0)):
            if n >= 0:
                v, v_im = at(x, k)
                p_there, q_there = sign * (a * v - c * v_im), sign * (a * v_im + c * v)
                store(drawn, (0, n, 0), load(drawn, (0, n, 0)) + p_there)
                store(drawn, (1, n, 0), load(drawn, (1, n, 0)) + q_there)
    store(asked, (0, 0), whole)
    store(asked, (1, 0), close)


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
        What a block is solved in: (position, 2 * LANES) voltages that loads see, and currents;
        (source node, 2 * LANES) currents; (slot, 2 * LANES) powers; (LANES,) whether it moves, and
        steps.
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
