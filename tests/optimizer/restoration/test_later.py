"""Responses after the first remote one: each from what the former left, the best there is."""

from __future__ import annotations

import numpy as np
import pytest
from gridproof.optimizer.restoration.options import RestorationOptions
from gridproof.optimizer.restoration.planner import RestorationPlanner
from gridproof.scenarios.devices import Device
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_audit import audit_restoration
from gridproof.scenarios.restoration_later import ALL, LaterResponse, after
from small_cases import best_last, planned, small_case, worth_of

CREWS, ONE, REST = LaterResponse(crews=True), LaterResponse(mended=1), LaterResponse(mended=ALL)
SEARCH = RestorationPlanner(options=RestorationOptions(gap=0.0))


def _chain(case: Outage, *responses: LaterResponse):
    """Each response: the case as it then stands, its states, and those of the one before."""
    former = planned(case).states
    for count in range(1, len(responses) + 1):
        now = after(case.scenario, responses[:count])
        _, states = SEARCH.later(now, former)
        yield now, states, former
        former = states


def _cost_of_last(case: Outage, states) -> float:
    of_load, of_bus = worth_of(case)
    unserved = case.bus_demand()[0] / 1e3 - states.served_kw[3] / 1e3
    moved = (states.closed[3] != states.closed[2]).sum()
    lost = of_bus[~states.available[3]].sum()
    return float(unserved @ of_load + lost + case.prices.switching * moved)


def test_each_response_is_what_trying_every_state_from_the_former_finds() -> None:
    tried = 0
    for seed in range(100, 130):
        case = small_case(seed, buses=6, ties=2)
        for now, states, former in _chain(case, CREWS, ONE, REST):
            if now.operable_end.sum() > 8:
                continue
            tried += 1
            np.testing.assert_array_equal(states.end_closed[1], former.end_closed[3])
            wanted = best_last(now, states.end_closed[2])
            assert _cost_of_last(now, states) == pytest.approx(wanted, abs=1e-5)
    assert tried >= 8


def test_no_response_loses_what_the_former_had_and_graphs_have_no_fault() -> None:
    gained = {CREWS: 0, ONE: 0, REST: 0}
    for seed in range(20):
        case = small_case(seed, generators=seed % 2)
        chain = (CREWS, ONE, REST)
        for asked, (now, states, former) in zip(chain, _chain(case, *chain), strict=True):
            faults = audit_restoration(now, states)
            assert not [fault for fault in faults if fault.startswith("t = 3")]
            assert states.available[3][former.available[3]].all()
            more = states.served_kw[3].sum() - former.served_kw[3].sum()
            # a switching may cost a little load, never more than its own price
            worth = (states.served_kw[3] - former.served_kw[3]) / 1e3 @ worth_of(now)[0]
            assert worth >= -1e-6
            gained[asked] += more > 1.0
        assert states.available[3].all()
    assert all(gained.values()), gained


def test_crews_reach_manual_switches_and_protection_and_mended_lines_fail_no_more() -> None:
    case = small_case(3)
    now = after(case.scenario, (CREWS,))
    assert not now.devices.is_any(Device.MANUAL).any()
    assert now.devices.protection_remote
    np.testing.assert_array_equal(
        now.operable_end, case.devices.is_any(*(kind for kind in Device if kind != Device.NONE))
    )
    np.testing.assert_array_equal(now.failed, case.failed)
    np.testing.assert_array_equal(after(case.scenario, (CREWS, ONE)).failed, case.failed[1:])
    assert not len(after(case.scenario, (ONE, REST)).failed)
    assert not after(case.scenario, (ONE,)).operable_end.sum() > case.operable_end.sum()
