"""What loads ask for, added up in one pass (`simulator.opendss.checks.summed`); compiled."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.compiling import compiled

__all__ = ["summed"]


@compiled
def summed(asked, places, share):
    """Add up the slots of some loads: as there, to the bit."""
    total = np.empty((len(asked), len(places)))
    largest, uneven, odd = 0.0, 0.0, 0.0
    for row in range(len(asked)):
        for n in range(len(places)):
            a, b, c = asked[row, places[n], 0], asked[row, places[n], 1], asked[row, places[n], 2]
            whole = a + b + c
            total[row, n] = whole
            odd += whole * 0.0
            largest = max(largest, abs(whole))
            uneven = max(uneven, abs(a - whole * share[n, 0]))
            uneven = max(uneven, abs(b - whole * share[n, 1]))
            uneven = max(uneven, abs(c - whole * share[n, 2]))
    return total, largest + odd, uneven
