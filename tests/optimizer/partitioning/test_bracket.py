"""The parts of separation against every vertex: affine rules, duals, halving."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import island_state
from gridproof.optimizer.partitioning.master import PartitioningMaster
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.separation import dual_bound as duals
from gridproof.optimizer.separation.affine import affine_bound
from gridproof.optimizer.separation.dual_bound import bracket_by_duals, dual_bound
from gridproof.optimizer.separation.island_recourse import IslandRecourse
from gridproof.optimizer.separation.islands import IslandSeparation
from gridproof.optimizer.separation.region import Region, gray_signs
from gridproof.optimizer.separation.worst_case import bracket


def _stage(scenario, **options):
    return FirstStage.of(PartitioningPlanner(options=PartitioningOptions(**options)).plan(scenario))


def _islands(scenario, stage):
    network = Network.of(scenario)
    return [IslandRecourse(network, stage, blocks) for blocks in stage.islands(scenario)]


@pytest.mark.parametrize("seed", range(5))
def test_an_affine_rule_is_never_below_the_truth(random_scenario, seed):
    scenario = random_scenario(seed, spread=0.25, uncertain=4)
    for recourse in _islands(scenario, _stage(scenario)):
        region = Region.whole(recourse.size)
        truth = max(recourse.value(z).cost_usd for z in region.vertices())
        for features in (recourse.features, np.eye(recourse.size)):
            rule = affine_bound(
                recourse, region, features=features, start=np.zeros((0, recourse.size)),
                time_limit_s=20.0,
            )  # fmt: skip
            assert rule.cost_usd >= truth - 1e-3


@pytest.mark.parametrize("seed", range(5))
def test_duals_bound_the_distance_from_limits_exactly(random_scenario, seed):
    scenario = random_scenario(seed, spread=0.5, uncertain=4)
    stage = _stage(scenario, method="nominal")
    for recourse in _islands(scenario, stage):
        region = Region.whole(recourse.size)
        if not recourse.size:
            continue
        truth = max(recourse.value(z).violation for z in region.vertices())
        answer = dual_bound(recourse, region, price=None, time_limit_s=20.0)
        assert max(answer.bound, 0.0) == pytest.approx(truth, abs=2e-6)


@pytest.mark.parametrize("budget", [None, 1.0, 1.5])
def test_priced_duals_bound_the_cost_and_name_where_it_is_attained(random_scenario, budget):
    """``max_ζ max_dual = max_ζ min_u`` (cost + price · excess), at every vertex of the set."""
    tried = 0
    for seed in range(2):
        scenario = random_scenario(seed, spread=0.03, uncertain=3)
        for recourse in _islands(scenario, _stage(scenario)):
            region = Region.whole(recourse.size, budget)
            if not recourse.size:
                continue
            truth = max(recourse.value(z).cost_usd for z in region.vertices())
            assert np.isfinite(truth)
            price = 1e5 * float(np.abs(recourse.price).max())  # dear enough to pass no limit
            answer = dual_bound(recourse, region, price=price, time_limit_s=20.0)
            assert answer.bound == pytest.approx(truth, rel=1e-5, abs=1e-2)
            assert recourse.value(answer.zeta).cost_usd == pytest.approx(truth, rel=1e-5, abs=1e-2)
            tried += 1
    assert tried


def test_a_base_set_point_that_rounding_put_outside_its_range_is_allowed(random_scenario):
    scenario = random_scenario(0, spread=0.03, uncertain=3)
    stage, network = _stage(scenario), Network.of(scenario)
    for off in (0.5e-9, -0.5e-9, 0.0):
        g = int(np.flatnonzero(~stage.forming & stage.energized[network.block[network.der_bus]])[0])
        p = stage.p.copy()
        p[g] = (network.ders.p_max if off >= 0.0 else network.ders.p_min)[g] + off
        moved = replace(stage, p=p)
        (blocks,) = [b for b in stage.islands(scenario) if network.block[network.der_bus[g]] in b]
        recourse = IslandRecourse(network, moved, blocks)
        state = island_state(network, moved, blocks)
        mine = np.flatnonzero(state.controls[:, 0] == g)
        base = p[g, state.controls[mine, 1]]
        assert (recourse.low[mine] <= base).all()
        assert (base <= recourse.high[mine]).all()


@pytest.mark.slow
def test_where_limits_are_kept_at_a_distance_duals_alone_prove_the_cost(
    random_scenario, monkeypatch
):
    def none(*_, **__):
        raise LookupError("an affine rule was asked for")

    monkeypatch.setattr(duals, "affine_bound", none)
    proven = 0
    for seed in range(8):
        scenario = random_scenario(seed, spread=0.03, uncertain=4)
        for recourse in _islands(scenario, _stage(scenario)):
            region = Region.whole(recourse.size)
            try:
                found = bracket_by_duals(recourse, region, tolerance_usd=0.5, time_limit_s=30.0)
            except LookupError:
                continue  # on its limits: no price is provably exact
            truth = max(recourse.value(z).cost_usd for z in region.vertices())
            assert truth - 1e-3 <= found.bound_usd <= truth + 0.5
            proven += recourse.size > 0
    assert proven


def test_a_second_holder_of_voltage_is_answered_by_rules_that_see_every_load(
    random_scenario, second_stage, no_enumeration
):
    scenario = random_scenario(2, spread=0.02, uncertain=3, k_der=2)
    stage = _two_formers(scenario)
    (blocks,) = stage.islands(scenario)
    recourse = IslandRecourse(Network.of(scenario), stage, blocks)
    assert recourse.tied
    oracle = IslandSeparation(network=Network.of(scenario), kind="auto")
    worst = oracle.worst(stage, time_limit_s=60.0)
    every = max(second_stage(scenario, stage, zeta) for zeta in gray_signs(3))
    assert np.isfinite(every)
    assert worst.cost_usd == pytest.approx(every, rel=1e-5, abs=1e-2)
    assert worst.certain_usd >= every - 1e-2


def _two_formers(scenario):
    """The best plan with DERs 0 and 1 both holding a voltage, blocks 0 and 1 joined."""
    master = PartitioningMaster(Network.of(scenario), PartitioningOptions(gap=1e-6))
    m = master.model
    for g in (0, 1):
        m.forming[g].fix(1)
    m.closed[0].fix(1)
    m.energized[2].fix(0)
    for zeta in gray_signs(scenario.uncertainty.size):
        master.add(zeta)
    answer, candidate = master.solve(gap=1e-6, time_limit_s=60.0)
    assert answer.found
    return candidate


@pytest.mark.usefixtures("no_enumeration")
def test_halving_closes_what_one_rule_leaves_open(random_scenario):
    halved = 0
    for seed in range(8):
        scenario = random_scenario(seed, spread=0.35, uncertain=5)
        for recourse in _islands(scenario, _stage(scenario, centre=False)):
            region = Region.whole(recourse.size)
            truth = max(recourse.value(z).cost_usd for z in region.vertices())
            found = bracket(recourse, region, tolerance_usd=0.01, time_limit_s=60.0)
            assert found.cost_usd == pytest.approx(truth, rel=1e-6, abs=1e-2)
            assert found.bound_usd <= truth + 0.03
            assert found.bound_usd >= truth - 1e-3
            halved += found.nodes > 1
    assert halved  # otherwise nothing was halved, and nothing tried


def test_no_time_leaves_the_bracket_open_and_the_search_incomplete(random_scenario, no_enumeration):
    scenario = random_scenario(0, spread=0.1, uncertain=3)
    (recourse, *_) = _islands(scenario, _stage(scenario))
    found = bracket(recourse, Region.whole(recourse.size), tolerance_usd=0.0, time_limit_s=0.0)
    assert np.isinf(found.bound_usd)
    assert np.isfinite(found.cost_usd)
