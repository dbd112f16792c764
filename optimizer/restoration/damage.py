"""Switch states over the phases and the spread of failures: (8)-(15) of the restoration paper.

Damage is carried by availability: ``a_i = 1`` where bus i is outside the damaged zone. Rows
only bound it from above, and the objective pays for each bus lost, so it needs no integrality.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.arrays import BoolArray, IntArray
from gridproof.scenarios.restoration import Outage

__all__ = ["StateColumns", "add_cascade", "add_states", "add_switching"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StateColumns:
    """Columns of the switches.

    Attributes
    ----------
    closed
        (time, line) ``sw_l``.
    end_closed
        (time, cable, 2) ``sw_ij`` and ``sw_ji`` of underground lines.
    cables
        (cable,) their positions among the lines.
    """

    closed: IntArray
    end_closed: IntArray
    cables: IntArray


def add_states(m: Program, case: Outage) -> StateColumns:
    """Add states with what may move when, and (12) as its linear equivalent (13)-(15).

    t = 0 is the state before; at t = 1 protective ends may open; at t = 2 operable ends may
    open; at t = 3 they may do either. Manual ends keep their state. Not in the print: a line
    that failed while open stays open, and a failed cable's end at a substation, which (11)
    exempts, does not stay closed on the failure once it can be opened.
    """
    devices, before = case.devices, case.feeder.lines.closed
    cables = np.flatnonzero(devices.underground)
    closed, ends = [], []
    for time in range(4):
        low, high = _end_bounds(case, time)
        line_low, line_high = low.all(axis=1), high.all(axis=1)
        closed.append(m.columns(len(before), lower=line_low, upper=line_high, integer=True))
        columns = m.columns(
            2 * len(cables), lower=low[cables].ravel(), upper=high[cables].ravel(), integer=True
        )
        ends.append(columns.reshape(-1, 2))
        line, (one, other) = closed[-1][cables], ends[-1].T
        m.rows("(13)", (1.0, line), (-1.0, one), upper=0.0)
        m.rows("(14)", (1.0, line), (-1.0, other), upper=0.0)
        m.rows("(15)", (1.0, one), (1.0, other), (-1.0, line), upper=1.0)
    m.rows("opens only", (1.0, closed[2]), (-1.0, closed[1]), upper=0.0)
    m.rows("opens only", (1.0, ends[2].ravel()), (-1.0, ends[1].ravel()), upper=0.0)
    _keep_tripped(m, case, cables, closed, ends)
    return StateColumns(closed=np.stack(closed), end_closed=np.stack(ends), cables=cables)


def _keep_tripped(
    m: Program,
    case: Outage,
    cables: IntArray,
    closed: list[IntArray],
    ends: list[IntArray],
) -> None:
    """Keep what protection did where the operator cannot move it."""
    held = case.devices.protective_end & ~case.operable_end
    wires = np.flatnonzero(held.any(axis=1) & ~case.devices.underground)
    tails = held[cables]
    for time in (2, 3):
        for now, then in (
            (closed[time][wires], closed[time - 1][wires]),
            (ends[time][tails], ends[time - 1][tails]),
        ):
            m.rows("stays", (1.0, now), (-1.0, then), lower=0.0, upper=0.0)


def _end_bounds(case: Outage, time: int) -> tuple[BoolArray, BoolArray]:
    devices = case.devices
    before = np.repeat(case.feeder.lines.closed[:, None], 2, axis=1)
    low, high = before.copy(), before.copy()
    if time >= 1:
        low &= ~devices.protective_end
    if time >= 2:
        low &= ~case.operable_end
    if time == 3:
        high |= case.operable_end
    if time >= 1:
        cable = devices.underground[case.failed]
        idle = case.failed[~cable & ~case.feeder.lines.closed[case.failed]]
        high[idle] = False
    if time >= 2:
        buried = case.failed[devices.underground[case.failed]]
        high[buried] &= ~(case.substation[case.ends[buried]] & case.operable_end[buried])
    return low & high, high


def add_cascade(m: Program, case: Outage, states: StateColumns, available: IntArray) -> None:
    """Add the spread of failures, (8)-(11).

    ::

        a_i = a_j                          closed before, no protection, t = 1     (8)
        a_i + sw_l,t - 1 ≤ a_j  both ways  t = 1, 2, 3                             (9)
        a_i = 0                            ends of failed overhead lines           (10)
        a_i + sw_ij,t ≤ 1                  ends of failed cables                   (11)

    (10) is of lines closed before the event, and of the open ones too where the case says so.
    Corrections: (9) is printed with ``a_i`` on both sides; it is asked at t = 1 as well,
    where it says that the protection which stopped a failure has opened. (10) and (11) hold
    from t = 1; t = 0 is before the event. Substations withstand a failure of their own line.

    Parameters
    ----------
    available
        (time, bus) columns.
    """
    devices, ends = case.devices, case.ends
    spreads = case.feeder.lines.closed & ~devices.protective
    one, other = ends[spreads].T
    a = available[1]
    m.rows("(8)", (1.0, a[one]), (-1.0, a[other]), lower=0.0, upper=0.0)
    for time in (1, 2, 3):
        a, sw = available[time], states.closed[time]
        for i, j in (ends.T, ends.T[::-1]):
            m.rows("(9)", (1.0, a[i]), (1.0, sw), (-1.0, a[j]), upper=1.0)
    cable = devices.underground[case.failed]
    wires = case.failed[case.strikes[case.failed]]
    struck = np.setdiff1d(ends[wires], case.feeder.sources.bus)
    m.fix(available[1:, struck], 0.0)
    row = np.searchsorted(states.cables, case.failed[cable])
    for side in (0, 1):
        bus = ends[case.failed[cable], side]
        kept = ~case.substation[bus]
        for time in (1, 2, 3):
            sw = states.end_closed[time, row[kept], side]
            m.rows("(11)", (1.0, available[time, bus[kept]]), (1.0, sw), upper=1.0)


def add_switching(m: Program, case: Outage, states: StateColumns) -> IntArray:
    """Add ``w_l,t ≥ |sw_l,t - sw_l,t-1|`` with its cost in (2); (3, line) columns."""
    count = states.closed.shape[1]
    moved = []
    for time in (1, 2, 3):
        w = m.columns(count, cost=case.prices.switching)
        now, then = states.closed[time], states.closed[time - 1]
        m.rows("switching", (1.0, now), (-1.0, then), (-1.0, w), upper=0.0)
        m.rows("switching", (1.0, then), (-1.0, now), (-1.0, w), upper=0.0)
        moved.append(w)
    return np.stack(moved)
