"""A study whose DER may carry unlike phases up to its capacity: planned and tried in AC."""

import pytest
from gridproof.federation.studies.study import load_study

import gridproof as gp

EAST = "ders.fleet.east={bus='b', capacity_kw=100, rating_kva=600, unlike_phases=true}"


@pytest.mark.parametrize("recourse", ["linear", "ac"])
def test_its_capacity_holds_for_the_sum_in_every_realization(toy, recourse):
    sets = [EAST, f"campaign.recourse={recourse}", "planner.ac_margin=0.002"]
    study = load_study(toy, sets)
    plan = gp.plan(study)
    assert plan.energized.any()
    east = plan.der_ids.index("east")
    assert plan.p_kw[0, east].max() > 100.0 / 3.0  # more than an even part on one phase
    tried = gp.try_plan(study, plan, samples=60).report
    assert tried.feasible_share == 1.0
