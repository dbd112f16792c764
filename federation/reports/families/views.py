"""How plans of a family are shown: by name, for those that `federation.families` knows."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Generic, TypeVar

from gridproof.federation.families.registry import family_of, family_of_figures
from gridproof.federation.proof_words import PlanFigures
from gridproof.federation.reports.families.resiliency_tables import (
    resiliency_facts,
    resiliency_tables,
    resiliency_view,
)
from gridproof.federation.reports.families.restoration_tables import (
    restoration_facts,
    restoration_tables,
    restoration_view,
)
from gridproof.federation.reports.page import PageFigure
from gridproof.federation.tables.table import Table
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from rich.console import RenderableType

__all__ = ["FamilyView", "view_of", "view_of_figures"]


_F = TypeVar("_F", bound=PlanFigures)


@dataclass(frozen=True, slots=True, kw_only=True)
class FamilyView(Generic[_F]):
    """What a family shows in the place of the tables that any plan has.

    Attributes
    ----------
    source
        What a root of an island is called.
    terminal, facts, tables
        A plan's figures, of the type that its family declares: for the terminal, as terms, and
        as tables by name.
    pictures
        Draws a plan into a folder: as `federation.reports.page.figure_entry` has them.
    """

    source: str
    terminal: Callable[[_F], RenderableType]
    facts: Callable[[_F], tuple[tuple[str, str], ...]]
    tables: Callable[[_F], Mapping[str, Table]]
    pictures: Callable[[Plan, Scenario, Path], tuple[PageFigure, ...]]


def _stages(plan: Plan, scenario: Scenario, folder: Path) -> tuple[PageFigure, ...]:
    from gridproof.federation.reports.families.restoration_stages import stages  # noqa: PLC0415  (matplotlib is slow)

    return (stages(plan, scenario, folder),)


def _supply(plan: Plan, scenario: Scenario, folder: Path) -> tuple[PageFigure, ...]:
    from gridproof.federation.reports.families.resiliency_figures import supply_figure  # noqa: PLC0415  (matplotlib is slow)

    return (supply_figure(plan, scenario, folder),)


_VIEWS: Mapping[str, FamilyView[Any]] = {
    "restoration": FamilyView(
        source="source",
        terminal=restoration_view,
        facts=restoration_facts,
        tables=restoration_tables,
        pictures=_stages,
    ),
    "resiliency": FamilyView(
        source="forming source",
        terminal=resiliency_view,
        facts=resiliency_facts,
        tables=resiliency_tables,
        pictures=_supply,
    ),
}


def view_of(scenario: Scenario) -> FamilyView[Any] | None:
    """Return how plans of a scenario are shown; None where as any plan."""
    family = family_of(scenario)
    return None if family is None else _VIEWS[family.name]


def view_of_figures(told: PlanFigures) -> FamilyView[Any]:
    """Return how figures that a family declares are shown.

    Raises
    ------
    KeyError
        If no family declares figures of this type.
    """
    family = family_of_figures(told)
    if family is None:
        raise KeyError(type(told).__name__)
    return _VIEWS[family.name]
