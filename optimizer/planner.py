"""What every optimizer family offers, and the table of families."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Protocol

from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.policy_mode.options import PolicyModeOptions
from gridproof.optimizer.resiliency.options import ResiliencyOptions
from gridproof.optimizer.restoration.options import RestorationOptions
from gridproof.optimizer.solver.decomposition import PlanProgress
from gridproof.scenarios.errors import ConfigError

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.scenario import Scenario

__all__ = ["FAMILIES", "PlanProgress", "Planner", "make_planner"]


class Planner(Protocol):
    """Turns a scenario into a plan."""

    def plan(
        self, scenario: Scenario, *, progress: Callable[[PlanProgress], None] | None = None
    ) -> Plan:
        """Find a plan and what can be proven about it.

        Raises
        ------
        NoPlanExists
            Proven: none satisfies the scenario.
        PlanNotFound
            A limit came before any was found.
        """
        ...


# A planner's module is imported when one is made: Pyomo takes most of a second, and a process
# that reads a study or tries a plan makes none.


def _partitioning(options: PartitioningOptions) -> Planner:
    from gridproof.optimizer.partitioning.planner import PartitioningPlanner  # noqa: PLC0415

    return PartitioningPlanner(options=options)


def _restoration(options: RestorationOptions) -> Planner:
    from gridproof.optimizer.restoration.planner import RestorationPlanner  # noqa: PLC0415

    return RestorationPlanner(options=options)


def _policy_mode(options: PolicyModeOptions) -> Planner:
    from gridproof.optimizer.policy_mode.planner import PolicyModePlanner  # noqa: PLC0415

    return PolicyModePlanner(options=options)


def _resiliency(options: ResiliencyOptions) -> Planner:
    from gridproof.optimizer.resiliency.planner import ResiliencyPlanner  # noqa: PLC0415

    return ResiliencyPlanner(options=options)


FAMILIES: Mapping[str, tuple[type[Any], Callable[[Any], Planner]]] = MappingProxyType(
    {
        "partitioning": (PartitioningOptions, _partitioning),
        "restoration": (RestorationOptions, _restoration),
        "policy_mode": (PolicyModeOptions, _policy_mode),
        "resiliency": (ResiliencyOptions, _resiliency),
    }
)
"""Options of each family, and what makes its planner of them, by the name a study gives."""


def make_planner(family: str, options: Mapping[str, object]) -> Planner:
    """Build a planner by name.

    Parameters
    ----------
    family
        A key of `FAMILIES`.
    options
        Fields of that family's options; what is left out keeps its default.

    Raises
    ------
    ConfigError
        If the family or an option is unknown, or a value is out of range; every fault.
    """
    if family not in FAMILIES:
        raise ConfigError(
            f"[planner] family = {family!r} is not known; it must be one of {', '.join(FAMILIES)}"
        )
    options_type, made_of = FAMILIES[family]
    known = tuple(item.name for item in fields(options_type))
    faults = [
        f"[planner] {name} is not an option of {family}; it has {', '.join(known)}"
        for name in options
        if name not in known
    ]
    try:
        chosen = options_type(**{k: v for k, v in options.items() if k in known})
    except (TypeError, ValueError) as error:
        raise ConfigError([*faults, f"[planner] {error}"]) from error
    if faults:
        raise ConfigError(faults)
    return made_of(chosen)
