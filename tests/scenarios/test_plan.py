"""The plan file: there and back without loss, and every fault of a bad one."""

from __future__ import annotations

import json
import math
from dataclasses import replace

import numpy as np
import pytest
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.provenance import facts_of
from gridproof.scenarios.setpoints import Setpoints
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays

ARRAYS = ("closed", "energized", "grid_forming", "source_v_pu", "p_kw", "q_kvar")
texts = st.text(max_size=4)
numbers = st.floats(allow_nan=False, allow_infinity=False)


@st.composite
def plans(draw, tiny_scenario):
    size, steps = draw(st.integers(1, 3)), draw(st.integers(1, 3))
    switches = draw(st.sampled_from([[], [(0, size - 1)], [(0, 0), (0, size - 1)]]))
    ders = draw(st.sampled_from([[], [0], [0, 0]]))
    scenario = tiny_scenario(size, switches, ders, steps=steps)

    def flags(count):
        return draw(arrays(bool, (steps, count)))

    forms = flags(len(ders))
    volts = draw(arrays(float, forms.shape, elements=numbers))
    powers = [draw(arrays(float, (steps, len(ders), 3), elements=numbers)) for _ in range(2)]
    bound, incumbent = sorted(draw(st.tuples(numbers, numbers)))
    searched = [one for one in Termination if one is not Termination.EXTERNAL]
    proof = Proof(
        termination=draw(st.sampled_from(searched)),
        incumbent=draw(st.sampled_from([incumbent, math.inf])),
        bound=draw(st.sampled_from([bound, -math.inf])),
        asked_gap=draw(st.floats(0, 1)),
        robust=draw(st.booleans()),
        iterations=draw(st.integers(0, 999)),
        realizations_kept=draw(st.integers(0, 99)),
        seconds=draw(st.dictionaries(st.text(max_size=4), numbers, max_size=2)),
    )
    plan = Plan(
        family=draw(st.text(max_size=5)),
        scenario_digest=draw(st.text("0123456789abcdef", max_size=64)),
        switch_ids=scenario.feeder.switch_ids,
        block_ids=scenario.feeder.blocks.ids,
        der_ids=scenario.ders.ids,
        closed=flags(len(switches)),
        energized=flags(size),
        grid_forming=forms,
        source_v_pu=np.where(forms, volts, np.nan),
        p_kw=powers[0],
        q_kvar=powers[1],
        costs=draw(st.dictionaries(st.text(max_size=4), numbers, max_size=2)),
        proof=proof,
        made_for={**facts_of(scenario), **draw(st.dictionaries(texts, texts, max_size=2))},
        remark=draw(st.text(max_size=4)),
    )
    return scenario, plan


@settings(deadline=None, max_examples=60)
@given(data=st.data())
def test_a_plan_survives_its_file(data, tiny_scenario):
    scenario, plan = data.draw(plans(tiny_scenario))
    text = plan_to_json(plan)
    back = plan_from_json(text, scenario)
    for name in ARRAYS:
        one, other = getattr(plan, name), getattr(back, name)
        assert other.dtype == one.dtype
        assert other.shape == one.shape
        assert np.array_equal(one, other, equal_nan=one.dtype.kind == "f"), name
    for name in ("family", "scenario_digest", "switch_ids", "block_ids", "der_ids", "remark"):
        assert getattr(plan, name) == getattr(back, name)
    assert dict(back.costs) == dict(plan.costs)
    assert dict(back.made_for) == dict(plan.made_for)
    assert replace(back.proof, seconds={}) == replace(plan.proof, seconds={})
    assert dict(back.proof.seconds) == dict(plan.proof.seconds)
    assert plan_to_json(back) == text


@pytest.fixture
def case(tiny_scenario, tiny_plan):
    scenario = tiny_scenario(steps=2)
    return scenario, json.loads(plan_to_json(tiny_plan(scenario)))


def faults(file, scenario):
    with pytest.raises(ConfigError) as caught:
        plan_from_json(json.dumps(file), scenario, "plan.json")
    assert all(fault.startswith("plan.json: ") for fault in caught.value.faults)
    return caught.value.faults


def test_a_plan_made_by_hand_needs_only_its_decisions(case):
    scenario, file = case
    short = {k: file[k] for k in ("format", "switches", "energized_blocks", "ders")}
    plan = plan_from_json(json.dumps(short), scenario)
    assert plan.family == "external"
    assert plan.scenario_digest == ""
    assert plan.proof.termination is Termination.EXTERNAL
    assert plan.proof.gap == math.inf
    assert not plan.proof.certified


