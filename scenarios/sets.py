"""Uncertainty sets under one protocol: size, contains, support with its maximiser, vertices, draw.

A set lives in coordinates ``ζ ∈ R^size``; what a coordinate moves (a load, a renewable's
availability, a price) is the scenario's to say. Robust planners ask for `support` and `vertices`,
campaigns for `draw`, audits for `contains`.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field
from itertools import combinations, product
from typing import NamedTuple, Protocol

import numpy as np
from gridproof.scenarios.arrays import SILENT, FloatArray, IntArray, frozen

__all__ = ["Box", "Budget", "Support", "UncertaintySet", "Wasserstein", "spanned"]

_EDGE = 1e-12


class Support(NamedTuple):
    """The largest ``direction · ζ`` over a set, and a ζ that attains it."""

    value: float
    zeta: FloatArray


class UncertaintySet(Protocol):
    """What every set answers.

    Laws (``tests/scenarios/test_sets.py``): a maximiser is contained and attains the value; no
    drawn point is outside, none exceeds the support in any direction; vertices are contained, and
    the best of them attains the support.
    """

    @property
    def size(self) -> int:
        """Number of coordinates."""
        ...

    @property
    def width(self) -> int:
        """Uniform numbers that one draw takes."""
        ...

    def contains(self, zeta: FloatArray, tolerance: float = _EDGE) -> bool:
        """Whether ``zeta`` (size,) lies in the set."""
        ...

    def support(self, direction: FloatArray) -> Support:
        """``max over ζ in the set of direction · ζ``, and a maximiser."""
        ...

    def vertices(self) -> Iterator[FloatArray]:
        """Yield the extreme points; there may be as many as ``2^size``."""
        ...

    def draw(self, uniforms: FloatArray) -> FloatArray:
        """Turn (n, width) uniform numbers in [0, 1) into (n, size) points of the set."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Box:
    """Each uncertain load moves on its own, P and Q and all its phases together.

    ``s_d(ζ) = s_d⁰ · (1 + spread_d · ζ_d)`` with ``low_d ≤ ζ_d ≤ high_d``: (1) of the
    partitioning paper with the direction of a load shared by its phases, as the paper assumes.
    Nominal is ``ζ = 0`` wherever it lies between the ends; the farther end is at -1 or +1.

    Attributes
    ----------
    load_ids
        The uncertain loads.
    spread
        (load,) farthest from nominal, as a share of it, in [0, 1]: ``max(s̲_d, s̄_d)``.
    low, high
        (load,) the ends, in [-1, 0] and [0, 1]; -1 and +1 if left out, as far down as up.
    """

    load_ids: tuple[str, ...]
    spread: FloatArray
    low: FloatArray = field(
        default_factory=lambda: np.zeros(0), metadata={SILENT: lambda low: (low == -1.0).all()}
    )
    high: FloatArray = field(
        default_factory=lambda: np.zeros(0), metadata={SILENT: lambda high: (high == 1.0).all()}
    )

    def __post_init__(self) -> None:
        shape = (len(self.load_ids),)
        object.__setattr__(self, "spread", frozen(self.spread, float, shape))
        for name, end in (("low", -1.0), ("high", 1.0)):
            given = getattr(self, name)
            given = np.full(shape, end) if not len(given) else given
            object.__setattr__(self, name, frozen(given, float, shape))

    @classmethod
    def between(cls, load_ids: tuple[str, ...], down: FloatArray, up: FloatArray) -> Box:
        """Return the box of loads that may fall by ``down`` and rise by ``up``, both shares."""
        spread = np.maximum(down, up)
        with np.errstate(divide="ignore", invalid="ignore"):
            low = np.where(spread > 0.0, -down / spread, -1.0)
            high = np.where(spread > 0.0, up / spread, 1.0)
        return cls(load_ids=load_ids, spread=spread, low=low, high=high)

    @property
    def size(self) -> int:
        """Number of uncertain directions."""
        return len(self.load_ids)

    @property
    def width(self) -> int:
        """Uniform numbers that one draw takes."""
        return self.size

    @property
    def even(self) -> bool:
        """Whether every load may fall as far as it may rise."""
        return bool((self.low == -1.0).all() and (self.high == 1.0).all())

    def contains(self, zeta: FloatArray, tolerance: float = _EDGE) -> bool:
        """Whether ``zeta`` (load,) lies in the set."""
        inside = (zeta >= self.low - tolerance) & (zeta <= self.high + tolerance)
        return bool(inside.all())

    def vertices(self) -> Iterator[FloatArray]:
        """Yield all ``2^size`` corners; directions with zero spread stay at their high end."""
        moving = self.spread > 0.0
        ends = zip(self.low[moving].tolist(), self.high[moving].tolist(), strict=True)
        for corner in product(*ends):
            zeta = self.high.copy()
            zeta[moving] = corner
            yield zeta

    def support(self, direction: FloatArray) -> Support:
        """``max over ζ in the set of direction · ζ``, each at the end that its sign asks for."""
        zeta = np.where(direction < 0.0, self.low, self.high)
        return Support(float(np.abs(direction * zeta).sum()), zeta)

    def draw(self, uniforms: FloatArray) -> FloatArray:
        """Uniform in the box."""
        return spanned(2.0 * uniforms - 1.0, self.low, self.high)


