"""Tiny scenarios and plans any test can build without a file or a simulator."""

from __future__ import annotations

import atexit
import gc
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace
from shutil import rmtree
from tempfile import mkdtemp

import numpy as np
import pytest
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.costs import counted_costs
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
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box
from gridproof.simulator.islands import live_phases
from gridproof.simulator.linear.flow import FlowSolution, LinearFlow
from gridproof.simulator.opendss.engine_thread import on_engine_thread

_STATE = mkdtemp(prefix="gridproof-tests-")
atexit.register(rmtree, _STATE, ignore_errors=True)
os.environ["XDG_STATE_HOME"] = _STATE
"""Tests, and the programs they start, keep nothing in the state folder of who runs them."""

os.environ.pop("PYTHONDONTWRITEBYTECODE", None)
sys.dont_write_bytecode = False
"""Tests, and programs that they start, keep bytecode: compiling all is a third of each start."""

gc.disable()  # until all is collected: what importing makes is there to stay


def pytest_xdist_auto_num_workers(config):
    """One more than there are processors: many tests wait for what does not come."""
    return (os.cpu_count() or 1) + 1


def pytest_collection_finish(session):
    """Take the program and its tests out of garbage collection, and collect less often.

    Models of thousands of small expressions set it off again and again, each time over all that was
    ever imported: a quarter of their tests' time.
    """
    gc.collect()
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)
    gc.enable()


@on_engine_thread
def _load_opendss() -> None:
    """Before a test module does: where another thread had, the engine's first call crashed."""
    import opendssdirect  # noqa: F401


_load_opendss()


def pytest_pyfunc_call(pyfuncitem):
    """Run a test that calls OpenDSS itself on the one thread that may."""
    if pyfuncitem.get_closest_marker("engine_thread") is None:
        return None
    wanted = pyfuncitem._fixtureinfo.argnames
    on_engine_thread(pyfuncitem.obj)(**{name: pyfuncitem.funcargs[name] for name in wanted})
    return True


def _feeder(size: int, switches: Sequence[tuple[int, int]], load_kw: float) -> Feeder:
    """Block i is buses ``n<i>`` and ``m<i>`` joined by line ``l<i>``, a load at ``m<i>``."""
    buses = tuple(f"{kind}{i}" for i in range(size) for kind in "nm")
    lines, count = tuple(f"l{i}" for i in range(size)), size + len(switches)
    self_ohm = 0.05 * np.eye(3) + 0.01
    return Feeder(
        name="tiny",
        path="tiny.dss",
        buses=Buses(
            ids=buses,
            base_kv=np.full(2 * size, 2.4),
            phases=np.ones((2 * size, 3), bool),
            xy=np.full((2 * size, 2), np.nan),
        ),
        lines=Lines(
            ids=lines + tuple(f"s{k}" for k in range(len(switches))),
            from_bus=np.array([2 * i for i in range(size)] + [2 * i for i, _ in switches]),
            to_bus=np.array([2 * i + 1 for i in range(size)] + [2 * j for _, j in switches]),
            phases=np.ones((count, 3), bool),
            r_ohm=np.tile(self_ohm, (count, 1, 1)),
            x_ohm=np.tile(2.0 * self_ohm, (count, 1, 1)),
            b_siemens=np.zeros((count, 3, 3)),
            rating_a=np.full(count, 100.0),
            switchable=np.arange(count) >= size,
            closed=np.arange(count) < size,
        ),
        transformers=_no_transformers(),
        loads=Loads(
            ids=tuple(f"d{i}" for i in range(size)),
            bus=np.arange(size) * 2 + 1,
            connection=(Connection.WYE,) * size,
            model=(LoadModel.CONSTANT_POWER,) * size,
            slots=np.ones((size, 3), bool),
            p_kw=np.full((size, 3), load_kw),
            q_kvar=np.full((size, 3), load_kw / 2),
        ),
        capacitors=Capacitors(ids=(), bus=np.zeros(0), connection=(), q_kvar=np.zeros((0, 3))),
        sources=Sources(ids=(), bus=np.zeros(0), v_pu=np.zeros(0)),
    )


def _no_transformers() -> Transformers:
    none = np.zeros(0)
    return Transformers(
        ids=(),
        from_bus=none,
        to_bus=none,
        windings=np.zeros((0, 3)),
        from_connection=(),
        to_connection=(),
        from_kv=none,
        to_kv=none,
        ratio=none,
        r_pu=none,
        x_pu=none,
        rating_kva=none,
        regulating=none,
    )


