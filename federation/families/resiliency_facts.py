"""A resiliency plan in figures: what each hour supplies, who forms islands, what crews close."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from gridproof.federation.jsonable import Jsonable
from gridproof.federation.proof_words import PlanFigures, proof_facts
from gridproof.scenarios.audit import islands
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario

__all__ = ["HourFigures", "HourIsland", "ResiliencyFigures", "resiliency_summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class HourIsland(Jsonable):
    """One live island of an hour.

    Attributes
    ----------
    former
        Who forms it.
    held_pu
        The magnitude it holds.
    buses
        How many it feeds.
    supplied_kw
        Nominal load there that is supplied.
    """

    former: str
    held_pu: float
    buses: int
    supplied_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class HourFigures(Jsonable):
    """One hour of the day.

    Attributes
    ----------
    step, hour
        Counted from 0, and as the publication counts, from 1.
    supplied_share, supplied_kw
        Of the nominal load, shed and answered load left out.
    islands
        Live ones, by who forms them.
    dead_buses
        Buses with load that nobody feeds.
    closed, opened
        Switches that change before the hour.
    """

    step: int
    hour: int
    supplied_share: float
    supplied_kw: float
    islands: tuple[HourIsland, ...]
    dead_buses: tuple[str, ...]
    closed: tuple[str, ...]
    opened: tuple[str, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResiliencyFigures(PlanFigures):
    """A plan of a day with an outage; costs in USD.

    Attributes
    ----------
    termination, objective, bound, gap
        How the search ended: what no load and price of the set exceeds, what no plan undercuts.
    worst_found
        What some load and price of the set really costs.
    published
        What the day as it is published, with its margins and one share of each load for all of
        the set, costs where all loads are up.
    costs
        Terms of (9) at the worst found.
    damaged
        Lines that are lost.
    crews_close, generators_at
        Switches that crews close, and buses where mobile generators stand.
    hours
        In order.
    seconds
        What the search took, by part.
    """

    termination: str
    objective: float | None
    bound: float | None
    gap: float | None
    worst_found: float | None
    published: float | None
    costs: Mapping[str, float | None]
    damaged: tuple[str, ...]
    crews_close: tuple[str, ...]
    generators_at: tuple[str, ...]
    hours: tuple[HourFigures, ...]
    seconds: Mapping[str, float]


def resiliency_summary(plan: Plan, scenario: Scenario) -> ResiliencyFigures:
    """Say what a plan does at every hour, and what is proven about it."""
    proof, lines = plan.proof, scenario.feeder.lines
    ties = [k for k, n in enumerate(plan.switch_ids) if not lines.closed[lines.ids.index(n)]]
    committed = plan.committed
    used = [committed is not None and bool(committed[:, k].any()) for k in range(len(plan.der_ids))]
    return ResiliencyFigures(
        family=plan.family,
        proof=proof_facts(plan, scenario),
        termination=proof.termination.value,
        objective=plan.costs.get("objective", _number(proof.incumbent)),
        bound=_number(proof.bound),
        gap=_number(proof.gap),
        worst_found=plan.costs.get("worst_found"),
        published=plan.costs.get("published"),
        costs={
            name: _number(value)
            for name, value in plan.costs.items()
            if name not in ("objective", "worst_found", "published")
        },
        damaged=tuple(lines.ids[k] for k in scenario.events.element.tolist()),
        crews_close=tuple(plan.switch_ids[k] for k in ties if plan.closed[:, k].any()),
        generators_at=tuple(
            name.removeprefix("mobile_")
            for name, on in zip(plan.der_ids, used, strict=True)
            if on and name.startswith("mobile_")
        ),
        hours=tuple(_hour(plan, scenario, time) for time in range(len(plan.closed))),
        seconds={name: float(value) for name, value in proof.seconds.items()},
    )


def _hour(plan: Plan, scenario: Scenario, time: int) -> HourFigures:
    feeder, loads = scenario.feeder, scenario.feeder.loads
    asked = scenario.load_p_kw[time].sum(axis=1)
    live = plan.energized[time]
    fed = live[feeder.block_of_load]
    served = asked * fed * plan.share_of(loads.ids)[time]
    label, block = islands(plan, scenario, time), feeder.blocks.of_bus
    now = plan.closed[time]
    before = feeder.lines.closed[feeder.switches] if time == 0 else plan.closed[time - 1]
    made = []
    for k in np.flatnonzero(plan.grid_forming[time]).tolist():
        mine = (label == label[block[scenario.ders.bus[k]]]) & live
        made.append(
            HourIsland(
                former=plan.der_ids[k],
                held_pu=float(plan.source_v_pu[time, k]),
                buses=int(mine[block].sum()),
                supplied_kw=float(served[mine[feeder.block_of_load]].sum()),
            )
        )
    whole = float(asked.sum())
    return HourFigures(
        step=time,
        hour=time + 1,
        supplied_share=float(served.sum()) / whole if whole else 1.0,
        supplied_kw=float(served.sum()),
        islands=tuple(made),
        dead_buses=tuple(dict.fromkeys(feeder.buses.ids[b] for b in loads.bus[~fed].tolist())),
        closed=tuple(plan.switch_ids[k] for k in np.flatnonzero(now & ~before)),
        opened=tuple(plan.switch_ids[k] for k in np.flatnonzero(~now & before)),
    )


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
