"""Counts what was wrong with devices, from the columns beside the verdicts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from gridproof.federation.field.device_faults import FAULT_COLUMN, FAULT_WORDS, DeviceFault
from gridproof.federation.records.bounded import opened, read_table
from gridproof.federation.records.device_report import DevicesReport
from gridproof.federation.records.footers import torn
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.errors import StoreError

__all__ = ["device_figures"]

_LOOP = "device_loop_s"


def device_figures(store: CampaignStore, chunks: Sequence[int]) -> DevicesReport | None:
    """Count what was wrong with devices; None where a campaign has none, or no such columns.

    Raises
    ------
    StoreError
        If a part cannot be read through.
    """
    devices = store.study["config"].get("devices", {}).get("at") or {}
    if not devices:
        return None
    counts: dict[str, Counter[int]] = {name: Counter() for name in devices}
    loops, exchanges = [], 0
    for chunk in chunks:
        path = store.rows_path(chunk)
        try:
            with opened(path) as file:
                held = set(file.schema_arrow.names)
            names = [f"{FAULT_COLUMN}{name}" for name in devices]
            if not held.issuperset((_LOOP, *names)):
                continue  # of a version before
            table = read_table(path, [_LOOP, *names])
        except (pa.ArrowException, OSError) as error:
            raise StoreError(torn(path, error)) from error
        exchanges += table.num_rows
        loops.append(table.column(_LOOP).to_numpy())
        for name in devices:
            counts[name].update(table.column(f"{FAULT_COLUMN}{name}").to_numpy().astype(int))
    if not exchanges:
        return None
    took = np.concatenate(loops)
    return DevicesReport(
        exchanges=exchanges,
        faults={
            name: {fault.name.lower(): found[fault] for fault in FAULT_WORDS if found[fault]}
            for name, found in counts.items()
            if found.total() > found[DeviceFault.NONE]
        },
        loop_median_s=float(np.median(took)),
        loop_max_s=float(took.max()),
    )
