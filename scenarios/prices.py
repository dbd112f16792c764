"""What is worth how much, and in which unit an objective counts."""

from __future__ import annotations

from dataclasses import dataclass, fields
from enum import StrEnum

import numpy as np
from gridproof.scenarios.arrays import FloatArray, frozen

__all__ = ["BusPrices", "Prices", "Unit"]


class Unit(StrEnum):
    """The unit of an objective."""

    USD = "USD"
    POINTS = "points"  # weights that a publication or an operator chose


@dataclass(frozen=True, slots=True, kw_only=True)
class Prices:
    """Prices of what is lost, bus by bus and step by step, and of switching.

    As left out, none is stated: a scenario then prices dead blocks (``shed_usd``) and its DERs'
    energy, in USD.

    Attributes
    ----------
    unit
        Of every price here and of the objective.
    unserved_per_mw
        Per MW of load not supplied in one step.
    lost_bus
        Per bus that a failure takes down in one step.
    switching
        Per change of a line's state.
    """

    unit: Unit = Unit.USD
    unserved_per_mw: float = 0.0
    lost_bus: float = 0.0
    switching: float = 0.0

    @property
    def stated(self) -> bool:
        """Whether losses are priced here at all."""
        return self != Prices()

    def faults(self) -> list[str]:
        """Every price that is no price, one sentence each."""
        return [
            f"{one.name} = {value:g} must be at least 0 and finite"
            for one in fields(self)
            if one.name != "unit"
            and not 0.0 <= (value := float(getattr(self, one.name))) < float("inf")
        ]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class BusPrices:
    """Prices of what is lost where buses are not worth the same, in place of one for all.

    Attributes
    ----------
    unserved_per_mw
        (bus,) ``α C_i^ns`` of (2): per MW of the bus's load not supplied in one step.
    lost_bus
        (bus,) ``α C_i^e`` of (2): per step in which a failure takes the bus down.
    """

    unserved_per_mw: FloatArray
    lost_bus: FloatArray

    def __post_init__(self) -> None:
        for one in fields(self):
            object.__setattr__(self, one.name, frozen(getattr(self, one.name), float, (-1,)))

    def faults(self, bus_ids: tuple[str, ...]) -> list[str]:
        """Every price that is no price, and a table that is not of these buses."""
        faults = []
        for one in fields(self):
            values = getattr(self, one.name)
            if len(values) != len(bus_ids):
                faults.append(
                    f"{one.name} is given for {len(values)} buses; the feeder has {len(bus_ids)}, "
                    "so give one each"
                )
                continue
            faults += [
                f"{one.name} of bus {bus_ids[k]} = {values[k]:g} must be at least 0 and finite"
                for k in np.flatnonzero(~((values >= 0.0) & np.isfinite(values))).tolist()
            ]
        return faults
