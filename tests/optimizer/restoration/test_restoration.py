"""The restoration program against brute force, against itself, and against a graph simulation."""

from __future__ import annotations

import dataclasses
from itertools import combinations, product
from pathlib import Path
from types import SimpleNamespace

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
from gridproof.scenarios.balanced import BalancedRows, balanced_feeder
from gridproof.scenarios.costs import counted_costs, loss_costs
from gridproof.scenarios.devices import Device, LineDevices
from gridproof.scenarios.errors import NoPlanExists, PlanNotFound, ScenarioError
from gridproof.scenarios.events import EventKind, Events
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.prices import BusPrices, Prices
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_audit import audit_restoration
from gridproof.scenarios.restoration_scenario import restoration_scenario, with_failures
from gridproof.scenarios.restoration_states import states_of
from gridproof.scenarios.scenario import Scenario
from scipy.optimize import linprog

MV315 = Path(__file__).parents[3] / "configs" / "feeders" / "mv315"
KINDS = (Device.NONE, Device.MANUAL, Device.REMOTE, Device.REMOTE, Device.RECLOSER, Device.BREAKER)


def small_case(seed: int, *, buses: int = 7, ties: int = 3, generators: int = 0) -> Outage:
    """Two substations, a random tree each, ties, random devices, mixed on cables; tight ratings."""
    rng = np.random.default_rng(seed)
    ends, below = [], {0: 0, 1: 1}
    for i in range(2, buses):
        parent = int(rng.integers(0, i))
        below[i] = below[parent]
        ends.append((parent, i))
    while len(ends) < buses - 2 + ties:
        i, j = rng.choice(buses, 2, replace=False).tolist()
        ends.append((i, j))
    count, closed = len(ends), np.arange(len(ends)) < buses - 2
    p = np.where(np.arange(buses) < 2, 0.0, np.round(rng.uniform(200, 900, buses), 1))
    flow = p.copy()
    for parent, child in ends[: buses - 2][::-1]:
        flow[parent] += flow[child]
    need = np.array([flow[j] for _, j in ends[: buses - 2]] + [flow.mean()] * ties) / 34.64
    cable = rng.random(count) < 0.5
    device = []
    for k in range(count):
        one, other = (KINDS[int(rng.integers(0 if closed[k] else 1, 6))] for _ in range(2))
        device.append((one, other) if cable[k] else (one, one))
    feeder = balanced_feeder(
        BalancedRows(
            name=f"small{seed}",
            base_kv=20.0,
            bus_ids=tuple(f"n{i}" for i in range(buses)),
            line_ids=tuple(f"l{k}" for k in range(count)),
            x_km=np.arange(buses, dtype=float),
            y_km=np.zeros(buses),
            p_kw=p,
            q_kvar=np.round(p * rng.uniform(0.1, 0.5, buses), 1),
            source_v_pu=np.where(np.arange(buses) < 2, 1.02, np.nan),
            ends=np.array(ends),
            r_ohm=rng.uniform(0.5, 4.0, count),
            x_ohm=rng.uniform(0.5, 4.0, count),
            rating_a=1.25 * need * rng.uniform(1.0, 1.8, count) + 5.0,
            closed=closed,
        )
    )
    failed = rng.choice(count, int(rng.integers(1, 4)), replace=False)
    devices = LineDevices(
        line_ids=feeder.lines.ids,
        underground=cable,
        device=tuple(device),
        protection_remote=bool(rng.random() < 0.7),
    )
    own = _ders(rng.choice(np.arange(2, buses), generators), rng) if generators else None
    names = [feeder.lines.ids[k] for k in failed]
    return Outage.of(restoration_scenario(feeder.name, feeder, devices, names, ders=own))


def open_striking(case: Outage) -> Outage:
    """Return the case in which a line that failed while open strikes its ends too."""
    devices = dataclasses.replace(case.devices, open_strikes=True)
    return Outage.of(dataclasses.replace(case.scenario, devices=devices))


