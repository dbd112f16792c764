"""Brackets of the worst case against brute force, for every means of separation."""

from dataclasses import replace
from functools import cache
from itertools import pairwise

import numpy as np
import pytest
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.options import SEPARATIONS, PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.separation.island_recourse import TOLERANCE, uncertain_directions
from gridproof.optimizer.separation.islands import IslandSeparation
from gridproof.optimizer.separation.region import Region, gray_signs
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.realization import uniforms
from gridproof.scenarios.sets import Box
from hypothesis import given, settings
from hypothesis import strategies as st


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(**options)).plan(scenario)


def _stage(scenario, **options):
    return FirstStage.of(_plan(scenario, **options))


@cache
def _known(random_scenario, seed, method):
    """Scenario and candidate, made once for all means."""
    scenario = random_scenario(seed, spread=0.25, uncertain=3)
    return scenario, _stage(scenario, method=method, centre=False)


@cache
def _vertex_costs(random_scenario, second_stage, seed, method):
    scenario, stage = _known(random_scenario, seed, method)
    return [second_stage(scenario, stage, zeta) for zeta in gray_signs(3)]


@cache
def _apart(random_scenario, seed):
    """A candidate whose blocks are islands of their own."""
    scenario = random_scenario(seed, spread=0.15, uncertain=4)
    scenario = replace(scenario, locked=np.ones(3, bool))
    return scenario, _stage(scenario, centre=False)


@cache
def _budget_costs(random_scenario, second_stage, seed, budget):
    scenario, stage = _apart(random_scenario, seed)
    return [second_stage(scenario, stage, z) for z in Region.whole(4, budget).vertices()]


def _worst(scenario, stage, kind, budget=None):
    oracle = IslandSeparation(network=Network.of(scenario), kind=kind, budget=budget)
    return oracle.worst(stage, time_limit_s=60.0)


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("method", ["nominal", "column_and_constraint"])
@pytest.mark.parametrize("kind", SEPARATIONS)
@pytest.mark.usefixtures("no_enumeration")
def test_each_means_finds_the_worst_of_all_vertices(
    random_scenario, second_stage, seed, method, kind
):
    scenario, stage = _known(random_scenario, seed, method)
    worst = _worst(scenario, stage, kind)
    costs = _vertex_costs(random_scenario, second_stage, seed, method)
    if np.isinf(max(costs)):
        assert np.isinf(worst.cost_usd)
        assert worst.violation > TOLERANCE
        assert np.isinf(second_stage(scenario, stage, worst.zeta))
        return
    assert worst.cost_usd == pytest.approx(max(costs), rel=1e-6, abs=1e-2)
    assert worst.certain_usd >= max(costs) - 1e-2
    if kind != "affine":
        assert worst.certain_usd <= max(costs) + 0.1 * 1e-4 * scenario.shed_usd.sum() + 1e-2


