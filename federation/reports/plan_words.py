"""A plan's proof, cost and partial supply in words, for the terminal and the page alike."""

from __future__ import annotations

from gridproof.federation.proof_words import ProofFacts
from gridproof.federation.records.plan_report import LinearError, PlanReport
from gridproof.federation.wording import decimals
from gridproof.scenarios.provenance import Scope

__all__ = [
    "cost_words",
    "in_part_words",
    "linear_words",
    "proof_notes",
    "stage_words",
    "unrated_words",
]

_LISTED = 12


def cost_words(plan: PlanReport) -> str:
    """Say what a plan costs, USD, and what is known of the least there can be."""
    holds = plan.proof.proof_holds
    if holds is Scope.NOWHERE:
        shed, made = plan.shed_cost_usd, plan.generation_cost_usd
        if shed is None or made is None:
            return "not known"
        return (
            f"{decimals(shed + made, 2)} counted from its decisions; its re-dispatch is not known"
        )
    known = f"{_usd(plan.objective_usd)}, proven at least {_usd(plan.bound_usd)}"
    return known if holds is Scope.HERE else f"{known}, for what it was made for"


def in_part_words(plan: PlanReport) -> str:
    """Name the loads of a step that a plan serves in part; empty where there are none."""
    shares = plan.served_in_part
    if not shares:
        return ""
    named = [f"{name} {100.0 * share:g} %" for name, share in shares.items()]
    more = f" and {len(named) - _LISTED} more" if len(named) > _LISTED else ""
    return f", in part {', '.join(named[:_LISTED])}{more}"


def linear_words(told: LinearError) -> str:
    """Say how far the linear model is from OpenDSS in the plan's state."""
    at = "around an AC state" if told.linearised == "ac" else "flat"
    if told.error_pu is None:
        return f"{at}; {told.remark}"
    return (
        f"{at}; at most {told.error_pu:.1e} pu from OpenDSS in this plan's state, at bus "
        f"{told.bus} phase {told.phase}"
    )


def unrated_words(plan: PlanReport) -> str:
    """Name the lines that are held to no rating; empty where there are none."""
    names = plan.unrated_lines or ()
    if not names:
        return ""
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return f"{', '.join(names[:_LISTED])}{more}: the file states no rating, none is held"


def stage_words(plan: PlanReport) -> str:
    """Say how long each stage of planning took; empty where the family does not count it."""
    spent = plan.stages_s or {}
    return ", ".join(f"{name} {decimals(seconds, 1)} s" for name, seconds in spent.items())


def proof_notes(facts: ProofFacts) -> list[str]:
    """Say what must be known of a plan's proof before its campaign's figures are quoted."""
    if facts.proof_holds is Scope.NOWHERE:
        return ["Nothing is proven of the plan: it was made elsewhere, or edited."]
    if facts.proof_holds is Scope.ELSEWHERE:
        return ["The plan was made for another study; what was proven of it holds for that one."]
    if facts.optimal and not facts.robust:
        return ["The plan is optimal for the nominal load; nothing is proven of other loads."]
    if not facts.certified:
        return ["The plan is not certified optimal; its proof is under “The plan”."]
    return []


def _usd(value: float | None) -> str:
    return "not known" if value is None else f"{decimals(value, 2)}"
