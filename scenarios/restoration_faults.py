"""What a restoration cannot plan for, all of it at once, and who is without supply."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.arrays import BoolArray
from gridproof.scenarios.devices import LineDevices
from gridproof.scenarios.event_faults import event_faults
from gridproof.scenarios.events import EventKind, Events
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.graph import connected_components, has_cycle
from gridproof.scenarios.restoration import PHASE_NAMES
from gridproof.scenarios.scenario import Scenario

__all__ = ["isolated_buses", "restoration_faults"]


ACTS_ON = (EventKind.LINE_FAILS,)
"""Kinds of event that a restoration follows."""


def restoration_faults(scenario: Scenario) -> list[str]:
    """Everything in a scenario that a restoration does not plan for, each one sentence.

    Its steps are the phases, its loads those of the first of them; lines fail for certain, from
    the first hour after the start on, and nothing else happens.
    """
    feeder, devices = scenario.feeder, scenario.devices
    if devices is None:
        return [
            f"{scenario.name}: the restoration family plans after failures; state what failed "
            "in [restoration]"
        ]
    if not scenario.prices.stated:
        priceless = ["nothing is worth anything; state prices of what is lost"]
    else:
        priceless = []
    faults = [
        *_step_faults(scenario),
        *event_faults(scenario, "restoration", ACTS_ON),
        *priceless,
        *_device_faults(feeder, devices),
        *_failure_faults(feeder, scenario.events),
        *_network_faults(scenario),
    ]
    return [f"{scenario.name}: {fault}" for fault in faults]


def _step_faults(scenario: Scenario) -> list[str]:
    hours, events, faults = scenario.hours, scenario.events, []
    if len(hours) != len(PHASE_NAMES):
        return [f"{len(hours)} steps; a restoration has {len(PHASE_NAMES)} phases"]
    lasting = np.array([events.lasts(float(hour)) for hour in hours]).T
    for k, (kind, share) in enumerate(zip(events.kind, events.probability, strict=True)):
        if kind not in ACTS_ON:
            continue
        if share < 1.0 or lasting[k].tolist() != [False, True, True, True]:
            faults.append(
                f"event {k} ({kind}) must be certain, and last from {hours[1]:g} h to the end; "
                "this family plans what follows one storm"
            )
    moves = scenario.devices is not None and tuple(np.flatnonzero(scenario.devices.moving))
    if moves != tuple(scenario.feeder.switches):
        faults.append(
            f"the feeder has {len(scenario.feeder.switches)} switches and {len(moves or ())} lines "
            "move; compile it with those as its switches"
        )
    for loads in (scenario.load_p_kw, scenario.load_q_kvar):
        if (loads != loads[0]).any():
            return [*faults, "loads differ from step to step; this family plans one load"]
    return faults


def isolated_buses(feeder: Feeder) -> tuple[str, ...]:
    """Buses that no substation supplies even before the event; they are reported, not refused."""
    supplied = _supplied(feeder)
    return tuple(name for name, live in zip(feeder.buses.ids, supplied, strict=True) if not live)


def _device_faults(feeder: Feeder, devices: LineDevices) -> list[str]:
    lines = feeder.lines
    faults = []
    for k, (one, other) in enumerate(devices.device):
        if not devices.underground[k] and one != other:
            faults.append(
                f"overhead line {lines.ids[k]} has devices {one} and {other}; it has one switch, "
                "so name one device for both ends"
            )
        if not lines.closed[k] and {one, other} == {"none"}:
            faults.append(
                f"line {lines.ids[k]} is open but has no switch; give it a device or close it"
            )
    return faults


def _failure_faults(feeder: Feeder, events: Events) -> list[str]:
    failed = events.element[events.of(EventKind.LINE_FAILS)]
    values, times = np.unique(failed, return_counts=True)
    return [
        f"line {feeder.lines.ids[k]} fails {n} times; name each failure once"
        for k, n in zip(values.tolist(), times.tolist(), strict=True)
        if n > 1
    ]


def _network_faults(scenario: Scenario) -> list[str]:
    feeder, limits, faults = scenario.feeder, scenario.limits, []
    if not len(feeder.sources.ids):
        faults.append("the feeder has no substation; restoration needs a source to restore from")
    if len(feeder.transformers.ids):
        faults.append(
            f"transformer {feeder.transformers.ids[0]} is in the feeder; this family plans one "
            "voltage level, so model each substation as a source"
        )
    if len(np.unique(np.round(feeder.buses.base_kv, 9))) > 1:
        faults.append("buses have different voltage bases; this family plans one voltage level")
    if (scenario.load_p_kw < 0).any() or (scenario.load_q_kvar < 0).any():
        faults.append("a load is negative; give generation as a DER")
    if not (feeder.lines.rating_a > 0).all():
        bad = feeder.lines.ids[int(np.argmin(feeder.lines.rating_a))]
        faults.append(f"line {bad} has no positive rating; state its ampacity")
    v = feeder.sources.v_pu
    if len(v) and not ((v >= limits.v_min_pu) & (v <= limits.v_max_pu)).all():
        faults.append(f"a substation holds {v.max()} pu, outside the band; move one of the two")
    return [*faults, *_radiality_faults(feeder)]


def _radiality_faults(feeder: Feeder) -> list[str]:
    tails, heads, size = *_closed_ends(feeder), len(feeder.buses.ids)
    labels = connected_components(size, tails, heads)
    of_source = labels[feeder.sources.bus]
    faults = []
    if len(np.unique(of_source)) < len(of_source):
        faults.append("two substations are connected before the event; open a tie between them")
    if has_cycle(size, tails, heads):
        faults.append("closed lines form a loop before the event; open one of its lines")
    return faults


def _closed_ends(feeder: Feeder) -> tuple[np.ndarray, np.ndarray]:
    kept = feeder.lines.closed
    return feeder.lines.from_bus[kept], feeder.lines.to_bus[kept]


def _supplied(feeder: Feeder) -> BoolArray:
    labels = connected_components(len(feeder.buses.ids), *_closed_ends(feeder))
    return np.isin(labels, labels[feeder.sources.bus])
