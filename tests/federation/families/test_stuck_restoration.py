"""A switch that does not isolate a failure leaves it alive, and no such state is feasible."""

from __future__ import annotations

from itertools import combinations

import numpy as np
import pytest
from gridproof.federation.field.stuck import observe_under, plan_as_it_stands
from gridproof.federation.trial.trial import Trial
from gridproof.optimizer.restoration.publish import publish
from gridproof.scenarios.balanced import BalancedRows, balanced_feeder
from gridproof.scenarios.devices import Device, LineDevices
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.realization import draw
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_live import live_failures
from gridproof.scenarios.restoration_scenario import restoration_scenario
from gridproof.scenarios.restoration_states import PhaseStates
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.verdict import MarginKind, Outcome, judge
from gridproof.simulator.linear.engine import LinearEngine

#   s ──breaker── a ──manual── b ──remote── c ──remote tie (open)── s2 ──breaker── d
BUSES, LINES = ("s", "a", "b", "c", "s2", "d"), ("sa", "ab", "bc", "cs", "sd")
ENDS = [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]]
DEVICES = [Device.BREAKER, Device.MANUAL, Device.REMOTE, Device.REMOTE, Device.BREAKER]
CLOSED = [[1, 1, 1, 0, 1], [0, 1, 1, 0, 1], [0, 1, 0, 0, 1], [0, 1, 0, 1, 1]]
DAMAGED = [(), (1, 2, 3), (1, 2), (1, 2)]
DEAD = [(), (1, 2, 3), (1, 2, 3), (1, 2)]
KIND = list(MarginKind).index(MarginKind.DAMAGE)


@pytest.fixture(scope="module", params=[False, True], ids=["overhead", "cable"])
def trial(request):
    """Line s-a fails: a and b are lost (manual between them), c is fed from s2 at the end."""
    rows = BalancedRows(
        name="six", base_kv=20.0, bus_ids=BUSES, line_ids=LINES,
        x_km=np.arange(6.0), y_km=np.zeros(6),
        p_kw=np.array([0.0, 100.0, 100.0, 100.0, 0.0, 100.0]),
        q_kvar=np.array([0.0, 30.0, 30.0, 30.0, 0.0, 30.0]),
        source_v_pu=np.array([1.02, np.nan, np.nan, np.nan, 1.02, np.nan]),
        ends=np.array(ENDS), r_ohm=np.full(5, 0.3), x_ohm=np.full(5, 0.3),
        rating_a=np.full(5, 100.0), closed=np.array(CLOSED[0]),
    )  # fmt: skip
    feeder = balanced_feeder(rows)
    pairs = [(one, one) for one in DEVICES]
    if request.param:  # its far end cannot be opened: the end at a burns as an overhead line's
        pairs[0] = (Device.BREAKER, Device.NONE)
    devices = LineDevices(
        line_ids=LINES, underground=np.array([request.param] + 4 * [False]), device=tuple(pairs)
    )
    scenario = restoration_scenario("six", feeder, devices, ["sa"])
    case = Outage.of(scenario)
    without = np.array([[i not in gone for i in range(6)] for gone in DEAD])
    closed = np.array(CLOSED, bool)
    decided = PhaseStates(
        closed=closed,
        end_closed=np.repeat(closed[:, :, None], 2, axis=2),
        available=np.array([[i not in gone for i in range(6)] for gone in DAMAGED]),
        energized=without,
        forming=np.zeros((4, 0), bool),
        served_kw=without * case.bus_demand()[0],
    )
    proof = Proof(termination=Termination.EXTERNAL, incumbent=np.inf, bound=-np.inf)
    return scenario, publish(case, decided, proof)


def burns(closed: np.ndarray) -> bool:
    """Walk from what the failure of s-a struck, bus a, along closed lines to a substation."""
    seen, front = {1}, [1]
    while front:
        at = front.pop()
        for k, (one, other) in enumerate(ENDS):
            if closed[k] and at in {one, other}:
                ahead = other if at == one else one
                if ahead not in seen:
                    seen.add(ahead)
                    front.append(ahead)
    return bool(seen & {0, 4})


