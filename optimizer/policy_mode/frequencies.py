"""How often what happens is more than what was bought: the linear judge of reserves.

In the lossless model a disturbance ``w`` is answered by ``r(w)``, and what the others leave falls
to the forming unit: ``r_f = s·w - Σ_{i≠f} r_i(w)``. A (draw, step) pair is violated where some unit
would have to leave ``[-down_i, up_i]``. Frequencies of pairs, of the worst step, of draws with any
violated step and of whole days differ many times over; each is told by its name.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario

__all__ = ["Frequencies", "frequencies", "reserve_room_kw"]

_TOLERANCE_KW = 1e-6


@dataclass(frozen=True, slots=True, kw_only=True)
class Frequencies:
    """How often reserves fell short.

    Attributes
    ----------
    pairs
        Share of (draw, step) pairs.
    worst_step
        Largest share of draws at one step, and which.
    worst_step_at
        That step.
    any_step
        Share of draws with a violated step.
    draws, steps
        How many of each.
    """

    pairs: float
    worst_step: float
    worst_step_at: int
    any_step: float
    draws: int
    steps: int


def reserve_room_kw(plan: Plan, scenario: Scenario, zeta: FloatArray, time: int) -> FloatArray:
    """(draw,) kW that the scarcest unit has left at one step; negative where it falls short.

    Parameters
    ----------
    plan
        One with reserves; without a rule all falls to the forming unit.
    scenario
        Whose disturbances are drawn.
    zeta
        (draw, direction) coordinates at that step.
    time
        The step.

    Raises
    ------
    ConfigError
        If the plan states no reserves.
    """
    bought = plan.reserves
    if bought is None:
        raise ConfigError(
            f"the plan of family {plan.family} states no reserves to be held to; "
            "state them in its file, or plan with a family that buys them"
        )
    former = int(np.flatnonzero(plan.grid_forming[time])[0])
    deficit = scenario.disturbances.deficit_kw(scenario.disturbance_of(zeta), time)
    moved = np.zeros((len(zeta), len(plan.der_ids)))
    if plan.rule is not None:
        moved = plan.rule.answer_kw(zeta, time)
    moved[:, former] = 0.0
    cut = 0.0 if plan.rule is None else plan.rule.cut_kw(zeta, time).sum(axis=1)
    moved[:, former] = deficit - cut - moved.sum(axis=1)
    room = np.minimum(bought.up_kw[time] - moved, moved + bought.down_kw[time])
    return np.asarray(room.min(axis=1))


def frequencies(
    plan: Plan, scenario: Scenario, draw: Callable[[int], FloatArray], steps: int
) -> Frequencies:
    """Count violated pairs over all steps.

    Parameters
    ----------
    plan, scenario
        As `reserve_room_kw`.
    draw
        From a step to its (draw, direction) coordinates; as many at each.
    steps
        How many.
    """
    short = np.stack(
        [reserve_room_kw(plan, scenario, draw(t), t) < -_TOLERANCE_KW for t in range(steps)], axis=1
    )
    by_step = short.mean(axis=0)
    worst = int(by_step.argmax())
    return Frequencies(
        pairs=float(short.mean()),
        worst_step=float(by_step[worst]),
        worst_step_at=worst,
        any_step=float(short.any(axis=1).mean()),
        draws=len(short),
        steps=steps,
    )
