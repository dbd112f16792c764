"""One configuration for all steps: planned at the hardest, shown to hold at the others.

Switches, live blocks and grid-forming roles are decided once; base set-points and held voltages
hour by hour. The hardest step is planned first; the configuration found is then fixed and every
other step planned under it. Where one of them has no robust plan under it, that step is planned
freely in its turn and its configuration tried, until one holds at every step or none is left.

What is proven: robust over the set at every step. The bound adds what each step was shown to cost
at least: of a step planned freely its own, of one planned under a configuration nothing but that
no cost is negative.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.solver.decomposition import Outcome
from gridproof.scenarios.scenario import Scenario

__all__ = ["hardest_first", "holding", "plan_each", "plan_held"]

PlanStep = Callable[[Scenario, int], Outcome[FirstStage]]
"""Plans one step of a scenario."""


def hardest_first(scenario: Scenario) -> tuple[int, ...]:
    """Order the steps by what DERs must carry at the top of the set, most first.

    ``Σ demand · (1 + high · spread) - Σ`` schedules and least availability.
    """
    steps = range(len(scenario.hours))
    spread = np.zeros(len(scenario.feeder.loads.ids))
    own = scenario.uncertainty
    box = dict(zip(own.load_ids, own.spread * own.high, strict=True))
    for k, name in enumerate(scenario.feeder.loads.ids):
        spread[k] = box.get(name, 0.0)
    rated = scenario.ders.p_max_kw.sum()
    net = [
        float((scenario.load_p_kw[t].sum(axis=1) * (1.0 + spread)).sum())
        + float(rated - scenario.ders_at(t).p_max_kw.sum())
        for t in steps
    ]
    return tuple(sorted(steps, key=lambda t: (-net[t], t)))


def holding(scenario: Scenario, stage: FirstStage) -> Scenario:
    """Return the scenario with a configuration fixed: its switches, and who may form."""
    feeder = scenario.feeder
    closed = feeder.lines.closed.copy()
    closed[feeder.switches] = stage.closed
    return replace(
        scenario,
        feeder=replace(feeder, lines=replace(feeder.lines, closed=closed)),
        ders=replace(scenario.ders, can_form=scenario.ders.can_form & stage.forming),
        locked=np.ones(len(feeder.switches), bool),
    )


def plan_each(
    scenario: Scenario, plan_step: PlanStep
) -> tuple[list[Outcome[FirstStage]], int | None]:
    """Plan every step on its own; as `plan_held` otherwise."""
    found = []
    for step in range(len(scenario.hours)):
        found.append(plan_step(scenario, step))
        if found[-1].candidate is None:
            return found, step
    return found, None


def plan_held(
    scenario: Scenario, plan_step: PlanStep
) -> tuple[list[Outcome[FirstStage]], int | None]:
    """Plan every step under one configuration.

    Parameters
    ----------
    scenario
        Of several steps.
    plan_step
        How a step is planned; called with the scenario as it is, or with a configuration fixed.

    Returns
    -------
    outcomes, failed
        One outcome a step, and None; or the outcome of the step that ended without a plan, and
        its number.
    """
    order = hardest_first(scenario)
    tried: list[FirstStage] = []
    for hardest in order:
        first = plan_step(scenario, hardest)
        if first.candidate is None:
            return [first], hardest
        if any(_same(first.candidate, one) for one in tried):
            continue
        tried.append(first.candidate)
        found = _under(scenario, order, hardest, first, plan_step)
        if found is not None:
            return found, None
    return [first], order[0]


def _under(
    scenario: Scenario,
    order: tuple[int, ...],
    hardest: int,
    first: Outcome[FirstStage],
    plan_step: PlanStep,
) -> list[Outcome[FirstStage]] | None:
    """Plan the other steps under a configuration; None where one does not hold under it."""
    assert first.candidate is not None
    fixed, found = holding(scenario, first.candidate), {hardest: first}
    for step in order:
        if step == hardest:
            continue
        outcome = plan_step(fixed, step)
        if outcome.candidate is None or not _same(outcome.candidate, first.candidate):
            return None
        found[step] = replace(outcome, proof=replace(outcome.proof, bound=0.0))
    return [found[step] for step in sorted(found)]


def _same(one: FirstStage, other: FirstStage) -> bool:
    return (
        np.array_equal(one.closed, other.closed)
        and np.array_equal(one.energized, other.energized)
        and np.array_equal(one.forming, other.forming)
    )
