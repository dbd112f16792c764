"""A study whose loads fall less, or more, than they rise: read, drawn, answered, proven, told."""

from __future__ import annotations

import json

import numpy as np
import pytest
from gridproof.federation.certificates.affine_rules import with_affine_rule
from gridproof.federation.config.faults import FaultsConfig
from gridproof.federation.field.faults import measured
from gridproof.federation.inquiries.probe import Target, ask_adversary, ask_rare
from gridproof.federation.proofs.proving import prove
from gridproof.federation.records.certificate_report import Claim
from gridproof.federation.records.scenario_store import scenario_from_json, scenario_to_json
from gridproof.federation.reports.sentences import _uncertainty
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.provenance import differences, facts_of
from gridproof.scenarios.realization import realize
from gridproof.scenarios.sampling import sample
from gridproof.scenarios.sets import Budget

import gridproof as gp

UNEVEN = ["uncertainty.spread_down=0.05", "uncertainty.spreads_up.lc=0.4"]
"""``lb`` from -5 to +10 %, ``lc`` from -5 to +40 %."""
LOW, HIGH = np.array([0.95, 0.95]), np.array([1.1, 1.4])
FALLING = [
    "uncertainty.spreads_up.lc=0.02",
    "uncertainty.spread_down=0",
    "uncertainty.spreads_down.lc=0.4",
]
FIXED = ["campaign.recourse=fixed"]


def shares(scenario, drawn):
    where = [scenario.feeder.loads.ids.index(name) for name in ("lb", "lc")]
    asked = drawn.p_kw[:, 0].sum(axis=2) / scenario.load_p_kw[0].sum(axis=1)
    return asked[:, where]


def test_what_is_said_of_a_load_by_name_counts_first_and_one_side_before_both(toy):
    box = load_study(toy, [*UNEVEN, "uncertainty.spreads.lb=0.2"]).scenario.uncertainty
    np.testing.assert_allclose(box.low * box.spread, [-0.2, -0.05])
    np.testing.assert_allclose(box.high * box.spread, [0.2, 0.4])
    assert not box.even


def test_one_bound_given_twice_is_the_study_with_one(toy):
    twice = load_study(toy, ["uncertainty.spread_down=0.1", "uncertainty.spreads_up.lb=0.1"])
    once = load_study(toy)
    assert twice.fingerprint == once.fingerprint
    assert twice.scenario.digest() == once.scenario.digest()
    assert load_study(toy, UNEVEN).fingerprint != once.fingerprint


def test_what_is_not_uncertain_has_no_bound_and_a_budget_counts_even_loads(toy):
    with pytest.raises(ConfigError) as caught:
        load_study(toy, ["uncertainty.spreads_up.lbb=0.2", "uncertainty.spreads_down.ld=0.2"])
    said = "\n".join(caught.value.faults)
    assert "spreads_up.lbb = 0.2" in said
    assert "did you mean lb?" in said
    assert "spreads_down.ld = 0.2 is the spread of a load that is not uncertain" in said
    with pytest.raises(ConfigError, match="budget = 1 counts loads that fall as far as they rise"):
        load_study(toy, [*UNEVEN, "planner.budget=1"])
    with pytest.raises(ConfigError, match=r"spread_up = 1\.2 must be at most 1"):
        load_study(toy, ["uncertainty.spread_up=1.2"])


@pytest.mark.parametrize(
    "sampler", ["uniform", "vertices", "sobol", "latin_hypercube", "truncated_normal"]
)
def test_every_sampler_draws_between_the_ends(toy, sampler):
    more = ["campaign.std_share=0.5"] if sampler == "truncated_normal" else []
    asked = [*UNEVEN, f"campaign.sampler={sampler}", "campaign.samples=600", *more]
    study = load_study(toy, asked)
    drawn = sample(study.scenario, study.sampler, 0, 600)
    found = shares(study.scenario, drawn)
    assert (found >= LOW - 1e-12).all()
    assert (found <= HIGH + 1e-12).all()
    tight = 0.03 if sampler == "truncated_normal" else 0.006
    np.testing.assert_allclose(found.min(axis=0), LOW, atol=tight)
    np.testing.assert_allclose(found.max(axis=0), HIGH, atol=tight)
    np.testing.assert_allclose(found.mean(axis=0), (LOW + HIGH) / 2.0, atol=0.02)


def test_a_history_is_held_against_both_ends_and_drawn_as_it_is(toy):
    past = toy.parent / "past.csv"
    asked = [*UNEVEN, "campaign.sampler=empirical", "campaign.history=past.csv"]
    past.write_text("lb,lc\n0.95,1.4\n1.1,0.97\n1.0,1.0\n")
    study = load_study(toy, asked)
    found = shares(study.scenario, sample(study.scenario, study.sampler, 0, 40))
    assert {tuple(row) for row in found.round(9).tolist()} == {
        (0.95, 1.4), (1.1, 0.97), (1.0, 1.0),
    }  # fmt: skip
    past.write_text("lb,lc\n0.94,1.0\n1.0,1.39\n")
    with pytest.raises(ConfigError, match=r"lb leaves the declared set, 0.95 to 1.1, in 1 of 2"):
        load_study(toy, asked)


