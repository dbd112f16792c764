"""Reads how late a campaign was from the columns beside its verdicts."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa
from gridproof.federation.field.realtime import PACE_COLUMNS
from gridproof.federation.records.bounded import opened, read_table
from gridproof.federation.records.footers import torn
from gridproof.federation.records.pace_report import LISTED, Overrun, PaceReport, Spread
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import StoreError

__all__ = ["pace_figures"]


def pace_figures(store: CampaignStore, chunks: Sequence[int]) -> PaceReport | None:
    """Say how late a campaign was; None where none waited for a clock, or nothing is kept of it.

    Raises
    ------
    StoreError
        If a part cannot be read through.
    """
    step_s = (store.study["config"].get("realtime") or {}).get("step_s")
    if step_s is None:
        return None
    names = ["index", *PACE_COLUMNS[:2]]
    found = [columns for chunk in chunks if (columns := _columns(store, chunk, names)) is not None]
    if not found:
        return None
    index, late, age = (np.concatenate(parts) for parts in zip(*found, strict=True))
    over = np.flatnonzero(late + age > step_s)
    return PaceReport(
        steps=len(index),
        step_s=float(step_s),
        lateness_s=_spread(late),
        loads_age_s=_spread(age),
        overruns=len(over),
        listed=tuple(
            Overrun(index=int(index[k]), lateness_s=float(late[k]), loads_age_s=float(age[k]))
            for k in over[:LISTED]
        ),
    )


def _columns(store: CampaignStore, chunk: int, names: list[str]) -> list[FloatArray] | None:
    path = store.rows_path(chunk)
    try:
        with opened(path) as file:
            if not set(file.schema_arrow.names).issuperset(names):
                return None  # of a version before
        table = read_table(path, names)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(torn(path, error)) from error
    return [table.column(name).to_numpy() for name in names]


def _spread(values: FloatArray) -> Spread:
    p50, p99, most = (float(one) for one in np.percentile(values, [50.0, 99.0, 100.0]))
    return Spread(p50=p50, p99=p99, max=most)
