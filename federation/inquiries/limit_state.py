"""One number for a realization under a plan: how far inside its limits, with the physics asked.

What a search needs of a campaign: draw nothing, answer ``ζ`` with a margin, count what it cost.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from gridproof.federation.records.rows import rows_of
from gridproof.federation.trial.batch import try_batch
from gridproof.federation.trial.trial import Trial
from gridproof.optimizer.recourse.policies import Recourse
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.realization import Realizations, realize
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Outcome, Verdicts, least_margin
from gridproof.simulator.engine import Engine

__all__ = ["LimitState", "lost_or_least"]


class LimitState:
    """Margin of a plan as a function of the set's coordinates.

    ``g(ζ)`` is the `scenarios.verdict.least_margin`, so that ``g < 0`` exactly where the judge
    says *violated* (or *not mended*). Where nothing could be solved, or no re-dispatch exists,
    ``g = -inf``.

    Parameters
    ----------
    scenario, plan
        What is tried.
    recourse
        Who moves.
    make_engine
        The physics; held and closed here.
    batch
        Realizations put to the engine at once.
    rounds
        Most rounds in which the recourse is shown measurements and asked again.
    step
        The step of the plan that is tried.
    """

    def __init__(
        self,
        scenario: Scenario,
        plan: Plan,
        recourse: Recourse,
        make_engine: Callable[[Scenario], Engine],
        *,
        batch: int = 256,
        rounds: int = 0,
        step: int = 0,
    ) -> None:
        self._scenario, self._plan, self._recourse = scenario, plan, recourse
        self._engine, self._batch, self._rounds = make_engine(scenario), batch, rounds
        self.evaluations = 0
        self.erred = 0
        self._step = step
        self._trial = Trial(self._engine, scenario, plan)
        self._trial.enter(step)

    def __enter__(self) -> LimitState:
        return self

    def __exit__(self, *_: object) -> None:
        self._engine.close()

    def _solve(self, zeta: FloatArray) -> tuple[Realizations, Snapshots, Verdicts]:
        """Judge every row of ``zeta`` (point, direction), as a campaign would."""
        drawn = realize(self._scenario, zeta)
        snapshots, verdicts = try_batch(
            self._trial, drawn, recourse=self._recourse, rounds=self._rounds
        )
        self.evaluations += len(zeta)
        self.erred += int((verdicts.outcome == Outcome.ERRED).sum())
        return drawn, snapshots, verdicts

    def row(self, zeta: FloatArray) -> dict[str, Any]:
        """Return what a campaign would keep of one point (direction,), by column."""
        drawn, snapshots, verdicts = self._solve(zeta[None])
        rows = rows_of(self._scenario, self._plan, drawn, snapshots, verdicts, time=self._step)
        row: dict[str, Any] = rows.table().to_pylist()[0]
        return row

    def __call__(self, zeta: FloatArray) -> FloatArray:
        """(point,) ``g``; ``inf`` where the harness erred, which says nothing of the plan."""
        parts = [
            self._least(self._solve(zeta[first : first + self._batch])[2])
            for first in range(0, len(zeta), self._batch)
        ]
        return np.concatenate(parts) if parts else np.zeros(0)

    def _least(self, verdicts: Verdicts) -> FloatArray:
        least = lost_or_least(verdicts.margin, self._scenario.limits)
        return np.asarray(np.where(verdicts.outcome == Outcome.ERRED, np.inf, least))


def lost_or_least(margin: FloatArray, limits: Limits) -> FloatArray:
    """(realization,) `least_margin` of (realization, kind) margins; ``-inf`` where it is NaN."""
    least = least_margin(margin, limits)
    return np.asarray(np.where(np.isnan(least), -np.inf, least))
