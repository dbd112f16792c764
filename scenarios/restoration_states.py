"""What switch states mean after failures: which ends stand open, and where the damage reaches."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.scenario import Scenario

__all__ = [
    "PhaseStates",
    "damaged_buses",
    "ends_that_may_move",
    "joined",
    "lines_that_spread",
    "states_of",
    "states_of_ends",
    "struck_buses",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhaseStates:
    """What stands at every phase, line by line and bus by bus.

    Attributes
    ----------
    closed
        (time, line) state of each line.
    end_closed
        (time, line, 2) state of each line end; an overhead line's two are its state.
    available
        (time, bus) true outside the damaged zone: ``a``.
    energized
        (time, bus) true where supplied: ``y``.
    forming
        (time, former) true where a DER of `Outage.forming` carries an island: ``y_dg``.
    served_kw
        (time, bus) load supplied.
    """

    closed: BoolArray
    end_closed: BoolArray
    available: BoolArray
    energized: BoolArray
    forming: BoolArray
    served_kw: FloatArray

    def __post_init__(self) -> None:
        shapes: dict[str, tuple[type, tuple[int, ...]]] = {
            "closed": (bool, (-1, -1)),
            "end_closed": (bool, (-1, -1, 2)),
            "available": (bool, (-1, -1)),
            "energized": (bool, (-1, -1)),
            "forming": (bool, (-1, -1)),
            "served_kw": (float, (-1, -1)),
        }
        for name, (kind, shape) in shapes.items():
            object.__setattr__(self, name, frozen(getattr(self, name), kind, shape))

    def supplied_share(self, case: Outage) -> FloatArray:
        """(time,) load supplied as a share of all load."""
        share: FloatArray = self.served_kw.sum(axis=1) / case.bus_demand()[0].sum()
        return share


def states_of(plan: Plan, scenario: Scenario) -> PhaseStates:
    """Read at every phase what a plan's switch states mean: line ends, damage, supply.

    The damaged zone is not the plan's to say: it is what a search over closed lines from the
    failures finds. An open line has every end open that could be opened by then.

    Raises
    ------
    ScenarioError
        If the scenario does not say how its lines are switched.
    """
    case = Outage.of(scenario)
    feeder, steps = case.feeder, len(plan.closed)
    closed = np.repeat(feeder.lines.closed[None], steps, axis=0)
    closed[:, feeder.switches] = plan.closed
    ends = states_of_ends(case, closed)
    available = np.ones((steps, len(feeder.buses.ids)), bool)
    for time in range(1, steps):
        struck = struck_buses(case, ends[time])
        available[time] = ~damaged_buses(case, struck, lines_that_spread(case, closed[time], time))
    energized = plan.energized[:, feeder.blocks.of_bus]
    served = np.zeros(energized.shape)
    demand = scenario.load_p_kw[0].sum(axis=1) * plan.share_of(feeder.loads.ids)
    np.add.at(served.T, feeder.loads.bus, demand.T)
    return PhaseStates(
        closed=closed,
        end_closed=ends,
        available=available,
        energized=energized,
        forming=plan.grid_forming[:, case.forming],
        served_kw=served * energized,
    )


def lines_that_spread(case: Outage, closed: BoolArray, time: int) -> BoolArray:
    """(line,) lines that carry damage on: closed ones, and at t = 1 what no protection opened."""
    if time != 1:
        return closed
    return np.asarray(closed | (case.feeder.lines.closed & ~case.devices.protective))


def ends_that_may_move(case: Outage, time: int) -> tuple[BoolArray, BoolArray]:
    """(line, 2) ends that may open, and that may close, between the phase before and this one."""
    nobody = np.zeros((len(case.feeder.lines.ids), 2), bool)
    opens = {1: case.devices.protective_end, 2: case.operable_end, 3: case.operable_end}
    return opens.get(time, nobody), case.operable_end if time == 3 else nobody


def states_of_ends(case: Outage, closed: BoolArray) -> BoolArray:
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


def struck_buses(case: Outage, end_closed: BoolArray) -> BoolArray:
    """(bus,) buses a failure takes down directly, (10)-(11), given the ends' states (line, 2).

    Both ends of an overhead line that `Outage.strikes` names; of a cable, each end whose
    switch is closed. A substation's own busbar withstands a failure of its line.
    """
    struck = np.zeros(len(case.feeder.buses.ids), bool)
    for k in case.failed.tolist():
        cable = case.devices.underground[k]
        for side in (0, 1):
            conducts = end_closed[k, side] if cable else case.strikes[k]
            struck[case.ends[k, side]] |= bool(conducts)
    return struck & ~case.substation


def damaged_buses(case: Outage, struck: BoolArray, spreads: BoolArray) -> BoolArray:
    """(bus,) struck buses and all that lines with ``spreads`` (line,) join to them."""
    labels = joined(case, spreads)
    return np.isin(labels, labels[struck])


def joined(case: Outage, kept: BoolArray) -> IntArray:
    """(bus,) label of the zone that the lines ``kept`` (line,) join each bus to."""
    ends = case.ends[kept]
    return connected_components(len(case.feeder.buses.ids), ends[:, 0], ends[:, 1])
