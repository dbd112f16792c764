"""Algorithm 1 against column-and-constraint generation: one problem, one optimum."""

import numpy as np
import pytest
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.cutting_plane import CuttingPlaneMaster
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.partitioning.subproblems import VertexSubproblems, point_of
from gridproof.optimizer.separation.region import gray_signs
from gridproof.optimizer.solver.decomposition import decompose
from gridproof.scenarios.audit import audit
from gridproof.scenarios.errors import ScenarioError


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(**options)).plan(scenario)


@pytest.mark.parametrize("separation", ["enumeration", "auto"])
@pytest.mark.parametrize(
    "seed", [*range(5), *(pytest.param(k, marks=pytest.mark.slow) for k in range(5, 10))]
)
def test_both_methods_have_the_same_optimum(random_scenario, seed, separation):
    scenario = random_scenario(seed, spread=0.25, uncertain=3, k_der=1 + seed % 2)
    cut = _plan(scenario, method="cutting_plane", separation=separation, gap=1e-6, centre=False)
    grown = _plan(scenario, gap=1e-6, centre=False)
    assert cut.proof.certified
    assert cut.proof.incumbent == pytest.approx(grown.proof.incumbent, rel=3e-6)
    assert audit(cut, scenario) == ()


@pytest.mark.parametrize("seed", [4, *(pytest.param(k, marks=pytest.mark.slow) for k in (2, 8))])
def test_cuts_at_the_masters_solutions_alone_get_there_too(random_scenario, seed):
    scenario = random_scenario(seed, spread=0.25, uncertain=2)
    network, options = Network.of(scenario), PartitioningOptions(method="cutting_plane")
    subproblems = VertexSubproblems(network)
    outcomes = [
        decompose(
            CuttingPlaneMaster(network, options, subproblems, as_printed=printed),
            subproblems,
            gap=1e-4,
            time_limit_s=120.0,
            max_iterations=1000,
        )
        for printed in (True, False)
    ]
    printed, helped = (outcome.proof for outcome in outcomes)
    assert printed.certified
    assert printed.incumbent == pytest.approx(helped.incumbent, rel=2e-4)
    assert printed.iterations > helped.iterations


@pytest.mark.parametrize("seed", range(4))
def test_cuts_pass_below_the_value_at_other_points(random_scenario, seed):
    """(17b) and feasibility cuts hold wherever a plan might be, not only where they are made."""
    scenario = random_scenario(seed, spread=0.3, uncertain=2)
    subproblems = VertexSubproblems(Network.of(scenario))
    plans = [
        FirstStage.of(_plan(scenario, centre=False)),
        FirstStage.of(_plan(scenario, method="nominal", centre=False)),
        FirstStage.of(_plan(scenario, min_energized_blocks=0, ac_margin=0.004, centre=False)),
    ]
    points = [point_of(stage) for stage in plans]
    made = 0
    for vertex in [None, *gray_signs(2)]:
        for at in points:
            for cut in subproblems.cuts(at, vertex):
                made += 1
                for other in points:
                    under = cut.value + sum(s * (other[k] - at[k]) for k, s in cut.slope.items())
                    subproblems.fix(other)
                    slack, cost = subproblems.value(vertex)
                    if slack == 0.0:  # a plan that serves this realization is not cut off
                        assert under <= (1e-6 if cut.feasibility else cost + 1e-3)
    assert made


def test_demand_is_set_by_coefficients_and_taken_back(random_scenario):
    """Values do not depend on which vertices were asked before."""
    scenario = random_scenario(1, spread=0.3, uncertain=3)
    stage = point_of(FirstStage.of(_plan(scenario, centre=False)))
    first, again = VertexSubproblems(Network.of(scenario)), VertexSubproblems(Network.of(scenario))
    for subproblems in (first, again):
        subproblems.fix(stage)
    forward = [first.value(v) for v in gray_signs(3)]
    backward = [again.value(v) for v in gray_signs(3)[::-1]][::-1]
    np.testing.assert_allclose(forward, backward, rtol=1e-6, atol=1e-2)
    assert np.ptp([cost for _, cost in forward]) > 1.0


def test_every_vertex_of_too_many_loads_is_refused_with_their_count(networked):
    from dataclasses import replace

    from gridproof.scenarios.sets import Box

    scenario = networked(0.1)
    loads = scenario.feeder.loads.ids
    scenario = replace(scenario, uncertainty=Box(load_ids=loads, spread=np.full(len(loads), 0.1)))
    with pytest.raises(ScenarioError, match=rf"every vertex of {len(loads)} uncertain loads"):
        _plan(scenario, method="cutting_plane", separation="enumeration")


LEVELS = [
    pytest.param(0.0),
    pytest.param(0.10),
    pytest.param(0.15, marks=pytest.mark.slow),
    pytest.param(0.25, marks=pytest.mark.slow),
]


@pytest.mark.parametrize("spread", LEVELS)
def test_networked_feeder_has_the_same_optimum_by_either_method(networked, spread):
    scenario = networked(spread)
    cut = _plan(
        scenario,
        method="cutting_plane",
        separation="enumeration",
        max_iterations=2000,
        centre=False,
    )
    grown = _plan(scenario, centre=False)
    assert cut.proof.certified
    assert grown.proof.certified
    assert cut.proof.incumbent == pytest.approx(grown.proof.incumbent, rel=1e-4)
    np.testing.assert_array_equal(cut.energized, grown.energized)


@pytest.mark.parametrize("radiality", ["single_commodity", "directed_local_flow"])
def test_radiality_formulations_give_the_same_cost_on_the_networked_feeder(networked, radiality):
    scenario = networked(0.10)
    one = _plan(scenario, radiality=radiality, centre=False)
    other = _plan(scenario, radiality="multi_commodity", centre=False)
    assert one.proof.certified
    assert one.proof.incumbent == pytest.approx(other.proof.incumbent, rel=1e-4)
