"""Walks between critical regions that keep the inverse of the basis, and nothing else.

`Atlas` writes every region out that is met, to look it up when it is met again. Where few are
met twice that is lost; a walk updates one inverse from step to step instead, by the rank of the
exchange. It starts at hubs: bases in which learnt points ended, their inverses worked out anew,
so that an answer is a function of the parameter and of what was learnt alone.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gridproof.optimizer.solver.bases import PIVOT, TIE, LinearForm, Statuses
from gridproof.optimizer.solver.walking import HOLDS, nearest, walk
from gridproof.scenarios.arrays import FloatArray, IntArray
from scipy import sparse

__all__ = ["HOLDS", "Walked", "Walker"]


class Walked:
    """How a batch ended: see `optimizer.solver.walking.walk`."""

    def __init__(self, count: int, columns: int, variables: int) -> None:
        self.x = np.zeros((count, columns))
        self.where, self.side = np.zeros(count, np.int64), np.zeros(count, np.int64)
        self.status = np.zeros((count, variables), np.int8)


class Walker:
    """The hubs of one program, and walks from them.

    Parameters
    ----------
    form
        The program.
    steps, inside, refutes
        Most steps; how far outside a bound counts as inside; from where on it refutes.
    """

    def __init__(self, form: LinearForm, steps: int, inside: float, refutes: float) -> None:
        self._form = form
        self._rows = _rows(form.every), _rows(form.moved), form.low, form.high, form.cost
        self._limits = steps, inside, refutes, PIVOT, TIE
        self._status: list[Statuses] = []
        self._number: dict[bytes, int] = {}
        self._hubs: Any = None
        self._points = np.zeros((len(form.moved[0]), 0))

    def status(self, hub: int) -> Statuses:
        """Statuses of a hub's basis."""
        return self._status[hub]

    def add(self, statuses: Statuses) -> IntArray:
        """Make hubs of (sample, variable) bases; returns their numbers."""
        numbers = []
        for status in statuses:
            key = status.tobytes()
            if key not in self._number:
                self._number[key] = len(self._status)
                self._status.append(np.array(status))
                self._hubs = None
            numbers.append(self._number[key])
        return np.array(numbers, np.int64)

    def keep_only(self, hubs: IntArray) -> IntArray:
        """Forget all hubs but some; returns their new numbers."""
        kept = [self._status[k] for k in hubs.tolist()]
        self._status, self._number, self._hubs = [], {}, None
        return self.add(np.array(kept, np.int8).reshape(len(hubs), -1))

    def rest(self) -> None:
        """Forget what statuses tell, until the next walk."""
        self._hubs = None

    def plant(self, points: FloatArray) -> None:
        """Take (point, parameter) what `nearest` looks among."""
        self._points = np.ascontiguousarray(points.T)

    def nearest(self, theta: FloatArray) -> IntArray:
        """Nearest of the points to each parameter; the first where several are."""
        found = np.zeros(len(theta), np.int64)
        nearest(np.ascontiguousarray(theta), self._points, found)
        return found

    def walk(self, theta: FloatArray, hub: IntArray) -> Walked:
        """Walk (sample, parameter) from a hub each."""
        if self._hubs is None:
            self._hubs = self._worked_out()
        found = Walked(len(theta), len(self._form.cost), len(self._form.low))
        told = np.ascontiguousarray(theta), np.ascontiguousarray(hub)
        into = found.x, found.where, found.side, found.status
        walk(*told, self._hubs, self._rows, self._limits, into)
        return found

    def _worked_out(self) -> Any:
        """Inverse, variables on a bound, statuses and duals of every hub."""
        off = np.stack([np.flatnonzero(status) for status in self._status])
        inverse = np.stack([np.linalg.inv(self._form.every[at]) for at in off])
        dual = np.stack([self._form.cost @ one for one in inverse])
        return inverse, off.astype(np.int64), np.stack(self._status), dual


def _rows(matrix: FloatArray) -> Any:
    """Start of each row, columns ascending, entries.

    Columns without a sign: a loop need not ask whether they count from the end.
    """
    found = sparse.csr_array(matrix)
    found.sort_indices()
    return (
        found.indptr.astype(np.int64),
        found.indices.astype(np.uint32),
        np.ascontiguousarray(found.data, float),
    )
