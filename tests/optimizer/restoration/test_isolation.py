"""When isolation may be reasoned out: normal operation at its limits, against closed forms."""

import numpy as np
import pytest
from gridproof.optimizer.restoration.isolation import isolate
from gridproof.scenarios.balanced import BalancedRows, balanced_feeder
from gridproof.scenarios.devices import Device, LineDevices
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_scenario import restoration_scenario

KV, P_KW, Q_KVAR = 20.0, np.array([0.0, 300.0, 500.0]), np.array([0.0, 100.0, 240.0])
R_OHM, X_OHM, SOURCE_PU = np.array([8.0, 6.0]), np.array([4.0, 10.0]), 1.02
CARRIED_MVA = np.array([np.hypot(0.8, 0.34), np.hypot(0.5, 0.24)])  # line by line
DROP = 2.0 * ((R_OHM * [0.8, 0.5]) + X_OHM * [0.34, 0.24]) / KV**2
V_PU = np.sqrt(SOURCE_PU**2 - np.cumsum(DROP))


def case(turned=False, limits=None, **changes):
    """Substation, breaker, a, remote switch, b; the second line failed."""
    rows = {
        "name": "two", "base_kv": KV, "bus_ids": ("s", "a", "b"), "line_ids": ("sa", "ab"),
        "x_km": np.arange(3.0), "y_km": np.zeros(3), "p_kw": P_KW, "q_kvar": Q_KVAR,
        "source_v_pu": np.array([SOURCE_PU, np.nan, np.nan]),
        "ends": np.array([[1, 0], [2, 1]] if turned else [[0, 1], [1, 2]]),
        "r_ohm": R_OHM, "x_ohm": X_OHM, "rating_a": np.full(2, 500.0), "closed": np.ones(2, bool),
    }  # fmt: skip
    feeder = balanced_feeder(BalancedRows(**{**rows, **changes}))
    kinds = (Device.BREAKER, Device.REMOTE)
    devices = LineDevices(
        line_ids=feeder.lines.ids,
        underground=np.zeros(2, bool),
        device=tuple((k, k) for k in kinds),
    )
    limits = limits or Limits(v_min_pu=0.9, v_max_pu=1.1)
    return Outage.of(restoration_scenario("two", feeder, devices, ["ab"], limits=limits))


@pytest.mark.parametrize("turned", [False, True])
@pytest.mark.parametrize("line", [0, 1])
def test_every_line_carries_what_lies_behind_it(turned, line):
    """Within the inner polygon of 16 sides, as the program has it."""
    for factor, certain in ((0.999, False), (1.001, True)):
        rating = np.full(2, 500.0)
        rating[line] = factor * CARRIED_MVA[line] / np.cos(np.pi / 16) * 1e3 / KV / np.sqrt(3.0)
        assert isolate(case(turned, rating_a=rating)).certain == certain


@pytest.mark.parametrize("turned", [False, True])
def test_voltage_falls_along_the_way_to_the_last_bus(turned):
    assert V_PU[1] < V_PU[0] < SOURCE_PU
    for v_min, certain in ((V_PU[1] - 1e-6, True), (V_PU[1] + 1e-6, False)):
        assert isolate(case(turned, Limits(v_min_pu=v_min, v_max_pu=1.1))).certain == certain


def test_the_breaker_answers_and_the_remote_switch_parts_what_need_not_be_lost():
    found = isolate(case())
    assert found.closed.tolist() == [[True, True], [False, True], [False, True]]
    assert found.energized.tolist() == [[True] * 3, [True, False, False], [True, False, False]]
    assert found.available.tolist() == [[True] * 3, [True, False, False], [True, False, False]]
