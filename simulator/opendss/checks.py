"""What an engine refuses to hold or to solve, before anything is set."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import EngineError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.simulator.opendss.elements import Elements
from gridproof.simulator.opendss.snapshot import Held

__all__ = ["Sums", "check_batch", "check_plan", "load_totals", "summed"]

_EVEN = 1e-6  # kW by which a load's slots may differ, per kW of the largest load


def check_plan(plan: Plan, time: int, scenario: Scenario, elements: Elements) -> None:
    """Refuse a plan of another network, a step it lacks, a former that cannot be one.

    Raises
    ------
    EngineError
        Naming the first that is wrong.
    """
    wanted = (scenario.feeder.switch_ids, scenario.feeder.blocks.ids, scenario.ders.ids)
    if (plan.switch_ids, plan.block_ids, plan.der_ids) != wanted:
        raise EngineError("the plan's switches, blocks or DERs are not the scenario's")
    if not 0 <= time < len(plan.closed):
        raise EngineError(f"step {time} asked for; the plan has {len(plan.closed)} steps")
    for k in np.flatnonzero(plan.grid_forming[time]):
        if elements.formers[k] is None:
            raise EngineError(f"DER {plan.der_ids[k]} is to form an island and cannot")


def check_batch(
    realizations: Realizations, setpoints: Setpoints, held: Held, *, loads: int, ders: int
) -> None:
    """Refuse a batch of another scenario, of other steps, or with numbers that are none.

    Parameters
    ----------
    realizations, setpoints
        The batch.
    held
        The step that is held.
    loads, ders
        How many the scenario draws and has.

    Raises
    ------
    EngineError
        Naming the first that is wrong.
    """
    if not np.array_equal(realizations.index, setpoints.index):
        raise EngineError("the set-points answer other realizations than those given")
    if realizations.p_kw.shape[2] != loads:
        raise EngineError(
            f"realizations of {realizations.p_kw.shape[2]} loads; the feeder has {loads}"
        )
    if not realizations.holds(held.time):
        last = realizations.first_step + realizations.p_kw.shape[1] - 1
        raise EngineError(
            f"step {held.time} is held; the realizations have steps "
            f"{realizations.first_step} to {last}"
        )
    if setpoints.p_kw.shape[1] != ders:
        raise EngineError(f"set-points of {setpoints.p_kw.shape[1]} DERs; the scenario has {ders}")
    values = (setpoints.p_kw, setpoints.q_kvar, setpoints.source_v_pu[:, held.formers])
    if not all(np.isfinite(value).all() for value in values):
        raise EngineError("the set-points hold a number that is not finite")


Sums = Callable[[FloatArray, IntArray, FloatArray], tuple[FloatArray, float, float]]
"""Totals of loads' slots, the largest of them, and by how much a slot has another share at most."""


def summed(
    asked: FloatArray, places: IntArray, share: FloatArray
) -> tuple[FloatArray, float, float]:
    """Add up what slots ask for, as `load_totals` wants it."""
    part = asked[:, places]
    total = np.ascontiguousarray(part[..., 0] + part[..., 1] + part[..., 2])
    with np.errstate(invalid="ignore"):  # what is not finite is told by the largest
        part -= total[..., None] * share
    uneven = np.abs(part, out=part).max(initial=0.0)
    return total, float(np.abs(total).max(initial=0.0)), float(uneven)


def load_totals(
    name: str, asked: FloatArray, places: IntArray, share: FloatArray, sums: Sums = summed
) -> FloatArray:
    """(realization, served load) totals; a load's slots must share them equally.

    Parameters
    ----------
    name
        Of the column, for the error.
    asked
        (realization, load, 3) demand.
    places, share
        (served load,) positions, and (served load, 3) the parts its slots have.
    sums
        Who adds them up.
    """
    total, largest, uneven = sums(asked, places, share)
    if not np.isfinite(largest):
        raise EngineError(f"realizations: {name} holds a number that is not finite")
    if uneven > _EVEN * (1.0 + largest):
        raise EngineError(
            f"realizations: {name} differs between the slots of a load; "
            "one OpenDSS load shares its power equally"
        )
    return total
