"""Set-points: what a planner answers realizations with."""

from __future__ import annotations

from dataclasses import dataclass, fields

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen

__all__ = ["Setpoints"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Setpoints:
    """What the planner answers a batch of realizations with.

    Attributes
    ----------
    index
        (realization,) the realizations answered, in the order asked.
    found
        (realization,) false where no re-dispatch exists; its numbers are then the base's.
    p_kw, q_kvar
        (realization, der, 3) injections; the grid-forming DER's are what the linear model
        expects of it, the physics decides.
    source_v_pu
        (realization, der) magnitude held by each grid-forming DER, NaN for the others.
    """

    index: IntArray
    found: BoolArray
    p_kw: FloatArray
    q_kvar: FloatArray
    source_v_pu: FloatArray

    def __post_init__(self) -> None:
        n = len(self.index)
        object.__setattr__(self, "index", frozen(self.index, np.int64, (n,)))
        object.__setattr__(self, "found", frozen(self.found, bool, (n,)))
        object.__setattr__(self, "p_kw", frozen(self.p_kw, float, (n, -1, 3)))
        object.__setattr__(self, "q_kvar", frozen(self.q_kvar, float, (n, -1, 3)))
        object.__setattr__(self, "source_v_pu", frozen(self.source_v_pu, float, (n, -1)))

    def __len__(self) -> int:
        return len(self.index)

    def take(self, rows: IntArray | BoolArray) -> Setpoints:
        """Return the set-points at some positions, in their order, or where a mask is true."""
        return Setpoints(**{field.name: getattr(self, field.name)[rows] for field in fields(self)})
