"""Restoration studies: read with their tables, rebuilt from what a run wrote, every fault named."""

import json
from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.records.scenario_store import scenario_from_json, scenario_to_json
from gridproof.federation.studies.shipped import list_studies
from gridproof.federation.studies.study import load_study, resolved_text, write_resolved
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.audit import audit
from gridproof.scenarios.costs import counted_costs
from gridproof.scenarios.devices import Device
from gridproof.scenarios.errors import ConfigError, ScenarioError
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.realization import draw
from gridproof.scenarios.restoration import PHASE_NAMES, Outage
from gridproof.scenarios.restoration_states import states_of
from gridproof.simulator.linear.engine import LinearEngine
from gridproof.simulator.opendss.engine import OpenDssEngine


@pytest.fixture
def faults(storm):
    """Return the faults of the small study under some overrides."""

    def found(*overrides: str) -> str:
        with pytest.raises(ConfigError) as caught:
            load_study(storm, overrides)
        return "\n".join(caught.value.faults)

    return found


def test_a_study_brings_its_phases_as_steps(storm):
    study = load_study(storm)
    scenario, case = study.scenario, Outage.of(study.scenario)
    assert scenario.step_names == PHASE_NAMES
    assert study.steps == (0, 1, 2, 3)
    assert scenario.ders.ids == ("ss1", "ss2")
    assert scenario.uncertainty.load_ids == scenario.feeder.loads.ids
    assert len(case.failed) == 3
    first, *others = case.failed.tolist()
    assert case.devices.device[first] == (Device.REMOTE, Device.REMOTE)
    assert case.devices.underground[first]
    again = load_study(storm, ["restoration.buried=0"])
    assert again.fingerprint != study.fingerprint
    assert again.scenario.digest() != scenario.digest()
    assert all(again.scenario.devices.device[k] == case.devices.device[k] for k in others)


def test_what_a_run_writes_is_read_back_elsewhere(storm, tmp_path):
    study = load_study(storm, ["restoration.weights.beta=0.2"])
    (tmp_path / "elsewhere").mkdir()
    path = tmp_path / "elsewhere" / "study.json"
    write_resolved(study, path)
    back = load_study(path)
    assert back.fingerprint == study.fingerprint
    assert back.scenario.prices.switching == 0.2 * 0.1


def test_a_bus_has_the_criticality_that_a_study_says(storm, tmp_path):
    plain = load_study(storm)
    asked = ["restoration.buses={b1={unserved=5}, b2={unserved=2, lost_bus=3}}"]
    study = load_study(storm, asked)
    ids, prices = study.scenario.feeder.buses.ids, study.scenario.bus_prices
    one, two, rest = ids.index("b1"), ids.index("b2"), ids.index("b3")
    assert prices.unserved_per_mw[[one, two, rest]].tolist() == [50.0, 20.0, 5.0]
    assert prices.lost_bus[[one, two, rest]].tolist() == [10.0, 30.0, 10.0]
    assert plain.scenario.bus_prices is None
    assert study.fingerprint != plain.fingerprint
    write_resolved(study, tmp_path / "study.json")
    assert load_study(tmp_path / "study.json").fingerprint == study.fingerprint
    kept = scenario_from_json(json.loads(scenario_to_json(study.scenario, "")))
    assert kept.digest() == study.scenario.digest() != plain.scenario.digest()
    plan = make_planner("restoration", {}).plan(study.scenario)
    assert counted_costs(plan, kept) == pytest.approx(plan.costs)


def test_lines_that_failed_while_open_strike_where_a_study_says_so(storm):
    plain, struck = load_study(storm), load_study(storm, ["restoration.open_strikes=true"])
    assert struck.scenario.devices.open_strikes
    assert not plain.scenario.devices.open_strikes
    assert struck.fingerprint != plain.fingerprint
    silent = load_study(storm, ["restoration.open_strikes=false"])
    assert silent.scenario.digest() == plain.scenario.digest() != struck.scenario.digest()


def test_a_der_at_a_bus_may_carry_an_island(storm):
    every = "restoration.weights={unserved=50}"
    plain = load_study(storm, [every])
    states = states_of(make_planner("restoration", {}).plan(plain.scenario), plain.scenario)
    dark = np.flatnonzero(states.available[3] & ~states.energized[3])
    assert len(dark)  # safe, and nobody can feed it
    bus = plain.scenario.feeder.buses.ids[dark[0]]
    der = f"ders.fleet.own={{bus='{bus}', capacity_kw=5000}}"
    study = load_study(storm, [every, der])
    plan = make_planner("restoration", {}).plan(study.scenario)
    own = study.scenario.ders.ids.index("own")
    assert plan.grid_forming[:, own].tolist() == [False, False, False, True]
    assert states_of(plan, study.scenario).energized[3, dark[0]]
    assert audit(plan, study.scenario) == ()


