"""Answers that a campaign directory keeps beside its parts; `federation.inquiries.probe` asked."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from federation.files import read_json
from federation.records.store import CampaignStore
from scenarios.errors import StoreError

__all__ = ["ADVERSARY", "RARE", "kept_answers"]

ADVERSARY, RARE = "adversary.json", "rare.json"
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
    found = {}
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
