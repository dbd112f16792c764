"""More than one grid-forming DER in an island: planned, audited, answered and simulated."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.master import PartitioningMaster
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.plans import assemble
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.optimizer.separation.islands import IslandSeparation
from gridproof.optimizer.solver.decomposition import decompose
from gridproof.scenarios.audit import audit
from gridproof.scenarios.realization import draw, realize
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.linear.engine import LinearEngine


def _plan(scenario, formers, closed, dead=()):
    """The cheapest robust plan in which some DERs all form, over closed switches, if any."""
    network, options = Network.of(scenario), PartitioningOptions(gap=1e-6)
    master = PartitioningMaster(network, options)
    for g in formers:
        master.model.forming[g].fix(1)
    for k in closed:
        master.model.closed[k].fix(1)
    for block in dead:
        master.model.energized[block].fix(0)
    outcome = decompose(
        master,
        IslandSeparation(network=network, kind="enumeration"),
        gap=1e-6,
        time_limit_s=120.0,
        max_iterations=50,
    )
    return None if outcome.candidate is None else assemble(scenario, [outcome])


def test_an_island_of_two_formers_passes_from_planner_to_engine(random_scenario):
    scenario = random_scenario(2, spread=0.05, uncertain=2, k_der=2)
    plan = _plan(scenario, formers=(0, 1), closed=(0,), dead=(2,))
    assert plan.proof.certified
    assert plan.grid_forming.sum() == 2
    assert audit(plan, scenario) == ()
    alone = replace(scenario, limits=replace(scenario.limits, grid_forming_per_island=1))
    assert audit(plan, alone) != ()
    realizations = draw(scenario, 1, 0, 40)
    setpoints = make_recourse("linear", plan, scenario).respond(realizations)
    assert setpoints.found.all()
    engine = LinearEngine(scenario)
    engine.hold(plan)
    seen = engine.observe(realizations, setpoints)
    verdicts = judge(seen, plan, scenario)
    assert (verdicts.outcome == Outcome.FEASIBLE).all()
    # each holds what the plan says, although the engine lets only the first one hold
    for g in (0, 1):
        held = seen.v_pu[:, scenario.ders.bus[g]]
        np.testing.assert_allclose(held, plan.source_v_pu[0, g], atol=1e-6)


def test_two_formers_may_not_be_forced_on_an_island_of_one(random_scenario):
    scenario = random_scenario(2, spread=0.05, uncertain=2, k_der=1)
    assert _plan(scenario, formers=(0, 1), closed=(0,), dead=(2,)) is None


def test_two_sources_in_one_island_are_solved_by_opendss(networked):
    from gridproof.simulator.opendss.engine import OpenDssEngine

    scenario = networked(0.0)
    scenario = replace(scenario, limits=replace(scenario.limits, grid_forming_per_island=2))
    home = scenario.feeder.blocks.of_bus[scenario.ders.bus].tolist()
    pairs = [
        (k, (home.index(i), home.index(j)))
        for k, (i, j) in enumerate(scenario.feeder.switch_blocks.tolist())
        if not scenario.locked[k] and i in home and j in home
    ]
    tried = ((pair, _plan(scenario, formers=pair, closed=(k,))) for k, pair in pairs)
    pair, plan = next(found for found in tried if found[1] is not None)
    assert plan.grid_forming[0, list(pair)].all()
    assert audit(plan, scenario) == ()
    nominal = realize(scenario, np.zeros((1, scenario.uncertainty.size)))
    setpoints = make_recourse("fixed", plan, scenario).respond(nominal)
    engine = OpenDssEngine(scenario)
    try:
        engine.hold(plan)
        seen = engine.observe(nominal, setpoints)
    finally:
        engine.close()
    assert seen.converged.all()
    for g in pair:
        held = seen.v_pu[0, scenario.ders.bus[g]]
        np.testing.assert_allclose(held, plan.source_v_pu[0, g], atol=1e-4)
    live = plan.energized[0][scenario.feeder.block_of_load]
    served = scenario.load_p_kw[0][live].sum()
    assert seen.delivered_kw[0] == pytest.approx(served, rel=1e-3)
