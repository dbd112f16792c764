"""Tri-level resiliency, read from here down: min (first stage) + max (loads, prices) min (day).

* `optimizer.resiliency.case`: what is known, (1)-(7) as budgets;
* `optimizer.resiliency.first_stage`: commitment (19), switching (20)-(26), placement (27);
* `optimizer.resiliency.operation`: the day, (10)-(18) and (28)-(56), and the price's dual;
* `optimizer.resiliency.adversary`: the worst loads, (64)-(91);
* `optimizer.resiliency.master`: (60)-(63), answered in turn with the adversary by
  `optimizer.solver.decomposition`, Table 2 of the paper, with both bounds at every iteration.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field

from gridproof.optimizer.resiliency.adversary import Adversary
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.decision import Decision, idle
from gridproof.optimizer.resiliency.grid import Grid, grid_of
from gridproof.optimizer.resiliency.guarded import guarded_day
from gridproof.optimizer.resiliency.master import ResiliencyMaster
from gridproof.optimizer.resiliency.of_scenario import ACTS_ON, case_of
from gridproof.optimizer.resiliency.options import ResiliencyOptions
from gridproof.optimizer.resiliency.publish import on_scenario, publish
from gridproof.optimizer.resiliency.recourse import Operated, Recourse
from gridproof.optimizer.resiliency.terms import terms_kusd
from gridproof.optimizer.solver.decomposition import PlanProgress, decompose
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import NoPlanExists, PlanNotFound
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.scenario import Scenario

__all__ = ["ACTS_ON", "ResiliencyPlanner", "Solution", "plan", "solve"]


_SETTLED, _OPEN = 0.5, 0.1
"""Share of the gap that a master is solved to: where one realization is the worst of every plan,
nothing else needs any of it."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solution:
    """What the search ended with; k$ throughout.

    Attributes
    ----------
    case, grid
        What was planned.
    decision
        The first stage.
    worst_up
        (hour, bus) the worst realization found: which loads deviate.
    operated, recourse
        The operation at it, and the program it is a point of.
    worst_found
        What the plan costs there: a cost that some realization really has.
    proof
        ``incumbent`` is what no realization exceeds, ``bound`` what no plan undercuts.
    terms
        (9)-(16) at the worst realization found; they add up to ``worst_found``.
    """

    case: ResiliencyCase
    grid: Grid
    decision: Decision
    worst_up: FloatArray
    operated: Operated
    recourse: Recourse
    worst_found: float
    proof: Proof
    terms: dict[str, float]

    @property
    def switches(self) -> tuple[str, ...]:
        """Ties that crews close, by name."""
        ids = self.case.network.line_ids
        return tuple(ids[k] for k in self.grid.ties[self.decision.closed.any(axis=0)])

    @property
    def placed(self) -> tuple[str, ...]:
        """Buses where mobile generators stand."""
        ids = self.case.network.bus_ids
        return tuple(ids[k] for k in self.case.sites[self.decision.placed])


def solve(
    case: ResiliencyCase,
    options: ResiliencyOptions | None = None,
    *,
    progress: Callable[[PlanProgress], None] | None = None,
) -> Solution:
    """Plan a case.

    Raises
    ------
    NoPlanExists
        If it is proven that none satisfies (1)-(56).
    PlanNotFound
        If a limit came before any was found.
    """
    asked, grid = options or ResiliencyOptions(), grid_of(case)
    adversary = Adversary(case, grid, proof_s=asked.proof_s, gap=0.1 * asked.gap)
    first, _ = adversary.climbed(idle(case, grid))
    adversary.earlier.append(first)
    master = ResiliencyMaster(case, grid, first, adversary.recourse)
    adversary.floor = lambda: (master.bound, asked.gap)
    outcome = decompose(
        master, adversary, gap=asked.gap,
        time_limit_s=asked.time_limit_s, max_iterations=asked.max_iterations,
        sharpness=_SETTLED if adversary.settled else _OPEN, progress=progress,
    )  # fmt: skip
    if outcome.candidate is None or outcome.worst is None:
        raise _without_plan(case, outcome.proof)
    decision = outcome.candidate
    up = outcome.worst.zeta.reshape(case.demand.p_kw.shape)
    adversary.recourse.hold(decision)
    operated = adversary.recourse.operate(up)
    return Solution(
        case=case,
        grid=grid,
        decision=decision,
        worst_up=up,
        operated=operated,
        recourse=adversary.recourse,
        worst_found=decision.cost(case) + operated.cost,
        proof=outcome.proof,
        terms=terms_kusd(case, adversary.recourse, decision, operated),
    )


def plan(
    case: ResiliencyCase,
    options: ResiliencyOptions | None = None,
    *,
    progress: Callable[[PlanProgress], None] | None = None,
) -> Plan:
    """Plan a case as every engine holds it: `solve`, then the day of `guarded_day`.

    Raises
    ------
    NoPlanExists, PlanNotFound
        As `solve`.
    """
    asked = options or ResiliencyOptions()
    found = solve(case, asked, progress=progress)
    day = guarded_day(case, found.grid, found.decision, asked)
    return publish(
        case, found.grid, found.decision, day, proof=found.proof, terms=found.terms,
        worst_found=found.worst_found, margin_pu=asked.forming_margin_pu,
    )  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ResiliencyPlanner:
    """Plans a scenario with a day's supply: all hours at once, against the worst loads."""

    options: ResiliencyOptions = field(default_factory=ResiliencyOptions)

    def plan(
        self, scenario: Scenario, *, progress: Callable[[PlanProgress], None] | None = None
    ) -> Plan:
        """Plan the case that a scenario states.

        Raises
        ------
        NoPlanExists, PlanNotFound
            As `solve`.
        ScenarioError
            If the scenario is none of this family.
        """
        return on_scenario(plan(case_of(scenario), self.options, progress=progress), scenario)


def _without_plan(case: ResiliencyCase, proof: Proof) -> NoPlanExists | PlanNotFound:
    if proof.termination is Termination.INFEASIBLE:
        return NoPlanExists(
            f"{case.name}: no first stage lets the day be operated within voltages and ratings; "
            "look at CHPs' least outputs and the band",
            proof,
        )
    return PlanNotFound(
        f"{case.name}: no plan within {proof.seconds['total']:.0f} s; raise time_limit_s", proof
    )
