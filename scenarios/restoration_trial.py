"""A restoration as a campaign sees it: its phases as steps, its substations as sources.

The engines know one kind of root, a grid-forming DER; a substation is one without a limit. A
block is what no moving line parts. A load the plan serves in part is asked for in part.
`restoration_scenario` and `publish_restoration` make a scenario and a plan of a case and what
was decided; `restoration_of` reads the decision back from any plan for such a scenario.
"""

from __future__ import annotations

from types import MappingProxyType

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.feeder import LoadModel
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.provenance import facts_of
from gridproof.scenarios.restoration import PHASE_NAMES, RestorationCase, RestorationPlan
from gridproof.scenarios.restoration_states import (
    damaged_buses,
    joined,
    states_of_ends,
    struck_buses,
)
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box

__all__ = [
    "moving_lines",
    "publish_restoration",
    "restoration_of",
    "restoration_scenario",
    "restoration_trial",
]

_AMPLE = 10.0  # times the whole demand: a substation's transformers are not part of the study
_WHOLE = 1e-9  # of a load's demand: less than that is not shed


def moving_lines(case: RestorationCase) -> tuple[str, ...]:
    """Ids of the lines that some phase may move: what the feeder must hold as switchable."""
    moves = (case.operable_end | case.devices.protective_end).any(axis=1)
    return tuple(case.feeder.lines.ids[k] for k in np.flatnonzero(moves))


def restoration_scenario(
    case: RestorationCase,
    *,
    uncertainty: Box,
    load_model: tuple[LoadModel, ...] | None = None,
    draws_per_phase: bool = False,
) -> Scenario:
    """Turn a case into what a planner is given and a campaign draws from.

    Parameters
    ----------
    case
        On a feeder whose switchable lines are `moving_lines`.
    uncertainty
        Which loads move, and how far.
    load_model
        Of each load; the feeder file's if left out.
    draws_per_phase
        Whether realizations move each slot of a load on its own.

    Raises
    ------
    ScenarioError
        If the feeder's switches are not the lines that move, or a generator has the name of a
        substation's bus.
    """
    feeder, steps = case.feeder, len(PHASE_NAMES)
    if feeder.switch_ids != moving_lines(case):
        raise ScenarioError(
            f"{case.name}: the feeder has {len(feeder.switch_ids)} switches and "
            f"{len(moving_lines(case))} lines move; compile it with those as its switches"
        )
    return Scenario(
        name=case.name,
        feeder=feeder,
        ders=_sources(case),
        hours=np.arange(float(steps)),
        load_p_kw=np.repeat(feeder.loads.p_kw[None], steps, axis=0),
        load_q_kvar=np.repeat(feeder.loads.q_kvar[None], steps, axis=0),
        load_model=feeder.loads.model if load_model is None else load_model,
        uncertainty=uncertainty,
        limits=case.limits,
        locked=np.zeros(len(feeder.switches), bool),
        shed_usd=np.zeros(len(feeder.blocks.ids)),
        draws_per_phase=draws_per_phase,
        restoration=case,
    )


def publish_restoration(decided: RestorationPlan, scenario: Scenario) -> Plan:
    """Turn what was decided into the plan that every engine holds."""
    case = _case(scenario)
    feeder, ders = case.feeder, scenario.ders
    forming = np.concatenate([decided.available[:, feeder.sources.bus], decided.forming], axis=1)
    held = np.ones((len(PHASE_NAMES), len(ders.ids)))
    held[:, : len(feeder.sources.bus)] = feeder.sources.v_pu
    asked = _asked(case, decided)
    partial = np.flatnonzero((asked < 1.0).any(axis=0))
    p, q = (np.where(forming[:, :, None], power, 0.0) for power in _fed(case, decided, ders))
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
        costs_usd=MappingProxyType(dict(decided.costs)),
        proof=decided.proof,
        partial_ids=tuple(feeder.loads.ids[k] for k in partial),
        served_share=asked[:, partial],
        made_for=MappingProxyType(facts_of(scenario)),
    )


def restoration_of(plan: Plan, scenario: Scenario) -> RestorationPlan:
    """Read at every phase what a plan's switch states mean: line ends, damage, supply.

    The damaged zone is not the plan's to say: it is what a search over closed lines from the
    failures finds. An open line has every end open that could be opened by then.

    Raises
    ------
    ScenarioError
        If the scenario is no restoration.
    """
    case = _case(scenario)
    feeder = case.feeder
    closed = np.repeat(feeder.lines.closed[None], len(PHASE_NAMES), axis=0)
    closed[:, feeder.switches] = plan.closed
    ends = states_of_ends(case, closed)
    available = np.ones((len(PHASE_NAMES), len(feeder.buses.ids)), bool)
    for time in range(1, len(PHASE_NAMES)):
        spreads = closed[time]
        if time == 1:
            spreads = spreads | (feeder.lines.closed & ~case.devices.protective)
        available[time] = ~damaged_buses(case, struck_buses(case, ends[time]), spreads)
    energized = plan.energized[:, feeder.blocks.of_bus]
    served = np.zeros(energized.shape)
    demand = feeder.loads.p_kw.sum(axis=1) * plan.share_of(feeder.loads.ids)
    np.add.at(served.T, feeder.loads.bus, demand.T)
    return RestorationPlan(
        case_digest=case.digest(),
        closed=closed,
        end_closed=ends,
        available=available,
        energized=energized,
        forming=plan.grid_forming[:, len(feeder.sources.ids) :],
        served_kw=served * energized,
        costs=plan.costs_usd,
        proof=plan.proof,
    )


