"""What the dispatch is given: the microgrid, its prices, and where disturbances land."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, frozen
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.resources import Fleet

__all__ = ["Disturbance", "Microgrid", "Prices"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prices:
    """Prices beside those of the DERs' energy, and what reserves must stand.

    Attributes
    ----------
    reserve_up_usd_per_kw, reserve_down_usd_per_kw
        (der,) for a kW held for an hour; ``inf`` where a DER offers none.
    spill_usd_per_kwh
        (renewable,) of what could be given and is not.
    shed_usd_per_kwh
        (load,) of curtailed load, ``c₃`` of (4).
    shed_most
        (load,) share of each load that may be curtailed, in [0, 1].
    interrupt_usd_per_kw
        (load,) for a kW of up-reserve that is served and can be cut; ``inf`` where none is.
    reactive_usd_per_kvarh
        Of every following DER's ``|q|``; free, it would sit on limits.
    reserve_h
        How long a storage's reserve must last from a step's end, hours.
    reserve_carried
        Whether it must last through every step, called at all of them, none bought back between.
    """

    reserve_up_usd_per_kw: FloatArray
    reserve_down_usd_per_kw: FloatArray
    spill_usd_per_kwh: FloatArray
    shed_usd_per_kwh: FloatArray
    shed_most: FloatArray
    interrupt_usd_per_kw: FloatArray
    reactive_usd_per_kvarh: float = 5e-4
    reserve_h: float = 1.0
    reserve_carried: bool = False

    def __post_init__(self) -> None:
        for name in (
            "reserve_up_usd_per_kw", "reserve_down_usd_per_kw", "spill_usd_per_kwh",
            "shed_usd_per_kwh", "shed_most", "interrupt_usd_per_kw",
        ):  # fmt: skip
            object.__setattr__(self, name, frozen(getattr(self, name), float, (-1,)))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Microgrid:
    """An islanded microgrid over some steps, all phases together.

    A DER of `Fleet.storages` stores, one of `Fleet.renewables` gives up to what is available;
    any other is a machine that stays on line. `Ders.cost_usd_per_kw` is the price of a kWh (of a
    storage: charged plus discharged), ``c₁`` and ``c₂`` of (4).

    Attributes
    ----------
    ders, fleet
        What can be moved. Capability is the sum over phases.
    forming
        Position of the DER that forms the island.
    duration_h
        (time,) length of each step.
    load_ids, load_kw
        (load,) names and (time, load) nominal demand.
    prices
        See `Prices`.
    headroom_kw
        What the forming DER keeps free at its upper end for losses that no linear model has.

    Raises
    ------
    ScenarioError
        With every contradiction.
    """

    ders: Ders
    fleet: Fleet
    forming: int
    duration_h: FloatArray
    load_ids: tuple[str, ...]
    load_kw: FloatArray
    prices: Prices
    headroom_kw: float = 0.0

    def __post_init__(self) -> None:
        steps = len(self.duration_h)
        object.__setattr__(self, "duration_h", frozen(self.duration_h, float, (steps,)))
        object.__setattr__(
            self, "load_kw", frozen(self.load_kw, float, (steps, len(self.load_ids)))
        )
        faults = [*self._forming_faults(), *self.fleet.storages.faults(), *self._price_faults()]
        other = self.fleet.beyond(("storages", "renewables"))
        if other:
            faults.append(f"the fleet has {', '.join(other)}; policy modes know none: leave it out")
        available = self.fleet.renewables.available_kw
        if self.fleet.renewables.ids and len(available) != steps:
            faults.append(f"renewables are given for {len(available)} steps; there are {steps}")
        if not (self.duration_h > 0.0).all():
            faults.append(f"a step lasts {self.duration_h.min():g} h; it must last more than 0")
        if faults:
            raise ScenarioError(faults)

    @property
    def machine(self) -> BoolArray:
        """(der,) neither storage nor renewable."""
        mask = np.ones(len(self.ders.ids), bool)
        mask[self.fleet.storages.der] = mask[self.fleet.renewables.der] = False
        return mask

    @property
    def responders(self) -> tuple[int, ...]:
        """DERs that can answer both ways, which an affine response needs, the forming one first."""
        both = np.isfinite(self.prices.reserve_up_usd_per_kw)
        both &= np.isfinite(self.prices.reserve_down_usd_per_kw)
        both[self.fleet.renewables.der] = False
        found = np.flatnonzero(both).tolist()
        return tuple(sorted(found, key=lambda g: (g != self.forming, g)))

    def _forming_faults(self) -> list[str]:
        ders = self.ders
        if not 0 <= self.forming < len(ders.ids) or not ders.can_form[self.forming]:
            return ["no DER forms the island; name one with can_form = true"]
        if not self.machine[self.forming]:
            return [f"DER {ders.ids[self.forming]} forms and is no machine; let a machine form"]
        return []

    def _price_faults(self) -> list[str]:
        n, loads = len(self.ders.ids), len(self.load_ids)
        renewables = len(self.fleet.renewables.ids)
        wanted = {
            "reserve_up_usd_per_kw": n, "reserve_down_usd_per_kw": n,
            "spill_usd_per_kwh": renewables, "shed_usd_per_kwh": loads, "shed_most": loads,
            "interrupt_usd_per_kw": loads,
        }  # fmt: skip
        faults = []
        for name, count in wanted.items():
            held = getattr(self.prices, name)
            if len(held) != count:
                faults.append(f"prices: {name} has {len(held)} entries; {count} are needed")
            elif not (held >= 0.0).all():
                faults.append(f"prices: {name} has {held.min():g}; give numbers of at least 0")
        if len(self.prices.shed_most) == loads and (self.prices.shed_most > 1.0).any():
            faults.append(f"prices: shed_most has {self.prices.shed_most.max():g}; at most 1")
        return faults


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Disturbance:
    """How a kW of each component shows at each step, and where.

    Attributes
    ----------
    ids
        (component,) names.
    shape
        (time, component) ``s_j(t)``.
    of_der
        (component, der) share of the kW by which a DER gives less.
    of_load
        (component, load) share by which a load takes more; its reactive power goes along.
    """

    ids: tuple[str, ...]
    shape: FloatArray
    of_der: FloatArray
    of_load: FloatArray

    def __post_init__(self) -> None:
        m = len(self.ids)
        object.__setattr__(self, "shape", frozen(self.shape, float, (-1, m)))
        object.__setattr__(self, "of_der", frozen(self.of_der, float, (m, -1)))
        object.__setattr__(self, "of_load", frozen(self.of_load, float, (m, -1)))
        whole = self.of_der.sum(axis=1) + self.of_load.sum(axis=1)
        faults = [
            f"component {name}: its places add up to {total:g} of it; to 1"
            for name, total in zip(self.ids, whole, strict=True)
            if abs(total - 1.0) > 1e-9
        ]
        if faults or not self.ids:
            raise ScenarioError(faults or "a mode without events has no disturbance; name some")
