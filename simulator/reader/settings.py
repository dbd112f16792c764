"""What settings of a feeder file, or voltages that do not fit, make the physics another's.

Told before anything is planned: each would otherwise let every realization err, or let wrong
bases pass for right ones.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
from gridproof.simulator.opendss.bases import SHUNTS, SOURCES, WINDINGS
from gridproof.simulator.opendss.compiling import base_frequency_hz
from gridproof.simulator.opendss.dss_files import place_of
from gridproof.simulator.reader.elements import Reading, elements_of, in_series, pair_slot

__all__ = ["rated_faults", "setting_faults"]

_DEAD = 0.01
"""Share of its own voltage below which a source gives none."""


def setting_faults(context: Any, path: Path, *, alone: bool = True) -> list[str]:
    """Find settings under which loads or sources are not what the file's elements say.

    Parameters
    ----------
    context, path
        The compiled and solved circuit, and its file.
    alone
        Whether nothing else is wrong, so that a dead solution says something of its own.
    """
    if not int(context.Basic.NumCircuits()):
        return []
    return [*_frequency_faults(context, path, alone), *_scaling_faults(context, path)]


def _frequency_faults(context: Any, path: Path, alone: bool) -> Iterator[str]:
    base, solved = base_frequency_hz(context), float(context.Solution.Frequency())
    if solved != base:
        place = place_of(path, re.compile(r"^\s*set\b.*\bfreq\w*\s*=", re.IGNORECASE))
        yield (
            f"{place}: Set Frequency = {solved:g} differs from the base frequency, {base:g} Hz, at "
            f"which sources act; put `Set DefaultBaseFrequency={solved:g}` before `New Circuit` "
            "in its place"
        )
        return
    dead: list[str] = []
    if not list(elements_of(context, "Vsources")):
        yield f"{path}: has no Vsource that is enabled, so its voltage bases cannot be found"
    for name in elements_of(context, "Vsources"):
        own = float(context.Vsources.Frequency())
        if own != solved:
            dead.append(name)
            yield (
                f"{path}: Vsource.{name}: frequency = {own:g} while the circuit is solved at "
                f"{solved:g} Hz, so it is dead; remove it, or put `Set DefaultBaseFrequency="
                f"{own:g}` before `New Circuit`, once"
            )
    if alone:
        yield from _dead_sources(context, path, dead)


def _dead_sources(context: Any, path: Path, told: list[str]) -> Iterator[str]:
    """Name sources that are dead, or no number, in the feeder's own solution."""
    for name in elements_of(context, "Vsources"):
        volts = float(context.Vsources.BasekV()) * float(context.Vsources.PU()) * 1000.0
        if name in told:
            continue
        if not volts > 0.0:
            yield f"{path}: Vsource.{name}: pu and basekv must be positive, or it feeds nothing"
            continue
        seen = np.asarray(context.CktElement.VoltagesMagAng(), float)[::2]
        seen = seen[: int(context.CktElement.NumPhases())]
        if not np.isfinite(seen).all():
            yield (
                f"{path}: Vsource.{name}: the feeder's own solution is no number at its bus; look "
                "for an element without impedance, or with one that is no number"
            )
        elif seen.max() < _DEAD * volts:
            yield (
                f"{path}: Vsource.{name}: is dead in the feeder's own solution, {seen.max():.3g} "
                f"of {volts / np.sqrt(3.0):.5g} V; is it open, or its bus short-circuited?"
            )


def _scaling_faults(context: Any, path: Path) -> Iterator[str]:
    """Find what makes loads draw another power than their own kW and kvar."""
    year = int(context.Solution.Year())
    if year > 1 or (year == 1 and _count(context, "GrowthShape")):
        place = place_of(path, re.compile(r"^\s*set\b.*\byear\s*=", re.IGNORECASE))
        yield (
            f"{place}: Set Year = {year} lets loads grow; scale their own kW and kvar and leave "
            "the year out"
        )
    context.Text.Command("Get LoadModel")
    if not str(context.Text.Result()).lower().startswith("p"):
        place = place_of(path, re.compile(r"^\s*set\b.*\bloadmodel\s*=", re.IGNORECASE))
        yield (
            f"{place}: Set LoadModel = Admittance makes every load an impedance; give the loads "
            "model=2 instead"
        )