def test_one_step_is_a_study_of_its_own(storm):
    study = load_study(storm)
    with pytest.raises(ConfigError, match=r"4 steps \(0 before, .*campaign.step=3"):
        _ = study.step
    third = load_study(storm, ["campaign.step=2"])
    assert (third.step, third.steps) == (2, (2,))
    assert third.fingerprint != study.fingerprint
    assert third.scenario.digest() == study.scenario.digest()
    whole, alone = (json.loads(resolved_text(one)) for one in (study, third))
    assert whole["steps"] == list(PHASE_NAMES)
    assert whole["rows_by_step"] == [0, 1, 2, 3]
    assert "steps" not in alone
    assert "rows_by_step" not in alone


@pytest.mark.parametrize(
    ("override", "expected"),
    [
        ("restoration.failures='none.csv'", 'failures = "none.csv" is no file beside the study'),
        ("restoration.devices='none.csv'", 'devices = "none.csv" is no file beside the study'),
        ("restoration.failed=['l1']", "failed is given beside a table of failures"),
        ("restoration.buried=4", "buried = 4 is more than the 3 failed lines"),
        ("restoration.buryed=4", "is not a known key; did you mean buried?"),
        ("restoration.lines.zz.device='remote'", "zz is not a line of feeder storm"),
        ("restoration.lines.l1.device='magic'", "must be one of 'none', 'manual', 'remote'"),
        ("restoration.lines.t1.device='none'", "line t1 is open but has no switch"),
        ("restoration.weights.beta=-1", "weights.beta = -1 must be at least 0"),
        ("restoration.buses.b1.lost_bus=-1", "buses.b1.lost_bus = -1 must be at least 0"),
        ("restoration.buses.zz.unserved=2", "zz is not a bus of feeder storm; "),
        ("planner.radiality='star'", "must be one of directed_local_flow"),
        ("planner.family='partitioning'", 'is for [planner] family = "restoration"'),
        ("feeder.locked_open=['t1']", "has no use in a restoration"),
        ("limits.v_max_pu=1.01", "a substation holds 1.03 pu, outside the band"),
        ("campaign.step=4", "step = 4 is not a step of this study; it has 0 before"),
        ("uncertainty.loads=['zz']", "is not a load of feeder storm"),
    ],
)
def test_a_fault_names_its_place_and_what_to_do(faults, override, expected):
    assert expected in faults(override)


@pytest.mark.parametrize(
    ("key", "expected"),
    [
        ("can_form=false", "own.can_form = false leaves a DER that follows, which no phase of a"),
        ("phases='b'", 'own.phases = "b" cannot carry an island, which no phase of a restoration'),
    ],
)
def test_a_der_that_cannot_carry_an_island_is_refused(faults, key, expected):
    own = "ders.fleet.own."
    found = faults(f"{own}bus='b1'", f"{own}capacity_kw=50", own + key)
    assert expected in found
    assert "leave the DER out, or let it form on all three phases" in found


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ("fleet.own.power_factor=0.9", "own: power_factor = 0.9"),
        ("defaults.power_factor=0.95", "defaults.power_factor = 0.95"),
        ("fleet.own.minimum_kw=5", "own: minimum_kw = 5"),
        ("fleet.own.unlike_phases=true", "own: unlike_phases = true"),
        (
            "fleet.own.capability=[{p_kw = 0, q_min_kvar = 0, q_max_kvar = 9}, "
            "{p_kw = 50, q_min_kvar = 0, q_max_kvar = 0}]",
            "own: capability = [{p_kw = 0.0, q_min_kvar = 0.0, q_max_kvar = 9.0}, {",
        ),
    ],
)
def test_a_limit_of_a_der_that_no_phase_keeps_is_refused(faults, given, expected):
    found = faults("ders.fleet.own={bus='b1', capacity_kw=50, rating_kva=80}", f"ders.{given}")
    assert expected in found
    assert found.count("would be planned past: the restoration family does not hold it") == 1
    assert "state capacity_kw, reactive_limit and rating_kva alone" in found


def test_a_failure_on_an_unknown_line_is_named_with_its_table(storm, faults):
    table = storm.parent / "failures.csv"
    table.write_text(table.read_text() + "l999\n")
    found = faults("restoration.bured=3")
    assert f"{table}: failed line l999 is not a line of feeder storm; did you mean" in found
    assert "bured" in found  # all faults come at once


def test_no_failure_at_all_is_a_fault(storm, faults):
    storm.write_text(storm.read_text().replace('failures = "failures.csv"\nburied = 1', ""))
    assert "[restoration] failed names no failed line; list some, or name a table" in faults()


