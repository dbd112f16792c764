"""A plan and a campaign in figures, the same for people and machines.

What has no number is None (JSON has no infinity); units are suffixes. A campaign's figures are
read from its parts one at a time, so memory does not grow with N.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from gridproof.federation.families.registry import family_of
from gridproof.federation.proof_words import PlanFigures, proof_facts
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.records.plan_report import DerReport, IslandReport, PlanReport
from gridproof.federation.records.reading import QUANTILE_LEVELS, TAIL_SHARE, read_campaign
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.audit import islands
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.provenance import Scope, scope_of
from gridproof.scenarios.scenario import Scenario

__all__ = ["QUANTILE_LEVELS", "TAIL_SHARE", "about_plan", "campaign_summary", "plan_summary"]


def about_plan(plan: Plan, scenario: Scenario, time: int = 0) -> PlanFigures:
    """Say what people are told of a plan: what its family tells of all steps, else of one step."""
    family = family_of(scenario)
    return plan_summary(plan, scenario, time) if family is None else family.summary(plan, scenario)


def plan_summary(plan: Plan, scenario: Scenario, time: int = 0) -> PlanReport:
    """Say what a plan does, what it costs and what is proven about it, at one step.

    ``closed_switches`` counts those between two live blocks; ``served_kw`` is what the loads of
    live blocks consume at nominal, less what the plan sheds of it, ``demand_kw`` what all do: a
    load that generates is in neither; ``served_in_part`` are the loads of live blocks that it
    asks for in part. Costs are those of what the plan was made for, of an external one those
    counted here; ``redispatch_cost_usd`` is that of ``redispatch_policy``: of a robust plan the
    cheapest re-dispatch that serves, at the realization where that costs most. What a campaign's
    own recourse costs is in its summary. `federation.proof_words.proof_facts` says the
    rest.
    """
    proof, live, closed = plan.proof, plan.energized[time], plan.closed[time]
    ends = scenario.feeder.switch_blocks
    demand, served = scenario.block_consumption_kw(time), _served_kw(plan, scenario, time)
    costs = {name: _number(value) for name, value in plan.costs.items()}
    usual = {"shed", "generation", "redispatch", "objective"}
    terms = {name: value for name, value in costs.items() if name not in usual}
    here = scope_of(plan, scenario) is Scope.HERE
    return PlanReport(
        family=plan.family,
        proof=proof_facts(plan, scenario),
        cost_terms=terms if terms and here else None,
        termination=proof.termination.value,
        objective_usd=costs.get("objective", _number(proof.incumbent)),
        bound_usd=_number(proof.bound),
        gap=_number(proof.gap),
        shed_cost_usd=costs.get("shed"),
        generation_cost_usd=costs.get("generation"),
        redispatch_cost_usd=costs.get("redispatch"),
        redispatch_policy="cheapest" if proof.robust else None,
        energized_blocks=int(live.sum()),
        blocks=_named(plan.block_ids, live, ("dead", "live")),
        closed_switches=int((closed & live[ends].all(axis=1)).sum()),
        switches=_named(plan.switch_ids, closed, ("open", "closed")),
        served_kw=float(served[live].sum()),
        served_in_part=_in_part(plan, scenario, time),
        demand_kw=float(demand.sum()),
        served_share=float(served[live].sum() / demand.sum()) if demand.sum() else None,
        grid_forming=tuple(plan.der_ids[k] for k in np.flatnonzero(plan.grid_forming[time])),
        islands=_islands(plan, scenario, time),
        ders=_ders(plan, scenario, time),
        iterations=proof.iterations,
        realizations_kept=proof.realizations_kept,
        seconds=_number(proof.seconds.get("total", 0.0)),
        stages_s={name: float(s) for name, s in proof.seconds.items() if name != "total"} or None,
        unrated_lines=scenario.feeder.lines.unrated_ids or None,
    )


def _named(ids: Sequence[str], states: BoolArray, words: tuple[str, str]) -> dict[str, str]:
    """Put each state into words, the word for no and that for yes."""
    return {name: words[yes] for name, yes in zip(ids, states.tolist(), strict=True)}


def _served_kw(plan: Plan, scenario: Scenario, time: int) -> FloatArray:
    """(block,) nominal demand that the plan asks for, were every block live."""
    feeder, asked = scenario.feeder, np.zeros(len(scenario.feeder.blocks.ids))
    nominal = np.maximum(scenario.load_p_kw[time], 0.0).sum(axis=1)
    np.add.at(asked, feeder.block_of_load, nominal * plan.share_of(feeder.loads.ids)[time])
    return asked


def _in_part(plan: Plan, scenario: Scenario, time: int) -> dict[str, float]:
    """Share of each load of a live block that is asked for in part."""
    where = dict(zip(scenario.feeder.loads.ids, scenario.feeder.block_of_load, strict=True))
    shares = zip(plan.partial_ids, plan.served_share[time].tolist(), strict=True)
    live = plan.energized[time]
    return {name: share for name, share in shares if share < 1.0 and live[where[name]]}


def _islands(plan: Plan, scenario: Scenario, time: int) -> tuple[IslandReport, ...]:
    label = islands(plan, scenario, time)
    block_of_der = scenario.feeder.blocks.of_bus[scenario.ders.bus]
    demand, served = scenario.block_demand_kw(time), _served_kw(plan, scenario, time)
    capacity = scenario.ders.capacity_kw
    found = []
    for number in np.unique(label[plan.energized[time]]):
        members = label == number
        inside = members[block_of_der]
        forming = np.flatnonzero(inside & plan.grid_forming[time])
        found.append(
            IslandReport(
                blocks=tuple(plan.block_ids[k] for k in np.flatnonzero(members)),
                grid_forming=tuple(plan.der_ids[k] for k in forming),
                demand_kw=float(demand[members].sum()),
                served_kw=float(served[members].sum()),
                capacity_kw=_number(capacity[inside].sum()),  # None: a source without a rating
            )
        )
    return tuple(found)


def _ders(plan: Plan, scenario: Scenario, time: int) -> dict[str, DerReport]:
    feeder, ders = scenario.feeder, scenario.ders
    block = feeder.blocks.of_bus[ders.bus]
    found = {}
    for k, name in enumerate(plan.der_ids):
        forms, alive = bool(plan.grid_forming[time, k]), bool(plan.energized[time, block[k]])
        found[name] = DerReport(
            bus=feeder.buses.ids[ders.bus[k]],
            block=plan.block_ids[block[k]],
            role=_role(forms, alive, bool(ders.is_substation[k])),
            p_kw=float(plan.p_kw[time, k].sum()) + 0.0,
            q_kvar=float(plan.q_kvar[time, k].sum()) + 0.0,
            capacity_kw=_number(ders.capacity_kw[k]),
            source_v_pu=_number(plan.source_v_pu[time, k]),
        )
    return found


def _role(forms: bool, alive: bool, substation: bool) -> str:
    if not alive:
        return "off"
    return ("substation" if substation else "grid-forming") if forms else "grid-following"


def campaign_summary(store: CampaignStore) -> CampaignReport:
    """Say what became of the realizations of a campaign, read once from its parts.

    ``erred`` realizations count neither for nor against the plan: they are outside
    ``feasible_share`` and its interval, and always beside it in ``outcomes``.

    Raises
    ------
    StoreError
        If a part is torn or foreign, or there is none yet.
    """
    return read_campaign(store).report


def _number(value: float | None) -> float | None:
    return float(value) + 0.0 if value is not None and np.isfinite(value) else None
