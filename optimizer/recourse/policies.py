"""The second stage at a fixed plan: what to set the DERs to once the load is known.

Policies, by name:

``fixed``
    Set-points stay; the grid-forming DER takes up the mismatch.
``participation``
    Each DER of an island takes a fixed share of its mismatch (`optimizer.recourse.participation`).
``linear``
    Re-dispatch in LinDist3Flow within capability and ramp, held voltages as planned: first as
    far inside the limits as possible, then as cheap as possible (`optimizer.recourse.dispatch`).
``ac``
    As ``linear``, then corrected by what the physics showed, round by round
    (`optimizer.recourse.ac`).

An answer is a function of (plan, scenario, realization) alone: batch size, order and earlier
answers cannot change a bit of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol

from gridproof.optimizer.recourse.fixed import FixedRecourse
from gridproof.scenarios.errors import ConfigError

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan, Setpoints
    from gridproof.scenarios.realization import Realizations
    from gridproof.scenarios.scenario import Scenario

__all__ = ["POLICIES", "Recourse", "make_recourse"]


class Recourse(Protocol):
    """Answers realizations under a held plan."""

    def respond(self, realizations: Realizations) -> Setpoints:
        """Return set-points for every realization; ``found`` is false where none exist."""
        ...


# Each policy's module is imported when it is asked for: the linear ones need Pyomo and HiGHS,
# which take a second to import.


def _participation(plan: Plan, scenario: Scenario, time: int) -> Recourse:
    from gridproof.optimizer.recourse.participation import ParticipationRecourse  # noqa: PLC0415

    return ParticipationRecourse(plan, scenario, time)


def _linear(plan: Plan, scenario: Scenario, time: int) -> Recourse:
    from gridproof.optimizer.recourse.linear import LinearRecourse  # noqa: PLC0415

    return LinearRecourse(plan, scenario, time)


def _ac(plan: Plan, scenario: Scenario, time: int) -> Recourse:
    from gridproof.optimizer.recourse.ac import AcRecourse  # noqa: PLC0415

    return AcRecourse(plan, scenario, time)


POLICIES: Mapping[str, Callable[[Plan, Scenario, int], Recourse]] = MappingProxyType(
    {
        "fixed": FixedRecourse,
        "participation": _participation,
        "linear": _linear,
        "ac": _ac,
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
