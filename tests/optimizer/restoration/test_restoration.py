"""The restoration program against brute force, against itself, and against a graph simulation."""

from __future__ import annotations

import dataclasses
from itertools import product
from pathlib import Path

import numpy as np
import pytest
from gridproof.federation.families.restoration_files import read_network
from gridproof.optimizer.network.radiality import FORMULATIONS
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.restoration.isolation import isolate
from gridproof.optimizer.restoration.options import RestorationOptions
from gridproof.optimizer.restoration.planner import RestorationPlanner, build_all_phases
from gridproof.optimizer.solver.solve import solve_arrays
from gridproof.scenarios.audit import audit
from gridproof.scenarios.costs import counted_costs
from gridproof.scenarios.devices import Device, LineDevices
from gridproof.scenarios.errors import NoPlanExists, PlanNotFound, ScenarioError
from gridproof.scenarios.events import EventKind, Events
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.prices import Prices
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_audit import audit_restoration
from gridproof.scenarios.restoration_scenario import restoration_scenario, with_failures
from gridproof.scenarios.restoration_states import states_of
from gridproof.scenarios.scenario import Scenario
from small_cases import open_striking, planned, small_case

MV315 = Path(__file__).parents[3] / "configs" / "feeders" / "mv315"
# ------------------------------------------------------------------------ the four formulations


@pytest.mark.parametrize(
    "seed", [*range(12), *(pytest.param(k, marks=pytest.mark.slow) for k in range(12, 25))]
)
def test_all_formulations_and_extents_agree_and_pass_the_audit(seed: int) -> None:
    case = small_case(seed, buses=8 + seed % 4, ties=3 + seed % 2, generators=seed % 3)
    costs = {}
    for extent, radiality in product(("reconfiguration", "all_phases"), FORMULATIONS):
        plan = planned(case, extent=extent, radiality=radiality)
        if radiality != "parent_child":  # it may call a ring nobody feeds energised
            assert audit_restoration(case, plan.states) == ()
        assert plan.costs["total"] == pytest.approx(plan.proof.incumbent, abs=1e-5)
        costs[extent, radiality] = plan.proof.incumbent
    assert max(costs.values()) == pytest.approx(min(costs.values()), abs=1e-5), costs


@pytest.mark.parametrize("seed", range(4))
def test_a_line_without_a_rating_carries_whatever_there_is(seed: int) -> None:
    case = small_case(seed, buses=8, ties=3, generators=seed % 3)
    costs = []
    for amperes in (np.inf, 1e4):
        lines = dataclasses.replace(
            case.feeder.lines, rating_a=np.full(len(case.feeder.lines.ids), amperes)
        )
        feeder = dataclasses.replace(case.feeder, lines=lines)
        asked = Outage.of(dataclasses.replace(case.scenario, feeder=feeder))
        assert np.isfinite(asked.rating_mva()).all()
        plan = planned(asked)
        assert audit_restoration(asked, plan.states) == ()
        costs.append(plan.costs["total"])
    assert costs[0] == pytest.approx(costs[1], abs=1e-5)


def test_the_random_cases_are_of_many_kinds() -> None:
    """Guard of the test above: they restore, isolate, shed, lose substations and form islands."""
    seen = dict.fromkeys(
        ("restores", "isolates", "sheds", "loses a source", "forms", "mixed", "certain"), 0
    )
    for seed in range(25):
        case = small_case(seed, buses=8 + seed % 4, ties=3 + seed % 2, generators=seed % 3)
        plan = planned(case)
        seen["certain"] += isolate(case).certain
        share, live = plan.served_kw.sum(axis=1), plan.energized[3]
        seen["restores"] += share[3] > share[2] + 1
        seen["isolates"] += plan.available[2].sum() > plan.available[1].sum()
        seen["sheds"] += bool((plan.served_kw[3] < case.bus_demand()[0] - 1)[live].any())
        seen["loses a source"] += not plan.available[2][:2].all()
        seen["forms"] += plan.forming.any()
        seen["mixed"] += any(a != b for a, b in case.devices.device)
    assert all(count >= 2 for count in seen.values()), seen