def test_whatever_is_stuck_a_failure_is_live_where_a_search_says_so(trial):
    scenario, plan = trial
    names = scenario.feeder.switch_ids
    told = []
    for time in range(1, 4):
        for count in range(len(names) + 1):
            for some in combinations(names, count):
                stuck = np.array([name in some for name in names])
                standing = plan_as_it_stands(plan, scenario, stuck, time)
                if standing is None:
                    continue
                closed = scenario.feeder.lines.closed.copy()
                closed[scenario.feeder.switches] = standing.closed[time]
                live = live_failures(standing, scenario, time)
                assert live.tolist() == [burns(closed)], (time, some)
                told.append(bool(live[0]))
    assert 4 <= sum(told) <= len(told) - 4
    assert not live_failures(plan, scenario, 0).any()


@pytest.mark.parametrize(
    ("time", "stuck", "live"),
    [
        (0, ("sa", "bc", "cs", "sd"), False),
        (1, (), False),
        (1, ("sa",), True),  # the breaker feeds the failure
        (1, ("bc", "cs"), False),
        (2, ("bc",), False),  # damage reaches c, and nothing feeds it
        (2, ("sa",), True),
        (3, (), False),
        (3, ("bc",), True),  # the tie feeds a and b from the other side
        (3, ("sd",), False),
        (3, ("sa", "bc", "cs", "sd"), True),
    ],
)
def test_a_live_failure_is_a_violation_of_its_own_kind(trial, time, stuck, live):
    """At each realization by its own switches; the others are judged as if it were not there."""
    scenario, plan = trial
    batch = draw(scenario, 1, 0, 4)
    answer = Setpoints(
        index=batch.index,
        found=np.ones(4, bool),
        p_kw=np.repeat(plan.p_kw[time][None], 4, axis=0),
        q_kvar=np.repeat(plan.q_kvar[time][None], 4, axis=0),
        source_v_pu=np.repeat(plan.source_v_pu[time][None], 4, axis=0),
    )
    mask = np.zeros((4, len(plan.switch_ids)), bool)
    mask[[1, 3]] = [name in stuck for name in plan.switch_ids]
    trial = Trial(LinearEngine(scenario), scenario, plan)
    trial.enter(time)
    seen = observe_under(trial, plan.asked(batch, scenario), answer, mask)
    wanted = np.array([False, live, False, live])
    outcome = np.where(wanted, Outcome.VIOLATED, Outcome.FEASIBLE)
    assert seen.verdicts.outcome.tolist() == outcome.tolist()
    margin = np.where(wanted, -1.0, 1.0) if time else np.full(4, np.inf)
    assert seen.verdicts.margin[:, KIND].tolist() == margin.tolist()
    assert (seen.verdicts.element[:, KIND] == (0 if time else -1)).all()
    other = np.delete(seen.verdicts.margin, KIND, axis=1)
    assert (other >= 0.0).all()


def test_where_nothing_failed_there_is_nothing_to_be_live(tiny_scenario, tiny_plan):
    scenario = tiny_scenario()
    plan = tiny_plan(scenario)
    engine = LinearEngine(scenario)
    engine.hold(plan)
    batch = draw(scenario, 1, 0, 2)
    answer = Setpoints(
        index=batch.index,
        found=np.ones(2, bool),
        p_kw=np.repeat(plan.p_kw, 2, axis=0),
        q_kvar=np.repeat(plan.q_kvar, 2, axis=0),
        source_v_pu=np.repeat(plan.source_v_pu, 2, axis=0),
    )
    verdicts = judge(engine.observe(batch, answer), plan, scenario)
    assert (verdicts.margin[:, KIND] == np.inf).all()
    assert (verdicts.element[:, KIND] == -1).all()
