"""The nouns of restoration: what is refused, what is reported, and what the audit sees."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

import numpy as np
import pytest
from gridproof.scenarios.balanced import BalancedRows, balanced_feeder
from gridproof.scenarios.devices import Device, LineDevices
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_audit import audit_restoration
from gridproof.scenarios.restoration_faults import isolated_buses
from gridproof.scenarios.restoration_scenario import restoration_scenario, with_failures
from gridproof.scenarios.restoration_states import PhaseStates

#   s ──breaker── a ──manual── b ──remote── c ──remote tie (open)── s2 ──breaker── d
ENDS = [[0, 1], [1, 2], [2, 3], [3, 4], [4, 5]]
KINDS = [Device.BREAKER, Device.MANUAL, Device.REMOTE, Device.REMOTE, Device.BREAKER]


def case(**changes: object) -> Outage:
    rows: dict[str, object] = {
        "name": "six",
        "base_kv": 20.0,
        "bus_ids": ("s", "a", "b", "c", "s2", "d"),
        "line_ids": ("sa", "ab", "bc", "cs", "sd"),
        "x_km": np.arange(6.0),
        "y_km": np.zeros(6),
        "p_kw": np.array([0.0, 100.0, 100.0, 100.0, 0.0, 100.0]),
        "q_kvar": np.array([0.0, 30.0, 30.0, 30.0, 0.0, 30.0]),
        "source_v_pu": np.array([1.02, np.nan, np.nan, np.nan, 1.02, np.nan]),
        "ends": np.array(ENDS),
        "r_ohm": np.full(5, 0.3),
        "x_ohm": np.full(5, 0.3),
        "rating_a": np.full(5, 100.0),
        "closed": np.array([1, 1, 1, 0, 1]),
    }
    kinds, failed = changes.pop("kinds", KINDS), changes.pop("failed", ["sa"])
    underground = changes.pop("underground", np.zeros(5, bool))
    feeder = balanced_feeder(BalancedRows(**{**rows, **changes}))  # type: ignore[arg-type]
    return Outage.of(
        restoration_scenario(
            "six",
            feeder,
            LineDevices(
                line_ids=feeder.lines.ids,
                underground=underground,  # type: ignore[arg-type]
                device=tuple(k if isinstance(k, tuple) else (k, k) for k in kinds),  # type: ignore[attr-defined]
            ),
            failed,  # type: ignore[arg-type]
        )
    )


def good_plan() -> PhaseStates:
    """Line s-a failed: a, b are lost (manual between them), c is fed from s2."""
    closed = np.array([[1, 1, 1, 0, 1], [0, 1, 1, 0, 1], [0, 1, 0, 0, 1], [0, 1, 0, 1, 1]], bool)
    lost = [(), (1, 2, 3), (1, 2), (1, 2)]
    dead = [(), (1, 2, 3), (1, 2, 3), (1, 2)]
    available = np.array([[i not in gone for i in range(6)] for gone in lost])
    energized = np.array([[i not in gone for i in range(6)] for gone in dead])
    return PhaseStates(
        closed=closed,
        end_closed=np.repeat(closed[:, :, None], 2, axis=2),
        available=available,
        energized=energized,
        forming=np.zeros((4, 0), bool),
        served_kw=energized * case().bus_demand()[0],
    )


def changed(field: str, at: tuple[int, ...], value: object) -> PhaseStates:
    plan = good_plan()
    array = getattr(plan, field).copy()
    array[at] = value
    pieces: dict[str, np.ndarray] = {field: array}
    if field == "closed":
        pieces["end_closed"] = np.repeat(array[:, :, None], 2, axis=2)
    return dataclasses.replace(plan, **pieces)  # type: ignore[arg-type]


def test_a_right_plan_has_no_fault_and_its_shares_add_up() -> None:
    assert audit_restoration(case(), good_plan()) == ()
    assert good_plan().supplied_share(case()).tolist() == [1.0, 0.25, 0.25, 0.5]


@pytest.mark.parametrize(
    ("plan", "expected"),
    [
        (lambda: changed("closed", (2, 1), False), "t = 2: manual switch of line ab opens"),
        (lambda: changed("closed", (2, 3), True), "t = 2: remote switch of line cs closes"),
        (lambda: changed("closed", (1, 2), False), "t = 1: remote switch of line bc opens"),
        (
            lambda: changed("closed", (1, 4), False),
            "line sd is opened by its protection, which met",
        ),
        (lambda: changed("closed", (1, 0), True), "joins a damaged and a safe zone"),
        (lambda: changed("closed", (3, 2), True), "bus c is damaged but called available"),
        (lambda: changed("available", (3, 3), False), "bus c is called damaged; no failure"),
        (lambda: changed("energized", (3, 3), False), "bus c is called dead"),
        (lambda: changed("energized", (2, 3), True), "bus c is called supplied"),
        (lambda: changed("served_kw", (1, 1), 5.0), "dead bus a is served"),
        (lambda: changed("served_kw", (1, 5), 500.0), "bus d is served 500.000 of 100.000 kW"),
        (lambda: changed("end_closed", (3, 4), False), "its ends are [False, False]"),
    ],
)
def test_the_audit_sees(plan: Callable[[], PhaseStates], expected: str) -> None:
    assert expected in "\n".join(audit_restoration(case(), plan()))


def test_the_audit_sees_two_sources_and_a_loop() -> None:
    ringed = case(
        ends=np.array([*ENDS[:4], [3, 5]]), closed=np.array([1, 1, 1, 0, 0]), failed=[],
        kinds=[*KINDS[:4], Device.REMOTE],
    )  # fmt: skip
    closed = np.array([[1, 1, 1, 0, 0]] * 3 + [[1, 1, 1, 1, 0]], bool)
    live = np.array([[1, 1, 1, 1, 1, 0]] * 4, bool)
    plan = dataclasses.replace(
        good_plan(), closed=closed, end_closed=np.repeat(closed[:, :, None], 2, axis=2),
        available=np.ones((4, 6), bool), energized=live, served_kw=np.zeros((4, 6)),
    )  # fmt: skip
    assert audit_restoration(ringed, plan) == (
        "t = 3: the island of bus s has 2 sources; 1 is allowed",
    )
    pair = case(ends=np.array([*ENDS[:3], [3, 1], ENDS[4]]), failed=[])
    looped = dataclasses.replace(
        plan, closed=(closed := np.array([[1, 1, 1, 0, 1]] * 3 + [[1, 1, 1, 1, 1]], bool)),
        end_closed=np.repeat(closed[:, :, None], 2, axis=2), energized=np.ones((4, 6), bool),
    )  # fmt: skip
    assert audit_restoration(pair, looped) == (
        "t = 3: the island of bus s holds a loop of closed lines",
    )


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"failed": ["ab", "ab"]}, "line ab fails 2 times"),
        ({"source_v_pu": np.full(6, np.nan)}, "has no substation"),
        ({"kinds": [*KINDS[:3], Device.NONE, KINDS[4]]}, "line cs is open but has no switch"),
        ({"kinds": [(Device.MANUAL, Device.NONE), *KINDS[1:]]}, "overhead line sa has devices"),
        ({"rating_a": np.array([0.0, 1, 1, 1, 1])}, "line sa has no positive rating"),
        ({"closed": np.ones(5)}, "two substations are connected before the event"),
        ({"p_kw": np.array([0, -1.0, 1, 1, 0, 1])}, "a load is negative"),
        ({"source_v_pu": np.array([1.2, *[np.nan] * 3, 1.0, np.nan])}, "outside the band"),
    ],
)
def test_a_contradiction_is_refused(changes: dict[str, object], expected: str) -> None:
    with pytest.raises(ScenarioError) as caught:
        case(**changes)
    assert expected in str(caught.value)


def test_all_faults_come_at_once_and_an_unknown_failure_is_named() -> None:
    with pytest.raises(ScenarioError) as caught:
        case(failed=["ab", "ab"], rating_a=np.zeros(5), source_v_pu=np.full(6, 1.2))
    assert len(caught.value.faults) == 4
    with pytest.raises(ScenarioError, match="line 'zz' is not in the feeder"):
        with_failures(case().scenario, ["ab", "zz"])


def test_an_isolated_bus_is_reported_not_refused() -> None:
    alone = case(closed=np.array([1, 1, 0, 0, 1]), failed=[])
    assert isolated_buses(alone.feeder) == ("c",)


def test_a_manual_end_that_stands_open_keeps_a_cable_open() -> None:
    cable = np.array([False, False, False, True, False])
    mixed = case(underground=cable, kinds=[*KINDS[:3], (Device.REMOTE, Device.MANUAL), KINDS[4]])
    assert mixed.operable.tolist() == [True, False, True, False, True]
    devices = dataclasses.replace(case().devices, protection_remote=False)
    kept = Outage.of(dataclasses.replace(case().scenario, devices=devices))
    assert kept.operable.tolist() == [False, False, True, True, False]
    assert devices.moving.tolist() == [True, False, True, True, True]
