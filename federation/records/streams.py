"""Exact order statistics of columns too long to hold: memory does not grow with their length.

A float's bits, with the sign folded in, order as the float does; four passes of 16 bits then
find any order statistic exactly from histograms of 65 536 counters (radix selection).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from tempfile import TemporaryFile
from typing import IO
from weakref import finalize

import numpy as np
from gridproof.federation.statistics.shares import lower_tail_mean, quantile_rank
from gridproof.scenarios.arrays import FloatArray
from numpy.typing import NDArray

__all__ = [
    "HELD_AT_MOST",
    "Distribution",
    "HeldColumns",
    "Stream",
    "distributions",
    "order_statistics",
]

Stream = Callable[[], Iterable[Sequence[FloatArray]]]
"""Each call starts a pass; each item holds one 1-D array of finite values per column."""

HELD_AT_MOST = 1 << 18
"""Values per column that are simply held; longer columns go to a file, passed over four times."""

_DIGIT = 16
_BINS = 1 << _DIGIT
_SIGN = np.uint64(1 << 63)


class HeldColumns:
    """Columns that are read once and passed over again as often as one likes.

    Up to `HELD_AT_MOST` values a column they stay in memory, beyond that in a file without a
    name, which ends with this object: what wrote the values need not be read again.

    Parameters
    ----------
    columns
        How many there are.
    held_at_most
        Values per column that stay in memory.
    """

    def __init__(self, columns: int, held_at_most: int = HELD_AT_MOST) -> None:
        self._counts, self._most = np.zeros(columns, np.int64), held_at_most
        self._held: list[Sequence[FloatArray]] = []
        self._lengths: list[list[int]] = []
        self._file: IO[bytes] | None = None

    def add(self, item: Sequence[FloatArray]) -> None:
        """Take one array for each column."""
        self._counts += [len(values) for values in item]
        if self._file is None:
            self._held.append(item)
            if self._counts.max(initial=0) <= self._most:
                return
            self._file = TemporaryFile(prefix="gridproof-")  # noqa: SIM115  (closed with this)
            finalize(self, self._file.close)
            held, self._held = self._held, []
        else:
            held = [item]
        for one in held:
            self._lengths.append([len(values) for values in one])
            for values in one:
                self._file.write(np.ascontiguousarray(values, np.float64).tobytes())

    def stream(self) -> Iterator[Sequence[FloatArray]]:
        """Start a pass: the items as they came."""
        if self._file is None:
            yield from self._held
            return
        self._file.seek(0)
        for lengths in self._lengths:
            yield [np.frombuffer(self._file.read(8 * length)) for length in lengths]

    def distributions(
        self, levels: Sequence[float], tail_share: float
    ) -> tuple[Distribution | None, ...]:
        """Exact quantiles and lower tail mean of every column; None where it is empty."""
        counts = self._counts.tolist()
        if self._file is not None:
            return _of_stream(self.stream, counts, levels, tail_share)
        columns = zip(*self._held, strict=True) if self._held else ((),) * len(counts)
        return tuple(
            _of_values(np.concatenate(kept), levels, tail_share) if count else None
            for kept, count in zip(columns, counts, strict=True)
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Distribution:
    """One column in numbers.

    Attributes
    ----------
    count
        Values seen.
    levels, quantiles
        Quantile ``min {x : F(x) ≥ level}`` at each level.
    tail_share, tail_mean
        Mean of the smallest ``tail_share`` of the values (CVaR).
    """

    count: int
    levels: tuple[float, ...]
    quantiles: tuple[float, ...]
    tail_share: float
    tail_mean: float


def distributions(
    stream: Stream,
    columns: int,
    levels: Sequence[float] = (0.0, 0.01, 0.05, 0.5, 0.95, 1.0),
    tail_share: float = 0.05,
    held_at_most: int = HELD_AT_MOST,
) -> tuple[Distribution | None, ...]:
    """Exact quantiles and lower tail mean of every column; None where a column is empty.

    Parameters
    ----------
    stream
        Starts a pass over the data; taken once.
    columns
        Arrays per item.
    levels, tail_share
        What is asked.
    held_at_most
        Columns up to this length are held in memory; longer ones in a file of their own.
    """
    held = HeldColumns(columns, held_at_most)
    for item in stream():
        held.add(item)
    return held.distributions(levels, tail_share)


def _of_values(values: FloatArray, levels: Sequence[float], tail_share: float) -> Distribution:
    ranks = [quantile_rank(level, len(values)) for level in levels]
    ordered = np.sort(values)
    return Distribution(
        count=len(values),
        levels=tuple(levels),
        quantiles=tuple(ordered[ranks].tolist()),
        tail_share=tail_share,
        tail_mean=lower_tail_mean(ordered, tail_share),
    )


def _of_stream(
    stream: Stream, counts: Sequence[int], levels: Sequence[float], tail_share: float
) -> tuple[Distribution | None, ...]:
    edges = [min(max(0, n - 1), math.floor(tail_share * n + 1e-9)) for n in counts]
    ranks = [
        [*(quantile_rank(level, n) for level in levels), edge] if n else []
        for n, edge in zip(counts, edges, strict=True)
    ]
    found = order_statistics(stream, ranks)
    below, mass_below = np.zeros(len(counts)), np.zeros(len(counts), np.int64)
    for item in stream():  # the tail's sum: all below its edge value, then that value's part
        for k, values in enumerate(item):
            inside = values[values < found[k][-1]] if counts[k] else values
            below[k] += inside.sum()
            mass_below[k] += len(inside)
    result: list[Distribution | None] = []
    for k, n in enumerate(counts):
        if not n:
            result.append(None)
            continue
        mass = tail_share * n
        tail = (below[k] + (mass - mass_below[k]) * found[k][-1]) / mass
        result.append(
            Distribution(
                count=n,
                levels=tuple(levels),
                quantiles=tuple(found[k][:-1].tolist()),
                tail_share=tail_share,
                tail_mean=float(tail),
            )
        )
    return tuple(result)


def order_statistics(stream: Stream, ranks: Sequence[Sequence[int]]) -> tuple[FloatArray, ...]:
    """Exact order statistics by radix selection in four passes.

    Parameters
    ----------
    stream
        Starts a pass over the data.
    ranks
        For each column the positions (from 0) in its sorted order that are wanted.

    Returns
    -------
    tuple of ndarray
        For each column the values at its ranks.
    """
    left = [np.array(wanted, np.int64) for wanted in ranks]
    prefix = [np.zeros(len(wanted), np.uint64) for wanted in ranks]
    for shift in range(64 - _DIGIT, -1, -_DIGIT):
        groups = [np.unique(one) for one in prefix]
        histogram = [np.zeros((len(group), _BINS), np.int64) for group in groups]
        for item in stream():
            for k, values in enumerate(item):
                _count(histogram[k], groups[k], _sortable(values), shift)
        for k, group in enumerate(groups):
            rows = np.searchsorted(group, prefix[k])
            for j, row in enumerate(rows):
                running = np.cumsum(histogram[k][row])
                digit = int(np.searchsorted(running, left[k][j], side="right"))
                left[k][j] -= running[digit - 1] if digit else 0
                prefix[k][j] = (prefix[k][j] << np.uint64(_DIGIT)) | np.uint64(digit)
    return tuple(_unsortable(one) for one in prefix)


def _count(
    histogram: NDArray[np.int64],
    groups: NDArray[np.uint64],
    keys: NDArray[np.uint64],
    shift: int,
) -> None:
    """Add, for each prefix still in play, how often each next digit follows it."""
    digits = (keys >> np.uint64(shift)) & np.uint64(_BINS - 1)
    above = keys >> np.uint64(shift + _DIGIT) if shift + _DIGIT < 64 else np.zeros_like(keys)
    for row, group in enumerate(groups):
        chosen = digits[above == group].astype(np.int64)
        histogram[row] += np.bincount(chosen, minlength=_BINS)


def _sortable(values: FloatArray) -> NDArray[np.uint64]:
    bits = (np.ascontiguousarray(values, np.float64) + 0.0).view(np.uint64)
    return np.where(bits & _SIGN, ~bits, bits | _SIGN)


def _unsortable(keys: NDArray[np.uint64]) -> FloatArray:
    return np.where(keys & _SIGN, keys & ~_SIGN, ~keys).view(np.float64)
