"""Restoration as a family: a scenario with failures in, a plan with a step for each phase out.

`optimizer.restoration.planner` is the paper and speaks of a `RestorationCase`; here it is put
behind the `optimizer.planner.Planner` protocol, so that a campaign need not know which family it
tries.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING

from gridproof.optimizer.restoration.options import RestorationOptions
from gridproof.optimizer.restoration.planner import RestorationPlanner
from gridproof.optimizer.solver.decomposition import PlanProgress
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.restoration_trial import publish_restoration

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.scenario import Scenario

__all__ = ["PhasePlanner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PhasePlanner:
    """Plans the phases of a scenario in which lines failed.

    Deterministic: the nominal load decides, and nothing is proven of others.
    """

    options: RestorationOptions = field(default_factory=RestorationOptions)

    def plan(
        self, scenario: Scenario, *, progress: Callable[[PlanProgress], None] | None = None
    ) -> Plan:
        """Decide the switches of every phase.

        Parameters
        ----------
        scenario
            With its ``restoration``.
        progress
            Told when the search has ended; the program is solved once.

        Raises
        ------
        ScenarioError
            If nothing failed.
        NoPlanExists, PlanNotFound
            As `RestorationPlanner.plan`.
        """
        if scenario.restoration is None:
            raise ScenarioError(
                f"{scenario.name}: the restoration family plans after failures; state what failed "
                "in [restoration]"
            )
        began = perf_counter()
        tell = progress or (lambda _: None)
        decided = RestorationPlanner(self.options).plan(scenario.restoration)
        proof = decided.proof
        made = publish_restoration(decided, scenario)
        total = perf_counter() - began
        tell(
            PlanProgress(
                iteration=1,
                bound_usd=proof.bound_usd,
                incumbent_usd=proof.incumbent_usd,
                realizations=0,
                elapsed_s=total,
            )
        )
        seconds = MappingProxyType({**proof.seconds, "total": total})
        return replace(made, proof=replace(proof, seconds=seconds))
