"""How plans of a family are shown: by name, for those that `federation.families` knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from gridproof.federation.families.registry import family_of
from gridproof.federation.reports.families.restoration_tables import (
    restoration_facts,
    restoration_tables,
    restoration_view,
)
from gridproof.federation.tables.table import Table
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from rich.console import RenderableType

__all__ = ["FamilyView", "view_of", "view_of_figures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyView:
    """What a family shows in the place of the tables that any plan has.

    Attributes
    ----------
    source
        What a root of an island is called.
    shows
        Whether a plan's figures are this family's.
    terminal, facts, tables
        A plan's figures, as its family's summary has them: for the terminal, as terms, and as
        tables by name.
    pictures
        Draws a plan into a folder: figures as `federation.reports.page.figure_entry` has them.
    """

    source: str
    shows: Callable[[Mapping[str, Any]], bool]
    terminal: Callable[[Mapping[str, Any]], RenderableType]
    facts: Callable[[Mapping[str, Any]], tuple[tuple[str, str], ...]]
    tables: Callable[[Mapping[str, Any]], Mapping[str, Table]]
    pictures: Callable[[Plan, Scenario, Path], tuple[Mapping[str, Any], ...]]


def _stages(plan: Plan, scenario: Scenario, folder: Path) -> tuple[Mapping[str, Any], ...]:
    from gridproof.federation.reports.families.restoration_stages import stages  # noqa: PLC0415  (matplotlib is slow)

    return (stages(plan, scenario, folder),)


_VIEWS: Mapping[str, FamilyView] = {
    "restoration": FamilyView(
        source="source",
        shows=lambda told: "phases" in told,
        terminal=restoration_view,
        facts=restoration_facts,
        tables=restoration_tables,
        pictures=_stages,
    )
}


def view_of(scenario: Scenario) -> FamilyView | None:
    """Return how plans of a scenario are shown; None where as any plan."""
    family = family_of(scenario)
    return None if family is None else _VIEWS[family.name]


def view_of_figures(told: Mapping[str, Any]) -> FamilyView | None:
    """Return how a plan in figures is shown; None where as any plan."""
    return next((view for view in _VIEWS.values() if view.shows(told)), None)
