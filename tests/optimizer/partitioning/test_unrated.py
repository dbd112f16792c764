"""A line without a rating bounds no flow, and one that is open carries none all the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.separation.islands import IslandSeparation


def rated(scenario, amperes):
    lines = replace(scenario.feeder.lines, rating_a=np.asarray(amperes, float))
    return replace(scenario, feeder=replace(scenario.feeder, lines=lines))


def planned(scenario, **options):
    chosen = PartitioningOptions(gap=1e-6, **options)
    return PartitioningPlanner(options=chosen).plan(scenario)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("which", ["all", "switches"])
def test_none_is_a_rating_that_cannot_bind(random_scenario, seed, which):
    scenario = random_scenario(seed, spread=0.2)
    own = scenario.feeder.lines.rating_a
    free = np.isin(np.arange(9), range(6, 9)) | (which == "all")
    unrated = rated(scenario, np.where(free, np.inf, own))
    ample = planned(rated(scenario, np.where(free, 1e5, own)), centre=False)
    plan = planned(unrated)
    assert plan.proof.certified
    assert plan.proof.incumbent == pytest.approx(ample.proof.incumbent, rel=3e-6)
    oracle = IslandSeparation(network=Network.of(unrated), kind="enumeration")
    assert oracle.worst(FirstStage.of(plan), time_limit_s=60.0).violation == 0.0


def test_a_rating_that_binds_costs_and_none_does_not(random_scenario):
    scenario = random_scenario(2, spread=0.1)
    tight = planned(rated(scenario, np.full(9, 12.0)), centre=False).proof.incumbent
    assert planned(rated(scenario, np.full(9, np.inf)), centre=False).proof.incumbent < tight
