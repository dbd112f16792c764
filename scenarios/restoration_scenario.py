"""Scenarios in which lines fail: made of a feeder and its devices, and with other failures.

The engines know one kind of root, a grid-forming DER; a substation is one without a limit. The
feeder's switches are the lines that move, so a block is what no moving line parts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
from gridproof.scenarios.arrays import FloatArray, index_of
from gridproof.scenarios.devices import LineDevices
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.events import Events
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.prices import BusPrices, Prices, Unit
from gridproof.scenarios.restoration import PHASE_NAMES
from gridproof.scenarios.restoration_faults import restoration_faults
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box

__all__ = ["restoration_scenario", "rewired", "weighted_prices", "with_failures"]

_AMPLE = 10.0  # times the whole demand: a substation's transformers are not part of the study


def weighted_prices(
    *,
    alpha: float = 10.0,
    beta: float = 0.1,
    unserved: float = 0.5,
    lost_bus: float = 1.0,
    switching: float = 0.1,
) -> Prices:
    """Weigh what is lost as objective (2) of the restoration paper does; its weights by default.

    Parameters
    ----------
    alpha, beta
        Weight of losses (power and nodes) and of switching.
    unserved
        ``C_ns``, per MW of load not supplied in one phase; the paper states no unit.
    lost_bus
        ``C_e``, per bus in the damaged zone in one phase.
    switching
        ``C_sw``, per change of a line's state.
    """
    return Prices(
        unit=Unit.POINTS,
        unserved_per_mw=alpha * unserved,
        lost_bus=alpha * lost_bus,
        switching=beta * switching,
    )


def restoration_scenario(
    name: str,
    feeder: Feeder,
    devices: LineDevices,
    failed: Sequence[str] = (),
    *,
    buried: int = 0,
    ders: Ders | None = None,
    limits: Limits | None = None,
    prices: Prices | None = None,
    bus_prices: BusPrices | None = None,
    uncertainty: Box | None = None,
    load_model: tuple[LoadModel, ...] | None = None,
    draws_per_phase: bool = False,
) -> Scenario:
    """Make the scenario of a network in which lines fail, one step a phase.

    Parameters
    ----------
    feeder
        Every line's ``closed`` is its state before the event; its switches are taken from the
        devices, whatever it says of them.
    devices
        What each line is and how it is switched.
    failed, buried
        Ids of the failed lines; the first ``buried`` are made remote cables.
    ders
        Of these, those that can form may carry an island at t = 3.
    prices
        What a loss is worth; `weighted_prices` if left out.
    bus_prices
        What a loss is worth bus by bus; the same of all if left out.
    uncertainty
        Which loads move, and how far; none if left out.
    load_model
        Of each load; the feeder file's if left out.
    draws_per_phase
        Whether realizations move each slot of a load on its own.

    Raises
    ------
    ScenarioError
        With every contradiction between the pieces.
    """
    steps, loads = len(PHASE_NAMES), feeder.loads
    none = Box(load_ids=(), spread=np.zeros(0))
    own = _switched(feeder, devices) if devices.line_ids == feeder.lines.ids else feeder
    bare = Scenario(
        name=name,
        feeder=own,
        ders=_sources(name, own, ders),
        hours=np.arange(float(steps)),
        load_p_kw=np.repeat(loads.p_kw[None], steps, axis=0),
        load_q_kvar=np.repeat(loads.q_kvar[None], steps, axis=0),
        load_model=loads.model if load_model is None else load_model,
        uncertainty=none if uncertainty is None else uncertainty,
        limits=Limits() if limits is None else limits,
        locked=np.zeros(len(own.switches), bool),
        shed_usd=np.zeros(len(own.blocks.ids)),
        draws_per_phase=draws_per_phase,
        devices=devices,
        prices=weighted_prices() if prices is None else prices,
        bus_prices=bus_prices,
        step_labels=PHASE_NAMES,
    )
    return with_failures(bare, failed, buried=buried)


def with_failures(scenario: Scenario, line_ids: Sequence[str], *, buried: int = 0) -> Scenario:
    """Let other lines fail in the same network; the first ``buried`` are made remote cables.

    A line that fails does so from the first hour after the start on. Only kind and devices of
    buried lines change, not impedances, so that scenarios differ in switching alone.

    Raises
    ------
    ScenarioError
        If a failure names a line the feeder does not have; with every contradiction.
    """
    feeder, devices = scenario.feeder, scenario.devices
    assert devices is not None  # a scenario of `restoration_scenario`
    where = index_of(feeder.lines.ids)
    unknown = [name for name in line_ids if name not in where]
    if unknown:
        raise ScenarioError(
            [f"{scenario.name}: failures: line {k!r} is not in the feeder; name one that is"
             for k in unknown]
        )  # fmt: skip
    failed = np.array([where[name] for name in line_ids], np.int64)
    events = Events.failures(failed, start_h=float(scenario.hours[1]))
    if buried:
        scenario = rewired(scenario, devices.buried(failed[:buried]))
    made = replace(scenario, events=events)
    faults = restoration_faults(made)
    if faults:
        raise ScenarioError(faults)
    return made


def rewired(scenario: Scenario, devices: LineDevices) -> Scenario:
    """Let lines be switched otherwise; the feeder's switches and blocks follow."""
    feeder = _switched(scenario.feeder, devices)
    return replace(
        scenario,
        feeder=feeder,
        devices=devices,
        locked=np.zeros(len(feeder.switches), bool),
        shed_usd=np.zeros(len(feeder.blocks.ids)),
    )


