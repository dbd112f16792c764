"""A small microgrid of our own, and its disturbances."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from gridproof.optimizer.policy_mode.ambiguity import Log
from gridproof.optimizer.policy_mode.microgrid import Disturbance, Microgrid, Prices
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.resources import Fleet, Renewables, Storages

STEPS = 4


def _ders(bus: list[int]) -> Ders:
    """Two machines, a sun, a storage: kW of all phases 300, 150, 200, ±80."""
    high = np.array([300.0, 150.0, 200.0, 80.0])[:, None] / 3.0 * np.ones(3)
    low = np.array([45.0, 20.0, 0.0, -80.0])[:, None] / 3.0 * np.ones(3)
    kva = np.array([375.0, 190.0, 220.0, 100.0])[:, None] / 3.0 * np.ones(3)
    return Ders(
        ids=("former", "machine", "sun", "cell"),
        bus=np.array(bus),
        phases=np.ones((4, 3), bool),
        p_min_kw=low,
        p_max_kw=high,
        q_min_kvar=-kva,
        q_max_kvar=kva,
        s_max_kva=kva,
        ramp_kw=np.zeros((4, 3)),
        ramp_kvar=np.zeros((4, 3)),
        cost_usd_per_kw=np.array([0.27, 0.30, 0.0, 0.04]),
        redispatch_cost_usd_per_kw=np.zeros(4),
        can_form=np.array([True, True, False, False]),
    )


def _grid(load_kw: np.ndarray, bus: list[int] | None = None, **given: float) -> Microgrid:
    loads = load_kw.shape[1]
    fleet = Fleet(
        storages=Storages(
            ids=("cell",), der=np.array([3]),
            energy_max_kwh=np.array([180.0]), energy_min_kwh=np.array([40.0]),
            start_kwh=np.array([120.0]), charge_efficiency=np.array([0.95]),
            discharge_efficiency=np.array([0.9]), end_min_kwh=np.array([110.0]),
        ),
        renewables=Renewables(
            ids=("sun",), der=np.array([2]),
            available_kw=np.array([[0.0], [60.0], [180.0], [20.0]]), spread=np.zeros(1),
        ),
    )  # fmt: skip
    interrupt = np.full(loads, np.inf)
    interrupt[0] = 0.4
    return Microgrid(
        ders=_ders(bus or [0, 0, 0, 0]),
        fleet=fleet,
        forming=0,
        duration_h=np.array([1.0, 1.0, 0.5, 1.0]),
        load_ids=tuple(f"d{k}" for k in range(loads)),
        load_kw=load_kw,
        prices=Prices(
            reserve_up_usd_per_kw=np.array([0.04, 0.05, np.inf, 0.03]),
            reserve_down_usd_per_kw=np.array([0.02, 0.02, 0.01, 0.03]),
            spill_usd_per_kwh=np.array([0.05]),
            shed_usd_per_kwh=np.full(loads, 3.0),
            shed_most=np.ones(loads),
            interrupt_usd_per_kw=interrupt,
        ),
        headroom_kw=10.0,
        **given,
    )


def _disturbance(loads: int, m: int = 3) -> Disturbance:
    """A trip of the second machine, a loss of sun, an error of the first load; then copies."""
    one = np.ones(STEPS)
    shapes = [one, np.array([0.0, 0.3, 0.9, 0.1]), np.array([0.7, 0.8, 1.0, 0.9])]
    of_der, of_load = np.zeros((m, 4)), np.zeros((m, loads))
    for j in range(m):
        if j % 3 < 2:
            of_der[j, 1 + j % 3] = 1.0
        else:
            of_load[j, (j // 3) % loads] = 1.0
    return Disturbance(
        ids=tuple(f"e{j}@here" for j in range(m)),
        shape=np.stack([shapes[j % 3] * 0.9 ** (j // 3) for j in range(m)], axis=1),
        of_der=of_der,
        of_load=of_load,
    )


def _log(m: int = 3, n: int = 25, seed: int = 0, share: float = 1.0) -> Log:
    rng = np.random.default_rng(seed)
    upper = share * np.array([60.0, 50.0, 30.0])[np.arange(m) % 3]
    lower = np.where(np.arange(m) % 3 == 2, -upper, 0.0)
    happens = (rng.random((n, m)) < 0.3) | (lower < 0.0)
    samples = np.where(happens, lower + rng.beta(4.0, 4.0, (n, m)) * (upper - lower), 0.0)
    ids = tuple(f"e{j}@here" for j in range(m))
    return Log(ids=ids, samples=samples, lower=lower, upper=upper)


@pytest.fixture(scope="session")
def microgrid() -> Callable[..., Microgrid]:
    return _grid


@pytest.fixture(scope="session")
def disturbances() -> Callable[..., Disturbance]:
    return _disturbance


@pytest.fixture(scope="session")
def training_log() -> Callable[..., Log]:
    return _log


@pytest.fixture(scope="session")
def demand() -> np.ndarray:
    return np.array([[120.0, 60.0], [150.0, 80.0], [170.0, 90.0], [160.0, 70.0]])
