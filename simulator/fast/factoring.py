"""Factoring, compiled: numbers into a pattern whose fill is known."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.compiling import compiled, part

__all__ = ["factor"]


@part
def _of(blocks, k):
    return blocks[k, 0], blocks[k, 1], blocks[k, 2], blocks[k, 3]


@compiled
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
