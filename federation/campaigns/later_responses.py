"""What comes after the first remote response to a storm: crews, repairs, each planned and tried."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from gridproof.federation.config.study import PlannerConfig
from gridproof.optimizer.restoration.options import RestorationOptions
from gridproof.optimizer.restoration.planner import RestorationPlanner
from gridproof.scenarios.errors import ConfigError, PlanError
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_audit import audit_restoration
from gridproof.scenarios.restoration_later import ALL, LaterResponse, after
from gridproof.scenarios.restoration_states import PhaseStates
from gridproof.scenarios.scenario import Scenario

__all__ = ["LaterDraw", "later_draws", "read_responses"]

_CREWS, _REPAIR = "crews", "repair"

Tried = Callable[[Scenario, Plan], tuple[dict[str, int], float | None]]
"""From a plan to what AC said of its last phase: outcomes, and the lowest voltage."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LaterDraw:
    """What became of one later response of one storm.

    Attributes
    ----------
    name
        What had become possible.
    supplied_share, damaged_buses, dead_safe_buses
        After it.
    optimal
        Whether its search proved it.
    audit_faults
        Of its last phase as a graph.
    outcomes, v_min_pu
        Load realizations by what AC said, and the lowest voltage of a live bus.
    """

    name: str
    supplied_share: float
    damaged_buses: int
    dead_safe_buses: int
    optimal: bool
    audit_faults: tuple[str, ...]
    outcomes: Mapping[str, int]
    v_min_pu: float | None


def read_responses(asked: Sequence[str]) -> tuple[LaterResponse, ...]:
    """Read ``crews``, ``repair:3`` and ``repair:all``, one response each.

    Raises
    ------
    ConfigError
        If one is none of these.
    """
    found = []
    for text in asked:
        kind, _, number = text.partition(":")
        if text == _CREWS:
            found.append(LaterResponse(crews=True))
        elif kind == _REPAIR and (number == "all" or (number.isdecimal() and int(number) > 0)):
            mended = ALL if number == "all" else int(number)
            found.append(LaterResponse(mended=mended))
        else:
            raise ConfigError(
                f"--then {text} is no response; write crews, repair:3 (lines mended) or repair:all"
            )
    return tuple(found)


def later_draws(
    scenario: Scenario,
    first: PhaseStates,
    responses: Sequence[LaterResponse],
    planner: PlannerConfig,
    tried: Tried,
) -> tuple[LaterDraw, ...]:
    """Plan, audit and try each response from what the one before it left.

    Parameters
    ----------
    scenario
        The storm's own.
    first
        Of the first remote response.
    responses
        In their order.
    planner
        The study's.
    tried
        Puts a plan to the physics.

    Returns
    -------
    tuple of LaterDraw
        Up to the first that has no plan.
    """
    made, former = list[LaterDraw](), first
    search = RestorationPlanner(options=RestorationOptions(**planner.options))
    for count, one in enumerate(responses, start=1):
        case = after(scenario, responses[:count])
        try:
            plan, former = search.later(case, former)
        except PlanError:
            break
        made.append(_draw(case, plan, former, one.name, tried))
    return tuple(made)


def _draw(case: Outage, plan: Plan, decided: PhaseStates, name: str, tried: Tried) -> LaterDraw:
    outcomes, v_min_pu = tried(case.scenario, plan)
    live, safe = decided.energized[3], decided.available[3]
    proof = plan.proof
    return LaterDraw(
        name=name,
        supplied_share=float(decided.supplied_share(case)[3]),
        damaged_buses=int(np.count_nonzero(~safe)),
        dead_safe_buses=int(np.count_nonzero(safe & ~live)),
        optimal=proof.termination is Termination.OPTIMAL and proof.gap <= proof.asked_gap,
        # the rows before it are where it starts, no phases of a storm
        audit_faults=tuple(f for f in audit_restoration(case, decided) if f.startswith("t = 3")),
        outcomes=outcomes,
        v_min_pu=v_min_pu,
    )
