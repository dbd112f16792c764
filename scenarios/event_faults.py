"""Events that a family of optimizers does not act on: refused, never planned past."""

from __future__ import annotations

from collections.abc import Collection

from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.events import EventKind
from gridproof.scenarios.scenario import Scenario

__all__ = ["event_faults", "refuse_events"]


def event_faults(
    scenario: Scenario,
    family: str,
    acts_on: Collection[EventKind],
    *,
    half_planes: bool = False,
) -> list[str]:
    """Name every event and limit that a family would plan past, one sentence each.

    Parameters
    ----------
    scenario
        With its events.
    family
        Who plans.
    acts_on
        The kinds of event that this family acts on.
    half_planes
        Whether it holds DERs to their power factors and capability curves.
    """
    feeder, events = scenario.feeder, scenario.events
    named = {
        EventKind.LINE_FAILS: feeder.lines.ids,
        EventKind.SUBSTATION_LOST: feeder.sources.ids,
        EventKind.DER_TRIPS: scenario.ders.ids,
        EventKind.LOAD_MASKED: feeder.loads.ids,
    }
    known = ", ".join(f'"{kind}"' for kind in acts_on)
    acts = f"acts on {known} alone" if known else "acts on no kind of event"
    return [
        f'event {k} ({named[kind][at]}, "{kind}") would be planned past: the {family} family '
        f"{acts}; leave the event out, or use a family that acts on it"
        for k, (kind, at) in enumerate(zip(events.kind, events.element.tolist(), strict=True))
        if kind not in acts_on
    ] + ([] if half_planes else _half_plane_faults(scenario, family))


def _half_plane_faults(scenario: Scenario, family: str) -> list[str]:
    planes, ids = scenario.ders.half_planes, scenario.ders.ids
    return [
        f"{'capability' if curve else 'power_factor'} of DER {ids[g]} would be planned past: the "
        f"{family} family knows reactive limits alone; state reactive_limit instead, or use a "
        "family that holds it"
        for g, curve in sorted(set(zip(planes.der.tolist(), planes.curve.tolist(), strict=True)))
    ]


def refuse_events(
    scenario: Scenario,
    family: str,
    acts_on: Collection[EventKind],
    *,
    half_planes: bool = False,
) -> None:
    """Refuse a scenario with events, or limits, that a family does not act on; as `event_faults`.

    Raises
    ------
    ScenarioError
        Naming each of them.
    """
    faults = event_faults(scenario, family, acts_on, half_planes=half_planes)
    if faults:
        raise ScenarioError([f"{scenario.name}: {fault}" for fault in faults])
