"""Lines of a compiled circuit as columns, and what every table is read with.

A reactor or a capacitor between like phases of two buses is a line, ``reactor.NAME`` or
``capacitor.NAME``.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.feeder import Lines
from gridproof.simulator.reader.ratings import unrated_elements
from numpy.typing import NDArray

__all__ = [
    "Reading",
    "active_admittance",
    "active_terminals",
    "elements_of",
    "in_series",
    "lines_table",
    "pair_slot",
]

_PAIRS = {frozenset((1, 2)): 0, frozenset((2, 3)): 1, frozenset((3, 1)): 2}


@dataclass(slots=True, kw_only=True, eq=False)
class Reading:
    """One file being read: the private circuit, positions of buses, faults so far."""

    context: Any
    where: str
    buses: dict[str, int]
    base_kv: FloatArray = field(default_factory=lambda: np.zeros(0))
    pair_base: FloatArray = field(default_factory=lambda: np.zeros((0, 3)))
    turned: BoolArray = field(default_factory=lambda: np.zeros(0, bool))
    faults: list[str] = field(default_factory=list)

    def fault(self, owner: str, message: str) -> None:
        """Note a fault; reading goes on."""
        self.faults.append(f"{self.where}: {owner}: {message}")

    def terminal(self, side: int) -> tuple[int, tuple[int, ...]]:
        """Bus position and nodes of one terminal of the active element."""
        bus, nodes = active_terminals(self.context)[side]
        return self.buses[bus], nodes


def elements_of(context: Any, family: str) -> Iterator[str]:
    """Make each enabled element of a class active in turn; yield its lower-case name."""
    table = getattr(context, family)
    place = table.First()
    while place:
        yield str(table.Name()).lower()
        place = table.Next()


def active_terminals(context: Any) -> list[tuple[str, tuple[int, ...]]]:
    """Bus and nodes of every terminal of the active element; a neutral counts as earth, 0."""
    buses = [str(name).split(".")[0].lower() for name in context.CktElement.BusNames()]
    nodes = [int(node) if int(node) <= 3 else 0 for node in context.CktElement.NodeOrder()]
    width = len(nodes) // max(1, len(buses))
    return [(bus, tuple(nodes[k * width : (k + 1) * width])) for k, bus in enumerate(buses)]


def in_series(context: Any) -> bool:
    """Whether the active reactor or capacitor joins like phases of two buses, as a line does."""
    ends = active_terminals(context)
    like = len(ends) == 2 and ends[0][0] != ends[1][0] and ends[0][1] == ends[1][1]
    return like and any(ends[0][1])


def pair_slot(one: int, other: int) -> int | None:
    """Slot of the pair of nodes, or None if they are no pair of phases."""
    return _PAIRS.get(frozenset((one, other)))


def active_admittance(context: Any) -> NDArray[np.complex128]:
    """(conductor, conductor) primitive admittance matrix of the active element, siemens."""
    flat = np.asarray(context.CktElement.YPrim(), float)
    size = round(np.sqrt(len(flat) / 2))
    return (flat[::2] + 1j * flat[1::2]).reshape(size, size)


# --------------------------------------------------------------------------------- lines


def lines_table(reading: Reading, switches: Sequence[str] | None) -> Lines:
    """Read every line, from its primitive admittance, which has units and codes resolved."""
    context = reading.context
    controlled = {
        str(context.SwtControls.SwitchedObj()).lower().removeprefix("line.")
        for _ in elements_of(context, "SwtControls")
    }
    ids, closed, own_switch, ratings, ends = [], [], [], [], []
    unrated = unrated_elements(context)
    for family, name in _series_elements(context):
        ids.append(name)
        closed.append(_is_closed(reading, name))
        line = family == "Lines"
        own_switch.append(line and (bool(context.Lines.IsSwitch()) or name in controlled))
        ratings.append(np.inf if name in unrated else float(context.CktElement.NormalAmps()))
        ends.append((reading.terminal(0)[0], *reading.terminal(1)))
    count = len(ids)
    r, x, b = (np.zeros((count, 3, 3)) for _ in range(3))
    phases = np.zeros((count, 3), bool)
    for _ in _series_elements(context):  # an open line's primitive matrix has lost its far end
        context.CktElement.Close(1, 0)
        context.CktElement.Close(2, 0)
    context.Solution.BuildYMatrix(1, 1)
    for k, _ in enumerate(_series_elements(context)):
        place, admittance = _without_neutrals(np.array(ends[k][2]), active_admittance(context))
        place, admittance = _folded(place - 1, admittance)
        phases[k, place] = True
        impedance, susceptance = _series_and_shunt(admittance)
        here = (k, place[:, None], place[None, :])
        r[here], x[here], b[here] = impedance.real, impedance.imag, susceptance
    return Lines(
        ids=tuple(ids),
        from_bus=np.array([end[0] for end in ends], np.int64),
        to_bus=np.array([end[1] for end in ends], np.int64),
        phases=phases,
        r_ohm=r,
        x_ohm=x,
        b_siemens=b,
        rating_a=np.array(ratings),
        switchable=_switchable(reading, ids, own_switch, switches),
        closed=np.array(closed, bool),
    )


def _series_elements(context: Any) -> Iterator[tuple[str, str]]:
    """Make each line, and each reactor and capacitor in series, active; yield class and id."""
    for name in elements_of(context, "Lines"):
        yield "Lines", name
    for family in ("Reactors", "Capacitors"):
        for name in elements_of(context, family):
            if in_series(context):
                yield family, f"{family.lower()[:-1]}.{name}"


def _is_closed(reading: Reading, name: str) -> bool:
    element = reading.context.CktElement
    width = len(reading.terminal(0)[1])
    conductors = [
        [not element.IsOpen(side, phase + 1) for side in (1, 2)] for phase in range(width)
    ]
    states = {all(conductor) for conductor in conductors}
    if len(states) > 1:
        reading.fault(f"Line.{name}", "is open in some phases only; open or close all of them")
    return states == {True}


def _without_neutrals(
    nodes: NDArray[Any], Y: NDArray[np.complex128]
) -> tuple[NDArray[Any], NDArray[np.complex128]]:
    """Leave out conductors at earth at both ends: Kron's reduction, of an admittance matrix."""
    own = np.flatnonzero(nodes)
    if len(own) == len(nodes):
        return nodes, Y
    both = np.concatenate([own, own + len(nodes)])
    return nodes[own], Y[np.ix_(both, both)]


