"""A switch that did not act leaves another grid than planned, and the physics is asked of that."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.config.faults import FaultsConfig
from gridproof.federation.field.channel import Channel
from gridproof.federation.field.stuck import observe_under, plan_as_it_stands
from gridproof.federation.studies.study import load_study
from gridproof.federation.trial.trial import Trial
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.realization import draw
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.linear.engine import LinearEngine


@pytest.fixture(scope="module")
def case():
    study = load_study("ieee37-networked")
    options = {**study.config.planner.options, "method": "nominal"}
    plan = make_planner(study.config.planner.family, options).plan(study.scenario)
    return study.scenario, plan


def mask(scenario, *names):
    return np.array([name in names for name in scenario.feeder.switch_ids])


def moved(scenario, plan):
    """Switches the plan moves, and what becomes of the grid if only that one does not."""
    filed = scenario.feeder.lines.closed[scenario.feeder.switches]
    names = np.array(scenario.feeder.switch_ids)[(filed != plan.closed[0]) & ~scenario.locked]
    return {str(name): plan_as_it_stands(plan, scenario, mask(scenario, name)) for name in names}


def test_a_switch_that_was_not_to_move_changes_nothing(case):
    scenario, plan = case
    filed = scenario.feeder.lines.closed[scenario.feeder.switches]
    still = (filed == plan.closed[0]) & ~scenario.locked
    standing = plan_as_it_stands(plan, scenario, still)
    np.testing.assert_array_equal(standing.closed, plan.closed)
    np.testing.assert_array_equal(standing.energized, plan.energized)


def test_every_switch_the_plan_moves_leaves_another_grid(case):
    """Two islands joined have a former too many, a lost block none; a picked-up block is live."""
    scenario, plan = case
    cases = moved(scenario, plan)
    assert len(cases) >= 2
    joined = [name for name, standing in cases.items() if standing is None]
    assert joined
    for standing in cases.values():
        if standing is not None:
            assert (standing.energized >= plan.energized).all()


def test_a_block_without_a_former_is_no_state(case):
    scenario, plan = case
    nobody = replace(plan, grid_forming=np.zeros_like(plan.grid_forming))
    assert plan_as_it_stands(nobody, scenario, np.zeros(len(plan.switch_ids), bool)) is None


def test_each_realization_is_solved_under_its_own_switches(case):
    scenario, plan = case
    cases = moved(scenario, plan)
    bad = next(name for name, standing in cases.items() if standing is None)
    batch = draw(scenario, 1, 0, 6)
    answer = make_recourse("fixed", plan, scenario).respond(batch)
    engine = LinearEngine(scenario)
    engine.hold(plan)
    clean = engine.observe(batch, answer)
    stuck = np.zeros((6, len(plan.switch_ids)), bool)
    stuck[[1, 4]] = mask(scenario, bad)
    trial = Trial(engine, scenario, plan)
    trial.enter(0)
    seen = observe_under(trial, batch, answer, stuck)
    np.testing.assert_array_equal(seen.switches_stuck, [0, 1, 0, 0, 1, 0])
    np.testing.assert_array_equal(seen.verdicts.index, batch.index)
    assert (seen.verdicts.outcome[[1, 4]] == Outcome.NO_SOLUTION).all()
    rest = [0, 2, 3, 5]
    expected = judge(clean, plan, scenario)
    np.testing.assert_array_equal(seen.verdicts.outcome[rest], expected.outcome[rest])
    np.testing.assert_array_equal(seen.snapshots.v_pu[rest], clean.v_pu[rest])
    again = engine.observe(batch, answer)  # the plan is held again
    np.testing.assert_array_equal(again.v_pu, clean.v_pu)


class Pulse:
    """An engine whose state is outside the limits in a stretch of time around each draw."""

    def __init__(self, scenario, plan, outside):
        self._plan, self._outside = plan, outside
        self._linear = LinearEngine(scenario)
        self._linear.hold(plan)
        self.asked = 0

    def hold(self, plan, time=0):
        pass

    def observe(self, realizations, setpoints):
        self.asked += len(realizations)
        snapshots = self._linear.observe(realizations, setpoints)
        bad = self._outside(realizations)
        base = np.broadcast_to(self._plan.p_kw[0], snapshots.der_p_kw.shape)
        q = np.broadcast_to(self._plan.q_kvar[0], base.shape)
        p = np.where(bad[:, None, None], 1e6, base)
        level = np.where(np.isnan(snapshots.v_pu), np.nan, 1.0)
        current = np.zeros_like(snapshots.current_a)
        return replace(snapshots, der_p_kw=p, der_q_kvar=q, v_pu=level, current_a=current)

    def close(self):
        pass


@pytest.mark.parametrize(
    ("ride", "before", "after", "outcome"),
    [
        (0, 0, 0, Outcome.VIOLATED),
        (3, 0, 2, Outcome.FEASIBLE),
        (3, 2, 0, Outcome.FEASIBLE),
        (3, 1, 2, Outcome.VIOLATED),
        (3, 3, 0, Outcome.VIOLATED),
        (3, 9, 9, Outcome.VIOLATED),
        (4, 1, 2, Outcome.FEASIBLE),
    ],
)
def test_ride_through_counts_the_time_outside_on_both_sides(case, ride, before, after, outcome):
    """``before`` + 1 + ``after`` instants are outside, one a second."""
    scenario, plan = case
    faults = FaultsConfig(latency_s=1e9, ride_through_s=float(ride), interval_s=60.0)

    def of(first, count):
        return draw(scenario, 1, first, count)

    batch = of(2, 1)
    one, two, three = of(1, 3).zeta

    def outside(realizations):
        """Tell the time from the loads: between draws they move in a straight line."""
        zeta = realizations.zeta
        early = 60.0 * (zeta - two)[:, 0] / (two - one)[0]  # s since the draw, if before it
        late = 60.0 * (zeta - two)[:, 0] / (three - two)[0]
        return np.array(
            [
                np.allclose(z, two)
                or (np.allclose(z, two + (two - one) * e / 60.0) and -before - 0.5 < e <= 0.0)
                or (np.allclose(z, two + (three - two) * t / 60.0) and 0.0 <= t < after + 0.5)
                for z, e, t in zip(zeta, early, late, strict=True)
            ]
        )

    channel = Channel(scenario, faults, 1, of)
    question = channel.question(batch)
    assert len(question) == channel.questions == 2 * ride + 1
    answer = make_recourse("fixed", plan, scenario).respond(question)
    engine = Pulse(scenario, plan, outside)
    trial = Trial(engine, scenario, plan)
    trial.enter(0)
    settled = channel.settle(trial, batch, answer)
    assert settled.verdicts.outcome[0] == outcome
    assert engine.asked <= 2 * ride + 1
