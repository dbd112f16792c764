"""Pairs of timings: both sides interleaved (A B A B), medians, and their ratio.

Wall time is what a user waits for; processor time (all threads, and child processes that
have ended) says the same where the machine is busy with something else.
"""

from __future__ import annotations

import os
import statistics
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

__all__ = ["Row", "clocks", "compare", "table"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Row:
    """One comparison: medians of both sides, what they count, and ours over theirs as a rate.

    ``_s`` is wall time, ``_cpu_s`` processor time.
    """

    subject: str
    ours_s: float
    other_s: float
    ours_cpu_s: float
    other_cpu_s: float
    units: int
    unit: str
    repeats: int

    @property
    def share(self) -> float:
        """Our rate as a share of the other side's: 1 is as fast, 0.5 half as fast."""
        return self.other_s / self.ours_s

    @property
    def cpu_share(self) -> float:
        """The same of processor time."""
        return self.other_cpu_s / self.ours_cpu_s


def clocks() -> tuple[float, float]:
    """Wall and processor seconds; of this process and of its children that have ended."""
    times = os.times()
    return time.perf_counter(), times.user + times.system + times.children_user + (
        times.children_system
    )


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
    left: list[tuple[float, float]] = []
    right: list[tuple[float, float]] = []
    for _ in range(repeats):
        for side, times in ((ours, left), (other, right)):
            start, cpu = clocks()
            side()
            end, cpu_end = clocks()
            times.append((end - start, cpu_end - cpu))
    ours_s, ours_cpu_s = (statistics.median(column) for column in zip(*left, strict=True))
    other_s, other_cpu_s = (statistics.median(column) for column in zip(*right, strict=True))
    return Row(
        subject=subject,
        ours_s=ours_s,
        other_s=other_s,
        ours_cpu_s=ours_cpu_s,
        other_cpu_s=other_cpu_s,
        units=units,
        unit=unit,
        repeats=repeats,
    )


def table(rows: Sequence[Row], ours: str, other: str) -> str:
    """Both sides of every ratio, as aligned text."""
    head = ("subject", f"{ours}, µs", f"{other}, µs", "per", "rate, share of the other",
            "by processor time")  # fmt: skip
    body = [
        (
            row.subject,
            f"{row.ours_s / row.units * 1e6:.1f}",
            f"{row.other_s / row.units * 1e6:.1f}",
            row.unit,
            f"{row.share:.2f}",
            f"{row.cpu_share:.2f}",
        )
        for row in rows
    ]
    widths = [max(len(line[k]) for line in (head, *body)) for k in range(len(head))]
    lines = ["  ".join(cell.ljust(w) for cell, w in zip(line, widths, strict=True)).rstrip()
             for line in (head, *body)]  # fmt: skip
    return "\n".join(lines)
