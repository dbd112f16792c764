"""From a declared day with an outage, and what is asked of it, to a case.

Bus by bus and hour by hour: ``d_it = p_scale · P_i · profile_k(i),t``, reactive power at the bus'
own ratio, heat ``share · peak`` with its own profile; an interruption costs what the customer's
type says times the factor of the hour.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import numpy as np
from gridproof.federation.config.resiliency_day import Instance
from gridproof.federation.config.study_file import did_you_mean
from gridproof.optimizer.resiliency.case import (
    CASES,
    Budgets,
    Crews,
    Demand,
    Emissions,
    Gas,
    Horizon,
    Market,
    Outage,
    ResiliencyCase,
    Response,
)
from gridproof.optimizer.resiliency.network import Network
from gridproof.optimizer.resiliency.of_scenario import not_one_line, positive_sequence
from gridproof.optimizer.resiliency.units import (
    BoilerUnits,
    ChpUnits,
    MobileUnits,
    RenewableUnits,
    StorageUnits,
)
from gridproof.scenarios.arrays import FloatArray, IntArray, index_of
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.feeder import Feeder

__all__ = ["Asked", "resiliency_case"]

_KWH = 1e-3  # of a MWh


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """What one row asks of the instance.

    Attributes
    ----------
    case
        I to IV, a key of `CASES`.
    crews, mobile
        How many switches may be closed, and generators placed.
    gamma
        Hours that may deviate at each bus, and hours of the price.
    outage_hour
        From 1.
    gated
        Whether demand response is paid to live buses alone; as the instance says if None.
    """

    case: str = "IV"
    crews: int = 2
    mobile: int = 2
    gamma: int = 24
    outage_hour: int = 13
    gated: bool | None = None


def resiliency_case(instance: Instance, asked: Asked, feeder: Feeder) -> ResiliencyCase:
    """Put a case together.

    Raises
    ------
    ConfigError
        If the instance names a bus or a line that the feeder does not have; every fault.
    ScenarioError
        If the pieces contradict each other; every fault.
    """
    faults = _unknown(instance, feeder)
    if faults:
        raise ConfigError(faults)
    prices, hours = instance.prices, len(instance.prices.electricity_usd_per_mwh)
    answers, response = instance.answers, instance.response
    demand = _demand(instance, feeder)
    return ResiliencyCase(
        name=f"case {asked.case}",
        horizon=Horizon(hours=hours),
        network=_network(instance, feeder),
        outage=Outage(hour=asked.outage_hour),
        demand=demand,
        market=_market(instance),
        budgets=Budgets(
            load_share=instance.uncertainty.load_share,
            price_share=instance.uncertainty.price_share,
            load_gamma=asked.gamma,
            price_gamma=asked.gamma,
        ),
        gas=Gas(usd_per_m3=prices.gas_usd_per_m3, kwh_per_m3=prices.gas_kwh_per_m3),
        emissions=_emissions(instance),
        response=Response(
            electric_share=response.electric_share,
            heat_share=response.heat_share,
            electric_factor=response.electric_factor,
            heat_factor=response.heat_factor,
            gated=response.gated if asked.gated is None else asked.gated,
        ),
        crews=Crews(count=asked.crews, delay_h=answers.switch_delay_h),
        chps=_chps(instance, feeder),
        boilers=_boilers(instance, feeder, demand),
        storages=_storages(instance, feeder),
        renewables=_renewables(instance, feeder),
        mobile=MobileUnits(
            count=asked.mobile,
            p_max_kw=instance.mobile.p_max_kw,
            q_max_kvar=instance.mobile.q_max_kvar,
            usd_per_kwh=instance.mobile.usd_per_mwh * _KWH,
            delay_h=answers.mobile_delay_h,
        ),
        actions=CASES[asked.case],
    )


def _market(instance: Instance) -> Market:
    own = instance.prices
    return Market(
        price_usd_per_kwh=np.array(own.electricity_usd_per_mwh) * _KWH,
        sell_share=own.sell_share,
        buy_max_kw=own.buy_max_kw,
        sell_max_kw=own.sell_max_kw,
    )


def _emissions(instance: Instance) -> Emissions:
    own = instance.prices
    return Emissions(
        usd_per_t=own.emission_usd_per_t,
        grid_t_per_mwh=own.emission_grid_t_per_mwh,
        chp_t_per_mwh=own.emission_chp_t_per_mwh,
        boiler_t_per_mwh=own.emission_boiler_t_per_mwh,
    )


def _unknown(instance: Instance, feeder: Feeder) -> list[str]:
    """Find every bus and line that the feeder does not have."""
    buses: dict[str, Iterable[str]] = {
        "chps.buses": instance.chps.buses,
        "storages.buses": instance.storages.buses,
        "heat.peak_kw": instance.heat.peak_kw,
        **{f"customers.{key}.buses": one.buses for key, one in instance.customers.items()},
        **{f"renewables.{key}.buses": one.buses for key, one in instance.renewables.items()},
    }
    lines = {"feeder.ties": instance.feeder.ties, "feeder.damaged": instance.feeder.damaged}
    faults = [f"feeder {feeder.name}: {one}" for one in not_one_line(feeder)]
    faults += [
        f"[instance] {place} = {name!r} is not a {what} of feeder {feeder.name}; "
        f"{did_you_mean(name, known, f'{what}{plural}')}"
        for what, plural, known, named in (
            ("bus", "es", feeder.buses.ids, buses),
            ("line", "s", feeder.lines.ids, lines),
        )
        for place, names in named.items()
        for name in names
        if name not in known
    ]
    faults += [
        f"[instance] {place} names {name!r} more than once; name it once"
        for place, names in (*buses.items(), *lines.items())
        for name, times in Counter(tuple(names)).items()
        if times > 1
    ]
    asking = {feeder.buses.ids[at] for at in feeder.loads.bus.tolist()}
    typed = {bus for one in instance.customers.values() for bus in one.buses}
    for bus in sorted(asking - typed):
        faults.append(
            f"[instance.customers] no type has bus {bus}, which has load; name it in one of them"
        )
    return faults


def _at(feeder: Feeder, names: Sequence[str]) -> IntArray:
    where = index_of(feeder.buses.ids)
    return np.array([where[name] for name in names], np.int64)


def _network(instance: Instance, feeder: Feeder) -> Network:
    """Read the feeder as a balanced single line: positive-sequence impedances."""
    own, lines = instance.feeder, feeder.lines
    return Network(
        bus_ids=feeder.buses.ids,
        line_ids=lines.ids,
        from_bus=lines.from_bus,
        to_bus=lines.to_bus,
        r_ohm=positive_sequence(lines.r_ohm),
        x_ohm=positive_sequence(lines.x_ohm),
        p_max_kw=np.full(len(lines.ids), own.line_p_max_kw),
        q_max_kvar=np.full(len(lines.ids), own.line_q_max_kvar),
        tie=np.isin(lines.ids, own.ties),
        damaged=np.isin(lines.ids, own.damaged),
        base_kv=float(feeder.buses.base_kv[feeder.sources.bus[0]]) * float(np.sqrt(3.0)),
        root=int(feeder.sources.bus[0]),
        root_v_pu=own.root_v_pu,
        v_min_pu=own.v_min_pu,
        v_max_pu=own.v_max_pu,
    )


def _demand(instance: Instance, feeder: Feeder) -> Demand:
    buses, hours = len(feeder.buses.ids), len(instance.prices.electricity_usd_per_mwh)
    base_p, base_q = np.zeros(buses), np.zeros(buses)
    np.add.at(base_p, feeder.loads.bus, instance.feeder.p_scale * feeder.loads.p_kw.sum(axis=1))
    np.add.at(base_q, feeder.loads.bus, instance.feeder.q_scale * feeder.loads.q_kvar.sum(axis=1))
    profile = np.zeros((hours, buses))
    electric, thermal = np.zeros(buses), np.zeros(buses)
    customer = [""] * buses
    for kind, one in instance.customers.items():
        at = _at(feeder, one.buses)
        profile[:, at] = np.array(one.profile)[:, None]
        electric[at], thermal[at] = one.electric_usd_per_kwh, one.heat_usd_per_kwh
        for k in at.tolist():
            customer[k] = kind
    heat_peak = instance.heat.share_of_electric * (base_p * profile).max(axis=0)
    large = instance.heat.peak_kw
    heat_peak[_at(feeder, tuple(large))] = tuple(large.values())
    factor = np.array(instance.prices.interruption_hour_factor)[:, None]
    return Demand(
        p_kw=base_p * profile,
        q_kvar=base_q * profile,
        heat_kw=heat_peak * np.array(instance.heat.profile)[:, None],
        interruption_usd_per_kwh=factor * electric,
        heat_interruption_usd_per_kwh=factor * thermal,
        customer=tuple(customer),
    )


def _chps(instance: Instance, feeder: Feeder) -> ChpUnits:
    own = instance.chps
    p_max = np.array(own.p_max_kw)
    every = np.ones(len(own.buses))
    return ChpUnits(
        ids=tuple(f"chp{bus}" for bus in own.buses),
        bus=_at(feeder, own.buses),
        p_min_kw=own.p_min_share * p_max,
        p_max_kw=p_max,
        q_max_kvar=np.array(own.q_max_kvar),
        running_usd_per_h=np.array(own.running_usd_per_h),
        usd_per_kwh=np.array(own.usd_per_mwh) * _KWH,
        start_usd=own.start_usd * every,
        stop_usd=own.stop_usd * every,
        ramp_up_kw_per_h=own.ramp_kw_per_h * every,
        ramp_down_kw_per_h=own.ramp_kw_per_h * every,
        heat_kw_per_kw=own.heat_kw_per_kw * every,
        efficiency=own.efficiency * every,
        on_before=np.full(len(every), own.on_before),
    )


def _boilers(instance: Instance, feeder: Feeder, demand: Demand) -> BoilerUnits:
    """One at every bus that asks for heat, as large as it needs: the print has no limit."""
    at = np.flatnonzero(demand.heat_kw.max(axis=0) > 0.0)
    return BoilerUnits(
        ids=tuple(f"boiler{feeder.buses.ids[k]}" for k in at.tolist()),
        bus=at,
        heat_max_kw=np.full(len(at), np.inf),
        efficiency=np.full(len(at), instance.heat.boiler_efficiency),
        follows_power=instance.heat.follows_power,
    )


def _storages(instance: Instance, feeder: Feeder) -> StorageUnits:
    own = instance.storages
    every = np.ones(len(own.buses))
    return StorageUnits(
        ids=tuple(f"store{bus}" for bus in own.buses),
        bus=_at(feeder, own.buses),
        p_max_kw=own.p_max_kw * every,
        energy_kwh=own.energy_kwh * every,
        charge_efficiency=own.charge_efficiency * every,
        discharge_efficiency=own.discharge_efficiency * every,
        soc_start=own.soc_start * every,
        soc_min=own.soc_min * every,
        soc_max=own.soc_max * every,
        usd_per_kwh=own.usd_per_mwh * _KWH * every,
    )


def _renewables(instance: Instance, feeder: Feeder) -> RenewableUnits:
    ids: list[str] = []
    at: list[IntArray] = []
    available: list[FloatArray] = []
    for kind, own in instance.renewables.items():
        ids += [f"{kind}{bus}" for bus in own.buses]
        at.append(_at(feeder, own.buses))
        available.append(np.outer(own.profile, own.p_max_kw))
    if not ids:
        return RenewableUnits()
    return RenewableUnits(
        ids=tuple(ids), bus=np.concatenate(at), available_kw=np.concatenate(available, axis=1)
    )
