"""A study's plan, as its ``[planner]`` section asks for it: made once, or until it is proven."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING

from gridproof.optimizer.planner import PlanProgress, make_planner

if TYPE_CHECKING:
    from gridproof.federation.records.ac_proof_report import AcProofReport
    from gridproof.federation.studies.study import Study
    from gridproof.scenarios.plan import Plan

__all__ = ["Planned", "plan_study"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Planned:
    """A plan, and how it came to its AC proof if one was asked for."""

    plan: Plan
    ac_proof: AcProofReport | None = None


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
