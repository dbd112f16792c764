import numpy as np
import pyomo.environ as pyo
import pytest
from gridproof.optimizer.solver.bases import Rows
from gridproof.optimizer.solver.parametric import ParametricProgram
from gridproof.optimizer.solver.pyomo_model import solve
from gridproof.optimizer.solver.solve import Arrays
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.proof import Termination
from scipy import sparse


def _knapsack(size, seed=0):
    rng = np.random.default_rng(seed)
    m = pyo.ConcreteModel()
    m.x = pyo.Var(range(size), domain=pyo.Binary)
    weight, worth = rng.integers(20, 100, size), rng.integers(20, 100, size)
    m.room = pyo.Constraint(
        expr=sum(int(w) * m.x[i] for i, w in enumerate(weight)) <= int(weight.sum() // 3)
    )
    m.cost = pyo.Objective(expr=-sum(int(v) * m.x[i] for i, v in enumerate(worth)))
    return m


def test_an_optimum_has_incumbent_bound_and_values():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0, 10), domain=pyo.Integers)
    m.y = pyo.Var(bounds=(0, None))
    m.row = pyo.Constraint(expr=2 * m.x + m.y >= 7.5)
    m.cost = pyo.Objective(expr=3 * m.x + 1.9 * m.y + 1)
    answer = solve(m)
    assert answer.termination is Termination.OPTIMAL
    assert answer.incumbent == pytest.approx(3 * 3 + 1.9 * 1.5 + 1)
    assert answer.bound == pytest.approx(answer.incumbent)
    assert answer.gap < 1e-6
    assert pyo.value(m.x) == 3
    assert pyo.value(m.y) == pytest.approx(1.5)


def test_infeasible_is_proven_not_guessed():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0, 1), domain=pyo.Integers)
    m.row = pyo.Constraint(expr=2 * m.x == 1)
    m.cost = pyo.Objective(expr=m.x)
    answer = solve(m)
    assert answer.termination is Termination.INFEASIBLE
    assert not answer.found
    assert answer.bound == np.inf


def test_a_row_of_constants_that_does_not_hold_is_infeasible():
    m = pyo.ConcreteModel()
    m.x = pyo.Var(bounds=(0, 1))
    m.y = pyo.Var()
    m.y.fix(2.0)
    m.row = pyo.Constraint(expr=m.y <= 1.0)
    m.cost = pyo.Objective(expr=m.x)
    assert solve(m).termination is Termination.INFEASIBLE


def test_a_time_limit_is_neither_infeasible_nor_solved():
    answer = solve(_knapsack(60), time_limit_s=1e-9)
    assert answer.termination is Termination.TIME_LIMIT
    assert answer.gap > 1e-6
    assert answer.bound <= answer.incumbent


def test_a_start_is_taken():
    m = _knapsack(30)
    first = solve(m)
    again = solve(m, start=True)
    assert again.incumbent == pytest.approx(first.incumbent)


def _program():
    """Min x + y over x + y ≥ b, x ≤ 4."""
    return LinearProgram(
        Arrays(
            cost=np.array([1.0, 3.0]),
            constant=0.0,
            matrix=sparse.csc_array(np.array([[1.0, 1.0]])),
            row_lower=np.array([2.0]),
            row_upper=np.array([np.inf]),
            lower=np.zeros(2),
            upper=np.array([4.0, 5.0]),
            integer=np.zeros(2, bool),
        )
    )


def test_a_persistent_program_follows_its_bounds():
    program, row = _program(), np.array([0])
    assert program.run() is Termination.OPTIMAL
    assert program.objective == pytest.approx(2.0)
    program.set_rows(row, [6.0], [np.inf])
    assert program.run() is Termination.OPTIMAL
    np.testing.assert_allclose(program.primal(), [4.0, 2.0])
    np.testing.assert_allclose(program.row_dual(), [3.0])
    program.set_rows(row, [10.0], [np.inf])
    assert program.run() is Termination.INFEASIBLE
    program.set_columns(np.array([0]), [0.0], [9.0])
    assert program.run(fresh=True) is Termination.OPTIMAL
    assert program.objective == pytest.approx(9.0 + 3.0)
    program.set_costs(np.array([0]), [5.0])
    program.run()
    assert program.objective == pytest.approx(5 * 5.0 + 3 * 5.0)


def _parametric(seed):
    """A bounded random program whose right-hand side moves with two parameters."""
    rng = np.random.default_rng(seed)
    rows, columns = 9, 5
    parts = {
        "cost": rng.normal(size=columns),
        "lower": np.full(columns, -1.0),
        "upper": np.full(columns, 1.0),
    }
    moved = Rows(
        matrix=rng.normal(size=(rows, columns)),
        lower=np.full(rows, -np.inf),
        upper=rng.uniform(0.0, 1.0, rows),
        shift=rng.normal(size=(rows, 2)),
    )
    return parts, moved


