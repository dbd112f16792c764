"""What is proven of a plan here: a proof holds for what the plan was made for."""

from __future__ import annotations

from dataclasses import dataclass, field

from gridproof.federation.jsonable import IF_KNOWN, INLINED, Jsonable
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.provenance import Scope, differences, scope_of
from gridproof.scenarios.scenario import Scenario

__all__ = ["PlanFigures", "ProofFacts", "ToldDifference", "proof_facts", "scope_words"]

_LISTED = 8


@dataclass(frozen=True, slots=True, kw_only=True)
class ToldDifference(Jsonable):
    """One thing that is not as it was when the plan was made, and the same in words."""

    what: str
    made_for: str
    tried_at: str
    words: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ProofFacts(Jsonable):
    """What is proven of a plan on one scenario, and what it was made for.

    Attributes
    ----------
    certified, robust, optimal
        Of this scenario: false where the plan was made for another.
    proof_holds
        Here, elsewhere or nowhere.
    proven_elsewhere
        Whether it is certified for what it was made for.
    made_for_this_study
        Whether that is this scenario.
    differences
        Each thing that is not as it was then.
    remark
        Why a proof that the file states is not believed.
    proven_over
        What the proof is over, where its family says so.
    """

    certified: bool
    robust: bool
    optimal: bool
    proof_holds: Scope
    proven_elsewhere: bool
    made_for_this_study: bool
    differences: tuple[ToldDifference, ...]
    remark: str
    proven_over: str | None = field(default=None, metadata=IF_KNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanFigures(Jsonable):
    """What is told of a plan whatever its family; each family's own figures are one of these.

    Attributes
    ----------
    family
        Who made it.
    proof
        What is proven of it here.
    """

    family: str
    proof: ProofFacts = field(metadata=INLINED)


def proof_facts(plan: Plan, scenario: Scenario) -> ProofFacts:
    """Say what is proven of a plan on this scenario, and what it was made for."""
    scope = scope_of(plan, scenario)
    here, found = scope is Scope.HERE, differences(plan.made_for, scenario)
    return ProofFacts(
        certified=here and plan.proof.certified,
        robust=here and plan.proof.robust,
        optimal=here and plan.proof.optimal,
        proof_holds=scope,
        proven_elsewhere=scope is Scope.ELSEWHERE and plan.proof.certified,
        made_for_this_study=here,
        differences=tuple(
            ToldDifference(
                what=one.what, made_for=one.made_for, tried_at=one.tried_at, words=one.words
            )
            for one in found
        ),
        remark=plan.remark,
        proven_over=(plan.proof.over or None) if here else None,
    )


def scope_words(facts: ProofFacts) -> str:
    """Say in one sentence where a proof holds; empty where it is this study's own."""
    if facts.proof_holds is Scope.HERE:
        return ""
    words = [one.words for one in facts.differences]
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    told = f"made for: {', '.join(words[:_LISTED])}{more}" if words else ""
    if facts.proof_holds is Scope.NOWHERE:
        why = f" ({facts.remark})" if facts.remark else ""
        return f"external, nothing is proven{why}" + (f"; {told}" if told else "")
    told = told or "made for another study; its file does not say in what it differs"
    return f"{told}. Its proof holds for what it was made for, not here"
