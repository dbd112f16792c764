"""The second stage at a fixed plan: what to set the DERs to once the load is known.

Policies, by name:

``fixed``
    Set-points stay; the grid-forming DER takes up the mismatch.
``participation``
    Each DER of an island takes a fixed share of its mismatch (`optimizer.recourse_participation`).
``linear``
    Re-dispatch in LinDist3Flow within capability and ramp, held voltages as planned: first as
    far inside the limits as possible, then as cheap as possible (`optimizer.dispatch`).
``ac``
    As ``linear``, then corrected by what the physics showed, round by round
    (`optimizer.recourse_ac`).

An answer is a function of (plan, scenario, realization) alone: batch size, order and earlier
answers cannot change a bit of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

import numpy as np

from optimizer.recourse_ac import AcRecourse
from optimizer.recourse_linear import LinearRecourse, base_setpoints
from optimizer.recourse_participation import ParticipationRecourse
from scenarios.errors import ConfigError
from scenarios.plan import Setpoints
from scenarios.realization import Realizations

if TYPE_CHECKING:
    from scenarios.plan import Plan
    from scenarios.scenario import Scenario

__all__ = ["POLICIES", "AcRecourse", "FixedRecourse", "LinearRecourse", "Recourse", "make_recourse"]


class Recourse(Protocol):
    """Answers realizations under a held plan."""

    def respond(self, realizations: Realizations) -> Setpoints:
        """Return set-points for every realization; ``found`` is false where none exist."""
        ...


class FixedRecourse:
    """Set-points stay at the plan's base."""

    def __init__(self, plan: Plan, scenario: Scenario, time: int = 0) -> None:  # noqa: ARG002
        self._plan, self._time = plan, time

    def respond(self, realizations: Realizations) -> Setpoints:
        """Return the base set-points for every realization."""
        found = np.ones(len(realizations), dtype=bool)
        return base_setpoints(self._plan, self._time, realizations, found)


POLICIES: Mapping[str, Callable[[Plan, Scenario, int], Recourse]] = MappingProxyType(
    {
        "fixed": FixedRecourse,
        "participation": ParticipationRecourse,
        "linear": LinearRecourse,
        "ac": AcRecourse,
    }
)
"""Recourse policies by the name a campaign gives."""


def make_recourse(policy: str, plan: Plan, scenario: Scenario, time: int = 0) -> Recourse:
    """Build a recourse policy by name.

    Parameters
    ----------
    policy
        A key of `POLICIES`.
    plan, scenario, time
        What is held, where, and which step.

    Raises
    ------
    ConfigError
        If the policy is unknown.
    ScenarioError
        If an island of the plan is not a tree or has no grid-forming DER.
    """
    if policy not in POLICIES:
        raise ConfigError(
            f"[campaign] recourse = {policy!r} is not known; "
            f"it must be one of {', '.join(POLICIES)}"
        )
    return POLICIES[policy](plan, scenario, time)
