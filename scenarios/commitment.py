"""Machines that do not run: a plan that says so is judged and answered without them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario

__all__ = ["idle", "running"]


def idle(plan: Plan, time: int) -> BoolArray:
    """(der,) machines that stand still at a step; none where a plan does not say."""
    if plan.committed is None:
        return np.zeros(len(plan.der_ids), bool)
    return np.asarray(~plan.committed[time])


def running(plan: Plan, scenario: Scenario, time: int) -> Scenario:
    """Return the scenario as a plan leaves it at a step: what stands still feeds no phase.

    Limits of a machine that stands still are 0; what runs keeps, at a step, the least output that
    the fleet's CHPs have. The scenario itself where no machine is committed.
    """
    if plan.committed is None:
        return scenario
    ders, chps = scenario.ders, scenario.fleet.chps
    low = ders.p_min_kw.copy()
    at = chps.der
    low[at] = np.maximum(low[at], chps.least_kw[:, None] * ders.phase_share[at])
    off = idle(plan, time)

    def zeroed(limit: FloatArray) -> FloatArray:
        return np.where(off[:, None], 0.0, limit)

    own = replace(
        ders,
        p_min_kw=zeroed(low),
        p_max_kw=zeroed(ders.p_max_kw),
        q_min_kvar=zeroed(ders.q_min_kvar),
        q_max_kvar=zeroed(ders.q_max_kvar),
        ramp_kw=zeroed(ders.ramp_kw),
        ramp_kvar=zeroed(ders.ramp_kvar),
        phases=ders.phases & ~off[:, None],
        can_form=ders.can_form & ~off,
    )
    return replace(scenario, ders=own)
