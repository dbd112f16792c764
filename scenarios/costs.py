"""What a plan costs, counted from its decisions alone, whoever made it."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gridproof.scenarios.restoration_trial import restoration_of

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.restoration import RestorationCase, RestorationPlan
    from gridproof.scenarios.scenario import Scenario

__all__ = ["counted_costs"]


def counted_costs(plan: Plan, scenario: Scenario) -> dict[str, float]:
    """Count what the decisions cost under a scenario's prices, over all steps.

    Without failures ``shed``, ``Σ α_l (1 - z_l)``, and ``generation``, ``Σ c_d p_d``: the first
    two terms of the partitioning paper's objective (2a). The third, the dearest re-dispatch of
    the set, takes an optimizer and is not among them; what a live block sheds of its load has
    no price. Of a restoration the terms of its objective (2), and their ``total``.

    Returns
    -------
    dict
        By term, USD; a restoration's in its objective's own unit.
    """
    if scenario.restoration is not None:
        return _restoration_costs(scenario.restoration, restoration_of(plan, scenario))
    with np.errstate(over="ignore", invalid="ignore"):  # a plan may state any finite number
        generation = plan.p_kw.sum(axis=2) @ scenario.ders.cost_usd_per_kw
        return {
            "shed": float((~plan.energized @ scenario.shed_usd).sum()),
            "generation": float(generation.sum()),
        }


def _restoration_costs(case: RestorationCase, decided: RestorationPlan) -> dict[str, float]:
    weights, demand = case.weights, case.bus_demand()[0]
    moved = np.abs(np.diff(decided.closed.astype(int), axis=0)).sum()
    unserved_mw = float((demand - decided.served_kw).sum()) / 1e3
    costs = {
        "unserved": weights.alpha * weights.unserved * unserved_mw,
        "lost_buses": weights.alpha * weights.lost_bus * float((~decided.available).sum()),
        "switching": weights.beta * weights.switching * float(moved),
    }
    return {**costs, "total": sum(costs.values())}
