"""Transformers of three windings as three of two windings that meet at a bus of their own.

Three windings on one core are a star of three impedances, each behind the ideal turns of its
winding. A two-winding unit from each winding's terminals to a grounded bus inside is that star,
phase by phase, whatever the windings' connections. So is a centre-tapped service whose legs
differ; one whose legs are alike keeps its own row (`simulator.reader.services`).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np

__all__ = ["is_star_part", "take_stars_apart"]

_END = "_star"
_LEAST_PERCENT = 1e-4  # of reactance, where a branch of the star has none: 1e-6 pu
_EVEN = 1e-6  # by which two legs may differ, as a share


@dataclass(frozen=True, slots=True, kw_only=True)
class _Winding:
    bus: str
    delta: bool
    kv: float
    kva: float
    r: float
    tap: float
    least_tap: float
    most_tap: float
    taps: int
    neutral: tuple[float, float]


def is_star_part(name: str, buses: tuple[str, ...]) -> bool:
    """Whether a two-winding transformer is a branch of a star that was made here."""
    own = name.lower().rsplit("_w", 1)[0] + _END
    return any(bus.lower().split(".")[0] == own for bus in buses)


def take_stars_apart(context: Any) -> bool:
    """Take every transformer of three windings of a solved circuit apart; whether there was one.

    Regulators move to the branch of their winding. One with a name that cannot be told to
    OpenDSS stays, and is a fault of the reader's.
    """
    if not int(context.Basic.NumCircuits()):
        return False
    names, number = list[str](), context.Transformers.First()
    while number:
        if int(context.Transformers.NumWindings()) == 3 and not _is_even_service(context):
            names.append(str(context.Transformers.Name()))
        number = context.Transformers.Next()
    apart = [name for name in names if '"' not in name and _take_apart(context, name)]
    if apart:
        context.Text.Command("BatchEdit EnergyMeter..* enabled=no")
        context.Text.Command("BatchEdit Monitor..* enabled=no")
    return bool(apart)


def _is_even_service(context: Any) -> bool:
    """Whether the active three-winding unit has one phase and two like legs at one bus."""
    if int(context.CktElement.NumPhases()) != 1:
        return False
    units, rows = context.Transformers, [_winding(context, k) for k in (1, 2, 3)]
    first, second = rows[1:]
    if first.bus.split(".")[0].lower() != second.bus.split(".")[0].lower():
        return False
    unlike = [abs(units.Xhl() / units.Xht() - 1.0)]
    for one, other in ((first.kv, second.kv), (first.r, second.r), (first.tap, second.tap)):
        unlike.append(abs(one - other) / max(one, 1e-12))
    return bool(max(unlike) <= _EVEN)


def _take_apart(context: Any, name: str) -> bool:
    context.Transformers.Name(name)
    units = context.Transformers
    rows = [_winding(context, k) for k in (1, 2, 3)]
    if any('"' in row.bus or not row.kv > 0.0 or not row.kva > 0.0 for row in rows):
        return False
    hl, ht, lt = (float(told()) for told in (units.Xhl, units.Xht, units.Xlt))
    branch = ((hl + ht - lt) / 2.0, (hl + lt - ht) / 2.0, (ht + lt - hl) / 2.0)
    phases, core = int(context.CktElement.NumPhases()), _core(context)
    lead = _lead(context, rows)
    inner = min(row.kv for row in rows) / 10.0
    nodes = ".1.2.3.0" if phases == 3 else f".{_slot(rows)}.0"
    star = f'bus="{name}{_END}{nodes}" conn=wye kv={inner:.12g}'
    regulators = _regulators(context, name)
    for k, (row, x) in enumerate(zip(rows, branch, strict=True)):
        scale = row.kva / rows[0].kva  # percentages are of the first winding's kVA
        own = x * scale if abs(x) * scale >= _LEAST_PERCENT else _LEAST_PERCENT
        lost = f"%noloadloss={core[0] / scale:.12g} %imag={core[1] / scale:.12g}" if k == 1 else ""
        context.Text.Command(
            f'New "Transformer.{name}_w{k + 1}" phases={phases} windings=2 '
            f"{_ends(row, star, scale, first=k == 0)} xhl={own:.12g} leadlag={lead} {lost}"
        )
    context.Text.Command(f'Edit "Transformer.{name}" enabled=no')
    for control, winding in regulators:
        context.Text.Command(
            f'Edit "RegControl.{control}" transformer="{name}_w{winding}" '
            f"winding={1 if winding == 1 else 2}"
        )
    to_neutral = inner / (np.sqrt(3.0) if phases == 3 else 1.0)
    context.Solution.Solve()  # the bus is there from here on
    context.Text.Command(f'SetkVBase Bus="{name}{_END}" kVLN={to_neutral:.12g}')
    return True


def _ends(row: _Winding, star: str, scale: float, *, first: bool) -> str:
    """Both windings of a branch; the first of all has its own terminals first."""
    own = (
        f'bus="{row.bus}" conn={"delta" if row.delta else "wye"} kv={row.kv:.12g} '
        f"kva={row.kva:.12g} %r={row.r * scale:.12g} {_tapping(row)} tap={row.tap:.12g}"
    )
    inner = f"{star} kva={row.kva:.12g} %r=0"
    one, other = (own, inner) if first else (inner, own)
    return f"wdg=1 {one} wdg=2 {other}"


def _winding(context: Any, number: int) -> _Winding:
    units = context.Transformers
    units.Wdg(number)
    return _Winding(
        bus=str(context.CktElement.BusNames()[number - 1]),
        delta=bool(units.IsDelta()),
        kv=float(units.kV()),
        kva=float(units.kVA()),
        r=float(units.R()),
        tap=float(units.Tap()),
        least_tap=float(units.MinTap()),
        most_tap=float(units.MaxTap()),
        taps=int(units.NumTaps()),
        neutral=(float(units.Rneut()), float(units.Xneut())),
    )


def _tapping(row: _Winding) -> str:
    told = f"mintap={row.least_tap:.12g} maxtap={row.most_tap:.12g} numtaps={row.taps}"
    return told + (
        f" rneut={row.neutral[0]:.12g} xneut={row.neutral[1]:.12g}" if not row.delta else ""
    )


def _core(context: Any) -> tuple[float, float]:
    values = context.to_dss_python().ActiveCircuit.ActiveCktElement.Properties
    return float(values("%noloadloss").Val), float(values("%imag").Val)


def _lead(context: Any, rows: list[_Winding]) -> str:
    """How a branch's delta is turned, whose inner side is the lower: as it was on the core.

    OpenDSS turns the deltas of a unit by its first two windings, and by its voltages.
    """
    values = context.to_dss_python().ActiveCircuit.ActiveCktElement.Properties
    leads = str(values("leadlag").Val).lower() in {"lead", "euro"}
    one, other = rows[:2]
    if one.delta == other.delta:
        return "lead"
    high = one if one.kv >= other.kv else other
    return "lead" if leads == high.delta else "lag"


def _slot(rows: list[_Winding]) -> int:
    """Phase of the inner bus of a one-phase unit: none that a leg stands on, where that can be.

    Both legs then bring a phase to another's slot, and neither closes a loop with the other. Of a
    winding between two phases it is the first of them.
    """
    near, *legs = (
        [int(node) for node in row.bus.split(".")[1:] if node.isdigit() and 1 <= int(node) <= 3]
        for row in rows
    )
    able = near[:1] if len(near) > 1 else [*near, 1, 2, 3]
    taken = [node for leg in legs for node in leg]
    return next((node for node in able if node not in taken), able[0])


def _regulators(context: Any, name: str) -> list[tuple[str, int]]:
    """Regulator controls of a transformer, and the winding each acts on."""
    found, number = list[tuple[str, int]](), context.RegControls.First()
    while number:
        if str(context.RegControls.Transformer()).lower() == name.lower():
            found.append((str(context.RegControls.Name()), int(context.RegControls.TapWinding())))
        number = context.RegControls.Next()
    return found
