"""The graph audit: a clean plan has no fault, and each rule broken alone gives its own."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.scenarios.audit import audit, islands
from gridproof.scenarios.limits import Limits


def changed(plan, name, place, value):
    array = getattr(plan, name).copy()
    array[place] = value
    return replace(plan, **{name: array})


def only(faults):
    assert len(faults) == 1, faults
    return faults[0]


@pytest.fixture
def case(tiny_scenario, tiny_plan):
    scenario = tiny_scenario()
    return scenario, tiny_plan(scenario)


def test_a_sound_plan_has_no_fault(case, tiny_scenario, tiny_plan):
    assert audit(case[1], case[0]) == ()
    scenario = tiny_scenario(steps=3)
    assert audit(tiny_plan(scenario), scenario) == ()
    dead = tiny_plan(scenario, [False, False], [False] * 3, [False, False])
    assert audit(dead, scenario) == ()
    two = tiny_plan(scenario, [True, False], forming=[True, True])
    assert audit(two, scenario) == ()
    assert islands(two, scenario, 1).tolist() == [0, 0, 1]


def test_a_loop_of_switches(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(3, [(0, 1), (1, 2), (2, 0)])
    fault = only(audit(tiny_plan(scenario), scenario))
    assert fault == "step 0: island n0+n1+n2 holds a loop of closed switches"


@pytest.mark.parametrize("switches", [[(0, 1), (1, 0)], [(0, 1), (1, 1)]])
def test_parallel_and_inner_switches_are_loops(switches, tiny_scenario, tiny_plan):
    scenario = tiny_scenario(2, switches)
    assert "n0+n1 holds a loop" in only(audit(tiny_plan(scenario), scenario))


def test_a_closed_switch_between_live_and_dead(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(3, ders=[0])
    plan = tiny_plan(scenario, [True, True], [True, True, False])
    fault = only(audit(plan, scenario))
    assert fault == "step 0: closed switch s1 joins live block n1 to dead block n2"


def test_an_island_without_a_source(tiny_scenario, tiny_plan):
    scenario = tiny_scenario()
    plan = tiny_plan(scenario, [True, False])
    assert "island n2 holds 0 grid-forming DERs; 1 to 1" in only(audit(plan, scenario))


def test_an_island_with_too_many_sources(tiny_scenario, tiny_plan):
    scenario = tiny_scenario()
    plan = tiny_plan(scenario, forming=[True, True])
    assert "holds 2 grid-forming DERs; 1 to 1" in only(audit(plan, scenario))
    assert audit(plan, replace(scenario, limits=Limits(grid_forming_per_island=2))) == ()


def test_a_locked_switch_moved(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(locked=[1])  # open in the file
    fault = only(audit(tiny_plan(scenario), scenario))
    assert fault == "step 0: switch s1 must stay open, the plan has it otherwise"
    assert audit(tiny_plan(scenario, [True, False], forming=[True, True]), scenario) == ()


def dead_end(tiny_scenario, tiny_plan):
    """Block 2 dead, its DER idle."""
    scenario = tiny_scenario()
    return scenario, tiny_plan(scenario, [True, False], [True, True, False])


def test_injection_in_a_dead_block(tiny_scenario, tiny_plan):
    scenario, plan = dead_end(tiny_scenario, tiny_plan)
    assert audit(plan, scenario) == ()
    fault = only(audit(changed(plan, "p_kw", (0, 1, 2), 3.0), scenario))
    assert fault == "step 0: DER g1 injects 3.000 kW in a dead block"
    assert "g1 injects" in only(audit(changed(plan, "q_kvar", (0, 1, 0), -1.0), scenario))


def test_grid_forming_in_a_dead_block(tiny_scenario, tiny_plan):
    scenario, plan = dead_end(tiny_scenario, tiny_plan)
    fault = only(audit(changed(plan, "grid_forming", (0, 1), True), scenario))
    assert fault == "step 0: DER g1 is grid-forming in a dead block"


@pytest.mark.parametrize(
    ("name", "value"), [("p_kw", 40.1), ("p_kw", -0.1), ("q_kvar", 20.1), ("q_kvar", -20.1)]
)
def test_a_set_point_outside_capability(name, value, case):
    scenario, plan = case
    assert "DER g1 set-point" in only(audit(changed(plan, name, (0, 1, 1), value), scenario))


def test_a_set_point_outside_apparent_power(case):
    scenario, plan = case
    ders = replace(scenario.ders, s_max_kva=np.full((2, 3), 12.0))
    assert audit(plan, replace(scenario, ders=ders)) == ()  # 10 kW, 5 kvar
    faults = audit(changed(plan, "q_kvar", (0, 0, 0), 7.0), replace(scenario, ders=ders))
    assert "DER g0 set-point" in only(faults)


@pytest.mark.parametrize("value", [np.nan, np.inf])
def test_a_set_point_that_is_no_number(value, case):
    scenario, plan = case
    fault = only(audit(changed(plan, "q_kvar", (0, 1, 0), value), scenario))
    assert fault == "step 0: DER g1 has a set-point that is not a number"


def test_a_source_that_cannot_form(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(can_form=[False, True])
    assert "DER g0 cannot be grid-forming" in only(audit(tiny_plan(scenario), scenario))


@pytest.mark.parametrize("held", [np.nan, 0.94, 1.06])
def test_a_source_outside_the_band(held, case, tiny_plan):
    scenario, _ = case
    fault = only(audit(tiny_plan(scenario, v_pu=held), scenario))
    assert f"DER g0 holds {held} pu; it must lie in [0.95, 1.05]" in fault


def test_faults_name_their_step_and_none_hides_another(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(steps=2)
    plan = changed(tiny_plan(scenario), "grid_forming", (1, 0), False)
    plan = changed(plan, "p_kw", (1, 1, 0), 99.0)
    faults = audit(plan, scenario)
    assert len(faults) == 2
    assert all(fault.startswith("step 1: ") for fault in faults)
