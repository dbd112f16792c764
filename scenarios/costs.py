"""What a plan costs, counted from its decisions alone, whoever made it."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_states import PhaseStates, states_of
from gridproof.scenarios.scenario import Scenario

__all__ = ["counted_costs", "loss_costs"]


def counted_costs(plan: Plan, scenario: Scenario) -> dict[str, float]:
    """Count what the decisions cost under a scenario's prices, over all steps.

    Where ``scenario.prices`` states none, ``shed``, ``Σ α_l (1 - z_l)``, and ``generation``,
    ``Σ c_d p_d``: the first two terms of the partitioning paper's objective (2a). The third, the
    dearest re-dispatch of the set, takes an optimizer and is not among them; what a live block
    sheds of its load has no price. Where losses are priced, those of `loss_costs`.

    Returns
    -------
    dict
        By term, in ``scenario.prices.unit``.
    """
    if scenario.prices.stated:
        return loss_costs(Outage.of(scenario), states_of(plan, scenario))
    with np.errstate(over="ignore", invalid="ignore"):  # a plan may state any finite number
        generation = plan.p_kw.sum(axis=2) @ scenario.ders.cost_usd_per_kw
        return {
            "shed": float((~plan.energized @ scenario.shed_usd).sum()),
            "generation": float(generation.sum()),
        }


def loss_costs(case: Outage, states: PhaseStates) -> dict[str, float]:
    """Count what is lost and switched, objective (2) of the restoration paper, and the total."""
    prices, demand = case.prices, case.bus_demand()[0]
    moved = np.abs(np.diff(states.closed.astype(int), axis=0)).sum()
    costs = {
        "unserved": float(((demand - states.served_kw) @ case.unserved_per_mw).sum()) / 1e3,
        "lost_buses": float((~states.available @ case.lost_bus).sum()),
        "switching": prices.switching * float(moved),
    }
    return {**costs, "total": sum(costs.values())}
