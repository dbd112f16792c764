"""The linear recourse settles by products what solving one by one would say."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.recourse.linear import LinearRecourse
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.optimizer.solver import atlas
from gridproof.optimizer.solver.parametric import ParametricProgram
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.realization import Realizations, draw


def _plan(scenario, **options):
    return PartitioningPlanner(options=PartitioningOptions(**options)).plan(scenario)


def _one_by_one(recourse: LinearRecourse, realizations: Realizations) -> np.ndarray:
    """Every realization by a linear program of its own."""
    feasible = np.ones(len(realizations), bool)
    rows = np.arange(len(realizations))
    for island in recourse.islands:
        program = island.program(boxed=True).program
        form = program.form.rows
        solver, every = LinearProgram(program.arrays()), np.arange(len(form.lower))
        for k, theta in enumerate(island.parameters(realizations, rows, 0, boxed=True)):
            moved = form.shift @ theta
            solver.set_rows(every, form.lower - moved, form.upper - moved)
            feasible[k] &= solver.run() is Termination.OPTIMAL
    return feasible


@pytest.mark.parametrize(
    "seed", [*range(4), *(pytest.param(k, marks=pytest.mark.slow) for k in range(4, 8))]
)
def test_found_is_what_solving_one_by_one_says(random_scenario, seed):
    scenario = random_scenario(seed, spread=0.5, uncertain=3, k_der=1 + seed % 2)
    plan = _plan(random_scenario(seed, spread=0.2, uncertain=3, k_der=1 + seed % 2))
    realizations, recourse = draw(scenario, 4, 0, 150), LinearRecourse(plan, scenario)
    found = recourse.respond(realizations).found
    np.testing.assert_array_equal(found, _one_by_one(recourse, realizations))


@pytest.mark.parametrize(
    ("method", "spread"),
    [
        pytest.param("nominal", 0.10, marks=pytest.mark.slow),
        pytest.param("nominal", 0.25, marks=pytest.mark.slow),
        ("column_and_constraint", 0.10),
        ("column_and_constraint", 0.25),
    ],
)
def test_of_the_networked_plans_too(networked, method, spread):
    scenario = networked(spread)
    plan = _plan(scenario, method=method)
    realizations, recourse = draw(scenario, 6, 0, 600), LinearRecourse(plan, scenario)
    found = recourse.respond(realizations).found
    np.testing.assert_array_equal(found, _one_by_one(recourse, realizations))
    if method == "column_and_constraint":  # proven robust
        assert found.all()
    else:
        assert 0.5 < found.mean() < 1.0


def test_a_der_without_room_makes_everything_infeasible(random_scenario):
    scenario = random_scenario(0, spread=0.1)
    plan = _plan(scenario)
    assert plan.energized.all()
    beyond = replace(plan, p_kw=plan.p_kw + 500.0 * scenario.ders.phases)
    assert not LinearRecourse(beyond, scenario).respond(draw(scenario, 1, 0, 3)).found.any()


@pytest.mark.slow  # a minute; that a recourse which rested answers alike is the quick one
def test_what_is_forgotten_is_found_again_to_the_last_bit(networked, monkeypatch):
    scenario = networked(0.25)
    plan = _plan(scenario, method="nominal")
    realizations = draw(scenario, 8, 0, 400)
    plenty = make_recourse("linear", plan, scenario).respond(realizations)
    monkeypatch.setattr(atlas, "_MOST", 0)
    monkeypatch.setattr(atlas.Atlas, "keep", _nothing)
    monkeypatch.setattr(atlas.Atlas, "keep_only", _nothing)
    monkeypatch.setattr(ParametricProgram, "_starts", _from_the_first)
    scarce = make_recourse("linear", plan, scenario)
    answers = [scarce.respond(realizations.take(part)) for part in (range(350), range(350, 400))]
    monkeypatch.setattr(atlas, "_MOST", 10**6)
    again = make_recourse("linear", plan, scenario).respond(realizations)
    for name in ("found", "p_kw", "q_kvar"):
        parts = np.concatenate([getattr(answer, name) for answer in answers])
        assert parts.tobytes() == getattr(again, name).tobytes(), name
        np.testing.assert_allclose(parts, getattr(plenty, name), atol=1e-6)


def _nothing(self, wanted=None):
    self._kept = min(1, len(self._status))
    return wanted


@pytest.mark.slow
def test_a_recourse_that_rested_answers_to_the_last_bit_and_keeps_only_where_it_starts(networked):
    scenario = networked(0.25)
    recourse = LinearRecourse(_plan(scenario, method="nominal"), scenario)
    realizations = draw(scenario, 8, 0, 200)
    before = recourse.respond(realizations)
    atlases = [i.program(boxed=True).program._atlas for i in recourse.islands]
    known = sum(len(one._status) for one in atlases)
    recourse.rest()
    assert sum(one._guard.nbytes + one._x.nbytes for one in atlases) == 0
    assert 0 < sum(len(one._status) for one in atlases) < known
    for _ in range(2):
        after = recourse.respond(realizations)
        recourse.rest()
        for name in ("found", "p_kw", "q_kvar"):
            assert getattr(before, name).tobytes() == getattr(after, name).tobytes(), name


def _from_the_first(self, theta):
    return np.full(len(theta), self._atlas.first(), dtype=np.int64)
