"""Every exception the project raises on purpose.

::

    GridproofError
    ├── ConfigError         a file is wrong; ``.faults`` lists every fault, not the first
    ├── ScenarioError       the pieces contradict each other
    ├── PlanError
    │   ├── NoPlanExists    proven: no plan can satisfy the scenario
    │   └── PlanNotFound    a limit came first; ``.proof`` has what was shown until then
    ├── SolverError         the solver ended with neither an answer, a proof nor a limit
    ├── EngineError         the simulator refused a command (never: "it diverged")
    ├── StoreError          a campaign directory is torn, foreign or of another fingerprint
    └── FederationError
        ├── FederateLost    a federate died or failed
        └── DeadlinePassed  what was awaited, from whom, for how long

What the world does (a flow that diverges, a realization no re-dispatch can serve) is a
value, never one of these.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridproof.scenarios.proof import Proof

__all__ = [
    "ConfigError",
    "DeadlinePassed",
    "EngineError",
    "FederateLost",
    "FederationError",
    "GridproofError",
    "NoPlanExists",
    "PlanError",
    "PlanNotFound",
    "ScenarioError",
    "SolverError",
    "StoreError",
]


class GridproofError(Exception):
    """Root of the tree; the command line prints it without a traceback."""

    exit_code: int = 1


class ConfigError(GridproofError):
    """A file given by the user is wrong.

    Parameters
    ----------
    faults
        Every fault found, each one sentence: file, field, value found, remedy.
    """

    exit_code = 2

    def __init__(self, faults: Iterable[str] | str) -> None:
        self.faults: tuple[str, ...] = (faults,) if isinstance(faults, str) else tuple(faults)
        super().__init__("\n".join(self.faults))


class ScenarioError(ConfigError):
    """Pieces that are each well-formed contradict one another."""


class PlanError(GridproofError):
    """The optimizer ended without a plan.

    Parameters
    ----------
    message
        What was asked and what stood in the way.
    proof
        What the search had shown when it ended.
    """

    exit_code = 3

    def __init__(self, message: str, proof: Proof) -> None:
        self.proof = proof
        super().__init__(message)


class NoPlanExists(PlanError):
    """Proven: no plan satisfies the scenario."""


class PlanNotFound(PlanError):
    """A limit on time or iterations came before any plan was found."""


class SolverError(GridproofError):
    """The solver ended with neither an answer, a proof nor a limit; never "infeasible"."""


class EngineError(GridproofError):
    """The simulator refused a command; divergence is a verdict, not this."""


class StoreError(GridproofError):
    """A campaign directory is torn, foreign, or of another fingerprint."""

    exit_code = 2


class FederationError(GridproofError):
    """The co-simulation could not go on."""

    exit_code = 4


class FederateLost(FederationError):
    """A federate died, failed or left before it was done."""


class DeadlinePassed(FederationError):
    """A wait came to its deadline.

    Parameters
    ----------
    awaited
        What was waited for.
    whom
        The federate or broker it was awaited from.
    waited_s
        How long, in seconds.
    """

    def __init__(self, awaited: str, whom: str, waited_s: float) -> None:
        self.awaited, self.whom, self.waited_s = awaited, whom, waited_s
        super().__init__(f"waited {waited_s:.1f} s for {awaited} from {whom}; it did not come")
