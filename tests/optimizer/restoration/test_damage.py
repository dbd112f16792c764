"""What may move after a failure, on a network whose one way back is known by hand."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest
from gridproof.optimizer.restoration.options import RestorationOptions
from gridproof.optimizer.restoration.planner import RestorationPlanner
from gridproof.scenarios.audit import audit
from gridproof.scenarios.balanced import BalancedRows, balanced_feeder
from gridproof.scenarios.devices import Device, LineDevices
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_live import live_failures
from gridproof.scenarios.restoration_scenario import restoration_scenario


def chain(*failed: str) -> Outage:
    """Substation s, then a, b, c in a row; an open tie leads from s to c."""
    feeder = balanced_feeder(
        BalancedRows(
            name="chain",
            base_kv=20.0,
            bus_ids=("s", "a", "b", "c"),
            line_ids=("sa", "ab", "bc", "tie"),
            x_km=np.arange(4.0),
            y_km=np.zeros(4),
            p_kw=np.array([0.0, 300.0, 200.0, 400.0]),
            q_kvar=np.array([0.0, 100.0, 50.0, 100.0]),
            source_v_pu=np.array([1.02, np.nan, np.nan, np.nan]),
            ends=np.array([[0, 1], [1, 2], [2, 3], [0, 3]]),
            r_ohm=np.ones(4),
            x_ohm=np.ones(4),
            rating_a=np.full(4, 500.0),
            closed=np.array([True, True, True, False]),
        )
    )
    kinds = (Device.BREAKER, Device.NONE, Device.REMOTE, Device.REMOTE)
    devices = LineDevices(
        line_ids=feeder.lines.ids,
        underground=np.zeros(4, bool),
        device=tuple((kind, kind) for kind in kinds),
    )
    return Outage.of(restoration_scenario("chain", feeder, devices, list(failed)))


@pytest.mark.parametrize("extent", ["all_phases", "reconfiguration"])
@pytest.mark.parametrize("tie_fails", [False, True])
def test_an_overhead_tie_that_failed_while_open_restores_nothing(extent, tie_fails):
    case = chain("ab", *(["tie"] if tie_fails else []))
    states, _ = RestorationPlanner(options=RestorationOptions(extent=extent)).decide(case)
    tie, c = 3, 3
    assert states.available[3].tolist() == [True, False, False, True]  # c is sound either way
    assert states.closed[:, tie].tolist() == [False, False, False, not tie_fails]
    assert states.energized[3, c] == (not tie_fails)


@pytest.mark.parametrize("extent", ["all_phases", "reconfiguration"])
def test_an_overhead_tie_that_failed_while_open_may_take_its_ends_down(extent):
    case = chain("tie")
    devices = dataclasses.replace(case.devices, open_strikes=True)
    struck = Outage.of(dataclasses.replace(case.scenario, devices=devices))
    planner = RestorationPlanner(options=RestorationOptions(extent=extent))
    assert planner.decide(case)[0].available.all()
    states, _ = planner.decide(struck)
    assert not states.available[1:, 3].any()  # c, an end of the tie
    plan = planner.plan(struck.scenario)
    assert audit(plan, struck.scenario) == ()
    assert [live_failures(plan, struck.scenario, t).any() for t in range(4)] == [False] * 4
    kept = dataclasses.replace(plan, closed=plan.closed[[0, 0, 0, 0]])
    kept = dataclasses.replace(kept, energized=plan.energized[[0, 0, 0, 0]])
    assert live_failures(kept, struck.scenario, 2).tolist() == [True]
    assert live_failures(kept, case.scenario, 2).tolist() == [False]