def critical(case: Outage, seed: int) -> Outage:
    """Return the case with a criticality of its own at each bus; some are worth nothing."""
    rng = np.random.default_rng(seed)
    kinds = ([0.0, 1.0, 5.0, 40.0], [1.0, 10.0, 30.0])
    unserved, lost = (rng.choice(k, len(case.feeder.buses.ids)) for k in kinds)
    own = BusPrices(unserved_per_mw=unserved, lost_bus=lost)
    return Outage.of(dataclasses.replace(case.scenario, bus_prices=own))


def _ders(bus: np.ndarray, rng: np.random.Generator) -> Ders:
    n = len(bus)
    per_phase = np.repeat(rng.uniform(100, 400, (n, 1)), 3, axis=1)
    none = np.zeros((n, 3))
    return Ders(
        ids=tuple(f"g{k}" for k in range(n)),
        bus=bus,
        phases=np.ones((n, 3), bool),
        p_min_kw=none,
        p_max_kw=per_phase,
        q_min_kvar=-per_phase,
        q_max_kvar=per_phase,
        s_max_kva=np.full((n, 3), np.inf),
        ramp_kw=per_phase,
        ramp_kvar=per_phase,
        cost_usd_per_kw=np.zeros(n),
        redispatch_cost_usd_per_kw=np.zeros(n),
        can_form=np.ones(n, bool),
    )


def planned(case: Outage, **options: object) -> SimpleNamespace:
    """What stands at every phase as the program has it, damage included; not read from a plan."""
    options = RestorationOptions(gap=0.0, **options)  # type: ignore[arg-type,assignment]
    states, proof = RestorationPlanner(options=options).decide(case)  # type: ignore[arg-type]
    held = {one.name: getattr(states, one.name) for one in dataclasses.fields(states)}
    return SimpleNamespace(**held, states=states, proof=proof, costs=loss_costs(case, states))


# ------------------------------------------------------------------------ the four formulations


@pytest.mark.parametrize("seed", range(25))
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


