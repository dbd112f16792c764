"""Rounds: a batch is asked again for what the physics did not accept, with measurements.

Round 0 is the plain exchange. In round ``r = 1 … K`` the feeder publishes what it measured of
the realizations that are still outside a limit, and nothing else; the planner answers those
rows, in that order. What becomes of a realization depends on itself alone, so neither the
batch nor what was asked before can change it.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import numpy as np
from gridproof.federation.trial.trial import Settled, Trace, put_rows
from gridproof.optimizer.recourse.policies import CANNOT_CORRECT, Correcting, Recourse
from gridproof.scenarios.arrays import BoolArray, IntArray
from gridproof.scenarios.errors import FederationError
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Outcome, Verdicts

__all__ = ["ROUNDS_COLUMN", "Tried", "mend", "settle"]

ROUNDS_COLUMN = "rounds"
"""Kept beside every verdict: how often the realization's measurements were sent."""

Ask = Callable[[int, Snapshots], Setpoints]
Observe = Callable[[Realizations, Setpoints], tuple[Snapshots, Verdicts]]


class Tried:
    """The planner's side: what was answered last of a batch, to be corrected.

    Parameters
    ----------
    recourse, batch, answer
        Who answers, what was asked, and what was answered in round 0.
    """

    def __init__(self, recourse: Recourse, batch: Realizations, answer: Setpoints) -> None:
        self._recourse, self._batch, self._answer = recourse, batch, answer

    def again(self, measured: Snapshots) -> Setpoints:
        """Answer the rows that were measured, in their order.

        Raises
        ------
        FederationError
            If the policy cannot correct itself, or was measured what it was not asked.
        """
        if not isinstance(self._recourse, Correcting):
            raise FederationError(CANNOT_CORRECT)
        rows = np.searchsorted(self._batch.index, measured.index)
        rows = np.minimum(rows, len(self._batch) - 1)
        if not np.array_equal(self._batch.index[rows], measured.index):
            raise FederationError(
                f"measurements of realizations {measured.index[:5]}… came for a batch of "
                f"{self._batch.index[:5]}…"
            )
        told = self._batch.take(rows), self._answer.take(rows)
        reply = self._recourse.correct(*told, measured)
        if not np.array_equal(reply.index, measured.index):
            raise FederationError("the recourse must keep the index and order of what it corrects")
        self._answer = put_rows(self._answer, rows, reply)
        return reply


def settle(verdicts: Verdicts, setpoints: Setpoints) -> Verdicts:
    """Judge as *no recourse* what the planner had no re-dispatch for; its margins are NaN."""
    return _without_recourse(verdicts, ~setpoints.found)


def mend(
    batch: Realizations, answer: Setpoints, *, rounds: int, observe: Observe, ask: Ask
) -> Settled:
    """Try an answer, and ask again for what is outside a limit.

    Parameters
    ----------
    batch, answer
        Realizations and what was answered first.
    rounds
        Most further rounds.
    observe
        Solves and judges, nothing settled.
    ask
        ``(round, measured)`` to new set-points for the rows measured.

    Returns
    -------
    Settled
        *Feasible* only where the last set-points' own AC solution is inside every limit;
        else *not mended*, or *no recourse* where the linear model had no re-dispatch to begin
        with. What is kept is the last set-points that had a solution.
    """
    snapshots, verdicts = observe(batch, answer)
    state = Settled(setpoints=answer, snapshots=snapshots, verdicts=verdicts, trace={})
    taken = np.zeros(len(batch))
    left = verdicts.outcome == Outcome.VIOLATED
    for number in range(1, rounds + 1):
        rows = np.flatnonzero(left)
        if not len(rows):
            break
        taken[rows] = number
        reply = ask(number, state.snapshots.take(rows))
        left[rows[~reply.found]] = False
        rows, reply = rows[reply.found], reply.take(reply.found)
        seen, judged = observe(batch.take(rows), reply)
        solved = np.isin(judged.outcome, (Outcome.FEASIBLE, Outcome.VIOLATED))
        left[rows] = judged.outcome == Outcome.VIOLATED
        tried = Settled(
            setpoints=reply.take(solved),
            snapshots=seen.take(solved),
            verdicts=judged.take(solved),
            trace={},
        )
        state = _merged(state, rows[solved], tried)
    return _ended(state, answer, {ROUNDS_COLUMN: taken})


def _merged(state: Settled, rows: IntArray, tried: Settled) -> Settled:
    """Put what was tried anew in the place of what was tried before."""
    return replace(
        state,
        setpoints=put_rows(state.setpoints, rows, tried.setpoints),
        snapshots=put_rows(state.snapshots, rows, tried.snapshots),
        verdicts=put_rows(state.verdicts, rows, tried.verdicts),
    )


def _ended(state: Settled, first: Setpoints, trace: Trace) -> Settled:
    outcome = state.verdicts.outcome
    feasible = outcome == Outcome.FEASIBLE
    missed = (outcome == Outcome.VIOLATED) & first.found
    verdicts = replace(state.verdicts, outcome=np.where(missed, Outcome.NOT_MENDED, outcome))
    verdicts = _without_recourse(verdicts, ~first.found & ~feasible)
    setpoints = replace(state.setpoints, found=first.found | feasible)
    return replace(state, setpoints=setpoints, verdicts=verdicts, trace=trace)


def _without_recourse(verdicts: Verdicts, lost: BoolArray) -> Verdicts:
    if not lost.any():
        return verdicts
    return Verdicts(
        index=verdicts.index,
        outcome=np.where(lost, Outcome.NO_RECOURSE, verdicts.outcome),
        margin=np.where(lost[:, None], np.nan, verdicts.margin),
        element=np.where(lost[:, None], -1, verdicts.element),
        phase=np.where(lost[:, None], -1, verdicts.phase),
    )
