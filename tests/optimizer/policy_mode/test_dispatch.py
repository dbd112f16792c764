"""The dispatch on a copperplate, held against a second formulation and against all corners."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gridproof.optimizer.policy_mode.ambiguity import components
from gridproof.optimizer.policy_mode.dispatch import Dispatch, dispatch
from gridproof.optimizer.policy_mode.hedge import Hedge, Settings, hedge
from gridproof.optimizer.policy_mode.microgrid import Microgrid
from gridproof.optimizer.policy_mode.options import METHODS
from gridproof.optimizer.policy_mode.shapes import Rectangle
from gridproof.scenarios.errors import NoPlanExists, PlanNotFound, ScenarioError
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.sets import Wasserstein
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

SOME = Settings(radius_scale=0.02, radius_scale_total=0.2)


def second_formulation(grid: Microgrid, need_up: np.ndarray, need_down: np.ndarray) -> float:
    """Cost of a shared response by energies alone, row by row, nothing of ours in it."""
    names: dict[tuple[Any, ...], int] = {}
    cost, low, high = [], [], []
    A, b, E, e = [], [], [], []

    def var(key: tuple[Any, ...], usd: float, least: float, most: float) -> None:
        names[key] = len(names)
        cost.append(usd)
        low.append(least)
        high.append(most)

    def row(into: list[Any], right: list[float], terms: dict[Any, float], value: float) -> None:
        line = np.zeros(len(names))
        for key, factor in terms.items():
            line[names[key]] += factor
        into.append(line)
        right.append(value)

    pr, st_, re_ = grid.prices, grid.fleet.storages, grid.fleet.renewables
    steps, loads = grid.load_kw.shape
    for t in range(steps):
        h = grid.duration_h[t]
        for g, rated in ((0, (45.0, 290.0)), (1, (20.0, 150.0))):  # 10 kW of headroom off
            var(("p", t, g), grid.ders.cost_usd_per_kw[g] * h, *rated)
        var(("dis", t), 0.04 * h, 0.0, 80.0)
        var(("ch", t), 0.04 * h, 0.0, 80.0)
        var(("sun", t), -0.05 * h, 0.0, re_.available_kw[t, 0])
        for g in range(4):
            for side, usd in (("up", pr.reserve_up_usd_per_kw), ("dn", pr.reserve_down_usd_per_kw)):
                var((side, t, g), usd[g] * h if np.isfinite(usd[g]) else 0.0, 0.0,
                    1e4 if np.isfinite(usd[g]) else 0.0)  # fmt: skip
        for k in range(loads):
            var(("shed", t, k), 3.0 * h, 0.0, grid.load_kw[t, k])
        var(("cut", t), 0.4 * h, 0.0, 1e4)
    for t in range(steps):
        served = {("p", t, 0): 1.0, ("p", t, 1): 1.0, ("dis", t): 1.0, ("ch", t): -1.0,
                  ("sun", t): 1.0} | {("shed", t, k): 1.0 for k in range(loads)}  # fmt: skip
        row(E, e, served, grid.load_kw[t].sum())
        for g, (least, most) in ((0, (45.0, 290.0)), (1, (20.0, 150.0))):
            row(A, b, {("p", t, g): 1.0, ("up", t, g): 1.0}, most)
            row(A, b, {("p", t, g): -1.0, ("dn", t, g): 1.0}, -least)
        row(A, b, {("dis", t): 1.0, ("ch", t): -1.0, ("up", t, 3): 1.0}, 80.0)
        row(A, b, {("dis", t): -1.0, ("ch", t): 1.0, ("dn", t, 3): 1.0}, 80.0)
        row(A, b, {("dn", t, 2): 1.0, ("sun", t): -1.0}, 0.0)
        row(A, b, {("cut", t): 1.0, ("shed", t, 0): 1.0}, grid.load_kw[t, 0])
        stored = {}  # the storage's energy as the sum of all that went in and out before
        for past in range(t + 1):
            stored["ch", past] = grid.duration_h[past] * st_.charge_efficiency[0]
            stored["dis", past] = -grid.duration_h[past] / st_.discharge_efficiency[0]
        take = stored | {("dn", t, 3): st_.charge_efficiency[0]}
        give = {key: -v for key, v in stored.items()}
        give |= {("up", t, 3): 1.0 / st_.discharge_efficiency[0]}
        row(A, b, take, 180.0 - 120.0)
        row(A, b, give, 120.0 - 40.0)
        if t == steps - 1:
            row(A, b, {key: -v for key, v in stored.items()}, 120.0 - 110.0)
        up = {("up", t, g): -1.0 for g in range(4)} | {("cut", t): -1.0}
        row(A, b, up, -need_up[t])
        row(A, b, {("dn", t, g): -1.0 for g in range(4)}, -need_down[t])
    widths = len(names)
    A, E = ([np.pad(v, (0, widths - len(v))) for v in m] for m in (A, E))
    found = linprog(cost, A_ub=A, b_ub=b, A_eq=E, b_eq=e,
                    bounds=list(zip(low, high, strict=True)))  # fmt: skip
    assert found.success, found.message
    return float(found.fun + 0.05 * (grid.duration_h @ re_.available_kw[:, 0]))


@given(st.integers(0, 2**31), st.floats(0.5, 1.1))
@settings(max_examples=15, deadline=None, suppress_health_check=[HealthCheck.too_slow])
def test_a_shared_response_costs_what_a_second_formulation_says(
    microgrid: Any, disturbances: Any, training_log: Any, seed: int, scale: float
) -> None:
    rng = np.random.default_rng(seed)
    grid = microgrid(scale * rng.uniform(60.0, 180.0, (4, 2)))
    d, log = disturbances(2), training_log(seed=seed)
    deterministic = dispatch(grid, d, hedge("deterministic", log, d.shape, SOME))
    assert deterministic.cost_usd == pytest.approx(
        second_formulation(grid, np.zeros(4), np.zeros(4)), abs=1e-5
    )
    box = dispatch(grid, d, hedge("support_box", log, d.shape, SOME))
    up = np.maximum(d.shape * log.upper, d.shape * log.lower).sum(axis=1)
    down = -np.minimum(d.shape * log.upper, d.shape * log.lower).sum(axis=1)
    assert box.cost_usd == pytest.approx(second_formulation(grid, up, down), abs=1e-5)
    assert sum(box.costs_usd.values()) == pytest.approx(box.cost_usd)
    assert box.both_ways_kw < 1e-6


@pytest.mark.parametrize("m", [1, 2, 3, 5, 8])
@pytest.mark.parametrize("kind", ["box", "parallelotope"])
def test_all_corners_and_the_dual_and_the_lazy_worst_have_one_optimum(
    request: Any, demand: np.ndarray, m: int, kind: str
) -> None:
    microgrid, disturbances, training_log = map(
        request.getfixturevalue, ("microgrid", "disturbances", "training_log")
    )
    grid, d = microgrid(demand), disturbances(2, m)
    log = training_log(m, seed=m, share=3.0 / max(m, 3))
    method = "sample_box" if kind == "box" else "dro_components"
    held = hedge(method, log, d.shape, replace(SOME, cut=False, epsilon=0.02))
    if kind == "parallelotope":
        assert not held.shape.cut  # type: ignore[union-attr]
    dual, corners, worst = (
        dispatch(grid, d, held, response="affine", form=form)
        for form in ("dual", "corners", "worst")
    )
    assert dual.cost_usd == pytest.approx(corners.cost_usd, abs=1e-5)
    assert dual.cost_usd == pytest.approx(worst.cost_usd, abs=2e-3)  # a watt a row is not broken
    assert dual.proof.certified
    assert worst.proof.certified


def test_over_a_cut_set_the_dual_is_exact(
    microgrid: Any, disturbances: Any, training_log: Any, demand: np.ndarray
) -> None:
    grid, d, log = microgrid(demand), disturbances(2, 4), training_log(4, share=0.8)
    held = hedge("dro_components", log, d.shape, SOME)
    assert held.shape.cut  # type: ignore[union-attr]
    dual = dispatch(grid, d, held, response="affine")
    worst = dispatch(grid, d, held, response="affine", form="worst")
    whole = replace(held, shape=Wasserstein(
        mean=held.shape.mean, root=held.shape.root, sigma=held.shape.sigma,  # type: ignore[union-attr]
    ))  # fmt: skip
    uncut = dispatch(grid, d, whole, response="affine")
    assert dual.cost_usd == pytest.approx(worst.cost_usd, abs=2e-3)
    assert dual.cost_usd < uncut.cost_usd - 0.01  # what the cut is for
    _holds_over(dual, d, held)
    with pytest.raises(ScenarioError, match=r'ask for form = "dual"'):
        dispatch(grid, d, held, response="affine", form="corners")


def responses(plan: Dispatch, d: Any, w: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """(draw, time, der) and (draw, time, load) kW that answer ``w``, all steps at once.

    Under a shared response each gives its part of what was bought, and no more than that.
    """
    shown = w[:, None, :] * d.shape  # (draw, time, component)
    moved = np.zeros((len(w), *plan.p_kw.shape))
    if plan.response == "affine":
        moved[:, :, plan.der] = np.einsum("tij,ntj->nti", plan.A, shown)
        return moved, np.zeros((len(w), *plan.shed_kw.shape))
    delta = shown.sum(axis=2)
    bought = plan.up_kw.sum(axis=1) + plan.interrupt_kw.sum(axis=1), plan.down_kw.sum(axis=1)
    part = [
        np.minimum(1.0, np.divide(kw, b, out=np.zeros_like(kw), where=b > 0.0))
        for kw, b in zip((np.maximum(delta, 0.0), np.maximum(-delta, 0.0)), bought, strict=True)
    ]
    moved = part[0][:, :, None] * plan.up_kw - part[1][:, :, None] * plan.down_kw
    return moved, part[0][:, :, None] * plan.interrupt_kw


def _holds_over(plan: Dispatch, d: Any, held: Hedge) -> None:
    """Every drawn disturbance of the set is answered whole and within what was bought."""
    assert held.shape is not None
    w = held.shape.draw(np.random.default_rng(3).random((400, len(d.ids))))  # type: ignore[union-attr]
    moved, cut = responses(plan, d, w)
    np.testing.assert_allclose(moved.sum(axis=2), w @ d.shape.T, atol=1e-6)
    assert not cut.any()
    assert (moved <= plan.up_kw + 2e-3).all()
    assert (-moved <= plan.down_kw + 2e-3).all()


def test_the_literal_radius_buys_for_all_that_is_possible(
    microgrid: Any, disturbances: Any, training_log: Any, demand: np.ndarray
) -> None:
    grid, d, log = microgrid(demand), disturbances(2), training_log()
    literal = dispatch(grid, d, hedge("dro_components", log, d.shape, Settings()))
    box = dispatch(grid, d, hedge("support_box", log, d.shape, Settings()))
    assert literal.cost_usd == pytest.approx(box.cost_usd, abs=1e-6)


def test_methods_are_ordered_as_their_sets_are(
    microgrid: Any, disturbances: Any, training_log: Any, demand: np.ndarray
) -> None:
    grid, d, log = microgrid(demand), disturbances(2), training_log()
    cost = {
        (method, response): dispatch(
            grid, d, hedge(method, log, d.shape, SOME), response=response
        ).cost_usd
        for method in METHODS
        for response in ("shared", "affine")
    }
    for response in ("shared", "affine"):
        chain = [cost[m, response] for m in ("deterministic", "cvar", "sample_box", "support_box")]
        assert chain == sorted(chain)
    for method in METHODS:  # those who answer one way take part, and nobody is tied to a rule
        assert cost[method, "shared"] <= cost[method, "affine"] + 1e-6
    wide = [
        dispatch(
            grid, d, hedge("dro_components", log, d.shape, replace(SOME, radius_scale=k))
        ).cost_usd
        for k in (0.0, 0.01, 0.03, 0.1)
    ]
    assert wide == sorted(wide)
    assert wide[0] < wide[-1]


def test_cvar_keeps_its_promise_on_the_samples_and_is_tight(
    microgrid: Any, disturbances: Any, training_log: Any, demand: np.ndarray
) -> None:
    grid, d, log = microgrid(demand), disturbances(2), training_log(n=37)
    held = hedge("cvar", log, d.shape, replace(SOME, rho=0.1))
    plan = dispatch(grid, d, held)
    delta = log.samples @ d.shape.T
    up = plan.up_kw.sum(axis=1) + plan.interrupt_kw.sum(axis=1)
    short = np.maximum(delta - up, -delta - plan.down_kw.sum(axis=1))  # g of (8)
    for t in range(4):
        tail = [s + np.maximum(short[:, t] - s, 0.0).mean() / 0.1 for s in short[:, t]]
        assert min(tail) == pytest.approx(0.0, abs=1e-6)
    assert (np.mean(short > 1e-6, axis=0) <= 0.1).all()


def test_a_shared_answer_is_whole_as_far_as_reserves_go(
    microgrid: Any, disturbances: Any, training_log: Any, demand: np.ndarray
) -> None:
    grid, d, log = microgrid(demand), disturbances(2), training_log()
    plan = dispatch(grid, d, hedge("sample_box", log, d.shape, SOME))
    rng = np.random.default_rng(0)
    box = Rectangle(lower=log.samples.min(axis=0), upper=log.samples.max(axis=0))
    w = box.lower + rng.random((200, 3)) * (box.upper - box.lower)
    moved, cut = responses(plan, d, w)
    np.testing.assert_allclose(moved.sum(axis=2) + cut.sum(axis=2), w @ d.shape.T, atol=1e-6)
    moved, cut = responses(plan, d, np.array([[1e4, 1e4, 1e4]]))
    np.testing.assert_allclose(moved[0], plan.up_kw)
    np.testing.assert_allclose(cut[0], plan.interrupt_kw)


@pytest.mark.parametrize("response", ["shared", "affine"])
def test_reserves_that_are_carried_last_through_every_day_of_the_set(
    microgrid: Any, disturbances: Any, training_log: Any, demand: np.ndarray, response: str
) -> None:
    """Each hour at a corner of its own, one after the other: the storage stays within its band."""
    grid, d, log = microgrid(demand), disturbances(2), training_log()
    held = hedge("support_box", log, d.shape, SOME)
    box = Rectangle(lower=log.lower, upper=log.upper)
    corners = np.array(list(box.vertices()))
    rng, stores = np.random.default_rng(6), grid.fleet.storages
    lowest = {}
    for carried in (False, True):
        own = replace(grid, prices=replace(grid.prices, reserve_carried=carried))
        plan = dispatch(own, d, held, response=response)
        days = corners[rng.integers(len(corners), size=(300, len(d.shape)))]
        days[: len(corners)] = corners[:, None]  # the same the whole day long is the worst
        energy, least, most = np.full(len(days), 120.0), np.inf, -np.inf
        for t in range(len(d.shape)):
            moved, _ = responses(plan, d, days[:, t])
            p = plan.p_kw[t, 3] + moved[:, t, 3]
            into = stores.charge_efficiency[0] * np.maximum(-p, 0.0)
            out = np.maximum(p, 0.0) / stores.discharge_efficiency[0]
            energy = energy + grid.duration_h[t] * (into - out)
            least, most = min(least, float(energy.min())), max(most, float(energy.max()))
        lowest[carried] = least
        if carried:
            assert least >= 40.0 - 2e-3
            assert most <= 180.0 + 2e-3
    assert lowest[False] < 40.0  # so that it could fail


def test_no_plan_is_a_proof_and_no_time_is_none(
    microgrid: Any, disturbances: Any, training_log: Any, demand: np.ndarray
) -> None:
    grid, d, log = microgrid(demand), disturbances(2), training_log(share=20.0)
    held = hedge("support_box", log, d.shape, SOME)
    for response, form in (("shared", "dual"), ("affine", "dual"), ("affine", "worst")):
        with pytest.raises(NoPlanExists, match="no plan exists: support_box") as caught:
            dispatch(grid, d, held, response=response, form=form)
        assert caught.value.proof.termination is Termination.INFEASIBLE
    fit = hedge("support_box", training_log(), d.shape, SOME)
    with pytest.raises(PlanNotFound, match="no plan was found") as late:
        dispatch(grid, d, fit, response="affine", form="worst", time_limit_s=0.0)
    assert late.value.proof.termination is Termination.TIME_LIMIT
    assert late.value.proof.bound == -np.inf


def test_what_does_not_fit_together_is_named(
    microgrid: Any, disturbances: Any, training_log: Any, demand: np.ndarray
) -> None:
    grid, d, log = microgrid(demand), disturbances(2), training_log()
    fit = hedge("support_box", log, d.shape, SOME)

    def refused(message: str, **given: Any) -> None:
        with pytest.raises(ScenarioError, match=re.escape(message)):
            dispatch(**{"grid": grid, "disturbance": d, "held": fit} | given)

    refused("unknown response 'both'; there are shared, affine", response="both")
    refused("unknown form 'cone'", form="cone")
    refused("disturbances are given for 4 steps; there are 3", grid=microgrid_of(grid, 3))
    refused("the set has 3 components, the disturbance 4", disturbance=disturbances(2, 4))
    with pytest.raises(ScenarioError, match="unknown method 'luck'; there are deterministic"):
        hedge("luck", log, d.shape, SOME)
    with pytest.raises(ScenarioError, match="component e0@here: its places add up to 0"):
        replace(d, of_der=0.0 * d.of_der)
    with pytest.raises(ScenarioError, match="no DER forms the island"):
        replace(grid, forming=2)
    full = replace(grid.fleet.storages, start_kwh=np.array([190.0]))
    fleet = replace(grid.fleet, storages=full)
    with pytest.raises(ScenarioError, match="storage cell: start_kwh = 190"):
        replace(grid, fleet=fleet)
    with pytest.raises(ScenarioError, match=r"shed_most has 1\.5; at most 1"):
        replace(grid, prices=replace(grid.prices, shed_most=np.full(2, 1.5)))


def microgrid_of(grid: Microgrid, steps: int) -> Microgrid:
    sun = grid.fleet.renewables
    fleet = replace(grid.fleet, renewables=replace(sun, available_kw=sun.available_kw[:steps]))
    return replace(
        grid, duration_h=grid.duration_h[:steps], load_kw=grid.load_kw[:steps], fleet=fleet
    )


def test_the_parts_of_a_total_sum_and_the_set_over_components_is_its_own(
    microgrid: Any, disturbances: Any, training_log: Any, demand: np.ndarray
) -> None:
    grid, d, log = microgrid(demand), disturbances(2), training_log()
    held = hedge("dro_total", log, d.shape, SOME)
    plan = dispatch(grid, d, held, response="affine")
    shown = np.abs(d.shape) > 0.0
    for t in range(4):  # the same answer to every component that shows
        columns = plan.A[t][:, shown[t]]
        np.testing.assert_allclose(columns, columns[:, :1] * np.ones(columns.shape[1]), atol=1e-8)
        np.testing.assert_allclose(columns.sum(axis=0), 1.0)
    assert components(log, rho=0.05, radius_scale=0.02).shape.size == 3
