"""The time grid: one federation second is one exchange.

The planner is granted 1, 2, 3, …, the feeder 0.5, 1.5, 2.5, …; what one publishes at its
own time the other reads at its next, half a second later. Two federates are never granted
the same time, so no value can be read half-way through an exchange, and every time asked
for is finite.

::

    planner  0 ────────── 1 ── plan ──────── 2 ── set-points ──── 3 ── …
    feeder   0 ── 0.5 ──────── 1.5 ── realizations ── 2.5 ── verdicts, realizations ── …
"""

from __future__ import annotations

import math
from dataclasses import dataclass

__all__ = ["FEEDER_GRID", "PLANNER_GRID", "RECORDER_GRID", "TimeGrid"]


@dataclass(frozen=True, slots=True, kw_only=True)
class TimeGrid:
    """The times a federate may be granted: ``offset_s + k · period_s``, ``k = 0, 1, …``.

    Attributes
    ----------
    period_s
        Distance between two grants, federation seconds.
    offset_s
        The first grant, except for a federate with offset 0, whose first is ``period_s``.
    """

    period_s: float = 1.0
    offset_s: float = 0.0

    def __post_init__(self) -> None:
        if not (self.period_s > 0.0 and 0.0 <= self.offset_s < self.period_s):
            raise ValueError(f"0 <= offset_s < period_s is needed; found {self}")

    def next_after(self, time_s: float) -> float:
        """Return the first grid time later than ``time_s``."""
        steps = math.floor((time_s - self.offset_s) / self.period_s) + 1
        return self.offset_s + max(0, steps) * self.period_s

    def holds(self, time_s: float) -> bool:
        """Whether ``time_s`` lies on the grid."""
        steps = (time_s - self.offset_s) / self.period_s
        return steps >= 0.0 and steps == math.floor(steps)


PLANNER_GRID = TimeGrid()
FEEDER_GRID = TimeGrid(offset_s=0.5)
RECORDER_GRID = TimeGrid(period_s=0.5, offset_s=0.25)
