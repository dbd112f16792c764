"""What a campaign is: everything that can change a plan or a verdict, and nothing else."""

from __future__ import annotations

import hashlib
import json
from typing import Any

from gridproof.federation.config.foreign import ForeignPlanner
from gridproof.federation.config.study import StudyConfig
from gridproof.federation.families.registry import FAMILIES
from gridproof.scenarios.arrays import content_digest
from gridproof.scenarios.sampling import Sampler
from gridproof.scenarios.scenario import Scenario

__all__ = ["decisive", "fingerprint_of"]

_NEVER_DECIDES: dict[str, Any] = {
    **dict.fromkeys(("study", "federation"), True),
    "feeder": {"path"},
    "substation": True,  # all it says is in the scenario, and so in its digest
    "uncertainty": {"spread_down", "spread_up", "spreads_down", "spreads_up"},  # likewise
    # the first refuses, and decides nothing; the others are in the scenario
    "limits": {"radial_blocks", "line_ratings_a", "transformer_ratings_kva"},
    "campaign": {"batch", "horizon_h", "history"},
    **{family.name: set(family.tables) for family in FAMILIES},
}
"""What cannot change a plan or a verdict: names, places, deadlines, batching."""

_LATER: dict[str, dict[str, Any]] = {
    "campaign": {"engine": "opendss", "guard": 1e-5, "audit_share": 0.01},
    "planner": {"max_served_kw": None},
    "realtime": {"start": None},
    "devices": {"kind": "sunspec", "settle_s": {}},
}
"""Keys that came when campaigns were kept already, and what held before they could be said: at that
value they are left out, so that a campaign that was begun before goes on. The values are history,
whatever the defaults become."""


_LATER_OF_A_DER: dict[str, Any] = {"power_factor": None, "capability": None}
"""The same of a DER's row, and of what all have."""


def fingerprint_of(
    config: StudyConfig,
    scenario: Scenario,
    sampler: Sampler,
    foreign: ForeignPlanner | None,
    source: ForeignPlanner | None,
) -> str:
    """SHA-256 of all that decides; our own planner is in the configuration already."""
    parts = [
        decisive(config),
        scenario.digest(),
        content_digest(sampler),
    ]  # a history's content, too
    parts += [] if foreign is None else [foreign.digest]
    parts += [] if source is None else [{"loads": source.digest}]
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()


def decisive(config: StudyConfig) -> dict[str, Any]:
    """Return what of a configuration decides, in the words that it was first kept in."""
    found = config.model_dump(mode="json", exclude=_NEVER_DECIDES)
    unused = {"guard", "audit_share"} if config.campaign.engine == "opendss" else set()
    for section, before in _LATER.items():
        kept = found.get(section) or {}
        for key, value in before.items():
            if key in kept and (kept[key] == value or key in unused):
                del kept[key]
    ders = found.get("ders") or {}
    for row in (ders.get("defaults"), *(ders.get("fleet") or {}).values()):
        for key, value in _LATER_OF_A_DER.items():
            if row is not None and key in row and row[key] == value:
                del row[key]
    return found
