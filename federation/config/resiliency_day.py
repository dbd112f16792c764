"""A day of a feeder with an outage, as a table of its own: what the resiliency family reads.

A study names such a file in ``[resiliency] day``; the resiliency publication's instance is one.
"""

from __future__ import annotations

from typing import Annotated

from gridproof.federation.config.base import Id, Ids, Money, Section, Share
from pydantic import Field, model_validator

__all__ = ["Instance"]

Numbers = Annotated[tuple[float, ...], Field(strict=False)]
Prices = Annotated[tuple[Money, ...], Field(strict=False)]
Profile = Annotated[tuple[Annotated[float, Field(ge=0.0)], ...], Field(strict=False)]


class FeederPart(Section):
    """The feeder, its scale, and what an outage takes and crews may close."""

    path: str
    root_v_pu: float
    v_min_pu: float
    v_max_pu: float
    line_p_max_kw: float
    line_q_max_kvar: float
    p_scale: float
    q_scale: float
    ties: Ids
    damaged: Ids


class UncertaintyPart(Section):
    """Largest deviations, (1)-(7); the budgets are the rows'."""

    load_share: Share
    price_share: Share


class AnswersPart(Section):
    """Hours from the outage until a closed switch and a placed generator act."""

    switch_delay_h: int
    mobile_delay_h: int


class PricesPart(Section):
    """Prices of energy, gas and emissions, and how an interruption's price goes with the hour."""

    electricity_usd_per_mwh: Numbers
    sell_share: float
    buy_max_kw: float
    sell_max_kw: float
    gas_usd_per_m3: float
    gas_kwh_per_m3: float
    emission_usd_per_t: float
    emission_grid_t_per_mwh: float
    emission_chp_t_per_mwh: float
    emission_boiler_t_per_mwh: float
    interruption_hour_factor: Profile


class CustomerPart(Section):
    """A type of customer: what an interruption costs it, its profile, and its buses."""

    electric_usd_per_kwh: Money
    heat_usd_per_kwh: Money
    profile: Profile
    buses: Ids


class HeatPart(Section):
    """Heat loads and the boilers at every bus that has one."""

    share_of_electric: float
    boiler_efficiency: float
    follows_power: bool
    profile: Profile
    peak_kw: dict[Id, float] = Field(default_factory=dict)


class ResponsePart(Section):
    """Demand response, (12), (55)-(56)."""

    electric_share: Share
    heat_share: Share
    electric_factor: float
    heat_factor: float
    gated: bool = False


class ChpsPart(Section):
    """CHPs: the publication's Table 3, one column each."""

    buses: Ids
    p_max_kw: Numbers
    q_max_kvar: Numbers
    p_min_share: float
    running_usd_per_h: Prices
    usd_per_mwh: Prices
    start_usd: Money
    stop_usd: Money
    ramp_kw_per_h: float
    heat_kw_per_kw: float
    efficiency: float
    on_before: bool


class StoragesPart(Section):
    """Storages, all alike."""

    buses: Ids
    p_max_kw: float
    energy_kwh: float
    charge_efficiency: float
    discharge_efficiency: float
    soc_start: float
    soc_min: float
    soc_max: float
    usd_per_mwh: Money


class RenewablesPart(Section):
    """Wind or sun: one profile, a rating at each bus."""

    buses: Ids
    p_max_kw: Numbers
    profile: Profile


class MobilePart(Section):
    """Mobile generators, all alike; how many there are is the rows'."""

    p_max_kw: float
    q_max_kvar: float
    usd_per_mwh: Money


class Instance(Section):
    """The declared instance: all that every row of the tables shares."""

    feeder: FeederPart
    uncertainty: UncertaintyPart
    answers: AnswersPart
    prices: PricesPart
    customers: dict[str, CustomerPart]
    heat: HeatPart
    response: ResponsePart
    chps: ChpsPart
    storages: StoragesPart
    renewables: dict[str, RenewablesPart]
    mobile: MobilePart

    @model_validator(mode="after")
    def _hours_agree(self) -> Instance:
        hours = len(self.prices.electricity_usd_per_mwh)
        lists = {
            "prices.interruption_hour_factor": self.prices.interruption_hour_factor,
            "heat.profile": self.heat.profile,
            **{f"customers.{key}.profile": one.profile for key, one in self.customers.items()},
            **{f"renewables.{key}.profile": one.profile for key, one in self.renewables.items()},
        }
        for place, held in lists.items():
            if len(held) != hours:
                raise ValueError(
                    f"{place} has {len(held)} hours, prices.electricity_usd_per_mwh {hours}; "
                    "give one entry an hour"
                )
        return self

    @model_validator(mode="after")
    def _one_for_each_bus(self) -> Instance:
        own = self.chps
        lists = {
            f"chps.{key}": (getattr(own, key), own.buses)
            for key in ("p_max_kw", "q_max_kvar", "running_usd_per_h", "usd_per_mwh")
        }
        for key, one in self.renewables.items():
            lists[f"renewables.{key}.p_max_kw"] = (one.p_max_kw, one.buses)
        for place, (held, buses) in lists.items():
            if len(held) != len(buses):
                raise ValueError(f"{place} has {len(held)} entries for {len(buses)} buses")
        seen: dict[str, str] = {}
        for kind, customer in self.customers.items():
            for bus in customer.buses:
                if bus in seen:
                    raise ValueError(f"bus {bus} is of customers.{seen[bus]} and of {kind}; of one")
                seen[bus] = kind
        return self
