"""The last phase planned phase by phase: a balanced network's optimum, and what unbalance adds."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.optimizer.restoration.isolation import isolate
from gridproof.optimizer.restoration.options import RestorationOptions
from gridproof.optimizer.restoration.planner import RestorationPlanner
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.realization import draw
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_audit import audit_restoration
from gridproof.scenarios.verdict import Outcome, judge
from gridproof.simulator.linear.engine import LinearEngine
from small_cases import planned, small_case


def _with_lines(case: Outage, **columns: np.ndarray) -> Outage:
    feeder = case.feeder
    lines = dataclasses.replace(feeder.lines, **columns)
    feeder = dataclasses.replace(feeder, lines=lines)
    return Outage.of(dataclasses.replace(case.scenario, feeder=feeder))


def _as_rated(case: Outage) -> Outage:
    """Let amperes at the lowest voltage carry what the balanced model takes at nominal."""
    return _with_lines(case, rating_a=case.feeder.lines.rating_a / case.limits.v_min_pu)


@pytest.mark.parametrize("seed", range(12))
def test_of_a_balanced_network_it_is_the_balanced_optimum(seed: int) -> None:
    case = small_case(seed)
    wanted = planned(case)
    found = planned(_as_rated(case), model="three_phase")
    assert found.proof.incumbent == pytest.approx(wanted.proof.incumbent, abs=1e-4)
    assert audit_restoration(case, found.states) == ()


def test_islands_of_ders_are_held_at_nominal_voltage() -> None:
    """The balanced model lets a DER hold any voltage of the band; the plan holds 1 pu."""
    carried = 0
    for seed in range(100, 116):
        case = small_case(seed, buses=6, ties=2, generators=2)
        wanted, found = planned(case), planned(_as_rated(case), model="three_phase")
        assert found.proof.incumbent >= wanted.proof.incumbent - 1e-4
        assert audit_restoration(case, found.states) == ()
        carried += found.forming[3].any()
    assert carried


def _outcome(case: Outage, **options: object) -> tuple[int, float]:
    """Verdict of the simulator's linear model on the last phase at nominal load, and the cost."""
    scenario = case.scenario
    plan = RestorationPlanner(options=RestorationOptions(**options)).plan(scenario)
    engine = LinearEngine(scenario)
    engine.hold(plan, 3)
    drawn = plan.asked(draw(scenario, 1, 0, 1), scenario)
    told = make_recourse("fixed", plan, scenario, 3).respond(drawn.at(3))
    seen = engine.observe(drawn, told)
    engine.close()
    return int(judge(seen, plan, scenario, 3).outcome[0]), plan.proof.incumbent


def test_the_simulator_s_linear_model_finds_every_limit_kept_where_one_phase_breaks_some() -> None:
    broken = 0
    for seed in range(100, 124):
        case = small_case(seed, buses=6, ties=2, generators=2)
        ders, limits = case.scenario.ders, case.scenario.limits
        rating = np.where(np.isinf(ders.s_max_kva) & (ders.p_max_kw < 500.0), ders.p_max_kw, np.inf)
        loads = case.scenario.load_p_kw * np.array([1.3, 1.0, 0.7])
        scenario = dataclasses.replace(
            case.scenario,
            ders=dataclasses.replace(ders, s_max_kva=rating),
            limits=dataclasses.replace(limits, v_min_pu=0.9985),
            load_p_kw=loads,
        )
        if not isolate(Outage.of(scenario)).certain:
            continue  # the phases before it are not settled in such a band
        found, cost = _outcome(Outage.of(scenario), model="three_phase")
        blind, less = _outcome(Outage.of(scenario))
        assert found == Outcome.FEASIBLE, seed
        assert less <= cost + 1e-4
        broken += blind == Outcome.VIOLATED
    assert broken >= 3, broken


def test_a_phase_that_carries_more_serves_less() -> None:
    """All of a bus's load on one phase: the line's phase is full where three were not."""
    worse = 0
    for seed in range(8):
        case = _as_rated(small_case(seed))
        loads = case.scenario.load_p_kw
        tilted = loads * np.array([1.5, 0.9, 0.6])
        twisted = dataclasses.replace(case.scenario, load_p_kw=tilted)
        even = planned(case, model="three_phase")
        found = planned(Outage.of(twisted), model="three_phase")
        blind = planned(Outage.of(twisted))
        assert blind.proof.incumbent <= found.proof.incumbent + 1e-4
        worse += found.proof.incumbent > even.proof.incumbent + 1e-3
    assert worse


def test_a_margin_costs_supply_and_never_gains_any() -> None:
    costs = []
    for margin in (0.0, 0.01, 0.03):
        options = {"model": "three_phase", "ac_margin": margin}
        costs.append(sum(planned(small_case(k), **options).proof.incumbent for k in range(6)))
    assert costs[0] <= costs[1] + 1e-6
    assert costs[1] < costs[2] - 1e-3


def test_what_three_phases_cannot_plan_is_refused() -> None:
    case = small_case(0)
    with pytest.raises(ScenarioError, match="stated for one balanced phase alone"):
        planned(case, model="three_phase", extent="all_phases")
    with pytest.raises(ScenarioError, match="is kept by three phases alone"):
        planned(case, ac_margin=0.01)
    models = (LoadModel.CONSTANT_IMPEDANCE,) * len(case.feeder.loads.ids)
    follows = Outage.of(dataclasses.replace(case.scenario, load_model=models))
    with pytest.raises(ScenarioError, match="follows its voltage"):
        planned(follows, model="three_phase")
    worthless = dataclasses.replace(case.scenario.prices, lost_bus=0.0)
    cheap = Outage.of(dataclasses.replace(case.scenario, prices=worthless))
    with pytest.raises(ScenarioError, match="raise \\[restoration\\] weights"):
        planned(cheap, model="three_phase")
    with pytest.raises(ValueError, match="model = 'dc' must be one of balanced, three_phase"):
        RestorationOptions(model="dc")
