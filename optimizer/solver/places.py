"""Places that columns of a large program belong to, and the programs of some of them alone.

Two are cut out around a region, from the columns of its places and of those beside it:

* `Whole.relaxed`: each row that touches any other column asks no more than the others' bounds let
  it, so that every solution of the whole is one of this. It is charged for the region's own
  columns alone: what regions that share none must cost may be added up.
* `Whole.held`: the others stay where they are, so that every solution of this is one of the whole.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from gridproof.optimizer.solver.solve import Arrays
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from scipy import sparse

__all__ = ["Places", "Region", "Whole", "with_bounds"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Places:
    """Where columns belong; whatever is said here, what is proven holds: it says how soon.

    Attributes
    ----------
    tags
        (column, 2) places of each column, -1 for none. A column with none is in the program of
        every region that has a row with it; what a column costs is charged to its first place.
    core
        (place,) number of the region that each begins in.
    """

    tags: IntArray
    core: IntArray

    def beside(self) -> sparse.csr_array:
        """(place, place) 1 or more where a column ties the two, and where they are the same."""
        size = len(self.core)
        one, other = self.tags[(self.tags >= 0).all(axis=1)].T
        every = np.arange(size)
        rows, columns = np.concatenate([one, other, every]), np.concatenate([other, one, every])
        return sparse.csr_array((np.ones(len(rows)), (rows, columns)), shape=(size, size))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """Some places: the ``columns`` charged to them, their ``cost``, a lower ``bound`` of it.

    Attributes
    ----------
    settled
        Whether asking again would bring nothing: it has none beside it, or took too long.
    """

    places: BoolArray
    columns: IntArray
    cost: FloatArray
    bound: float
    settled: bool = False

    def open_at(self, values: FloatArray) -> float:
        """Return what the bound leaves open of what the columns cost at some values."""
        return float(self.cost @ values[self.columns]) - self.bound

    @classmethod
    def joined(cls, regions: Sequence[Region]) -> Region:
        """Make one of several: what each must cost, all of them must."""
        return cls(
            places=np.logical_or.reduce([one.places for one in regions]),
            columns=np.concatenate([one.columns for one in regions]),
            cost=np.concatenate([one.cost for one in regions]),
            bound=sum(one.bound for one in regions),
        )


def with_bounds(arrays: Arrays, regions: Sequence[Region], slack: float = 1e-6) -> Arrays:
    """Add a row for each region; ``slack`` keeps rounding from cutting an optimum off."""
    if not regions:
        return arrays
    shape = (len(regions), len(arrays.cost))
    where = np.repeat(np.arange(len(regions)), [len(one.columns) for one in regions])
    which = np.concatenate([one.columns for one in regions])
    cost = np.concatenate([one.cost for one in regions])
    more = sparse.csc_array((cost, (where, which)), shape=shape)
    bounds = np.array([one.bound - slack for one in regions])
    return replace(
        arrays,
        matrix=sparse.csc_array(sparse.vstack([arrays.matrix, more])),
        row_lower=np.concatenate([arrays.row_lower, bounds]),
        row_upper=np.concatenate([arrays.row_upper, np.full(len(regions), np.inf)]),
    )


class Whole:
    """A program whose columns have places, and what is cut out of it."""

    def __init__(self, arrays: Arrays, places: Places) -> None:
        self.arrays, self._tags = arrays, places.tags
        self._by_column = sparse.csc_array(arrays.matrix)
        self._by_row = sparse.csr_array(arrays.matrix)
        self._beside = places.beside()
        self._owner = np.where(arrays.cost != 0.0, places.tags[:, 0], -1)

    def cost_of(self, values: FloatArray) -> float:
        """Return what values cost."""
        return float(self.arrays.cost @ values) + self.arrays.constant

    def region(self, places: BoolArray) -> Region:
        """Return a region with the bound that its columns' own bounds make."""
        columns = np.flatnonzero((self._owner >= 0) & places[self._owner])
        cost = self.arrays.cost[columns]
        return Region(places=places, columns=columns, cost=cost, bound=self._least(columns))

    def rest_open_at(self, values: FloatArray) -> float:
        """Return what columns of no place cost more than their own bounds say."""
        rest = np.flatnonzero((self._owner < 0) & (self.arrays.cost != 0.0))
        return float(self.arrays.cost[rest] @ values[rest]) - self._least(rest)

    def grown(self, places: BoolArray) -> BoolArray:
        """Return places and those beside them."""
        return np.asarray(self._beside @ places.astype(float) > 0.0, bool)

    def relaxed(self, region: Region) -> tuple[Arrays, IntArray]:
        """Return what a region must satisfy, charged for itself, and which columns that has."""
        here = self.grown(region.places)[self._tags] & (self._tags >= 0)
        inside = np.array(here.any(axis=1), bool)
        _, near = self._rows(np.flatnonzero(inside))
        inside[near.indices[(self._tags[near.indices] < 0).all(axis=1)]] = True
        columns = np.flatnonzero(inside)
        rows, asked = self._rows(columns)
        least, most = self._reach(asked, ~inside)
        cost = np.zeros(len(self.arrays.cost))
        cost[region.columns] = region.cost
        lower, upper = self.arrays.row_lower[rows] - most, self.arrays.row_upper[rows] - least
        return self._part(columns, cost, asked, lower, upper), columns

    def held(self, region: Region, values: FloatArray) -> tuple[Arrays, IntArray]:
        """Return what may be had within a region and what is beside it, and its columns."""
        places = self.grown(region.places)
        free = (places[self._tags] | (self._tags < 0)).all(axis=1)
        columns = np.flatnonzero(free)
        rows, asked = self._rows(columns)
        others = asked @ np.where(free, 0.0, values)
        lower, upper = self.arrays.row_lower[rows] - others, self.arrays.row_upper[rows] - others
        return self._part(columns, self.arrays.cost, asked, lower, upper), columns

    def off(self, values: FloatArray) -> float:
        """Return how far values are off a row at most."""
        active = self._by_row @ values
        off = np.maximum(self.arrays.row_lower - active, active - self.arrays.row_upper)
        return float(off.max(initial=0.0))

    def _least(self, columns: IntArray) -> float:
        cost, lower, upper = (
            of[columns] for of in (self.arrays.cost, self.arrays.lower, self.arrays.upper)
        )
        return float(np.where(cost > 0.0, cost * lower, cost * upper).sum())

    def _rows(self, columns: IntArray) -> tuple[IntArray, sparse.csr_array]:
        """Rows that touch any of the columns."""
        rows = np.unique(self._by_column[:, columns].indices)
        return rows, self._by_row[rows]

    def _reach(self, asked: sparse.csr_array, others: BoolArray) -> tuple[FloatArray, FloatArray]:
        """(row,) least and most that other columns can add up to."""
        low, high = self.arrays.lower[asked.indices], self.arrays.upper[asked.indices]
        up, counted = asked.data > 0.0, others[asked.indices]

        def total(of: FloatArray) -> FloatArray:
            data = np.zeros(len(asked.data))
            data[counted] = asked.data[counted] * of[counted]
            told = sparse.csr_array((data, asked.indices, asked.indptr), shape=asked.shape)
            return np.asarray(told.sum(axis=1), float)

        return total(np.where(up, low, high)), total(np.where(up, high, low))

    def _part(
        self,
        columns: IntArray,
        cost: FloatArray,
        asked: sparse.csr_array,
        row_lower: FloatArray,
        row_upper: FloatArray,
    ) -> Arrays:
        arrays = self.arrays
        return Arrays(
            cost=cost[columns],
            constant=0.0,
            matrix=sparse.csc_array(asked)[:, columns],
            row_lower=row_lower,
            row_upper=row_upper,
            lower=arrays.lower[columns],
            upper=arrays.upper[columns],
            integer=arrays.integer[columns],
        )