def restoration_trial(
    case: RestorationCase, plan: RestorationPlan, *, spread: float = 0.1
) -> tuple[Scenario, Plan]:
    """Turn a case and its plan into what an engine holds and a campaign draws from.

    Parameters
    ----------
    case
        On a feeder whose switchable lines are `moving_lines`.
    plan
        Of that case.
    spread
        Every load varies by this share of its demand, each on its own.

    Raises
    ------
    ScenarioError
        As `restoration_scenario`.
    """
    loads = case.feeder.loads.ids
    box = Box(load_ids=loads, spread=np.full(len(loads), spread))
    scenario = restoration_scenario(case, uncertainty=box)
    return scenario, publish_restoration(plan, scenario)


def _case(scenario: Scenario) -> RestorationCase:
    if scenario.restoration is None:
        raise ScenarioError(
            f"{scenario.name}: nothing failed, so there is nothing to restore; a study states "
            "what failed in [restoration]"
        )
    return scenario.restoration


def _fed(
    case: RestorationCase, decided: RestorationPlan, ders: Ders
) -> tuple[FloatArray, FloatArray]:
    """(time, der, 3) nominal load each source feeds, in equal parts on its phases, no losses."""
    demand = np.stack(case.bus_demand())
    share = np.divide(decided.served_kw, demand[0], out=np.ones_like(decided.served_kw),
                      where=demand[0] > 0.0) * decided.energized  # fmt: skip
    found = np.zeros((2, len(PHASE_NAMES), len(ders.ids), 3))
    for time in range(len(PHASE_NAMES)):
        zone = joined(case, decided.closed[time])
        fed = [np.bincount(zone, weights=power * share[time]) for power in demand]
        for kind in (0, 1):
            found[kind, time] = fed[kind][zone[ders.bus]][:, None] / 3.0
    return found[0], found[1]


def _asked(case: RestorationCase, decided: RestorationPlan) -> FloatArray:
    """(time, load) share of each load's demand that is asked for; 1 where its bus is dead."""
    demand = case.bus_demand()[0]
    share = np.where(demand > 0, decided.served_kw / np.where(demand > 0, demand, 1.0), 1.0)
    share = np.where(decided.energized & (share < 1.0 - _WHOLE), np.clip(share, 0.0, 1.0), 1.0)
    return np.asarray(share[:, case.feeder.loads.bus])


def _sources(case: RestorationCase) -> Ders:
    """Substations without a limit, then the generators that can carry an island."""
    sources = case.feeder.sources
    count, total = len(sources.ids), _AMPLE * case.bus_demand()[0].sum()
    ample = np.full((count, 3), total)
    buses, columns = [sources.bus], {"p_max_kw": [ample], "q_max_kvar": [ample]}
    ids = tuple(case.feeder.buses.ids[i] for i in sources.bus)
    if case.ders is not None and len(case.forming):
        own, which = case.ders, case.forming
        ids += tuple(own.ids[k] for k in which)
        buses.append(own.bus[which])
        columns["p_max_kw"].append(own.p_max_kw[which])
        columns["q_max_kvar"].append(own.q_max_kvar[which])
    if len(set(ids)) < len(ids):
        twice = next(name for name in ids if ids.count(name) > 1)
        raise ScenarioError(
            f"{case.name}: DER {twice} has the name of a substation's bus; give it another"
        )
    p, q = (np.concatenate(columns[name]) for name in ("p_max_kw", "q_max_kvar"))
    size = len(ids)
    return Ders(
        ids=ids,
        bus=np.concatenate(buses),
        phases=np.ones((size, 3), bool),
        p_min_kw=np.zeros((size, 3)),
        p_max_kw=p,
        q_min_kvar=-q,
        q_max_kvar=q,
        s_max_kva=np.full((size, 3), np.inf),
        ramp_kw=p,
        ramp_kvar=q,
        cost_usd_per_kw=np.zeros(size),
        redispatch_cost_usd_per_kw=np.zeros(size),
        can_form=np.ones(size, bool),
    )


def _first_bus(block_of_bus: IntArray) -> IntArray:
    """(block,) the first bus of each block."""
    _, first = np.unique(block_of_bus, return_index=True)
    return first
