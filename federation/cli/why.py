"""Why blocks are dead, asked from the command line."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from gridproof.federation.plain_text import PlainConsole
from gridproof.federation.records.plan_report import BlockAnswer
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario

__all__ = ["ask_why", "refuse_why"]


def refuse_why(name: str, family: str) -> None:
    """Refuse to ask why blocks are dead where the plan is of phases after failures.

    Raises
    ------
    ConfigError
        If the study's family is not ``partitioning``.
    """
    if family != "partitioning":
        raise ConfigError(
            f"{name}: --why explains plans of the family partitioning; this is a {family}, "
            "whose dead zones stand in the plan phase by phase"
        )


def ask_why(
    plan: Plan, scenario: Scenario, asked: Mapping[str, Any], *, quiet: bool
) -> tuple[BlockAnswer, ...]:
    """Say of every dead block of a plan what stands against serving it.

    ``asked`` are the options the planner was given.
    """
    # Pyomo is slow to import
    from gridproof.federation.reports.why_view import why_summary  # noqa: PLC0415
    from gridproof.optimizer.partitioning.why import why_dead  # noqa: PLC0415

    options = PartitioningOptions(**asked)
    screen = PlainConsole(stderr=True)
    if quiet or not screen.is_terminal:
        return why_summary(why_dead(plan, scenario, options))
    with screen.status("asking why blocks are dead …") as status:
        return why_summary(
            why_dead(plan, scenario, options, progress=lambda block: status.update(f"why {block}?"))
        )
