"""One limit of an island as rows over its controls, and the layout of what measurements correct."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray

if TYPE_CHECKING:
    from gridproof.optimizer.network.statemap import Affine

__all__ = ["Limit", "Measured"]

_MOVABLE = 1e-9  # pu; a narrower range has no inside, a weaker influence is none


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Limit:
    """``lower + scale·t ≤ expression ≤ upper - scale·t`` for a margin ``t``, row by row.

    Attributes
    ----------
    kind
        Entry of `MARGINS`.
    expression
        (row,) affine in controls and demand.
    lower, upper, scale
        (row,); a row of scale 0 is tested and keeps no margin.
    measured, weight
        (row, 2), or (row, 3) of a sum of phases: which entries of a correction (see `Measured`)
        move the row's expression, and by how much for each unit of them.
    """

    kind: str
    expression: Affine
    lower: FloatArray
    upper: FloatArray
    scale: FloatArray
    measured: IntArray
    weight: FloatArray

    def within(self, box: tuple[FloatArray, FloatArray], drift: FloatArray, enough: float) -> Limit:
        """Leave out sides that cannot bind, and margins that controls cannot change.

        Parameters
        ----------
        box
            Lowest and highest controls.
        drift
            (row,) most that demand and corrections move the expression either way; infinite
            if unknown.
        enough
            Largest margin ever asked for.
        """
        of_u = self.expression.of_u
        ends = np.stack([of_u * box[0], of_u * box[1]])
        highest = self.expression.constant + ends.max(0).sum(1) + drift
        lowest = self.expression.constant + ends.min(0).sum(1) - drift
        moved = (np.abs(of_u) * (box[1] - box[0])).sum(1) > _MOVABLE
        scale = np.where(moved, self.scale, 0.0)
        upper = np.where(highest + scale * enough <= self.upper, np.inf, self.upper)
        lower = np.where(lowest - scale * enough >= self.lower, -np.inf, self.lower)
        return replace(self, lower=lower, upper=upper, scale=scale).rows(
            np.isfinite(upper) | np.isfinite(lower)
        )

    def rows(self, kept: BoolArray) -> Limit:
        """Pick rows."""
        return Limit(
            kind=self.kind,
            expression=self.expression.rows(np.flatnonzero(kept)),
            lower=self.lower[kept],
            upper=self.upper[kept],
            scale=self.scale[kept],
            measured=self.measured[kept],
            weight=self.weight[kept],
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Where the entries of an island's correction stand.

    A correction is what a measurement showed beyond the linear model, in this order: squared
    voltages (of nodes, or of pairs under a line-to-line test); loadings of branches, as a
    share of each of their limits; active, then reactive powers of all live DER phases.

    Attributes
    ----------
    voltages, loadings, outputs
        How many there are of each.
    """

    voltages: int
    loadings: int
    outputs: int

    @property
    def size(self) -> int:
        """Length of a correction."""
        return self.voltages + self.loadings + 2 * self.outputs

    @property
    def first_output(self) -> int:
        """Position of the first active power."""
        return self.voltages + self.loadings
