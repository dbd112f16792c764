"""A resiliency case on its feeder as a scenario: what every engine and planner reads."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
from gridproof.federation.config.study import SubstationConfig
from gridproof.federation.config.substation_rows import with_substations
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.events import Events
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.resources import (
    Boilers,
    Chps,
    Crews,
    Fleet,
    MobileGenerators,
    Renewables,
    Storages,
)
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box
from gridproof.scenarios.supply import Supply

__all__ = ["resiliency_scenario"]


def resiliency_scenario(
    name: str,
    feeder: Feeder,
    case: ResiliencyCase,
    *,
    limits: Limits,
    rated: bool,
    redispatch_share: float,
) -> Scenario:
    """Put a scenario together.

    Demand, heat and prices of interruption at a bus are parted among its loads by nominal power.
    DERs are the CHPs, storages, renewables, a mobile generator for every site where one may
    stand (a plan's axes cannot depend on where it places them), and the substation last.

    Parameters
    ----------
    name
        The study's.
    feeder
        As its file has it, ratings of the study included.
    case
        On the same buses and lines.
    limits
        What verdicts hold the physics against.
    rated
        Whether the study states a rating of its lines; else a line carries what (36) lets plans
        send over it, at nominal voltage.
    redispatch_share
        Most that a machine is moved once the load is known, of its capacity.
    """
    net, hours = case.network, case.horizon.hours
    lines = feeder.lines
    kva = np.hypot(net.p_max_kw, net.q_max_kvar)
    rating = lines.rating_a if rated else kva / (np.sqrt(3.0) * net.base_kv)
    switched = replace(lines, switchable=net.tie | net.damaged, rating_a=rating)
    own = replace(feeder, lines=switched)
    p_kw, q_kvar = _of_loads(own, case)
    return Scenario(
        name=name,
        feeder=own,
        ders=_ders(own, case, redispatch_share),
        fleet=_fleet(case),
        hours=case.horizon.step_h * np.arange(hours, dtype=float),
        duration_h=np.full(hours, case.horizon.step_h),
        load_p_kw=p_kw,
        load_q_kvar=q_kvar,
        load_model=(LoadModel.CONSTANT_POWER,) * len(feeder.loads.ids),
        uncertainty=Box(load_ids=(), spread=np.zeros(0)),
        limits=limits,
        locked=np.zeros(len(own.switches), bool),
        shed_usd=np.zeros(len(own.blocks.ids)),
        events=Events.failures(
            np.flatnonzero(net.damaged), case.horizon.step_h * (case.outage.hour - 1)
        ),
        supply=_supply(own, case),
        step_labels=tuple(f"hour {k + 1}" for k in range(hours)),
    )


def _share_of_bus(feeder: Feeder) -> FloatArray:
    """(load,) part of its bus' nominal active power; equal parts where there is none."""
    loads = feeder.loads
    own = loads.p_kw.sum(axis=1)
    whole = np.zeros(len(feeder.buses.ids))
    count = np.zeros(len(feeder.buses.ids))
    np.add.at(whole, loads.bus, own)
    np.add.at(count, loads.bus, 1.0)
    asked = whole[loads.bus]
    return np.asarray(
        np.divide(own, asked, out=1.0 / count[loads.bus], where=asked != 0.0), dtype=float
    )


def _of_loads(feeder: Feeder, case: ResiliencyCase) -> tuple[FloatArray, FloatArray]:
    """(time, load, 3) kW and kvar: a bus' demand by its loads and their slots."""
    loads = feeder.loads
    part = _share_of_bus(feeder)
    slots = loads.p_kw / np.maximum(np.abs(loads.p_kw.sum(axis=1, keepdims=True)), 1e-12)
    split = (part[:, None] * slots)[None]
    p_kw, q_kvar = case.demand.p_kw, case.demand.q_kvar
    return p_kw[:, loads.bus, None] * split, q_kvar[:, loads.bus, None] * split


def _ders(feeder: Feeder, case: ResiliencyCase, share: float) -> Ders:
    """CHPs, storages, renewables, mobile generators by site, then the substation."""
    chps, stores, suns, mobile = case.chps, case.storages, case.renewables, case.mobile
    sites = case.sites if case.mobile_used else case.sites[:0]
    ids = [f"mobile_{feeder.buses.ids[bus]}" for bus in sites.tolist()]
    sizes = [len(chps.ids), len(stores.ids), len(suns.ids), len(ids)]

    def column(*parts: Any) -> FloatArray:
        return np.concatenate([np.broadcast_to(p, n) for p, n in zip(parts, sizes, strict=True)])

    best = suns.available_kw.max(axis=0, initial=0.0) if suns.ids else np.zeros(0)
    p_max = column(chps.p_max_kw, stores.p_max_kw, best, mobile.p_max_kw)
    q_max = column(chps.q_max_kvar, 0.0, 0.0, mobile.q_max_kvar)
    step_h = case.horizon.step_h
    cost = step_h * column(chps.usd_per_kwh, stores.usd_per_kwh, 0.0, mobile.usd_per_kwh)

    def phases(total: FloatArray) -> FloatArray:
        return np.repeat(total[:, None] / 3.0, 3, axis=1)

    made = Ders(
        ids=(*chps.ids, *stores.ids, *suns.ids, *ids),
        bus=np.concatenate([chps.bus, stores.bus, suns.bus, sites]),
        phases=np.ones((len(p_max), 3), bool),
        p_min_kw=phases(column(0.0, -stores.p_max_kw, 0.0, 0.0)),
        p_max_kw=phases(p_max),
        q_min_kvar=phases(-q_max),
        q_max_kvar=phases(q_max),
        s_max_kva=np.full((len(p_max), 3), np.inf),
        ramp_kw=phases(column(share, 0.0, 1.0, share) * p_max),
        ramp_kvar=phases(2.0 * q_max),
        cost_usd_per_kw=cost,
        redispatch_cost_usd_per_kw=cost,
        can_form=column(True, False, False, True).astype(bool),
        ramp_kw_per_h=phases(column(chps.ramp_up_kw_per_h, np.inf, np.inf, np.inf)),
    )
    return with_substations(made, feeder, np.arange(len(feeder.sources.ids)), SubstationConfig())


def _fleet(case: ResiliencyCase) -> Fleet:
    """Rows of `_ders` by position: CHPs first, then storages, then renewables."""
    stores, suns = case.storages, case.renewables
    first, full = len(case.chps.ids), stores.energy_kwh
    mobile, crews = _outage_answers(case)
    return Fleet(
        storages=Storages(
            ids=stores.ids,
            der=first + np.arange(len(stores.ids)),
            energy_max_kwh=full * stores.soc_max,
            energy_min_kwh=full * stores.soc_min,
            start_kwh=full * stores.soc_start,
            charge_efficiency=stores.charge_efficiency,
            discharge_efficiency=stores.discharge_efficiency,
            end_min_kwh=full * stores.soc_min,
        ),
        renewables=Renewables(
            ids=suns.ids,
            der=first + len(stores.ids) + np.arange(len(suns.ids)),
            available_kw=suns.available_kw,
            spread=np.zeros(len(suns.ids)),
        ),
        chps=_chps(case),
        boilers=_boilers(case),
        mobile_generators=mobile,
        crews=crews,
    )


def _chps(case: ResiliencyCase) -> Chps:
    own = case.chps
    count = len(own.ids)
    return Chps(
        ids=own.ids,
        der=np.arange(count),
        running_usd_per_h=own.running_usd_per_h,
        fuel_usd_per_kwh=own.usd_per_kwh,
        start_usd=own.start_usd,
        stop_usd=own.stop_usd,
        minimum_up_h=np.zeros(count),
        heat_kw_per_kw=own.heat_kw_per_kw,
        efficiency=own.efficiency,
        least_kw=own.p_min_kw,
        runs_before=own.on_before.astype(float),
    )


def _boilers(case: ResiliencyCase) -> Boilers:
    own, gas = case.boilers, case.gas
    return Boilers(
        ids=own.ids,
        bus=own.bus,
        heat_max_kw=own.heat_max_kw,
        efficiency=own.efficiency,
        fuel_usd_per_kwh=np.full(len(own.ids), gas.usd_per_m3 / gas.kwh_per_m3),
    )


def _outage_answers(case: ResiliencyCase) -> tuple[MobileGenerators, Crews]:
    """Read what is not there before the outage: generators that are driven up, and crews."""
    ids, mobile, step_h = case.network.bus_ids, case.mobile, case.horizon.step_h
    units, crews = case.mobile_used, case.crews_used
    start_h = step_h * (case.outage.hour - 1)
    return MobileGenerators(
        ids=tuple(f"generator{k + 1}" for k in range(units)),
        sites=(tuple(ids[bus] for bus in case.sites.tolist()),) * units,
        p_max_kw=np.full(units, mobile.p_max_kw),
        q_max_kvar=np.full(units, mobile.q_max_kvar),
        arrives_h=np.full(units, start_h + step_h * mobile.delay_h),
    ), Crews(
        ids=tuple(f"crew{k + 1}" for k in range(crews)),
        switchings=np.ones(crews),
        ready_h=np.full(crews, start_h + step_h * case.crews.delay_h),
    )


def _supply(feeder: Feeder, case: ResiliencyCase) -> Supply:
    loads, asked = feeder.loads, case.demand
    own, market = case.response if case.actions.response else None, case.market
    return Supply(
        price_usd_per_kwh=market.price_usd_per_kwh,
        price_share=case.budgets.price_share,
        price_gamma=case.budgets.price_gamma,
        load_gamma=case.budgets.load_gamma,
        sell_share=market.sell_share,
        buy_max_kw=market.buy_max_kw,
        sell_max_kw=market.sell_max_kw,
        line_p_max_kw=float(case.network.p_max_kw.max()),
        line_q_max_kvar=float(case.network.q_max_kvar.max()),
        heat_kw=asked.heat_kw[:, loads.bus] * _share_of_bus(feeder),
        interruption_usd_per_kwh=asked.interruption_usd_per_kwh[:, loads.bus],
        heat_interruption_usd_per_kwh=asked.heat_interruption_usd_per_kwh[:, loads.bus],
        response_share=own.electric_share if own else 0.0,
        heat_response_share=own.heat_share if own else 0.0,
        response_factor=case.response.electric_factor,
        heat_response_factor=case.response.heat_factor,
        response_gated=case.response.gated,
        boilers_follow_power=case.boilers.follows_power,
        gas_usd_per_m3=case.gas.usd_per_m3,
        gas_kwh_per_m3=case.gas.kwh_per_m3,
        emission_usd_per_t=case.emissions.usd_per_t,
        grid_t_per_mwh=case.emissions.grid_t_per_mwh,
        chp_t_per_mwh=case.emissions.chp_t_per_mwh,
        boiler_t_per_mwh=case.emissions.boiler_t_per_mwh,
    )
