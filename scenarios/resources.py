"""What stands behind or beside a scenario's DERs: storage, renewables, CHP, boilers and others.

A storage, a renewable or a CHP is a DER with something more: energy, a sun, a boiler. Its electric
side is a row of `Ders`, by position; its own table here says the rest.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass, field, fields

import numpy as np
from gridproof.scenarios.arrays import SILENT, FloatArray, IntArray, frozen

__all__ = [
    "Boilers",
    "Chps",
    "Crews",
    "Fleet",
    "FlexibleLoads",
    "MobileGenerators",
    "Renewables",
    "Storages",
]


def _columns(value: object, whole: tuple[str, ...] = ()) -> None:
    """Freeze every array of a table whose first column is ``ids``; the rest is checked by it."""
    n = len(value.ids)  # type: ignore[attr-defined]
    for one in fields(value):  # type: ignore[arg-type]
        held = getattr(value, one.name)
        if isinstance(held, tuple) or one.name in whole:
            continue
        kind = np.int64 if one.name in ("der", "bus") else float
        object.__setattr__(value, one.name, frozen(held, kind, (n,)))


def _none() -> FloatArray:
    return np.zeros(0)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Storages:
    """Energy behind a DER, whose power limits are that DER's.

    Attributes
    ----------
    ids, der
        Names, and positions in `Ders`.
    energy_max_kwh, energy_min_kwh
        (storage,) band the stored energy must stay in.
    start_kwh
        (storage,) stored when the first step begins.
    charge_efficiency, discharge_efficiency
        (storage,) in (0, 1]: of a kWh taken from the grid so much is stored, and of a kWh
        stored so much is given back.
    end_min_kwh
        (storage,) what must be stored when the last step ends.
    schedule_kw
        (time, storage) output that is declared for each step, all phases together: plans keep
        it. NaN, as when left out, leaves a step's output to the planner.
    """

    ids: tuple[str, ...] = ()
    der: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    energy_max_kwh: FloatArray = field(default_factory=_none)
    energy_min_kwh: FloatArray = field(default_factory=_none)
    start_kwh: FloatArray = field(default_factory=_none)
    charge_efficiency: FloatArray = field(default_factory=_none)
    discharge_efficiency: FloatArray = field(default_factory=_none)
    end_min_kwh: FloatArray = field(default_factory=_none)
    schedule_kw: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))

    def __post_init__(self) -> None:
        _columns(self, whole=("schedule_kw",))
        held = self.schedule_kw if len(self.schedule_kw) else np.zeros((0, len(self.ids)))
        object.__setattr__(self, "schedule_kw", frozen(held, float, (-1, len(self.ids))))

    def faults(self) -> list[str]:
        """Every contradiction, one sentence each."""
        found = []
        for k, name in enumerate(self.ids):
            low, high = float(self.energy_min_kwh[k]), float(self.energy_max_kwh[k])
            if not 0.0 <= low < high:
                found.append(f"storage {name}: its band is {low:g} to {high:g} kWh; it must widen")
            for what in ("start_kwh", "end_min_kwh"):
                value = float(getattr(self, what)[k])
                if not low <= value <= high:
                    found.append(
                        f"storage {name}: {what} = {value:g} must lie in its band, {low:g} to "
                        f"{high:g} kWh"
                    )
            for what in ("charge_efficiency", "discharge_efficiency"):
                value = float(getattr(self, what)[k])
                if not 0.0 < value <= 1.0:
                    found.append(f"storage {name}: {what} = {value:g} must lie in (0, 1]")
        return found


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Renewables:
    """Sun or wind behind a DER: what it could give at each step, and how far that is uncertain.

    Attributes
    ----------
    ids, der
        Names, and positions in `Ders`.
    available_kw
        (time, renewable) power that could be given, all phases together.
    spread
        (renewable,) half-width of the availability as a share of it, in [0, 1].
    curtail_usd_per_kwh
        (renewable,) price of a kWh that is there and not taken; 0 if left out.
    """

    ids: tuple[str, ...] = ()
    der: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    available_kw: FloatArray = field(default_factory=lambda: np.zeros((0, 0)))
    spread: FloatArray = field(default_factory=_none)
    curtail_usd_per_kwh: FloatArray = field(
        default_factory=_none, metadata={SILENT: lambda price: not price.any()}
    )

    def __post_init__(self) -> None:
        if not len(self.curtail_usd_per_kwh):
            object.__setattr__(self, "curtail_usd_per_kwh", np.zeros(len(self.ids)))
        _columns(self, whole=("available_kw",))
        held = frozen(self.available_kw, float, (-1, len(self.ids)))
        object.__setattr__(self, "available_kw", held)

    @property
    def uncertain(self) -> int:
        """How many of them move: each is a coordinate of a draw, after those of the loads."""
        return int((self.spread > 0.0).sum())

    def available(self, zeta: FloatArray) -> FloatArray:
        """(realization, time, renewable) kW: ``a_r · (1 + spread_r · ζ_r)``.

        Parameters
        ----------
        zeta
            (realization, uncertain) coordinates; of width 0 where nothing moves.
        """
        factor = np.ones((len(zeta), 1, len(self.ids)))
        if zeta.shape[1]:
            moving = self.spread > 0.0
            factor[:, 0, moving] += zeta * self.spread[moving]
        return factor * self.available_kw


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Chps:
    """Combined heat and power behind a DER: fuel, heat and commitment.

    Attributes
    ----------
    ids, der
        Names, and positions in `Ders`.
    running_usd_per_h, fuel_usd_per_kwh
        (chp,) cost of being committed, and of an electric kWh.
    start_usd, stop_usd
        (chp,) cost of a start and of a stop.
    minimum_up_h
        (chp,) shortest time it runs once started.
    heat_kw_per_kw
        (chp,) heat that comes with an electric kW.
    efficiency
        (chp,) share of the gas' energy that becomes electric; 1 if left out.
    least_kw
        (chp,) output below which it cannot run; 0 if left out.
    runs_before
        (chp,) 1 where it runs before the first step, else 0; 0 if left out.
    """

    ids: tuple[str, ...] = ()
    der: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    running_usd_per_h: FloatArray = field(default_factory=_none)
    fuel_usd_per_kwh: FloatArray = field(default_factory=_none)
    start_usd: FloatArray = field(default_factory=_none)
    stop_usd: FloatArray = field(default_factory=_none)
    minimum_up_h: FloatArray = field(default_factory=_none)
    heat_kw_per_kw: FloatArray = field(default_factory=_none)
    efficiency: FloatArray = field(default_factory=_none)
    least_kw: FloatArray = field(default_factory=_none)
    runs_before: FloatArray = field(default_factory=_none)

    def __post_init__(self) -> None:
        for name, value in (("efficiency", 1.0), ("least_kw", 0.0), ("runs_before", 0.0)):
            if not len(getattr(self, name)):
                object.__setattr__(self, name, np.full(len(self.ids), value))
        _columns(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Boilers:
    """Heat alone.

    Attributes
    ----------
    ids, bus
        Names, and positions in ``Feeder.buses``.
    heat_max_kw, efficiency, fuel_usd_per_kwh
        (boiler,) largest heat, share of the fuel's energy it gives, price of the fuel's kWh.
    """

    ids: tuple[str, ...] = ()
    bus: IntArray = field(default_factory=lambda: np.zeros(0, np.int64))
    heat_max_kw: FloatArray = field(default_factory=_none)
    efficiency: FloatArray = field(default_factory=_none)
    fuel_usd_per_kwh: FloatArray = field(default_factory=_none)

    def __post_init__(self) -> None:
        _columns(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class MobileGenerators:
    """Generators on wheels: where they may stand, and when they can be there.

    Attributes
    ----------
    ids
        Names.
    sites
        (mobile,) ids of the buses each may stand at.
    p_max_kw, q_max_kvar
        (mobile,) capability, all phases together.
    arrives_h
        (mobile,) hour from which it can feed.
    """

    ids: tuple[str, ...] = ()
    sites: tuple[tuple[str, ...], ...] = ()
    p_max_kw: FloatArray = field(default_factory=_none)
    q_max_kvar: FloatArray = field(default_factory=_none)
    arrives_h: FloatArray = field(default_factory=_none)

    def __post_init__(self) -> None:
        _columns(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlexibleLoads:
    """Loads that may be asked for less, or later, at a price.

    Attributes
    ----------
    ids
        Ids of loads of the feeder.
    curtailed_share, shifted_share
        (flexible,) largest share of the demand that may be left out, and moved to other steps.
    usd_per_kwh
        (flexible,) what is paid for a kWh of either.
    reserve_usd_per_kw
        (flexible,) price of a kW that is served and can be cut at once; ``inf`` where none can.
    """

    ids: tuple[str, ...] = ()
    curtailed_share: FloatArray = field(default_factory=_none)
    shifted_share: FloatArray = field(default_factory=_none)
    usd_per_kwh: FloatArray = field(default_factory=_none)
    reserve_usd_per_kw: FloatArray = field(default_factory=_none)

    def __post_init__(self) -> None:
        if not len(self.reserve_usd_per_kw):
            object.__setattr__(self, "reserve_usd_per_kw", np.full(len(self.ids), np.inf))
        _columns(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Crews:
    """People who switch by hand.

    Attributes
    ----------
    ids
        Names.
    switchings
        (crew,) how many switches each can operate within the horizon.
    ready_h
        (crew,) hour from which a switch closed by it stands; 0 if left out.
    """

    ids: tuple[str, ...] = ()
    switchings: FloatArray = field(default_factory=_none)
    ready_h: FloatArray = field(default_factory=_none)

    def __post_init__(self) -> None:
        if not len(self.ready_h):
            object.__setattr__(self, "ready_h", np.zeros(len(self.ids)))
        _columns(self)


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Fleet:
    """What stands behind or beside a scenario's DERs; empty in a study of snapshots."""

    storages: Storages = field(default_factory=Storages)
    renewables: Renewables = field(default_factory=Renewables)
    chps: Chps = field(default_factory=Chps)
    boilers: Boilers = field(default_factory=Boilers)
    mobile_generators: MobileGenerators = field(default_factory=MobileGenerators)
    flexible_loads: FlexibleLoads = field(default_factory=FlexibleLoads)
    crews: Crews = field(default_factory=Crews)

    def beyond(self, known: Collection[str]) -> tuple[str, ...]:
        """Kinds a fleet has that are not among those a planner or an engine knows."""
        return tuple(
            one.name
            for one in fields(self)
            if getattr(self, one.name).ids and one.name not in known
        )

    @property
    def empty(self) -> bool:
        """Whether there is nothing at all."""
        return not self.beyond(())

    @property
    def carries(self) -> bool:
        """Whether one step leaves something for the next."""
        return bool(self.storages.ids)
