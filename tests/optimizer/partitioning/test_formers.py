"""Which of an island's DERs forms, where the cost does not care."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.realization import realize


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(**options)).plan(scenario)


@pytest.mark.slow
@pytest.mark.parametrize("method", ["nominal", "column_and_constraint"])
def test_of_equals_in_cost_a_large_der_forms(networked, method):
    scenario = networked(0.10)
    plan, plain = _plan(scenario, method=method), _plan(scenario, method=method, centre=False)
    assert plan.costs["objective"] == pytest.approx(plain.costs["objective"], rel=1e-4)
    np.testing.assert_array_equal(plan.energized, plain.energized)
    np.testing.assert_array_equal(plan.closed, plain.closed)
    (former,) = np.flatnonzero(plan.grid_forming[0])
    rating = scenario.ders.p_max_kw.max(axis=1)
    home = plan.energized[0][scenario.feeder.blocks.of_bus[scenario.ders.bus]]
    assert rating[former] == rating[home & scenario.ders.can_form].max()


@pytest.mark.slow
def test_only_a_der_that_can_form_is_given_the_role(networked):
    scenario = networked(0.10)
    first = _plan(scenario)
    able = scenario.ders.can_form & ~first.grid_forming[0]
    barred = replace(scenario, ders=replace(scenario.ders, can_form=able))
    plan = _plan(barred)
    assert plan.grid_forming.any()
    assert not (plan.grid_forming[0] & ~able).any()


@pytest.mark.parametrize("seed", range(4))
def test_the_plan_stays_robust_whoever_forms(random_scenario, seed):
    scenario = random_scenario(seed, spread=0.25, uncertain=3)
    plan = _plan(scenario)
    assert plan.proof.certified
    corners = np.array(np.meshgrid(*[[-1.0, 1.0]] * 3)).reshape(3, -1).T
    recourse = make_recourse("linear", plan, scenario)
    assert recourse.respond(realize(scenario, corners)).found.all()
