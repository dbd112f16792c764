"""A file's proof is believed of the decisions it was made with, and of nothing else."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gridproof.scenarios.arrays import content_digest
from gridproof.scenarios.costs import counted_costs
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import plan_digest
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.provenance import Scope, differences, facts_of, scope_of
from hypothesis import given, settings
from hypothesis import strategies as st

SHOWN = Proof(
    termination=Termination.OPTIMAL, incumbent=340.0, bound=340.0, robust=True, iterations=3
)


@pytest.fixture
def scenario(tiny_scenario):
    made = tiny_scenario()
    shed = np.array([100.0, 250.0, 40.0])
    prices = np.array([2.0, 3.0])
    return replace(made, shed_usd=shed, ders=replace(made.ders, cost_usd_per_kw=prices))


@pytest.fixture
def plan(scenario, tiny_plan):
    made = tiny_plan(scenario)
    costs = counted_costs(made, scenario)
    costs |= {"redispatch": 4.0, "objective": sum(costs.values()) + 4.0}
    proof = replace(SHOWN, incumbent=costs["objective"], bound=costs["objective"])
    return replace(
        made,
        family="partitioning",
        scenario_digest=scenario.digest(),
        costs=costs,
        proof=proof,
        made_for=facts_of(scenario),
    )


def read(file, scenario):
    return plan_from_json(json.dumps(file), scenario, "plan.json")


def test_an_untouched_file_is_believed_whatever_its_order(plan, scenario):
    file = json.loads(plan_to_json(plan))
    for key in ("switches", "ders", "costs", "proof"):
        file[key] = dict(reversed(file[key].items()))
    back = read(dict(reversed(file.items())), scenario)
    assert back.proof.certified
    assert (back.family, back.remark) == ("partitioning", "")
    assert scope_of(back, scenario) is Scope.HERE


def edit(file, path, value):
    *way, last = path
    for key in way:
        file = file[key]
    assert json.dumps(file[last]) != json.dumps(value)
    file[last] = value


EDITS = [
    (("ders", "g0", "p_kw", 0, 1), 9.5),
    (("ders", "g0", "q_kvar", 0, 0), 0.25),
    (("ders", "g0", "source_v_pu", 0), 1.01),
    (("ders", "g1", "grid_forming", 0), True),
    (("switches", "s0", 0), "open"),
    (("energized_blocks", "n1", 0), False),
    (("costs", "objective"), 1e9),
    (("costs", "generation"), 1.0),
    (("proof", "asked_gap"), 0.5),
    (("proof", "robust"), False),
    (("proof", "termination"), "time_limit"),
    (("scenario_digest",), "0" * 64),
    (("family",), "restoration"),
    (("made_for", "limits.v_min_pu"), "0.9"),
    (("digest",), "0" * 64),
    (("digest",), ""),
]


@pytest.mark.parametrize(("path", "value"), EDITS, ids=lambda one: str(one)[:40])
def test_whatever_is_edited_nothing_is_proven_and_the_cost_is_counted(path, value, plan, scenario):
    file = json.loads(plan_to_json(plan))
    edit(file, path, value)
    back = read(file, scenario)
    assert back.family == "external"
    assert back.proof.termination is Termination.EXTERNAL
    assert not back.proof.certified
    assert not np.isfinite(back.proof.bound)
    assert scope_of(back, scenario) is Scope.NOWHERE
    assert "digest" in back.remark
    assert dict(back.costs) == counted_costs(back, scenario)


def test_a_load_added_to_the_partly_served_is_an_edit(plan, scenario):
    file = json.loads(plan_to_json(plan))
    file["served_share"] = {scenario.feeder.loads.ids[0]: [0.5]}
    assert not read(file, scenario).proof.certified


def test_an_external_plan_stays_one_when_it_is_written_again(plan, scenario):
    file = json.loads(plan_to_json(plan))
    edit(file, ("digest",), "")
    once = read(file, scenario)
    again = plan_from_json(plan_to_json(once), scenario)
    assert again.proof.termination is Termination.EXTERNAL
    assert again.remark == once.remark
    assert dict(again.costs) == dict(once.costs)


def test_a_digest_made_anew_does_not_make_costs_true(plan, scenario):
    cheap = {**plan.costs, "generation": 1.0, "objective": 5.0}
    lie = replace(plan, costs=cheap, proof=replace(SHOWN, incumbent=5.0, bound=5.0))
    back = plan_from_json(plan_to_json(lie), scenario)
    assert not back.proof.certified
    assert "states generation costs of 1" in back.remark


FIRST = Path(__file__).parent / "plan_format_1.json"


def test_a_file_of_format_1_is_read_and_believed(plan, scenario):
    back = plan_from_json(FIRST.read_text(), scenario)
    assert back.proof.certified
    assert scope_of(back, scenario) is Scope.HERE
    assert plan_digest(back) == plan_digest(plan)
    assert back.cost_unit == "USD"
    assert json.loads(plan_to_json(back))["format"] == "gridproof-plan/2"
    assert plan_from_json(plan_to_json(back), scenario).proof.certified


def test_a_file_of_format_1_that_was_edited_proves_nothing(scenario):
    file = json.loads(FIRST.read_text())
    edit(file, ("ders", "g0", "p_kw", 0, 1), 9.5)
    assert not read(file, scenario).proof.certified
    file = json.loads(FIRST.read_text())
    file["proof"]["bound_usd"] = "340"
    with pytest.raises(ConfigError, match=r"proof\.bound_usd"):
        read(file, scenario)


def test_costs_are_counted_term_by_term(plan, scenario):
    by_hand = {
        "shed": sum(
            float(usd)
            for usd, on in zip(scenario.shed_usd, plan.energized[0], strict=True)
            if not on
        ),
        "generation": sum(
            float(kw) * float(usd)
            for der, usd in zip(plan.p_kw[0], scenario.ders.cost_usd_per_kw, strict=True)
            for kw in der
        ),
    }
    assert counted_costs(plan, scenario) == pytest.approx(by_hand)
    dark = replace(plan, energized=~plan.energized)
    assert counted_costs(dark, scenario)["shed"] == pytest.approx(390.0 - by_hand["shed"])


@pytest.mark.parametrize("key", ["costs.objective", "costs.total", "proof.incumbent"])
def test_a_bound_above_the_cost_is_a_fault(key, plan, scenario):
    file = json.loads(plan_to_json(plan))
    section, name = key.split(".")
    file[section][name] = file["proof"]["bound"] - 1.0
    with pytest.raises(ConfigError, match=rf"plan\.json: proof\.bound = .* above {key} = "):
        read(file, scenario)


@pytest.mark.parametrize(
    ("path", "value"),
    [
        (("ders", "g0", "p_kw", 0, 0), "10"),
        (("ders", "g0", "source_v_pu", 0), "1.0"),
        (("ders", "g0", "grid_forming", 0), 1),
        (("energized_blocks", "n1", 0), "true"),
        (("costs", "shed"), "0"),
        (("proof", "iterations"), "3"),
        (("proof", "robust"), "yes"),
        (("proof", "bound"), "340"),
    ],
    ids=str,
)
def test_words_for_numbers_are_refused(path, value, plan, scenario):
    file = json.loads(plan_to_json(plan))
    edit(file, path, value)
    with pytest.raises(ConfigError, match=r"\.".join(map(str, path))):
        read(file, scenario)


@pytest.mark.parametrize("key", ["switches", "ders", "proof", "digest", "family"])
def test_a_key_given_twice_is_refused(key, plan, scenario):
    text = plan_to_json(plan)
    first = json.dumps(json.loads(text)[key])
    doubled = text.rstrip().removesuffix("}") + f', "{key}": {first}}}'
    with pytest.raises(ConfigError, match=rf"plan\.json: key '{key}' is given twice"):
        plan_from_json(doubled, scenario, "plan.json")


def test_a_key_given_twice_deep_inside_is_refused(plan, scenario):
    text = plan_to_json(plan).replace('"g0": {', '"g0": {"grid_forming": [true], ', 1)
    with pytest.raises(ConfigError, match=r"'grid_forming' is given twice"):
        plan_from_json(text, scenario)


# ------------------------------------------------------------------------- other studies


def test_what_may_differ_is_listed_and_the_proof_stays_where_it_was_made(plan, scenario):
    text = plan_to_json(plan)
    box = replace(scenario.uncertainty, spread=scenario.uncertainty.spread + 0.125)
    wider = replace(scenario, uncertainty=box, limits=replace(scenario.limits, v_min_pu=0.9))
    back = plan_from_json(text, wider)
    assert back.proof.certified  # of what it was made for
    assert scope_of(back, wider) is Scope.ELSEWHERE
    told = {one.what: one.words for one in differences(back.made_for, wider)}
    assert set(told) == {"uncertainty.spread", "limits.v_min_pu"}
    assert told["limits.v_min_pu"] == "v_min_pu 0.95; tried at 0.9"


def test_another_name_alone_is_the_same_study(plan, scenario):
    named = replace(scenario, name="copy")
    back = plan_from_json(plan_to_json(plan), named)
    assert scope_of(back, named) is Scope.HERE
    assert [one.what for one in differences(back.made_for, named)] == ["name"]


def test_a_plan_that_does_not_say_what_it_was_made_for_is_proven_of_nothing_else(plan, scenario):
    silent = replace(plan, made_for={})
    wider = replace(scenario, shed_usd=scenario.shed_usd + 1.0)
    assert scope_of(silent, scenario) is Scope.HERE
    assert scope_of(silent, wider) is Scope.ELSEWHERE
    assert differences(silent.made_for, wider) == ()


def test_another_network_under_the_same_ids_is_refused(plan, scenario):
    lines = scenario.feeder.lines
    turned = replace(lines, from_bus=lines.to_bus, to_bus=lines.from_bus)
    other = replace(scenario, feeder=replace(scenario.feeder, lines=turned))
    text = plan_to_json(plan)
    with pytest.raises(ConfigError, match=r"made for another network: feeder\.lines\.from_bus"):
        plan_from_json(text, other)
    moved = replace(scenario.ders, bus=scenario.ders.bus[::-1])
    with pytest.raises(ConfigError, match=r"made for another network: ders\.bus"):
        plan_from_json(text, replace(scenario, ders=moved))
    bare = json.loads(text)
    del bare["made_for"]
    assert not read(bare, other).proof.certified  # its decisions may be tried all the same


def test_what_an_earlier_version_did_not_know_and_what_went_leave_a_proof_whole(plan, scenario):
    told = dict(facts_of(scenario)) | {"slack_usd_per_kw": "705.0", "restoration": "None"}
    earlier = replace(plan, scenario_digest="0" * 64, made_for=told)
    assert differences(told, scenario) == ()
    assert differences(told | {"duration_h": "1.0", "events.kind": "none"}, scenario) == ()
    assert scope_of(earlier, scenario) is Scope.HERE
    dearer = replace(scenario, shed_usd=scenario.shed_usd + 1.0)
    assert [one.what for one in differences(told, dearer)] == ["shed_usd"]
    assert scope_of(earlier, dearer) is Scope.ELSEWHERE
    longer = replace(scenario, duration_h=2.0 * scenario.duration_h)
    assert [one.what for one in differences(told, longer)] == ["duration_h"]


CHANGES = {
    "hours": lambda s: replace(s, hours=s.hours + 1.0),
    "load_p_kw": lambda s: replace(s, load_p_kw=s.load_p_kw * 1.01),
    "load_q_kvar": lambda s: replace(s, load_q_kvar=s.load_q_kvar + 0.5),
    "shed_usd": lambda s: replace(s, shed_usd=s.shed_usd + 1.0),
    "locked": lambda s: replace(s, locked=~s.locked),
    "ders.p_max_kw": lambda s: replace(s, ders=replace(s.ders, p_max_kw=s.ders.p_max_kw * 2)),
    "ders.can_form": lambda s: replace(s, ders=replace(s.ders, can_form=~s.ders.can_form)),
    "limits.tolerance": lambda s: replace(s, limits=replace(s.limits, tolerance=1e-5)),
    "feeder.lines.rating_a": lambda s: replace(
        s,
        feeder=replace(
            s.feeder, lines=replace(s.feeder.lines, rating_a=s.feeder.lines.rating_a + 1)
        ),
    ),
}


@settings(deadline=None, max_examples=30)
@given(chosen=st.sets(st.sampled_from(sorted(CHANGES))))
def test_facts_tell_exactly_what_was_changed(chosen, tiny_scenario):
    """The facts and the digest, which share no code, find the same scenarios alike."""
    before = after = tiny_scenario()
    for name in chosen:
        after = CHANGES[name](after)
    found = {one.what for one in differences(facts_of(before), after)}
    assert found == chosen
    assert (content_digest(before) == content_digest(after)) == (not found)
