"""Voltage bases that a file leaves out or that OpenDSS guessed wrong, from rated voltages.

``CalcVoltageBases`` takes of the file's list what lies nearest to its own solution without load: of
a list that lacks a level, or of a floating winding, that is another level's. Where everything that
stands on the buses that lines join says one voltage (windings, sources, loads, capacitors), and
all these buses have one base that does not fit it, or none, the base is what was said. Where the
ratings disagree among themselves, or some bases fit, nothing is changed, and reading refuses them.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.graph import connected_components

__all__ = ["SHUNTS", "SOURCES", "WINDINGS", "mend_bases"]

WINDINGS, SOURCES = (0.5, 2.0), (0.7, 1.4)
SHUNTS = (0.74, 1.8)
"""Rated voltage by the bus's base. The engine keeps a load's model between 0.5 and 1.5 of its
rated voltage, so at 0.9 to 1.1 of base a load outside this band is served another power than
it asks for."""

_ALIKE = 1e-3  # by which bases of one part may differ, as a share


@dataclass(frozen=True, slots=True)
class _Rated:
    bus: int
    kv: float  # to neutral
    band: tuple[float, float]


def mend_bases(context: Any) -> None:
    """Set the base of every part of a solved circuit whose ratings all speak against it."""
    if not int(context.Basic.NumCircuits()):
        return
    names = [str(name).lower() for name in context.Circuit.AllBusNames()]
    place = {name: k for k, name in enumerate(names)}
    base = np.zeros(len(names))
    for k, name in enumerate(names):
        context.Circuit.SetActiveBus(name)
        base[k] = context.Bus.kVBase()
    strong = [*_windings(context, place), *_sources(context, place)]
    if (base > 0.0).all() and all(_fits(one, base[one.bus]) for one in strong):
        return
    ends = np.array(list(_joined(context, place)), np.int64).reshape(-1, 2).T
    part = connected_components(len(names), *ends)
    rated = [*strong, *_shunts(context, place)]
    for number in np.unique(part).tolist():
        inside = np.flatnonzero(part == number)
        found = _told(base[inside], [one for one in rated if part[one.bus] == number])
        if found:
            for k in inside.tolist():
                if '"' not in names[k]:
                    context.Text.Command(f'SetkVBase Bus="{names[k]}" kVLN={found:.12g}')


def _told(base: FloatArray, rated: list[_Rated]) -> float | None:
    """Return the base that all ratings of one part speak for and its buses have not, or None."""
    own = base[base > 0.0]
    if not rated or (len(own) and np.ptp(own) > _ALIKE * own.max()):
        return None
    value = rated[0].kv
    if (len(own) == len(base) and _fits(rated[0], own[0])) or not value > 0.0:
        return None
    return value if all(_fits(one, value) for one in rated) else None


def _fits(one: _Rated, base: float) -> bool:
    return bool(base > 0.0 and one.band[0] <= one.kv / base <= one.band[1])


def _windings(context: Any, place: dict[str, int]) -> Iterator[_Rated]:
    units, number = context.Transformers, context.Transformers.First()
    while number:
        for side, (bus, nodes) in enumerate(_ends(context)):
            units.Wdg(side + 1)
            yield _rated(context, place[bus], nodes, units, WINDINGS)
        number = units.Next()


def _sources(context: Any, place: dict[str, int]) -> Iterator[_Rated]:
    number = context.Vsources.First()
    while number:
        bus, _ = _ends(context)[0]
        three = int(context.CktElement.NumPhases()) > 1
        kv = float(context.Vsources.BasekV()) / (np.sqrt(3.0) if three else 1.0)
        yield _Rated(place[bus], kv, SOURCES)
        number = context.Vsources.Next()


def _shunts(context: Any, place: dict[str, int]) -> Iterator[_Rated]:
    for table in (context.Loads, context.Capacitors):
        number = table.First()
        while number:
            ends = _ends(context)
            if table is context.Loads or len(ends) < 2 or ends[0][0] == ends[1][0]:
                yield _rated(context, place[ends[0][0]], ends[0][1], table, SHUNTS)
            number = table.Next()


def _rated(
    context: Any, bus: int, nodes: tuple[int, ...], table: Any, band: tuple[float, float]
) -> _Rated:
    """Rated voltage to neutral: of one phase it is that, unless it stands between two."""
    between = len(nodes) > 1 and nodes[0] > 0 and nodes[1] > 0
    whole = int(context.CktElement.NumPhases()) > 1 or between
    return _Rated(bus, float(table.kV()) / (np.sqrt(3.0) if whole else 1.0), band)


def _joined(context: Any, place: dict[str, int]) -> Iterator[tuple[int, int]]:
    """Yield ends of lines, and of reactors and capacitors in series, open or not."""
    for table in (context.Lines, context.Reactors, context.Capacitors):
        number = table.First()
        while number:
            ends = [bus for bus, nodes in _ends(context) if any(nodes)]
            if len(ends) == 2:
                yield place[ends[0]], place[ends[1]]
            number = table.Next()


def _ends(context: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Bus and nodes of every terminal of the active element."""
    buses = [str(name).split(".")[0].lower() for name in context.CktElement.BusNames()]
    nodes = [int(node) if int(node) <= 3 else 0 for node in context.CktElement.NodeOrder()]
    width = len(nodes) // max(1, len(buses))  # a neutral counts as earth
    return [(bus, tuple(nodes[k * width : (k + 1) * width])) for k, bus in enumerate(buses)]
