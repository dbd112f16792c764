"""Pairs of timings: both sides interleaved (A B A B), medians, and their ratio."""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Row", "compare", "table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison: medians of both sides, what they count, and ours over theirs as a rate."""

    subject: str
    ours_s: float
    other_s: float
    units: int
    unit: str
    repeats: int

    @property
    def share(self) -> float:
        """Our rate as a share of the other side's: 1 is as fast, 0.5 half as fast."""
        return self.other_s / self.ours_s


def compare(
    subject: str,
    ours: Callable[[], object],
    other: Callable[[], object],
    *,
    units: int,
    unit: str = "realization",
    repeats: int = 15,
    warm: bool = True,
) -> Row:
    """Time both sides in turn, so that a slow phase of the machine hits both alike.

    Each side runs once untimed before, unless what it measures starts cold every time.
    """
    for side in (ours, other) if warm else ():
        side()
    left, right = [], []
    for _ in range(repeats):
        for side, times in ((ours, left), (other, right)):
            start = time.perf_counter()
            side()
            times.append(time.perf_counter() - start)
    return Row(
        subject=subject,
        ours_s=statistics.median(left),
        other_s=statistics.median(right),
        units=units,
        unit=unit,
        repeats=repeats,
    )


def table(rows: Sequence[Row], ours: str, other: str) -> str:
    """Both sides of every ratio, as aligned text."""
    head = ("subject", f"{ours}, µs", f"{other}, µs", "per", "rate, share of the other")
    body = [
        (
            row.subject,
            f"{row.ours_s / row.units * 1e6:.1f}",
            f"{row.other_s / row.units * 1e6:.1f}",
            row.unit,
            f"{row.share:.2f}",
        )
        for row in rows
    ]
    widths = [max(len(line[k]) for line in (head, *body)) for k in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
             for line in (head, *body)]  # fmt: skip
    return "\n".join(lines)
