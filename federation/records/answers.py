"""Answers that a campaign directory keeps beside its parts; `federation.inquiries.probe` asked."""

from __future__ import annotations

import json
from typing import Any

from federation.records.store import CampaignStore

__all__ = ["ADVERSARY", "RARE", "kept_answers"]

ADVERSARY, RARE = "adversary.json", "rare.json"
"""Where a campaign directory keeps the answers."""


def kept_answers(store: CampaignStore) -> dict[str, Any]:
    """Read what was asked of a campaign before: ``adversary`` and ``rare``, where there is one."""
    found = {}
    for key, name in (("adversary", ADVERSARY), ("rare", RARE)):
        text = store.read(name)
        if text is not None:
            found[key] = json.loads(text)
    return found
