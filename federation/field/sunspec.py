"""SunSpec register tables and their numbers: models 1, 701 and 704; no network here.

A SunSpec device holds, from register 40000 (or 50000, or 0), the two registers ``SunS``, then
models one after another, each an id, a length and its points, then the id 0xFFFF. Numbers are
big-endian; a number with a scale factor ``s`` means ``value · 10^s``; each type has one value
that says *not implemented*. The tables below are the point lists of the published models.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from types import MappingProxyType

__all__ = [
    "BASES",
    "COMMON",
    "CONTROLS",
    "END",
    "MEASUREMENT",
    "NOT_IMPLEMENTED",
    "SIGNATURE",
    "TABLES",
    "VARS",
    "WATTS",
    "WRITABLE",
    "Point",
    "Table",
    "decode",
    "encode",
    "scaled",
    "unscaled",
]

BASES = (40000, 50000, 0)
SIGNATURE = (0x5375, 0x6E53)  # "SunS"
END = 0xFFFF
COMMON, MEASUREMENT, CONTROLS = 1, 701, 704
WATTS, VARS = 1, 3  # of WSetMod and VarSetMod: the set-point is in W, in var

_WORDS = {"i16": 1, "u16": 1, "e16": 1, "sf": 1, "pad": 1, "i32": 2, "u32": 2, "b32": 2, "u64": 4}
NOT_IMPLEMENTED: Mapping[str, int] = MappingProxyType(
    {
        "i16": -0x8000, "u16": 0xFFFF, "e16": 0xFFFF, "sf": -0x8000, "pad": -0x8000,
        "i32": -0x80000000, "u32": 0xFFFFFFFF, "b32": 0xFFFFFFFF, "u64": 0xFFFFFFFFFFFFFFFF,
    }
)  # fmt: skip
_SIGNED = ("i16", "i32", "sf", "pad")

_PHASE = (
    "W{0}:i16*W_SF VA{0}:i16*VA_SF Var{0}:i16*Var_SF PF{0}:u16*PF_SF A{0}:i16*A_SF "
    "V{1}:u16*V_SF V{0}:u16*V_SF TotWhInj{0}:u64*TotWh_SF TotWhAbs{0}:u64*TotWh_SF "
    "TotVarhInj{0}:u64*TotVarh_SF TotVarhAbs{0}:u64*TotVarh_SF "
)
_POINTS = {
    COMMON: "Mn:s16 Md:s16 Opt:s8 Vr:s8 SN:s16 DA:u16 Pad:pad",
    MEASUREMENT: (
        "ACType:e16 St:e16 InvSt:e16 ConnSt:e16 Alrm:b32 DERMode:b32 "
        "W:i16*W_SF VA:i16*VA_SF Var:i16*Var_SF PF:u16*PF_SF A:i16*A_SF LLV:u16*V_SF "
        "LNV:u16*V_SF Hz:u32*Hz_SF TotWhInj:u64*TotWh_SF TotWhAbs:u64*TotWh_SF "
        "TotVarhInj:u64*TotVarh_SF TotVarhAbs:u64*TotVarh_SF TmpAmb:i16*Tmp_SF "
        "TmpCab:i16*Tmp_SF TmpSnk:i16*Tmp_SF TmpTrns:i16*Tmp_SF TmpSw:i16*Tmp_SF "
        "TmpOt:i16*Tmp_SF "
        + _PHASE.format("L1", "L1L2")
        + _PHASE.format("L2", "L2L3")
        + _PHASE.format("L3", "L3L1")
        + "ThrotPct:u16 ThrotSrc:b32 A_SF:sf V_SF:sf Hz_SF:sf W_SF:sf PF_SF:sf VA_SF:sf "
        "Var_SF:sf TotWh_SF:sf TotVarh_SF:sf Tmp_SF:sf MnAlrmInfo:s32"
    ),
    CONTROLS: (
        "PFWInjEna:e16 PFWInjEnaRvrt:e16 PFWInjRvrtTms:u32 PFWInjRvrtRem:u32 "
        "PFWAbsEna:e16 PFWAbsEnaRvrt:e16 PFWAbsRvrtTms:u32 PFWAbsRvrtRem:u32 "
        "WMaxLimPctEna:e16 WMaxLimPct:u16*WMaxLimPct_SF WMaxLimPctRvrt:u16*WMaxLimPct_SF "
        "WMaxLimPctEnaRvrt:e16 WMaxLimPctRvrtTms:u32 WMaxLimPctRvrtRem:u32 "
        "WSetEna:e16 WSetMod:e16 WSet:i32*WSet_SF WSetRvrt:i32*WSet_SF WSetPct:i16*WSetPct_SF "
        "WSetPctRvrt:i16*WSetPct_SF WSetEnaRvrt:e16 WSetRvrtTms:u32 WSetRvrtRem:u32 "
        "VarSetEna:e16 VarSetMod:e16 VarSetPri:e16 VarSet:i32*VarSet_SF VarSetRvrt:i32*VarSet_SF "
        "VarSetPct:i16*VarSetPct_SF VarSetPctRvrt:i16*VarSetPct_SF VarSetEnaRvrt:e16 "
        "VarSetRvrtTms:u32 VarSetRvrtRem:u32 WRmp:u16 WRmpRef:e16 VarRmp:u16 AntiIslEna:e16 "
        "PF_SF:sf WMaxLimPct_SF:sf WSet_SF:sf WSetPct_SF:sf VarSet_SF:sf VarSetPct_SF:sf "
        "PFWInj_PF:u16*PF_SF PFWInj_Ext:e16 PFWInjRvrt_PF:u16*PF_SF PFWInjRvrt_Ext:e16 "
        "PFWAbs_PF:u16*PF_SF PFWAbs_Ext:e16 PFWAbsRvrt_PF:u16*PF_SF PFWAbsRvrt_Ext:e16"
    ),
}

WRITABLE = ("WSetEna", "WSetMod", "WSet", "VarSetEna", "VarSetMod", "VarSetPri", "VarSet")
"""The only points of model 704 that are ever written."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a model: ``offset`` registers behind the model's length, ``words`` long."""

    name: str
    kind: str
    offset: int
    words: int
    scale: str | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A model: its id, its length in registers, and its points by name."""

    model: int
    length: int
    points: Mapping[str, Point]


def _table(model: int, text: str) -> Table:
    points: dict[str, Point] = {}
    offset = 0
    for item in text.split():
        name, _, rest = item.partition(":")
        kind, _, scale = rest.partition("*")
        words = int(kind[1:]) if kind.startswith("s") and kind != "sf" else _WORDS[kind]
        kind = "string" if kind not in _WORDS else kind
        points[name] = Point(name=name, kind=kind, offset=offset, words=words, scale=scale or None)
        offset += words
    return Table(model=model, length=offset, points=MappingProxyType(points))


TABLES: Mapping[int, Table] = MappingProxyType(
    {model: _table(model, text) for model, text in _POINTS.items()}
)


def encode(kind: str, value: int | None, words: int) -> tuple[int, ...]:
    """Return a number's registers, high word first; None is *not implemented*.

    Raises
    ------
    ValueError
        If it does not fit its type, or is the value that means *not implemented*.
    """
    missing = NOT_IMPLEMENTED[kind]
    number = missing if value is None else value
    bits = 16 * words
    low = -(1 << (bits - 1)) if kind in _SIGNED else 0
    high = (1 << (bits - 1 if kind in _SIGNED else bits)) - 1
    if not low <= number <= high or (value is not None and number == missing):
        raise ValueError(f"{value} is no {kind}: {low} to {high} without {missing}")
    raw = number & ((1 << bits) - 1)
    return tuple((raw >> shift) & 0xFFFF for shift in range(bits - 16, -1, -16))


def decode(kind: str, registers: Sequence[int]) -> int | None:
    """Read a number; None where it is not implemented."""
    raw = 0
    for word in registers:
        raw = (raw << 16) | (word & 0xFFFF)
    bits = 16 * len(registers)
    if kind in _SIGNED and raw >> (bits - 1):
        raw -= 1 << bits
    return None if raw == NOT_IMPLEMENTED[kind] else raw


def scaled(value: int | None, factor: int | None) -> float | None:
    """``value · 10^factor``; None where either is not implemented.

    Raises
    ------
    ValueError
        If the factor is none of -10 to 10, which the specification allows.
    """
    if value is None or factor is None:
        return None
    if not -10 <= factor <= 10:
        raise ValueError(f"scale factor {factor} is not in -10 to 10")
    return float(value * 10**factor) if factor >= 0 else value / float(10**-factor)


def unscaled(value: float, factor: int) -> int:
    """Return the whole number nearest to ``value / 10^factor``."""
    return round(value / float(10**factor) if factor >= 0 else value * float(10**-factor))
