"""The network's matrix, linearised at the held plan's base, as triangular factors of 2 x 2 blocks.

A node is one block, as powers that do not follow a voltage are no analytic function of it. Nodes
are eliminated in an order of least degree; what fills in is found on the way, so that numbers need
no search, and no rows are exchanged: a network's matrix is strongest on its diagonal. Whether that
held is measured by whoever uses the factors (`simulator.fast.engine`).
"""

from __future__ import annotations

import heapq
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.simulator.fast.factoring import factor
from scipy import sparse

__all__ = ["Factors", "Order", "order_of"]

_FEW = 8  # neighbours of one phase of three between two buses of as many


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Order:
    """In which order nodes are eliminated, and what fills in.

    Attributes
    ----------
    node
        (position,) node that is eliminated there.
    start, later
        ``later[start[k]:start[k + 1]]`` are the positions, ascending, that position ``k`` is
        joined to when it is eliminated: its row of the upper factor, its column of the lower.
    """

    node: IntArray
    start: IntArray
    later: IntArray


def order_of(pattern: sparse.csr_array, asked: BoolArray) -> Order:
    """Eliminate nodes of least degree first, then walk what that joins branch by branch.

    Before all others those of few neighbours at which nothing is asked: no sweep passes them but
    the last one.
    """
    count = pattern.shape[0]
    near: list[set[int]] = [set() for _ in range(count)]
    entries = sparse.coo_array(pattern)
    for i, j in zip(entries.row.tolist(), entries.col.tolist(), strict=True):
        if i != j:
            near[i].add(j)
            near[j].add(i)

    def rank(k: int) -> tuple[bool, int, int]:
        return bool(asked[k]) or len(near[k]) > _FEW, len(near[k]), k

    waiting = [rank(k) for k in range(count)]
    heapq.heapify(waiting)
    place, node = np.full(count, -1), list[int]()
    joined: list[set[int]] = []
    while waiting:
        _, degree, k = heapq.heappop(waiting)
        if place[k] >= 0 or degree != len(near[k]):
            continue  # since then it was eliminated, or joined to more or fewer
        place[k] = len(node)
        node.append(k)
        joined.append(near[k])
        for j in near[k]:
            near[j] |= near[k]
            near[j] -= {j, k}
        for j in near[k]:
            heapq.heappush(waiting, rank(j))
    post = _branch_by_branch([int(place[list(one)].min(initial=count)) for one in joined])
    place[np.array(node, np.int64)[post]] = np.arange(count)
    node = [node[k] for k in post]
    rows = [np.sort(place[list(joined[k])]) for k in post]
    start = np.concatenate([[0], np.cumsum([len(row) for row in rows])])
    later = np.concatenate([np.zeros(0, np.int64), *rows]).astype(np.int64)
    return Order(node=np.array(node, np.int64), start=start.astype(np.int64), later=later)


