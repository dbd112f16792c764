"""Brackets of the worst case against brute force, for every means of separation."""

from dataclasses import replace
from itertools import pairwise, product

import numpy as np
import pytest
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.statemap import island_state
from gridproof.optimizer.partitioning.master import PartitioningMaster
from gridproof.optimizer.partitioning.options import SEPARATIONS, PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.separation import worst_case
from gridproof.optimizer.separation.affine import affine_bound
from gridproof.optimizer.separation.dual_bound import bracket_by_duals, dual_bound
from gridproof.optimizer.separation.island_recourse import (
    TOLERANCE,
    IslandRecourse,
    uncertain_directions,
)
from gridproof.optimizer.separation.islands import IslandSeparation
from gridproof.optimizer.separation.region import Region, gray_signs, vertex_count
from gridproof.optimizer.separation.worst_case import bracket
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.realization import uniforms
from gridproof.scenarios.sets import Box
from hypothesis import given, settings
from hypothesis import strategies as st


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(**options)).plan(scenario)


def _stage(scenario, **options):
    return FirstStage.of(_plan(scenario, **options))


_KNOWN = {}


def _known(random_scenario, seed, method):
    """Scenario, candidate and every vertex's cost, made once for all means."""
    if (seed, method) not in _KNOWN:
        scenario = random_scenario(seed, spread=0.25, uncertain=3)
        _KNOWN[seed, method] = (scenario, _stage(scenario, method=method, centre=False))
    return _KNOWN[seed, method]


def _apart(random_scenario, seed):
    """A candidate whose blocks are islands of their own."""
    if (seed, "apart") not in _KNOWN:
        scenario = random_scenario(seed, spread=0.15, uncertain=4)
        scenario = replace(scenario, locked=np.ones(3, bool))
        _KNOWN[seed, "apart"] = (scenario, _stage(scenario, centre=False))
    return _KNOWN[seed, "apart"]


def _worst(scenario, stage, kind, budget=None):
    oracle = IslandSeparation(network=Network.of(scenario), kind=kind, budget=budget)
    return oracle.worst(stage, time_limit_s=60.0)


@pytest.fixture
def no_enumeration(monkeypatch):
    """Make small cases take the road of large ones."""
    monkeypatch.setattr(worst_case, "_FEW", 0)
    monkeypatch.setattr(worst_case, "_FEW_LEFT", 0)


# ------------------------------------------------------------------------------ the set


@pytest.mark.parametrize("budget", [None, 0.0, 1.0, 2.5, 3.0, 4.0])
def test_vertices_are_as_many_as_counted_and_lie_in_the_set(budget):
    region = Region.whole(4, budget)
    found = np.array([*region.vertices()])
    assert len({tuple(z) for z in found.tolist()}) == len(found) == vertex_count(4, budget)
    assert (np.abs(found) <= 1.0).all()
    assert (np.abs(found).sum(axis=1) <= (4.0 if budget is None else budget) + 1e-12).all()


@given(
    st.integers(0, 10_000),
    st.integers(1, 5),
    st.floats(0.0, 6.0).map(lambda b: round(b, 2)),
)
@settings(deadline=None, max_examples=60)
def test_highest_is_that_of_the_vertices_and_parts_lose_none(seed, size, budget):
    rng = np.random.default_rng(seed)
    region = Region.whole(size, budget)
    vertices = np.array([*region.vertices()]).reshape(-1, size)
    gradient = rng.normal(size=(3, size))
    value, zeta = region.highest(gradient)
    np.testing.assert_allclose(value, (gradient @ vertices.T).max(axis=1), atol=1e-12)
    np.testing.assert_allclose((gradient * zeta).sum(axis=1), value, atol=1e-12)
    parts = [region]
    for direction in rng.permutation(size).tolist():
        parts = [half for part in parts for half in _halved(part, direction)]
        best = np.max([part.highest(gradient)[0] for part in parts], axis=0)
        np.testing.assert_allclose(best, value, atol=1e-9)
    assert all(part.free.sum() == 0.0 for part in parts)


def _halved(part, direction):
    """Halve until the direction is a point."""
    if part.free[direction] == 0.0:
        return [part]
    return [half for one in part.halves(direction) for half in _halved(one, direction)]


# ------------------------------------------------------------------------- every means


@pytest.mark.parametrize("seed", range(6))
@pytest.mark.parametrize("method", ["nominal", "column_and_constraint"])
@pytest.mark.parametrize("kind", SEPARATIONS)
@pytest.mark.usefixtures("no_enumeration")
def test_each_means_finds_the_worst_of_all_vertices(
    random_scenario, second_stage, seed, method, kind
):
    scenario, stage = _known(random_scenario, seed, method)
    worst = _worst(scenario, stage, kind)
    costs = [second_stage(scenario, stage, zeta) for zeta in gray_signs(3)]
    if np.isinf(max(costs)):
        assert np.isinf(worst.cost_usd)
        assert worst.violation > TOLERANCE
        assert np.isinf(second_stage(scenario, stage, worst.zeta))
        return
    assert worst.cost_usd == pytest.approx(max(costs), rel=1e-6, abs=1e-2)
    assert worst.certain_usd >= max(costs) - 1e-2
    if kind != "affine":
        assert worst.certain_usd <= max(costs) + 0.1 * 1e-4 * scenario.shed_usd.sum() + 1e-2


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("budget", [0.0, 1.0, 1.5, 2.0, 4.0])
@pytest.mark.parametrize("kind", ["auto", "enumeration", "dual_milp"])
@pytest.mark.usefixtures("no_enumeration")
def test_a_budget_is_shared_among_islands_as_badly_as_can_be(
    random_scenario, second_stage, seed, budget, kind
):
    scenario, stage = _apart(random_scenario, seed)
    worst = _worst(scenario, stage, kind, budget)
    every = max(second_stage(scenario, stage, z) for z in Region.whole(4, budget).vertices())
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


@pytest.mark.parametrize("seed", range(4))
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


# ---------------------------------------------------------------------------- the parts


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


def test_where_limits_are_kept_at_a_distance_duals_alone_prove_the_cost(
    random_scenario, monkeypatch
):
    from gridproof.optimizer.separation import dual_bound as module

    def none(*_, **__):
        raise LookupError("an affine rule was asked for")

    monkeypatch.setattr(module, "affine_bound", none)
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
    worst = _worst(scenario, stage, "auto")
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


@pytest.mark.parametrize("kind", SEPARATIONS)
def test_an_uncertain_load_in_a_dead_block_costs_nothing(random_scenario, kind):
    scenario = random_scenario(1, spread=0.25, uncertain=4)
    stage = _stage(scenario)
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


def test_every_pattern_is_its_own():
    from gridproof.optimizer.separation.affine import PATTERNS

    assert {tuple(p) for p in PATTERNS.tolist()} == set(product((1.0, -1.0), repeat=3))
