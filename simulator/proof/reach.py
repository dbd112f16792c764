"""The sets a certificate is about, and what is largest over them.

A set is the image of a unit box, ``ζ = c + G ω`` with ``|ω_k| ≤ 1``, perhaps with a budget on
``ω`` (`scenarios.sets.Budget`). A box is one, a parallelotope is one, and so is a part of either.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.sets import Box, Budget, UncertaintySet, Wasserstein
from numpy.typing import NDArray

__all__ = ["UP", "Reach", "box_reach", "reach_of"]

UP = 1.0 + 2.0**-30
"""A sum of at most a million terms that are not negative, times this, is not below its true value:
``(1 + 2⁻⁵³)^n ≤ 1 + 2⁻³⁰`` for ``n ≤ 2²²``."""

_AT_ONCE = 2**15  # numbers that a magnitude is looked at in, so that they stay near the processor
_DIRECTIONS = 256  # in which a magnitude is looked at where corners cannot be listed

ComplexArray = NDArray[np.complex128]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Reach:
    """``{ c + G ω : |ω| ≤ 1, ω within the budget }``.

    Attributes
    ----------
    centre
        (direction,) ``c``.
    spread
        (direction, coordinate) ``G``.
    budget
        On ``ω``; None for the whole unit box.
    larger
        Whether this holds more than the set that was asked for (a cut parallelotope uncut):
        what is proven of it holds of the set, what is found in it need not lie in the set.
    """

    centre: FloatArray
    spread: FloatArray
    budget: Budget | None = None
    larger: bool = False

    @property
    def width(self) -> int:
        """Number of coordinates ``ω``."""
        return int(self.spread.shape[1])

    def zeta(self, omega: FloatArray) -> FloatArray:
        """Return the point of the set that coordinates stand for."""
        return np.asarray(self.centre + self.spread @ omega)

    def support(self, rows: FloatArray) -> tuple[FloatArray, FloatArray]:
        """Largest ``row · ω`` of each row, (row,), and an ω that attains it, (row, coordinate)."""
        size = np.abs(rows)
        sign = np.where(rows < 0.0, -1.0, 1.0)
        if self.budget is None:
            return size.sum(axis=1), sign
        weight = np.broadcast_to(np.where(self.budget.group < 0, 1.0, 0.0), rows.shape).copy()
        for number, gamma in enumerate(self.budget.gamma):
            members = np.flatnonzero(self.budget.group == number)
            order = np.argsort(-size[:, members], axis=1, kind="stable")
            share = np.clip(gamma - np.arange(len(members)), 0.0, 1.0)
            own = np.zeros((len(rows), len(members)))
            np.put_along_axis(own, order, np.broadcast_to(share, own.shape), axis=1)
            weight[:, members] = own
        return (weight * size).sum(axis=1), weight * sign

    def largest(self, rows: ComplexArray) -> FloatArray:
        """(row,) bound on ``|row · ω|``, above it by 8e-4 of it at most."""
        best = np.zeros(len(rows))
        few = max(1, _AT_ONCE // max(1, rows.shape[1]))
        for first in range(0, len(rows), few):
            own = rows[first : first + few]
            for turn in np.exp(-1j * np.pi * np.arange(40) / 40):
                height = self._heights((own * turn).real)
                np.maximum(best[first : first + few], height, out=best[first : first + few])
        return np.asarray(best / np.cos(np.pi / 80) * UP)

    def _heights(self, rows: FloatArray) -> FloatArray:
        """(row,) largest ``row · ω``, as `support` has it."""
        size = np.abs(rows)
        if self.budget is None:
            return np.asarray(size.sum(axis=1))
        height = size[:, self.budget.group < 0].sum(axis=1)
        for number, gamma in enumerate(self.budget.gamma):
            own = size[:, self.budget.group == number]
            whole = int(min(gamma, own.shape[1]))
            if whole < own.shape[1]:  # the largest, and a share of the next
                own = -np.partition(-own, whole, axis=1)
                height += (gamma - whole) * own[:, whole]
            height += own[:, :whole].sum(axis=1)
        return np.asarray(height)

    def furthest(
        self, centre: ComplexArray, rows: ComplexArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Largest ``|centre + row · ω|``.

        Over a box it is at a corner of a zonogon, which are listed by the angles of its sides;
        with a budget the best of many directions is taken, and how far that can be off is told.

        Returns
        -------
        value, omega
            (row,) attained at (row, coordinate).
        above
            (row,) by how much the true largest can be above it.
        """
        if not self.width:
            return np.abs(centre), np.zeros(rows.shape), np.zeros(len(rows))
        if self.budget is not None:
            return self._by_directions(centre, rows)
        turned = np.where((rows.imag < 0.0) | ((rows.imag == 0.0) & (rows.real < 0.0)), -1.0, 1.0)
        upper = rows * turned
        order = np.argsort(np.angle(upper), axis=1, kind="stable")
        sides = np.take_along_axis(upper, order, axis=1)
        corners = 2.0 * np.cumsum(sides, axis=1) - sides.sum(axis=1, keepdims=True)
        ends = np.abs(np.stack([centre[:, None] + corners, centre[:, None] - corners]))
        flat = np.moveaxis(ends, 0, 1).reshape(len(rows), -1)
        place = flat.argmax(axis=1)
        side, last = np.divmod(place, self.width)
        later = np.where(np.arange(self.width) <= last[:, None], 1.0, -1.0)
        omega = np.empty(rows.shape)
        np.put_along_axis(omega, order, later, axis=1)
        omega *= turned * np.where(side == 0, 1.0, -1.0)[:, None]
        # two sides of almost one angle may be listed the wrong way round
        above = 2.0**-40 * np.abs(rows).sum(axis=1)
        return flat[np.arange(len(rows)), place], omega, above

    def _by_directions(
        self, centre: ComplexArray, rows: ComplexArray
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        value, omega = np.abs(centre), np.zeros(rows.shape)
        highest = np.zeros(len(rows))
        for turn in np.exp(-2j * np.pi * np.arange(_DIRECTIONS) / _DIRECTIONS):
            reach, at = self.support((rows * turn).real)
            np.maximum(highest, (centre * turn).real + reach, out=highest)
            there = np.abs(centre + (rows * at).sum(axis=1))
            omega = np.where((there > value)[:, None], at, omega)
            value = np.maximum(value, there)
        above = np.maximum(highest / np.cos(np.pi / _DIRECTIONS) * UP - value, 0.0)
        return value, omega, above

    def halves(self, coordinate: int) -> tuple[Reach, Reach]:
        """Cut a set without a budget in two across one coordinate.

        Raises
        ------
        ValueError
            If it has a budget: its halves are then none of these sets.
        """
        if self.budget is not None:
            raise ValueError("a set with a budget cannot be cut in two")
        half = self.spread.copy()
        half[:, coordinate] /= 2.0
        move = half[:, coordinate]
        return (
            replace(self, centre=self.centre - move, spread=half),
            replace(self, centre=self.centre + move, spread=half),
        )


def box_reach(low: FloatArray, high: FloatArray) -> Reach:
    """Return ``low ≤ ζ ≤ high``, (direction,); never less of it for rounding."""
    centre = (low + high) / 2.0
    half = np.maximum(high - centre, centre - low)
    short = (centre + half < high) | (centre - half > low)
    return Reach(centre=centre, spread=np.diag(np.where(short, np.nextafter(half, np.inf), half)))


def reach_of(asked: UncertaintySet) -> Reach:
    """Write an uncertainty set as the image of a unit box.

    Raises
    ------
    ValueError
        If it is of a kind that has no such image.
    """
    size = asked.size
    if isinstance(asked, Box):
        return box_reach(asked.low, asked.high)
    if isinstance(asked, Budget):
        return Reach(centre=np.zeros(size), spread=np.eye(size), budget=asked)
    if isinstance(asked, Wasserstein):
        return Reach(
            centre=np.asarray(asked.mean), spread=asked.root * asked.sigma, larger=asked.cut
        )
    raise ValueError(f"a set of kind {type(asked).__name__} is proven nothing of")
