"""Families of optimizers, by what they add to studies and records.

Whatever asks what a family adds asks here. A scenario is of the first family that knows it by its
own data (`Family.knows`), never by the name of the planner that was used: a plan that somebody
else made for it is told in the same figures. One that none knows is a network in which nothing
but loads and DERs moves, as the partitioning family plans it; no file here is needed for that.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Protocol

from gridproof.federation.config.study import PlannerConfig
from gridproof.federation.config.study_file import Origin
from gridproof.federation.families import (
    resiliency_facts,
    resiliency_study,
    restoration_facts,
    restoration_study,
)
from gridproof.federation.proof_words import PlanFigures
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box
from pydantic import BaseModel

__all__ = [
    "FAMILIES",
    "Builder",
    "Family",
    "family_named",
    "family_of",
    "family_of_figures",
    "section_faults",
]


class Builder(Protocol):
    """What a family has read of a study, ready to become its scenario."""

    def scenario(
        self,
        name: str,
        feeder: Feeder,
        sections: Mapping[str, BaseModel],
        *,
        uncertainty: Box,
        load_model: tuple[LoadModel, ...],
        draws_per_phase: bool,
    ) -> Scenario:
        """Put the scenario together.

        Raises
        ------
        ScenarioError
            With every contradiction between the pieces.
        """
        ...


@dataclass(frozen=True, slots=True, kw_only=True)
class Family:
    """What one family adds.

    Attributes
    ----------
    name
        As ``[planner] family`` has it, and the section of the study that is its own.
    tables
        Keys of that section that name files.
    knows
        Whether a scenario is one of this family's, by its own data.
    read
        Reads the section and its tables against the feeder: what it found, and every fault.
    figures
        The type of what is told of its plans, by which they are known again.
    summary
        A plan in figures, of all its steps.
    """

    name: str
    tables: tuple[str, ...]
    knows: Callable[[Scenario], bool]
    read: Callable[
        [Mapping[str, BaseModel], Feeder, Sequence[Path], Origin],
        tuple[Builder | None, list[str]],
    ]
    figures: type[PlanFigures]
    summary: Callable[[Plan, Scenario], PlanFigures]


FAMILIES = (
    Family(
        name=restoration_study.FAMILY,
        tables=("devices", "failures"),
        knows=lambda scenario: scenario.devices is not None,
        read=restoration_study.read_damage,
        figures=restoration_facts.RestorationFigures,
        summary=restoration_facts.restoration_summary,
    ),
    Family(
        name=resiliency_study.FAMILY,
        tables=("day",),
        knows=lambda scenario: scenario.supply is not None,
        read=resiliency_study.read_day,
        figures=resiliency_facts.ResiliencyFigures,
        summary=resiliency_facts.resiliency_summary,
    ),
)
"""Every family that adds something, the most particular first."""


def family_of(scenario: Scenario) -> Family | None:
    """Return the family that knows a scenario by its data; None where none does."""
    return next((one for one in FAMILIES if one.knows(scenario)), None)


def family_of_figures(told: PlanFigures) -> Family | None:
    """Return the family whose plans are told so; None where any plan is."""
    return next((one for one in FAMILIES if isinstance(told, one.figures)), None)


def family_named(sections: Mapping[str, BaseModel]) -> Family | None:
    """Return the family that a study names; None where it adds nothing."""
    planner = sections.get("planner")
    name = planner.family if isinstance(planner, PlannerConfig) else None
    return next((one for one in FAMILIES if one.name == name), None)


def section_faults(sections: Mapping[str, BaseModel], origin: Origin) -> list[str]:
    """Find sections of families that the study does not name."""
    named, faults = family_named(sections), []
    for family in FAMILIES:
        section = sections.get(family.name)
        if family is named or section is None or section == type(section)():
            continue
        wrong = f'is for [planner] family = "{family.name}"; name that family, or leave it out'
        faults.append(f"{origin.place((family.name,))} {wrong}")
    return faults
