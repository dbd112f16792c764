"""Transformers of a compiled circuit as columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from gridproof.scenarios.feeder import Connection, Transformers
from gridproof.simulator.reader.elements import (
    Reading,
    active_admittance,
    elements_of,
    pair_slot,
)
from gridproof.simulator.reader.services import is_service, service_row

__all__ = ["transformers_table"]


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
        if is_service(reading):
            row = service_row(reading, name)
            rows += [] if row is None else [row]
            continue
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
                "ratio": one.pu / other.pu * _direction(one, other),
                "r_pu": resistance * tapped,
                "x_pu": context.Transformers.Xhl() / 100.0 * tapped,
                "rating_kva": context.Transformers.kVA(),
                "regulating": name in regulated,
                "lagging": lagging,
            }
        )
    columns: dict[str, Any] = {
        key: [row.get(key, _ABSENT.get(key)) for row in rows] for key in _TRANSFORMER_COLUMNS
    }
    for key in ("ids", "from_connection", "to_connection"):
        columns[key] = tuple(columns[key])
    columns["windings"] = np.array(columns["windings"], bool).reshape(len(rows), 3)
    for key, value in _ABSENT.items():
        columns[key] = np.array(columns[key], type(value))
    return Transformers(**columns)


_TRANSFORMER_COLUMNS = (
    "ids", "from_bus", "to_bus", "windings", "from_connection", "to_connection", "from_kv",
    "to_kv", "ratio", "r_pu", "x_pu", "rating_kva", "regulating", "lagging", "primary",
    "r_shared_pu", "x_shared_pu",
)  # fmt: skip
_ABSENT: dict[str, Any] = {"primary": -1, "r_shared_pu": 0.0, "x_shared_pu": 0.0}


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
    if delta and reading.turned[bus]:
        reading.fault(
            f"Transformer.{name}",
            f"closes a delta at bus {list(reading.buses)[bus]}, whose legs a service feeds; a "
            "four-wire delta cannot be held",
        )
        return None
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


def _direction(one: _Winding, other: _Winding) -> float:
    """-1 where a single winding between two phases runs against its wye's phase."""
    if one.connection == other.connection or len(one.slots) > 1:
        return 1.0
    delta, wye = (one, other) if one.connection is Connection.DELTA else (other, one)
    return 1.0 if delta.nodes[0] == wye.nodes[0] else -1.0


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