def _count(context: Any, kind: str) -> int:
    context.Basic.SetActiveClass(kind)
    return int(context.ActiveClass.Count())


# ------------------------------------------------------------------------- rated voltages


def rated_faults(reading: Reading) -> list[str]:
    """Hold rated voltages of sources, windings, loads and capacitors against the buses' bases.

    Where bases are wrong, everything on them is; so loads and capacitors are looked at only if
    sources, windings and lines agree with the bases.
    """
    found = [*_source_faults(reading), *_line_faults(reading), *_winding_faults(reading)]
    return found or [*_shunt_faults(reading)]


def _source_faults(reading: Reading) -> Iterator[str]:
    for name in elements_of(reading.context, "Vsources"):
        bus, _ = reading.terminal(0)
        rated = float(reading.context.Vsources.BasekV())
        one_phase = int(reading.context.CktElement.NumPhases()) == 1
        base = float(reading.base_kv[bus]) * (1.0 if one_phase else np.sqrt(3.0))
        if not _fits(rated, base, SOURCES):
            yield _fault(reading, f"Vsource.{name}", "basekv", rated, base, bus)


def _winding_faults(reading: Reading) -> Iterator[str]:
    transformers = reading.context.Transformers
    for name in elements_of(reading.context, "Transformers"):
        for side in range(int(transformers.NumWindings())):
            transformers.Wdg(side + 1)
            bus, nodes = reading.terminal(side)
            rated, base = float(transformers.kV()), _base(reading, bus, nodes)
            if not _fits(rated, base, WINDINGS):
                what = f"kV of winding {side + 1}"
                yield _fault(reading, f"Transformer.{name}", what, rated, base, bus)


def _line_faults(reading: Reading) -> Iterator[str]:
    for name in elements_of(reading.context, "Lines"):
        (one, _), (other, _) = reading.terminal(0), reading.terminal(1)
        first, second = float(reading.base_kv[one]), float(reading.base_kv[other])
        if not _fits(first, second, WINDINGS):
            ids = list(reading.buses)
            yield (
                f"{reading.where}: Line.{name}: joins bus {ids[one]} with a voltage base of "
                f"{first:.5g} kV to bus {ids[other]} with {second:.5g} kV, and a line has one; "
                "put `CalcVoltageBases` before any switch is opened, or mend `Set VoltageBases`"
            )


def _shunt_faults(reading: Reading) -> Iterator[str]:
    context = reading.context
    for family, kind in (("Loads", "Load"), ("Capacitors", "Capacitor")):
        for name in elements_of(context, family):
            if family == "Capacitors" and in_series(context):
                continue  # rated for the voltage along its line
            table = getattr(context, family)
            bus, nodes = reading.terminal(0)
            rated, base = float(table.kV()), _base(reading, bus, nodes)
            if not _fits(rated, base, SHUNTS):
                yield _fault(reading, f"{kind}.{name}", "kV", rated, base, bus)


def _base(reading: Reading, bus: int, nodes: tuple[int, ...]) -> float:
    """Tell the base of what a rated kV speaks of: to neutral, or between two phases.

    What has one phase stands where its nodes say, whatever its connection is called.
    """
    one_phase = int(reading.context.CktElement.NumPhases()) == 1
    pair = len(nodes) > 1 and pair_slot(nodes[0], nodes[1]) is not None
    return float(reading.base_kv[bus]) * (1.0 if one_phase and not pair else np.sqrt(3.0))


def _fits(value: float, base: float, band: tuple[float, float]) -> bool:
    return base <= 0.0 or band[0] <= value / base <= band[1]  # without a base: told elsewhere


def _fault(  # noqa: PLR0917
    reading: Reading, owner: str, what: str, rated: float, base: float, bus: int
) -> str:
    name = list(reading.buses)[bus]
    return (
        f"{reading.where}: {owner}: {what} = {rated:g} does not fit its bus {name}, whose voltage "
        f"base there is {base:.5g} kV; state the right kV, or mend `Set VoltageBases` and put "
        "`CalcVoltageBases` before any switch is opened"
    )