def _switched(feeder: Feeder, devices: LineDevices) -> Feeder:
    """Return the feeder with the lines that move, and no others, as its switches."""
    return replace(feeder, lines=replace(feeder.lines, switchable=devices.moving))


def _sources(name: str, feeder: Feeder, own: Ders | None) -> Ders:
    """Substations without a limit, then the generators that can carry an island."""
    sources = feeder.sources
    demand = np.zeros(len(feeder.buses.ids))
    np.add.at(demand, feeder.loads.bus, feeder.loads.p_kw.sum(axis=1))
    total = _AMPLE * demand.sum()
    count = len(sources.ids)
    ids = tuple(feeder.buses.ids[i] for i in sources.bus)
    buses = [sources.bus]
    ample, endless = np.full((count, 3), total), np.full((count, 3), np.inf)
    columns: dict[str, list[FloatArray]] = {
        "p_max_kw": [ample], "q_max_kvar": [ample], "s_max_kva": [endless]
    }  # fmt: skip
    factors, curves = None, None  # which this family does not hold, and so refuses
    if own is not None and own.can_form.any():
        which = np.flatnonzero(own.can_form)
        if own.q_per_p is not None:
            factors = np.concatenate([np.full(count, np.inf), own.q_per_p[which]])
        curves = None if own.curves is None else own.curves.taken(which, count)
        ids += tuple(own.ids[k] for k in which)
        buses.append(own.bus[which])
        for column, parts in columns.items():
            parts.append(getattr(own, column)[which])
    if len(set(ids)) < len(ids):
        twice = next(one for one in ids if ids.count(one) > 1)
        raise ScenarioError(
            f"{name}: DER {twice} has the name of a substation's bus; give it another"
        )
    p, q, s = (np.concatenate(parts) for parts in columns.values())
    size = len(ids)
    return Ders(
        ids=ids,
        bus=np.concatenate(buses),
        phases=np.ones((size, 3), bool),
        p_min_kw=np.zeros((size, 3)),
        p_max_kw=p,
        q_min_kvar=-q,
        q_max_kvar=q,
        s_max_kva=s,
        ramp_kw=p,
        ramp_kvar=q,
        cost_usd_per_kw=np.zeros(size),
        redispatch_cost_usd_per_kw=np.zeros(size),
        can_form=np.ones(size, bool),
        q_per_p=factors,
        curves=curves,
    )
