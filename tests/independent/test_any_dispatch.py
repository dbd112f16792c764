"""IV-E as the publication asks it: does any dispatch within the limits have an AC-feasible state?

A campaign tries one re-dispatch, corrected up to eight times: what it finds feasible is, but what
it does not may still be. Here an optimal power flow answers for a sample of the same draws, the
binaries fixed, the voltage held at grid-forming buses free within the band, and the publication's
"DER capacity limits to ±30 % around the obtained set-points" read three ways.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import numpy as np
import pytest
from ac_comparison import networked
from ac_feasibility import AcFeasibility, Finding
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import draw
from gridproof.scenarios.scenario import Scenario

READINGS = ("of capacity, inside it", "of capacity, in its place", "of the set-point")
LEVELS = ("0.10", "0.15", "0.25")
RAMP = 0.30


def as_read(scenario: Scenario, plan: Plan, reading: str) -> Scenario:
    """The scenario whose limits say what a reading says; the study's own is the first."""
    ders = scenario.ders
    if reading == "of capacity, in its place":
        p, q = plan.p_kw[0], plan.q_kvar[0]
        ders = replace(
            ders,
            p_min_kw=p - ders.ramp_kw,
            p_max_kw=p + ders.ramp_kw,
            q_min_kvar=q - ders.ramp_kvar,
            q_max_kvar=q + ders.ramp_kvar,
            s_max_kva=np.full_like(p, np.inf),
        )
    elif reading == "of the set-point":
        ders = replace(
            ders, ramp_kw=RAMP * np.abs(plan.p_kw[0]), ramp_kvar=RAMP * np.abs(plan.q_kvar[0])
        )
    return replace(scenario, ders=ders)


def found(level: str, reading: str, count: int, *, centre: bool) -> Counter[Finding]:
    """What the optimal power flow finds for the campaign's first draws."""
    asked = ("campaign.recourse=ac", *(() if centre else ("planner.centre=false",)))
    study, plan = networked(level, "column_and_constraint", *asked)
    drawn = draw(study.scenario, study.config.campaign.seed, 0, count)
    scenario = as_read(study.scenario, plan, reading)
    held, free = (AcFeasibility(scenario, plan, free_voltage=way) for way in (False, True))
    answers = []
    for k in range(count):
        loads = drawn.p_kw[k, 0], drawn.q_kvar[k, 0]
        answer = held.solve(*loads)  # a state at the voltage as held is one at a voltage to choose
        answers.append(answer if answer.finding is Finding.FEASIBLE else free.solve(*loads))
    counts = Counter(answer.finding for answer in answers)
    least = min(answer.t for answer in answers)
    said = {str(finding): many for finding, many in counts.items()}
    print(f"centre={centre} ±{level} {reading}: {said}, least margin {least:.4f}")  # noqa: T201
    return counts


def test_a_free_voltage_never_serves_less() -> None:
    """What holds with the held voltage fixed holds with it free, by a margin no smaller."""
    study, plan = networked("0.25", "column_and_constraint", "campaign.recourse=ac")
    drawn = draw(study.scenario, study.config.campaign.seed, 0, 2)
    fixed, free = (AcFeasibility(study.scenario, plan, free_voltage=way) for way in (False, True))
    for k in range(2):
        one = fixed.solve(drawn.p_kw[k, 0], drawn.q_kvar[k, 0])
        other = free.solve(drawn.p_kw[k, 0], drawn.q_kvar[k, 0])
        assert one.finding is other.finding is Finding.FEASIBLE
        assert other.t >= one.t - 1e-6
        assert all(flow is not None and flow.residual <= 1e-9 for flow in other.flows)


@pytest.mark.parametrize("reading", READINGS)
def test_the_robust_plan_has_an_ac_state_for_every_draw(reading: str) -> None:
    counts = found("0.25", reading, 4, centre=True)
    assert counts[Finding.UNKNOWN] == 0
    assert counts[Finding.FEASIBLE] == 4 or reading == "of the set-point"


@pytest.mark.slow
@pytest.mark.paper
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("level", LEVELS)
@pytest.mark.parametrize("reading", READINGS)
@pytest.mark.parametrize("centre", [True, False])
def test_two_hundred_draws(level: str, reading: str, centre: bool) -> None:
    counts = found(level, reading, 200, centre=centre)
    assert counts[Finding.UNKNOWN] == 0
    if centre and reading != "of the set-point":
        assert counts[Finding.FEASIBLE] == 200
