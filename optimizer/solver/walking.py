"""Steps of the dual simplex method from a basis whose inverse is known; compiled.

One realization after another, each from its own start, so that its answer is rounded as if it
were alone. Every sum is taken in one order.
"""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.compiling import compiled

__all__ = ["HOLDS", "walk"]

HOLDS, _REFUTED, _LOST = 0, -1, -2
"""How a walk ends; the latter as `optimizer.solver.bases` has them."""

_APART = 1e-7  # that a variable on a bound may be from it, as a share: rounding has piled up


@compiled
def _times(rows, k, x):
    """One row of a sparse matrix times a vector, in four sums that need not wait for each other."""
    start, at, value = rows
    first, last = start[k], start[k + 1]
    a, b, c, d = 0.0, 0.0, 0.0, 0.0
    whole = first + (last - first) // 4 * 4
    for n in range(first, whole, 4):
        a += value[n] * x[at[n]]
        b += value[n + 1] * x[at[n + 1]]
        c += value[n + 2] * x[at[n + 2]]
        d += value[n + 3] * x[at[n + 3]]
    for n in range(whole, last):
        a += value[n] * x[at[n]]
    return (a + b) + (c + d)


@compiled
def _begin(theta, start, form, state):
    """Put the start's basis at a parameter into the state."""
    _, moving, low, high, _ = form
    inverse, off, status, x, dual, moved, _, right = state
    from_inverse, from_off, from_status, from_dual = start
    inverse[:] = from_inverse
    off[:] = from_off
    status[:] = from_status
    dual[:] = from_dual
    for k in range(len(moved)):
        moved[k] = _times(moving, k, theta)
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


@compiled
def _worst(form, state):
    """Values of all variables; the basic one furthest outside a bound, by how much, which bound.

    The last is whether those that are on a bound are still found there.
    """
    every, _, low, high, _ = form
    _, _, status, x, _, moved, value, _ = state
    worst, side, sound = -np.inf, 0, True
    for k in range(len(low)):
        v = moved[k] + _times(every, k, x)
        value[k] = v
        if status[k] == 0:
            if low[k] - v > worst:
                worst, side = low[k] - v, 2 * k
            if v - high[k] > worst:
                worst, side = v - high[k], 2 * k + 1
        else:
            bound = low[k] if status[k] < 0 else high[k]
            sound &= abs(v - bound) <= _APART * (1.0 + abs(bound))
    return worst, side, sound


@compiled
def _entering(side, form, state, pivot, tie):
    """Which variable on a bound may bring the one that leaves back; -1 if there is none."""
    every, _, low, high, _ = form
    inverse, off, status, _, dual, _, _, push = state
    start, at, entry = every
    leaving, sign = side // 2, (-1.0 if side % 2 else 1.0)
    push[:] = 0.0
    for n in range(start[leaving], start[leaving + 1]):
        for r in range(len(push)):
            push[r] += entry[n] * inverse[at[n], r]
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


@compiled
def _step(side, enter, form, state):
    """Exchange two variables: the inverse, the duals and the solution are brought up to date."""
    _, _, low, high, _ = form
    inverse, off, status, x, dual, _, value, push = state
    leaving = side // 2
    status[off[enter]] = 0
    status[leaving] = 1 if side % 2 else -1
    off[enter] = leaving
    f = 1.0 / push[enter]
    short = (high[leaving] if side % 2 else low[leaving]) - value[leaving]
    rate = dual[enter] * f
    for r in range(len(dual)):
        dual[r] -= rate * push[r]
    dual[enter] = rate
    for i in range(len(x)):
        c = inverse[i, enter] * f
        if c != 0.0:
            for r in range(len(push)):
                inverse[i, r] -= c * push[r]
        inverse[i, enter] = c
        x[i] += c * short


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
    state = (
        np.empty((columns, columns)),
        np.empty(columns, np.int64),
        np.empty(variables, np.int8),
        np.empty(columns),
        np.empty(columns),
        np.empty(variables),
        np.empty(variables),
        np.empty(columns),
    )
    for q in range(len(theta)):
        h = hub[q]
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
