"""A family refuses, by name, an event that it would plan past."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.event_faults import event_faults
from gridproof.scenarios.events import EventKind, Events

KINDS = [kind for kind in EventKind if kind is not EventKind.SUBSTATION_LOST]  # the toy has none


def with_event(scenario, kind):
    events = Events(kind=(kind,), element=[0], start_h=[0.0], end_h=[np.inf], probability=[1.0])
    return replace(scenario, events=events)


def name_of(scenario, kind):
    feeder = scenario.feeder
    return {
        EventKind.LINE_FAILS: feeder.lines.ids,
        EventKind.SUBSTATION_LOST: feeder.sources.ids,
        EventKind.DER_TRIPS: scenario.ders.ids,
        EventKind.LOAD_MASKED: feeder.loads.ids,
    }[kind][0]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("family", ["partitioning", "policy_mode"])
def test_a_family_that_acts_on_no_event_refuses_each_kind(tiny_scenario, family, kind):
    scenario = with_event(tiny_scenario(), kind)
    with pytest.raises(ScenarioError) as told:
        make_planner(family, {}).plan(scenario)
    (fault,) = str(told.value).splitlines()
    for part in (name_of(scenario, kind), f'"{kind}"', f"the {family} family", "leave the event"):
        assert part in fault


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_acted_on_is_not_refused_and_every_other_is(tiny_scenario, kind):
    scenario = with_event(tiny_scenario(), kind)
    assert event_faults(scenario, "any", (kind,)) == []
    others = [one for one in EventKind if one is not kind]
    (fault,) = event_faults(scenario, "any", others)
    assert all(f'"{one}"' in fault for one in EventKind)
