"""The one place where set-points meet the physics: deliver, observe, judge, carry.

Everything that tries a plan walks through it, step by step::

    trial.enter(step, carried)                 the engine holds the step's part of the plan
    snapshots, verdicts = trial.observe(…)     as often as need be: again, in part, otherwise
    carried = trial.leave(snapshots)           what the next step is entered with
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, fields
from typing import TypeVar

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.carried import Carried, Passage, carry, deliver, planned
from gridproof.scenarios.margins import Worst
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Outcome, Verdicts, judge
from gridproof.simulator.engine import Engine

__all__ = ["Looked", "Settled", "Trace", "Trial", "as_stale", "put_rows", "with_outcome"]

T = TypeVar("T", Setpoints, Snapshots, Verdicts)
Looked = tuple[Snapshots, Worst | None]
"""What an engine observed, and the least margins if it has looked for them already."""


Trace = Mapping[str, FloatArray]
"""What is kept beside a batch's verdicts: (realization,) numbers by column name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settled:
    """One batch, judged: what was applied, what came of it, and what is kept beside it."""

    setpoints: Setpoints
    snapshots: Snapshots
    verdicts: Verdicts
    trace: Trace


class Trial:
    """A plan under an engine.

    Parameters
    ----------
    engine
        Held and asked here; closed by whoever made it.
    scenario, plan
        What is tried.
    """

    def __init__(self, engine: Engine, scenario: Scenario, plan: Plan) -> None:
        self.engine, self.scenario, self.plan = engine, scenario, plan
        self.step = 0
        self._held: tuple[int, Plan] | None = None
        self._carried: Carried | None = None
        self._index = np.zeros(0, np.int64)

    def enter(
        self, step: int, index: IntArray | None = None, carried: Carried | None = None
    ) -> None:
        """Hold one step of the plan.

        Parameters
        ----------
        step
            Which.
        index, carried
            What each realization of the batch brings into it; None where a step is an instant
            of its own, and neither energies nor ramps from step to step are judged.
        """
        self.step, self._carried = step, carried
        self._index = np.zeros(0, np.int64) if index is None else index
        self._hold(self.plan)

    def observe(
        self, batch: Realizations, setpoints: Setpoints, standing: Plan | None = None
    ) -> tuple[Snapshots, Verdicts]:
        """Put set-points to the physics and judge what comes of it.

        Parameters
        ----------
        batch, setpoints
            Of equal length and order; realizations of the batch that was entered with.
        standing
            What stands instead of the plan where switches did not act.
        """
        plan = self.plan if standing is None else standing
        self._hold(plan)
        return self._tried(self._observed, batch, setpoints, plan)

    def _observed(self, batch: Realizations, setpoints: Setpoints) -> Looked:
        return self.engine.observe(batch, setpoints), None

    def _tried(
        self,
        observe: Callable[[Realizations, Setpoints], Looked],
        batch: Realizations,
        setpoints: Setpoints,
        plan: Plan,
    ) -> tuple[Snapshots, Verdicts]:
        """Deliver, observe and judge under a plan that is held."""
        if self._carried is None and self.scenario.disturbances.empty:
            snapshots, worst = observe(batch, setpoints)
            return snapshots, judge(snapshots, plan, self.scenario, self.step, worst=worst)
        before = self._brought(batch.index)
        delivery = deliver(self.scenario, self.step, batch, setpoints, before)
        snapshots, worst = observe(batch, delivery.setpoints)
        passage = Passage(
            before=before,
            after=carry(self.scenario, self.step, before, snapshots),
            missing_kw=delivery.missing_kw,
            lost_kw=delivery.lost_kw,
        )
        return snapshots, judge(snapshots, plan, self.scenario, self.step, passage, worst=worst)

    def leave(self, snapshots: Snapshots) -> Carried | None:
        """Return what the batch takes into the next step, given how this one ended."""
        if self._carried is None:
            return None
        before = self._brought(snapshots.index)
        return carry(self.scenario, self.step, before, snapshots)

    def _brought(self, index: IntArray) -> Carried:
        if self._carried is None:  # an instant of its own, which events act on all the same
            return planned(self.scenario, self.plan, len(index), self.step)
        return self._carried.take(np.searchsorted(self._index, index))

    def _hold(self, plan: Plan) -> None:
        if self._held is None or self._held[0] != self.step or self._held[1] is not plan:
            self._held = None  # should the engine refuse, nothing is held
            self.engine.hold(plan, self.step)
            self._held = self.step, plan


def as_stale(verdicts: Verdicts, stale: BoolArray) -> Verdicts:
    """Judge as *stale* what was applied too late to say anything about the plan.

    Margins stay: they are what the physics did. A realization without recourse or solution,
    or one that the harness failed on, keeps its outcome.
    """
    kept = (Outcome.NO_RECOURSE, Outcome.NO_SOLUTION, Outcome.ERRED)
    keep = np.isin(verdicts.outcome, kept)
    return with_outcome(verdicts, np.where(stale & ~keep, Outcome.STALE, verdicts.outcome))


def put_rows(whole: T, rows: IntArray, part: T, *, ours: bool = False) -> T:
    """Return a batch with some of its rows as they are in another.

    If ``whole`` is ours, which nobody else holds, its own columns are written to.
    """
    columns = {}
    for column in fields(whole):
        values = getattr(whole, column.name)
        if ours:
            values.setflags(write=True)
        else:
            values = values.copy()
        values[rows] = getattr(part, column.name)
        values.setflags(write=False)  # so that the batch needs no copy of its own
        columns[column.name] = values
    return type(whole)(**columns)


def with_outcome(verdicts: Verdicts, outcome: IntArray) -> Verdicts:
    """Return the verdicts with other outcomes, margins as they are."""
    return Verdicts(
        index=verdicts.index,
        outcome=outcome,
        margin=verdicts.margin,
        element=verdicts.element,
        phase=verdicts.phase,
    )
