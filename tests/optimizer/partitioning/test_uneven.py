"""Loads that fall less, or more, than they rise: (1) with its own bound on either side."""

from dataclasses import replace
from functools import cache
from itertools import product

import numpy as np
import pytest
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.options import SEPARATIONS, PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.recourse.cost import corner_redispatch_usd
from gridproof.optimizer.separation.islands import IslandSeparation
from gridproof.scenarios.apart import taken_apart
from gridproof.scenarios.audit import audit
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.realization import realize
from gridproof.scenarios.sets import Box

DOWN, UP = np.array([0.05, 0.3, 0.2]), np.array([0.4, 0.0, 0.2])
"""One rises farther than it falls, one only falls, one is as before."""


def _uneven(scenario):
    box = scenario.uncertainty
    return replace(scenario, uncertainty=Box.between(box.load_ids, DOWN, UP))


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(**options)).plan(scenario)


@cache
def _known(random_scenario, second_stage, seed, method):
    """Return a candidate, and what each corner costs it: corners by their own loads in kW."""
    scenario = _uneven(random_scenario(seed, uncertain=3))
    stage = FirstStage.of(_plan(scenario, method=method, centre=False))
    where = [scenario.feeder.loads.ids.index(k) for k in scenario.uncertainty.load_ids]
    costs = {}
    for corner in product(*zip(1.0 - DOWN, 1.0 + UP, strict=True)):
        factor = np.ones(len(scenario.feeder.loads.ids))
        factor[where] = corner
        zeta = (np.array(corner) - 1.0) / scenario.uncertainty.spread
        costs[corner] = second_stage(scenario, stage, zeta)
        p_kw = realize(scenario, zeta[None]).p_kw[0]
        np.testing.assert_allclose(p_kw, scenario.load_p_kw * factor[:, None], rtol=1e-12)
    return scenario, stage, costs


@pytest.mark.parametrize("seed", [0, 3, 5])
@pytest.mark.parametrize("method", ["nominal", "column_and_constraint"])
@pytest.mark.parametrize("kind", SEPARATIONS)
@pytest.mark.usefixtures("no_enumeration")
def test_each_means_finds_the_worst_corner_of_its_own(
    random_scenario, second_stage, seed, method, kind
):
    scenario, stage, costs = _known(random_scenario, second_stage, seed, method)
    oracle = IslandSeparation(network=Network.of(scenario), kind=kind)
    worst = oracle.worst(stage, time_limit_s=60.0)
    most = max(costs.values())
    assert scenario.uncertainty.contains(worst.zeta)
    if np.isinf(most):
        assert np.isinf(worst.cost_usd)
        assert np.isinf(second_stage(scenario, stage, worst.zeta))
        return
    assert worst.cost_usd == pytest.approx(most, rel=1e-6, abs=1e-2)
    assert worst.certain_usd >= most - 1e-2
    if kind != "affine":
        assert worst.certain_usd <= most + 0.1 * 1e-4 * scenario.shed_usd.sum() + 1e-2


def test_the_plan_costs_what_cuts_find_and_less_than_one_for_the_wider_even_set(random_scenario):
    scenario = _uneven(random_scenario(3, uncertain=3))
    box = scenario.uncertainty
    plan = _plan(scenario, gap=1e-6)
    assert plan.proof.certified
    assert audit(plan, scenario) == ()
    cuts = _plan(scenario, gap=1e-6, method="cutting_plane", separation="enumeration", centre=False)
    assert cuts.proof.incumbent == pytest.approx(plan.proof.incumbent, rel=3e-6)
    wider = replace(scenario, uncertainty=Box(load_ids=box.load_ids, spread=box.spread))
    assert plan.proof.incumbent < _plan(wider, gap=1e-6).proof.incumbent - 1.0
    dearest, tried = corner_redispatch_usd(plan, scenario)
    assert tried == 8
    assert dearest >= plan.costs["redispatch"] - 1e-3


def test_a_budget_of_uneven_loads_is_refused(random_scenario):
    scenario = _uneven(random_scenario(0, uncertain=3))
    with pytest.raises(ScenarioError, match="fall as far as they rise"):
        _plan(scenario, budget=1.0)


def test_phases_taken_apart_keep_both_bounds(random_scenario):
    scenario = _uneven(random_scenario(0, uncertain=3))
    box, apart = scenario.uncertainty, taken_apart(scenario).scenario.uncertainty
    where = {name: k for k, name in enumerate(box.load_ids)}
    assert apart.size > box.size
    for name, low, high in zip(apart.load_ids, apart.low, apart.high, strict=True):
        k = where[name.split(".")[0]]
        assert (low, high) == (box.low[k], box.high[k])
    per_phase = replace(scenario, draws_per_phase=True)
    np.testing.assert_array_equal(per_phase.direction_range, [apart.low, apart.high])
