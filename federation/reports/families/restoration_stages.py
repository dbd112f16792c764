"""The map of every phase of a restoration, ready to stand in a page."""

from __future__ import annotations

from pathlib import Path

from gridproof.federation.reports.families.restoration_figures import figure_stages, stage_maps
from gridproof.federation.reports.page import PageFigure, figure_entry
from gridproof.federation.wording import percent
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_states import states_of
from gridproof.scenarios.scenario import Scenario

__all__ = ["stages"]


def stages(plan: Plan, scenario: Scenario, folder: Path) -> PageFigure:
    """Draw the map of every phase."""
    case = Outage.of(scenario)
    folder.mkdir(parents=True, exist_ok=True)
    maps = stage_maps(case, states_of(plan, scenario))
    told = "; ".join(
        f"{one.phase}: {percent(one.supplied_share)} supplied, {one.damaged_buses} buses damaged, "
        f"{one.dead_safe_buses} dead but safe"
        for one in maps
    )
    return figure_entry(
        "stages",
        figure_stages(case, maps, folder / "stages"),
        title="The network in every phase, failures marked by a cross",
        description=f"Maps of the four phases. {told}.",
    )
