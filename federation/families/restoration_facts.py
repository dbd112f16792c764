"""A restoration plan in figures: what each phase supplies, loses and switches."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from gridproof.federation.jsonable import Jsonable
from gridproof.federation.proof_words import PlanFigures, proof_facts
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.restoration import PHASE_NAMES, Outage
from gridproof.scenarios.restoration_faults import isolated_buses
from gridproof.scenarios.restoration_states import PhaseStates, joined, states_of
from gridproof.scenarios.scenario import Scenario

__all__ = ["PhaseFigures", "RestorationFigures", "SourceFigures", "restoration_summary"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SourceFigures(Jsonable):
    """Who feeds an island: a substation or a DER, with how many buses and how much load."""

    source: str
    buses: int
    supplied_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class PhaseFigures(Jsonable):
    """One phase of a restoration.

    Attributes
    ----------
    step, name
        Which.
    supplied_share, supplied_kw, supplied_buses
        What has supply; the share is of all nominal load.
    damaged_buses, dead_safe_buses
        Inside the damaged zone, and outside it without supply.
    operations, opened, closed
        Lines that change state between the phase before and this one.
    damaged
        Buses of the damaged zone.
    feeds
        Who feeds what, by substation and by DER that carries an island.
    served_in_part
        Share of each load that is asked for in part.
    """

    step: int
    name: str
    supplied_share: float
    supplied_kw: float
    supplied_buses: int
    damaged_buses: int
    dead_safe_buses: int
    operations: int
    opened: tuple[str, ...]
    closed: tuple[str, ...]
    damaged: tuple[str, ...]
    feeds: Mapping[str, SourceFigures]
    served_in_part: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationFigures(PlanFigures):
    """A restoration plan at every phase; costs are in the objective's own unit.

    Attributes
    ----------
    termination, objective, bound, gap, costs
        How the search ended, and what it showed.
    buses, lines, moving_lines, demand_kw
        The network, and the lines that the plan may move.
    failed_lines, underground_failed
        What failed, and how many of those lie underground.
    isolated_buses
        Without supply even before the event.
    phases
        In order.
    seconds
        What the search took, by part.
    """

    termination: str
    objective: float | None
    bound: float | None
    gap: float | None
    costs: Mapping[str, float | None]
    buses: int
    lines: int
    moving_lines: int
    failed_lines: tuple[str, ...]
    underground_failed: int
    isolated_buses: tuple[str, ...]
    demand_kw: float
    phases: tuple[PhaseFigures, ...]
    seconds: Mapping[str, float]


def restoration_summary(plan: Plan, scenario: Scenario) -> RestorationFigures:
    """Say what a restoration plan does at every phase, and what is proven about it.

    Raises
    ------
    ScenarioError
        If nothing says how the scenario's lines are switched.
    """
    case, decided, proof = Outage.of(scenario), states_of(plan, scenario), plan.proof
    return RestorationFigures(
        family=plan.family,
        proof=proof_facts(plan, scenario),
        termination=proof.termination.value,
        objective=plan.costs.get("total", _number(proof.incumbent)),
        bound=_number(proof.bound),
        gap=_number(proof.gap),
        costs={name: _number(value) for name, value in plan.costs.items()},
        buses=len(case.feeder.buses.ids),
        lines=len(case.feeder.lines.ids),
        moving_lines=len(plan.switch_ids),
        failed_lines=tuple(case.feeder.lines.ids[k] for k in case.failed),
        underground_failed=int(case.devices.underground[case.failed].sum()),
        isolated_buses=tuple(isolated_buses(case.feeder)),
        demand_kw=float(case.bus_demand()[0].sum()),
        phases=tuple(
            _phase(decided, plan, case, scenario, time) for time in range(len(PHASE_NAMES))
        ),
        seconds={name: float(value) for name, value in proof.seconds.items()},
    )


def _phase(
    decided: PhaseStates, plan: Plan, case: Outage, scenario: Scenario, time: int
) -> PhaseFigures:
    ids, lines = case.feeder.buses.ids, case.feeder.lines.ids
    now, live = decided.closed[time], decided.energized[time]
    before = decided.closed[time - 1] if time else now
    opened, shut = np.flatnonzero(before & ~now), np.flatnonzero(~before & now)
    shares = dict(zip(plan.partial_ids, plan.served_share[time].tolist(), strict=True))
    return PhaseFigures(
        step=time,
        name=PHASE_NAMES[time],
        supplied_share=float(decided.supplied_share(case)[time]),
        supplied_kw=float(decided.served_kw[time].sum()),
        supplied_buses=int(live.sum()),
        damaged_buses=int((~decided.available[time]).sum()),
        dead_safe_buses=int((decided.available[time] & ~live).sum()),
        operations=len(opened) + len(shut),
        opened=tuple(lines[k] for k in opened),
        closed=tuple(lines[k] for k in shut),
        damaged=tuple(ids[i] for i in np.flatnonzero(~decided.available[time])),
        feeds=_feeds(decided, plan, case, scenario, time),
        served_in_part={name: share for name, share in shares.items() if share < 1.0},
    )


def _feeds(
    decided: PhaseStates, plan: Plan, case: Outage, scenario: Scenario, time: int
) -> dict[str, SourceFigures]:
    """Buses and load of every substation, and of every DER that carries an island."""
    zone = joined(case, decided.closed[time])
    live, found = decided.energized[time], {}
    for k, name in enumerate(plan.der_ids):
        substation = k < len(case.feeder.sources.ids)
        if not substation and not plan.grid_forming[time, k]:
            continue
        mine = live & (zone == zone[scenario.ders.bus[k]])
        found[name] = SourceFigures(
            source="substation" if substation else "DER",
            buses=int(mine.sum()),
            supplied_kw=float(decided.served_kw[time][mine].sum()),
        )
    return found


def _number(value: float) -> float | None:
    return float(value) if np.isfinite(value) else None
