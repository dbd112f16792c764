"""The loop of every two-stage family with stages made by hand: what it may claim, and when."""

from dataclasses import dataclass, field

import numpy as np
import pytest
from gridproof.optimizer.solver import decomposition
from gridproof.optimizer.solver.decomposition import Worst, decompose
from gridproof.optimizer.solver.solve import Answer
from gridproof.scenarios.proof import Termination


class Clock:
    """Wall time that passes when told to."""

    def __init__(self):
        self.now = 0.0

    def __call__(self):
        return self.now


@pytest.fixture
def clock(monkeypatch):
    made = Clock()
    monkeypatch.setattr(decomposition, "perf_counter", made)
    return made


@dataclass
class Master:
    bounds: list[float]
    known: list[bytes] = field(default_factory=list)
    asked: list[float] = field(default_factory=list)

    @property
    def realizations(self):
        return len(self.known)

    def solve(self, *, gap, time_limit_s):  # noqa: ARG002
        self.asked.append(gap)
        bound = self.bounds[min(len(self.asked), len(self.bounds)) - 1]
        answer = Answer(termination=Termination.OPTIMAL, incumbent=bound, bound=bound, seconds=0.0)
        return answer, f"plan {len(self.asked)}"

    def add(self, zeta):
        if zeta.tobytes() in self.known:
            return False
        self.known.append(zeta.tobytes())
        return True


@dataclass
class Oracle:
    clock: Clock
    worsts: list[Worst]
    takes_s: float = 0.0

    def first_stage_usd(self, candidate):  # noqa: ARG002
        return 80.0

    def worst(self, candidate, *, time_limit_s):  # noqa: ARG002
        self.clock.now += self.takes_s
        return self.worsts.pop(0) if len(self.worsts) > 1 else self.worsts[0]


def _worst(cost, *, bound=None, complete=True, at=1.0):
    return Worst(
        zeta=np.array([at]),
        cost_usd=cost,
        violation=0.0 if np.isfinite(cost) else 1.0,
        complete=complete,
        bound_usd=bound,
    )


def _run(master, oracle, **limits):
    asked = {"gap": 1e-4, "time_limit_s": 60.0, "max_iterations": 20} | limits
    return decompose(master, oracle, **asked)


def test_time_that_runs_out_leaves_a_plan_with_its_gap(clock):
    oracle = Oracle(clock, [_worst(20.0)], takes_s=100.0)
    outcome = _run(Master([90.0]), oracle)
    assert outcome.candidate == "plan 1"
    proof = outcome.proof
    assert proof.termination is Termination.TIME_LIMIT
    assert proof.robust
    assert not proof.certified
    assert proof.gap == pytest.approx(0.1)


def test_time_that_runs_out_before_any_robust_plan_leaves_none(clock):
    outcome = _run(Master([90.0]), Oracle(clock, [_worst(np.inf)], takes_s=100.0))
    assert outcome.candidate is None
    assert outcome.proof.termination is Termination.TIME_LIMIT
    assert not outcome.proof.robust
    assert outcome.proof.bound == 90.0


def test_a_plan_is_charged_with_the_bound_not_with_what_was_found(clock):
    outcome = _run(Master([90.0]), Oracle(clock, [_worst(10.0, bound=10.005)]))
    assert outcome.proof.incumbent == pytest.approx(90.005)
    assert outcome.proof.certified  # within 1e-4
    wide = _run(Master([90.0]), Oracle(clock, [_worst(10.0, bound=12.0)]))
    assert not wide.proof.certified
    assert wide.proof.gap == pytest.approx(2.0 / 92.0)


def test_an_oracle_that_cannot_settle_proves_nothing(clock):
    outcome = _run(Master([90.0]), Oracle(clock, [_worst(10.0, bound=np.inf, complete=False)]))
    assert outcome.candidate is None
    assert outcome.proof.termination is Termination.UNKNOWN
    assert not outcome.proof.robust


def test_a_master_that_learns_nothing_is_solved_closer_and_then_left(clock):
    master = Master([90.0])
    outcome = _run(master, Oracle(clock, [_worst(np.inf)]))
    assert outcome.proof.termination is Termination.UNKNOWN
    assert master.asked == sorted(master.asked, reverse=True)
    assert len(set(master.asked)) >= 3


def test_bounds_close_over_realizations(clock):
    oracle = Oracle(clock, [_worst(np.inf, at=1.0), _worst(30.0, at=2.0), _worst(15.0, at=3.0)])
    outcome = _run(Master([81.0, 90.0, 95.0]), oracle)
    assert outcome.candidate == "plan 3"
    assert outcome.proof.termination is Termination.OPTIMAL
    assert outcome.proof.certified
    assert outcome.proof.realizations_kept == 2
