"""Plans whose set has a direction for each phase of a load, (1) as printed."""

from dataclasses import replace
from itertools import product

import numpy as np
import pytest
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.partitioning.why import why_dead
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.sets import Box


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(**options)).plan(scenario)


def _corners(scenario):
    return np.array(list(product((-1.0, 1.0), repeat=len(scenario.uncertain_slots))))


def _worst_of(second_stage, scenario, plan):
    """Largest cost of a second stage solved head-on at every corner of every phase."""
    stage = FirstStage.of(plan, 0)
    return max(second_stage(scenario, stage, zeta) for zeta in _corners(scenario))


@pytest.mark.parametrize("seed", [1, 3])
def test_a_plan_for_each_phase_is_served_at_every_corner_and_one_for_whole_loads_is_not(
    random_scenario, swinging_delta, second_stage, seed
):
    scenario = swinging_delta(random_scenario(seed))
    whole = _plan(scenario, centre=False)
    apart = _plan(scenario, centre=False, per_phase=True)
    worst = _worst_of(second_stage, scenario, apart)
    assert worst == pytest.approx(apart.costs["redispatch"], rel=1e-4, abs=1e-2)
    # every realization of whole loads is one of their phases
    assert apart.proof.incumbent > whole.proof.incumbent * (1.0 + 1e-4)
    assert _worst_of(second_stage, scenario, whole) > whole.costs["redispatch"] + 0.5


@pytest.mark.parametrize(
    "seed", [1, pytest.param(3, marks=[pytest.mark.slow, pytest.mark.timeout(1200)])]
)
def test_both_methods_agree_of_each_phase(random_scenario, swinging_delta, seed):
    scenario = swinging_delta(random_scenario(seed))
    proofs = [
        _plan(scenario, method=method, per_phase=True, gap=1e-6).proof
        for method in ("column_and_constraint", "cutting_plane")
    ]
    least = proofs[0].incumbent
    assert proofs[0].certified
    assert proofs[1].bound <= least * (1.0 + 1e-5)
    assert proofs[1].incumbent >= least * (1.0 - 1e-5)
    if seed == 1:  # cuts need more than their hundred solves for the other
        assert proofs[1].incumbent == pytest.approx(least, rel=1e-5)


def test_loads_of_one_phase_are_planned_as_ever(random_scenario):
    scenario = random_scenario(0)
    single = scenario.feeder.loads.slots.sum(axis=1) == 1
    ids = tuple(np.array(scenario.feeder.loads.ids)[single].tolist())
    scenario = replace(scenario, uncertainty=Box(load_ids=ids, spread=np.full(len(ids), 0.3)))
    one, other = (_plan(scenario, per_phase=apart) for apart in (False, True))
    np.testing.assert_array_equal(one.p_kw, other.p_kw)
    np.testing.assert_array_equal(one.closed, other.closed)


@pytest.mark.slow
def test_a_budget_counts_phases(random_scenario, swinging_delta):
    scenario = swinging_delta(random_scenario(1))
    costs = [
        _plan(scenario, per_phase=True, budget=gamma).proof.incumbent for gamma in (0.0, 1.0, 3.0)
    ]
    assert costs == sorted(costs)
    assert costs[0] < costs[-1]
    with pytest.raises(ScenarioError, match="budget = 4"):
        _plan(scenario, per_phase=True, budget=4.0)


@pytest.mark.slow
def test_what_keeps_a_block_dark_is_asked_of_the_same_set(random_scenario, swinging_delta):
    scenario = swinging_delta(random_scenario(1))
    options = PartitioningOptions(per_phase=True)
    plan = PartitioningPlanner(options=options).plan(scenario)
    (said,) = why_dead(plan, scenario, options)
    assert said.realization == "d0.ca at its highest; d0.ab, d0.bc at their lowest"