def _scenario(
    size: int = 3,
    switches: Sequence[tuple[int, int]] = ((0, 1), (1, 2)),
    ders: Sequence[int] | None = None,
    *,
    load_kw: float = 10.0,
    der_kw: float = 40.0,
    spread: float = 0.25,
    steps: int = 1,
    locked: Sequence[int] = (),
    can_form: Sequence[bool] | None = None,
    limits: Limits | None = None,
) -> Scenario:
    feeder = _feeder(size, switches, load_kw)
    ders = sorted({0, size - 1}) if ders is None else ders
    count, kw = len(ders), np.full((len(ders), 3), der_kw)
    return Scenario(
        name="tiny",
        feeder=feeder,
        ders=Ders(
            ids=tuple(f"g{k}" for k in range(count)),
            bus=np.array([2 * block for block in ders], np.int64),
            phases=np.ones((count, 3), bool),
            p_min_kw=np.zeros((count, 3)),
            p_max_kw=kw,
            q_min_kvar=-0.5 * kw,
            q_max_kvar=0.5 * kw,
            s_max_kva=np.full((count, 3), np.inf),
            ramp_kw=0.3 * kw,
            ramp_kvar=0.3 * kw,
            cost_usd_per_kw=np.full(count, 0.01),
            redispatch_cost_usd_per_kw=np.full(count, 0.02),
            can_form=np.ones(count, bool) if can_form is None else np.array(can_form, bool),
        ),
        hours=np.arange(float(steps)),
        load_p_kw=np.tile(feeder.loads.p_kw, (steps, 1, 1)),
        load_q_kvar=np.tile(feeder.loads.q_kvar, (steps, 1, 1)),
        load_model=feeder.loads.model,
        uncertainty=Box(load_ids=feeder.loads.ids, spread=np.full(size, spread)),
        limits=limits or Limits(),
        locked=np.isin(np.arange(len(switches)), locked),
        shed_usd=np.full(size, 10.0),
    )


def _plan(
    scenario: Scenario,
    closed: Sequence[bool] | None = None,
    energized: Sequence[bool] | None = None,
    forming: Sequence[bool] | None = None,
    *,
    p_kw: float = 10.0,
    q_kvar: float = 5.0,
    v_pu: float = 1.0,
) -> Plan:
    """One state held at every step; by default all closed, all live, the first DER forming."""
    feeder, steps, count = scenario.feeder, len(scenario.hours), len(scenario.ders.ids)
    shut = np.ones(len(feeder.switches), bool) if closed is None else np.array(closed, bool)
    live = np.ones(len(feeder.blocks.ids), bool) if energized is None else np.array(energized)
    forms = np.arange(count) == 0 if forming is None else np.array(forming, bool)
    on = live[feeder.blocks.of_bus[scenario.ders.bus]][:, None] & scenario.ders.phases
    made = Plan(
        family="external",
        scenario_digest=scenario.digest(),
        switch_ids=feeder.switch_ids,
        block_ids=feeder.blocks.ids,
        der_ids=scenario.ders.ids,
        closed=np.tile(shut, (steps, 1)),
        energized=np.tile(live, (steps, 1)),
        grid_forming=np.tile(forms, (steps, 1)),
        source_v_pu=np.tile(np.where(forms, v_pu, np.nan), (steps, 1)),
        p_kw=np.tile(np.where(on, p_kw, 0.0), (steps, 1, 1)),
        q_kvar=np.tile(np.where(on, q_kvar, 0.0), (steps, 1, 1)),
        costs={},
        proof=Proof(termination=Termination.EXTERNAL, incumbent=float("inf"), bound=float("-inf")),
    )
    return replace(made, costs=counted_costs(made, scenario))  # as a reader counts them


@pytest.fixture(scope="session")
def tiny_scenario() -> Callable[..., Scenario]:
    """Factory of scenarios with one two-bus block per node of a given switch graph."""
    return _scenario


@pytest.fixture(scope="session")
def tiny_plan() -> Callable[..., Plan]:
    """Factory of hand-made plans for a tiny scenario."""
    return _plan


def _solve_feeder(
    feeder: Feeder,
    *,
    held: Mapping[str, float] | None = None,
    load_model: Sequence[LoadModel] | None = None,
) -> FlowSolution:
    """Solve a feeder as its file has it, at nominal load.

    ``held`` names each balanced source's bus and magnitude (pu), held at the bus; the feeder's own,
    behind their impedances, if not given. Switches are in the file's state.
    """
    behind: dict[int, tuple[FloatArray, FloatArray]] = {}
    if held is None:
        at = feeder.sources.bus.tolist()
        magnitudes = dict(zip(at, feeder.sources.v_pu.tolist(), strict=True))
        impedances = zip(feeder.sources.r_ohm, feeder.sources.x_ohm, strict=True)
        behind = dict(zip(at, impedances, strict=True))
    else:
        magnitudes = {feeder.buses.ids.index(bus): v for bus, v in held.items()}
    seeds = np.zeros((len(feeder.buses.ids), 3), bool)
    seeds[list(magnitudes)] = True
    live = live_phases(feeder, feeder.lines.closed, seeds)
    places = [(bus, phase) for bus in magnitudes for phase in range(3)]
    flow = LinearFlow(
        feeder,
        feeder.lines.closed,
        live,
        places,
        feeder.loads.model if load_model is None else load_model,
        behind=behind,
    )
    return flow.solve(
        feeder.loads.p_kw,
        feeder.loads.q_kvar,
        np.zeros((2, *seeds.shape)),
        np.array([magnitudes[bus] for bus, _ in places]),
    )


@pytest.fixture(scope="session")
def solve_feeder() -> Callable[..., FlowSolution]:
    return _solve_feeder
