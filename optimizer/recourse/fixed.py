"""Set-points that stay: the second stage of a plan that nobody re-dispatches."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from gridproof.scenarios.carried import Carried
from gridproof.scenarios.setpoints import Setpoints

if TYPE_CHECKING:
    from gridproof.scenarios.arrays import BoolArray, FloatArray
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.realization import Realizations
    from gridproof.scenarios.scenario import Scenario

__all__ = ["FixedRecourse", "base_setpoints"]


class FixedRecourse:
    """Set-points stay at the plan's base."""

    def __init__(self, plan: Plan, scenario: Scenario, time: int = 0) -> None:  # noqa: ARG002
        self._plan, self._time = plan, time

    def respond(self, realizations: Realizations, carried: Carried | None = None) -> Setpoints:  # noqa: ARG002
        """Return the base set-points for every realization."""
        found = np.ones(len(realizations), dtype=bool)
        return base_setpoints(self._plan, self._time, realizations, found)


def base_setpoints(
    plan: Plan, time: int, realizations: Realizations, found: BoolArray
) -> Setpoints:
    """Repeat a plan's base set-points for every realization."""
    count = len(realizations)

    def repeat(values: FloatArray) -> FloatArray:
        return np.broadcast_to(values, (count, *values.shape)).copy()

    return Setpoints(
        index=realizations.index,
        found=found,
        p_kw=repeat(plan.p_kw[time]),
        q_kvar=repeat(plan.q_kvar[time]),
        source_v_pu=repeat(plan.source_v_pu[time]),
    )
