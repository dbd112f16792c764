"""What a re-dispatch lacks: nothing exactly where one exists, and what is named is enough."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.partitioning.shortfalls import redispatch_shortfalls
from gridproof.optimizer.recourse.linear import LinearRecourse
from gridproof.scenarios.arrays import PHASES
from gridproof.scenarios.realization import draw

DRAWS = 16


@pytest.fixture(
    scope="module", params=[2, *(pytest.param(k, marks=pytest.mark.slow) for k in (3, 4))]
)
def asked(request, random_scenario):
    """A plan for the nominal load alone, held against loads that it was not made for."""
    of = {"uncertain": 3, "k_der": 1 + request.param % 2}
    scenario = random_scenario(request.param, spread=0.9, **of)
    options = PartitioningOptions(method="nominal", centre=False)
    plan = PartitioningPlanner(options=options).plan(scenario)
    draws = draw(scenario, request.param, 0, DRAWS)
    found = LinearRecourse(plan, scenario).respond(draws).found
    network, stage = Network.of(scenario), FirstStage.of(plan)
    lacks = [redispatch_shortfalls(network, stage, one, time_limit_s=20.0) for one in draws.zeta]
    return scenario, plan, draws, found, lacks


def test_something_lacks_exactly_where_no_redispatch_exists(asked):
    _, _, _, found, lacks = asked
    assert 0 < found.sum() < DRAWS
    assert [not one for one in lacks] == found.tolist()


def test_what_is_named_is_enough_and_no_more(asked):
    """With the limits moved by what lacks a re-dispatch exists, by 97 % of it none does."""
    scenario, plan, draws, _, lacks = asked
    tried = 0
    for k, lack in enumerate(lacks):
        if not lack or {one.kind for one in lack} - {"active", "ramp_active"}:
            continue
        for share, exists in ((1.0 + 1e-6, True), (0.97, False)):
            moved = LinearRecourse(plan, given_room(scenario, lack, share))
            assert moved.respond(draws.take(np.array([k]))).found.item() == exists, lack
        tried += 1
    assert tried


def given_room(scenario, lack, share):
    ders = scenario.ders
    room = {name: getattr(ders, name).copy() for name in ("p_max_kw", "p_min_kw", "ramp_kw")}
    for one in lack:
        at = ders.ids.index(one.element), PHASES.index(one.phase)
        if one.kind == "ramp_active":
            room["ramp_kw"][at] += share * one.amount
        else:
            room["p_max_kw" if one.upper else "p_min_kw"][at] += (
                share * one.amount if one.upper else -share * one.amount
            )
    return replace(scenario, ders=replace(ders, **{k: np.array(v) for k, v in room.items()}))
