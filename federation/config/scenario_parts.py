"""From a study's sections to the values they state: the fleet, the limits."""

from __future__ import annotations

import numpy as np
from gridproof.federation.config.study import DerConfig, DersConfig, LimitsConfig
from gridproof.scenarios.arrays import PHASES, index_of
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits, VoltageTest

__all__ = ["ders_of", "limits_of", "phases_short"]


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
    reactive = p_max * np.array([row.reactive_limit for row in rows], float)[:, None]
    ramp = p_max * np.array([row.ramp for row in rows], float)[:, None]
    return Ders(
        ids=tuple(config.fleet),
        bus=np.array([position[row.bus] for row in rows], int),
        phases=phases,
        p_min_kw=np.zeros_like(p_max),
        p_max_kw=p_max,
        q_min_kvar=-reactive,
        q_max_kvar=reactive,
        s_max_kva=np.full_like(p_max, np.inf),
        ramp_kw=ramp,
        ramp_kvar=ramp,
        cost_usd_per_kw=np.array([row.cost_usd_per_kw for row in rows], float),
        redispatch_cost_usd_per_kw=np.array(
            [row.redispatch_cost_usd_per_kw for row in rows], float
        ),
        can_form=np.array([row.can_form and not phases_short(row) for row in rows], bool),
    )


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
