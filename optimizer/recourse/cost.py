"""What a recourse costs at corners of the set, beside the cheapest re-dispatch of the proof."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.recourse.linear import LinearRecourse
from gridproof.optimizer.recourse.policies import Recourse, make_recourse
from gridproof.optimizer.separation.region import gray_signs
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.realization import realize, uniforms

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.scenario import Scenario

__all__ = ["CORNERS", "corner_redispatch_usd"]

CORNERS = 64
"""Most corners that are tried: all of them up to six moving loads."""

_STREAM = 11  # of the counter-based generator; keeps clear of the campaign's own draws


def corner_redispatch_usd(
    plan: Plan, scenario: Scenario, policy: str = "linear"
) -> tuple[float, int] | None:
    """Largest re-dispatch cost of a policy at corners of the box, summed over the steps.

    ``Σ_g c_g Σ_φ |p_gφ(ζ) - p_gφ|`` of the policy's own set-points, lossless. Where there are
    more corners than `CORNERS`, a fixed draw of them beside all high and all low: a lower
    bound of the policy's worst.

    Parameters
    ----------
    plan, scenario
        A robust plan, and what it was made for.
    policy
        A recourse whose set-points say what every DER makes, the forming ones included.

    Returns
    -------
    tuple of float and int, or None
        USD, and corners tried at each step; None where one of them is not answered, or
        nothing moves.
    """
    corners = _corners(scenario)
    if not len(corners):
        return None
    draws, total = realize(scenario, corners), 0.0
    price = scenario.ders.redispatch_cost_usd_per_kw[:, None]
    for time in range(len(scenario.hours)):
        answer = _recourse(policy, plan, scenario, time).respond(draws)
        if not answer.found.all():
            return None
        total += float((price * np.abs(answer.p_kw - plan.p_kw[time])).sum(axis=(1, 2)).max())
    return total, len(corners)


def _recourse(policy: str, plan: Plan, scenario: Scenario, time: int) -> Recourse:
    """Build a policy for a few answers: to learn for a whole campaign takes longer than they do."""
    if policy == "linear":
        return LinearRecourse(plan, scenario, time, learns=False)
    return make_recourse(policy, plan, scenario, time)


def _corners(scenario: Scenario) -> FloatArray:
    moving = np.flatnonzero(scenario.uncertainty.spread > 0.0)
    if not len(moving):
        return np.zeros((0, scenario.uncertainty.size))
    if 2 ** len(moving) <= CORNERS:
        signs = gray_signs(len(moving))
    else:
        signs = np.where(uniforms(0, 0, CORNERS, len(moving), _STREAM) < 0.5, -1.0, 1.0)
        signs[0], signs[1] = 1.0, -1.0
    box = scenario.uncertainty
    corners = np.tile(box.high, (len(signs), 1))
    corners[:, moving] = np.where(signs < 0.0, box.low[moving], box.high[moving])
    return corners
