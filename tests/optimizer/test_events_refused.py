"""A family refuses, by name, an event or a limit that it would plan past."""

from dataclasses import replace

import numpy as np
import pytest
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.curves import Curves
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.event_faults import event_faults
from gridproof.scenarios.events import EventKind, Events
from gridproof.scenarios.restoration_scenario import _sources

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


@pytest.mark.parametrize(
    ("study", "overrides", "options"),
    [
        ("ieee123-restoration", ['ders.fleet.own={bus="1", capacity_kw=400}'], {}),
        ("ieee33-resiliency-case1", [], {}),
        ("ieee123-policy-modes", [], {"network": "copperplate"}),
    ],
)
def test_what_binds_reactive_to_active_power_is_refused_where_it_is_not_held(
    study, overrides, options
):
    loaded = load_study(study, overrides)
    scenario, count = loaded.scenario, len(loaded.scenario.ders.ids)
    curves = Curves(
        der=np.array([0, 0]), p_kw=np.array([-9e5, 9e5]), q_min_kvar=np.zeros(2),
        q_max_kvar=np.ones(2),
    )  # fmt: skip
    factors = np.where(np.arange(count) == count - 1, 0.5, np.inf)
    held = replace(scenario, ders=replace(scenario.ders, curves=curves, q_per_p=factors))
    family = loaded.config.planner.family
    with pytest.raises(ScenarioError) as told:
        make_planner(family, options).plan(held)
    for key, name in (
        ("capability", scenario.ders.ids[0]),
        ("power_factor", scenario.ders.ids[-1]),
    ):
        assert f"{key} of DER {name} would be planned past: the {family}" in str(told.value)


def test_a_restoration_made_of_ders_keeps_what_it_is_to_refuse(tiny_scenario):
    """Its sources are a table of their own, the substations first."""
    loaded = load_study("ieee123-restoration", ['ders.fleet.own={bus="1", capacity_kw=400}'])
    ders = loaded.scenario.ders
    own = replace(
        tiny_scenario().ders,
        q_per_p=np.array([np.inf, 0.4]),
        curves=Curves(der=np.array([1, 1]), p_kw=np.array([0.0, 9.0]), q_min_kvar=np.zeros(2),
                      q_max_kvar=np.ones(2)),
        can_form=np.array([False, True]),
    )  # fmt: skip
    made = _sources("any", loaded.scenario.feeder, own)
    assert made.ids[-1] == "g1"
    assert set(made.half_planes.der.tolist()) == {len(made.ids) - 1}
    assert len(made.half_planes) == 4
    assert ders.q_per_p is None
    assert ders.curves is None
