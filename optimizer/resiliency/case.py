"""One resiliency case: a feeder through a day with an outage, and all that may answer it.

How hours count: an *hour* is a number from 1 to ``Horizon.hours``, hour h being the time from
h - 1 to h o'clock ("1 PM" of the paper is hour 13, 12:00 to 13:00, as its figures have it). Row k
of every array with an hour axis is hour k + 1. The damaged lines are closed up to and with hour
``Outage.hour - 1`` and open from hour ``Outage.hour`` on (row ``Outage.hour - 1``), for the rest
of the day. A crew's switch is closed, and a mobile generator feeds, from hour
``Outage.hour + delay_h`` on: with a delay of one hour after an outage at 13, from hour 14.

Every column is in kW, kvar, kWh and USD, of all phases together; positions are into
``Network.bus_ids`` and ``Network.line_ids``. The model itself counts in MW and k$.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, fields

import numpy as np
from gridproof.optimizer.resiliency.network import Network
from gridproof.optimizer.resiliency.units import (
    BoilerUnits,
    ChpUnits,
    MobileUnits,
    RenewableUnits,
    StorageUnits,
)
from gridproof.scenarios.arrays import FloatArray, IntArray, content_digest, frozen
from gridproof.scenarios.errors import ScenarioError

__all__ = [
    "CASES",
    "Actions",
    "Budgets",
    "Crews",
    "Demand",
    "Emissions",
    "Gas",
    "Horizon",
    "Market",
    "Outage",
    "ResiliencyCase",
    "Response",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Horizon:
    """How many hours, and how long each lasts (rows of arrays; 1 h in the paper)."""

    hours: int = 24
    step_h: float = 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Outage:
    """When the damaged lines are lost; an hour from 1 on, as the module says."""

    hour: int


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Demand:
    """What customers ask for at nominal, and what not serving them costs.

    Attributes
    ----------
    p_kw, q_kvar, heat_kw
        (hour, bus). Reactive power keeps the ratio to the active, whatever is served.
    interruption_usd_per_kwh, heat_interruption_usd_per_kwh
        (hour, bus) ``ρ^EP`` and ``ρ^TP``: paid for electricity and for heat not served.
    customer
        (bus,) type of customer, for tables; empty where there is none.
    """

    p_kw: FloatArray
    q_kvar: FloatArray
    heat_kw: FloatArray
    interruption_usd_per_kwh: FloatArray
    heat_interruption_usd_per_kwh: FloatArray
    customer: tuple[str, ...] = ()

    def __post_init__(self) -> None:
        _freeze(self, (-1, -1))

    def faults(self, hours: int, buses: int) -> Iterator[str]:
        """Every contradiction, one sentence each."""
        for one in fields(self):
            held = getattr(self, one.name)
            if one.name == "customer":
                if len(held) not in (0, buses):
                    yield f"customer has {len(held)} entries; give one for each of {buses} buses"
                continue
            if held.shape != (hours, buses):
                yield f"{one.name} is {held.shape}; {hours} hours by {buses} buses are needed"
            elif not np.isfinite(held).all() or (one.name != "q_kvar" and (held < 0.0).any()):
                yield f"{one.name} must be finite and at least 0 at every hour and bus"
        if self.p_kw.shape == self.q_kvar.shape and ((self.p_kw == 0) & (self.q_kvar != 0)).any():
            yield "q_kvar is not 0 where p_kw is; reactive power follows the active: give both"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Market:
    """Exchange with the main grid at the root, (10), (50)-(54).

    Attributes
    ----------
    price_usd_per_kwh
        (hour,) nominal buying price ``λ``; a negative one would pay for waste, see `faults`.
    sell_share
        Selling over buying price, below 1, which makes the binaries of (50)-(54) needless.
    buy_max_kw, sell_max_kw
        Limits.
    """

    price_usd_per_kwh: FloatArray
    sell_share: float = 0.95
    buy_max_kw: float = np.inf
    sell_max_kw: float = np.inf

    def __post_init__(self) -> None:
        _freeze(self, (-1,))

    def faults(self, hours: int) -> Iterator[str]:
        """Every contradiction, one sentence each."""
        price = self.price_usd_per_kwh
        if len(price) != hours:
            yield f"price_usd_per_kwh has {len(price)} hours; give {hours}"
        if not (np.isfinite(price) & (price >= 0.0)).all():
            yield (
                "price_usd_per_kwh has a value below 0 or not finite; with a negative price the "
                "exchange and storage would need their binaries, and no proof here would hold: "
                "give prices of at least 0"
            )
        if not 0.0 <= self.sell_share < 1.0:
            yield (
                f"sell_share = {self.sell_share:g} must lie in [0, 1): selling at the buying price "
                "or above would be traded in circles"
            )
        for what in ("buy_max_kw", "sell_max_kw"):
            if not getattr(self, what) >= 0.0:
                yield f"{what} = {getattr(self, what):g} must be at least 0"


@dataclass(frozen=True, slots=True, kw_only=True)
class Gas:
    """What CHPs and boilers burn, (11), (18): price of a m³ and its heating value."""

    usd_per_m3: float = 0.0
    kwh_per_m3: float = 10.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Emissions:
    """Price of a tonne, and tonnes per MWh of grid, CHP and boiler, (16)-(17)."""

    usd_per_t: float = 0.0
    grid_t_per_mwh: float = 0.0
    chp_t_per_mwh: float = 0.0
    boiler_t_per_mwh: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Response:
    """Demand response, (12), (55)-(56).

    Attributes
    ----------
    electric_share, heat_share
        Of the hour's nominal load, in [0, 1].
    electric_factor, heat_factor
        ``ω``: pay over the price of the hour, which is uncertain.
    gated
        Whether only live buses are paid; the print pays dark ones too.
    """

    electric_share: float = 0.0
    heat_share: float = 0.0
    electric_factor: float = 1.0
    heat_factor: float = 1.0
    gated: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Crews:
    """``NCrew``, each for one switch in all, and the hours from the outage to a closed switch."""

    count: int = 0
    delay_h: int = 1


@dataclass(frozen=True, slots=True, kw_only=True)
class Budgets:
    """The uncertainty set, (1)-(7).

    Attributes
    ----------
    load_share, price_share
        Largest deviation over nominal.
    load_gamma
        How many hours may deviate, at each bus; whole, from 0 to the number of hours.
    price_gamma
        How many hours' prices may deviate; need not be whole.
    """

    load_share: float = 0.0
    price_share: float = 0.0
    load_gamma: int = 0
    price_gamma: float = 0.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Actions:
    """Which answers to the outage a case has; `CASES` names the paper's four."""

    switching: bool = True
    response: bool = True
    mobile: bool = True


