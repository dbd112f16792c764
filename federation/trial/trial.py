"""What a trial hands on: a batch that was put to the physics and judged, and what is kept beside."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.plan import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Outcome, Verdicts

__all__ = ["Settled", "Trace", "as_stale", "with_outcome"]


Trace = Mapping[str, FloatArray]
"""What is kept beside a batch's verdicts: (realization,) numbers by column name."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Settled:
    """One batch, judged: what was applied, what came of it, and what is kept beside it."""

    setpoints: Setpoints
    snapshots: Snapshots
    verdicts: Verdicts
    trace: Trace


def as_stale(verdicts: Verdicts, stale: BoolArray) -> Verdicts:
    """Judge as *stale* what was applied too late to say anything about the plan.

    Margins stay: they are what the physics did. A realization without recourse or solution,
    or one that the harness failed on, keeps its outcome.
    """
    kept = (Outcome.NO_RECOURSE, Outcome.NO_SOLUTION, Outcome.ERRED)
    keep = np.isin(verdicts.outcome, kept)
    return with_outcome(verdicts, np.where(stale & ~keep, Outcome.STALE, verdicts.outcome))


def with_outcome(verdicts: Verdicts, outcome: IntArray) -> Verdicts:
    return Verdicts(
        index=verdicts.index,
        outcome=outcome,
        margin=verdicts.margin,
        element=verdicts.element,
        phase=verdicts.phase,
    )
