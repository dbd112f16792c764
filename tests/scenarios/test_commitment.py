"""Machines that a plan leaves standing: left out, and judged where they give all the same."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.audit import audit
from gridproof.scenarios.commitment import idle, running
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.scenario import Scenario


@pytest.fixture(scope="module")
def scenario() -> Scenario:
    return load_study("ieee33-resiliency-case1").scenario


def _standing(scenario: Scenario, committed: np.ndarray | None) -> Plan:
    """Everything on the main grid, no DER moved."""
    steps, ders = len(scenario.hours), scenario.ders
    feeder = scenario.feeder
    forming = np.tile(ders.is_substation, (steps, 1))
    zeros = np.zeros((steps, len(ders.ids), 3))
    proof = Proof(
        termination=Termination.EXTERNAL, incumbent=np.inf, bound=-np.inf, asked_gap=1.0,
        robust=False, iterations=0, realizations_kept=0, seconds={},
    )  # fmt: skip
    return Plan(
        family="external", scenario_digest="", switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids, der_ids=ders.ids,
        closed=np.tile(feeder.lines.closed[feeder.switches], (steps, 1)),
        energized=np.ones((steps, len(feeder.blocks.ids)), bool), grid_forming=forming,
        source_v_pu=np.where(forming, 1.0, np.nan), p_kw=zeros, q_kvar=zeros, costs={},
        proof=proof, committed=committed,
    )  # fmt: skip


def _all_but_first(scenario: Scenario) -> np.ndarray:
    committed = np.ones((len(scenario.hours), len(scenario.ders.ids)), bool)
    committed[:, 0] = False
    return committed


def test_a_plan_that_does_not_say_changes_nothing(scenario: Scenario) -> None:
    plan = _standing(scenario, None)
    assert running(plan, scenario, 0) is scenario
    assert not idle(plan, 0).any()


def test_what_stands_still_feeds_no_phase_and_what_runs_keeps_its_least(
    scenario: Scenario,
) -> None:
    own = running(_standing(scenario, _all_but_first(scenario)), scenario, 3).ders
    assert not own.phases[0].any()
    assert not own.can_form[0]
    assert own.p_max_kw[0].sum() == own.q_max_kvar[0].sum() == 0.0
    least = scenario.fleet.chps.least_kw
    np.testing.assert_allclose(own.p_min_kw[1:5].sum(axis=1), least[1:])
    np.testing.assert_array_equal(own.p_max_kw[1:], scenario.ders.p_max_kw[1:])


def test_the_audit_asks_the_least_of_running_machines_alone(scenario: Scenario) -> None:
    plan = _standing(scenario, _all_but_first(scenario))
    told = "\n".join(audit(plan, scenario))
    assert "chp12 set-point" in told  # committed at 0 kW, below its least
    assert "chp9 set-point" not in told
    p = np.array(plan.p_kw)
    p[:, 0] = 10.0
    told = "\n".join(audit(replace(plan, p_kw=p), scenario))
    assert "chp9 set-point" in told
