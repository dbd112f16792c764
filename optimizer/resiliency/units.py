"""What can be moved in a resiliency case: CHPs, boilers, storages, renewables, mobile generators.

Each table is columns of equal length; ``bus`` is a position in the case's network. Powers are of
all phases together.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen

__all__ = ["BoilerUnits", "ChpUnits", "MobileUnits", "RenewableUnits", "StorageUnits"]


def _none() -> FloatArray:
    return np.zeros(0)


def _no_bus() -> IntArray:
    return np.zeros(0, np.int64)


def _columns(table: object, count: int, whole: tuple[str, ...] = ()) -> None:
    """Freeze every column of a table; a single number serves all rows."""
    for one in fields(table):  # type: ignore[arg-type]
        held = getattr(table, one.name)
        if one.name in ("ids", *whole):
            continue
        kind = np.int64 if one.name == "bus" else bool if one.name == "on_before" else float
        if np.ndim(held) == 0:
            held = np.full(count, held)
        object.__setattr__(table, one.name, frozen(held, kind, (count,)))


def _outside(
    kind: str, ids: tuple[str, ...], bus: IntArray, bus_ids: tuple[str, ...]
) -> Iterator[str]:
    for name, at in zip(ids, bus.tolist(), strict=True):
        if not 0 <= at < len(bus_ids):
            yield f"{kind} {name} stands at bus position {at}; there are {len(bus_ids)} buses"


def _negative(kind: str, table: object, names: tuple[str, ...]) -> Iterator[str]:
    for name in names:
        held = np.asarray(getattr(table, name))
        for own, value in zip(table.ids, held.tolist(), strict=True):  # type: ignore[attr-defined]
            if not (np.isfinite(value) and value >= 0.0):
                yield f"{kind} {own}: {name} = {value:g}; give a number of at least 0"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ChpUnits:
    """Combined heat and power, (19), (28)-(31), (42)-(45) and Table 3.

    Attributes
    ----------
    ids, bus
        Names and positions.
    p_min_kw, p_max_kw, q_max_kvar
        (chp,) output while committed; ``|q| ≤ q_max_kvar``.
    running_usd_per_h, usd_per_kwh
        (chp,) ``c`` and ``b`` of Table 3; ``a`` is 0 there.
    start_usd, stop_usd
        (chp,) ``π`` and ``σ`` of (8).
    ramp_up_kw_per_h, ramp_down_kw_per_h
        (chp,) ``RU`` and ``RD`` while committed; a start reaches ``p_min_kw`` and no more.
    heat_kw_per_kw
        (chp,) heat that comes with an electric kW.
    efficiency
        (chp,) share of the gas' energy that becomes electric.
    on_before
        (chp,) committed before the first hour, which no ramp limits.
    """

    ids: tuple[str, ...] = ()
    bus: IntArray = field(default_factory=_no_bus)
    p_min_kw: FloatArray = field(default_factory=_none)
    p_max_kw: FloatArray = field(default_factory=_none)
    q_max_kvar: FloatArray = field(default_factory=_none)
    running_usd_per_h: FloatArray = field(default_factory=_none)
    usd_per_kwh: FloatArray = field(default_factory=_none)
    start_usd: FloatArray = field(default_factory=_none)
    stop_usd: FloatArray = field(default_factory=_none)
    ramp_up_kw_per_h: FloatArray = field(default_factory=_none)
    ramp_down_kw_per_h: FloatArray = field(default_factory=_none)
    heat_kw_per_kw: FloatArray = field(default_factory=_none)
    efficiency: FloatArray = field(default_factory=_none)
    on_before: BoolArray = field(default_factory=lambda: np.zeros(0, bool))

    def __post_init__(self) -> None:
        _columns(self, len(self.ids))

    def faults(self, bus_ids: tuple[str, ...]) -> Iterator[str]:
        """Every contradiction, one sentence each."""
        yield from _outside("CHP", self.ids, self.bus, bus_ids)
        yield from _negative(
            "CHP", self,
            ("p_min_kw", "q_max_kvar", "running_usd_per_h", "usd_per_kwh", "start_usd", "stop_usd",
             "ramp_up_kw_per_h", "ramp_down_kw_per_h", "heat_kw_per_kw"),
        )  # fmt: skip
        for k, name in enumerate(self.ids):
            low, high = float(self.p_min_kw[k]), float(self.p_max_kw[k])
            if not low <= high < np.inf:
                yield f"CHP {name}: p_min_kw = {low:g} is above p_max_kw = {high:g}; lower it"
            if not 0.0 < self.efficiency[k] <= 1.0:
                yield f"CHP {name}: efficiency = {self.efficiency[k]:g} must lie in (0, 1]"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BoilerUnits:
    """Auxiliary burners: heat of gas at their bus; several at one bus add up.

    Attributes
    ----------
    heat_max_kw
        (boiler,) largest heat; ``inf`` as the paper prints none.
    follows_power
        Whether a burner needs its bus' electricity: its heat is at most the heat load times the
        share of the nominal electric load that is supplied or answered by demand response. The
        print has no such row, and its heat then cannot rise with ties or mobile generators.
    """

    ids: tuple[str, ...] = ()
    bus: IntArray = field(default_factory=_no_bus)
    heat_max_kw: FloatArray = field(default_factory=_none)
    efficiency: FloatArray = field(default_factory=_none)
    follows_power: bool = True

    def __post_init__(self) -> None:
        _columns(self, len(self.ids), whole=("follows_power",))

    def faults(self, bus_ids: tuple[str, ...]) -> Iterator[str]:
        """Every contradiction, one sentence each."""
        yield from _outside("boiler", self.ids, self.bus, bus_ids)
        for k, name in enumerate(self.ids):
            if not self.heat_max_kw[k] >= 0.0:
                yield f"boiler {name}: heat_max_kw = {self.heat_max_kw[k]:g} must be at least 0"
            if not 0.0 < self.efficiency[k] <= 1.0:
                yield f"boiler {name}: efficiency = {self.efficiency[k]:g} must lie in (0, 1]"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StorageUnits:
    """Batteries, (46)-(49); their inverters give no reactive power.

    Attributes
    ----------
    p_max_kw
        (storage,) largest charge and largest discharge.
    energy_kwh
        (storage,) capacity that the shares below refer to.
    charge_efficiency, discharge_efficiency
        (storage,) in (0, 1].
    soc_start, soc_min, soc_max
        (storage,) shares of the capacity, before the first hour and at the end of any.
    usd_per_kwh
        (storage,) price of what is discharged, (14).
    """

    ids: tuple[str, ...] = ()
    bus: IntArray = field(default_factory=_no_bus)
    p_max_kw: FloatArray = field(default_factory=_none)
    energy_kwh: FloatArray = field(default_factory=_none)
    charge_efficiency: FloatArray = field(default_factory=_none)
    discharge_efficiency: FloatArray = field(default_factory=_none)
    soc_start: FloatArray = field(default_factory=_none)
    soc_min: FloatArray = field(default_factory=_none)
    soc_max: FloatArray = field(default_factory=_none)
    usd_per_kwh: FloatArray = field(default_factory=_none)

    def __post_init__(self) -> None:
        _columns(self, len(self.ids))

    def faults(self, bus_ids: tuple[str, ...]) -> Iterator[str]:
        """Every contradiction, one sentence each."""
        yield from _outside("storage", self.ids, self.bus, bus_ids)
        yield from _negative("storage", self, ("p_max_kw", "energy_kwh", "usd_per_kwh"))
        for k, name in enumerate(self.ids):
            low, start, high = (float(c[k]) for c in (self.soc_min, self.soc_start, self.soc_max))
            if not 0.0 <= low <= start <= high <= 1.0:
                yield (
                    f"storage {name}: soc_start = {start:g} must lie between soc_min = {low:g} and "
                    f"soc_max = {high:g}, all of them in [0, 1]"
                )
            for what in ("charge_efficiency", "discharge_efficiency"):
                if not 0.0 < getattr(self, what)[k] <= 1.0:
                    yield f"storage {name}: {what} = {getattr(self, what)[k]:g} must lie in (0, 1]"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class RenewableUnits:
    """Wind and sun: what could be given at each hour; less may be taken, at no price.

    Their inverters follow: in an island that nobody forms they give nothing.

    Attributes
    ----------
    available_kw
        (hour, renewable).
    """

    ids: tuple[str, ...] = ()
    bus: IntArray = field(default_factory=_no_bus)
    available_kw: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        _columns(self, len(self.ids), whole=("available_kw",))
        held = frozen(self.available_kw, float, (-1, len(self.ids)))
        object.__setattr__(self, "available_kw", held)

    def faults(self, bus_ids: tuple[str, ...], hours: int) -> Iterator[str]:
        """Every contradiction, one sentence each."""
        yield from _outside("renewable", self.ids, self.bus, bus_ids)
        if self.ids and len(self.available_kw) != hours:
            yield f"renewables: available_kw has {len(self.available_kw)} hours; give {hours}"
        if not (np.isfinite(self.available_kw) & (self.available_kw >= 0.0)).all():
            yield "renewables: available_kw must be finite and at least 0 at every hour"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MobileUnits:
    """Mobile generators, all alike, (27) and (39)-(41): one a bus, and each forms its island.

    Attributes
    ----------
    count
        ``NMG``: how many there are.
    sites
        (site,) positions of the buses where one may stand; none, as when left out, is any bus
        but the root.
    p_max_kw, q_max_kvar
        Of each.
    usd_per_kwh
        Of each; the printed totals leave no room for a price, so it is 0 there.
    delay_h
        Hours from the outage's until one feeds.
    """

    count: int = 0
    sites: IntArray = field(default_factory=_no_bus)
    p_max_kw: float = 0.0
    q_max_kvar: float = 0.0
    usd_per_kwh: float = 0.0
    delay_h: int = 1

    def __post_init__(self) -> None:
        object.__setattr__(self, "sites", frozen(self.sites, np.int64, (-1,)))

    def faults(self, bus_ids: tuple[str, ...]) -> Iterator[str]:
        """Every contradiction, one sentence each."""
        names = tuple(f"site {k + 1}" for k in range(len(self.sites)))
        yield from _outside("mobile generator", names, self.sites, bus_ids)
        if len(set(self.sites.tolist())) < len(self.sites):
            yield "mobile generators: a site is given twice; name each bus once"
        if self.count < 0 or self.delay_h < 0:
            yield (
                f"mobile generators: count = {self.count}, delay_h = {self.delay_h}; neither is "
                "below 0"
            )
        for what in ("p_max_kw", "q_max_kvar", "usd_per_kwh"):
            if not 0.0 <= getattr(self, what) < np.inf:
                yield f"mobile generators: {what} = {getattr(self, what):g} must be at least 0"
