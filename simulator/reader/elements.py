"""Lines and transformers of a compiled circuit as columns."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.feeder import Connection, Lines, Transformers
from numpy.typing import NDArray

__all__ = [
    "Reading",
    "active_admittance",
    "active_terminals",
    "elements_of",
    "lines_table",
    "pair_slot",
    "transformers_table",
]

_PAIRS = {frozenset((1, 2)): 0, frozenset((2, 3)): 1, frozenset((3, 1)): 2}


@dataclass(slots=True, kw_only=True, eq=False)
class Reading:
    """One file being read: the private circuit, positions of buses, faults so far."""

    context: Any
    where: str
    buses: dict[str, int]
    base_kv: FloatArray = field(default_factory=lambda: np.zeros(0))
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
    """Bus and nodes of every terminal of the active element."""
    buses = [str(name).split(".")[0].lower() for name in context.CktElement.BusNames()]
    nodes = [int(node) for node in context.CktElement.NodeOrder()]
    width = len(nodes) // max(1, len(buses))
    return [(bus, tuple(nodes[k * width : (k + 1) * width])) for k, bus in enumerate(buses)]


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
    for name in elements_of(context, "Lines"):
        ids.append(name)
        closed.append(_is_closed(reading, name))
        own_switch.append(bool(context.Lines.IsSwitch()) or name in controlled)
        ratings.append(float(context.Lines.NormAmps()))
        ends.append((reading.terminal(0)[0], *reading.terminal(1)))
    count = len(ids)
    r, x, b = (np.zeros((count, 3, 3)) for _ in range(3))
    phases = np.zeros((count, 3), bool)
    for _ in elements_of(context, "Lines"):  # an open line's primitive matrix has lost its far end
        context.CktElement.Close(1, 0)
        context.CktElement.Close(2, 0)
    context.Solution.BuildYMatrix(1, 1)
    for k, _ in enumerate(elements_of(context, "Lines")):
        place = np.array(ends[k][2]) - 1
        phases[k, place] = True
        impedance, susceptance = _series_and_shunt(active_admittance(context))
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


# -------------------------------------------------------------------------- transformers


@dataclass(frozen=True, slots=True, kw_only=True)
class _Winding:
    """One side as OpenDSS has it: bus, slots, connection, kV on the plate and in one turn."""

    bus: int
    slots: tuple[int, ...]
    nodes: tuple[int, ...]
    connection: Connection
    plate_kv: float
    pu: float  # voltage across a winding at its tap, on the bus's base for that connection


def transformers_table(reading: Reading) -> Transformers:
    """Read two-winding transformers and regulators at the taps the file's solve left."""
    context = reading.context
    regulated = {
        str(context.RegControls.Transformer()).lower() for _ in elements_of(context, "RegControls")
    }
    rows: list[dict[str, Any]] = []
    for name in elements_of(context, "Transformers"):
        one, other = _winding(reading, name, 1), _winding(reading, name, 2)
        if one is None or other is None:
            continue
        lagging = _vector_group(reading, name, one, other)
        resistance = 0.0
        for winding in (2, 1):
            context.Transformers.Wdg(winding)
            resistance += context.Transformers.R() / 100.0
        tapped = context.Transformers.Tap() ** 2  # OpenDSS: impedance is of the tapped winding
        wye = one if one.connection is Connection.WYE else other
        rows.append(
            {
                "ids": name,
                "from_bus": one.bus,
                "to_bus": other.bus,
                "windings": [slot in wye.slots for slot in range(3)],
                "from_connection": one.connection,
                "to_connection": other.connection,
                "from_kv": one.plate_kv,
                "to_kv": other.plate_kv,
                "ratio": one.pu / other.pu,
                "r_pu": resistance * tapped,
                "x_pu": context.Transformers.Xhl() / 100.0 * tapped,
                "rating_kva": context.Transformers.kVA(),
                "regulating": name in regulated,
                "lagging": lagging,
            }
        )
    columns: dict[str, Any] = {key: [row[key] for row in rows] for key in _TRANSFORMER_COLUMNS}
    for key in ("ids", "from_connection", "to_connection"):
        columns[key] = tuple(columns[key])
    columns["windings"] = np.array(columns["windings"], bool).reshape(len(rows), 3)
    return Transformers(**columns)


_TRANSFORMER_COLUMNS = (
    "ids", "from_bus", "to_bus", "windings", "from_connection", "to_connection", "from_kv",
    "to_kv", "ratio", "r_pu", "x_pu", "rating_kva", "regulating", "lagging",
)  # fmt: skip


def _winding(reading: Reading, name: str, number: int) -> _Winding | None:
    context = reading.context
    context.Transformers.Wdg(number)
    bus, nodes = reading.terminal(number - 1)
    count = int(context.CktElement.NumPhases())
    delta = bool(context.Transformers.IsDelta())
    live = tuple(node for node in nodes[:count] if 1 <= node <= 3)
    slots: tuple[int, ...] | None = None
    if count == 1:
        pair = pair_slot(nodes[0], nodes[1])
        if pair is not None:
            slots, delta = (pair,), True
        elif live and nodes[1] == 0:
            slots, delta = (live[0] - 1,), False
    elif delta:
        slots = (0, 1, 2) if live == (1, 2, 3) else None
    elif len(live) == count and nodes[count] == 0:
        slots = tuple(node - 1 for node in live)
    if slots is None:
        reading.fault(
            f"Transformer.{name}",
            f"winding {number} on nodes {nodes} cannot be held; phases a, b, c in order, a "
            "grounded neutral (node 0) and closed deltas can",
        )
        return None
    plate = float(context.Transformers.kV())
    across = plate / np.sqrt(3.0) if count > 1 and not delta else plate
    base = reading.base_kv[bus] * (np.sqrt(3.0) if delta else 1.0) or np.nan
    return _Winding(
        bus=bus,
        slots=slots,
        nodes=nodes,
        connection=Connection.DELTA if delta else Connection.WYE,
        plate_kv=plate,
        pu=across * float(context.Transformers.Tap()) / base,
    )


def _vector_group(reading: Reading, name: str, one: _Winding, other: _Winding) -> bool:
    """Whether a delta-wye unit pairs phase k with the delta's (k, k-1); fault if neither."""
    if one.connection == other.connection:
        turned = one.connection is Connection.DELTA and one.nodes != other.nodes
        if one.slots != other.slots or (turned and len(one.slots) == 1):
            reading.fault(
                f"Transformer.{name}",
                f"turns phases: nodes {one.nodes} to {other.nodes}; give both sides the same",
            )
        return False
    delta, wye = (one, other) if one.connection is Connection.DELTA else (other, one)
    if len(wye.slots) == 1:
        ahead, behind = wye.slots[0], (wye.slots[0] - 1) % 3
        if delta.slots[0] not in (ahead, behind):
            reading.fault(
                f"Transformer.{name}",
                f"pairs delta nodes {delta.nodes} with wye nodes {wye.nodes}; the wye's phase "
                "must be one of the pair",
            )
        return delta.slots[0] == behind
    Y = active_admittance(reading.context)
    width = len(Y) // 2
    first, second = (0, width) if delta is one else (width, 0)
    coupling = np.abs(Y[first : first + 3, second])  # delta nodes a, b, c to the wye's phase a
    return bool(coupling[2] > coupling[1])
