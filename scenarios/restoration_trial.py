"""A restoration as a campaign sees it: its phases as steps, its substations as sources.

The engines know one kind of root, a grid-forming DER; a substation is one without a limit. A
block is what no moving line parts. A load the plan serves in part is asked for in part.
"""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

import numpy as np

from scenarios.arrays import BoolArray, FloatArray, IntArray
from scenarios.errors import ScenarioError
from scenarios.fleet import Ders
from scenarios.plan import Plan
from scenarios.restoration import RestorationCase, RestorationPlan
from scenarios.scenario import Scenario
from scenarios.uncertainty import Box

__all__ = ["moving_lines", "restoration_trial"]

_AMPLE = 10.0  # times the whole demand: a substation's transformers are not part of the study


def moving_lines(case: RestorationCase) -> tuple[str, ...]:
    """Ids of the lines that some phase may move: what the feeder must hold as switchable."""
    moves = (case.operable_end | case.devices.protective_end).any(axis=1)
    return tuple(case.feeder.lines.ids[k] for k in np.flatnonzero(moves))


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
        If the feeder's switches are not the lines that move.
    """
    feeder = case.feeder
    if feeder.switch_ids != moving_lines(case):
        raise ScenarioError(
            f"{case.name}: the feeder has {len(feeder.switch_ids)} switches and "
            f"{len(moving_lines(case))} lines move; compile it with those as its switches"
        )
    ders, forming, held = _sources(case, plan)
    demand = case.bus_demand()[0]
    share = np.where(demand > 0, plan.served_kw / np.where(demand > 0, demand, 1.0), 1.0)
    asked = np.where(plan.energized, share, 1.0)[:, feeder.loads.bus, None]
    block_bus = _first_bus(feeder.blocks.of_bus)
    scenario = Scenario(
        name=case.name,
        feeder=feeder,
        ders=ders,
        hours=np.arange(4.0),
        load_p_kw=feeder.loads.p_kw * asked,
        load_q_kvar=feeder.loads.q_kvar * asked,
        load_model=feeder.loads.model,
        uncertainty=Box(load_ids=feeder.loads.ids, spread=np.full(len(feeder.loads.ids), spread)),
        limits=case.limits,
        locked=np.zeros(len(feeder.switches), bool),
        shed_usd=np.zeros(len(block_bus)),
        slack_usd_per_kw=0.0,
    )
    setpoint = np.zeros((4, len(ders.ids), 3))
    return scenario, Plan(
        family="restoration",
        scenario_digest=scenario.digest(),
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=ders.ids,
        closed=plan.closed[:, feeder.switches],
        energized=plan.energized[:, block_bus],
        grid_forming=forming,
        source_v_pu=held,
        p_kw=setpoint,
        q_kvar=setpoint,
        costs_usd=_plain(plan.costs),
        proof=plan.proof,
    )


def _sources(case: RestorationCase, plan: RestorationPlan) -> tuple[Ders, BoolArray, FloatArray]:
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
    p, q = (np.concatenate(columns[name]) for name in ("p_max_kw", "q_max_kvar"))
    size = len(ids)
    generated = size - count
    ders = Ders(
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
    alive = plan.available[:, sources.bus]
    forming = np.concatenate([alive, plan.forming], axis=1)
    held = np.concatenate([np.tile(sources.v_pu, (4, 1)), np.ones((4, generated))], axis=1)
    return ders, forming, np.where(forming, held, np.nan)


def _first_bus(block_of_bus: IntArray) -> IntArray:
    """(block,) the first bus of each block."""
    _, first = np.unique(block_of_bus, return_index=True)
    return first


def _plain(costs: Mapping[str, float]) -> Mapping[str, float]:
    return MappingProxyType(dict(costs))
