"""What can be wrong with a restoration case, all of it at once, and who is without supply."""

from __future__ import annotations

import numpy as np
from gridproof.scenarios.arrays import BoolArray, IntArray
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.graph import connected_components, has_cycle
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.restoration_devices import LineDevices

__all__ = ["case_faults", "isolated_buses"]


def case_faults(
    name: str, feeder: Feeder, devices: LineDevices, failed: IntArray, limits: Limits
) -> list[str]:
    """Every contradiction between the pieces of a `RestorationCase`, each one sentence."""
    if devices.line_ids != feeder.lines.ids:
        return [
            f"{name}: devices are given for {len(devices.line_ids)} lines, not for the "
            f"feeder's {len(feeder.lines.ids)} in its order; give one row per line"
        ]
    faults = [
        *_device_faults(feeder, devices),
        *_failure_faults(feeder, failed),
        *_network_faults(feeder, limits),
    ]
    return [f"{name}: {fault}" for fault in faults]


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


def _failure_faults(feeder: Feeder, failed: IntArray) -> list[str]:
    count = len(feeder.lines.ids)
    faults = [
        f"failure at line position {k} is outside the feeder's {count} lines; name one of them"
        for k in failed.tolist()
        if not 0 <= k < count
    ]
    values, times = np.unique(failed, return_counts=True)
    faults += [
        f"line {feeder.lines.ids[k]} fails {n} times; name each failure once"
        for k, n in zip(values.tolist(), times.tolist(), strict=True)
        if n > 1 and 0 <= k < count
    ]
    return faults


def _network_faults(feeder: Feeder, limits: Limits) -> list[str]:
    faults = []
    if not len(feeder.sources.ids):
        faults.append("the feeder has no substation; restoration needs a source to restore from")
    if len(feeder.transformers.ids):
        faults.append(
            f"transformer {feeder.transformers.ids[0]} is in the feeder; this family plans one "
            "voltage level, so model each substation as a source"
        )
    if len(np.unique(np.round(feeder.buses.base_kv, 9))) > 1:
        faults.append("buses have different voltage bases; this family plans one voltage level")
    if (feeder.loads.p_kw < 0).any() or (feeder.loads.q_kvar < 0).any():
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
