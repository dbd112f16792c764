"""The plan that comes of a case, and what a case refuses."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
import pytest
from gridproof.optimizer.resiliency.case import CASES, ResiliencyCase
from gridproof.optimizer.resiliency.grid import cycles, grid_of
from gridproof.optimizer.resiliency.options import ResiliencyOptions
from gridproof.optimizer.resiliency.planner import plan, solve
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.plan import Plan

Small = Callable[..., ResiliencyCase]


@pytest.fixture(scope="module")
def made(small: Small) -> Plan:
    return plan(small())


def test_a_plan_says_every_hour(made: Plan) -> None:
    assert made.closed.shape == (4, 3)
    assert made.switch_ids == ("0-1", "2-3", "1-4")
    assert made.closed[0].tolist() == [True, True, False]
    assert not made.closed[1:, :2].any()  # damaged from hour 2 on
    assert made.energized[0].all()
    assert made.block_ids == ("0", "1", "3")


def test_every_live_island_has_one_former_inside_the_band(made: Plan) -> None:
    names = np.array(made.der_ids)
    assert names[made.grid_forming[0]].tolist() == ["grid"]
    for t in range(1, 4):
        assert names[made.grid_forming[t]][0] == "grid"
        assert "chp" in names[made.grid_forming[t]]
    held = made.source_v_pu[made.grid_forming]
    assert ((held >= 0.95) & (held <= 1.05)).all()
    assert np.isnan(made.source_v_pu[~made.grid_forming]).all()


def test_set_points_balance_what_is_served(small: Small, made: Plan) -> None:
    case = small()
    served = case.demand.p_kw * made.share_of(case.network.bus_ids)
    np.testing.assert_allclose(made.p_kw.sum(axis=(1, 2)), served.sum(axis=1), atol=1e-4)


def test_costs_and_proof_are_in_dollars(small: Small, made: Plan) -> None:
    found = solve(small())
    assert made.cost_unit == "USD"
    assert made.proof.incumbent == pytest.approx(1e3 * found.proof.incumbent)
    terms = [v for k, v in made.costs.items() if k not in ("objective", "worst_found", "published")]
    assert sum(terms) == pytest.approx(made.costs["worst_found"])
    assert made.costs["worst_found"] <= made.costs["objective"] + 1e-6
    assert made.proof.certified


def test_a_mobile_generator_comes_when_it_can(made: Plan) -> None:
    mobile = [k for k, name in enumerate(made.der_ids) if name.startswith("mobile_")]
    assert made.committed is not None
    assert made.committed[:, mobile].sum(axis=1).tolist() == [0, 0, 1, 1]
    assert made.p_kw[:2, mobile].max() == 0.0


def test_dark_buses_are_not_paid_where_response_is_gated(small: Small) -> None:
    case = small(actions=CASES["III"], crews=replace(small().crews, count=0))
    gated = replace(case, response=replace(case.response, gated=True))
    free, held = solve(case), solve(gated)
    at = free.recourse.operation
    assert free.operated.point[at.answered][1:, [3, 4]].sum() > 0.0
    assert held.operated.point[at.answered][1:, [3, 4]].sum() == pytest.approx(0.0, abs=1e-9)
    assert held.proof.incumbent >= free.proof.incumbent - 1e-9


def test_no_time_is_no_bound_between_the_budgets(small: Small) -> None:
    # worst found stays below what is proven; neither is passed for the other
    found = solve(small(), ResiliencyOptions(proof_s=0.0, max_iterations=3))
    assert found.worst_found <= found.proof.incumbent
    assert found.proof.bound <= found.proof.incumbent


def test_a_loop_of_ties_stays_open(small: Small) -> None:
    net = small().network
    looped = replace(
        net, line_ids=(*net.line_ids, "2-3b"), from_bus=[*net.from_bus, 2],
        to_bus=[*net.to_bus, 3], r_ohm=np.full(6, 0.4), x_ohm=np.full(6, 0.3),
        p_max_kw=np.full(6, 2000.0), q_max_kvar=np.full(6, 1500.0), tie=[*net.tie, True],
        damaged=[*net.damaged, False],
    )  # fmt: skip
    case = small(network=looped, crews=replace(small().crews, count=2))
    assert cycles(case, grid_of(case)) == [(0, 1)]
    assert solve(case).decision.closed[-1].sum() == 1


@pytest.mark.parametrize(
    ("field", "change", "said"),
    [
        ("outage", {"hour": 5}, "outage hour = 5"),
        ("crews", {"count": 2}, "there is 1 switch,"),
        ("budgets", {"load_gamma": 5}, "load_gamma = 5"),
        ("budgets", {"price_gamma": -1}, "price_gamma = -1"),
        ("market", {"price_usd_per_kwh": [0.1, -0.1, 0.1, 0.1]}, "negative price"),
        ("market", {"price_usd_per_kwh": [0.1] * 3}, "has 3 hours; give 4"),
        ("market", {"sell_share": 1.0}, "sell_share = 1"),
        ("chps", {"p_min_kw": 700.0}, "is above p_max_kw = 600"),
        ("mobile", {"sites": [9]}, "bus position 9"),
        ("storages", {"soc_start": 0.1}, "soc_start = 0.1"),
        ("network", {"tie": [True, False, False, False, True]}, "is a tie and damaged"),
    ],
)
def test_a_case_refuses_what_contradicts_itself(
    small: Small, field: str, change: dict[str, object], said: str
) -> None:
    base = small()
    with pytest.raises(ScenarioError, match=said.replace(".", r"\.")):
        replace(base, **{field: replace(getattr(base, field), **change)})


def test_all_faults_are_told_at_once(small: Small) -> None:
    base = small()
    with pytest.raises(ScenarioError) as told:
        replace(base, outage=replace(base.outage, hour=0), crews=replace(base.crews, count=-1))
    assert len(told.value.faults) == 2
