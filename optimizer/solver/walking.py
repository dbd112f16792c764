"""Steps of the dual simplex method from a basis whose inverse is known; compiled.

One realization after another, each from its own start, so that its answer is rounded as if it
were alone. Every sum is taken in one order.
"""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.compiling import compiled, inlined, part

__all__ = ["HOLDS", "nearest", "walk"]

HOLDS, _REFUTED, _LOST = 0, -1, -2
"""How a walk ends; the latter as `optimizer.solver.bases` has them."""

_APART = 1e-7  # that a variable on a bound may be from it, as a share: rounding has piled up


@inlined
def _times(start, at, value, k, x):
    """One row of a sparse matrix times a vector."""
    total = 0.0
    for n in range(start[k], start[k + 1]):
        total += value[n] * x[at[n]]
    return total


@part
def _begin(theta, hub, form, state):
    """Put the start's basis at a parameter into the state."""
    _, (start, at, entry), low, high, _ = form
    _, off, status, x, dual, moved, _, right, _ = state
    inverse, from_off, from_status, from_dual = hub
    off[:] = from_off
    status[:] = from_status
    dual[:] = from_dual
    for k in range(len(moved)):
        moved[k] = _times(start, at, entry, k, theta)
    for r in range(len(x)):
        k = off[r]
        right[r] = (low[k] if status[k] < 0 else high[k]) - moved[k]
    whole = len(x) // 4 * 4
    for i in range(len(x)):
        a, b, c, d = 0.0, 0.0, 0.0, 0.0
        for r in range(0, whole, 4):
            a += inverse[i, r] * right[r]
            b += inverse[i, r + 1] * right[r + 1]
            c += inverse[i, r + 2] * right[r + 2]
            d += inverse[i, r + 3] * right[r + 3]
        for r in range(whole, len(x)):
            a += inverse[i, r] * right[r]
        x[i] = (a + b) + (c + d)


@part
def _worst(form, state):
    """Values of all variables; the basic one furthest outside a bound, by how much, which bound.

    The last is whether those that are on a bound are still found there.
    """
    (start, at, entry), _, low, high, _ = form
    _, _, status, x, _, moved, value, _, _ = state
    worst, side, sound = -np.inf, 0, True
    for k in range(len(low)):
        value[k] = moved[k] + _times(start, at, entry, k, x)
    for k in range(len(low)):
        v = value[k]
        if status[k] == 0:
            if low[k] - v > worst:
                worst, side = low[k] - v, 2 * k
            if v - high[k] > worst:
                worst, side = v - high[k], 2 * k + 1
        else:
            bound = low[k] if status[k] < 0 else high[k]
            sound &= abs(v - bound) <= _APART * (1.0 + abs(bound))
    return worst, side, sound


@part
def _entering(side, form, state, pivot, tie):
    """Which variable on a bound may bring the one that leaves back; -1 if there is none."""
    every, _, low, high, _ = form
    inverse, off, status, _, dual, _, _, push, (done, columns, rows) = state
    start, at, entry = every
    leaving, sign = side // 2, (-1.0 if side % 2 else 1.0)
    push[:] = 0.0
    for n in range(start[leaving], start[leaving + 1]):
        e, i = entry[n], at[n]
        for r in range(len(push)):
            push[r] += e * inverse[i, r]
    for j in range(done[0]):
        e = 0.0
        for n in range(start[leaving], start[leaving + 1]):
            e += entry[n] * columns[j, at[n]]
        if e != 0.0:
            for r in range(len(push)):
                push[r] -= e * rows[j, r]
    least, chosen, largest = np.inf, -1, -1.0
    for r in range(len(push)):
        k = off[r]
        inward = -float(status[k])
        if low[k] < high[k] and sign * push[r] * inward > pivot:
            least = min(least, max(inward * dual[r], 0.0) / abs(push[r]))
    for r in range(len(push)):
        k = off[r]
        inward = -float(status[k])
        if low[k] < high[k] and sign * push[r] * inward > pivot:
            ratio = max(inward * dual[r], 0.0) / abs(push[r])
            if ratio <= least + tie and abs(push[r]) > largest:
                largest, chosen = abs(push[r]), r
    return chosen


