"""One batch tried as a campaign tries it, without a federation: asked, answered, judged, settled.

Whoever looks at single realizations outside a campaign (searches, storms) goes through here, so
that none of the steps between a draw and its verdict can be left out.
"""

from __future__ import annotations

from gridproof.federation.trial.rounds import Tried, mend, settle
from gridproof.optimizer.recourse.policies import Recourse
from gridproof.scenarios.plan import Plan, Setpoints
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Verdicts, judge
from gridproof.simulator.engine import Engine

__all__ = ["try_batch"]


def try_batch(
    drawn: Realizations,
    plan: Plan,
    scenario: Scenario,
    *,
    recourse: Recourse,
    engine: Engine,
    rounds: int = 0,
    step: int = 0,
) -> tuple[Snapshots, Verdicts]:
    """Try a plan on a batch of draws.

    Parameters
    ----------
    drawn
        Loads as drawn; what the plan sheds of them is not asked for.
    plan, scenario
        What is tried, and of what.
    recourse
        Who answers what is asked.
    engine
        Holds the plan at ``step`` already.
    rounds
        Most further rounds in which the recourse is shown measurements and asked again.
    step
        The step of the plan.

    Returns
    -------
    tuple
        What was solved last, and the verdicts a campaign would keep.
    """
    asked = plan.asked(drawn, scenario)
    answer = recourse.respond(asked)

    def observe(some: Realizations, told: Setpoints) -> tuple[Snapshots, Verdicts]:
        snapshots = engine.observe(some, told)
        return snapshots, judge(snapshots, plan, scenario, step)

    if not rounds:
        snapshots, verdicts = observe(asked, answer)
        return snapshots, settle(verdicts, answer)
    tried = Tried(recourse, asked, answer)
    settled = mend(
        asked, answer, rounds=rounds, observe=observe, ask=lambda _, measured: tried.again(measured)
    )
    return settled.snapshots, settled.verdicts
