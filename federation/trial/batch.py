"""One batch tried as a campaign tries it, without a federation: asked, answered, judged, settled.

Whoever looks at single realizations outside a campaign (searches, storms) goes through here, so
that none of the steps between a draw and its verdict can be left out.
"""

from __future__ import annotations

from gridproof.federation.trial.rounds import Tried, mend, settle
from gridproof.federation.trial.trial import Trial
from gridproof.optimizer.recourse.policies import Recourse
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Verdicts

__all__ = ["try_batch"]


def try_batch(
    trial: Trial, drawn: Realizations, *, recourse: Recourse, rounds: int = 0
) -> tuple[Snapshots, Verdicts]:
    """Try a plan on a batch of draws.

    Parameters
    ----------
    trial
        What is tried, at the step it has entered.
    drawn
        Loads as drawn; what the plan sheds of them is not asked for.
    recourse
        Who answers what is asked.
    rounds
        Most further rounds in which the recourse is shown measurements and asked again.

    Returns
    -------
    tuple
        What was solved last, and the verdicts a campaign would keep.
    """
    asked = trial.plan.asked(drawn, trial.scenario)
    answer = recourse.respond(asked)
    if not rounds:
        snapshots, verdicts = trial.observe(asked, answer)
        return snapshots, settle(verdicts, answer)
    tried = Tried(recourse, asked, answer)
    settled = mend(
        asked,
        answer,
        rounds=rounds,
        observe=trial.observe,
        ask=lambda _, measured: tried.again(measured),
    )
    return settled.snapshots, settled.verdicts
