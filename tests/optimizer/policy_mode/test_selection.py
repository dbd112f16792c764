"""Which mode is chosen, and why the others are not."""

from __future__ import annotations

import re
from itertools import chain, combinations

import numpy as np
import pytest
from gridproof.optimizer.policy_mode.selection import Risk, risks, select
from gridproof.scenarios.errors import NoPlanExists, PlanNotFound, ScenarioError
from gridproof.scenarios.proof import Proof, Termination
from hypothesis import given, settings
from hypothesis import strategies as st

EVENTS = ("a", "b", "c", "d")
PROOF = Proof(termination=Termination.INFEASIBLE, incumbent=np.inf, bound=np.inf)


def shares(*values: float) -> tuple[Risk, ...]:
    return risks(EVENTS, np.ones((4, 1)), np.array(values)[:, None])


def test_risk_is_probability_times_impact_and_more_where_a_limit_breaks() -> None:
    p = np.array([[0.1, 0.2], [0.0, 0.5]])
    kw = np.array([[100.0, 50.0], [900.0, 40.0]])
    breaks = np.array([[True, False], [True, False]])
    first, second = risks(("a", "b"), p, kw, breaks, breaking_weight=2.0)
    assert first.risk_kw == pytest.approx(0.1 * 100 * 3 + 0.2 * 50)
    assert first.probability == pytest.approx(1 - 0.9 * 0.8)
    assert first.impact_kw == pytest.approx(20.0 / 0.3)
    assert first.breaks
    assert not second.breaks  # it cannot happen where it would break one
    assert first.share + second.share == pytest.approx(1.0)


@given(
    st.lists(st.floats(0.01, 1.0), min_size=4, max_size=4),
    st.lists(st.sets(st.sampled_from(EVENTS), min_size=1), min_size=1, max_size=4),
    st.lists(st.integers(1, 9), min_size=4, max_size=4),
    st.floats(0.05, 1.0),
)
@settings(max_examples=80, deadline=None)
def test_the_choice_is_the_cheapest_of_all_unions_that_cover_enough(
    sizes: list[float], sets: list[set[str]], prices: list[int], cover: float
) -> None:
    modes = {f"m{k}": sorted(held) for k, held in enumerate(sets)}
    price = dict(zip(EVENTS, prices, strict=True))
    found = shares(*sizes)
    share = {risk.event: risk.share for risk in found}
    every = chain.from_iterable(combinations(sets, n) for n in range(1, len(sets) + 1))
    enough = [
        frozenset().union(*group)
        for group in every
        if sum(share[e] for e in frozenset().union(*group)) >= cover - 1e-12
    ]
    if not enough:
        with pytest.raises(ScenarioError, match="all modes together cover"):
            select(found, modes, len, cover=cover)
        return
    chosen = select(found, modes, lambda held: sum(price[e] for e in held), cover=cover).chosen
    assert chosen.cost_usd == min(sum(price[e] for e in held) for held in enough)
    assert {e for name in chosen.modes for e in modes[name]} == set(chosen.events)
    assert chosen.share >= cover - 1e-9


def test_every_candidate_says_why() -> None:
    modes = {"small": ["a"], "left": ["a", "b"], "right": ["a", "c"], "all": list(EVENTS)}
    price = {("a", "b"): 7.0, ("a", "c"): 5.0}
    chosen = select(shares(4, 4, 4, 1), modes, lambda held: price[held], cover=0.6)
    reason = {row.modes: row.reason for row in chosen.candidates}
    assert chosen.chosen.modes == ("right",)
    assert "less than 60%" in reason["small",]
    assert "2.00 USD more" in reason["left",]
    assert "holds a smaller set" in reason["all",]


def test_a_mode_without_a_plan_is_passed_over_and_a_time_out_is_no_proof() -> None:
    modes = {"left": ["a", "b"], "right": ["a", "c"]}

    def price(held: tuple[str, ...]) -> float:
        if "b" in held:
            raise NoPlanExists("none", PROOF)
        return 9.0

    def late(held: tuple[str, ...]) -> float:
        raise PlanNotFound("time is up", PROOF)

    found = shares(4, 4, 4, 1)
    assert select(found, modes, price, cover=0.6).chosen.modes == ("right",)
    with pytest.raises(PlanNotFound, match="pricing a, b"):
        select(found, modes, late, cover=0.6)
    with pytest.raises(ScenarioError, match="no plan exists under any mode"):
        select(found, {"left": ["a", "b"]}, price, cover=0.6)


@pytest.mark.parametrize(
    ("modes", "cover", "message"),
    [
        ({"m": []}, 0.5, "[modes] m: no events"),
        ({"m": ["x"]}, 0.5, "[modes] m: unknown event 'x'; the study has a, b, c, d"),
        ({}, 0.5, "there are none"),
        ({"m": ["a"]}, 0.0, "cover = 0 must lie in (0, 1]"),
        ({"m": ["a"]}, 1.5, "cover = 1.5"),
    ],
)
def test_bad_modes_are_named(modes: dict[str, list[str]], cover: float, message: str) -> None:
    with pytest.raises(ScenarioError, match=re.escape(message)):
        select(shares(1, 1, 1, 1), modes, len, cover=cover)


def test_a_probability_out_of_range_is_named() -> None:
    with pytest.raises(ScenarioError, match=r"event b, location 1: probability = 1.5"):
        risks(("a", "b"), np.array([[0.5], [1.5]]), np.ones((2, 1)))