@pytest.mark.parametrize("seed", range(25))
def test_a_start_and_regional_bounds_change_no_optimum(
    seed: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    case = small_case(seed, buses=8 + seed % 4, ties=3 + seed % 2, generators=seed % 3)
    without = planned(case)
    monkeypatch.setattr("gridproof.optimizer.restoration.planner._MANY_SWITCHES", 0)
    monkeypatch.setattr("gridproof.optimizer.restoration.regions._CORE_BUSES", 2)
    started = planned(case)
    assert started.proof.incumbent == pytest.approx(without.proof.incumbent, abs=1e-5)
    assert audit_restoration(case, started.states) == ()


# --------------------------------------------------------------------------------- brute force


def reach(case: Outage, closed: np.ndarray, start: set[int]) -> set[int]:
    """Walk closed lines from ``start``, one bus at a time."""
    met, todo = set(start), list(start)
    while todo:
        here = todo.pop()
        for k in np.flatnonzero(closed):
            pair = set(case.ends[k].tolist())
            for there in pair - met if here in pair else ():
                met.add(there)
                todo.append(there)
    return met


def most_served(case: Outage, closed: np.ndarray, roots: list[int]) -> float | None:
    """Most worth of load that radial islands can serve; None if one is not radial.

    Downstream sums over paths, not node balances; the rating is the same inner polygon.
    """
    p, q = (d / 1e3 for d in case.bus_demand())
    base = 20.0
    r, x = (z / base**2 for z in case.impedance_ohm())
    above: dict[int, list[int]] = {}
    island: dict[int, int] = {}
    for root in roots:
        stack = [(root, -1, [])]
        while stack:
            bus, came, path = stack.pop()
            if bus in above:
                return None
            above[bus], island[bus] = path, root
            for k in np.flatnonzero(closed):
                if k != came and bus in case.ends[k]:
                    other = int(case.ends[k].sum() - bus)
                    stack.append((other, int(k), [*path, int(k)]))
    live = sorted(above)
    if not live:
        return 0.0
    through = np.zeros((len(closed), len(live)))
    for column, bus in enumerate(live):
        through[above[bus], column] = 1.0
    rows, limits = [], []
    s_max = np.sqrt(3.0) * base * case.feeder.lines.rating_a / 1e3
    for turn in (np.arange(4) + 0.5) * np.pi / 8:
        weight = np.cos(turn) * p[live] + np.sin(turn) * q[live]
        rows.append(through * weight)
        limits.append(s_max * np.cos(np.pi / 16))
    drop = 2.0 * (r[:, None] * through * p[live] + x[:, None] * through * q[live])
    rows.append(through.T @ drop)
    held = np.array([1.02 if island[i] < 2 else case.limits.v_max_pu for i in live])
    limits.append(held**2 - case.limits.v_min_pu**2)  # a DER may hold any voltage of the band
    for d in case.forming.tolist():
        fed = np.array([island[i] == case.ders.bus[d] for i in live])
        rows.append(np.stack([fed * p[live], fed * q[live]]))
        most = (case.ders.p_max_kw[d], case.ders.q_max_kvar[d])
        limits.append(np.array([one.sum() / 1e3 for one in most]))
    answer = linprog(
        -(worth_of(case)[0] * p)[live], np.concatenate(rows), np.concatenate(limits), bounds=(0, 1)
    )
    return float(-answer.fun)


def worth_of(case: Outage) -> tuple[np.ndarray, np.ndarray]:
    """(bus,) price of a MW not supplied, and of the bus lost."""
    of_all, own = case.scenario.prices, case.scenario.bus_prices
    if own is not None:
        return own.unserved_per_mw, own.lost_bus
    each = np.ones(len(case.feeder.buses.ids))
    return of_all.unserved_per_mw * each, of_all.lost_bus * each


def brute_force(case: Outage) -> float:
    """Objective (2), every state of every operable end tried at t = 3 after a greedy t = 1, 2.

    t = 1 and 2 are simulated; that they hold no decision is shown against the program over
    all phases, by the test above.
    """
    w, demand = case.prices, case.bus_demand()[0] / 1e3
    of_load, of_bus = worth_of(case)
    before, strikes = case.feeder.lines.closed, case.devices.open_strikes
    plan = planned(case)  # for t <= 2 only, audited there
    cost = ((demand - plan.served_kw[:3] / 1e3) @ of_load).sum()
    cost += (~plan.available[:3] @ of_bus).sum()
    cost += w.switching * np.abs(np.diff(plan.closed[:3].astype(int), axis=0)).sum()
    two = plan.end_closed[2]
    free = [(k, s) for k, s in np.argwhere(case.operable_end) if not _idle(case, k)]
    wires = [(k, s) for k, s in free if case.devices.underground[k] or s == 0]
    best = np.inf
    for bits in product((False, True), repeat=len(wires)):
        ends = two.copy()
        for (k, s), bit in zip(wires, bits, strict=True):
            ends[k, s if case.devices.underground[k] else slice(None)] = bit
        closed = ends.all(axis=1)
        struck = {
            int(case.ends[k, s])
            for k in case.failed
            for s in (0, 1)
            if (ends[k, s] if case.devices.underground[k] else before[k] or strikes)
        } - {0, 1}
        lost = reach(case, closed, struck)
        roots = [i for i in (0, 1) if i not in lost]
        able = [i for i in case.ders.bus[case.forming].tolist() if i not in lost]
        islands = [n for size in range(len(able) + 1) for n in combinations(able, size)]
        tried = [most_served(case, closed, [*roots, *n]) for n in islands]
        served = max((one for one in tried if one is not None), default=None)
        if served is None:
            continue
        moved = np.abs(closed.astype(int) - plan.closed[2].astype(int)).sum()
        here = demand @ of_load - served + of_bus[sorted(lost)].sum()
        best = min(best, here + w.switching * moved)
    return float(cost + best)


def _idle(case: Outage, k: int) -> bool:
    """An overhead line that failed while open stays open."""
    return k in case.failed and not case.devices.underground[k] and not case.feeder.lines.closed[k]


@pytest.mark.parametrize("seed", range(100, 130))
def test_the_optimum_is_what_trying_every_state_finds(seed: int) -> None:
    case = small_case(seed, buses=6, ties=2)
    if case.operable_end.sum() > 13:
        pytest.skip("too many states to try")
    assert planned(case).proof.incumbent == pytest.approx(brute_force(case), abs=1e-5)


@pytest.mark.parametrize("seed", range(100, 130))
def test_critical_buses_are_served_as_trying_every_state_finds(seed: int) -> None:
    case = critical(small_case(seed, buses=6, ties=2), seed)
    if case.operable_end.sum() > 13:
        pytest.skip("too many states to try")
    plan = planned(case)
    assert plan.proof.incumbent == pytest.approx(brute_force(case), abs=1e-5)
    assert plan.costs["total"] == pytest.approx(plan.proof.incumbent, abs=1e-5)


def test_ders_at_buses_carry_the_islands_that_trying_every_state_finds() -> None:
    tried = carried = 0
    for seed in range(100, 130):
        case = critical(small_case(seed, buses=6, ties=2, generators=2), seed)
        if case.operable_end.sum() > 10:
            continue
        plan = planned(case)
        tried += 1
        assert plan.proof.incumbent == pytest.approx(brute_force(case), abs=1e-5)
        carried += plan.forming[3].any()
    assert tried >= 10
    assert carried >= 3


def test_lines_that_failed_while_open_strike_as_trying_every_state_finds() -> None:
    wider = tried = 0
    for seed in range(100, 130):
        case = small_case(seed, buses=6, ties=2)
        struck = open_striking(case)
        idle = [k for k in case.failed if _idle(case, k)]
        if case.operable_end.sum() > 13 or not idle:
            continue
        plan = planned(struck)
        whole = planned(struck, extent="all_phases")
        tried += 1
        assert plan.proof.incumbent == pytest.approx(brute_force(struck), abs=1e-5)
        assert plan.proof.incumbent == pytest.approx(whole.proof.incumbent, abs=1e-5)
        assert audit_restoration(struck, plan.states) == ()
        ends = np.setdiff1d(case.ends[idle], case.feeder.sources.bus)
        assert not plan.available[1:, ends].any()
        wider += (~plan.available[3]).sum() > (~planned(case).available[3]).sum()
    assert tried >= 3
    assert wider


@pytest.mark.parametrize("seed", range(25))
def test_both_extents_weigh_buses_alike(seed: int) -> None:
    case = critical(small_case(seed, generators=seed % 3), seed)
    alone, whole = (planned(case, extent=one) for one in ("reconfiguration", "all_phases"))
    assert alone.proof.incumbent == pytest.approx(whole.proof.incumbent, abs=1e-5)


def test_one_price_for_every_bus_is_the_price_of_all() -> None:
    changed = 0
    for seed in range(25):
        case = small_case(seed)
        ones = np.ones(len(case.feeder.buses.ids))
        same = BusPrices(
            unserved_per_mw=case.prices.unserved_per_mw * ones,
            lost_bus=case.prices.lost_bus * ones,
        )
        told = Outage.of(dataclasses.replace(case.scenario, bus_prices=same))
        plain, critically = planned(case), planned(critical(case, seed))
        assert planned(told).proof.incumbent == pytest.approx(plain.proof.incumbent, abs=1e-6)
        changed += not np.allclose(critically.served_kw, plain.served_kw)
    assert changed  # what a bus is worth moves supply from one to another


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
