"""A linear program grown by whole families of columns and rows, as arrays.

Where a model has a hundred thousand rows, building it row by row costs more than solving it.
Here a family is one call: its columns are positions in an array, its rows are stated for all
members at once.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gridproof.optimizer.solver.solve import Arrays
from gridproof.scenarios.arrays import FloatArray, IntArray
from numpy.typing import ArrayLike
from scipy import sparse

__all__ = ["Program", "Term"]

Term = tuple[Any, IntArray]
"""A coefficient (number, one per row, or a sparse matrix of rows by columns) and columns."""


class Program:
    """Columns with bounds and costs, rows with names; `arrays` gives what HiGHS reads."""

    def __init__(self) -> None:
        self.size = 0
        self.height = 0
        self.constant = 0.0
        self.family: dict[str, int] = {}
        self._names: list[tuple[str, int]] = []
        self._row_names: list[tuple[str, int]] = []
        self._lower: list[FloatArray] = []
        self._upper: list[FloatArray] = []
        self._cost: list[FloatArray] = []
        self._integer: list[np.ndarray] = []
        self._fixed: list[tuple[IntArray, FloatArray]] = []
        self._charged: list[tuple[IntArray, FloatArray]] = []
        self._whole: list[IntArray] = []
        self._row_lower: list[FloatArray] = []
        self._row_upper: list[FloatArray] = []
        self._entries: list[tuple[IntArray, IntArray, FloatArray]] = []

    def columns(
        self,
        count: int,
        *,
        lower: ArrayLike = 0.0,
        upper: ArrayLike = 1.0,
        cost: ArrayLike = 0.0,
        integer: bool = False,
        name: str = "column",
    ) -> IntArray:
        """Add ``count`` columns and return their positions; calls with one name add up."""
        spread = [np.broadcast_to(np.asarray(v, float), (count,)) for v in (lower, upper, cost)]
        self._lower.append(spread[0])
        self._upper.append(spread[1])
        self._cost.append(spread[2])
        self._integer.append(np.full(count, integer))
        self._names.append((name, count))
        first, self.size = self.size, self.size + count
        return np.arange(first, self.size, dtype=np.int64)

    def rows(
        self, name: str, *terms: Term, lower: ArrayLike = -np.inf, upper: ArrayLike = np.inf
    ) -> None:
        """Add a family of rows ``lower ≤ Σ terms ≤ upper``.

        Parameters
        ----------
        name
            Counted in ``family``; calls with one name add up.
        terms
            ``(coefficient, columns)``. With a number or one coefficient per row, row k holds
            ``coefficient[k] · columns[k]``; with a sparse matrix, row k holds the matrix's
            row k times all columns.
        """
        widths = [c.shape[0] if sparse.issparse(c) else len(cols) for c, cols in terms]
        count = widths[0]
        if any(width != count for width in widths):
            raise ValueError(f"rows {name!r}: terms have {widths} rows; they must agree")
        own = np.arange(self.height, self.height + count)
        for coefficient, columns in terms:
            if sparse.issparse(coefficient):
                entry = sparse.coo_array(coefficient)
                where, which = entry.coords
                self._entries.append((own[where], columns[which], entry.data.astype(float)))
            else:
                value = np.broadcast_to(np.asarray(coefficient, float), (count,))
                self._entries.append((own, columns, value))
        for bound, kept in ((lower, self._row_lower), (upper, self._row_upper)):
            kept.append(np.broadcast_to(np.asarray(bound, float), (count,)))
        self._row_names.append((name, count))
        self.height += count
        self.family[name] = self.family.get(name, 0) + count

    def fix(self, columns: IntArray, values: ArrayLike) -> None:
        """Hold columns at values."""
        self._fixed.append((columns, np.broadcast_to(np.asarray(values, float), columns.shape)))

    def charge(self, columns: IntArray, cost: ArrayLike) -> None:
        """Set the costs of columns added before."""
        self._charged.append((columns, np.broadcast_to(np.asarray(cost, float), columns.shape)))

    def whole(self, columns: IntArray) -> None:
        """Ask for whole values of columns added as continuous."""
        self._whole.append(columns)

    def names(self) -> tuple[list[str], list[str]]:
        """Return the family of each column and of each row."""
        columns, rows = (
            [name for name, count in named for _ in range(count)]
            for named in (self._names, self._row_names)
        )
        return columns, rows

    def terms(self) -> list[list[tuple[int, float]]]:
        """Return (column, coefficient) of each row, as stated."""
        stated: list[list[tuple[int, float]]] = [[] for _ in range(self.height)]
        for rows, columns, data in self._entries:
            for row, column, value in zip(
                rows.tolist(), columns.tolist(), data.tolist(), strict=True
            ):
                stated[row].append((column, value))
        return stated

    def arrays(self) -> Arrays:
        """Put the program together; entries at one place add up."""
        whole = np.zeros(0, np.int64)
        rows, columns, data = (
            np.concatenate([e[k] for e in self._entries] or [whole]) for k in range(3)
        )
        matrix = sparse.csc_array((data, (rows, columns)), shape=(self.height, self.size))
        matrix.sum_duplicates()
        lower, upper = _joined(self._lower), _joined(self._upper)
        for where, values in self._fixed:
            lower[where] = upper[where] = values
        cost = _joined(self._cost)
        for where, values in self._charged:
            cost[where] = values
        integer = np.concatenate([np.zeros(0, bool), *self._integer])
        for where in self._whole:
            integer[where] = True
        return Arrays(
            cost=cost,
            constant=self.constant,
            matrix=matrix,
            row_lower=_joined(self._row_lower),
            row_upper=_joined(self._row_upper),
            lower=lower,
            upper=upper,
            integer=integer,
        )


def _joined(parts: list[FloatArray]) -> FloatArray:
    return np.concatenate([np.zeros(0), *parts])