def _folded(
    place: NDArray[Any], Y: NDArray[np.complex128]
) -> tuple[NDArray[Any], NDArray[np.complex128]]:
    """Join conductors that end on one node: a line code of more phases than its line has nodes."""
    own = np.array(list(dict.fromkeys(place.tolist())), np.int64)
    if len(own) == len(place):
        return place, Y
    one = (place[:, None] == own[None, :]).astype(float)
    both = np.kron(np.eye(2), one)
    return own, both.T @ Y @ both


def _series_and_shunt(Y: NDArray[np.complex128]) -> tuple[NDArray[Any], NDArray[Any]]:
    """Split a line's primitive admittance into series impedance and total shunt susceptance."""
    half = len(Y) // 2
    series = -(Y[:half, half:] + Y[half:, :half]) / 2.0
    impedance = np.linalg.inv(series)
    shunt = (Y[:half, :half] - series).imag + (Y[half:, half:] - series).imag
    rounding = 1e-13 * np.abs(series).max()  # the difference of two large equal numbers
    return impedance, np.where(np.abs(shunt) > rounding, shunt, 0.0)


def _switchable(
    reading: Reading, ids: Sequence[str], own: Sequence[bool], asked: Sequence[str] | None
) -> NDArray[np.bool_]:
    if asked is None:
        return np.array(own, bool)
    wanted = {name.lower().removeprefix("line.") for name in asked}
    for name in sorted(wanted - set(ids)):
        reading.fault(
            f"switch {name}", f"is no line of the circuit; its lines are {', '.join(ids)}"
        )
    return np.array([name in wanted for name in ids], bool)
