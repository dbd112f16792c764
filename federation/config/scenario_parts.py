"""From a study's sections to the values they state: the fleet, the limits."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gridproof.federation.config.ders import DerConfig, DersConfig
from gridproof.federation.config.study import LimitsConfig
from gridproof.scenarios.arrays import PHASES, FloatArray, index_of
from gridproof.scenarios.curves import Curves
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits, VoltageTest
from gridproof.scenarios.resources import Fleet, Renewables, Storages

__all__ = ["ders_of", "fleet_of", "limits_of", "phases_short"]


def ders_of(config: DersConfig, feeder: Feeder) -> Ders:
    """Return the fleet of a study; every DER stands at a bus of the feeder.

    A DER that lacks a phase follows, whatever the defaults say.
    """
    position = index_of(feeder.buses.ids)
    rows: list[DerConfig] = [der.resolved(config.defaults) for der in config.fleet.values()]
    phases = np.array([[p in (row.phases or "") for p in PHASES] for row in rows], bool)
    phases = phases.reshape(len(rows), 3)
    total = np.array([row.capacity_kw for row in rows])
    p_max = phases * (total / phases.sum(axis=1))[:, None]
    each = phases / phases.sum(axis=1, keepdims=True)
    least_q, most_q = _reactive(rows, p_max, each)
    stored = np.array([row.storage is not None for row in rows], bool)[:, None]
    kept = [row.storage is not None and row.storage.schedule_kw is not None for row in rows]
    ramp = p_max * np.array([row.ramp for row in rows], float)[:, None]
    per_h = np.array([row.ramp_per_h or np.inf for row in rows], float)
    step = np.where(p_max > 0.0, p_max, 1.0) * per_h[:, None]
    least = each * np.array([row.minimum_kw for row in rows])[:, None]
    rating = np.array([row.rating_kva or np.inf for row in rows])
    unlike = np.array([row.unlike_phases for row in rows], bool)
    kva = np.where(phases, rating[:, None] / phases.sum(axis=1, keepdims=True), np.inf)
    widest, lowest = p_max.copy(), np.where(stored, -p_max, least)
    widest[unlike], lowest[unlike] = np.where(phases, kva, 0.0)[unlike], 0.0
    return Ders(
        ids=tuple(config.fleet),
        bus=np.array([position[row.bus] for row in rows], int),
        phases=phases,
        p_min_kw=lowest,
        p_max_kw=widest,
        q_min_kvar=least_q,
        q_max_kvar=most_q,
        s_max_kva=kva,
        ramp_kw=np.where(np.array(kept, bool)[:, None], 0.0, ramp),  # a schedule is kept
        ramp_kvar=ramp,
        cost_usd_per_kw=np.array([row.cost_usd_per_kw for row in rows], float),
        redispatch_cost_usd_per_kw=np.array(
            [row.redispatch_cost_usd_per_kw for row in rows], float
        ),
        can_form=np.array([row.can_form and not phases_short(row) for row in rows], bool),
        ramp_kw_per_h=None if np.isinf(per_h).all() else np.where(p_max > 0.0, step, np.inf),
        total_min_kw=np.where(stored[:, 0], -total, [row.minimum_kw for row in rows])
        if unlike.any()
        else None,
        total_max_kw=total if unlike.any() else None,
        reserve_up_usd_per_kw=_prices([row.reserve_up_usd_per_kw for row in rows]),
        reserve_down_usd_per_kw=_prices([row.reserve_down_usd_per_kw for row in rows]),
        q_per_p=_turned([row.power_factor for row in rows]),
        curves=_curves(rows),
        balanced=np.array([row.balanced for row in rows], bool)
        if any(row.balanced for row in rows)
        else None,
    )


def _reactive(
    rows: Sequence[DerConfig], p_max: FloatArray, each: FloatArray
) -> tuple[FloatArray, FloatArray]:
    """(der, 3) least and most reactive power: a share of capacity, or the ends of a curve."""
    limit = np.array([row.reactive_limit or 0.0 for row in rows], float)
    low, high = -p_max * limit[:, None], p_max * limit[:, None]
    for k, row in enumerate(rows):
        if row.capability is not None:
            low[k] = min(one.q_min_kvar for one in row.capability) * each[k]
            high[k] = max(one.q_max_kvar for one in row.capability) * each[k]
    return low, high


def _curves(rows: Sequence[DerConfig]) -> Curves | None:
    """Return the capability curves; None where no DER states one."""
    points = [(k, one) for k, row in enumerate(rows) for one in row.capability or ()]
    if not points:
        return None
    return Curves(
        der=np.array([k for k, _ in points], np.int64),
        p_kw=np.array([one.p_kw for _, one in points]),
        q_min_kvar=np.array([one.q_min_kvar for _, one in points]),
        q_max_kvar=np.array([one.q_max_kvar for _, one in points]),
    )


def _turned(factors: Sequence[float | None]) -> FloatArray | None:
    """Return the most reactive power for each kW; None where no power factor is stated."""
    if all(one is None for one in factors):
        return None
    return np.array([np.inf if one is None else np.tan(np.arccos(one)) for one in factors])


def fleet_of(config: DersConfig) -> Fleet:
    """Return what stands behind the DERs of a study."""
    rows = [der.resolved(config.defaults) for der in config.fleet.values()]
    ids = tuple(config.fleet)
    stores = [(k, row.storage) for k, row in enumerate(rows) if row.storage is not None]
    suns = [(k, row.renewable) for k, row in enumerate(rows) if row.renewable is not None]
    full = np.array([one.energy_kwh for _, one in stores])
    storages = Storages(
        ids=tuple(ids[k] for k, _ in stores),
        der=np.array([k for k, _ in stores], np.int64),
        energy_max_kwh=full,
        energy_min_kwh=full * np.array([one.floor_share for _, one in stores]),
        start_kwh=full * np.array([one.start_share for _, one in stores]),
        charge_efficiency=np.array([one.charge_efficiency for _, one in stores]),
        discharge_efficiency=np.array([one.discharge_efficiency for _, one in stores]),
        end_min_kwh=full * np.array([one.end_share for _, one in stores]),
        schedule_kw=_schedules([one.schedule_kw for _, one in stores]),
    )
    capacity = np.array([rows[k].capacity_kw for k, _ in suns])
    renewables = Renewables(
        ids=tuple(ids[k] for k, _ in suns),
        der=np.array([k for k, _ in suns], np.int64),
        available_kw=_by_step([one.profile for _, one in suns]) * capacity,
        spread=np.array([one.spread for _, one in suns]),
        curtail_usd_per_kwh=np.array([one.curtail_usd_per_kwh for _, one in suns]),
    )
    return Fleet(storages=storages, renewables=renewables)


def _prices(stated: Sequence[float | None]) -> FloatArray | None:
    """(der,) prices, ``inf`` where a DER has none; None where none has."""
    if all(price is None for price in stated):
        return None
    return np.array([np.inf if price is None else price for price in stated], float)


def _schedules(rows: Sequence[Sequence[float] | None]) -> FloatArray:
    """(step, storage) declared outputs, NaN where the planner decides; nothing if always."""
    steps = max((len(row) for row in rows if row is not None), default=0)
    return _by_step([[np.nan] * steps if row is None else row for row in rows])


def _by_step(rows: Sequence[Sequence[float]]) -> FloatArray:
    """(step, element) of one row an element."""
    return np.array(rows, float).T if rows else np.zeros((0, 0))


def limits_of(config: LimitsConfig) -> Limits:
    """Return the operating limits of a study."""
    return Limits(
        v_min_pu=config.v_min_pu,
        v_max_pu=config.v_max_pu,
        voltage_test=VoltageTest(config.voltage_test),
        grid_forming_per_island=config.grid_forming_per_island,
        polygon_sides=config.polygon_sides,
    )


def phases_short(der: DerConfig) -> str:
    """Phases that a DER does not feed: it cannot hold their voltage in an island."""
    return "".join(phase for phase in PHASES if phase not in (der.phases or ""))
