"""A scenario with a day's supply, read as the case that this family plans."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from gridproof.optimizer.resiliency.case import (
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
from gridproof.optimizer.resiliency.units import (
    BoilerUnits,
    ChpUnits,
    MobileUnits,
    RenewableUnits,
    StorageUnits,
)
from gridproof.scenarios.arrays import FloatArray, IntArray, index_of
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.event_faults import event_faults
from gridproof.scenarios.events import EventKind
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.supply import Supply

__all__ = ["ACTS_ON", "case_of", "not_one_line", "positive_sequence"]

ACTS_ON = (EventKind.LINE_FAILS,)
"""Kinds of event that this family plans for: lines that all fail at one hour, for good."""


def case_of(scenario: Scenario, *, squared_voltage: bool = False) -> ResiliencyCase:
    """Read a scenario.

    Switches that stand open are ties, failed lines are damaged; a bus' demand is that of its
    loads, what an interruption costs there their mean by demand.

    Raises
    ------
    ScenarioError
        If the scenario states no supply, has what this family does not know, or contradicts
        itself; every fault.
    """
    found = [f"{scenario.name}: {fault}" for fault in _beyond(scenario)]
    supply = scenario.supply
    if found or supply is None:
        raise ScenarioError(found)
    hours, step_h = len(scenario.hours), float(scenario.duration_h[0])
    outage = round(float(scenario.events.start_h.min()) / step_h) + 1
    return ResiliencyCase(
        name=scenario.name,
        horizon=Horizon(hours=hours, step_h=step_h),
        network=_network(scenario, supply, squared_voltage=squared_voltage),
        outage=Outage(hour=outage),
        demand=_demand(scenario, supply),
        market=Market(
            price_usd_per_kwh=supply.price_usd_per_kwh,
            sell_share=supply.sell_share,
            buy_max_kw=supply.buy_max_kw,
            sell_max_kw=supply.sell_max_kw,
        ),
        budgets=Budgets(
            load_share=float(scenario.uncertainty.spread.max(initial=0.0)),
            price_share=supply.price_share,
            load_gamma=supply.load_gamma,
            price_gamma=supply.price_gamma,
        ),
        gas=Gas(usd_per_m3=supply.gas_usd_per_m3, kwh_per_m3=supply.gas_kwh_per_m3),
        emissions=Emissions(
            usd_per_t=supply.emission_usd_per_t,
            grid_t_per_mwh=supply.grid_t_per_mwh,
            chp_t_per_mwh=supply.chp_t_per_mwh,
            boiler_t_per_mwh=supply.boiler_t_per_mwh,
        ),
        response=Response(
            electric_share=supply.response_share,
            heat_share=supply.heat_response_share,
            electric_factor=supply.response_factor,
            heat_factor=supply.heat_response_factor,
            gated=supply.response_gated,
        ),
        crews=_crews(scenario, outage),
        chps=_chps(scenario),
        boilers=_boilers(scenario, supply),
        storages=_storages(scenario),
        renewables=_renewables(scenario),
        mobile=_mobile(scenario, outage),
    )


def _beyond(scenario: Scenario) -> Iterator[str]:
    """Find what this family would plan past, one sentence each."""
    if scenario.supply is None:
        yield (
            "nothing says what energy and its lack cost over the day; a study states [resiliency]"
        )
        return
    yield from not_one_line(scenario.feeder)
    yield from event_faults(scenario, "resiliency", ACTS_ON)
    events = scenario.events
    if events.empty:
        yield "no line fails, so there is no outage to plan for; name damaged lines"
    elif len(set(events.start_h.tolist())) > 1 or not np.isinf(events.end_h).all():
        yield "lines fail at unlike hours or are mended; this family takes one outage, for good"
    if not scenario.disturbances.empty:
        yield "events take power; this family answers loads within a budget, use policy_mode"
    if len(set(scenario.duration_h.tolist())) > 1:
        yield "steps are of unlike length; give them one"
    box, loads = scenario.uncertainty, scenario.feeder.loads.ids
    if set(box.load_ids) != set(loads) or len(set(box.spread.tolist())) > 1:
        yield 'this family moves every load by one share: set [uncertainty] loads = "all"'
    if not box.even:
        yield "this family moves loads as far down as up: state [uncertainty] spread alone"
    own = scenario.ders.substations
    if own is None or len(own.source_ids) != 1:
        yield "the day begins on the main grid: one substation must feed, [substation] lost = false"


def not_one_line(feeder: Feeder) -> Iterator[str]:
    """Find what a balanced single line leaves out, one sentence each."""
    tables = (("transformer", feeder.transformers.ids), ("capacitor", feeder.capacitors.ids))
    for what, ids in tables:
        if ids:
            yield (
                f"{what} {ids[0]} is in the feeder, which this family's lines leave out; use a "
                f"feeder without a {what}"
            )
    short = np.flatnonzero(~feeder.lines.phases.all(axis=1))
    if len(short):
        yield (
            f"line {feeder.lines.ids[short[0]]} lacks a phase; this family plans balanced lines: "
            "give it three"
        )
    if len(np.unique(np.round(feeder.buses.base_kv, 9))) > 1:
        yield "buses have different voltage bases; this family plans one: use a feeder of one level"


def _network(scenario: Scenario, supply: Supply, *, squared_voltage: bool) -> Network:
    """Read the feeder as a balanced single line: positive-sequence impedances."""
    feeder, lines, grid = scenario.feeder, scenario.feeder.lines, scenario.ders.substations
    assert grid is not None
    damaged = np.zeros(len(lines.ids), bool)
    damaged[scenario.events.element] = True
    root = int(scenario.ders.bus[grid.at[0]])
    return Network(
        bus_ids=feeder.buses.ids,
        line_ids=lines.ids,
        from_bus=lines.from_bus,
        to_bus=lines.to_bus,
        r_ohm=positive_sequence(lines.r_ohm),
        x_ohm=positive_sequence(lines.x_ohm),
        p_max_kw=np.full(len(lines.ids), supply.line_p_max_kw),
        q_max_kvar=np.full(len(lines.ids), supply.line_q_max_kvar),
        tie=lines.switchable & ~lines.closed & ~damaged,
        damaged=damaged,
        base_kv=float(feeder.buses.base_kv[root]) * float(np.sqrt(3.0)),
        root=root,
        root_v_pu=float(grid.v_pu[0]),
        v_min_pu=scenario.limits.v_min_pu,
        v_max_pu=scenario.limits.v_max_pu,
        squared_voltage=squared_voltage,
    )


def positive_sequence(z: FloatArray) -> FloatArray:
    """(line,) positive-sequence value of (line, 3, 3): mean of the own less that of the mutual."""
    own = np.trace(z, axis1=1, axis2=2) / 3.0
    return np.asarray(own - (z.sum(axis=(1, 2)) - 3.0 * own) / 6.0)


def _by_bus(scenario: Scenario, of_load: FloatArray) -> FloatArray:
    """(time, bus) sum of (time, load)."""
    total = np.zeros((len(of_load), len(scenario.feeder.buses.ids)))
    np.add.at(total.T, scenario.feeder.loads.bus, of_load.T)
    return total


def _demand(scenario: Scenario, supply: Supply) -> Demand:
    p_kw = scenario.load_p_kw.sum(axis=2)
    asked = _by_bus(scenario, p_kw)
    heat = _by_bus(scenario, supply.heat_kw)

    def mean(price: FloatArray, weight: FloatArray, whole: FloatArray) -> FloatArray:
        paid = _by_bus(scenario, price * weight)
        return np.divide(paid, whole, out=np.zeros_like(paid), where=whole > 0.0)

    return Demand(
        p_kw=asked,
        q_kvar=_by_bus(scenario, scenario.load_q_kvar.sum(axis=2)),
        heat_kw=heat,
        interruption_usd_per_kwh=mean(supply.interruption_usd_per_kwh, p_kw, asked),
        heat_interruption_usd_per_kwh=mean(
            supply.heat_interruption_usd_per_kwh, supply.heat_kw, heat
        ),
    )


def _crews(scenario: Scenario, outage: int) -> Crews:
    crews = scenario.fleet.crews
    if not crews.ids:
        return Crews(count=0)
    return Crews(count=int(crews.switchings.sum()), delay_h=_rows(scenario, crews.ready_h, outage))


def _rows(scenario: Scenario, ready_h: FloatArray, outage: int) -> int:
    """Hours from the outage until all of them are there."""
    return round(float(ready_h.max()) / float(scenario.duration_h[0])) - (outage - 1)


def _chps(scenario: Scenario) -> ChpUnits:
    own, ders = scenario.fleet.chps, scenario.ders
    at: IntArray = own.der
    ramp = np.full(len(at), np.inf)
    if ders.ramp_kw_per_h is not None:
        ramp = ders.ramp_kw_per_h[at].sum(axis=1)
    p_max = ders.p_max_kw[at].sum(axis=1)
    ramp = np.where(np.isfinite(ramp), ramp, p_max / scenario.duration_h[0])
    return ChpUnits(
        ids=own.ids,
        bus=ders.bus[at],
        p_min_kw=own.least_kw,
        p_max_kw=p_max,
        q_max_kvar=ders.q_max_kvar[at].sum(axis=1),
        running_usd_per_h=own.running_usd_per_h,
        usd_per_kwh=own.fuel_usd_per_kwh,
        start_usd=own.start_usd,
        stop_usd=own.stop_usd,
        ramp_up_kw_per_h=ramp,
        ramp_down_kw_per_h=ramp,
        heat_kw_per_kw=own.heat_kw_per_kw,
        efficiency=own.efficiency,
        on_before=own.runs_before > 0.0,
    )


def _boilers(scenario: Scenario, supply: Supply) -> BoilerUnits:
    own = scenario.fleet.boilers
    return BoilerUnits(
        ids=own.ids,
        bus=own.bus,
        heat_max_kw=own.heat_max_kw,
        efficiency=own.efficiency,
        follows_power=supply.boilers_follow_power,
    )


def _storages(scenario: Scenario) -> StorageUnits:
    own, ders = scenario.fleet.storages, scenario.ders
    full = own.energy_max_kwh
    return StorageUnits(
        ids=own.ids,
        bus=ders.bus[own.der],
        p_max_kw=ders.p_max_kw[own.der].sum(axis=1),
        energy_kwh=full,
        charge_efficiency=own.charge_efficiency,
        discharge_efficiency=own.discharge_efficiency,
        soc_start=own.start_kwh / full,
        soc_min=own.energy_min_kwh / full,
        soc_max=np.ones(len(full)),
        usd_per_kwh=ders.cost_usd_per_kw[own.der] / scenario.duration_h[0],
    )


def _renewables(scenario: Scenario) -> RenewableUnits:
    own = scenario.fleet.renewables
    return RenewableUnits(
        ids=own.ids, bus=scenario.ders.bus[own.der], available_kw=own.available_kw
    )


def _mobile(scenario: Scenario, outage: int) -> MobileUnits:
    own = scenario.fleet.mobile_generators
    if not own.ids:
        return MobileUnits()
    where = index_of(scenario.feeder.buses.ids)
    at = index_of(scenario.ders.ids)[f"mobile_{own.sites[0][0]}"]
    return MobileUnits(
        count=len(own.ids),
        sites=np.array([where[name] for name in own.sites[0]], np.int64),
        p_max_kw=float(own.p_max_kw.min()),
        q_max_kvar=float(own.q_max_kvar.min()),
        usd_per_kwh=float(scenario.ders.cost_usd_per_kw[at] / scenario.duration_h[0]),
        delay_h=_rows(scenario, own.arrives_h, outage),
    )
