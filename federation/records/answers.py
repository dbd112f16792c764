"""Answers that a campaign directory keeps beside its parts; `federation.inquiries.probe` asked."""

from __future__ import annotations

import json
from typing import Any

from federation.records.parts import plan_digest
from federation.records.store import CampaignStore
from scenarios.errors import StoreError
from scenarios.plan import Plan

__all__ = ["ADVERSARY", "RARE", "WHY", "kept_answers", "kept_why"]

ADVERSARY, RARE, WHY = "adversary.json", "rare.json", "why.json"
"""Where a campaign directory keeps the answers."""


def kept_answers(store: CampaignStore) -> dict[str, Any]:
    """Read what was asked of a campaign before: ``adversary`` and ``rare``, where there is one."""
    found = {}
    for key, name in (("adversary", ADVERSARY), ("rare", RARE)):
        text = store.read(name)
        if text is not None:
            found[key] = json.loads(text)
    return found


def kept_why(store: CampaignStore, plan: Plan) -> list[dict[str, Any]] | None:
    """Read why a plan's dead blocks are dead; None if it was not asked of this plan.

    Raises
    ------
    StoreError
        If the answers cannot be understood.
    """
    text = store.read(WHY)
    if text is None:
        return None
    try:
        kept = json.loads(text)
        return list(kept["blocks"]) if kept["plan"] == plan_digest(plan) else None
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{store.root / WHY} cannot be understood ({error!r}); delete it, and ask again with: "
            f"gridproof report {store.root} --why"
        ) from error
