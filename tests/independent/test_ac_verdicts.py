"""No campaign calls a realization feasible that AC physics does not accept.

For each realization the campaign's verdict is set against an AC optimal power flow that looks
for any re-dispatch within the same limits. The policy may be infeasible where a re-dispatch
exists (it plans with a linear model); the other way round must never be.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import get_args

import numpy as np
import pytest

pytest.importorskip("casadi")

import ac_feasibility
from ac_comparison import (
    Case,
    Match,
    Tried,
    compare,
    explain,
    networked,
    table,
    try_policy,
)
from ac_feasibility import AcFeasibility, Finding
from gridproof.federation.config.campaign import CampaignConfig
from gridproof.scenarios.realization import realize
from gridproof.scenarios.verdict import Outcome

# a partition brings no rule of its own, and an affine one is made where a study asks for it
POLICIES = [
    policy
    for policy in get_args(CampaignConfig.model_fields["recourse"].annotation)
    if policy != "rule"
]
LEVELS = ("0.10", "0.15", "0.25")
LOCAL = 1e-5  # Ipopt's optimum may stay this far under the policy's own margin


def tried_and_compared(
    level: str, method: str, policy: str, count: int
) -> tuple[Tried, list[Case], Counter[Match]]:
    study, plan = networked(level, method, f"campaign.recourse={policy}")
    tried = try_policy(study, plan, count)
    cases = compare(study.scenario, plan, tried)
    print(table(cases, f"{method}, ±{100 * float(level):.0f} %, {policy} recourse"))  # noqa: T201
    print(explain(cases))  # noqa: T201
    return tried, cases, Counter(item.match for item in cases)


def hold(cases: list[Case], counts: Counter[Match], count: int) -> None:
    """What every comparison must show."""
    assert len(cases) == count
    assert not counts[Match.CONTRADICTED], explain(cases)
    assert not counts[Match.UNKNOWN], explain(cases)
    assert not counts[Match.ERRED], explain(cases)
    for item in cases:
        if np.isfinite(item.margin):  # its AC state is a point of the optimal power flow's set
            assert item.answer.t >= item.margin - LOCAL, explain(cases)


@pytest.mark.parametrize(
    "level", [pytest.param(one, marks=[pytest.mark.slow] * (one != "0.25")) for one in LEVELS]
)
def test_the_robust_plan_is_feasible_both_ways(level: str) -> None:
    _, cases, counts = tried_and_compared(level, "column_and_constraint", "linear", 10)
    hold(cases, counts, 10)
    assert counts[Match.BOTH_FEASIBLE] + counts[Match.CONSERVATIVE] == 10  # proven robust


@pytest.mark.slow
def test_measurements_mend_what_the_linear_answer_violates() -> None:
    """The two policies on the same draws: what was violated holds, or nothing can hold it."""
    count = 40
    _, before, _ = tried_and_compared("0.15", "nominal", "linear", count)
    _, cases, counts = tried_and_compared("0.15", "nominal", "ac", count)
    hold(cases, counts, count)
    assert any(item.outcome is Outcome.VIOLATED for item in before)
    for was, item in zip(before, cases, strict=True):
        if was.outcome is Outcome.VIOLATED:
            assert item.match in (Match.BOTH_FEASIBLE, Match.BOTH_INFEASIBLE), explain(cases)
        if was.outcome is Outcome.FEASIBLE:
            assert item.outcome is Outcome.FEASIBLE


@pytest.mark.slow
@pytest.mark.parametrize("count", [8, 20])
def test_the_nominal_plan_fails_where_no_redispatch_exists(count: int) -> None:
    _, cases, counts = tried_and_compared("0.25", "nominal", "linear", count)
    hold(cases, counts, count)
    assert counts[Match.BOTH_FEASIBLE]
    assert counts[Match.BOTH_INFEASIBLE]


@pytest.mark.slow
def test_a_false_feasible_verdict_is_found_out() -> None:
    study, plan = networked("0.25", "nominal", "campaign.recourse=linear")
    tried = try_policy(study, plan, 8)
    (realizations, setpoints, snapshots, verdicts), *_ = tried.batches
    lost = verdicts.outcome != Outcome.FEASIBLE
    assert lost.any()
    liar = replace(verdicts, outcome=np.full(len(verdicts), Outcome.FEASIBLE))
    cases = compare(
        study.scenario, plan, Tried(batches=[(realizations, setpoints, snapshots, liar)])
    )
    caught = np.array([item.match is Match.CONTRADICTED for item in cases])
    assert caught.any()
    assert not (caught & ~lost).any()


def test_a_failed_solve_is_unknown_never_infeasible(monkeypatch: pytest.MonkeyPatch) -> None:
    study, plan = networked("0.25", "column_and_constraint", "campaign.recourse=linear")
    scenario = study.scenario
    nominal = scenario.load_p_kw[0], scenario.load_q_kvar[0]
    assert AcFeasibility(scenario, plan).solve(*nominal).finding is Finding.FEASIBLE
    limited = {**ac_feasibility._IPOPT, "ipopt.max_iter": 1}
    monkeypatch.setattr(ac_feasibility, "_IPOPT", limited)
    answer = AcFeasibility(scenario, plan).solve(*nominal)
    assert answer.finding is Finding.UNKNOWN
    assert np.isnan(answer.t)
    assert set(answer.statuses) == {"Maximum_Iterations_Exceeded"}


def test_more_load_than_the_ders_have_is_infeasible() -> None:
    study, plan = networked("0.25", "column_and_constraint", "campaign.recourse=linear")
    heavy = realize(study.scenario, np.full((1, study.scenario.uncertainty.size), 6.0))
    answer = AcFeasibility(study.scenario, plan).solve(heavy.p_kw[0, 0], heavy.q_kvar[0, 0])
    assert answer.finding is Finding.INFEASIBLE
    assert answer.t < 0.0


@pytest.mark.slow
@pytest.mark.paper
@pytest.mark.parametrize("method", ["column_and_constraint", "nominal"])
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("policy", POLICIES)
def test_two_hundred_realizations(policy: str, level: str, method: str) -> None:
    _, cases, counts = tried_and_compared(level, method, policy, 200)
    hold(cases, counts, 200)
    if method == "column_and_constraint":
        assert not counts[Match.BOTH_INFEASIBLE], explain(cases)
