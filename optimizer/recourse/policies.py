"""The second stage at a fixed plan: what to set the DERs to once the load is known.

Policies, by name:

``fixed``
    Set-points stay; the grid-forming DER takes up the mismatch.
``participation``
    Each DER of an island takes a fixed share of its mismatch (`optimizer.recourse.participation`).
``linear``
    Re-dispatch in LinDist3Flow within capability and ramp, held voltages as planned: first as
    far inside the limits as possible, then as cheap as possible (`optimizer.recourse.dispatch`).
``rule``
    What the plan's own response rule says: shared or affine, matrix products
    (`optimizer.recourse.rule`).
``affine``
    What the plan's affine rule says, active and reactive power of every phase: products
    (`optimizer.recourse.affine`).
``ac``
    As ``linear``, then corrected by what the physics showed, round by round
    (`optimizer.recourse.ac`).

An answer is a function of (plan, scenario, realization) alone: batch size, order and earlier
answers cannot change a bit of it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import TYPE_CHECKING, Protocol, runtime_checkable

from gridproof.optimizer.recourse.affine import AffineRecourse
from gridproof.optimizer.recourse.fixed import FixedRecourse
from gridproof.optimizer.recourse.rule import RuleRecourse
from gridproof.scenarios.errors import ConfigError, FederationError

if TYPE_CHECKING:
    from gridproof.scenarios.carried import Carried
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.realization import Realizations
    from gridproof.scenarios.scenario import Scenario
    from gridproof.scenarios.setpoints import Setpoints
    from gridproof.scenarios.snapshot import Snapshots

__all__ = [
    "CANNOT_CORRECT",
    "POLICIES",
    "Correcting",
    "Recourse",
    "Resting",
    "Stepwise",
    "make_recourse",
]


class Recourse(Protocol):
    """Answers realizations under a held plan."""

    def respond(self, realizations: Realizations, carried: Carried | None = None) -> Setpoints:
        """Return set-points for every realization; ``found`` is false where none exist.

        Parameters
        ----------
        realizations
            One step of them, where steps are tried one after another; never a later one.
        carried
            What each brings into the step: stored energies and last outputs.
        """
        ...


# Each policy's module is imported when it is asked for: the linear ones need Pyomo and HiGHS,
# which take a second to import.


def _participation(plan: Plan, scenario: Scenario, time: int) -> Recourse:
    from gridproof.optimizer.recourse.participation import ParticipationRecourse  # noqa: PLC0415

    return ParticipationRecourse(plan, scenario, time)


def _linear(plan: Plan, scenario: Scenario, time: int, *, quick: bool = False) -> Recourse:
    from gridproof.optimizer.recourse.linear import LinearRecourse  # noqa: PLC0415

    return LinearRecourse(plan, scenario, time, quick=quick)


def _ac(plan: Plan, scenario: Scenario, time: int) -> Recourse:
    from gridproof.optimizer.recourse.ac import AcRecourse  # noqa: PLC0415

    return AcRecourse(plan, scenario, time)


POLICIES: Mapping[str, Callable[[Plan, Scenario, int], Recourse]] = MappingProxyType(
    {
        "fixed": FixedRecourse,
        "participation": _participation,
        "rule": RuleRecourse,
        "affine": AffineRecourse,
        "linear": _linear,
        "ac": _ac,
    }
)
"""Recourse policies by the name a campaign gives."""


CANNOT_CORRECT = (
    "the feeder asks again with measurements, which this recourse cannot use; run "
    'both federates with [campaign] recourse = "ac", or both with another'
)


@runtime_checkable
class Correcting(Protocol):
    """A policy that can answer again, given what the physics showed."""

    def correct(
        self, realizations: Realizations, answer: Setpoints, measured: Snapshots
    ) -> Setpoints:
        """Return new set-points for the realizations measured, in their order."""
        ...


@runtime_checkable
class Resting(Protocol):
    """A policy that has learnt much, and can put it away until it is asked again."""

    def rest(self) -> None:
        """Take little memory until the next question; no answer depends on it."""
        ...


class Stepwise:
    """A policy at several steps: each batch is answered by the policy of its own step.

    What the policy of another step has learnt rests meanwhile, so that memory does not grow with
    the number of steps.

    Parameters
    ----------
    make
        From a step to the policy at it; called when the step is first asked for.
    """

    def __init__(self, make: Callable[[int], Recourse]) -> None:
        self._make, self._of_step, self._last = make, dict[int, Recourse](), -1

    def respond(self, realizations: Realizations, carried: Carried | None = None) -> Setpoints:
        """Answer a batch of one step."""
        return self._at(realizations.first_step).respond(realizations, carried)

    def correct(
        self, realizations: Realizations, answer: Setpoints, measured: Snapshots
    ) -> Setpoints:
        """Answer again, given what was measured; for policies that can."""
        one = self._at(realizations.first_step)
        if not isinstance(one, Correcting):
            raise FederationError(CANNOT_CORRECT)
        return one.correct(realizations, answer, measured)

    def _at(self, step: int) -> Recourse:
        before: object = self._of_step.get(self._last)
        if step != self._last and isinstance(before, Resting):
            before.rest()
        self._last = step
        if step not in self._of_step:
            self._of_step[step] = self._make(step)
        return self._of_step[step]


def make_recourse(
    policy: str, plan: Plan, scenario: Scenario, time: int = 0, *, quick: bool = False
) -> Recourse:
    """Build a recourse policy by name.

    Parameters
    ----------
    policy
        A key of `POLICIES`.
    plan, scenario, time
        What is held, where, and which step.
    quick
        Whether the programs of ``linear`` are walked by compiled loops, which needs numba; the same
        answers but for rounding.

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
    if quick and policy == "linear":
        return _linear(plan, scenario, time, quick=True)
    return POLICIES[policy](plan, scenario, time)
