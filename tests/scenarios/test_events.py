"""What happens when, how lines are switched and what a loss is worth: facts of any scenario."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from gridproof.scenarios.devices import Device, LineDevices
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.events import EventKind, Events
from gridproof.scenarios.prices import BusPrices, Prices, Unit
from gridproof.scenarios.provenance import facts_of


def two() -> Events:
    return Events(
        kind=(EventKind.LINE_FAILS, EventKind.DER_TRIPS),
        element=[1, 0],
        start_h=[0.0, 2.0],
        end_h=[np.inf, 3.0],
        probability=[1.0, 0.2],
    )


def by_hand(scenario) -> LineDevices:
    lines = scenario.feeder.lines.ids
    pairs = ((Device.MANUAL, Device.MANUAL),) * len(lines)
    return LineDevices(line_ids=lines, underground=np.zeros(len(lines), bool), device=pairs)


def test_an_event_lasts_from_its_start_until_its_end():
    events = two()
    assert [events.lasts(hour).tolist() for hour in (0.0, 2.0, 2.5, 3.0)] == [
        [True, False], [True, True], [True, True], [True, False]
    ]  # fmt: skip
    assert events.of(EventKind.DER_TRIPS).tolist() == [1]
    assert not events.empty
    assert Events().empty


def test_tables_that_are_not_given_change_no_digest_and_those_that_are_do(tiny_scenario):
    scenario = tiny_scenario()
    silent = replace(
        scenario, events=Events(), devices=None, prices=Prices(), step_labels=("noon",)
    )
    assert silent.digest() == scenario.digest()
    assert facts_of(silent) == facts_of(scenario)
    assert silent.step_names == ("noon",)
    others = [
        replace(scenario, events=two()),
        replace(scenario, events=replace(two(), probability=[1.0, 0.3])),
        replace(scenario, devices=by_hand(scenario)),
        replace(scenario, devices=replace(by_hand(scenario), protection_remote=False)),
        replace(scenario, prices=Prices(unit=Unit.POINTS)),
        replace(scenario, prices=Prices(lost_bus=1.0)),
    ]
    assert len({one.digest() for one in [scenario, *others]}) == len(others) + 1
    assert len({tuple(facts_of(one).items()) for one in [scenario, *others]}) == len(others) + 1


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"events": replace(two(), element=[99, 0])}, "event 0 (line fails): its element is at"),
        ({"events": replace(two(), element=[1, -1])}, "event 1 (DER trips): its element is at"),
        ({"events": replace(two(), end_h=[0.0, 3.0])}, "lasts from 0 h to 0 h; it must last"),
        ({"events": replace(two(), start_h=[np.nan, 2.0])}, "it lasts from nan h"),
        ({"events": replace(two(), probability=[1.0, 0.0])}, "probability = 0 must lie in (0, 1]"),
        ({"prices": Prices(lost_bus=-1.0)}, "lost_bus = -1 must be at least 0 and finite"),
        ({"prices": Prices(switching=np.inf)}, "switching = inf must be"),
        (
            {"bus_prices": BusPrices(unserved_per_mw=[1.0], lost_bus=[1.0])},
            "unserved_per_mw is given for 1 buses; the feeder has",
        ),
        ({"step_labels": ("a", "b")}, "2 labels are given for 1 steps"),
    ],
)
def test_a_table_that_contradicts_the_scenario_is_refused(changes, expected, tiny_scenario):
    with pytest.raises(ScenarioError) as caught:
        replace(tiny_scenario(), **changes)
    assert expected in str(caught.value)


def test_devices_are_given_for_every_line(tiny_scenario):
    scenario = tiny_scenario()
    fewer = LineDevices(line_ids=(), underground=np.zeros(0, bool), device=())
    with pytest.raises(ScenarioError, match="devices are given for 0 lines"):
        replace(scenario, devices=fewer)
