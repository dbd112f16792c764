"""Seeded random feeders small enough to enumerate, and the second stage solved head-on."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from typing import Any

import numpy as np
import pyomo.environ as pyo
import pytest
from gridproof.optimizer.network.devices import add_redispatch, redispatch_usd
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.flow import add_flow
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.partitioning.shortfalls import redispatch_shortfalls
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.optimizer.separation import worst_case
from gridproof.optimizer.solver.pyomo_model import solve
from gridproof.scenarios.feeder import (
    Buses,
    Capacitors,
    Connection,
    Feeder,
    Lines,
    Loads,
    Sources,
    Transformers,
)
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.limits import Limits, VoltageTest
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.realization import draw, realize
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box

SHARED = Path(__file__).parents[3] / ".." / "shared"
_TRIANGLE = ((0, 1), (1, 2), (2, 0))


def _lines(rng: np.random.Generator) -> Lines:
    """Three blocks of buses n, m, t in a row (t on one phase), joined by three switches."""
    from_bus = [3 * i + k for i in range(3) for k in (0, 1)] + [3 * i for i, _ in _TRIANGLE]
    to_bus = [3 * i + k + 1 for i in range(3) for k in (0, 1)] + [3 * j for _, j in _TRIANGLE]
    phases = np.ones((9, 3), bool)
    phases[[1, 3, 5], 1:] = False
    length = rng.uniform(0.5, 2.0, 9)[:, None, None]
    both = phases[:, :, None] & phases[:, None, :]
    return Lines(
        ids=(*tuple(f"l{k}" for k in range(6)), "s0", "s1", "s2"),
        from_bus=np.array(from_bus),
        to_bus=np.array(to_bus),
        phases=phases,
        r_ohm=np.where(both, length * (0.12 * np.eye(3) + 0.05), 0.0),
        x_ohm=np.where(both, length * (0.15 * np.eye(3) + 0.08), 0.0),
        b_siemens=np.zeros((9, 3, 3)),
        rating_a=np.full(9, rng.choice([60.0, 200.0])),
        switchable=np.arange(9) >= 6,
        closed=np.arange(9) < 6,
    )


def _transformers(delta: bool) -> Transformers:
    """A delta-wye unit in block 1 beside its first line, to a bus of its own."""
    count = int(delta)
    return Transformers(
        ids=("x",)[:count],
        from_bus=np.full(count, 4),
        to_bus=np.full(count, 9),
        windings=np.ones((count, 3), bool),
        from_connection=(Connection.DELTA,) * count,
        to_connection=(Connection.WYE,) * count,
        from_kv=np.full(count, 2.4 * np.sqrt(3.0)),
        to_kv=np.full(count, 0.4),
        ratio=np.full(count, 0.98),
        r_pu=np.full(count, 0.01),
        x_pu=np.full(count, 0.03),
        rating_kva=np.full(count, 150.0),
        regulating=np.zeros(count, bool),
    )


def _random(seed: int, *, spread: float = 0.3, uncertain: int = 2, k_der: int = 1) -> Scenario:
    rng = np.random.default_rng(seed)
    delta = bool(seed % 2)
    buses, loads = 9 + int(delta), 6 + int(delta)
    phases = np.ones((buses, 3), bool)
    phases[[2, 5, 8], 1:] = False
    at = np.array([1, 2, 4, 5, 7, 8, 9][:loads])
    slots = phases[at]
    p_kw = rng.uniform(10.0, 60.0, (loads, 3)) * slots
    q_kvar = p_kw * rng.uniform(0.2, 0.6, (loads, 1))
    kinds = tuple(
        Connection.DELTA if slots[k].all() and rng.random() < 0.5 else Connection.WYE
        for k in range(loads)
    )
    feeder = Feeder(
        name=f"random{seed}",
        path="",
        buses=Buses(
            ids=tuple(f"b{i}" for i in range(buses)),
            base_kv=np.where(np.arange(buses) == 9, 0.4 / np.sqrt(3.0), 2.4),
            phases=phases,
            xy=np.full((buses, 2), np.nan),
        ),
        lines=_lines(rng),
        transformers=_transformers(delta),
        loads=Loads(
            ids=tuple(f"d{k}" for k in range(loads)),
            bus=at,
            connection=kinds,
            model=(LoadModel.CONSTANT_POWER,) * loads,
            slots=slots,
            p_kw=p_kw,
            q_kvar=q_kvar,
        ),
        capacitors=Capacitors(
            ids=("c",),
            bus=np.array([4]),
            connection=(Connection.WYE,),
            q_kvar=np.full((1, 3), rng.uniform(0.0, 20.0)),
        ),
        sources=Sources(ids=(), bus=np.zeros(0), v_pu=np.zeros(0)),
    )
    return _scenario(feeder, rng, spread=spread, uncertain=uncertain, k_der=k_der)


def _scenario(
    feeder: Feeder, rng: np.random.Generator, *, spread: float, uncertain: int, k_der: int
) -> Scenario:
    loads, most = len(feeder.loads.ids), rng.uniform(50.0, 120.0, (3, 1)) * np.ones((3, 3))
    return Scenario(
        name=feeder.name,
        feeder=feeder,
        ders=Ders(
            ids=("g0", "g1", "g2"),
            bus=np.array([0, 4, 7]),
            phases=np.ones((3, 3), bool),
            p_min_kw=np.zeros((3, 3)),
            p_max_kw=most,
            q_min_kvar=-0.75 * most,
            q_max_kvar=0.75 * most,
            s_max_kva=np.where(np.arange(3)[:, None] == 0, 1.1 * most, np.inf),
            ramp_kw=0.3 * most,
            ramp_kvar=0.3 * most,
            cost_usd_per_kw=rng.uniform(5.0, 15.0, 3),
            redispatch_cost_usd_per_kw=rng.uniform(5.0, 15.0, 3),
            can_form=np.array([True, True, bool(rng.integers(2))]),
        ),
        hours=np.zeros(1),
        load_p_kw=feeder.loads.p_kw[None],
        load_q_kvar=feeder.loads.q_kvar[None],
        load_model=(LoadModel.CONSTANT_POWER,) * loads,
        uncertainty=Box(
            load_ids=tuple(f"d{k}" for k in rng.permutation(loads)[:uncertain]),
            spread=np.full(uncertain, spread),
        ),
        limits=Limits(
            v_min_pu=0.95,
            v_max_pu=1.05,
            voltage_test=VoltageTest.LINE_TO_NEUTRAL,
            grid_forming_per_island=k_der,
        ),
        locked=np.zeros(3, bool),
        shed_usd=rng.uniform(3000.0, 9000.0, 3),
    )


def _second_stage(scenario: Scenario, stage: FirstStage, zeta: Any) -> float:
    """Re-dispatch cost of one realization, without slack; ``inf`` if it cannot be served."""
    network = Network.of(scenario)
    plain = stage.decisions()
    m = pyo.ConcreteModel()
    base = tuple(
        {(g, k): float(s[g, k]) for g, k in np.ndindex(*s.shape)} for s in (stage.p, stage.q)
    )
    moved = add_redispatch(m, network, plain, base)
    draw = realize(scenario, np.asarray(zeta)[None])
    add_flow(
        m, network, plain, (moved.p, moved.q), network.demand(draw.p_kw[0, 0], draw.q_kvar[0, 0])
    )
    m.cost = pyo.Objective(expr=redispatch_usd(network, moved))
    answer = solve(m)
    assert answer.termination in (Termination.OPTIMAL, Termination.INFEASIBLE)
    return answer.incumbent


def _swinging(scenario: Scenario) -> Scenario:
    """Let one delta load swing by half, and give reactive power little room to follow.

    A delta load's active power on one pair is reactive power of its phases, of either sign.
    """
    loads = scenario.feeder.loads
    first = next(k for k, c in enumerate(loads.connection) if c is Connection.DELTA)
    return replace(
        scenario,
        uncertainty=Box(load_ids=(loads.ids[first],), spread=np.array([0.5])),
        ders=replace(scenario.ders, ramp_kvar=0.05 * scenario.ders.p_max_kw),
    )


@pytest.fixture(scope="session")
def swinging_delta() -> Callable[[Scenario], Scenario]:
    """Make a scenario in which phases that move apart ask for more than loads that move whole."""
    return _swinging


@pytest.fixture(scope="session")
def random_scenario() -> Callable[..., Scenario]:
    """Build a seeded scenario of three blocks in a triangle of switches."""
    return _random


@pytest.fixture(scope="session")
def second_stage() -> Callable[..., float]:
    return _second_stage


@pytest.fixture
def no_enumeration(monkeypatch: pytest.MonkeyPatch) -> None:
    """Make small cases take the road of large ones."""
    monkeypatch.setattr(worst_case, "FEW_VERTICES", 0)
    monkeypatch.setattr(worst_case, "_FEW_LEFT", 0)


@pytest.fixture
def one_load(tiny_scenario: Callable[..., Scenario]) -> Scenario:
    """One block of 60 kW and 36 kvar, even phases; a dear DER and a cheap one of 360 kW each."""
    base = tiny_scenario(1, [], [0, 0], der_kw=120.0, spread=0.0, can_form=[True, False])
    p_kw, q_kvar = np.full((1, 3), 20.0), np.full((1, 3), 12.0)
    loads = replace(base.feeder.loads, p_kw=p_kw, q_kvar=q_kvar, slots=p_kw > 0.0)
    return replace(
        base,
        feeder=replace(base.feeder, loads=loads),
        load_p_kw=p_kw[None],
        load_q_kvar=q_kvar[None],
        ders=replace(base.ders, cost_usd_per_kw=np.array([3.0, 1.0])),
        shed_usd=np.array([10_000.0]),
    )


def _exists(free: Scenario, stage: FirstStage, zeta: Any, state: Callable[..., None]) -> bool:
    """Whether a re-dispatch exists, with what ``state`` writes out over a model without it."""
    network, plain, m = Network.of(free), stage.decisions(), pyo.ConcreteModel()
    base = tuple(dict(np.ndenumerate(s)) for s in (stage.p, stage.q))
    moved = add_redispatch(m, network, plain, base)
    use = realize(free, zeta[None])
    add_flow(
        m, network, plain, (moved.p, moved.q), network.demand(use.p_kw[0, 0], use.q_kvar[0, 0])
    )
    m.own = pyo.ConstraintList()
    state(m, moved)
    m.cost = pyo.Objective(expr=0.0 * next(iter(moved.p.values())))
    return bool(np.isfinite(solve(m).incumbent))


def _found_where_one_exists(
    cases: Iterable[tuple[Scenario, Scenario]],
    without: Callable[[Scenario], tuple[Scenario, Callable[..., None]]],
) -> tuple[list[bool], set[str]]:
    """Hold *found* to whether a re-dispatch exists, and to nothing lacking; over a few draws.

    Each case is tried under a plan of a nearer one. ``without`` takes its limits away, and says how
    they are written out. Returns what was found, and the kinds that lacked.
    """
    seen: list[bool] = []
    lacking: set[str] = set()
    for scenario, nearer in cases:
        options = PartitioningOptions(gap=1e-6, centre=False)
        plan = PartitioningPlanner(options=options).plan(nearer)
        if not plan.energized.any():
            continue
        realizations = draw(scenario, 2, 0, 8)
        setpoints = make_recourse("linear", plan, scenario).respond(realizations)
        network, stage = Network.of(scenario), FirstStage.of(plan)
        free, state = without(scenario)
        exists = [_exists(free, stage, zeta, state) for zeta in realizations.zeta]
        lacks = [redispatch_shortfalls(network, stage, zeta, time_limit_s=20.0)
                 for zeta in realizations.zeta]  # fmt: skip
        assert setpoints.found.tolist() == exists == [not one for one in lacks]
        seen += exists
        lacking |= {one.kind for each in lacks for one in each}
    return seen, lacking


@pytest.fixture(scope="session")
def found_where_one_exists() -> Callable[..., tuple[list[bool], set[str]]]:
    return _found_where_one_exists


@pytest.fixture(scope="session")
def networked() -> Callable[..., Scenario]:
    """Read the networked IEEE 37 study at some spread."""
    from gridproof.federation.studies.study import load_study

    def read(spread: float) -> Scenario:
        return load_study("ieee37-networked", [f"uncertainty.spread={spread}"]).scenario

    return read