CASES = {
    "I": Actions(switching=False, response=False, mobile=False),
    "II": Actions(switching=True, response=False, mobile=False),
    "III": Actions(switching=True, response=True, mobile=False),
    "IV": Actions(switching=True, response=True, mobile=True),
}
"""The paper's cases of Table 4."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class ResiliencyCase:
    """All that the optimizer knows.

    Raises
    ------
    ScenarioError
        With every contradiction. An island without any source is none: it stays dark.
    """

    name: str
    horizon: Horizon
    network: Network
    outage: Outage
    demand: Demand
    market: Market
    budgets: Budgets
    gas: Gas = field(default_factory=Gas)
    emissions: Emissions = field(default_factory=Emissions)
    response: Response = field(default_factory=Response)
    crews: Crews = field(default_factory=Crews)
    chps: ChpUnits = field(default_factory=ChpUnits)
    boilers: BoilerUnits = field(default_factory=BoilerUnits)
    storages: StorageUnits = field(default_factory=StorageUnits)
    renewables: RenewableUnits = field(default_factory=RenewableUnits)
    mobile: MobileUnits = field(default_factory=MobileUnits)
    actions: Actions = field(default_factory=Actions)

    def __post_init__(self) -> None:
        if not self.renewables.ids:  # a day without any has its hours all the same
            none = RenewableUnits(available_kw=np.zeros((self.horizon.hours, 0)))
            object.__setattr__(self, "renewables", none)
        found = [f"{self.name}: {fault}" for fault in self._faults()]
        if found:
            raise ScenarioError(found)

    def digest(self) -> str:
        """SHA-256 over everything that can change a plan."""
        return content_digest(self)

    @property
    def crews_used(self) -> int:
        """Switches that may be closed: 0 where the case does no switching."""
        return self.crews.count if self.actions.switching else 0

    @property
    def mobile_used(self) -> int:
        """Mobile generators that may be placed: 0 where the case has none."""
        return self.mobile.count if self.actions.mobile else 0

    @property
    def sites(self) -> IntArray:
        """(site,) buses where a mobile generator may stand."""
        if len(self.mobile.sites):
            return self.mobile.sites
        every = np.arange(len(self.network.bus_ids), dtype=np.int64)
        return np.delete(every, self.network.root)

    def _faults(self) -> Iterator[str]:
        hours, ids = self.horizon.hours, self.network.bus_ids
        if hours < 1 or not self.horizon.step_h > 0.0:
            yield f"{hours} hours of {self.horizon.step_h:g} h each; give at least 1 of more than 0"
        yield from self.network.faults()
        if not 1 <= self.outage.hour <= hours:
            yield f"outage hour = {self.outage.hour} must lie in 1 to {hours}, the hours of the day"
        yield from self.demand.faults(hours, len(ids))
        yield from self.market.faults(hours)
        yield from self._share_faults()
        for table in (self.chps, self.boilers, self.storages, self.mobile):
            yield from table.faults(ids)
        yield from self.renewables.faults(ids, hours)
        ties = int(self.network.tie.sum())
        if not 0 <= self.crews.count <= ties or self.crews.delay_h < 0:
            yield (
                f"crews: count = {self.crews.count}, delay_h = {self.crews.delay_h}; there "
                f"{'is 1 switch' if ties == 1 else f'are {ties} switches'}, each crew closes one: "
                f"give 0 to {ties} and a delay of at least 0"
            )
        if self.mobile.count > len(self.sites):
            yield f"{self.mobile.count} mobile generators for {len(self.sites)} sites; one a site"
        yield from self._budget_faults(hours)

    def _share_faults(self) -> Iterator[str]:
        for owner in (self.gas, self.emissions, self.response):
            for one in fields(owner):
                value = getattr(owner, one.name)
                share = one.name.endswith("_share")
                if not 0.0 <= value < np.inf or (share and value > 1.0):
                    where = "lie in [0, 1]" if share else "be at least 0"
                    yield f"{type(owner).__name__.lower()}: {one.name} = {value:g} must {where}"
        if self.gas.kwh_per_m3 == 0.0:
            yield "gas: kwh_per_m3 = 0; give what a m³ holds"

    def _budget_faults(self, hours: int) -> Iterator[str]:
        own = self.budgets
        for what in ("load_share", "price_share"):
            if not 0.0 <= getattr(own, what) <= 1.0:
                yield f"budgets: {what} = {getattr(own, what):g} must lie in [0, 1]"
        for what in ("load_gamma", "price_gamma"):
            if not 0 <= getattr(own, what) <= hours:
                yield f"budgets: {what} = {getattr(own, what):g} must lie in 0 to {hours}"
        if own.load_gamma != int(own.load_gamma):
            yield f"budgets: load_gamma = {own.load_gamma:g} must be whole"


def _freeze(table: object, shape: tuple[int, ...]) -> None:
    for one in fields(table):  # type: ignore[arg-type]
        held = getattr(table, one.name)
        if not isinstance(held, (tuple, float, int)):
            object.__setattr__(table, one.name, frozen(held, float, shape))
