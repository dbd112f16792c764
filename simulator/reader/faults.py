"""What is wrong with a compiled circuit, told from properties alone, before any matrix."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from typing import Any

import numpy as np
from gridproof.simulator.opendss.mending import PASSED_OVER
from gridproof.simulator.opendss.stars import is_star_part
from gridproof.simulator.reader.elements import active_terminals, elements_of, in_series
from gridproof.simulator.reader.ratings import unrated_elements

__all__ = ["raw_faults"]

_READ = {"line", "transformer", "load", "capacitor", "reactor", "vsource"}
_PASSED_OVER = {
    "regcontrol", "capcontrol", "swtcontrol", "energymeter", "monitor", "sensor",
    "fuse", "relay", "recloser",
    *PASSED_OVER,  # disabled, but where OpenDSS refused the file before
}  # fmt: skip


def raw_faults(context: Any, where: str) -> list[str]:
    """Every fault that element properties show; empty also if no circuit was made."""
    if not _has_circuit(context):
        return []
    found = [
        *_unknown_elements(context),
        *_duplicates(context),
        *_line_faults(context),
        *_transformer_faults(context),
        *_shunt_faults(context),
        *_unfed(context),
    ]
    if not context.Circuit.AllElementNames():
        found.append("the circuit is empty")
    multiplier = float(context.Solution.LoadMult())
    if multiplier != 1.0:
        found.append(
            f"Set LoadMult = {multiplier:g} must be 1; scale the loads' own kW and kvar instead"
        )
    return [f"{where}: {fault}" for fault in found]


def _has_circuit(context: Any) -> bool:
    return int(context.Basic.NumCircuits()) > 0


def _enabled(context: Any) -> Iterator[str]:
    elements = context.to_dss_python().ActiveCircuit.CktElements
    for k in range(int(context.Circuit.NumCktElements())):  # by number: names may occur twice
        element = elements(k)
        if element.Enabled:
            yield str(element.Name)


def _unknown_elements(context: Any) -> Iterator[str]:
    for name in _enabled(context):
        kind = name.split(".")[0].lower()
        if kind in _READ or kind in _PASSED_OVER:
            continue
        yield (
            f"{name} is an element the feeder's columns cannot hold; replace it by lines, "
            "transformers, loads, reactors or capacitors, or disable it"
        )


def _duplicates(context: Any) -> Iterator[str]:
    counts = Counter(name.lower() for name in _enabled(context))
    for name, count in counts.items():
        if count > 1:
            yield f"{name} is defined {count} times; give each element a name of its own"


def _not_positive(owner: str, field: str, value: float, meaning: str) -> Iterator[str]:
    if not (np.isfinite(value) and value > 0.0):
        yield f"{owner}: {field} = {value:g} must be a positive number; it is {meaning}"


def _not_finite(owner: str, field: str, value: float, meaning: str) -> Iterator[str]:
    if not np.isfinite(value):
        yield f"{owner}: {field} = {value:g} must be a number; it is {meaning}"


def _line_faults(context: Any) -> Iterator[str]:
    lines, unrated = context.Lines, unrated_elements(context)
    for name in elements_of(context, "Lines"):
        owner = f"Line.{name}"
        if name not in unrated:
            yield from _not_positive(owner, "normamps", lines.NormAmps(), "its rating in ampere")
        if not lines.Geometry() and not lines.Spacing():
            yield from _not_positive(owner, "length", lines.Length(), "in the line's own units")
        yield from _impedance_faults(owner, lines.RMatrix(), lines.XMatrix())
        ends = active_terminals(context)
        if len(ends) != 2 or ends[0][1] != ends[1][1] or not any(ends[0][1]):
            shown = " and ".join(str(name).lower() for name in context.CktElement.BusNames())
            yield f"{owner}: joins {shown}; both ends must be the same phases in the same order"


def _impedance_faults(owner: str, r: Any, x: Any) -> Iterator[str]:
    size = round(np.sqrt(np.size(r)))
    if size == 0 or np.size(x) != np.size(r):
        return
    R, X = np.reshape(r, (size, size)), np.reshape(x, (size, size))
    if not (np.isfinite(R).all() and np.isfinite(X).all()):
        yield f"{owner}: its impedance holds a value that is not a number"
    elif (np.diag(R) < 0.0).any():
        yield f"{owner}: a self resistance of {np.diag(R).min():g} ohm per length is negative"
    elif ((np.diag(R) == 0.0) & (np.diag(X) == 0.0)).any():
        yield (
            f"{owner}: a self impedance is zero, which no admittance matrix can hold; give a "
            "switch a small one (r1=1e-3 r0=1e-3 ohm)"
        )


def _transformer_faults(context: Any) -> Iterator[str]:
    transformers = context.Transformers
    for name in elements_of(context, "Transformers"):
        owner, count = f"Transformer.{name}", int(transformers.NumWindings())
        service = count == 3 and int(context.CktElement.NumPhases()) == 1
        if count != 2 and not service:
            yield f"{owner}: has {count} windings; two or three can be held"
            continue
        rated = []
        for winding in range(1, count + 1):
            transformers.Wdg(winding)
            yield from _not_positive(owner, f"kV of winding {winding}", transformers.kV(), "rated")
            yield from _not_positive(
                owner, f"kVA of winding {winding}", transformers.kVA(), "its rating"
            )
            yield from _not_positive(owner, f"tap of winding {winding}", transformers.Tap(), "pu")
            resistance = float(transformers.R())
            if not resistance >= 0.0:
                yield f"{owner}: %R of winding {winding} = {resistance:g} must not be negative"
            rated.append(float(transformers.kVA()))
        if len(set(rated)) > 1:
            shown = " and ".join(f"{kva:g}" for kva in rated)
            yield f"{owner}: kVA {shown} of its windings must be equal"
        if not is_star_part(name, tuple(str(bus) for bus in context.CktElement.BusNames())):
            yield from _not_positive(owner, "Xhl", transformers.Xhl(), "its reactance in percent")


def _shunt_faults(context: Any) -> Iterator[str]:
    for name in elements_of(context, "Loads"):
        loads, owner = context.Loads, f"Load.{name}"
        yield from _not_positive(owner, "kV", loads.kV(), "its rated voltage")
        yield from _not_finite(owner, "kW", loads.kW(), "its demand")
        yield from _not_finite(owner, "kvar", loads.kvar(), "its demand")
    for name in elements_of(context, "Capacitors"):
        capacitors, owner = context.Capacitors, f"Capacitor.{name}"
        yield from _not_positive(owner, "kV", capacitors.kV(), "its rated voltage")
        yield from _not_positive(owner, "kvar", capacitors.kvar(), "its size")
        far = [node for _, nodes in active_terminals(context)[1:] for node in nodes]
        if not in_series(context) and any(far):
            yield (
                f"{owner}: joins unlike phases, or two of one bus; like phases of two buses, a "
                "phase to earth (leave bus2 out), or conn=delta can be held"
            )


def _unfed(context: Any) -> Iterator[str]:
    """Name loads and capacitors on a bus phase that no line, transformer or source has.

    Nor anything of another class: that it cannot be held is told, and what it feeds is not.
    """
    fed: set[tuple[str, int]] = set()
    for name in _enabled(context):
        kind = name.split(".")[0].lower()
        if kind not in _READ | _PASSED_OVER:
            context.Circuit.SetActiveElement(name)
            fed |= {(bus, node) for bus, nodes in active_terminals(context) for node in nodes}
    for family in ("Lines", "Transformers", "Vsources", "Reactors", "Capacitors"):
        for _ in elements_of(context, family):
            ends = active_terminals(context)
            joins = len({bus for bus, nodes in ends if any(nodes)}) > 1
            if family in {"Reactors", "Capacitors"} and not joins:
                continue
            for bus, nodes in ends:
                fed |= {(bus, node) for node in nodes}
    buses = {bus for bus, _ in fed}
    for family, kind in (("Loads", "Load"), ("Capacitors", "Capacitor")):
        for name in elements_of(context, family):
            bus, nodes = active_terminals(context)[0]
            if bus not in buses:
                yield (
                    f"{kind}.{name}: bus {bus} is not the end of any line, transformer or source; "
                    "OpenDSS made it on the spot, correct the name"
                )
                continue
            for node in nodes:
                if 1 <= node <= 3 and (bus, node) not in fed:
                    yield f"{kind}.{name}: nothing brings phase {'abc'[node - 1]} to bus {bus}"
