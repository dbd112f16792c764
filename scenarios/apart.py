"""Uncertain loads taken apart: each phase or pair a load of its own, which moves by itself."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace

import numpy as np
from gridproof.scenarios.arrays import IntArray
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box

__all__ = ["Apart", "taken_apart"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Apart:
    """A scenario whose uncertain loads of several slots are loads of one slot each.

    Attributes
    ----------
    scenario
        The same grid and demand; its set, a box again, has a direction for every slot: (1) of
        the partitioning paper as printed. Its directions are those of the whole scenario's draws
        per phase, `Scenario.direction_ids`, in their order.
    load
        (part,) position of the original load.
    slot
        (part,) its slot; -1 for a load left whole.
    """

    scenario: Scenario
    load: IntArray
    slot: IntArray


def taken_apart(scenario: Scenario, name: Callable[[int, int], str] | None = None) -> Apart:
    """Take apart what draws per phase move slot by slot.

    Parameters
    ----------
    scenario
        With its loads whole.
    name
        Id of a part, of the load's position and its slot; as in ``s728.ab`` if left out.
    """
    loads, box = scenario.feeder.loads, scenario.uncertainty
    moves = np.isin(loads.ids, box.load_ids)
    apart = moves & (loads.slots.sum(axis=1) > 1)
    parts = [
        (k, slot)
        for k in range(len(loads.ids))
        for slot in (np.flatnonzero(loads.slots[k]).tolist() if apart[k] else [-1])
    ]
    load = np.array([k for k, _ in parts], np.int64)
    slot = np.array([s for _, s in parts], np.int64)
    mine = (slot[:, None] < 0) | (np.arange(3) == slot[:, None])
    ids = _names(scenario)
    called = (lambda k, s: ids[k, s]) if name is None else name
    split = replace(
        loads,
        ids=tuple(loads.ids[k] if s < 0 else called(k, s) for k, s in parts),
        bus=loads.bus[load],
        connection=tuple(loads.connection[k] for k in load),
        model=tuple(loads.model[k] for k in load),
        slots=loads.slots[load] & mine,
        p_kw=loads.p_kw[load] * mine,
        q_kvar=loads.q_kvar[load] * mine,
        v_rated_pu=loads.v_rated_pu[load],
    )
    at = np.array([box.load_ids.index(loads.ids[k]) for k, _ in scenario.uncertain_slots], np.int64)
    drawn = [(k, s) for k, s in scenario.uncertain_slots.tolist()]
    own = Box(
        load_ids=tuple(called(k, s) if apart[k] else loads.ids[k] for k, s in drawn),
        spread=box.spread[at],
        low=box.low[at],
        high=box.high[at],
    )
    made = replace(
        scenario,
        feeder=replace(scenario.feeder, loads=split),
        load_p_kw=scenario.load_p_kw[:, load] * mine,
        load_q_kvar=scenario.load_q_kvar[:, load] * mine,
        load_model=tuple(scenario.load_model[k] for k in load),
        uncertainty=own,
        draws_per_phase=False,
    )
    return Apart(scenario=made, load=load, slot=slot)


def _names(scenario: Scenario) -> dict[tuple[int, int], str]:
    """Name each slot of the uncertain loads as draws per phase do."""
    slots = scenario.uncertain_slots.tolist()
    ids = replace(scenario, draws_per_phase=True).direction_ids
    return {(k, s): one for (k, s), one in zip(slots, ids[: len(slots)], strict=True)}
