"""A study's plan, as its ``[planner]`` section asks for it: made once, or until it is proven."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gridproof.federation.proofs.planned import Planned
from gridproof.optimizer.planner import make_planner
from gridproof.optimizer.solver.decomposition import PlanProgress

if TYPE_CHECKING:
    from gridproof.federation.studies.study import Study

__all__ = ["plan_study"]


def plan_study(study: Study, *, progress: Callable[[PlanProgress], None] | None = None) -> Planned:
    """Plan a study by its own family; with ``ac_proof``, until the plan is proven.

    Raises
    ------
    PlanError
        `NoPlanExists` where that is proven, `PlanNotFound` where a limit came first, or where no
        plan could be proven.
    """
    asked = study.config.planner
    if asked.options.get("ac_proof"):
        from gridproof.federation.proofs.proven_plans import (  # noqa: PLC0415  (OpenDSS)
            plan_proven,
        )

        return plan_proven(study, progress=progress)
    made = make_planner(asked.family, asked.options).plan(study.scenario, progress=progress)
    return Planned(plan=made)
