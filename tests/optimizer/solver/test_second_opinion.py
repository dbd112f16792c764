"""What presolve alone calls infeasible is asked again: a solution is one whoever found it."""

import highspy
import numpy as np
import pytest
from gridproof.optimizer.solver import solve as door
from gridproof.optimizer.solver.solve import Arrays, solve_arrays
from gridproof.scenarios.proof import Termination
from scipy import sparse

INFEASIBLE = highspy.HighsModelStatus.kInfeasible


def knapsack(least=4.0):
    """``min x + 2y``, both whole in [0, 3], ``x + y ≥ least``."""
    return Arrays(
        cost=np.array([1.0, 2.0]), constant=0.0, matrix=sparse.csc_array(np.ones((1, 2))),
        row_lower=np.array([least]), row_upper=np.array([np.inf]),
        lower=np.zeros(2), upper=np.full(2, 3.0), integer=np.ones(2, bool),
    )  # fmt: skip


class Mistaken:
    """HiGHS that calls its first run infeasible, as presolve did on a large feeder."""

    def __init__(self, highs):
        self._highs, self.asked, self.off = highs, 0, []

    def __getattr__(self, name):
        return getattr(self._highs, name)

    def getModelStatus(self):
        self.asked += 1
        return INFEASIBLE if self.asked == 1 else self._highs.getModelStatus()

    def setOptionValue(self, name, value):
        if name == "presolve_rule_off":
            self.off.append(value)
        return self._highs.setOptionValue(name, value)


@pytest.fixture
def mistaken(monkeypatch):
    made = []
    load = door.load

    def mislead(arrays):
        made.append(Mistaken(load(arrays)))
        return made[-1]

    monkeypatch.setattr(door, "load", mislead)
    monkeypatch.setattr(door, "run_highs", lambda highs, _: highs.run())
    return made


def test_a_solution_of_the_second_run_is_the_answer(mistaken):
    answer, values = solve_arrays(knapsack())
    assert (answer.termination, answer.incumbent) == (Termination.OPTIMAL, 5.0)
    assert answer.bound == pytest.approx(5.0)
    assert values.tolist() == [3.0, 1.0]
    assert mistaken[0].off == [door._PROBING | door._ENUMERATION]


def test_what_both_call_infeasible_is_proven(mistaken):
    answer, _ = solve_arrays(knapsack(least=7.0))
    assert (answer.termination, answer.found, answer.bound) == (
        Termination.INFEASIBLE, False, np.inf,
    )  # fmt: skip
    assert mistaken[0].off


def test_a_second_run_without_an_end_proves_nothing(mistaken, monkeypatch):
    monkeypatch.setattr(door, "_second_opinion", lambda *_: highspy.HighsModelStatus.kTimeLimit)
    answer, _ = solve_arrays(knapsack(least=7.0))
    assert answer.termination is Termination.TIME_LIMIT
    assert not np.isposinf(answer.bound)
