"""Against what knows nothing of the tricks: every realization, every first stage, a second LP."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from itertools import combinations, pairwise, product
from time import perf_counter

import numpy as np
import pytest
from gridproof.optimizer.resiliency import master as master_module
from gridproof.optimizer.resiliency.adversary import Adversary, build_dual
from gridproof.optimizer.resiliency.case import CASES, Budgets, ResiliencyCase
from gridproof.optimizer.resiliency.decision import Decision, idle, load_mw
from gridproof.optimizer.resiliency.grid import energised, grid_of
from gridproof.optimizer.resiliency.master import ResiliencyMaster, build_master
from gridproof.optimizer.resiliency.options import ResiliencyOptions
from gridproof.optimizer.resiliency.planner import solve
from gridproof.optimizer.resiliency.recourse import Recourse
from gridproof.optimizer.resiliency.terms import exposure, worst_price
from gridproof.optimizer.resiliency.tie_sets import TieSets
from gridproof.optimizer.solver.solve import solve_arrays
from gridproof.scenarios.errors import SolverError
from scipy.optimize import linprog

Small = Callable[..., ResiliencyCase]
TIGHT = ResiliencyOptions(gap=1e-6)


def realizations(case: ResiliencyCase) -> Iterator[np.ndarray]:
    """Every vertex of the set with upward deviations: Γ hours of each bus that asks."""
    hours, buses = case.demand.p_kw.shape
    asking = np.flatnonzero(case.demand.p_kw.any(axis=0))
    choices = list(combinations(range(hours), case.budgets.load_gamma))
    for chosen in product(choices, repeat=len(asking)):
        up = np.zeros((hours, buses))
        for bus, at in zip(asking, chosen, strict=True):
            up[list(at), bus] = 1.0
        yield up


def decisions(case: ResiliencyCase) -> Iterator[Decision]:
    """Every first stage of the small case: commitments, one tie at any hour, one site."""
    for running in product([False, True], repeat=4):
        for first in (2, 3, 4):
            closed = np.arange(4)[:, None] >= first
            for site in range(5):
                placed = np.arange(4) == site
                yield Decision(running=np.array(running)[:, None], closed=closed, placed=placed)


def fixed_point(case: ResiliencyCase, decision: Decision, up: np.ndarray) -> float:
    """Third level by scipy's own solver over the same day, the price's vertices listed."""
    recourse = Adversary(case, grid_of(case)).recourse
    own = recourse.arrays
    columns, values = decision.values(case, recourse.grid, recourse.stage)
    low, high = own.lower.copy(), own.upper.copy()
    low[columns] = high[columns] = values
    rows = own.row_lower.copy()
    rows[recourse.operation.demand.ravel()] = load_mw(case, up).ravel()
    matrix = own.matrix.tocsr()
    equal = rows == own.row_upper
    under, over = np.isfinite(rows) & ~equal, np.isfinite(own.row_upper) & ~equal
    found = linprog(
        own.cost,
        A_ub=np.vstack([-matrix[under].toarray(), matrix[over].toarray()]),
        b_ub=np.concatenate([-rows[under], own.row_upper[over]]),
        A_eq=matrix[equal].toarray(), b_eq=rows[equal],
        bounds=np.stack([low, high], axis=1), method="highs-ipm",
    )  # fmt: skip
    assert found.success, found.message
    return float(found.fun)


def test_the_worst_of_all_realizations_is_what_is_proven(small: Small) -> None:
    case = small()
    grid = grid_of(case)
    adversary = Adversary(case, grid, gap=1e-7)
    for closed, placed in ((False, None), (True, 3)):
        held = idle(case, grid)
        if closed:
            held = replace(held, closed=np.arange(4)[:, None] >= 2, placed=np.arange(4) == placed)
        worst = adversary.worst(held, time_limit_s=60.0)
        adversary.recourse.hold(held)
        listed = max(adversary.recourse.operate(up).cost for up in realizations(case))
        assert worst.cost_usd == pytest.approx(listed, rel=1e-6)
        assert listed <= worst.certain_usd * (1 + 1e-9) <= listed * (1 + 1e-5)


def test_the_price_is_worst_among_all_prices(small: Small) -> None:
    # the dual against a list: N is what the solution trades, its dearest price is a vertex
    case = small()
    adversary = Adversary(case, grid_of(case))
    adversary.recourse.hold(idle(case, grid_of(case)))
    done = adversary.recourse.operate(np.ones(case.demand.p_kw.shape))
    net = exposure(case, adversary.recourse, done)
    price, far = case.market.price_usd_per_kwh, case.budgets.price_share
    listed = []
    for hours in combinations(range(4), 2):
        for signs in product((-1.0, 1.0), repeat=2):
            moved = price.copy()
            moved[list(hours)] *= 1.0 + far * np.array(signs)
            listed.append(float(moved @ net))
    assert float(worst_price(case, net) @ net) == pytest.approx(max(listed))
    at = adversary.recourse.operation
    dual = done.point[at.price_theta[0]] * 2 + done.point[at.price_q].sum()
    assert dual == pytest.approx(max(listed) - float(price @ net), abs=1e-9)


@pytest.mark.parametrize("gamma", [0, pytest.param(2, marks=pytest.mark.slow), 4])
def test_the_plan_is_the_best_of_all_first_stages(small: Small, gamma: int) -> None:
    case = small(budgets=replace(small().budgets, load_gamma=gamma))
    found = solve(case, TIGHT)
    grid, best = grid_of(case), np.inf
    adversary = Adversary(case, grid)
    for held in decisions(case):
        try:
            _, done = adversary.climbed(held)
        except SolverError:  # a commitment whose ramps cannot be kept
            continue
        if done.cost + held.cost(case) < best:
            worst = max(
                (adversary.recourse.operate(one).cost for one in realizations(case)),
                default=done.cost,
            )
            best = min(best, worst + held.cost(case))
    assert found.proof.certified
    assert found.worst_found == pytest.approx(best, rel=1e-5)


@pytest.mark.parametrize("case_name", ["II", "IV"])
def test_a_plain_master_finds_the_same(small: Small, case_name: str) -> None:
    case = small(actions=CASES[case_name])
    grid = grid_of(case)
    every = [np.ones(case.demand.p_kw.shape), np.zeros(case.demand.p_kw.shape)]
    case = replace(case, budgets=replace(case.budgets, load_gamma=4))
    arrays, _ = build_master(case, grid, every, plain=True)
    answer, _ = solve_arrays(arrays, gap=1e-8)
    assert solve(case, TIGHT).proof.incumbent == pytest.approx(answer.incumbent, rel=1e-5)


def test_the_inner_problem_twice(small: Small) -> None:
    case = small()
    grid = grid_of(case)
    recourse = Adversary(case, grid).recourse
    held = idle(case, grid)
    recourse.hold(held)
    rng = np.random.default_rng(7)
    for _ in range(3):
        up = rng.random(case.demand.p_kw.shape)
        assert recourse.operate(up).cost == pytest.approx(fixed_point(case, held, up), rel=1e-7)


def test_the_dual_program_says_what_the_primal_says(small: Small) -> None:
    case = small()
    grid = grid_of(case)
    recourse = Adversary(case, grid).recourse
    held = idle(case, grid)
    recourse.hold(held)
    arrays, at = build_dual(recourse, held)
    for up in list(realizations(case))[:40:8]:
        low, high = arrays.lower.copy(), arrays.upper.copy()
        low[at] = high[at] = np.minimum(up, high[at])
        answer, _ = solve_arrays(replace(arrays, lower=low, upper=high))
        assert -answer.incumbent == pytest.approx(recourse.operate(up).cost, rel=1e-7)


def test_the_demand_dual_lies_between_nothing_and_the_price(small: Small) -> None:
    case = small()
    recourse = Adversary(case, grid_of(case)).recourse
    recourse.hold(idle(case, grid_of(case)))
    rng = np.random.default_rng(3)
    for _ in range(10):
        up = rng.random(case.demand.p_kw.shape)
        dual = recourse.operate(up).dual
        assert dual.min() >= -1e-9
        assert (dual <= case.demand.interruption_usd_per_kwh + 1e-9).all()


def test_the_cost_never_falls_when_a_load_rises(small: Small) -> None:
    case = small()
    recourse = Adversary(case, grid_of(case)).recourse
    recourse.hold(idle(case, grid_of(case)))
    rng = np.random.default_rng(11)
    for _ in range(10):
        low = rng.random(case.demand.p_kw.shape)
        high = low + (1.0 - low) * rng.random(low.shape)
        assert recourse.operate(low).cost <= recourse.operate(high).cost + 1e-9


def test_more_of_anything_is_as_the_tables_order_it(small: Small) -> None:
    base = small(budgets=replace(small().budgets, load_gamma=4))

    def cost(case: ResiliencyCase) -> float:
        return solve(case, TIGHT).proof.incumbent

    by_case = [cost(replace(base, actions=CASES[name])) for name in CASES]
    assert by_case == sorted(by_case, reverse=True)
    assert by_case[0] > by_case[-1]
    by_gamma = [cost(replace(base, budgets=replace(base.budgets, load_gamma=g)))
                for g in range(5)]  # fmt: skip
    assert all(b >= a - 1e-5 for a, b in pairwise(by_gamma))
    fewer = replace(base, mobile=replace(base.mobile, count=0))
    assert cost(base) <= cost(fewer)
    assert cost(base) <= cost(replace(base, crews=replace(base.crews, count=0))) + 1e-9


def test_wind_alone_feeds_nobody(small: Small) -> None:
    case = small(actions=CASES["I"])
    grid = grid_of(case)
    found = solve(case, TIGHT)
    dark = ~found.decision.alive(case, grid)[:, grid.block_of_bus]
    assert dark[1:, [3, 4]].all()
    at = found.recourse.operation
    assert found.operated.point[at.served][1:, [3, 4]].max() == pytest.approx(0.0, abs=1e-9)
    assert found.operated.point[at.renewable][1:].max() == pytest.approx(0.0, abs=1e-9)


def test_the_commodity_and_the_graph_agree_on_what_lives(small: Small) -> None:
    case = small()
    grid = grid_of(case)
    found = solve(case, TIGHT)
    again = energised(
        case, grid, found.decision.running, found.decision.closed, found.decision.placed
    )
    np.testing.assert_array_equal(again, found.decision.alive(case, grid))
    assert again[0].all()


def test_the_terms_add_up(small: Small) -> None:
    for gamma in (0, 2, 4):
        budgets = Budgets(load_share=0.2, price_share=0.3, load_gamma=gamma, price_gamma=gamma)
        found = solve(small(budgets=budgets), TIGHT)
        assert sum(found.terms.values()) == pytest.approx(found.worst_found, rel=1e-7)
        assert found.worst_found <= found.proof.incumbent + 1e-9


def test_nothing_charges_and_discharges_or_buys_and_sells_at_once(small: Small) -> None:
    found = solve(small(), TIGHT)
    x, at = found.operated.point, found.recourse.operation
    assert np.minimum(x[at.charged], x[at.discharged]).max() < 1e-9
    assert np.minimum(x[at.bought], x[at.sold]).max() < 1e-9


@pytest.mark.parametrize("joined", [False, True])
def test_realizations_alone_bound_what_they_cost_together(
    small: Small, joined: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    if joined:  # whatever realizations alone have shown
        monkeypatch.setattr(master_module, "_ALONE", -np.inf)
    case = small()
    grid, some = grid_of(case), list(realizations(case))[::17][:4]
    arrays, _ = build_master(case, grid, some, plain=True)
    joint, _ = solve_arrays(arrays, gap=1e-8, time_limit_s=60.0)
    master = ResiliencyMaster(case, grid, some[0])
    for up in some[1:]:
        master.solve(gap=1e-7, time_limit_s=60.0)
        assert master.add(up)
    answer, decision = master.solve(gap=1e-7, time_limit_s=60.0)
    assert decision is not None
    assert answer.bound <= joint.incumbent + 1e-6
    assert answer.incumbent == pytest.approx(joint.incumbent, rel=1e-6)
    assert (master.joined > 0) == joined


def test_a_proof_that_cannot_end_the_search_gets_less_time(
    small: Small, monkeypatch: pytest.MonkeyPatch
) -> None:
    case, given = small(), list[float]()

    def proven(_: Adversary, __: Decision, found: float, time_limit_s: float) -> tuple[float, None]:
        given.append(time_limit_s)
        return found, None

    monkeypatch.setattr(Adversary, "_proven", proven)
    adversary = Adversary(case, grid_of(case), proof_s=8.0)
    start = idle(case, adversary.grid)
    adversary.worst(start, time_limit_s=100.0)
    for below in (0.0, 1e6):  # the best there is, and a cost that a better plan undercuts
        adversary.floor = lambda below=below: (1e6 - 2.0 * below, 1e-3)
        adversary.worst(start, time_limit_s=100.0)
    assert given == [8.0, 8.0, 2.0]


def test_guessed_plans_are_plans_and_sets_of_ties_bound_what_they_cost(small: Small) -> None:
    case = small(budgets=replace(small().budgets, load_gamma=4))
    grid, up = grid_of(case), np.ones(case.demand.p_kw.shape)
    arrays, stage = build_master(case, grid, [up])
    sets = TieSets(case, grid, arrays, stage)
    every = sets.bounded(perf_counter() + 60.0)
    held = Recourse(case, grid)
    guessed = [(one, plan) for one in every for plan in sets.guessed(one.ties, np.inf)]
    assert guessed
    for one, plan in guessed:
        held.hold(plan)
        assert plan.cost(case) + held.operate(up).cost >= one.bound - 1e-6
        assert plan.placed.sum() <= case.mobile_used
        assert set(np.flatnonzero(plan.closed.any(axis=0))) <= set(one.ties)
    best = solve(case, TIGHT).proof.bound
    assert min(one.bound for one in every) <= best + 1e-6
