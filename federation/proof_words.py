"""What is proven of a plan here: a proof holds for what the plan was made for."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridproof.scenarios.plan import Plan
from gridproof.scenarios.provenance import Scope, differences, scope_of
from gridproof.scenarios.scenario import Scenario

__all__ = ["proof_facts", "scope_words"]

_LISTED = 8


def proof_facts(plan: Plan, scenario: Scenario) -> dict[str, Any]:
    """Say what is proven of a plan on this scenario, and what it was made for.

    Returns
    -------
    dict
        ``certified``, ``robust`` and ``optimal`` of this scenario: false where the plan was made
        for another; ``proof_holds``: ``here``, ``elsewhere`` or ``nowhere``; ``proven_elsewhere``:
        whether it is certified for what it was made for; ``differences``: each thing that is not
        as it was then; ``remark``: why a proof that the file states is not believed.
    """
    scope = scope_of(plan, scenario)
    here, found = scope is Scope.HERE, differences(plan.made_for, scenario)
    return {
        "certified": here and plan.proof.certified,
        "robust": here and plan.proof.robust,
        "optimal": here and plan.proof.optimal,
        "proof_holds": scope.value,
        "proven_elsewhere": scope is Scope.ELSEWHERE and plan.proof.certified,
        "made_for_this_study": scope is not Scope.NOWHERE and here,
        "differences": [
            {
                "what": one.what,
                "made_for": one.made_for,
                "tried_at": one.tried_at,
                "words": one.words,
            }
            for one in found
        ],
        "remark": plan.remark,
        **({"proven_over": plan.proof.over} if here and plan.proof.over else {}),
    }


def scope_words(facts: Mapping[str, Any]) -> str:
    """Say in one sentence where a proof holds; empty where it is this study's own."""
    if facts["proof_holds"] == Scope.HERE:
        return ""
    words = [str(one["words"]) for one in facts["differences"]]
    more = f" and {len(words) - _LISTED} more" if len(words) > _LISTED else ""
    told = f"made for: {', '.join(words[:_LISTED])}{more}" if words else ""
    if facts["proof_holds"] == Scope.NOWHERE:
        why = f" ({facts['remark']})" if facts["remark"] else ""
        return f"external, nothing is proven{why}" + (f"; {told}" if told else "")
    told = told or "made for another study; its file does not say in what it differs"
    return f"{told}. Its proof holds for what it was made for, not here"
