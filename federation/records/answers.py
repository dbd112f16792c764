"""Answers that a campaign directory keeps beside its parts; `federation.inquiries.probe` asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridproof.federation.files import read_json
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan import Plan, plan_digest
from gridproof.scenarios.strict_json import load_json

__all__ = ["ADVERSARY", "RARE", "WHY", "kept_answers", "kept_why"]

ADVERSARY, RARE, WHY = "adversary.json", "rare.json", "why.json"
"""Where a campaign directory keeps the answers."""

_NEEDED: Mapping[str, tuple[str, ...]] = {
    ADVERSARY: ("least_margin", "monte_carlo", "outcome"),
    RARE: ("reached", "probability", "below", "cov", "cov_upper"),
}
"""What is read of each; a file without it is no answer."""


def kept_answers(store: CampaignStore) -> dict[str, Any]:
    """Read what was asked of a campaign before: ``adversary`` and ``rare``, where there is one.

    Raises
    ------
    StoreError
        If an answer is torn or no answer; names it, and the command that gives it anew.
    """
    found: dict[str, Any] = {}
    if store.only is not None:
        return found  # asked of one step's campaign, never of all that this is a view on
    for name, needed in _NEEDED.items():
        path, command = store.root / name, name.removesuffix(".json")
        if not path.exists():
            continue
        remedy = f"delete it, and ask again with: gridproof {command} {store.root}"
        answer = read_json(path, remedy)
        missing = [key for key in needed if key not in answer]
        if missing:
            raise StoreError(f"{path} lacks {', '.join(missing)}; {remedy}")
        found[command] = answer
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
        kept = load_json(text)
        if kept["plan"] != plan_digest(plan):
            return None
        return [one for one in kept["blocks"] if store.only in (None, one["step"])]
    except (ValueError, KeyError, TypeError) as error:
        raise StoreError(
            f"{store.root / WHY} cannot be understood ({error!r}); delete it, and ask again with: "
            f"gridproof report {store.root} --why"
        ) from error
