"""The regions known so far, stacked so that a batch spread over many is one set of products."""

from __future__ import annotations

from typing import Any

import numpy as np
from gridproof.optimizer.solver.bases import LOST, REFUTED, LinearForm, Region, Statuses
from gridproof.scenarios.arrays import FloatArray, IntArray
from numpy.typing import NDArray

__all__ = ["Atlas"]

_MOST = 12_000
"""Regions beyond which those met on the way are forgotten again; they are found anew."""


class Atlas:
    """Critical regions of one program, by number, and the steps between them.

    Parameters
    ----------
    form
        The program.
    """

    def __init__(self, form: LinearForm) -> None:
        self._form = form
        self._status: list[Statuses] = []
        self._number: dict[bytes, int] = {}
        self._following: dict[tuple[int, int], int] = {}
        self._kept = 0
        self._resting = False
        parameters, columns = form.moved.shape[1], len(form.cost)
        self._side = np.zeros((0, 0), dtype=np.int64)
        self._guard = np.zeros((parameters + 1, 0, 0))
        self._x = np.zeros((parameters + 1, 0, columns))

    def status(self, number: int) -> Statuses:
        """Statuses of a region's basis."""
        return self._status[number]

    def first(self) -> int:
        """Return the basis of all rows, from which everything can be reached."""
        return self.number(self._form.slack())

    def keep(self) -> None:
        """Never forget what is known now."""
        self._kept = len(self._status)

    def keep_only(self, wanted: IntArray) -> IntArray:
        """Forget all regions but some, and these never; returns the new numbers of ``wanted``.

        What lay on the way to them is found anew where it is needed.
        """
        kept, back = np.unique(wanted, return_inverse=True)
        self._status = [self._status[k] for k in kept.tolist()]
        self._number = {status.tobytes(): k for k, status in enumerate(self._status)}
        self._following = {}
        self._kept = len(kept)
        self._side = self._side[kept]
        self._guard, self._x = self._guard[:, kept], self._x[:, kept]
        return np.asarray(back.reshape(len(wanted)), dtype=np.int64)

    def rest(self) -> None:
        """Forget what was met on the way, and of the rest all numbers that statuses tell."""
        self._forget()
        self._side = np.zeros((0, 0), dtype=np.int64)
        self._guard, self._x = self._guard[:, :0, :0].copy(), self._x[:, :0].copy()
        self._resting = True

    def wake(self) -> None:
        """Work out again what `rest` forgot: the same numbers, to the last bit."""
        if not self._resting:
            return
        self._resting, status = False, self._status
        self._status = []
        for one in status:
            self._stack(self._form.region(one))
            self._status.append(one)

    @property
    def many(self) -> bool:
        """Whether too much was met on the way."""
        return len(self._status) > max(_MOST, 2 * self._kept)

    def trim(self) -> None:
        """Forget what was met on the way, if it has become too much."""
        if self.many:
            self._forget()

    def _forget(self) -> None:
        for status in self._status[self._kept :]:
            del self._number[status.tobytes()]
        del self._status[self._kept :]
        self._following = {
            step: after
            for step, after in self._following.items()
            if max(step[0], after) < self._kept
        }

    def worst(self, at: IntArray, theta: FloatArray) -> tuple[FloatArray, IntArray]:
        """Least guard of each sample's region, and the side it belongs to."""
        guards = _values(self._guard, at, theta)
        if not guards.shape[1]:
            return np.full(len(at), np.inf), np.zeros(len(at), dtype=np.int64)
        place = guards.argmin(axis=1)
        return guards[np.arange(len(at)), place], self._side[at, place]

    def guard(self, number: int, side: int) -> FloatArray:
        """(1 + parameter,) constant and slope of one guard of a region."""
        place = int(np.flatnonzero(self._side[number] == side)[0])
        return np.asarray(self._guard[:, number, place])

    def solutions(self, at: IntArray, theta: FloatArray) -> FloatArray:
        """(sample, column) solution of each sample's region."""
        return _values(self._x, at, theta)

    def steps(self, at: IntArray, side: IntArray) -> IntArray:
        """Next region of each sample; `REFUTED` where there is none, `LOST` if none is known."""
        most = 2 * len(self._form.low)
        pairs, back = np.unique(at * most + side, return_inverse=True)
        found = [self.step(*divmod(pair, most)) for pair in pairs.tolist()]
        return np.array(found, dtype=np.int64)[back]

    def step(self, at: int, side: int) -> int:
        """Next region from one whose bound ``side`` is violated."""
        found = self._following.get((at, side))
        if found is None:
            try:
                after = self._form.follow(self._status[at], side)
                found = REFUTED if after is None else self.number(after)
            except np.linalg.LinAlgError:  # a basis that rounding has made singular
                found = LOST
            self._following[at, side] = found
        return found

    def number(self, status: Statuses) -> int:
        """Return the number of a basis' region, which is written out if it is not known."""
        key = status.tobytes()
        if key not in self._number:
            self._stack(self._form.region(status))
            self._number[key] = len(self._status)
            self._status.append(status)
        return self._number[key]

    def _stack(self, region: Region) -> None:
        """Lay the region's numbers beside the others', padded by guards that always hold."""
        number, guards = len(self._status), len(region.side)
        rows, width = self._side.shape
        if number >= rows or guards > width:
            rows = rows if number < rows else max(2 * rows, 64)
            width = guards + 16 if guards > width else width
            self._side = _grown(self._side, (rows, width))
            self._guard = _grown(self._guard, (len(self._guard), rows, width))
            self._x = _grown(self._x, (len(self._x), rows, self._x.shape[2]))
        self._guard[:, number] = 0.0
        self._guard[0, number, guards:] = np.inf
        self._side[number] = -1
        self._side[number, :guards] = region.side
        self._guard[0, number, :guards] = region.guard
        self._guard[1:, number, :guards] = region.guard_slope.T
        self._x[0, number], self._x[1:, number] = region.constant, region.slope.T


def _values(stacked: FloatArray, at: IntArray, theta: FloatArray) -> FloatArray:
    """``constant + slope @ θ`` of each sample's region, rounded as if it were alone."""
    value: FloatArray = stacked[0][at]
    for k in range(theta.shape[1]):
        value += stacked[k + 1][at] * theta[:, k, None]
    return value


def _grown(values: NDArray[Any], shape: tuple[int, ...]) -> NDArray[Any]:
    """Copy into a larger array; what is new holds ``inf`` guards and never binds."""
    larger = np.zeros(shape, values.dtype)
    if values.ndim == 3:
        larger[0] = np.inf
    larger[tuple(slice(size) for size in values.shape)] = values
    return larger
