"""Uncertainty sets over loads, one interface: contains, vertices, support."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from gridproof.scenarios.arrays import FloatArray, frozen

__all__ = ["Box"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Box:
    """Each uncertain load moves on its own, P and Q and all its phases together.

    ``s_d(ζ) = s_d⁰ · (1 + spread_d · ζ_d)`` with ``ζ_d ∈ [-1, 1]``: (1) of the partitioning
    paper with the direction of a load shared by its phases, as the paper assumes.

    Attributes
    ----------
    load_ids
        The uncertain loads.
    spread
        (load,) half-width as a share of nominal, in [0, 1].
    """

    load_ids: tuple[str, ...]
    spread: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "spread", frozen(self.spread, float, (len(self.load_ids),)))

    @property
    def size(self) -> int:
        """Number of uncertain directions."""
        return len(self.load_ids)

    def contains(self, zeta: FloatArray, tolerance: float = 1e-12) -> bool:
        """Whether ``zeta`` (load,) lies in the set."""
        return bool(np.all(np.abs(zeta) <= 1.0 + tolerance))

    def vertices(self) -> Iterator[FloatArray]:
        """Yield all ``2^size`` sign vectors; directions with zero spread stay at +1."""
        moving = self.spread > 0.0
        for signs in product((-1.0, 1.0), repeat=int(moving.sum())):
            zeta = np.ones(self.size)
            zeta[moving] = signs
            yield zeta

    def support(self, direction: FloatArray) -> float:
        """``max over ζ in the set of direction · ζ = ‖direction‖₁``."""
        return float(np.abs(direction).sum())
