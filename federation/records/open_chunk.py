"""A chunk that is being tried: its rows so far, its profiles, what became of each realization."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from gridproof.federation.records.profile import Profile
from gridproof.federation.records.rows import STEP, joint_outcome, outcome_codes
from gridproof.scenarios.arrays import IntArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Outcome, Verdicts

__all__ = ["OpenChunk"]


@dataclass(slots=True, kw_only=True, eq=False)
class OpenChunk:
    """What has come of one chunk.

    Attributes
    ----------
    scenario, plan, steps
        What is tried, at which steps in order.
    first
        Index of its first realization.
    outcome
        (realization,) codes so far: over the steps that have come, as `joint_outcome` has it.
    profiles
        By step.
    """

    scenario: Scenario
    plan: Plan
    steps: tuple[int, ...]
    first: int
    outcome: IntArray
    profiles: dict[int, Profile]
    _pieces: list[pa.Table] = field(default_factory=list)
    _torn: bool = False

    @classmethod
    def of(
        cls, scenario: Scenario, plan: Plan, steps: tuple[int, ...], first: int, count: int
    ) -> OpenChunk:
        """Return a chunk of which nothing has come."""
        return cls(
            scenario=scenario,
            plan=plan,
            steps=steps,
            first=first,
            outcome=np.full(count, Outcome.FEASIBLE, np.int64),
            profiles={step: Profile.of(scenario, plan, step) for step in steps},
        )

    @property
    def rows(self) -> int:
        """How many rows have come."""
        return sum(piece.num_rows for piece in self._pieces)

    @property
    def sound(self) -> bool:
        """Whether rows and profiles speak of the same batches, each at every step."""
        return not self._torn and bool(self._pieces) and self.rows % len(self.steps) == 0

    def add(self, step: int, rows: pa.Table, snapshots: Snapshots, verdicts: Verdicts) -> None:
        """Take a batch of one step."""
        self._torn = True  # until its profile and its rows have both taken the batch
        self.profiles[step].add(self.scenario, self.plan, snapshots, verdicts, time=step)
        self._pieces.append(rows)
        at = verdicts.index - self.first
        self.outcome[at] = joint_outcome(np.stack([self.outcome[at], verdicts.outcome]))
        self._torn = False

    def take_up(self, rows: pa.Table, profiles: Sequence[Profile]) -> None:
        """Take what an earlier run did, in order."""
        self._pieces.append(rows)
        self.profiles = dict(zip(self.steps, profiles, strict=True))
        codes = outcome_codes(rows.column("outcome")).reshape(len(self.steps), -1)
        self.outcome[: codes.shape[1]] = joint_outcome(codes)

    def outcome_of(self, index: IntArray) -> IntArray:
        """(realization,) codes of some realizations."""
        return self.outcome[index - self.first]

    def in_order(self) -> pa.Table:
        """Return the rows by step and index."""
        keys = [(STEP, "ascending")] if len(self.steps) > 1 else []
        whole = pa.concat_tables(self._pieces).sort_by([*keys, ("index", "ascending")])
        return whole.combine_chunks().cast(self._pieces[-1].schema)
