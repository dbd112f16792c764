"""Margins that the planner keeps, everywhere and at single elements."""

import numpy as np
import pytest
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.scenarios.errors import ScenarioError


def _proof(scenario, **options):
    return (
        PartitioningPlanner(options=PartitioningOptions(centre=False, **options))
        .plan(scenario)
        .proof
    )


def _elements(scenario):
    feeder = scenario.feeder
    return {
        "bus": feeder.buses.ids,
        "line": feeder.lines.ids,
        "transformer": feeder.transformers.ids,
        "der": scenario.ders.ids,
    }


@pytest.mark.parametrize("seed", [1, 2])
def test_an_element_given_the_margin_of_all_is_as_narrow_as_if_all_were_given_it(
    random_scenario, seed
):
    scenario = random_scenario(seed, spread=0.2)
    every = {kind: dict.fromkeys(ids, 0.006) for kind, ids in _elements(scenario).items()}
    alike, apart = Network.of(scenario, ac_margin=0.006), Network.of(scenario, ac_margin_at=every)
    np.testing.assert_array_equal(alike.ders.inset, apart.ders.inset)
    np.testing.assert_array_equal(alike.bus_w_min, apart.bus_w_min)
    np.testing.assert_array_equal(alike.bus_w_max, apart.bus_w_max)
    for one, other in zip(alike.branches, apart.branches, strict=True):
        assert [most for _, most in one.limits] == [most for _, most in other.limits]
    cost = [_proof(scenario, **kept) for kept in ({"ac_margin": 0.006}, {"ac_margin_at": every})]
    assert cost[0].incumbent == pytest.approx(cost[1].incumbent, rel=1e-6)
    one = {"der": {scenario.ders.ids[0]: 0.02}}
    between = _proof(scenario, ac_margin_at=one).incumbent
    assert _proof(scenario).bound <= between * (1 + 1e-7)


def test_a_margin_at_an_element_that_is_not_there_is_refused(random_scenario):
    with pytest.raises(ScenarioError, match=r"ac_margin_at\.bus\.nowhere names no bus"):
        Network.of(random_scenario(0), ac_margin_at={"bus": {"nowhere": 0.01}})
    with pytest.raises(ValueError, match=r"ac_margin_at\.pole is not known.*bus, line"):
        PartitioningOptions(ac_margin_at={"pole": {}})
    with pytest.raises(ValueError, match=r"ac_margin_at\.bus\.b1 = 0\.2 must be a number in"):
        PartitioningOptions(ac_margin_at={"bus": {"b1": 0.2}})
    with pytest.raises(ValueError, match=r"ac_margin_at\.bus = 0\.01 must be a table"):
        PartitioningOptions(ac_margin_at={"bus": 0.01})