@pytest.mark.parametrize(
    "seed", [*range(2), *(pytest.param(k, marks=pytest.mark.slow) for k in range(2, 4))]
)
@pytest.mark.parametrize("budget", [0.0, 1.0, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("kind", ["auto", "enumeration", "dual_milp"])
@pytest.mark.usefixtures("no_enumeration")
def test_a_budget_is_shared_among_islands_as_badly_as_can_be(
    random_scenario, second_stage, seed, budget, kind
):
    scenario, stage = _apart(random_scenario, seed)
    worst = _worst(scenario, stage, kind, budget)
    every = max(_budget_costs(random_scenario, second_stage, seed, budget))
    assert worst.cost_usd == pytest.approx(every, rel=1e-6, abs=1e-2)
    assert worst.certain_usd == pytest.approx(every, rel=1e-4, abs=0.5)
    assert np.abs(worst.zeta).sum() <= budget + 1e-9
    if budget == 0.0:
        assert worst.cost_usd == pytest.approx(0.0, abs=1e-2)  # nominal needs no re-dispatch


def test_some_of_those_plans_have_islands_to_share_it(random_scenario):
    moving = []
    for seed in range(4):
        scenario, stage = _apart(random_scenario, seed)
        network = Network.of(scenario)
        moving.append(
            sum(len(uncertain_directions(network, b)) > 0 for b in stage.islands(scenario))
        )
    assert max(moving) >= 2


@pytest.mark.parametrize("seed", range(4))
def test_the_worst_cost_grows_with_the_budget_up_to_the_box(random_scenario, seed):
    scenario, stage = _apart(random_scenario, seed)
    costs = [_worst(scenario, stage, "auto", b).cost_usd for b in (0.0, 0.7, 1.0, 2.3, 3.0, 4.0)]
    assert all(a <= b + 1e-3 for a, b in pairwise(costs))
    assert costs[-1] == pytest.approx(_worst(scenario, stage, "auto").cost_usd, rel=1e-9)


@pytest.mark.parametrize(
    "seed", [*range(2), *(pytest.param(k, marks=pytest.mark.slow) for k in range(2, 4))]
)
def test_plans_cost_more_with_a_larger_budget(random_scenario, seed):
    scenario = random_scenario(seed, spread=0.25, uncertain=3)
    proofs = [_plan(scenario, budget=b, centre=False).proof for b in (0.0, 1.0, 2.0, 3.0)]
    assert all(proof.certified for proof in proofs)
    for less, more in pairwise(proofs):
        assert less.bound <= more.incumbent * (1 + 1e-9)
    nominal = _plan(scenario, method="nominal", centre=False).proof
    assert proofs[0].incumbent == pytest.approx(nominal.incumbent, rel=2e-4)
    box = _plan(scenario, centre=False).proof
    assert proofs[-1].incumbent == pytest.approx(box.incumbent, rel=2e-4)


def test_a_budget_outside_its_range_is_refused(random_scenario):
    with pytest.raises(ValueError, match=r"budget = -1.0 must be at least 0"):
        PartitioningOptions(budget=-1.0)
    with pytest.raises(ScenarioError, match=r"budget = 4, but only 3 loads are uncertain"):
        _plan(random_scenario(0, uncertain=3), budget=4.0)


@pytest.mark.slow
@given(st.integers(0, 7), st.floats(0.0, 0.5), st.floats(0.0, 0.5))
@settings(deadline=None, max_examples=10)
def test_plans_cost_more_with_a_wider_spread(random_scenario, seed, one, other):
    low, high = sorted((round(one, 3), round(other, 3)))
    less, more = (
        _plan(random_scenario(seed, spread=s, uncertain=3), centre=False).proof for s in (low, high)
    )
    assert less.certified
    assert more.certified
    assert less.bound <= more.incumbent * (1 + 1e-9)


def _elements(scenario):
    feeder = scenario.feeder
    return {"bus": feeder.buses.ids, "line": feeder.lines.ids, "der": scenario.ders.ids}


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.usefixtures("no_enumeration")
def test_margins_kept_for_ac_are_kept_by_every_means(random_scenario, seed):
    """Enumeration states the planner's own rows; the small program must know the same insets."""
    scenario = random_scenario(seed, spread=0.25, uncertain=3)
    own = {kind: {ids[-1]: 0.012} for kind, ids in _elements(scenario).items()}
    kept = {"ac_margin": 0.006, "ac_margin_at": own}
    stage = _stage(scenario, **kept, centre=False)
    brittle = _stage(scenario, method="nominal", **kept, centre=False)
    network = Network.of(scenario, **kept)
    for candidate in (stage, brittle):
        found = [
            IslandSeparation(network=network, kind=kind).worst(candidate, time_limit_s=60.0)
            for kind in ("enumeration", "auto")
        ]
        assert (found[0].violation > 0.0) == (found[1].violation > 0.0)
        if np.isfinite(found[0].cost_usd):
            assert found[1].cost_usd == pytest.approx(found[0].cost_usd, rel=1e-6, abs=1e-2)


@cache
def _shedding(random_scenario):
    scenario = random_scenario(1, spread=0.25, uncertain=4)
    return scenario, _stage(scenario)


@pytest.mark.parametrize("kind", SEPARATIONS)
def test_an_uncertain_load_in_a_dead_block_costs_nothing(random_scenario, kind):
    scenario, stage = _shedding(random_scenario)
    dead = np.flatnonzero(~stage.energized)
    assert len(dead)  # seed 1 sheds
    block = dict(
        zip(scenario.feeder.loads.ids, scenario.feeder.block_of_load.tolist(), strict=True)
    )
    names = tuple(n for n in scenario.feeder.loads.ids if block[n] in dead)
    assert names
    only_dead = replace(scenario, uncertainty=Box(load_ids=names, spread=np.full(len(names), 1.0)))
    worst = _worst(only_dead, stage, kind)
    assert worst.complete
    assert worst.certain_usd == pytest.approx(0.0, abs=1e-2)
    for blocks in stage.islands(only_dead):
        assert not len(uncertain_directions(Network.of(only_dead), blocks))


# -------------------------------------------------------------------------- at full size


def _all_uncertain(scenario, spread):
    loads = scenario.feeder.loads.ids
    return replace(scenario, uncertainty=Box(load_ids=loads, spread=np.full(len(loads), spread)))


@pytest.mark.slow
def test_thirty_uncertain_loads_are_certified_and_no_draw_contradicts(networked, second_stage):
    scenario = _all_uncertain(networked(0.1), 0.1)
    plan = _plan(scenario, time_limit_s=60.0)
    assert plan.proof.certified
    assert plan.proof.gap <= 1e-4
    corners = np.where(uniforms(3, 0, 20, 30) < 0.5, -1.0, 1.0)
    stage = FirstStage.of(plan)
    costs = [second_stage(scenario, stage, z) for z in [*corners, np.ones(30), -np.ones(30)]]
    assert max(costs) <= plan.costs["redispatch"] + 1e-2
    assert max(costs) >= 0.99 * plan.costs["redispatch"]


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["affine", "dual_milp"])
def test_other_means_certify_thirty_loads_too(networked, kind):
    scenario = _all_uncertain(networked(0.1), 0.1)
    assert _plan(scenario, separation=kind, time_limit_s=120.0).proof.certified


@pytest.mark.slow
def test_a_budget_between_is_priced_between(networked):
    scenario = _all_uncertain(networked(0.1), 0.1)
    costs = [_plan(scenario, budget=b).proof.incumbent for b in (0.0, 3.0, 30.0)]
    assert costs[0] <= costs[1] * (1 + 1e-4)
    assert costs[1] <= costs[2] * (1 + 1e-4)


@pytest.mark.slow
def test_the_larger_feeder_is_certified_within_five_minutes():
    from gridproof.federation.studies.study import load_study

    scenario = load_study("ieee123-networked").scenario
    assert scenario.uncertainty.size >= 20
    assert len(set(scenario.feeder.block_of_load.tolist())) >= 8
    plan = _plan(scenario, time_limit_s=300.0)
    assert plan.proof.certified
    assert 0 < plan.energized.sum() < len(scenario.feeder.blocks.ids) - 1