@pytest.mark.parametrize("seed", range(10))
def test_regions_and_rays_answer_as_solving_one_by_one_does(seed, monkeypatch):
    monkeypatch.setattr(ParametricProgram, "_solve", None)  # nobody asks HiGHS here
    parts, rows = _parametric(seed)
    asked = np.random.default_rng(99).uniform(-1.0, 1.0, (200, 2))
    learnt = ParametricProgram(**parts, rows=rows)
    learnt.learn(np.random.default_rng(7).uniform(-1.0, 1.0, (40, 2)))
    plain = ParametricProgram(**parts, rows=rows)
    one, other = learnt.answer(asked), plain.answer(asked)
    np.testing.assert_array_equal(one.found, other.found)
    np.testing.assert_allclose(
        one.x[one.found] @ parts["cost"], other.x[other.found] @ parts["cost"], atol=1e-8
    )
    solver, every = LinearProgram(learnt.arrays()), np.arange(len(rows.lower))
    for k, theta in enumerate(asked):
        solver.set_rows(every, rows.lower - rows.shift @ theta, rows.upper - rows.shift @ theta)
        assert (solver.run() is Termination.OPTIMAL) == one.found[k]
        if one.found[k]:
            assert solver.objective == pytest.approx(one.x[k] @ parts["cost"], abs=1e-7)
    activity = one.x[one.found] @ rows.matrix.T + asked[one.found] @ rows.shift.T
    assert (activity <= rows.upper + 1e-8).all()


@pytest.mark.parametrize("seed", range(10))
def test_compiled_walks_find_what_regions_and_rays_do(seed, monkeypatch):
    pytest.importorskip("numba")
    monkeypatch.setattr(ParametricProgram, "_solve", None)  # nobody asks HiGHS here
    parts, rows = _parametric(seed)
    asked = np.random.default_rng(99).uniform(-1.0, 1.0, (200, 2))
    sides = []
    for quick in (False, True):
        program = ParametricProgram(**parts, rows=rows, quick=quick)
        program.learn(np.random.default_rng(7).uniform(-1.0, 1.0, (40, 2)))
        sides.append(program.answer(asked))
    one, other = sides
    np.testing.assert_array_equal(one.found, other.found)
    np.testing.assert_allclose(one.x[one.found], other.x[one.found], atol=1e-10)
    alone = [program.answer(asked[k : k + 1]) for k in range(0, 200, 7)]
    assert np.concatenate([each.x for each in alone]).tobytes() == other.x[::7].tobytes()
    program.rest()  # and forgets nothing that matters
    assert program.answer(asked).x.tobytes() == other.x.tobytes()
    moved = np.random.default_rng(5).normal(scale=0.8, size=9)
    plain = ParametricProgram(**parts, rows=rows)
    for theta in asked[:20]:
        x, y = program.answer_moved(theta, moved), plain.answer_moved(theta, moved)
        assert (x is None) == (y is None)
        if x is not None:
            np.testing.assert_allclose(x, y, atol=1e-8)


def test_a_walk_that_rounding_has_led_astray_is_left_to_the_solver():
    pytest.importorskip("numba")
    parts, rows = _parametric(1)
    program = ParametricProgram(**parts, rows=rows, quick=True)
    program.learn(np.zeros((1, 2)))
    asked = np.random.default_rng(3).uniform(-1.0, 1.0, (20, 2))
    sound = program.answer(asked)
    inverse, *rest = program._walker._worked_out()
    program._walker._hubs = (inverse + 1e-3, *rest)
    again = program.answer(asked)
    np.testing.assert_array_equal(again.found, sound.found)
    np.testing.assert_allclose(again.x, sound.x, atol=1e-8)


@pytest.mark.parametrize("seed", range(3))
def test_one_whose_rows_are_moved_besides_is_answered_or_refused_as_solving_it_does(seed):
    parts, rows = _parametric(seed)
    program, rng = ParametricProgram(**parts, rows=rows), np.random.default_rng(5)
    program.learn(rng.uniform(-1.0, 1.0, (10, 2)))
    solver, every, found = LinearProgram(program.arrays()), np.arange(len(rows.lower)), []
    for theta, moved in zip(
        rng.uniform(-1.0, 1.0, (40, 2)), rng.normal(scale=0.8, size=(40, 9)), strict=True
    ):
        shift = rows.shift @ theta + moved
        solver.set_rows(every, rows.lower - shift, rows.upper - shift)
        there, x = solver.run() is Termination.OPTIMAL, program.answer_moved(theta, moved)
        assert (x is not None) == there
        if x is not None:
            assert x @ parts["cost"] == pytest.approx(solver.objective, abs=1e-7)
            assert (rows.matrix @ x + shift <= rows.upper + 1e-8).all()
        found.append(there)
    assert 0 < sum(found) < len(found)


def test_the_parametric_cases_hold_both_kinds():
    shares = []
    for seed in range(10):
        parts, rows = _parametric(seed)
        program = ParametricProgram(**parts, rows=rows)
        asked = np.random.default_rng(99).uniform(-1.0, 1.0, (60, 2))
        shares.append(program.answer(asked).found.mean())
    assert min(shares) < 1.0
    assert max(shares) > 0.0