def test_a_meter_reads_no_further_than_the_ends(toy):
    scenario = load_study(toy, UNEVEN).scenario
    nominal = realize(scenario, np.zeros((400, 2)))
    told = measured(nominal, scenario, FaultsConfig(noise=0.5), 9, np.arange(400))
    np.testing.assert_allclose(shares(scenario, told).min(axis=0), LOW)
    np.testing.assert_allclose(shares(scenario, told).max(axis=0), HIGH)


def test_what_is_proven_of_uneven_loads_no_draw_contradicts(toy, toy_plan):
    ramp = ["ders.defaults.ramp=0.15"]
    study = load_study(toy, [*FIXED, *ramp, *UNEVEN])
    plan = toy_plan(study.scenario)
    found = prove(study, plan)
    assert found.verdict is Claim.PROVEN
    assert found.load_set.directions == pytest.approx({"lb": 0.1, "lc": 0.4})
    assert found.load_set.down == pytest.approx({"lb": 0.05, "lc": 0.05})
    run = gp.try_plan(study, plan, samples=200)
    assert run.report.feasible_share == 1.0
    further = load_study(toy, [*FIXED, *ramp, *UNEVEN, "uncertainty.spreads_up.lb=0.2"])
    assert prove(further, plan).verdict is Claim.REFUTED
    with pytest.raises(ConfigError, match="fall as far as they rise"):
        prove(study, plan, load_set=Budget.over(2, 1.0))


@pytest.mark.parametrize("bounds", [UNEVEN, FALLING])
def test_the_worst_of_uneven_loads_is_at_a_corner_of_their_own(toy, toy_plan, bounds):
    """Named by the certificate, searched for where none speaks, and tried: the same load."""
    study = load_study(toy, [*FIXED, *bounds, "ders.defaults.ramp=0.03"])
    plan = toy_plan(study.scenario)
    target = Target(study=study, plan=plan)
    named = ask_adversary(target)
    assert [stage.name for stage in named.stages] == ["certificate"]
    judged = load_study(toy, [*FIXED, *bounds, "ders.defaults.ramp=0.03", "campaign.judge=linear"])
    other = Target(study=judged, plan=plan)
    searched = ask_adversary(other, budget=40)
    with target.limit_state() as limit_state:
        corners = np.array(list(study.scenario.uncertainty.vertices()))
        least = limit_state(corners)
    worst = dict(zip(("lb", "lc"), corners[least.argmin()].tolist(), strict=True))
    assert named.at_corner
    assert named.zeta == pytest.approx(worst)
    assert named.least_margin == pytest.approx(least.min(), abs=1e-9)
    assert searched.at_corner
    with other.limit_state() as limit_state:
        assert searched.least_margin == pytest.approx(limit_state(corners).min(), abs=1e-9)
    assert searched.zeta == pytest.approx(worst)


def test_rare_failures_are_counted_among_uneven_draws(toy, toy_plan):
    rising = ["uncertainty.spread_down=0", "campaign.judge=linear", "ders.defaults.ramp=0.045"]
    study = load_study(toy, [*FIXED, *rising])
    target = Target(study=study, plan=toy_plan(study.scenario))
    answer = ask_rare(target, samples=800, seed=4)
    with target.limit_state() as limit_state:
        drawn = sample(study.scenario, study.sampler, 0, 1500)
        counted = float(np.mean(limit_state(drawn.zeta) < 0.0))
    assert 0.02 < counted < 0.6
    assert answer.probability == pytest.approx(counted, rel=3.0 * answer.cov_upper)


def test_an_affine_rule_is_made_for_the_set_and_is_no_worse_than_one_made_for_more(toy, toy_plan):
    asked = ["campaign.recourse=affine", "ders.defaults.ramp=0.12"]
    study = load_study(toy, [*asked, *UNEVEN, "uncertainty.spreads_down.lc=0.34"])
    plan = toy_plan(study.scenario)
    box = study.scenario.uncertainty
    wider = load_study(toy, [*asked, "uncertainty.spread=0.1", "uncertainty.spreads.lc=0.4"])
    own, other = (with_affine_rule(plan, one.scenario) for one in (study, wider))
    np.testing.assert_array_equal(wider.scenario.uncertainty.spread, box.spread)
    made, borrowed = (prove(study, one) for one in (own, other))
    assert made.verdict is Claim.PROVEN
    assert made.worst.relative >= borrowed.worst.relative - 1e-6
    assert gp.try_plan(study, own, samples=60).report.feasible_share == 1.0


def test_a_scenario_is_kept_and_told_with_both_bounds(toy):
    one, other = load_study(toy, UNEVEN).scenario, load_study(toy).scenario
    assert _uncertainty(one) == "2 of 4 loads, 5 % down and 10 to 40 % up of nominal"
    assert _uncertainty(other) == "2 of 4 loads, ±10 % of nominal"
    again = scenario_from_json(json.loads(scenario_to_json(one, "f")))
    assert again.digest() == one.digest()
    named = {one.what for one in differences(facts_of(other), one)}
    assert named == {"uncertainty.spread", "uncertainty.low"}