def test_axes_come_out_in_the_scenarios_order(case):
    scenario, file = case
    file["ders"]["g1"]["p_kw"][1] = [1.0, 2.0, 3.0]
    file["switches"]["s1"] = ["open", "closed"]
    for kind in ("switches", "energized_blocks", "ders"):
        file[kind] = dict(reversed(file[kind].items()))
    plan = plan_from_json(json.dumps(file), scenario)
    assert plan.der_ids == ("g0", "g1")
    assert plan.p_kw[1].tolist() == [[10.0, 10.0, 10.0], [1.0, 2.0, 3.0]]
    assert plan.closed.tolist() == [[True, False], [True, True]]


def test_every_unknown_missing_and_short_entry_is_listed(case):
    scenario, file = case
    file["switches"]["s9"] = file["switches"].pop("s1")
    file["energized_blocks"]["n1"] = [True]
    file["ders"]["G0"] = file["ders"].pop("g0")
    file["ders"]["g1"]["q_kvar"].append([0.0, 0.0, 0.0])
    found = faults(file, scenario)
    assert len(found) == 6
    for words in (
        ["switches.s9 is not in the study", "it has s0, s1"],
        ["switches.s1 is missing"],
        ["ders.G0 is not in the study"],
        ["ders.g0 is missing"],
        ["energized_blocks.n1 has 1 steps; the study has 2"],
        ["ders.g1.q_kvar has 3 steps; the study has 2"],
    ):
        assert any(all(word in fault for word in words) for fault in found), words


def test_every_malformed_entry_is_listed(case):
    scenario, file = case
    file["format"] = "gridproof-plan/9"
    file["colour"] = "green"
    file["switches"]["s0"][1] = "ajar"
    file["ders"]["g0"]["p_kw"][0] = [1.0, 2.0]
    file["ders"]["g1"]["grid_forming"] = "sometimes"
    file["proof"]["termination"] = "bored"
    found = faults(file, scenario)
    assert len(found) == 6
    for place, value in (
        ("format", "gridproof-plan/9"),
        ("colour", "green"),
        ("switches.s0.1", "ajar"),
        ("ders.g0.p_kw.0", "[1.0, 2.0]"),
        ("ders.g1.grid_forming", "sometimes"),
        ("proof.termination", "bored"),
    ):
        assert any(f" {place}: " in fault and value in fault for fault in found), place


@pytest.mark.parametrize("text", ["", "{", "[]", "null", '{"format": "gridproof-plan/1"}'])
def test_what_is_no_plan_at_all_is_a_fault(text, case):
    with pytest.raises(ConfigError) as caught:
        plan_from_json(text, case[0], "x.json")
    assert caught.value.faults
    assert all(fault.startswith("x.json: ") for fault in caught.value.faults)
    assert caught.value.exit_code == 2


@pytest.mark.parametrize("number", ["NaN", "Infinity", "-Infinity"])
def test_numbers_that_are_none_are_refused(number, case):
    scenario, file = case
    file["ders"]["g0"]["p_kw"][0][2] = 7.125
    text = json.dumps(file).replace("7.125", number)
    with pytest.raises(ConfigError, match=r"ders\.g0\.p_kw\.0\.2|file"):
        plan_from_json(text, scenario)


def proof(incumbent, bound, **more):
    return Proof(termination=Termination.OPTIMAL, incumbent=incumbent, bound=bound, **more)


def test_gap_is_relative_to_the_incumbent_and_never_below_zero():
    assert proof(200.0, 150.0).gap == 0.25
    assert proof(0.5, 0.25).gap == 0.25  # small costs are not blown up
    assert proof(10.0, 10.1).gap == 0.0
    assert proof(math.inf, 1.0).gap == math.inf
    assert proof(1.0, -math.inf).gap == math.inf
    assert proof(math.inf, math.inf).gap == math.inf


def test_certified_is_robust_and_within_the_gap():
    assert proof(100.0, 99.995, robust=True).certified
    assert not proof(100.0, 99.995, robust=False).certified
    assert not proof(100.0, 99.9, robust=True).certified
    assert proof(100.0, 99.9, robust=True, asked_gap=1e-2).certified


def test_a_plan_whose_axes_disagree_is_refused(tiny_scenario, tiny_plan):
    plan = tiny_plan(tiny_scenario())
    with pytest.raises(ValueError, match=r"shape \(1, 1\) found where \(1, 2\) is needed"):
        replace(plan, closed=[[True]])


def test_setpoints_check_their_shapes():
    good = {"index": [3], "found": [True], "p_kw": np.zeros((1, 2, 3)),
            "q_kvar": np.zeros((1, 2, 3)), "source_v_pu": np.ones((1, 2))}  # fmt: skip
    assert Setpoints(**good).index.tolist() == [3]
    with pytest.raises(ValueError, match="is needed"):
        Setpoints(**{**good, "found": [True, False]})
