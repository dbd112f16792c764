"""Functions of an island's state, written in what changes it; what is kept of each row.

A row ``w ≈ f A⁻¹`` has as many numbers as the island has unknowns, real and imaginary. Rows are
made in blocks of functions, so that a handful of blocks is alive at once, and of each is kept what
bounds need: a slope, norms of its gains, and sums of sizes.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.simulator.proof.reach import UP, ComplexArray
from scipy import sparse

__all__ = ["Rows", "block_of", "blocks", "empty_rows", "norms", "units"]

_BLOCK = 2**20
"""Numbers of a block's rows: 8 MB, of which half a dozen are alive at once. Larger blocks take
longer, as they leave the processor's own memory."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Rows:
    """Real-linear functions of the state's change, in terms of what changes it.

    ``f x = w (B ω + E ρ + r)`` but for ``rest``, with ``ρ`` what the tangent leaves out and ``r``
    what the equations are missed by. A complex function is two rows, of its real and of its
    imaginary part; where these are kept apart they come first, (2, function, …).

    Attributes
    ----------
    slope
        (function, coordinate) complex, of ``ω``.
    slope_error
        (function,) by how much ``|slope ω|`` can be off.
    reach
        (function,) bound on ``|slope ω|`` over the set, this error with it.
    norm
        (function, element) spectral norms of the 2x2 blocks of ``w E``.
    missed
        (2, function) bound on ``w r`` of what the centre's state misses the equations by.
    unsure
        (2, function, element) ``|w| |Cᵀ|``, real and imaginary part of an element's current
        together.
    rest
        (2, function, unknown) bound on ``|f - w A|`` and on what rounding of the entries of ``A``
        adds to it, real and imaginary part of an unknown together.
    """

    slope: ComplexArray
    slope_error: FloatArray
    reach: FloatArray
    norm: FloatArray
    missed: FloatArray
    unsure: FloatArray
    rest: FloatArray

    def at(self, which: IntArray) -> Rows:
        """Pick functions."""
        return Rows(
            slope=self.slope[which],
            slope_error=self.slope_error[which],
            reach=self.reach[which],
            norm=self.norm[which],
            missed=self.missed[:, which],
            unsure=self.unsure[:, which],
            rest=self.rest[:, which],
        )

    def put(self, where: IntArray | slice, part: Rows) -> None:
        """Write functions into their places."""
        for field in fields(self):
            own, new = getattr(self, field.name), getattr(part, field.name)
            if field.name in _HALVES:
                own[:, where] = new
            else:
                own[where] = new

    def error(self, rho: FloatArray, unsure: FloatArray, x: FloatArray | None) -> FloatArray:
        """Bound how far each function is from its tangent, (function,).

        Parameters
        ----------
        rho, unsure
            (element,) bounds on what the tangent leaves out of the elements' currents, and on
            what is not known of them.
        x
            (unknown,) bound on the state's change; None leaves `rest` out.
        """
        plain = self.missed + self.unsure @ unsure
        if x is not None:
            plain = plain + self.rest @ x
        return np.asarray((self.norm @ rho + np.hypot(*plain)) * UP + self.slope_error * UP)


_HALVES = ("missed", "unsure", "rest")


def empty_rows(functions: int, coordinates: int, elements: int, unknowns: int) -> Rows:
    """Make room for rows."""
    return Rows(
        slope=np.empty((functions, coordinates), complex),
        slope_error=np.empty(functions),
        reach=np.empty(functions),
        norm=np.empty((functions, elements)),
        missed=np.empty((2, functions)),
        unsure=np.empty((2, functions, elements)),
        rest=np.empty((2, functions, unknowns)),
    )


def block_of(unknowns: int) -> int:
    """Functions of a block, of an island with so many complex unknowns."""
    return max(1, _BLOCK // (4 * unknowns))


def blocks(count: int, size: int) -> Iterator[slice]:
    """Cut a range into blocks."""
    for first in range(0, count, size):
        yield slice(first, min(first + size, count))


def units(functions: sparse.csr_array) -> IntArray:
    """Name the unknown that each function is, (function,); -1 of one that is none."""
    found = np.full(functions.shape[0], -1)
    single = np.flatnonzero(np.diff(functions.indptr) == 1)
    entry = functions.indptr[single]
    same = functions.data[entry] == 1.0
    found[single[same]] = functions.indices[entry[same]]
    return found


def norms(gain: FloatArray) -> FloatArray:
    """Take spectral norms of the 2x2 blocks, (function, element): by how much |ρ| moves |f|."""
    rows, columns = gain.shape[0] // 2, gain.shape[1] // 2
    a, b = gain[:rows, :columns], gain[:rows, columns:]
    c, d = gain[rows:, :columns], gain[rows:, columns:]
    half = (a * a + b * b + c * c + d * d) / 2.0
    determinant = a * d - b * c
    root = np.sqrt(np.maximum(half * half - determinant * determinant, 0.0))
    # where the two singular values are alike the root loses half its digits: 2⁻²⁵ covers it
    return np.asarray(np.sqrt((half + root) * (1.0 + 2.0**-24)))