@pytest.mark.parametrize(
    ("by", "seed"),
    [
        *(("parts", seed) for seed in range(25)),
        *(("regions", seed) for seed in range(25)),
        *(("start", seed) for seed in range(5)),
    ],
)
def test_parts_regions_and_a_start_change_no_optimum(
    seed: int, by: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = small_case(seed, buses=8 + seed % 4, ties=3 + seed % 2, generators=seed % 3)
    without = planned(case)
    monkeypatch.setattr("gridproof.optimizer.restoration.planner._MANY_SWITCHES", 0)
    monkeypatch.setattr("gridproof.optimizer.restoration.regions._CORE_BUSES", 2)
    if by != "parts":
        told = "gridproof.optimizer.restoration.large.solve_parts"
        monkeypatch.setattr(told, lambda *_, **__: None)
    if by == "start":
        monkeypatch.setattr("gridproof.optimizer.restoration.large._LOCAL", ())
    started = planned(case)
    assert started.proof.incumbent == pytest.approx(without.proof.incumbent, abs=1e-5)
    assert audit_restoration(case, started.states) == ()


# ------------------------------------------------------------------------------------- cascade


def spread_by_fire(case: Outage, time: int, ends: np.ndarray) -> set[int]:
    """Damage as a fire: light the struck buses, burn along lines until nothing more catches."""
    before, guard = case.feeder.lines.closed, case.devices.protective
    strikes = case.devices.open_strikes
    burning = set()
    for k in case.failed.tolist():
        for side in (0, 1):
            hot = ends[k, side] if case.devices.underground[k] else before[k] or strikes
            if hot and case.ends[k, side] not in case.feeder.sources.bus:
                burning.add(int(case.ends[k, side]))
    carries = (before & ~guard) if time == 1 else ends.all(axis=1)
    while True:
        caught = {
            int(j)
            for k in np.flatnonzero(carries)
            for i, j in (case.ends[k], case.ends[k][::-1])
            if int(i) in burning and int(j) not in burning
        }
        if not caught:
            return burning
        burning |= caught


@pytest.mark.parametrize("strikes", [False, True])
@pytest.mark.parametrize("seed", range(40))
def test_damage_is_what_a_fire_along_closed_lines_burns(seed: int, strikes: bool) -> None:
    case = small_case(seed, buses=12, ties=4)
    case = open_striking(case) if strikes else case
    plan = planned(case, extent="all_phases")
    for time in (1, 2, 3):
        burnt = spread_by_fire(case, time, plan.end_closed[time])
        assert set(np.flatnonzero(~plan.available[time]).tolist()) == burnt


@pytest.mark.slow
def test_the_automatic_response_is_no_decision() -> None:
    """As printed, a substation called damaged at t = 1 keeps its breaker closed and gains."""
    case = _case(4)
    held, _ = solve_arrays(build_all_phases(case)[0].arrays())
    program, columns = build_all_phases(case, free_response=True)
    printed, values = solve_arrays(program.arrays())
    assert printed.incumbent < held.incumbent - 1.0
    sources = case.feeder.sources.bus
    assert (values[columns.available[1, sources]] < 0.5).any()
    assert values[columns.available[2, sources]].min() > 0.5


# ---------------------------------------------------------------------------- the declared case


def _case(number: int) -> Outage:
    network = read_network(MV315)
    names = [network.feeder.lines.ids[k] for k in network.events.element]
    return Outage.of(with_failures(network, names, buried=5 * (number - 1)))


def test_the_four_cases_show_the_published_pattern() -> None:
    plans = {n: planned(_case(n)) for n in (1, 2, 3, 4)}
    shares = np.array([plans[n].states.supplied_share(_case(n)) for n in plans])
    for n, plan in plans.items():
        assert audit_restoration(_case(n), plan.states) == ()
        assert plan.proof.gap <= 1e-9
    assert np.ptp(shares[:, 1]) == 0.0
    assert np.array_equal(shares[:, 1], shares[:, 2])
    damaged = np.array([(~plans[n].available).sum(axis=1) for n in plans])
    assert np.ptp(damaged[:, 1]) == 0
    assert (np.diff(damaged[:, 2]) < 0).all()
    assert (np.diff(shares[:, 3]) > 0).all()


def test_with_no_substation_left_nothing_is_supplied_and_that_is_a_plan() -> None:
    case = small_case(3)
    lines = case.feeder.lines
    manual = ((Device.MANUAL, Device.MANUAL),) * len(lines.ids)
    by_hand = LineDevices(
        line_ids=lines.ids, underground=np.zeros(len(lines.ids), bool), device=manual
    )
    every = [lines.ids[k] for k in np.flatnonzero(lines.closed)]
    lost = Outage.of(restoration_scenario("lost", case.feeder, by_hand, every))
    for extent in ("reconfiguration", "all_phases"):
        plan = planned(lost, extent=extent)
        assert audit_restoration(lost, plan.states) == ()
        assert plan.states.supplied_share(lost).tolist() == [1.0, 0.0, 0.0, 0.0]
        assert not plan.available[1:].any()


def test_a_search_cut_short_says_so() -> None:
    with pytest.raises(PlanNotFound, match="raise time_limit_s") as caught:
        planned(_case(4), time_limit_s=1e-3)
    assert not np.isfinite(caught.value.proof.incumbent)


def test_a_voltage_nobody_can_hold_is_no_plan() -> None:
    case = small_case(1)
    band = dataclasses.replace(case.limits, v_min_pu=1.0199999, v_max_pu=1.0200001)
    low = Outage.of(dataclasses.replace(case.scenario, limits=band))
    plan = planned(low, extent="all_phases")
    assert plan.states.supplied_share(low)[0] < 0.05  # nothing is served, and that is a plan
    with pytest.raises(NoPlanExists, match="no switching satisfies every phase"):
        planned(_stuck())


def _stuck() -> Outage:
    """A generator cannot help: a band that excludes what the substations hold, unnoticed."""
    case = small_case(1)
    low = dataclasses.replace(case.limits, v_max_pu=0.96)
    return Outage.of(dataclasses.replace(case.scenario, limits=low))


def test_options_name_every_fault() -> None:
    with pytest.raises(ValueError, match=r"radiality = 'x'.*extent = 'y'.*gap = 2.*time_limit_s"):
        RestorationOptions(radiality="x", extent="y", gap=2, time_limit_s=0)


@pytest.mark.parametrize("seed", range(12))
def test_a_published_plan_reads_back_as_what_was_decided(seed: int) -> None:
    """Line states alone tell ends, damage and supply; the file loses nothing."""
    case = small_case(seed, generators=seed % 2)
    scenario = case.scenario
    try:
        decided = planned(case)
    except NoPlanExists:
        pytest.skip("nothing to publish")
    plan = make_planner("restoration", {"gap": 0.0}).plan(scenario)
    assert audit(plan, scenario) == ()
    assert dict(plan.costs) == decided.costs
    assert counted_costs(plan, scenario) == pytest.approx(decided.costs, abs=1e-9)
    told = plan_from_json(plan_to_json(plan), scenario)
    assert plan_to_json(told) == plan_to_json(plan)
    read = states_of(told, scenario)
    for name in ("closed", "available", "energized", "forming"):
        assert np.array_equal(getattr(read, name), getattr(decided, name)), name
    np.testing.assert_allclose(read.served_kw, decided.served_kw, atol=1e-5)
    assert audit_restoration(case, read) == ()


# ------------------------------------------------------------------- what the family plans for


def _failing(at: int, **changes: object) -> Events:
    return dataclasses.replace(Events.failures(np.array([at]), start_h=1.0), **changes)


def _by_hand(scenario: Scenario) -> LineDevices:
    device = ((Device.MANUAL,) * 2,) * len(scenario.feeder.lines.ids)
    return dataclasses.replace(scenario.devices, device=device)  # type: ignore[type-var]


def _shorter(scenario: Scenario) -> dict[str, object]:
    cut = ("hours", "duration_h", "load_p_kw", "load_q_kvar")
    return {**{name: getattr(scenario, name)[:3] for name in cut}, "step_labels": ()}


def _growing(scenario: Scenario) -> np.ndarray:
    return scenario.load_p_kw * np.arange(1.0, 5.0)[:, None, None]


LATE, SHORT, UNSURE = (np.array([value]) for value in (2.0, 2.5, 0.5))


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        (lambda _: {"devices": None}, "plans after failures; state what failed in"),
        (
            lambda _: {"events": _failing(0, kind=(EventKind.DER_TRIPS,))},
            'acts on "line fails" alone',
        ),
        (lambda _: {"events": _failing(0, start_h=LATE)}, "must be certain, and last"),
        (lambda _: {"events": _failing(0, end_h=SHORT)}, "must be certain, and last"),
        (lambda _: {"events": _failing(0, probability=UNSURE)}, "must be certain, and last"),
        (lambda s: {"load_p_kw": _growing(s)}, "this family plans one load"),
        (lambda _: {"prices": Prices()}, "nothing is worth anything"),
        (lambda s: {"devices": _by_hand(s)}, "compile it with those as its switches"),
        (_shorter, "3 steps; a restoration has 4 phases"),
    ],
)
def test_what_it_does_not_plan_for_is_refused(changes, expected) -> None:
    scenario = small_case(1).scenario
    RestorationPlanner().plan(scenario)
    with pytest.raises(ScenarioError) as caught:
        RestorationPlanner().plan(dataclasses.replace(scenario, **changes(scenario)))
    assert expected in str(caught.value)


def test_failures_are_planned_anew_in_the_same_network() -> None:
    scenario = small_case(4, generators=1).scenario
    names = [scenario.feeder.lines.ids[k] for k in scenario.events.element]
    assert with_failures(scenario, names).digest() == scenario.digest()
    other = with_failures(scenario, names[:1], buried=1)
    k = int(other.events.element[0])
    assert other.devices is not None
    assert other.devices.device[k] == (Device.REMOTE, Device.REMOTE)
    assert other.feeder.lines.switchable.tolist() == other.devices.moving.tolist()
    assert other.ders is scenario.ders