def test_a_manual_switch_asked_to_move_is_refused(storm, faults):
    text = (storm.parent / "lines.csv").read_text().splitlines()
    manual = next(row.split(",")[0] for row in text if row.endswith("manual,manual"))
    found = faults(f"feeder.switches=['{manual}']")
    assert f'"{manual}" is moved by hand (device manual), which no phase' in found
    assert f'lines.{manual} = {{ device = "remote" }}' in found


def test_tables_that_do_not_fit_are_named(storm, faults):
    table = storm.parent / "lines.csv"
    rows = table.read_text().splitlines()
    table.write_text("\n".join([*rows[:-1], rows[-1].replace("remote", "telepathic")]) + "\n")
    if "telepathic" in table.read_text():
        assert "it must be one of none, manual, remote" in faults()
    table.write_text("\n".join(rows[:-1]) + "\n")
    assert "is in the feeder alone; both must have it" in faults()
    table.write_text("line,kind\nl1,overhead\n")
    assert "columns are line, kind; they must be line, kind, from_device, to_device" in faults()


def test_a_disconnected_bus_is_reported_not_refused(storm):
    from gridproof.federation.records.summary import about_plan

    script = storm.parent / "storm.dss"
    script.write_text(
        script.read_text().replace(
            "Set VoltageBases", "New Line.stub phases=3 bus1=lone bus2=b1 r1=1 x1=1 r0=1 x0=1 "
            "c1=0 c0=0 normamps=100\nOpen Line.stub 1\nSet VoltageBases", 1
        )
    )  # fmt: skip
    table = storm.parent / "lines.csv"
    table.write_text(table.read_text() + "stub,lone,b1,1,1,100,0,overhead,manual,manual\n")
    scenario = load_study(storm).scenario
    plan = make_planner("restoration", {}).plan(scenario)
    assert about_plan(plan, scenario).isolated_buses == ("lone",)
    assert audit(plan, scenario) == ()


def test_lines_joined_to_nothing_decide_no_flow_at_any_phase(storm):
    script = storm.parent / "storm.dss"
    script.write_text(
        script.read_text().replace(
            "Set VoltageBases", "New Line.alone phases=3 bus1=lone bus2=more r1=0.3 x1=0.6 r0=0.9 "
            "x0=1.8 c1=0 c0=0 normamps=100\nSet VoltageBases", 1
        )
    )  # fmt: skip
    table = storm.parent / "lines.csv"
    table.write_text(table.read_text() + "alone,lone,more,1,1,100,1,overhead,manual,manual\n")
    scenario = load_study(storm).scenario
    plan = make_planner("restoration", {}).plan(scenario)
    for kind in (OpenDssEngine, LinearEngine):
        engine = kind(scenario)
        for time in range(4):
            drawn = draw(scenario, 1, 0, 3)
            engine.hold(plan, time)
            answer = make_recourse("fixed", plan, scenario, time).respond(drawn)
            assert engine.observe(drawn, answer).converged.all()
        engine.close()


def test_the_family_needs_failures(toy):
    scenario = load_study(toy).scenario
    with pytest.raises(ScenarioError, match=r"state what failed in \[restoration\]"):
        make_planner("restoration", {}).plan(scenario)


def test_a_plan_file_is_audited_phase_by_phase(storm):
    scenario = load_study(storm).scenario
    plan = make_planner("restoration", {}).plan(scenario)
    told = plan_from_json(plan_to_json(plan), scenario)
    assert audit(told, scenario) == ()
    closed = told.closed.copy()
    closed[3] = True  # every switch: damage spreads, loops close
    said = "\n".join(audit(replace(told, closed=closed), scenario))
    assert "t = 3: damaged bus" in said or "is called dead" in said
    early = told.closed.copy()
    tie = int(np.argmin(early[0]))
    early[1, tie] = True
    assert "closes; it may not" in "\n".join(audit(replace(told, closed=early), scenario))
    held = told.source_v_pu.copy()
    held[2, 0] += 0.01
    assert [
        fault
        for fault in audit(replace(told, source_v_pu=held), scenario)
        if fault.startswith(f"step 2: substation {scenario.ders.ids[0]} holds")
    ]


def test_the_shipped_cases_differ_in_what_is_underground():
    names = [f"mv315-case{k}" for k in (1, 2, 3, 4)]
    assert set(names) <= {study.name for study in list_studies()}
    cases = [Outage.of(load_study(name).scenario) for name in names]
    remote = [
        sum(case.devices.device[k] == (Device.REMOTE, Device.REMOTE) for k in case.failed[:n])
        for case, n in zip(cases, (0, 5, 10, 15), strict=True)
    ]
    assert remote == [0, 5, 10, 15]
    assert len({tuple(case.failed.tolist()) for case in cases}) == 1
