"""Service transformers as columns: one winding on a phase, one or two legs at the other end.

A centre-tapped unit is a T of three impedances whose two legs share the primary's:
``z_shared`` is the primary's own, and each leg's row has ``z_shared + z_leg``. With its legs
counted outward from the grounded centre, the second stands against the first, which the bus's
phasors say (`slot_angles`).
"""

from __future__ import annotations

from typing import Any

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.feeder import Connection
from gridproof.scenarios.lindist import PHASOR
from gridproof.simulator.reader.elements import Reading, active_terminals, elements_of, pair_slot

__all__ = ["is_service", "service_row", "slot_angles"]

_EVEN = 1e-6  # by which two legs may differ, as a share


def is_service(reading: Reading) -> bool:
    """Whether the active transformer brings one phase to legs, or to another phase's slot."""
    units, nodes = reading.context.Transformers, [n for _, n in active_terminals(reading.context)]
    if int(reading.context.CktElement.NumPhases()) != 1:
        return False
    if int(units.NumWindings()) == 3:
        return True
    near, far = (_place(pair) for pair in nodes[:2])
    if near is None or far is None:
        return False
    turned = near[0] != far[0] or near[2] != far[2]
    return near[1] is far[1] is Connection.WYE and turned


def _place(nodes: tuple[int, ...]) -> tuple[int, Connection, float] | None:
    """Slot, connection and direction of a winding on two nodes."""
    first, second = nodes[:2]
    pair = pair_slot(first, second)
    if pair is not None:
        return pair, Connection.DELTA, 1.0 if second == first % 3 + 1 else -1.0
    if second == 0 and 1 <= first <= 3:
        return first - 1, Connection.WYE, 1.0
    if first == 0 and 1 <= second <= 3:
        return second - 1, Connection.WYE, -1.0
    return None


def service_row(reading: Reading, name: str) -> dict[str, Any] | None:
    """Row of the active service transformer; a fault, and None, if it cannot be held."""
    units = reading.context.Transformers
    plate = [_plate(reading, number) for number in range(1, int(units.NumWindings()) + 1)]
    near, *legs = plate
    wrong = _wrong(reading, plate)
    if wrong:
        reading.fault(f"Transformer.{name}", wrong)
        return None
    units.Wdg(1)
    r = [one["r"] for one in plate]
    if len(legs) == 1:
        own, shared = complex(r[0] + r[1], units.Xhl() / 100.0), 0j
    else:
        hl, ht, lt = units.Xhl() / 100.0, units.Xht() / 100.0, units.Xlt() / 100.0
        shared = complex(r[0], (hl + ht - lt) / 2.0)
        own = shared + complex(r[1], (hl + lt - ht) / 2.0)
    base = reading.base_kv
    wye = near["place"][1] is Connection.WYE
    across = near["kv"] * near["tap"] / (base[near["bus"]] * (1.0 if wye else np.sqrt(3.0)))
    held = [leg["place"][0] for leg in legs]
    tapped = near["tap"] ** 2
    return {
        "ids": name,
        "from_bus": near["bus"],
        "to_bus": legs[0]["bus"],
        "windings": [slot in held for slot in range(3)],
        "from_connection": near["place"][1],
        "to_connection": Connection.WYE,
        "from_kv": near["kv"],
        "to_kv": legs[0]["kv"],
        "ratio": across / (legs[0]["kv"] * legs[0]["tap"] / base[legs[0]["bus"]]),
        "r_pu": own.real * tapped,
        "x_pu": own.imag * tapped,
        "rating_kva": near["kva"],
        "regulating": False,
        "lagging": False,
        "primary": near["place"][0],
        "r_shared_pu": shared.real * tapped,
        "x_shared_pu": shared.imag * tapped,
    }


def _plate(reading: Reading, number: int) -> dict[str, Any]:
    units = reading.context.Transformers
    units.Wdg(number)
    bus, nodes = reading.terminal(number - 1)
    return {
        "bus": bus,
        "nodes": nodes,
        "place": _place(nodes),
        "kv": float(units.kV()),
        "tap": float(units.Tap()),
        "kva": float(units.kVA()),
        "r": float(units.R()) / 100.0,
    }


def _wrong(reading: Reading, plate: list[dict[str, Any]]) -> str:
    units = reading.context.Transformers
    legs = plate[1:]
    if any(one["place"] is None for one in plate) or any(
        leg["place"][1] is Connection.DELTA for leg in legs
    ):
        shown = ", ".join(str(one["nodes"]) for one in plate)
        return (
            f"windings on nodes {shown} cannot be held; one on a phase or between two, the others "
            "on a node and earth, can"
        )
    if len(legs) == 1:
        return ""
    first, second = legs
    if first["bus"] != second["bus"] or first["place"][0] == second["place"][0]:
        return "its legs must stand on two nodes of one bus"
    units.Wdg(1)
    unlike = [abs(units.Xhl() / units.Xht() - 1.0)]
    unlike += [abs(first[key] - second[key]) / max(first[key], 1e-12) for key in ("kv", "r", "tap")]
    return "its two legs differ; give them one kV, %R and Xhl = Xht" if max(unlike) > _EVEN else ""


def slot_angles(reading: Reading) -> FloatArray:
    """(bus, 3) nominal angles of slots, rad, followed from the service transformers over lines."""
    context, told = reading.context, _at_legs(reading)
    beside: dict[tuple[int, int], list[tuple[int, int]]] = {}
    for _ in elements_of(context, "Lines") if told else ():
        (one, nodes), (other, _) = (reading.terminal(side) for side in (0, 1))
        for node in nodes:
            beside.setdefault((one, node - 1), []).append((other, node - 1))
            beside.setdefault((other, node - 1), []).append((one, node - 1))
    front = list(told)
    while front:
        here = front.pop()
        for there in beside.get(here, ()):
            if there not in told:
                told[there] = told[here]
                front.append(there)
    found = np.tile(-2.0 * np.pi / 3.0 * np.arange(3), (len(reading.buses), 1))
    for (bus, slot), value in told.items():
        if slot < 3 and abs(value - PHASOR[slot]) > 1e-9:
            found[bus, slot] = np.angle(value)
    return found


def _at_legs(reading: Reading) -> dict[tuple[int, int], complex]:
    """Nominal voltages of the nodes (counted from 0) that service transformers feed."""
    context, told = reading.context, dict[tuple[int, int], complex]()
    for _ in elements_of(context, "Transformers"):
        if not is_service(reading):
            continue
        places = [
            (reading.buses[bus], place)
            for bus, nodes in active_terminals(context)
            if (place := _place(nodes)) is not None
        ]
        if len(places) < len(active_terminals(context)):
            continue  # a fault of its own
        slot, connection, sign = places[0][1]
        own = told.get((places[0][0], slot), PHASOR[slot]) * sign
        if connection is Connection.DELTA:
            own = (PHASOR[slot] - PHASOR[(slot + 1) % 3]) / np.sqrt(3.0) * sign
        for bus, (leg, _, direction) in places[1:]:
            told[bus, leg] = own * direction
    return told