def spanned(unit: FloatArray, low: FloatArray, high: FloatArray) -> FloatArray:
    """Points between two ends for coordinates in [-1, 1], which lie at the ends exactly.

    Parameters
    ----------
    unit
        (point, direction).
    low, high
        (direction,).
    """
    inside = np.clip((low + high) / 2.0 + (high - low) / 2.0 * unit, low, high)
    return np.where(unit >= 1.0, high, np.where(unit <= -1.0, low, inside))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Budget:
    """A box in which only so much may leave nominal: ``|ζ| ≤ 1`` and ``Σ_{k∈g} |ζ_k| ≤ Γ_g``.

    (2)-(7) of the resiliency paper, with a group for each bus over the hours, or one over the
    elements. A coordinate in no group is as free as in a box.

    Attributes
    ----------
    group
        (coordinate,) number of its group, -1 for none.
    gamma
        (group,) budget, not negative; a fraction lets one coordinate move in part.
    """

    group: IntArray
    gamma: FloatArray

    def __post_init__(self) -> None:
        object.__setattr__(self, "group", frozen(self.group, np.int64, (-1,)))
        object.__setattr__(self, "gamma", frozen(self.gamma, float, (-1,)))
        if (self.gamma < 0.0).any() or np.isnan(self.gamma).any():
            raise ValueError(f"a budget is {self.gamma.min()}; it must be at least 0")
        if len(self.group) and (self.group.max() >= len(self.gamma) or self.group.min() < -1):
            raise ValueError(f"groups are numbered up to {len(self.gamma) - 1}, -1 for none")

    @classmethod
    def over(cls, size: int, gamma: float) -> Budget:
        """Put one budget over all coordinates."""
        return cls(group=np.zeros(size, np.int64), gamma=np.array([gamma]))

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.group)

    @property
    def width(self) -> int:
        """Uniform numbers that one draw takes."""
        return self.size

    def contains(self, zeta: FloatArray, tolerance: float = _EDGE) -> bool:
        """Whether ``zeta`` lies in the set."""
        inside = bool(np.all(np.abs(zeta) <= 1.0 + tolerance))
        return inside and bool(np.all(self._spent(zeta) <= self.gamma + tolerance * self.size))

    def support(self, direction: FloatArray) -> Support:
        """In every group the Γ largest ``|direction|``, the last of them in part."""
        weight = np.where(self.group < 0, 1.0, 0.0)
        for number, budget in enumerate(self.gamma):
            members = np.flatnonzero(self.group == number)
            ranked = members[np.argsort(-np.abs(direction[members]), kind="stable")]
            weight[ranked] = np.clip(budget - np.arange(len(ranked)), 0.0, 1.0)
        zeta = weight * np.where(direction < 0.0, -1.0, 1.0)
        return Support(float(direction @ zeta), zeta)

    def vertices(self) -> Iterator[FloatArray]:
        """Yield the extreme points: in each group ⌊Γ⌋ whole deviations and a last one in part."""
        free = np.flatnonzero(self.group < 0)
        patterns = [list(self._patterns(number)) for number in range(len(self.gamma))]
        for signs in product((-1.0, 1.0), repeat=len(free)):
            for chosen in product(*patterns):
                zeta = np.zeros(self.size)
                zeta[free] = signs
                yield zeta + sum(chosen, np.zeros(self.size))

    def draw(self, uniforms: FloatArray) -> FloatArray:
        """Uniform in the box, then each group drawn in towards nominal until its budget holds."""
        zeta = 2.0 * uniforms - 1.0
        for number, budget in enumerate(self.gamma):
            members = self.group == number
            spent = np.abs(zeta[:, members]).sum(axis=1, keepdims=True)
            zeta[:, members] *= np.minimum(1.0, budget / np.maximum(spent, _EDGE))
        return zeta

    def _spent(self, zeta: FloatArray) -> FloatArray:
        grouped = self.group >= 0
        weights = np.abs(zeta[grouped])
        spent = np.bincount(self.group[grouped], weights, minlength=len(self.gamma))
        return np.asarray(spent, dtype=float)

    def _patterns(self, number: int) -> Iterator[FloatArray]:
        members = np.flatnonzero(self.group == number)
        budget = min(float(self.gamma[number]), float(len(members)))
        whole, part = int(budget), budget - int(budget)
        for chosen in combinations(members, whole):
            rest = [k for k in members if k not in chosen] if part > 0.0 else [None]
            for last in rest:
                moved = [*chosen, *([] if last is None else [last])]
                for signs in product((-1.0, 1.0), repeat=len(moved)):
                    zeta = np.zeros(self.size)
                    zeta[list(moved)] = signs
                    if last is not None:
                        zeta[last] *= part
                    yield zeta


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Wasserstein:
    """A parallelotope about a mean, cut with what is physically possible.

    ``{ μ + T v : ‖v‖_∞ ≤ σ } ∩ [lower, upper]``: (9)-(14) of the policy-mode paper, where ``T`` is
    the symmetric root of the covariance and σ comes of the transport ball's radius.

    Attributes
    ----------
    mean
        (size,) μ.
    root
        (size, size) T; symmetric and regular.
    sigma
        Half-width of the cube, not negative.
    lower, upper
        (size,) the box it is cut with; infinite where there is none.
    """

    mean: FloatArray
    root: FloatArray
    sigma: float
    lower: FloatArray = field(default_factory=lambda: np.zeros(0))
    upper: FloatArray = field(default_factory=lambda: np.zeros(0))

    def __post_init__(self) -> None:
        n = len(self.mean)
        object.__setattr__(self, "mean", frozen(self.mean, float, (n,)))
        object.__setattr__(self, "root", frozen(self.root, float, (n, n)))
        for name, far in (("lower", -np.inf), ("upper", np.inf)):
            given = getattr(self, name)
            given = np.full(n, far) if len(given) == 0 else given
            object.__setattr__(self, name, frozen(given, float, (n,)))
        if not self.sigma >= 0.0:
            raise ValueError(f"sigma is {self.sigma}; it must be at least 0")
        if (self.lower > self.mean).any() or (self.mean > self.upper).any():
            raise ValueError("the mean is outside the box that the set is cut with")

    @property
    def size(self) -> int:
        """Number of coordinates."""
        return len(self.mean)

    @property
    def width(self) -> int:
        """Uniform numbers that one draw takes."""
        return self.size

    @property
    def cut(self) -> bool:
        """Whether the box takes anything away."""
        reach = self.sigma * np.abs(self.root).sum(axis=1)
        beyond = (self.mean - reach < self.lower) | (self.mean + reach > self.upper)
        return bool(beyond.any())

    def contains(self, zeta: FloatArray, tolerance: float = _EDGE) -> bool:
        """Whether ``zeta`` lies in the parallelotope and in the box."""
        v = np.linalg.solve(self.root, zeta - self.mean)
        scale = tolerance * max(1.0, float(np.abs(zeta).max(initial=0.0)))
        inside = (zeta >= self.lower - scale) & (zeta <= self.upper + scale)
        return bool(np.all(np.abs(v) <= self.sigma + tolerance * max(1.0, self.sigma))) and bool(
            inside.all()
        )

    def support(self, direction: FloatArray) -> Support:
        """``a·μ + σ ‖T a‖₁`` where nothing is cut away, else a linear program.

        Raises
        ------
        ArithmeticError
            If the program is not solved, which numbers of very different size may bring about.
        """
        slope = self.root.T @ direction
        if not self.cut:
            zeta = self.mean + self.root @ (self.sigma * np.where(slope < 0.0, -1.0, 1.0))
            return Support(float(direction @ zeta), zeta)
        from scipy.optimize import linprog  # noqa: PLC0415  a third of a second that few sets need

        boxed = [(np.isfinite(self.upper), 1.0), (np.isfinite(self.lower), -1.0)]
        rows = np.vstack([sign * self.root[where] for where, sign in boxed])
        room = np.concatenate(
            [(self.upper - self.mean)[boxed[0][0]], (self.mean - self.lower)[boxed[1][0]]]
        )
        bounds = (-self.sigma, self.sigma)
        found = linprog(-slope, A_ub=rows, b_ub=room, bounds=bounds, method="highs")
        if not found.success:
            raise ArithmeticError(f"the support of a cut parallelotope: {found.message}")
        zeta = np.clip(self.mean + self.root @ found.x, self.lower, self.upper)
        return Support(float(direction @ zeta), zeta)

    def vertices(self) -> Iterator[FloatArray]:
        """Yield the ``2^size`` corners of a set that nothing is cut away from.

        Raises
        ------
        ValueError
            If the box cuts it: the corners are then not known, and `support` answers instead.
        """
        if self.cut:
            raise ValueError("the corners of a cut parallelotope are not listed; ask its support")
        for signs in product((-1.0, 1.0), repeat=self.size):
            yield self.mean + self.root @ (self.sigma * np.array(signs))

    def draw(self, uniforms: FloatArray) -> FloatArray:
        """Uniform in the parallelotope, then drawn in towards the mean until the box holds."""
        step = self.sigma * (2.0 * uniforms - 1.0) @ self.root.T
        with np.errstate(divide="ignore", invalid="ignore"):
            up = np.where(step > 0.0, (self.upper - self.mean) / step, np.inf)
            down = np.where(step < 0.0, (self.lower - self.mean) / step, np.inf)
        share = np.minimum(1.0, np.minimum(up, down).min(axis=1, initial=np.inf))
        return np.asarray(self.mean + share[:, None] * step)
