"""What is live under a plan: a graph search of our own over closed conductors, per phase."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, IntArray, frozen
from gridproof.scenarios.feeder import Connection, Feeder
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario

__all__ = ["Islands", "conducting", "live_components", "live_phases"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Islands:
    """The live parts of a feeder at one step of a plan.

    Attributes
    ----------
    closed
        (line,) state of every line, switches as the plan has them.
    of_bus
        (bus,) island of each bus, numbered by first bus; -1 where the bus is dead.
    live
        (bus, 3) phases that a grid-forming DER reaches.
    formers
        (island,) positions of the grid-forming DERs in each island.
    """

    closed: BoolArray
    of_bus: IntArray
    live: BoolArray
    formers: tuple[tuple[int, ...], ...]

    def __post_init__(self) -> None:
        object.__setattr__(self, "closed", frozen(self.closed, bool))
        object.__setattr__(self, "of_bus", frozen(self.of_bus, np.int64))
        object.__setattr__(self, "live", frozen(self.live, bool, (-1, 3)))


def live_components(scenario: Scenario, plan: Plan, time: int = 0) -> Islands:
    """Find what the plan's grid-forming DERs reach over closed conductors.

    Parameters
    ----------
    scenario
        Supplies the feeder and where the DERs stand.
    plan
        Switch states and roles; ``energized`` is not read, what is live is found out.
    time
        The step.
    """
    feeder, ders = scenario.feeder, scenario.ders
    closed = feeder.lines.closed.copy()
    closed[feeder.switches] = plan.closed[time]
    forming = np.flatnonzero(plan.grid_forming[time])
    seeds = np.zeros((len(feeder.buses.ids), 3), bool)
    for der in forming:
        seeds[ders.bus[der]] |= ders.phases[der]
    live = live_phases(feeder, closed, seeds)
    label = _components(feeder, closed)
    alive = np.asarray(live.any(axis=1))
    numbers = {int(old): new for new, old in enumerate(dict.fromkeys(label[alive].tolist()))}
    of_bus = np.array([numbers[int(n)] if up else -1 for n, up in zip(label, alive, strict=True)])
    return Islands(
        closed=closed,
        of_bus=of_bus,
        live=live,
        formers=tuple(
            tuple(int(der) for der in forming if of_bus[ders.bus[der]] == island)
            for island in range(len(numbers))
        ),
    )


def conducting(feeder: Feeder, islands: Islands) -> BoolArray:
    """(line,) closed lines of live parts.

    A dead part of lines without shunts, joined to nothing, makes an admittance matrix singular
    and spoils the solution of what is live; its lines are as good as open.
    """
    live, lines = np.asarray(islands.live.any(axis=1)), feeder.lines
    return np.asarray(islands.closed & (live[lines.from_bus] | live[lines.to_bus]))


def live_phases(feeder: Feeder, closed: BoolArray, seeds: BoolArray) -> BoolArray:
    """(bus, 3) phases reached from ``seeds`` (bus, 3) over lines that are ``closed`` (line,).

    A transformer winding carries life across when every phase it stands on is live on one
    side: two phases for a delta winding, one for a wye winding.
    """
    live: list[list[bool]] = (seeds & feeder.buses.phases).tolist()
    couplings = [*_line_couplings(feeder, closed), *_winding_couplings(feeder)]
    touching: dict[tuple[int, int], list[int]] = {}
    for k, (one, other) in enumerate(couplings):
        for node in (*one, *other):
            touching.setdefault(node, []).append(k)
    front = [(bus, phase) for bus, row in enumerate(live) for phase in range(3) if row[phase]]
    while front:
        for k in touching.get(front.pop(), ()):
            one, other = couplings[k]
            for here, there in ((one, other), (other, one)):
                if all(live[bus][phase] for bus, phase in here):
                    fresh = [(bus, phase) for bus, phase in there if not live[bus][phase]]
                    for bus, phase in fresh:
                        live[bus][phase] = True
                    front += fresh
    return np.array(live, bool).reshape(-1, 3)


_Nodes = tuple[tuple[int, int], ...]


def _line_couplings(feeder: Feeder, closed: BoolArray) -> Iterable[tuple[_Nodes, _Nodes]]:
    lines = feeder.lines
    for k in np.flatnonzero(closed):
        i, j = int(lines.from_bus[k]), int(lines.to_bus[k])
        for phase in np.flatnonzero(lines.phases[k]).tolist():
            yield ((i, phase),), ((j, phase),)


def _winding_couplings(feeder: Feeder) -> Iterable[tuple[_Nodes, _Nodes]]:
    units = feeder.transformers
    for k in range(len(units.ids)):
        ends = (
            (int(units.from_bus[k]), units.from_connection[k]),
            (int(units.to_bus[k]), units.to_connection[k]),
        )
        if units.primary[k] >= 0:
            near = int(units.primary[k])
            feeding: _Nodes = ((ends[0][0], near), (ends[0][0], (near + 1) % 3))
            feeding = feeding[: 1 if units.from_connection[k] is Connection.WYE else 2]
            for leg in np.flatnonzero(units.windings[k]).tolist():
                yield feeding, ((ends[1][0], leg),)
            continue
        mixed = units.from_connection[k] is not units.to_connection[k]
        back = -1 if mixed and units.lagging[k] else 1
        for slot in np.flatnonzero(units.windings[k]).tolist():
            one, other = (
                ((bus, slot),)
                if connection is Connection.WYE
                else ((bus, slot), (bus, (slot + back) % 3))
                for bus, connection in ends
            )
            yield one, other


def _components(feeder: Feeder, closed: BoolArray) -> IntArray:
    lines, units = feeder.lines, feeder.transformers
    return connected_components(
        len(feeder.buses.ids),
        np.concatenate([lines.from_bus[closed], units.from_bus]),
        np.concatenate([lines.to_bus[closed], units.to_bus]),
    )
