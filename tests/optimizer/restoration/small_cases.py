"""Small random outages, their plans, and what trying every state of one finds."""

from __future__ import annotations

import dataclasses
from itertools import combinations, product
from types import SimpleNamespace

import numpy as np
from gridproof.optimizer.restoration.options import RestorationOptions
from gridproof.optimizer.restoration.planner import RestorationPlanner
from gridproof.scenarios.balanced import BalancedRows, balanced_feeder
from gridproof.scenarios.costs import loss_costs
from gridproof.scenarios.devices import Device, LineDevices
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.prices import BusPrices
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_scenario import restoration_scenario
from scipy.optimize import linprog

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
    all phases, in test_restoration.py.
    """
    w, demand = case.prices, case.bus_demand()[0] / 1e3
    of_load, of_bus = worth_of(case)
    plan = planned(case)  # for t <= 2 only, audited there
    cost = ((demand - plan.served_kw[:3] / 1e3) @ of_load).sum()
    cost += (~plan.available[:3] @ of_bus).sum()
    cost += w.switching * np.abs(np.diff(plan.closed[:3].astype(int), axis=0)).sum()
    return float(cost + best_last(case, plan.end_closed[2]))


def best_last(case: Outage, two: np.ndarray) -> float:
    """What the last phase costs at best from ends (line, 2) on, every state tried."""
    w, demand = case.prices, case.bus_demand()[0] / 1e3
    of_load, of_bus = worth_of(case)
    before, strikes = case.feeder.lines.closed, case.devices.open_strikes
    was = two.all(axis=1)
    free = [(k, s) for k, s in np.argwhere(case.operable_end) if not idle(case, k)]
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
        moved = np.abs(closed.astype(int) - was.astype(int)).sum()
        here = demand @ of_load - served + of_bus[sorted(lost)].sum()
        best = min(best, here + w.switching * moved)
    return float(best)


def idle(case: Outage, k: int) -> bool:
    """An overhead line that failed while open stays open."""
    return k in case.failed and not case.devices.underground[k] and not case.feeder.lines.closed[k]
