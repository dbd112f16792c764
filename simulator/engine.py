"""The contract of every engine: hold a plan, then observe realizations under it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from gridproof.scenarios.arrays import BoolArray
from gridproof.scenarios.margins import Worst
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots

__all__ = ["Engine", "Estimate", "Estimates"]


@runtime_checkable
class Engine(Protocol):
    """A model of the physics that answers realizations of one scenario.

    Laws every engine obeys (``tests/contracts`` tries them):

    * the answer to a realization is a function of (scenario, plan, step, realization,
      set-points) alone, to the last bit: neither what was observed before, nor the order
      within a batch, nor the batch's size, nor an earlier plan can change it;
    * what is dead is NaN volts, never zero volts, and draws no current;
    * a flow without solution is ``converged = False``, never an exception.
    """

    def hold(self, plan: Plan, time: int = 0) -> None:
        """Put switches, sources and roles into the states of one step of a plan.

        Parameters
        ----------
        plan
            Its axes are the scenario's.
        time
            The step.

        Raises
        ------
        EngineError
            If the plan is of another scenario or the simulator refused a command.
        """

    def observe(self, realizations: Realizations, setpoints: Setpoints) -> Snapshots:
        """Solve each realization with its own set-points under the held plan.

        Parameters
        ----------
        realizations
            What the loads ask for, in any order.
        setpoints
            What the DERs are told, for the same ``index`` in the same order.

        Raises
        ------
        EngineError
            If no plan is held, the two batches do not belong together, or the simulator
            refused a command.
        """

    def close(self) -> None:
        """Release what the engine holds; it cannot be used afterwards."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Estimate:
    """What an engine says of a batch before it is asked in earnest.

    Attributes
    ----------
    snapshots
        As of `Engine.observe`.
    trusted
        (realization,) whether all that draws stands where its model is known to hold.
    worst
        The least margins of the snapshots under the held plan, as `judge` would find them.
    """

    snapshots: Snapshots
    trusted: BoolArray
    worst: Worst


@runtime_checkable
class Estimates(Engine, Protocol):
    """An engine that can also say sooner, and less surely, what `observe` would."""

    def estimate(self, realizations: Realizations, setpoints: Setpoints) -> Estimate | None:
        """Answer as `observe` does, to some tolerance; None where it cannot under this plan."""
