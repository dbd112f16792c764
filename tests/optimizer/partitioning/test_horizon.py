"""Several steps: which is planned first, and when one configuration is held for all."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.partitioning.horizon import hardest_first, holding, plan_each, plan_held
from gridproof.optimizer.solver.decomposition import Outcome
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.resources import Fleet, Renewables
from gridproof.scenarios.sets import Box


def _stage(*closed):
    return FirstStage(
        closed=np.array(closed, bool),
        energized=np.ones(3, bool),
        forming=np.array([True, False]),
        source_w=np.ones(2),
        p=np.zeros((2, 3)),
        q=np.zeros((2, 3)),
    )


def _outcome(stage, cost=5.0):
    proof = Proof(termination=Termination.OPTIMAL, incumbent=cost, bound=cost - 1.0)
    return Outcome(candidate=stage, worst=None, proof=proof)


class Planner:
    """Finds of each step what it is told to: on its own, or under a configuration."""

    def __init__(self, alone, holds):
        self.alone, self.holds, self.asked = alone, holds, []

    def __call__(self, scenario, step):
        fixed = scenario.locked.all()
        self.asked.append((step, bool(fixed)))
        if not fixed:
            return _outcome(self.alone[step], 10.0 + step)
        kept = _stage(*scenario.feeder.lines.closed[scenario.feeder.switches])
        return _outcome(kept if self.holds(kept, step) else None, 20.0 + step)


@pytest.fixture
def scenario(tiny_scenario):
    """Three steps; at nominal 30 kW a load, at the second 36, at the third 33."""
    whole = tiny_scenario(steps=3)
    factor = np.array([1.0, 1.2, 1.1])[:, None, None]
    return replace(whole, load_p_kw=whole.load_p_kw * factor)


def test_the_hardest_step_carries_most_at_the_top_of_the_set(scenario):
    assert hardest_first(scenario) == (1, 2, 0)
    assert hardest_first(replace(scenario, load_p_kw=scenario.load_p_kw[:1].repeat(3, 0))) == (
        0, 1, 2,
    )  # fmt: skip
    # 30 kW at ±100 % may be 60 kW: more than 36 and 33 kW of loads that do not move
    swapped = np.full((3, 3, 3), 10.0)
    swapped[0, 0], swapped[1, 1], swapped[2, 2] = 14.0, 16.0, 18.0
    moving = Box(load_ids=scenario.uncertainty.load_ids, spread=np.array([1.0, 0.2, 0.0]))
    found = replace(scenario, load_p_kw=swapped, uncertainty=moving)
    assert hardest_first(found) == (0, 2, 1)  # 84 + 36 + 30, 60 + 57.6 + 30, 60 + 36 + 54


def test_sun_that_is_missing_is_to_be_carried_too(scenario):
    level = replace(scenario, load_p_kw=scenario.load_p_kw[:1].repeat(3, 0))
    sun = Renewables(ids=("r",), der=[1], available_kw=[[90.0], [60.0], [0.0]], spread=[0.0])
    assert hardest_first(replace(level, fleet=Fleet(renewables=sun))) == (2, 1, 0)


def test_a_configuration_is_held_by_its_switches_and_by_who_may_form(scenario):
    fixed = holding(scenario, _stage(True, False))
    assert fixed.locked.all()
    assert fixed.feeder.lines.closed[fixed.feeder.switches].tolist() == [True, False]
    assert fixed.feeder.lines.closed[:3].all()
    assert fixed.ders.can_form.tolist() == [True, False]


def test_one_configuration_is_that_of_the_hardest_step_where_it_holds(scenario):
    alone = [_stage(True, True), _stage(True, False), _stage(False, True)]
    planner = Planner(alone, lambda *_: True)
    found, failed = plan_held(scenario, planner)
    assert failed is None
    assert [o.candidate.closed.tolist() for o in found] == [[True, False]] * 3
    assert planner.asked == [(1, False), (2, True), (0, True)]
    # the search's bound is of its own step; under a given configuration nothing is proven
    assert [o.proof.incumbent for o in found] == [20.0, 11.0, 22.0]
    assert [o.proof.bound for o in found] == [0.0, 10.0, 0.0]


def test_where_it_does_not_hold_the_next_hardest_is_tried_and_none_twice(scenario):
    alone = [_stage(False, True), _stage(True, False), _stage(True, False)]
    planner = Planner(alone, lambda kept, _: bool(kept.closed[1]))
    found, failed = plan_held(scenario, planner)
    assert failed is None
    assert [o.candidate.closed.tolist() for o in found] == [[False, True]] * 3
    assert planner.asked == [
        (1, False), (2, True), (2, False), (0, False), (1, True), (2, True),
    ]  # fmt: skip


def test_where_none_holds_the_hardest_step_is_named(scenario):
    alone = [_stage(False, True), _stage(True, False), _stage(True, True)]
    found, failed = plan_held(scenario, Planner(alone, lambda *_: False))
    assert failed == 1
    assert len(found) == 1


@pytest.mark.parametrize("plan", [plan_held, plan_each])
def test_a_step_without_a_plan_is_named(scenario, plan):
    alone = [_stage(True, True), None, _stage(True, True)]
    found, failed = plan(scenario, Planner(alone, lambda *_: True))
    assert failed == 1
    assert found[-1].candidate is None


def test_each_on_its_own_is_each_in_turn(scenario):
    alone = [_stage(True, True), _stage(True, False), _stage(False, True)]
    found, failed = plan_each(scenario, Planner(alone, lambda *_: True))
    assert failed is None
    assert [o.candidate for o in found] == alone
