"""Where a feeder federate's results go when it writes to the campaign directory itself."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from threading import Lock
from typing import Any

from gridproof.federation.records.begun import begun_chunks, read_begun
from gridproof.federation.records.keeper import Keeper, Tally, stored_plan
from gridproof.federation.records.parts import ChunkSink
from gridproof.federation.records.profile_store import decode_profile
from gridproof.federation.records.rows import counted
from gridproof.federation.records.stopping import Stopper
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.trial.trial import Trace
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan import Plan, plan_digest
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Verdicts

__all__ = ["CampaignSink", "Tally", "plan_digest", "stored_plan"]

_KEEP_EVERY_S = 30.0
"""So long may what is done of a chunk be in memory alone: a process that is killed says nothing."""

_PATIENCE_S = 1.0


@dataclass(slots=True, kw_only=True, eq=False)
class CampaignSink:
    """Takes batches in any order and size, writes each chunk as soon as it is whole.

    Attributes
    ----------
    store, scenario
        Where to, and what the rows speak of.
    mode
        Kept in the record of the run.
    watch
        Called with a `Tally` after every batch.
    traced
        Columns that come beside a batch's verdicts, by `keep_trace`.
    steps
        The steps of the plan that are tried, in order.
    """

    store: CampaignStore
    scenario: Scenario
    mode: str
    watch: Callable[[Tally], None] | None = None
    traced: Sequence[str] = ()
    steps: tuple[int, ...] = (0,)
    _keeper: Keeper = field(init=False)
    _chunks: ChunkSink = field(init=False)
    _writing: Lock = field(default_factory=Lock)
    _kept_at_s: float = 0.0

    def __post_init__(self) -> None:
        self._keeper = Keeper(
            store=self.store, scenario=self.scenario, mode=self.mode, watch=self.watch
        )
        self._chunks = ChunkSink(
            scenario=self.scenario,
            samples=self.store.samples,
            fingerprint=str(self.store.study["fingerprint"]),
            keep=self._keeper.keep,
            watch=self._keeper.saw,
            traced=self.traced,
            steps=self.steps,
        )

    def accept(self, plan: Plan) -> None:
        """Take the plan everything that follows is tried under.

        Raises
        ------
        StoreError
            If the directory holds another plan, or parts made under another.
        """
        self._keeper.begin(plan)
        self._chunks.accept(plan)
        self._kept_at_s = time.monotonic()
        digest, fingerprint = plan_digest(plan), str(self.store.study["fingerprint"])
        for chunk in begun_chunks(self.store):
            begun = read_begun(self.store, chunk, digest)
            if begun is None:
                continue
            profiles = [
                decode_profile(
                    data,
                    self.scenario,
                    plan,
                    chunk=chunk,
                    fingerprint=fingerprint,
                    plan_digest=digest,
                    time=step,
                )
                for step, data in zip(self.steps, begun.profiles, strict=True)
            ]
            self._keeper.take_up(chunk, counted(begun.outcome))
            self._chunks.go_on(chunk, begun.rows, profiles, begun.causes)

    def keep_trace(self, trace: Trace) -> None:
        """Take what is kept beside the verdicts of the batch that comes next."""
        self._chunks.keep_trace(trace)

    def keep_cause(self, index: int, said: str) -> None:
        """Take why a realization of the batch that comes next erred."""
        self._chunks.keep_cause(index, said)

    def forget(self, chunk: int) -> None:
        """Drop what has come of a chunk, to take all of it anew."""
        with self._writing:
            self._chunks.forget(chunk)

    def write(
        self,
        realizations: Realizations,
        setpoints: Setpoints,
        snapshots: Snapshots,
        verdicts: Verdicts,
        second: Verdicts | None = None,
    ) -> None:
        """Take one batch; chunks it completes are on the disk when this returns."""
        with self._writing:
            self._chunks.write(realizations, setpoints, snapshots, verdicts, second)
            if time.monotonic() - self._kept_at_s > _KEEP_EVERY_S:
                self._keep_begun()

    def _keep_begun(self) -> None:
        for begun in self._chunks.begun():
            self._keeper.keep_begun(begun)
        self._kept_at_s = time.monotonic()

    @property
    def stopper(self) -> Stopper:
        """Hears of every whole chunk; says which count."""
        return self._keeper.stopper

    def tally(self) -> Tally:
        """How far the campaign has come."""
        return self._keeper.tally()

    def record(self, ended: str) -> dict[str, Any]:
        """Append this run to the environment record; ``ended`` says how it came out."""
        return self._keeper.record(ended)

    def record_failure(self, error: BaseException) -> None:
        """Keep what was done, and record a run that ended by an exception."""
        # a feeder that hangs in the physics may hold it; what was kept last then has to do
        if self._writing.acquire(timeout=_PATIENCE_S):
            try:
                self._keep_begun()
            except StoreError as refused:
                error.add_note(f"and what was begun could not be kept: {refused}")
            finally:
                self._writing.release()
        self._keeper.record_failure(error)
