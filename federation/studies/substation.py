"""The feeder's own source as a row of the fleet, wherever the study has not lost it."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import fields, replace
from typing import Any

import numpy as np
from gridproof.federation.config.study import FeederConfig, SubstationConfig
from gridproof.federation.config.study_file import Origin
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.fleet import Ders, Substations
from gridproof.scenarios.graph import connected_components

__all__ = ["feeding_sources", "substation_faults", "with_substations"]

_AMPLE = 10.0  # times all that the study holds: no flow asks more of a source without a rating


def feeding_sources(config: FeederConfig, section: SubstationConfig, feeder: Feeder) -> IntArray:
    """Positions of the sources that feed.

    A source is lost if the study says so, and, where it says nothing, if switches that must
    stay open leave no load within its reach.

    Parameters
    ----------
    config, section
        The study's ``[feeder]`` and ``[substation]``.
    feeder
        With the study's switches.
    """
    count = len(feeder.sources.ids)
    if section.lost is not None:
        return np.arange(0 if section.lost else count)
    ends = feeder.switch_blocks[~np.isin(feeder.switch_ids, config.locked_open)]
    label = connected_components(len(feeder.blocks.ids), ends[:, 0], ends[:, 1])
    loaded = label[feeder.block_of_load]
    return np.flatnonzero(np.isin(label[feeder.blocks.of_bus[feeder.sources.bus]], loaded))


def substation_faults(
    config: FeederConfig,
    section: SubstationConfig,
    feeder: Feeder,
    *,
    fleet: Sequence[str],
    most: int,
    origin: Origin,
) -> list[str]:
    """Find what stands against letting the sources feed that are not lost.

    Parameters
    ----------
    config, section, feeder
        As in `feeding_sources`.
    fleet
        Ids of the DERs.
    most
        How many may form one island.
    origin
        Names the study in messages.
    """
    feeding = feeding_sources(config, section, feeder)
    ids = [feeder.buses.ids[bus] for bus in feeder.sources.bus[feeding]]
    faults = [
        f"{origin.place(('ders', 'fleet', name))} has the name of the substation's bus, by which "
        "the substation is called; give the DER another"
        for name in fleet
        if name in ids
    ]
    faults += [
        f"{origin.place(('feeder', 'path'))}: {times} sources stand at bus {name}; leave one"
        for name, times in Counter(ids).items()
        if times > 1
    ]
    home = feeder.blocks.of_bus[feeder.sources.bus[feeding]]
    for block in np.unique(home):
        together = [name for name, at in zip(ids, home, strict=True) if at == block]
        if len(together) > most:
            faults.append(
                f"{origin.place(('feeder', 'switches'))} leaves the sources at buses "
                f"{', '.join(together)} joined, and each forms its island; make a line between "
                f"them a switch, or set [limits] grid_forming_per_island = {len(together)}"
            )
    return faults


def with_substations(
    ders: Ders, feeder: Feeder, feeding: IntArray, rated: SubstationConfig
) -> Ders:
    """Append the sources that feed, each named by its bus; ``ders`` itself if none does."""
    if not len(feeding):
        return ders
    sources, count, before = feeder.sources, len(feeding), len(ders.ids)
    per_phase = np.full((count, 3), (rated.rating_kva or _ample_kw(ders, feeder)) / 3.0)
    s_max = per_phase if rated.rating_kva else np.full((count, 3), np.inf)
    rows: dict[str, Any] = {
        "ids": tuple(feeder.buses.ids[bus] for bus in sources.bus[feeding]),
        "bus": sources.bus[feeding],
        "phases": np.ones((count, 3), bool),
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
        "reserve_up_usd_per_kw": none, "reserve_down_usd_per_kw": none,
    }  # fmt: skip
    for name, value in optional.items():
        held = getattr(ders, name)
        if held is not None:
            columns[name] = np.concatenate([held, value])
    known = columns.keys() | {"substations", "ramp_kw_per_h", *optional}
    assert known == {field.name for field in fields(Ders)}
    return replace(ders, **columns, substations=own)


def _ample_kw(ders: Ders, feeder: Feeder) -> float:
    parts: tuple[FloatArray, ...] = (
        feeder.loads.p_kw, feeder.loads.q_kvar, feeder.capacitors.q_kvar, ders.p_max_kw,
        ders.q_max_kvar,
    )  # fmt: skip
    return _AMPLE * max(1.0, sum(float(np.abs(part).sum()) for part in parts))
