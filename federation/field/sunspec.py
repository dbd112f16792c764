"""SunSpec register tables and their numbers: models 1, 701, 704 and the 100s; no network here.

A SunSpec device holds, from register 40000 (or 50000, or 0), the two registers ``SunS``, then
models one after another, each an id, a length and its points, then the id 0xFFFF. Numbers are
big-endian; a number with a scale factor ``s`` means ``value · 10^s``; each type has one value
that says *not implemented*. The tables are read from the published models' own files, which come
with pysunspec2.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from types import MappingProxyType
from typing import Any

from gridproof.scenarios.errors import ConfigError

__all__ = [
    "BASES",
    "COMMON",
    "CONTROLS",
    "END",
    "FACTORS",
    "INVERTERS",
    "LIMITS",
    "MEASUREMENT",
    "NOT_IMPLEMENTED",
    "OF_RATING",
    "RATINGS",
    "SIGNATURE",
    "TABLES",
    "VARS",
    "WATTS",
    "WRITABLE",
    "WRITABLE_LIMITS",
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
INVERTERS, LIMITS = (103, 102, 101), 123
"""What older inverters have for 701 and 704: totals of all phases, and shares of a rating."""
RATINGS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {121: ("WMax", "WMax_SF"), 120: ("WRtg", "WRtg_SF")}
)
"""Models that say what the shares of model 123 are shares of, the first that is there."""

_KINDS = {
    "int16": "i16", "uint16": "u16", "enum16": "e16", "sunssf": "sf", "pad": "pad", "int32": "i32",
    "uint32": "u32", "bitfield32": "b32", "uint64": "u64", "acc32": "acc32", "string": "string",
}  # fmt: skip
NOT_IMPLEMENTED: Mapping[str, int] = MappingProxyType(
    {
        "i16": -0x8000, "u16": 0xFFFF, "e16": 0xFFFF, "sf": -0x8000, "pad": -0x8000,
        "i32": -0x80000000, "u32": 0xFFFFFFFF, "b32": 0xFFFFFFFF, "u64": 0xFFFFFFFFFFFFFFFF,
        "acc32": 0,
    }
)  # fmt: skip
_SIGNED = ("i16", "i32", "sf", "pad")

WRITABLE = ("WSetEna", "WSetMod", "WSet", "VarSetEna", "VarSetMod", "VarSetPri", "VarSet")
"""The only points of model 704 that are ever written."""
WRITABLE_LIMITS = ("WMaxLimPct", "WMaxLim_Ena", "VArWMaxPct", "VArPct_Mod", "VArPct_Ena")
"""The only points of model 123 that are ever written."""
FACTORS: Mapping[int, tuple[str, str]] = MappingProxyType(
    {
        MEASUREMENT: ("W_SF", "Var_SF"),
        **dict.fromkeys(INVERTERS, ("W_SF", "VAr_SF")),
        CONTROLS: ("WSet_SF", "VarSet_SF"),
        LIMITS: ("WMaxLimPct_SF", "VArPct_SF"),
    }
)
"""Scale factors of active and reactive power, by model."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One point of a model: ``offset`` registers behind the model's length, ``words`` long.

    ``symbols`` are the values that an enumeration may have, by name.
    """

    name: str
    kind: str
    offset: int
    words: int
    scale: str | None
    symbols: Mapping[str, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Table:
    """A model: its id, its length in registers, and its points by name."""

    model: int
    length: int
    points: Mapping[str, Point]


def _table(model: int) -> Table:
    """Read a published model; points of a group within it are called ``Group_Point``."""
    points: dict[str, Point] = {}
    offset = -2  # its id and its length come first
    for prefix, given in _listed(_published(model)["group"]):
        name, words = prefix + given["name"], int(given["size"])
        points[name] = Point(
            name=name,
            kind=_KINDS[given["type"]],
            offset=offset,
            words=words,
            scale=given.get("sf"),
            symbols=MappingProxyType(
                {one["name"]: int(one["value"]) for one in given.get("symbols", ())}
            ),
        )
        offset += words
    held = {name: point for name, point in points.items() if point.offset >= 0}
    return Table(model=model, length=offset, points=MappingProxyType(held))


def _published(model: int) -> dict[str, Any]:
    try:
        place = files("sunspec2") / "models" / "json" / f"model_{model}.json"
    except ModuleNotFoundError as missing:  # an optional dependency
        raise ConfigError(
            "[devices] needs the published SunSpec models, which are not installed; "
            "pip install 'gridproof[device]'"
        ) from missing
    found: dict[str, Any] = json.loads(place.read_text(encoding="utf-8"))
    return found


def _listed(group: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    for point in group["points"]:
        yield prefix, point
    for inner in group.get("groups", ()):
        yield from _listed(inner, f"{prefix}{inner['name']}_")


TABLES: Mapping[int, Table] = MappingProxyType(
    {
        model: _table(model)
        for model in (COMMON, MEASUREMENT, CONTROLS, *INVERTERS, LIMITS, *RATINGS)
    }
)
WATTS = TABLES[CONTROLS].points["WSetMod"].symbols["WATTS"]
VARS = TABLES[CONTROLS].points["VarSetMod"].symbols["VARS"]
OF_RATING = TABLES[LIMITS].points["VArPct_Mod"].symbols["WMax"]
"""Of ``WSetMod`` and ``VarSetMod``: the set-point is in W, in var; of ``VArPct_Mod``: in percent of
the active rating."""


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
