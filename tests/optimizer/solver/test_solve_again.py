"""A linear program that HiGHS' simplex method gets lost in is run again from nothing."""

import highspy
import pytest
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.proof import Termination


class Lost:
    """A HiGHS that says of its first runs nothing, as it does where it gets lost."""

    def __init__(self, highs, runs):
        self._highs, self._left = highs, runs

    def __getattr__(self, name):
        return getattr(self._highs, name)

    def run(self):
        self._left -= 1
        return self._highs.run()

    def getModelStatus(self):
        lost = self._left >= 0
        return highspy.HighsModelStatus.kNotset if lost else self._highs.getModelStatus()


def program():
    m = Program()
    x = m.columns(2, upper=3.0)
    m.rows("sum", (1.0, x), lower=1.0)
    m.charge(x, 1.0)
    return LinearProgram(m.arrays())


@pytest.mark.parametrize("runs", [0, 1, 2])
def test_what_is_lost_is_run_again(runs):
    made = program()
    made._highs = Lost(made._highs, runs)
    assert made.run(time_limit_s=10.0) is Termination.OPTIMAL
    assert made.objective == pytest.approx(2.0)


def test_what_stays_lost_is_an_error():
    made = program()
    made._highs = Lost(made._highs, 3)
    with pytest.raises(SolverError, match="neither an answer, a proof nor a limit"):
        made.run(time_limit_s=10.0)
