"""Events that a family of optimizers does not act on: refused, never planned past."""

from __future__ import annotations

from collections.abc import Collection

import numpy as np
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.events import EventKind
from gridproof.scenarios.scenario import Scenario

__all__ = ["event_faults", "refuse_events"]


def event_faults(
    scenario: Scenario,
    family: str,
    acts_on: Collection[EventKind],
    *,
    power_factors: bool = False,
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
    power_factors
        Whether it holds DERs to their power factors.
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
    ] + ([] if power_factors else _factor_faults(scenario, family))


def _factor_faults(scenario: Scenario, family: str) -> list[str]:
    turned = scenario.ders.q_per_p
    named = [] if turned is None else np.flatnonzero(np.isfinite(turned)).tolist()
    return [
        f"power_factor of DER {scenario.ders.ids[k]} would be planned past: the {family} family "
        "knows reactive limits alone; state reactive_limit instead, or use a family that holds it"
        for k in named
    ]


def refuse_events(
    scenario: Scenario,
    family: str,
    acts_on: Collection[EventKind],
    *,
    power_factors: bool = False,
) -> None:
    """Refuse a scenario with events, or limits, that a family does not act on; as `event_faults`.

    Raises
    ------
    ScenarioError
        Naming each of them.
    """
    faults = event_faults(scenario, family, acts_on, power_factors=power_factors)
    if faults:
        raise ScenarioError([f"{scenario.name}: {fault}" for fault in faults])