@part
def _step(side, enter, form, state):
    """Exchange two variables: the inverse, the duals and the solution are brought up to date.

    The inverse is that of the start less ``columnsᵀ · rows``, a product of as many terms as steps.
    """
    _, _, low, high, _ = form
    inverse, off, status, x, dual, _, value, push, (done, columns, rows) = state
    leaving, now = side // 2, done[0]
    status[off[enter]] = 0
    status[leaving] = 1 if side % 2 else -1
    off[enter] = leaving
    f = 1.0 / push[enter]
    short = (high[leaving] if side % 2 else low[leaving]) - value[leaving]
    rate = dual[enter] * f
    for r in range(len(dual)):
        dual[r] -= rate * push[r]
        rows[now, r] = push[r]
    dual[enter] = rate
    rows[now, enter] -= 1.0
    for i in range(len(x)):
        columns[now, i] = inverse[i, enter]
    for j in range(now):
        e = rows[j, enter]
        if e != 0.0:
            for i in range(len(x)):
                columns[now, i] -= e * columns[j, i]
    for i in range(len(x)):
        columns[now, i] *= f
        x[i] += columns[now, i] * short
    done[0] = now + 1


@compiled
def walk(theta, hub, hubs, form, limits, found):
    """Walk each parameter from its hub until a basis holds, or nothing can.

    Parameters
    ----------
    theta, hub
        (sample, parameter) and (sample,) where each starts.
    hubs
        Of each hub the inverse (hub, column, column), the variables on a bound in its order, the
        statuses, and the duals.
    form
        Rows of all variables over columns, and over parameters, as sparse rows; lower and upper
        bounds; cost.
    limits
        Most steps; how far outside a bound counts as inside, and from where on refuted; least
        pivot; ties.
    found
        What is filled in: (sample, column) solutions; how each ended; the bound that did not hold
        last, as ``2·variable`` or one more; (sample, variable) statuses of the last basis.
    """
    inverse, off, status, dual = hubs
    most, inside, refutes, pivot, tie = limits
    solution, where, last, ended = found
    columns, variables = solution.shape[1], len(form[2])
    room = (
        np.empty(columns, np.int64),
        np.empty(variables, np.int8),
        np.empty(columns),
        np.empty(columns),
        np.empty(variables),
        np.empty(variables),
        np.empty(columns),
        (np.zeros(1, np.int64), np.empty((most, columns)), np.empty((most, columns))),
    )
    for q in range(len(theta)):
        h = hub[q]
        state = (inverse[h], *room)
        room[-1][0][0] = 0
        _begin(theta[q], (inverse[h], off[h], status[h], dual[h]), form, state)
        where[q] = _LOST
        for _ in range(most):
            worst, side, sound = _worst(form, state)
            if not sound:
                break
            if worst <= inside:
                where[q] = HOLDS
                break
            last[q] = side
            enter = _entering(side, form, state, pivot, tie)
            if enter < 0:
                where[q] = HOLDS if worst <= refutes else _REFUTED
                break
            _step(side, enter, form, state)
        solution[q] = state[3]
        ended[q] = state[2]


@compiled
def nearest(theta, points, found):
    """Find of each parameter the nearest of some points, the first of several.

    Parameters
    ----------
    theta
        (sample, parameter).
    points
        (parameter, point).
    found
        (sample,) what is filled in.
    """
    far = np.empty(points.shape[1])
    for q in range(len(theta)):
        far[:] = 0.0
        for k in range(len(points)):
            for p in range(len(far)):
                apart = points[k, p] - theta[q, k]
                far[p] += apart * apart
        found[q] = np.argmin(far)
