"""An uncertainty set that is a list of points, under the protocol of `scenarios.sets`."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray, frozen
from gridproof.scenarios.sets import Support

__all__ = ["Scenarios"]

_EDGE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Scenarios:
    """A list of points with weights, such as a history or a tree.

    Attributes
    ----------
    points
        (scenario, size).
    weight
        (scenario,) positive; taken as shares of their sum.
    """

    points: FloatArray
    weight: FloatArray

    def __post_init__(self) -> None:
        n = len(self.points)
        object.__setattr__(self, "points", frozen(self.points, float, (n, -1)))
        object.__setattr__(self, "weight", frozen(self.weight, float, (n,)))
        if n == 0 or not (self.weight > 0.0).all():
            raise ValueError("scenarios need at least one point, and weights above 0")

    @classmethod
    def of(cls, points: Sequence[Sequence[float]] | FloatArray) -> Scenarios:
        """Weigh all points alike."""
        held = np.asarray(points, dtype=float)
        return cls(points=held, weight=np.ones(len(held)))

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return int(self.points.shape[1])

    @property
    def width(self) -> int:
        """Uniform numbers that one draw takes."""
        return 1

    def contains(self, zeta: FloatArray, tolerance: float = _EDGE) -> bool:
        """Whether ``zeta`` is one of the points."""
        return bool((np.abs(self.points - zeta).max(axis=1, initial=0.0) <= tolerance).any())

    def support(self, direction: FloatArray) -> Support:
        """Return the best of the points."""
        values = self.points @ direction
        best = int(values.argmax())
        return Support(float(values[best]), self.points[best])

    def vertices(self) -> Iterator[FloatArray]:
        """Yield every point."""
        yield from self.points

    def draw(self, uniforms: FloatArray) -> FloatArray:
        """Each point as often as its weight says."""
        edges = np.cumsum(self.weight) / self.weight.sum()
        place = np.searchsorted(edges, uniforms[:, 0], side="right")
        return np.asarray(self.points[np.minimum(place, len(self.points) - 1)])
