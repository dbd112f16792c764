"""What switch states mean after failures: which ends stand open, and where the damage reaches."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.arrays import BoolArray, IntArray
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.restoration import RestorationCase

__all__ = ["damaged_buses", "ends_that_may_move", "joined", "states_of_ends", "struck_buses"]


def ends_that_may_move(case: RestorationCase, time: int) -> tuple[BoolArray, BoolArray]:
    """(line, 2) ends that may open, and that may close, between the phase before and this one."""
    nobody = np.zeros((len(case.feeder.lines.ids), 2), bool)
    opens = {1: case.devices.protective_end, 2: case.operable_end, 3: case.operable_end}
    return opens.get(time, nobody), case.operable_end if time == 3 else nobody


def states_of_ends(case: RestorationCase, closed: BoolArray) -> BoolArray:
    """(time, line, 2) states of line ends from those of lines, (time, line).

    A closed line's ends are closed. An open line's are open wherever a switch could have been
    opened by then: a cable isolates at both terminals, and nothing is lost by that.
    """
    states = np.repeat(closed[:, :, None], 2, axis=2)
    then = np.repeat(case.feeder.lines.closed[:, None], 2, axis=1)
    for time in range(len(closed)):
        may_open, _ = ends_that_may_move(case, time)
        states[time] = np.where(closed[time][:, None], True, then & ~may_open)
        then = states[time]
    return states


def struck_buses(case: RestorationCase, end_closed: BoolArray) -> BoolArray:
    """(bus,) buses a failure takes down directly, (10)-(11), given the ends' states (line, 2).

    Both ends of an overhead line that was closed before the event; of a cable, each end whose
    switch is closed. A substation's own busbar withstands a failure of its line.
    """
    struck = np.zeros(len(case.feeder.buses.ids), bool)
    for k in case.failed.tolist():
        cable = case.devices.underground[k]
        for side in (0, 1):
            conducts = end_closed[k, side] if cable else case.feeder.lines.closed[k]
            struck[case.ends[k, side]] |= bool(conducts)
    return struck & ~case.substation


def damaged_buses(case: RestorationCase, struck: BoolArray, spreads: BoolArray) -> BoolArray:
    """(bus,) struck buses and all that lines with ``spreads`` (line,) join to them."""
    labels = joined(case, spreads)
    return np.isin(labels, labels[struck])


def joined(case: RestorationCase, kept: BoolArray) -> IntArray:
    """(bus,) label of the zone that the lines ``kept`` (line,) join each bus to."""
    ends = case.ends[kept]
    return connected_components(len(case.feeder.buses.ids), ends[:, 0], ends[:, 1])
