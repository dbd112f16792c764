"""The feeder's own sources that feed, as rows of the fleet."""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any

import numpy as np
from gridproof.federation.config.study import SubstationConfig
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.fleet import Ders, Substations

__all__ = ["with_substations"]

_AMPLE = 10.0  # times all that the study holds: no flow asks more of a source without a rating


def with_substations(
    ders: Ders, feeder: Feeder, feeding: IntArray, rated: SubstationConfig
) -> Ders:
    """Append the sources that feed, each named by its bus; ``ders`` itself if none does."""
    if not len(feeding):
        return ders
    sources, count, before = feeder.sources, len(feeding), len(ders.ids)
    phases = sources.phases[feeding]
    each = (rated.rating_kva or _ample_kw(ders, feeder)) / phases.sum(axis=1, keepdims=True)
    per_phase = np.where(phases, each, 0.0)
    s_max = per_phase if rated.rating_kva else np.where(phases, np.inf, 0.0)
    rows: dict[str, Any] = {
        "ids": tuple(feeder.buses.ids[bus] for bus in sources.bus[feeding]),
        "bus": sources.bus[feeding],
        "phases": phases,
        "p_min_kw": -per_phase,
        "p_max_kw": per_phase,
        "q_min_kvar": -per_phase,
        "q_max_kvar": per_phase,
        "s_max_kva": s_max,
        "ramp_kw": 2.0 * per_phase,
        "ramp_kvar": 2.0 * per_phase,
        "cost_usd_per_kw": np.full(count, rated.cost_usd_per_kw),
        "redispatch_cost_usd_per_kw": np.full(count, rated.redispatch_cost_usd_per_kw),
        "can_form": np.ones(count, bool),
    }
    columns: dict[str, Any] = {
        name: getattr(ders, name) + value
        if name == "ids"
        else np.concatenate([getattr(ders, name), value])
        for name, value in rows.items()
    }
    own = Substations(
        at=np.arange(before, before + count),
        source_ids=tuple(sources.ids[k] for k in feeding),
        rating_kva=np.full(count, rated.rating_kva or np.inf),
        v_pu=sources.v_pu[feeding],
        r_ohm=sources.r_ohm[feeding],
        x_ohm=sources.x_ohm[feeding],
    )
    if ders.ramp_kw_per_h is not None:  # the grid's output may change as fast as it likes
        free = np.full((count, 3), np.inf)
        columns["ramp_kw_per_h"] = np.concatenate([ders.ramp_kw_per_h, free])
    none = np.full(count, np.inf)  # it is bound to no total, and sells no reserve
    optional = {
        "total_min_kw": -none, "total_max_kw": none,
        "reserve_up_usd_per_kw": none, "reserve_down_usd_per_kw": none, "q_per_p": none,
    }  # fmt: skip
    for name, value in optional.items():
        held = getattr(ders, name)
        if held is not None:
            columns[name] = np.concatenate([held, value])
    if ders.balanced is not None:
        columns["balanced"] = np.concatenate([ders.balanced, np.zeros(count, bool)])
    # curves name their DERs, and the substation comes behind them all
    known = columns.keys() | {"substations", "ramp_kw_per_h", "balanced", "curves", *optional}
    assert known == {field.name for field in fields(Ders)}
    return replace(ders, **columns, substations=own)


def _ample_kw(ders: Ders, feeder: Feeder) -> float:
    parts: tuple[FloatArray, ...] = (
        feeder.loads.p_kw, feeder.loads.q_kvar, feeder.capacitors.q_kvar, ders.p_max_kw,
        ders.q_max_kvar,
    )  # fmt: skip
    return _AMPLE * max(1.0, sum(float(np.abs(part).sum()) for part in parts))
