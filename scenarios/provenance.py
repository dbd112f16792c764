"""What a plan was made for, held against what it is tried on.

A plan may be tried on a study other than its own: that is what trying is for. What it needs
must be there (the network, its switches, where its DERs stand); all else may differ, is told
difference by difference, and what was proven then holds for what the plan was made for.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, is_dataclass
from enum import Enum, StrEnum
from typing import TYPE_CHECKING, Any

import numpy as np
from gridproof.scenarios.arrays import content_digest, unsaid
from gridproof.scenarios.earlier_facts import in_words_of_today
from gridproof.scenarios.proof import Termination

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.scenario import Scenario

__all__ = ["NEEDED", "NOT_STATED", "Difference", "Scope", "differences", "facts_of", "scope_of"]

NEEDED = (
    "feeder.buses.ids", "feeder.buses.phases",
    "feeder.lines.ids", "feeder.lines.from_bus", "feeder.lines.to_bus", "feeder.lines.phases",
    "feeder.lines.switchable",
    "feeder.transformers.ids", "feeder.transformers.from_bus", "feeder.transformers.to_bus",
    "feeder.transformers.windings",
    "feeder.sources.ids", "feeder.sources.bus",
    "ders.ids", "ders.bus", "ders.phases",
)  # fmt: skip
"""Facts without which a plan means something else: the network, its switches, its DERs."""

_NAMES = ("name", "feeder.name")
"""Facts that nothing proven depends on."""

NOT_STATED = "not stated"
"""What stands for a fact that the program which made the plan did not know of."""

_DIGITS = 12


class Scope(StrEnum):
    """Where a plan's proof holds."""

    HERE = "here"
    ELSEWHERE = "elsewhere"  # for what the plan was made for, which this is not
    NOWHERE = "nowhere"  # nothing is proven


@dataclass(frozen=True, slots=True, kw_only=True)
class Difference:
    """One thing that is not as it was when the plan was made.

    Attributes
    ----------
    what
        A field of the scenario, such as ``uncertainty.spread``.
    made_for, tried_at
        Its value then and now; where there are many, how many, their range and a digest.
    """

    what: str
    made_for: str
    tried_at: str

    @property
    def words(self) -> str:
        """As people read it: ``spread 0.15; tried at 0.25``."""
        label = self.what.removeprefix("uncertainty.").removeprefix("limits.")
        return f"{label} {self.made_for}; tried at {self.tried_at}"


def facts_of(scenario: Scenario) -> dict[str, str]:
    """List all that a plan or its proof may depend on, one short text a field.

    Two scenarios of the same facts have the same `Scenario.digest`, up to a collision of
    48 bits; a number that is the same for every element stands for itself.
    """
    return dict(_facts("", scenario))


def differences(made_for: Mapping[str, str], scenario: Scenario) -> tuple[Difference, ...]:
    """Say what is not as it was; nothing where a plan does not say what it was made for."""
    if not made_for:
        return ()
    now, said = dict(_facts("", scenario, silent=True)), facts_of(scenario)
    then = _stated(made_for)
    return tuple(
        Difference(what=key, made_for=then.get(key, NOT_STATED), tried_at=now.get(key, "none"))
        for key in dict.fromkeys([*then, *said])
        if then.get(key, NOT_STATED) != now.get(key, "none")
    )


def _stated(made_for: Mapping[str, str]) -> dict[str, str]:
    """Return what a plan says it was made for, by the names that facts have now."""
    try:
        return {name: _short(value) for name, value in in_words_of_today(made_for).items()}
    except (KeyError, ValueError):  # a file that was edited: its own words differ from all
        return dict(made_for)


def scope_of(plan: Plan, scenario: Scenario) -> Scope:
    """Say whether what was proven of a plan was proven of this scenario."""
    if plan.proof.termination is Termination.EXTERNAL:
        return Scope.NOWHERE
    if plan.scenario_digest == scenario.digest():
        return Scope.HERE
    named = all(one.what in _NAMES for one in differences(plan.made_for, scenario))
    return Scope.HERE if plan.made_for and named else Scope.ELSEWHERE


def _facts(prefix: str, value: Any, *, silent: bool = False) -> Iterator[tuple[str, str]]:
    """Walk the fields; with ``silent`` also those that say nothing, as a digest has it."""
    if is_dataclass(value) and not isinstance(value, type):
        for field in fields(value):
            held = getattr(value, field.name)
            if not field.compare or not (silent or not unsaid(field, held)):
                continue
            name = f"{prefix}.{field.name}" if prefix else field.name
            yield from _facts(name, held, silent=silent)
    else:
        yield prefix, _short(value)


def _short(value: Any) -> str:
    if isinstance(value, Enum):
        return str(value.value)
    if isinstance(value, str):
        return value
    if isinstance(value, np.ndarray):
        return _short_array(value)
    if isinstance(value, (tuple, list, Mapping)):
        return f"{len(value)} ({_digest(value)})" if len(value) else "none"
    return _number(value)


def _short_array(value: np.ndarray) -> str:
    if not value.size:
        return "none"
    first = value.flat[0]
    if value.dtype.kind in "fiu" and (value == first).all():
        return _number(first)
    if value.dtype.kind == "f" and np.isfinite(value).any():
        known = value[np.isfinite(value)]
        least, most = _number(known.min()), _number(known.max())
        return f"{value.size} from {least} to {most} ({_digest(value)})"
    return f"{value.size} ({_digest(value)})"


def _number(value: Any) -> str:
    plain = value.item() if isinstance(value, np.generic) else value
    return f"{plain + 0.0!r}" if isinstance(plain, float) else str(plain)


def _digest(value: Any) -> str:
    return content_digest(value)[:_DIGITS]
