"""From what was decided, line by line and bus by bus, to the plan that every engine holds."""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.costs import loss_costs
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof
from gridproof.scenarios.provenance import facts_of
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_states import PhaseStates, joined

__all__ = ["publish"]

_WHOLE = 1e-9  # of a load's demand: less than that is not shed


def publish(case: Outage, decided: PhaseStates, proof: Proof) -> Plan:
    """Make the plan; a load that is served in part is asked for in part."""
    scenario, feeder, ders = case.scenario, case.feeder, case.ders
    sources, steps = feeder.sources.bus, len(decided.closed)
    forming = np.concatenate([decided.available[:, sources], decided.forming], axis=1)
    held = np.ones((steps, len(ders.ids)))
    held[:, : len(sources)] = feeder.sources.v_pu
    asked = _asked(case, decided)
    partial = np.flatnonzero((asked < 1.0).any(axis=0))
    p, q = (np.where(forming[:, :, None], power, 0.0) for power in _fed(case, decided))
    return Plan(
        family="restoration",
        scenario_digest=scenario.digest(),
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=ders.ids,
        closed=decided.closed[:, feeder.switches],
        energized=decided.energized[:, _first_bus(feeder.blocks.of_bus)],
        grid_forming=forming,
        source_v_pu=np.where(forming, held, np.nan),
        p_kw=p,
        q_kvar=q,
        costs=MappingProxyType(loss_costs(case, decided)),
        cost_unit=scenario.prices.unit.value,
        proof=proof,
        partial_ids=tuple(feeder.loads.ids[k] for k in partial),
        served_share=asked[:, partial],
        made_for=MappingProxyType(facts_of(scenario)),
    )


def _fed(case: Outage, decided: PhaseStates) -> tuple[FloatArray, FloatArray]:
    """(time, der, 3) nominal load each source feeds, in equal parts on its phases, no losses."""
    demand, ders = np.stack(case.bus_demand()), case.ders
    share = np.divide(decided.served_kw, demand[0], out=np.ones_like(decided.served_kw),
                      where=demand[0] > 0.0) * decided.energized  # fmt: skip
    found = np.zeros((2, len(decided.closed), len(ders.ids), 3))
    for time in range(len(decided.closed)):
        zone = joined(case, decided.closed[time])
        fed = [np.bincount(zone, weights=power * share[time]) for power in demand]
        for kind in (0, 1):
            found[kind, time] = fed[kind][zone[ders.bus]][:, None] / 3.0
    return found[0], found[1]


def _asked(case: Outage, decided: PhaseStates) -> FloatArray:
    """(time, load) share of each load's demand that is asked for; 1 where its bus is dead."""
    demand = case.bus_demand()[0]
    share = np.where(demand > 0, decided.served_kw / np.where(demand > 0, demand, 1.0), 1.0)
    share = np.where(decided.energized & (share < 1.0 - _WHOLE), np.clip(share, 0.0, 1.0), 1.0)
    return np.asarray(share[:, case.feeder.loads.bus])


def _first_bus(block_of_bus: IntArray) -> IntArray:
    """(block,) the first bus of each block."""
    _, first = np.unique(block_of_bus, return_index=True)
    return first
