"""Sets that a reserve can be held for, beside the parallelotope, and the worst of many directions.

Every method of the paper but the joint CVaR says "hold this row for all disturbances of a set";
they differ in the set alone::

    deterministic (3)   the point 0               CVaR (8), row by row   {Σ q_k w_k}, `Tail`
    Gaussian (7)        an ellipsoid              robust (6)             a rectangle
    Wasserstein (15)    a parallelotope, cut or not (`gridproof.scenarios.sets.Wasserstein`)

`worst` asks a set for all rows at once: products everywhere, but for a parallelotope that a box
cuts, which takes a linear program a row; `bound` is never less, and only products.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product

import numpy as np
from gridproof.optimizer.solver.solve import Arrays
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import FloatArray, frozen
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.sets import Support, Wasserstein
from scipy import sparse

__all__ = ["Ellipsoid", "Rectangle", "Shape", "Tail", "Worst", "bound", "tail_weights"]

_EDGE = 1e-12


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rectangle:
    """``lower ≤ w ≤ upper``, (size,) each: the robust box (6), or one point where they agree."""

    lower: FloatArray
    upper: FloatArray

    def __post_init__(self) -> None:
        n = len(self.lower)
        object.__setattr__(self, "lower", frozen(self.lower, float, (n,)))
        object.__setattr__(self, "upper", frozen(self.upper, float, (n,)))
        if not (self.lower <= self.upper).all():
            raise ValueError("a side of the rectangle ends below where it starts")

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.lower)

    def contains(self, zeta: FloatArray, tolerance: float = _EDGE) -> bool:
        """Whether ``zeta`` lies inside."""
        edge = tolerance * max(1.0, float(np.abs(zeta).max(initial=0.0)))
        return bool(((zeta >= self.lower - edge) & (zeta <= self.upper + edge)).all())

    def support(self, direction: FloatArray) -> Support:
        """Largest ``direction · w`` and a w that attains it."""
        values, at = self.all_supports(direction[None])
        return Support(float(values[0]), at[0])

    def all_supports(self, directions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(row,) values and (row, size) maximisers for (row, size) directions."""
        at = np.where(directions < 0.0, self.lower, self.upper)
        return np.einsum("rj,rj->r", directions, at), at

    def vertices(self) -> Iterator[FloatArray]:
        """Yield the corners; a side of no width is not counted twice."""
        sides = [(a,) if a == b else (a, b) for a, b in zip(self.lower, self.upper, strict=True)]
        for corner in product(*sides):
            yield np.array(corner, float)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Ellipsoid:
    """``{ mean + radius · root u : ‖u‖₂ ≤ 1 }``: holding a row on it is (7) for a Gaussian ``w``.

    ``P(a·w ≤ b) ≥ 1 - ρ`` is ``a·μ + Φ⁻¹(1-ρ) ‖root a‖₂ ≤ b``.

    Attributes
    ----------
    mean, root, radius
        (size,), (size, size) symmetric, and a number not below 0.
    """

    mean: FloatArray
    root: FloatArray
    radius: float

    def __post_init__(self) -> None:
        n = len(self.mean)
        object.__setattr__(self, "mean", frozen(self.mean, float, (n,)))
        object.__setattr__(self, "root", frozen(self.root, float, (n, n)))

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.mean)

    def contains(self, zeta: FloatArray, tolerance: float = 1e-9) -> bool:
        """Whether ``zeta`` lies inside."""
        u = np.linalg.solve(self.root, zeta - self.mean)
        return bool(np.linalg.norm(u) <= self.radius + tolerance * max(1.0, self.radius))

    def support(self, direction: FloatArray) -> Support:
        """Largest ``direction · w`` and a w that attains it."""
        values, at = self.all_supports(direction[None])
        return Support(float(values[0]), at[0])

    def all_supports(self, directions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(row,) values and (row, size) maximisers for (row, size) directions."""
        slope = directions @ self.root
        length = np.linalg.norm(slope, axis=1)
        unit = slope / np.where(length > 0.0, length, 1.0)[:, None]
        at = self.mean + self.radius * unit @ self.root
        return directions @ self.mean + self.radius * length, at


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Tail:
    """``{ Σ q_k w_k : 0 ≤ q_k ≤ 1/(ρN), Σ q = 1 }``, whose support is ``CVaR_ρ`` of the samples.

    Holding a row on it is (8) with that row alone as ``g``: the sample average, no more.

    Attributes
    ----------
    samples
        (sample, size).
    rho
        Tail share in (0, 1).
    """

    samples: FloatArray
    rho: float

    def __post_init__(self) -> None:
        object.__setattr__(self, "samples", frozen(self.samples, float, (len(self.samples), -1)))

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return int(self.samples.shape[1])

    def support(self, direction: FloatArray) -> Support:
        """Largest ``direction · w`` and a w that attains it."""
        values, at = self.all_supports(direction[None])
        return Support(float(values[0]), at[0])

    def all_supports(self, directions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(row,) values and (row, size) maximisers for (row, size) directions."""
        weights = tail_weights(len(self.samples), self.rho) / self.rho
        order = np.argsort(-(directions @ self.samples.T), axis=1, kind="stable")
        at = np.einsum("k,rkj->rj", weights, self.samples[order[:, : len(weights)]])
        return np.einsum("rj,rj->r", directions, at), at


Shape = Rectangle | Ellipsoid | Tail | Wasserstein


def tail_weights(count: int, rho: float) -> FloatArray:
    """Mass that each of the largest samples has in the ρ-tail; the last counts in part."""
    before = np.arange(int(np.ceil(rho * count - 1e-9))) / count
    return np.minimum(1.0 / count, rho - before)


def bound(shape: Shape, directions: FloatArray) -> tuple[FloatArray, FloatArray | None]:
    """(row,) values no support exceeds, and the (row, size) maximisers where they are exact.

    Of a parallelotope ``P`` cut with a box ``B`` every split ``a = (a - λ) + λ`` gives
    ``h_P(a - λ) + h_B(λ)``; of all of them ``λ = 0``, ``λ = a`` and, coordinate by coordinate,
    the share that the box bounds more tightly are tried.
    """
    if not isinstance(shape, Wasserstein):
        return shape.all_supports(directions)
    free = _parallelotope(shape, directions)
    if not shape.cut:
        slope = directions @ shape.root
        return free, shape.mean + shape.sigma * np.where(slope < 0.0, -1.0, 1.0) @ shape.root
    box = Rectangle(lower=shape.lower, upper=shape.upper)
    reach = shape.sigma * np.abs(shape.root).sum(axis=1)
    room = np.where(directions > 0.0, shape.upper - shape.mean, shape.mean - shape.lower)
    boxed = np.where(room < reach, directions, 0.0)
    tried = [free, box.all_supports(directions)[0]]
    tried.append(_parallelotope(shape, directions - boxed) + box.all_supports(boxed)[0])
    return np.minimum.reduce(tried), None


def _parallelotope(shape: Wasserstein, directions: FloatArray) -> FloatArray:
    slope = directions @ shape.root
    return np.asarray(directions @ shape.mean + shape.sigma * np.abs(slope).sum(axis=1))


class Worst:
    """The worst disturbance of a set, for many rows, exactly.

    Where a box cuts a parallelotope, ``max a·(μ + T v)`` over ``|v| ≤ σ`` and the box is a linear
    program; it is kept alive, each row starts where the last one ended, and every corner that was
    ever found is kept in ``known``, so that most rows that break are found by products.
    """

    def __init__(self, shape: Shape) -> None:
        self.shape = shape
        self.programs = 0
        self.known = np.zeros((0, shape.size))
        self._program: LinearProgram | None = None

    def __call__(self, directions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(row,) supports and (row, size) maximisers of (row, size) directions."""
        values, at = bound(self.shape, directions)
        if at is not None:
            return values, at
        rows = [self._solve(direction) for direction in directions]
        at = np.array(rows).reshape(len(directions), self.shape.size)
        if len(at):
            self.known = np.unique(np.vstack([self.known, at]), axis=0)
        return np.einsum("rj,rj->r", directions, at), at

    def among_known(self, directions: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Return the same over the corners found so far: never more than the support."""
        if not len(self.known):
            none = np.zeros((len(directions), self.shape.size))
            return np.full(len(directions), -np.inf), none
        values = directions @ self.known.T
        best = values.argmax(axis=1)
        return values[np.arange(len(best)), best], self.known[best]

    def _solve(self, direction: FloatArray) -> FloatArray:
        shape = self.shape
        assert isinstance(shape, Wasserstein)
        n = shape.size
        if self._program is None:
            self._program = LinearProgram(_cut_program(shape))
        scale = float(np.abs(shape.root @ direction).max(initial=0.0)) or 1.0
        self._program.set_costs(np.arange(n), -(shape.root @ direction) / scale)
        self.programs += 1
        if self._program.run() is not Termination.OPTIMAL:
            raise SolverError("the support of a cut parallelotope was not found in time")
        v = self._program.primal()
        return np.clip(shape.mean + shape.root @ v, shape.lower, shape.upper)


def _cut_program(shape: Wasserstein) -> Arrays:
    """``|v| ≤ σ``, ``lower - μ ≤ T v ≤ upper - μ``, each row scaled by its largest entry."""
    n = shape.size
    scale = np.abs(shape.root).max(axis=1)
    scale = np.where(scale > 0.0, scale, 1.0)
    return Arrays(
        cost=np.zeros(n),
        constant=0.0,
        matrix=sparse.csc_array(shape.root / scale[:, None]),
        row_lower=(shape.lower - shape.mean) / scale,
        row_upper=(shape.upper - shape.mean) / scale,
        lower=np.full(n, -shape.sigma),
        upper=np.full(n, shape.sigma),
        integer=np.zeros(n, bool),
    )