def _branch_by_branch(parent: list[int]) -> list[int]:
    """Order positions so that each stands after the branches that end in it, these one by one.

    What fills in stays the same (it is the postorder of the elimination tree), and what is walked
    one after the other stands side by side in memory.
    """
    count = len(parent)
    above: list[list[int]] = [[] for _ in range(count + 1)]
    for k in range(count):
        above[parent[k]].append(k)
    found, waiting = list[int](), list(above[count])
    while waiting:  # from the roots out, the last branch first: backwards it is what is wanted
        k = waiting.pop()
        found.append(k)
        waiting.extend(above[k])
    return found[::-1]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Factors:
    """``A = L D U``: what the triangular sweeps of `simulator.fast.loops` walk.

    Attributes
    ----------
    lower_start, lower_at, lower
        Rows of ``L`` below its unit diagonal: (entry, 4) blocks, row by row.
    upper_start, upper_at, upper
        Rows of ``U`` above its unit diagonal.
    inverse
        (position, 4) inverses of the blocks of ``D``.
    """

    lower_start: IntArray
    lower_at: IntArray
    lower: FloatArray
    upper_start: IntArray
    upper_at: IntArray
    upper: FloatArray
    inverse: FloatArray

    @classmethod
    def of(cls, order: Order, rows: IntArray, columns: IntArray, blocks: FloatArray) -> Factors:
        """Factor the matrix of some blocks.

        Parameters
        ----------
        order
            Of a pattern that has all of them.
        rows, columns
            (entry,) positions, in the order of elimination; those of one place add up.
        blocks
            (entry, 4) block of each, row by row.
        """
        count = len(order.node)
        by_row = _transposed(order, count)
        upper, diagonal = _upper(order, rows, columns, blocks)
        lower = _lower(by_row, rows, columns, blocks)
        inverse = np.zeros((count, 4))
        factor(order.start, order.later, *by_row, lower, upper, diagonal, inverse)
        return cls(
            lower_start=by_row[0],
            lower_at=by_row[1],
            lower=lower,
            upper_start=order.start,
            upper_at=order.later,
            upper=upper,
            inverse=inverse,
        )

    def without_idle(self, driven: BoolArray) -> tuple[IntArray, IntArray, FloatArray, BoolArray]:
        """Return ``L`` without what is zero in every sweep, and the rows that are not.

        Parameters
        ----------
        driven
            (position,) where right sides may be other than zero.
        """
        works = driven.copy()
        start, at = self.lower_start, self.lower_at
        for i in range(len(works)):
            works[i] |= bool(works[at[start[i] : start[i + 1]]].any())
        keep = works[at]
        row = np.repeat(np.arange(len(works)), np.diff(start))
        kept = np.bincount(row[keep], minlength=len(works))
        begins = np.concatenate([[0], np.cumsum(kept)]).astype(np.int64)
        return begins, at[keep], np.ascontiguousarray(self.lower[keep]), works

    def wanted_rows(self, wanted: BoolArray) -> BoolArray:
        """(position,) rows that the sweep back must pass for the voltages wanted."""
        passed = wanted.copy()
        for i in range(len(passed)):  # a row needs what was eliminated later
            if passed[i]:
                passed[self.upper_at[self.upper_start[i] : self.upper_start[i + 1]]] = True
        return passed


def _transposed(order: Order, count: int) -> tuple[IntArray, IntArray]:
    """Rows of the lower factor: which earlier positions each is joined to, ascending."""
    column = np.repeat(np.arange(count), np.diff(order.start))
    by_row = np.lexsort((column, order.later))
    start = np.concatenate([[0], np.cumsum(np.bincount(order.later, minlength=count))])
    return start.astype(np.int64), column[by_row].astype(np.int64)


def _upper(
    order: Order, rows: IntArray, columns: IntArray, blocks: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """Put blocks into the places of the upper factor, and of the diagonal."""
    count = len(order.node)
    upper, diagonal = np.zeros((len(order.later), 4)), np.zeros((count, 4))
    own = rows == columns
    np.add.at(diagonal, rows[own], blocks[own])
    above = rows < columns
    np.add.at(upper, _places(order.start, order.later, rows[above], columns[above]), blocks[above])
    return upper, diagonal


def _lower(
    by_row: tuple[IntArray, IntArray], rows: IntArray, columns: IntArray, blocks: FloatArray
) -> FloatArray:
    lower, below = np.zeros((len(by_row[1]), 4)), rows > columns
    np.add.at(lower, _places(*by_row, rows[below], columns[below]), blocks[below])
    return lower


def _places(start: IntArray, at: IntArray, rows: IntArray, columns: IntArray) -> IntArray:
    """Where the entries (row, column) stand among those of a pattern sorted by both."""
    count = len(start)  # one more than rows: wide enough for a key of both
    keys = np.repeat(np.arange(count - 1), np.diff(start)) * count + at
    return np.searchsorted(keys, rows * count + columns)
