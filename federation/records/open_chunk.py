"""A chunk that is being tried: its rows so far, its profiles, what became of each realization."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from gridproof.federation.records.profile import Profile
from gridproof.federation.records.rows import Rows, joint_outcome, outcome_codes
from gridproof.federation.records.shelf import Laid, Shelf
from gridproof.scenarios.arrays import IntArray
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Outcome, Verdicts

__all__ = ["OpenChunk"]


@dataclass(slots=True, eq=False)
class _Batch:
    """A batch that has not come to its last step: its rows, and its profile at each step."""

    pieces: list[tuple[int, Laid]] = field(default_factory=list)
    profiles: dict[int, Profile] = field(default_factory=dict)


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
        By step, of the batches that are whole.
    causes
        By step, the first realization that erred and why.
    """

    scenario: Scenario
    plan: Plan
    steps: tuple[int, ...]
    first: int
    outcome: IntArray
    profiles: dict[int, Profile]
    causes: dict[int, tuple[int, str]] = field(default_factory=dict)
    _shelf: Shelf = field(default_factory=lambda: Shelf(on_disk=False))
    _pieces: list[tuple[int, Laid]] = field(default_factory=list)
    _waiting: dict[int, _Batch] = field(default_factory=dict)
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
            _shelf=Shelf(on_disk=len(steps) > 1),
        )

    @property
    def rows(self) -> int:
        """How many rows have come."""
        waiting = (piece for batch in self._waiting.values() for piece in batch.pieces)
        return sum(laid.rows for _, laid in (*self._pieces, *waiting))

    @property
    def done(self) -> int:
        """How many realizations are done, at every step."""
        return sum(laid.rows for _, laid in self._pieces) // len(self.steps)

    @property
    def sound(self) -> bool:
        """Whether some batch is whole, and rows and profiles speak of the same ones."""
        return not self._torn and bool(self._pieces)

    def add(self, step: int, rows: Rows, snapshots: Snapshots, verdicts: Verdicts) -> None:
        """Take a batch of one step; it counts when it has come to the last.

        What a stop leaves has each realization at every step, so the batch that is being lived
        through is kept apart until then.
        """
        if len(self.steps) == 1:
            self._torn = True  # until its profile and its rows have both taken the batch
            self.profiles[step].add(self.scenario, self.plan, snapshots, verdicts, time=step)
            self._pieces.append((step, self._shelf.lay(rows)))
            self._torn = False
        else:
            first = int(verdicts.index[0])
            batch = self._waiting.setdefault(first, _Batch())
            own = batch.profiles.setdefault(step, Profile.of(self.scenario, self.plan, step))
            own.add(self.scenario, self.plan, snapshots, verdicts, time=step)
            batch.pieces.append((step, self._shelf.lay(rows)))
            if len(batch.pieces) == len(self.steps):
                self._settle(first)
        at = verdicts.index - self.first
        self.outcome[at] = joint_outcome(np.stack([self.outcome[at], verdicts.outcome]))

    def _settle(self, first: int) -> None:
        """Count a batch that is whole."""
        self._torn = True
        batch = self._waiting.pop(first)
        for step, profile in batch.profiles.items():
            self.profiles[step].merge(profile)
        self._pieces.extend(batch.pieces)
        self._torn = False

    def settle_all(self) -> None:
        """Count every batch: steps may have come in pieces of their own, and all rows are there."""
        for first in list(self._waiting):
            self._settle(first)

    def keep_cause(self, step: int, index: int, said: str) -> None:
        """Take why a realization erred at a step; the first stays."""
        self.causes[step] = min(self.causes.get(step, (index, said)), (index, said))

    def take_up(
        self,
        rows: pa.Table,
        profiles: Sequence[Profile],
        causes: Mapping[int, tuple[int, str]],
    ) -> None:
        """Take what an earlier run did, in order."""
        self.causes.update(causes)
        count = rows.num_rows // len(self.steps)
        for k, step in enumerate(self.steps):
            self._pieces.append((step, self._shelf.lay(rows.slice(k * count, count))))
        self.profiles = dict(zip(self.steps, profiles, strict=True))
        codes = outcome_codes(rows.column("outcome")).reshape(len(self.steps), -1)
        self.outcome[: codes.shape[1]] = joint_outcome(codes)

    def outcome_of(self, index: IntArray) -> IntArray:
        """(realization,) codes of some realizations."""
        return self.outcome[index - self.first]

    def by_step(self) -> Iterator[pa.Table]:
        """Yield the rows of the batches that are whole, step by step, each in the order of index.

        One step at a time: all of them are as many times a step's memory.
        """
        for step in self.steps:
            yield _one_table([self._shelf.get(laid) for own, laid in self._pieces if own == step])


def _one_table(pieces: list[Rows | pa.Table]) -> pa.Table:
    """Make one table of a step's rows, and of what an earlier run left of them."""
    fresh = [piece for piece in pieces if isinstance(piece, Rows)]
    tables = [piece for piece in pieces if not isinstance(piece, Rows)]
    if fresh:
        tables.append(Rows.joined(fresh).table())
    whole, schema = pa.concat_tables(tables), tables[-1].schema
    index = whole.column("index").to_numpy()
    if (index[1:] < index[:-1]).any():
        whole = whole.sort_by([("index", "ascending")])
    return whole.combine_chunks().cast(schema)
