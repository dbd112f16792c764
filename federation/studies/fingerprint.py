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

__all__ = ["fingerprint_of"]

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


def fingerprint_of(
    config: StudyConfig,
    scenario: Scenario,
    sampler: Sampler,
    foreign: ForeignPlanner | None,
    source: ForeignPlanner | None,
) -> str:
    """SHA-256 of all that decides; our own planner is in the configuration already."""
    decisive = config.model_dump(mode="json", exclude=_NEVER_DECIDES)
    if config.campaign.engine == "opendss":  # as before there was a choice
        [decisive["campaign"].pop(name) for name in ("engine", "guard", "audit_share")]
    parts = [decisive, scenario.digest(), content_digest(sampler)]  # a history's content, too
    parts += [] if foreign is None else [foreign.digest]
    parts += [] if source is None else [{"loads": source.digest}]
    text = json.dumps(parts, sort_keys=True, allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
