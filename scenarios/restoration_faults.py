"""What can be wrong with a restoration case, all of it at once, and who is without supply."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gridproof.scenarios.arrays import BoolArray
from gridproof.scenarios.graph import connected_components, has_cycle

if TYPE_CHECKING:
    from gridproof.scenarios.restoration import RestorationCase

__all__ = ["case_faults", "isolated_buses"]


def case_faults(case: RestorationCase) -> list[str]:
    """Every contradiction between the case's pieces, each one sentence."""
    if case.devices.line_ids != case.feeder.lines.ids:
        return [
            f"{case.name}: devices are given for {len(case.devices.line_ids)} lines, not for the "
            f"feeder's {len(case.feeder.lines.ids)} in its order; give one row per line"
        ]
    faults = [*_device_faults(case), *_failure_faults(case), *_network_faults(case)]
    return [f"{case.name}: {fault}" for fault in faults]


def isolated_buses(case: RestorationCase) -> tuple[str, ...]:
    """Buses that no substation supplies even before the event; they are reported, not refused."""
    supplied = _supplied(case)
    return tuple(
        name for name, live in zip(case.feeder.buses.ids, supplied, strict=True) if not live
    )


def _device_faults(case: RestorationCase) -> list[str]:
    lines, devices = case.feeder.lines, case.devices
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


def _failure_faults(case: RestorationCase) -> list[str]:
    count = len(case.feeder.lines.ids)
    faults = [
        f"failure at line position {k} is outside the feeder's {count} lines; name one of them"
        for k in case.failed.tolist()
        if not 0 <= k < count
    ]
    values, times = np.unique(case.failed, return_counts=True)
    faults += [
        f"line {case.feeder.lines.ids[k]} fails {n} times; name each failure once"
        for k, n in zip(values.tolist(), times.tolist(), strict=True)
        if n > 1 and 0 <= k < count
    ]
    return faults


def _network_faults(case: RestorationCase) -> list[str]:
    feeder = case.feeder
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
    if len(v) and not ((v >= case.limits.v_min_pu) & (v <= case.limits.v_max_pu)).all():
        faults.append(f"a substation holds {v.max()} pu, outside the band; move one of the two")
    return [*faults, *_radiality_faults(case)]


def _radiality_faults(case: RestorationCase) -> list[str]:
    tails, heads, size = *_closed_ends(case), len(case.feeder.buses.ids)
    labels = connected_components(size, tails, heads)
    of_source = labels[case.feeder.sources.bus]
    faults = []
    if len(np.unique(of_source)) < len(of_source):
        faults.append("two substations are connected before the event; open a tie between them")
    if has_cycle(size, tails, heads):
        faults.append("closed lines form a loop before the event; open one of its lines")
    return faults


def _closed_ends(case: RestorationCase) -> tuple[np.ndarray, np.ndarray]:
    kept = case.feeder.lines.closed
    return case.feeder.lines.from_bus[kept], case.feeder.lines.to_bus[kept]


def _supplied(case: RestorationCase) -> BoolArray:
    labels = connected_components(len(case.feeder.buses.ids), *_closed_ends(case))
    return np.isin(labels, labels[case.feeder.sources.bus])
