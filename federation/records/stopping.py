"""Where a campaign with a stopping rule ends: a function of its parts in order, nothing else.

The rule looks after every chunk, at the realizations of all chunks up to it. The first chunk at
which it decides is the last that counts, so the end is the same whichever worker was faster,
however often the campaign was taken up, and whatever the batch.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace

from gridproof.federation.records.begun import begun_chunks, drop_begun
from gridproof.federation.records.campaign_report import StoppingReport
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.rows import counted
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.statistics.sequential import Decision, StoppingRule, confidence_sequence
from gridproof.scenarios.verdict import Outcome

__all__ = ["Stopper", "counted_chunks", "drop_surplus", "stopper_of", "until_enough"]


@dataclass(slots=True, kw_only=True, eq=False)
class Stopper:
    """Hears of chunks in any order, looks at them in theirs.

    Attributes
    ----------
    rule
        None for a campaign of fixed length.
    chunks
        Chunks of the whole campaign.
    decision
        What the rule decided, once it has.
    """

    rule: StoppingRule | None
    chunks: int
    decision: Decision | None = None
    _waiting: dict[int, tuple[int, int]] = field(default_factory=dict)
    _looked: int = 0
    _feasible: int = 0
    _trials: int = 0

    @classmethod
    def of(cls, store: CampaignStore) -> Stopper:
        """Return the stopper of a campaign, which has seen nothing yet."""
        return cls(
            rule=StoppingRule.of(store.study["config"]["campaign"]),
            chunks=-(-store.samples // CHUNK_ROWS),
        )

    @property
    def needed(self) -> int:
        """Chunks that count: all of them until the rule decides otherwise."""
        return self.chunks if self.decision is None else self._looked

    @property
    def looked(self) -> tuple[int, int] | None:
        """Feasible of judged at the last look; None without a rule."""
        return None if self.rule is None else (self._feasible, self._trials)

    def saw(self, chunk: int, counts: Mapping[Outcome, int]) -> None:
        """Take the outcomes of a whole chunk; ``erred`` counts neither way."""
        if self.rule is None or self.decision is not None or chunk < self._looked:
            return
        trials = sum(counts.values()) - counts.get(Outcome.ERRED, 0)
        self._waiting[chunk] = (counts.get(Outcome.FEASIBLE, 0), trials)
        while self.decision is None and self._looked in self._waiting:
            feasible, judged = self._waiting.pop(self._looked)
            self._feasible += feasible
            self._trials += judged
            self._looked += 1
            self.decision = self.rule.look(self._feasible, self._trials)

    def missing(self, finished: Sequence[int]) -> tuple[int, ...]:
        """Chunks that count and are not there."""
        return tuple(sorted(set(range(self.needed)) - set(finished)))

    def figures(self) -> StoppingReport | None:
        """Say why the campaign stopped, or that it did not; None without a rule."""
        if self.rule is None:
            return None
        low, high = confidence_sequence(self._feasible, self._trials, self.rule.confidence)
        return StoppingReport(
            kind=self.rule.kind,
            width=self.rule.width if self.rule.kind == "width" else None,
            share=self.rule.share if self.rule.kind == "target" else None,
            confidence=self.rule.confidence,
            reason=None if self.decision is None else self.decision.reason,
            feasible=self._feasible,
            judged=self._trials,
            looks=self._looked,
            interval=(low, high),
        )


def stopper_of(store: CampaignStore) -> Stopper:
    """Return the stopper of a campaign, having seen the parts that are there.

    Raises
    ------
    StoreError
        If a part is torn or foreign.
    """
    stopper = Stopper.of(store)
    if stopper.rule is not None:
        finished = store.finished()
        whole = replace(store, only=None)
        for chunk, outcome in zip(finished, whole.outcomes(finished), strict=True):
            stopper.saw(chunk, counted(outcome))
    return stopper


def until_enough(ranges: Iterable[tuple[int, int]], stopper: Stopper) -> Iterator[tuple[int, int]]:
    """Yield batches in order until the rule has decided on what came of those before."""
    for first, count in ranges:
        if first >= stopper.needed * CHUNK_ROWS:
            return
        yield first, count


def drop_surplus(store: CampaignStore, stopper: Stopper) -> tuple[int, ...]:
    """Delete parts beyond the last that counts, which a faster worker may have made."""
    surplus = tuple(chunk for chunk in store.finished() if chunk >= stopper.needed)
    for chunk in surplus:
        store.part_path(chunk).unlink(missing_ok=True)
    for chunk in begun_chunks(store):
        if chunk >= stopper.needed:
            drop_begun(store, chunk)
    return surplus


def counted_chunks(
    store: CampaignStore, plan_digest: str | None = None
) -> tuple[tuple[int, ...], StoppingReport | None]:
    """Return the chunks that count, and why the campaign stopped; None without a rule.

    Without a rule the rows of chunks that were begun and not finished count, too; a rule looks
    at whole chunks only.

    Raises
    ------
    StoreError
        If a part is torn or foreign.
    """
    finished, stopper = store.finished(plan_digest), stopper_of(store)
    if stopper.rule is None:
        return tuple(sorted({*finished, *begun_chunks(store)})), None
    return tuple(chunk for chunk in finished if chunk < stopper.needed), stopper.figures()
