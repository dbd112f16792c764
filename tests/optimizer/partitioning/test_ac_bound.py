"""The bound on what a plan costs under AC: as enumeration has it, and below what is found."""

from __future__ import annotations

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from gridproof.optimizer.partitioning.ac_bound import ac_cost_bound, least_demand_kw
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.scenarios.graph import connected_components
from gridproof.scenarios.load_models import LoadModel

OPTIONS = PartitioningOptions()


def cheapest(scenario, share: float = 1.0) -> float:
    """Enumerate switches and blocks; islands buy the cheapest kW first."""
    feeder, ders, tolerance = scenario.feeder, scenario.ders, scenario.limits.tolerance
    block, ends = feeder.blocks.of_bus, feeder.switch_blocks
    home, count = block[ders.bus], len(feeder.blocks.ids)
    spread = np.zeros(len(feeder.loads.ids))
    for name, own in zip(scenario.uncertainty.load_ids, scenario.uncertainty.spread, strict=True):
        spread[feeder.loads.ids.index(name)] = own
    nominal = scenario.load_p_kw[0].sum(axis=1)
    most_kw = ders.p_max_kw.sum(axis=1) * (1.0 + tolerance)
    at_most = nominal + share * spread * np.abs(nominal)
    need, heavy = (
        np.array([kw[block[feeder.loads.bus] == b].sum() for b in range(count)])
        for kw in (nominal, at_most)
    )
    best = np.inf
    for closed, live in product(product((0, 1), repeat=len(ends)), product((0, 1), repeat=count)):
        joined = ends[np.array(closed, bool)]
        label = connected_components(count, joined[:, 0], joined[:, 1])
        if len(joined) != count - len(set(label.tolist())):  # a ring
            continue
        if any(live[one] != live[other] for one, other in joined):
            continue
        cost = float(scenario.shed_usd[~np.array(live, bool)].sum())
        for island in {int(label[b]) for b in range(count) if live[b]}:
            own = label[home] == island
            inside = label == island
            if not (own & ders.can_form).any() or heavy[inside].sum() > most_kw[own].sum():
                cost = np.inf
                break
            left = need[inside].sum()
            for g in np.argsort(ders.cost_usd_per_kw):
                if own[g]:
                    cost += ders.cost_usd_per_kw[g] * min(max(left, 0.0), most_kw[g])
                    left -= most_kw[g]
            cost = cost if left <= 1e-9 else np.inf
        best = min(best, cost)
    return best


@pytest.mark.parametrize("seed", range(6))
def test_the_bound_is_what_enumeration_finds(random_scenario, seed) -> None:
    scenario = random_scenario(seed, spread=0.3)
    assert ac_cost_bound(scenario, OPTIONS).usd == pytest.approx(cheapest(scenario), rel=1e-5)
    half = PartitioningOptions(budget=len(scenario.uncertainty.load_ids) / 2.0)
    assert ac_cost_bound(scenario, half).usd == pytest.approx(cheapest(scenario, 0.5), rel=1e-5)


@pytest.mark.parametrize("seed", range(6))
def test_no_plan_costs_less(random_scenario, seed) -> None:
    scenario = random_scenario(seed, spread=0.2)
    plan = PartitioningPlanner().plan(scenario)
    assert ac_cost_bound(scenario, OPTIONS).usd <= plan.costs["objective"] * (1.0 + 1e-6)
    every = PartitioningOptions(min_energized_blocks=int(plan.energized.sum()))
    assert ac_cost_bound(scenario, every).usd <= plan.costs["objective"] * (1.0 + 1e-6)


def test_loads_that_follow_their_voltage_count_with_the_least_they_can_take(
    random_scenario,
) -> None:
    scenario = random_scenario(1)
    zero = np.zeros(scenario.uncertainty.size)
    whole = least_demand_kw(scenario, zero, 0)
    kinds = (LoadModel.CONSTANT_IMPEDANCE,) * len(scenario.load_model)
    follows = least_demand_kw(replace(scenario, load_model=kinds), zero, 0)
    kw, at = scenario.load_p_kw[0], scenario.feeder.blocks.of_bus[scenario.feeder.loads.bus]
    for b in range(len(whole)):
        own = kw[at == b]
        assert whole[b] == pytest.approx(own.sum())
        assert follows[b] == pytest.approx(
            0.25 * own[own > 0.0].sum() + 2.25 * own[own < 0.0].sum()
        )


def test_what_could_give_power_leaves_no_bound(random_scenario) -> None:
    scenario = random_scenario(0)
    lines = scenario.feeder.lines
    odd = replace(scenario.feeder, lines=replace(lines, r_ohm=-lines.r_ohm))
    found = ac_cost_bound(replace(scenario, feeder=odd), OPTIONS)
    assert found.usd == -np.inf
    assert "is not positive semidefinite" in found.why_not
