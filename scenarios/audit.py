"""The graph audit of a plan, by code that shares nothing with any optimizer."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.commitment import running
from gridproof.scenarios.graph import connected_components, has_cycle
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.restoration import outage_of
from gridproof.scenarios.restoration_audit import audit_restoration
from gridproof.scenarios.restoration_states import states_of
from gridproof.scenarios.scenario import Scenario

__all__ = ["audit", "islands"]

_SAME_PU = 1e-6  # a magnitude that a file or another tool rounded is still the feeder's


def islands(plan: Plan, scenario: Scenario, time: int = 0) -> np.ndarray:
    """(block,) island of each block under the plan's switch states."""
    ends = scenario.feeder.switch_blocks[plan.closed[time]]
    return connected_components(len(plan.block_ids), ends[:, 0], ends[:, 1])


def audit(plan: Plan, scenario: Scenario) -> tuple[str, ...]:
    """Every fault of the plan as a graph and as numbers; empty if it has none.

    Checked at each step: energised islands are trees and hold 1 to ``k_der`` grid-forming
    DERs; no closed switch joins a live block and a dead one; nothing is injected in a dead
    block; locked switches keep their state; set-points are finite and within capability; a
    grid-forming DER can form, is in a live block and holds a voltage inside the band; a
    substation in a live block forms, and holds what the feeder's file says. Where devices say
    how lines are switched, also what `audit_restoration` checks at each phase.
    """
    faults: list[str] = []
    for time in range(len(plan.closed)):
        faults += _graph_faults(plan, scenario, time)
        faults += _der_faults(plan, scenario, time)
    case = outage_of(scenario)
    if case is not None:
        faults += audit_restoration(case, states_of(plan, scenario))
    return tuple(faults)


def _graph_faults(plan: Plan, scenario: Scenario, time: int) -> list[str]:
    feeder, step = scenario.feeder, f"step {time}"
    ends = feeder.switch_blocks
    closed, live = plan.closed[time], plan.energized[time]
    faults = [
        f"{step}: switch {name} must stay {'closed' if kept else 'open'}, the plan has it otherwise"
        for name, kept, now, locked in zip(
            plan.switch_ids,
            feeder.lines.closed[feeder.switches],
            closed,
            scenario.locked,
            strict=True,
        )
        if locked and kept != now
    ]
    for k in np.flatnonzero(closed):
        one, other = ends[k]
        if live[one] != live[other]:
            alive, dead = (one, other) if live[one] else (other, one)
            faults.append(
                f"{step}: closed switch {plan.switch_ids[k]} joins live block "
                f"{plan.block_ids[alive]} to dead block {plan.block_ids[dead]}"
            )
    island = islands(plan, scenario, time)
    block_of_der = feeder.blocks.of_bus[scenario.ders.bus]
    most = scenario.limits.grid_forming_per_island
    for number in np.unique(island[live]):
        members = np.flatnonzero(island == number)
        name = "+".join(plan.block_ids[m] for m in members)
        inside = closed & np.isin(ends, members).all(axis=1)
        if has_cycle(len(live), ends[inside, 0], ends[inside, 1]):
            faults.append(f"{step}: island {name} holds a loop of closed switches")
        formers = int((plan.grid_forming[time] & np.isin(block_of_der, members)).sum())
        if not 1 <= formers <= most:
            faults.append(
                f"{step}: island {name} holds {formers} grid-forming DERs; 1 to {most} are needed"
            )
    return faults


def _der_faults(plan: Plan, scenario: Scenario, time: int) -> list[str]:
    ders, step = running(plan, scenario, time).ders, f"step {time}"
    live = plan.energized[time][scenario.feeder.blocks.of_bus[ders.bus]]
    slack = 1e-6  # kW; a solver's feasibility tolerance, not a limit's
    own_v_pu = _substation_v_pu(scenario)
    numbers = np.isfinite(plan.p_kw[time]) & np.isfinite(plan.q_kvar[time])
    left = ders.half_planes.room(
        np.where(numbers, plan.p_kw[time], 0.0), np.where(numbers, plan.q_kvar[time], 0.0)
    )
    none = np.full(len(ders.ids), np.inf)
    least = -none if ders.total_min_kw is None else ders.total_min_kw
    most = none if ders.total_max_kw is None else ders.total_max_kw
    faults: list[str] = []
    for k, name in enumerate(plan.der_ids):
        p, q = plan.p_kw[time, k], plan.q_kvar[time, k]
        if not (np.isfinite(p).all() and np.isfinite(q).all()):
            faults.append(f"{step}: DER {name} has a set-point that is not a number")
            continue
        if not live[k]:
            if np.abs(p).max() > slack or np.abs(q).max() > slack:
                faults.append(f"{step}: DER {name} injects {p.sum():.3f} kW in a dead block")
            if plan.grid_forming[time, k]:
                faults.append(f"{step}: DER {name} is grid-forming in a dead block")
            continue
        outside = (
            (p > ders.p_max_kw[k] + slack).any()
            or (p < ders.p_min_kw[k] - slack).any()
            or (q > ders.q_max_kvar[k] + slack).any()
            or (q < ders.q_min_kvar[k] - slack).any()
            or (np.hypot(p, q) > ders.s_max_kva[k] + slack).any()
            or (left[k] < -slack).any()
            or (ders.phases[k].any() and not least[k] - slack <= p.sum() <= most[k] + slack)
        )
        if outside:
            faults.append(
                f"{step}: DER {name} set-point {p} kW, {q} kvar is outside its capability"
            )
        alike = [] if plan.grid_forming[time, k] else ders.alike(k)
        if alike and max(np.ptp(p[alike]), np.ptp(q[alike])) > slack:
            faults.append(
                f"{step}: DER {name} is balanced; its set-point {p} kW, {q} kvar is unlike by phase"
            )
        faults += _role_faults(plan, scenario, time, k, own_v_pu.get(k))
    return faults


def _role_faults(
    plan: Plan, scenario: Scenario, time: int, k: int, own_v_pu: float | None
) -> list[str]:
    """Hold what one live DER is to form against what it can; ``own_v_pu`` is a substation's."""
    ders, limits, step, name = scenario.ders, scenario.limits, f"step {time}", plan.der_ids[k]
    grid = bool(ders.is_substation[k])
    if not plan.grid_forming[time, k]:
        return [
            f"{step}: substation {name} does not form, and nothing stands between it and its live "
            "block"
        ] * grid
    faults: list[str] = []
    held = plan.source_v_pu[time, k]
    if own_v_pu is not None and not abs(held - own_v_pu) <= _SAME_PU:
        faults.append(
            f"{step}: substation {name} holds {held} pu; the feeder's source holds {own_v_pu:.6g}"
        )
    if not ders.can_form[k]:
        faults.append(f"{step}: DER {name} cannot be grid-forming")
    if not grid and not limits.v_min_pu - 1e-9 <= held <= limits.v_max_pu + 1e-9:
        faults.append(  # a substation holds it behind an impedance, where no band applies
            f"{step}: DER {name} holds {held} pu; it must lie in "
            f"[{limits.v_min_pu}, {limits.v_max_pu}]"
        )
    return faults


def _substation_v_pu(scenario: Scenario) -> dict[int, float]:
    """Magnitude that each substation holds, by its position among the DERs."""
    if scenario.devices is not None:  # whose first DERs are the feeder's sources
        return dict(enumerate(scenario.feeder.sources.v_pu.tolist()))
    own = scenario.ders.substations
    return {} if own is None else dict(zip(own.at.tolist(), own.v_pu.tolist(), strict=True))
