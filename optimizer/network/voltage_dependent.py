"""Demand that follows squared voltages: nominal loads and shunts."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.feeder import Connection
from gridproof.scenarios.lindist import (
    DELTA_ACTIVE,
    DELTA_REACTIVE,
    PAIR_W,
    load_shares,
    pair_shares,
)

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["voltage_dependent"]


def voltage_dependent(scenario: Scenario, time: int) -> tuple[FloatArray, FloatArray]:
    """(bus, 3, 3) phase powers per phase ``w``: nominal loads, and capacitors ``q = -b w``."""
    feeder = scenario.feeder
    p = np.zeros((len(feeder.buses.ids), 3, 3))
    q = np.zeros_like(p)

    turned, phasor = feeder.buses.turned, feeder.buses.phasor

    def add(bus: int, connection: Connection, p_slot: FloatArray, q_slot: FloatArray) -> None:
        if connection is Connection.DELTA:
            active, reactive = DELTA_ACTIVE, DELTA_REACTIVE
            if turned[bus]:
                active, reactive = pair_shares(phasor[bus])
            p[bus] += (active * p_slot + reactive * q_slot) @ PAIR_W
            q[bus] += (active * q_slot - reactive * p_slot) @ PAIR_W
        else:
            p[bus] += np.diag(p_slot)
            q[bus] += np.diag(q_slot)

    uncertain = set(scenario.uncertainty.load_ids)
    for k, name in enumerate(feeder.loads.ids):
        share = load_shares(scenario.load_model[k])
        if share.p_per_w or share.q_per_w:
            if name in uncertain:
                raise ScenarioError(
                    f"load {name} is uncertain and follows its voltage "
                    f"({scenario.load_model[k]}); a robust plan needs uncertain loads of "
                    'constant power: set the load model to "constant_power"'
                )
            per_rated = 1.0 / (BASE_KVA * feeder.loads.v_rated_pu[k] ** 2)
            add(
                int(feeder.loads.bus[k]),
                feeder.loads.connection[k],
                scenario.load_p_kw[time, k] * share.p_per_w * per_rated,
                scenario.load_q_kvar[time, k] * share.q_per_w * per_rated,
            )
    for k in range(len(feeder.capacitors.ids)):
        rated = feeder.capacitors.v_rated_pu[k]
        produced = feeder.capacitors.q_kvar[k] / (BASE_KVA * rated**2)
        used = feeder.capacitors.p_kw[k] / (BASE_KVA * rated**2)
        add(int(feeder.capacitors.bus[k]), feeder.capacitors.connection[k], used, -produced)
    return p, q
