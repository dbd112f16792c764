"""Optima of small outages are what trying every state finds, whatever a study's own keys weigh."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from gridproof.scenarios.prices import BusPrices
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_audit import audit_restoration
from small_cases import brute_force, critical, idle, open_striking, planned, small_case


@pytest.mark.parametrize(
    "seed", [*range(100, 115), *(pytest.param(k, marks=pytest.mark.slow) for k in range(115, 130))]
)
def test_the_optimum_is_what_trying_every_state_finds(seed: int) -> None:
    case = small_case(seed, buses=6, ties=2)
    if case.operable_end.sum() > 13:
        pytest.skip("too many states to try")
    assert planned(case).proof.incumbent == pytest.approx(brute_force(case), abs=1e-5)


@pytest.mark.parametrize(
    "seed", [*range(100, 115), *(pytest.param(k, marks=pytest.mark.slow) for k in range(115, 130))]
)
def test_critical_buses_are_served_as_trying_every_state_finds(seed: int) -> None:
    case = critical(small_case(seed, buses=6, ties=2), seed)
    assert case.operable_end.sum() <= 13  # of each of the 30, as the page says
    plan = planned(case)
    assert plan.proof.incumbent == pytest.approx(brute_force(case), abs=1e-5)
    assert plan.costs["total"] == pytest.approx(plan.proof.incumbent, abs=1e-5)


def test_ders_at_buses_carry_the_islands_that_trying_every_state_finds() -> None:
    ders_at_buses(8, tried_at_least=3, carried_at_least=1)


@pytest.mark.slow
def test_ders_at_more_buses_carry_the_islands_that_trying_every_state_finds() -> None:
    ders_at_buses(10, tried_at_least=10, carried_at_least=3)


def ders_at_buses(most_free: int, *, tried_at_least: int, carried_at_least: int) -> None:
    tried = carried = 0
    for seed in range(100, 130):
        case = critical(small_case(seed, buses=6, ties=2, generators=2), seed)
        if case.operable_end.sum() > most_free:
            continue
        plan = planned(case)
        tried += 1
        assert plan.proof.incumbent == pytest.approx(brute_force(case), abs=1e-5)
        carried += plan.forming[3].any()
    assert tried >= tried_at_least
    assert carried >= carried_at_least


def test_lines_that_failed_while_open_strike_as_trying_every_state_finds() -> None:
    wider = tried = 0
    for seed in range(100, 130):
        case = small_case(seed, buses=6, ties=2)
        struck = open_striking(case)
        still = [k for k in case.failed if idle(case, k)]
        if case.operable_end.sum() > 13 or not still:
            continue
        plan = planned(struck)
        whole = planned(struck, extent="all_phases")
        tried += 1
        assert plan.proof.incumbent == pytest.approx(brute_force(struck), abs=1e-5)
        assert plan.proof.incumbent == pytest.approx(whole.proof.incumbent, abs=1e-5)
        assert audit_restoration(struck, plan.states) == ()
        ends = np.setdiff1d(case.ends[still], case.feeder.sources.bus)
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
