"""The machines that a feeder file holds: what a study's DERs may be proposed from."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridproof.simulator.opendss.compiling import compile_feeder
from gridproof.simulator.opendss.contexts import borrow, give_back
from gridproof.simulator.opendss.engine_thread import on_engine_thread
from gridproof.simulator.opendss.mending import DERS

__all__ = ["Machine", "machines_of"]

_ACTIVE = {"generator": "kw", "pvsystem": "pmpp", "storage": "kwrated", "indmach012": "kw"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Machine:
    """A generator, PV system, storage or induction machine of a feeder file.

    Attributes
    ----------
    kind
        OpenDSS's class, in lower case.
    phases
        Letters of the phases it stands on; empty where it stands on none that a feeder has.
    capacity_kw
        Largest active power.
    rating_kva
        Apparent power; at least ``capacity_kw``.
    energy_kwh
        Of a storage; 0 otherwise.
    """

    name: str
    kind: str
    bus: str
    phases: str
    capacity_kw: float
    rating_kva: float
    energy_kwh: float


@on_engine_thread
def machines_of(path: Path) -> tuple[Machine, ...]:
    """Read the machines of a file that can be read as a feeder, in the file's order."""
    context = borrow()
    try:
        compile_feeder(context, path, machines=True)
        elements = context.to_dss_python().ActiveCircuit.CktElements
        found = []
        for k, name in enumerate(context.Circuit.AllElementNames()):
            if str(name).lower().startswith(tuple(f"{kind}." for kind in DERS)):
                element = elements(k)
                if element.Enabled:
                    found.append(_machine(element))
        return tuple(found)
    finally:
        give_back(context)


def _machine(element: Any) -> Machine:
    kind, name = str(element.Name).lower().split(".", 1)
    bus = str(element.BusNames[0]).split(".")[0].lower()
    nodes = [int(node) for node in element.NodeOrder]
    letters = "".join("abc"[node - 1] for node in (1, 2, 3) if node in nodes)
    capacity, kva = _number(element, _ACTIVE[kind]), _number(element, "kva")
    if kind == "pvsystem" and kva > 0.0:
        capacity = min(capacity, kva)  # panels may be larger than their inverter
    return Machine(
        name=name,
        kind=kind,
        bus=bus,
        phases=letters,
        capacity_kw=capacity,
        rating_kva=max(capacity, kva),
        energy_kwh=_number(element, "kwhrated") if kind == "storage" else 0.0,
    )


def _number(element: Any, key: str) -> float:
    names = [str(name).lower() for name in element.AllPropertyNames]
    if key not in names:
        return 0.0
    try:
        return float(element.Properties(key).Val)
    except ValueError:
        return 0.0
