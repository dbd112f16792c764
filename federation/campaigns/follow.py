"""Watching a campaign from outside: its directory tells how far it has come."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from types import MappingProxyType

from gridproof.federation.records.begun import begun_chunks, read_begun
from gridproof.federation.records.keeper import Tally
from gridproof.federation.records.losses import UnservedEnergy
from gridproof.federation.records.rows import counted, joint_outcome, outcome_codes
from gridproof.federation.records.stopping import Stopper
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.verdict import Outcome

__all__ = ["Follower", "following"]

_EVERY_S = 0.5


class Follower:
    """Counts the verdicts of a directory that others write to; reads each part once.

    Parameters
    ----------
    store
        The campaign; what it already holds counts as resumed.
    """

    def __init__(self, store: CampaignStore) -> None:
        self._store = store
        self._counts: dict[int, Mapping[Outcome, int]] = {}
        self._stopper = Stopper.of(store)
        self._energy = UnservedEnergy(hours=1.0)
        self._started_s: float | None = None
        self._note_start()
        self._count_new()
        self._resumed = sum(self._counted().values())

    @property
    def complete(self) -> bool:
        """Whether every part that counts was there at the last look."""
        enough = len(self._counts) >= self._stopper.needed
        return enough and not self._stopper.missing(tuple(self._counts))

    def look(self) -> Tally:
        """Count what has come since the last look.

        Raises
        ------
        StoreError
            If a part is torn or foreign.
        """
        self._note_start()
        self._count_new()
        last = self._stopper.needed - 1
        total = sum(self._store.chunk_range(last)) if last >= 0 else 0
        counts = self._counted()
        return Tally(
            done=sum(counts.values()),
            total=total,
            resumed=self._resumed,
            counts=MappingProxyType(counts),
            seconds=0.0 if self._started_s is None else time.monotonic() - self._started_s,
            looked=self._stopper.looked,
            served=self._energy.figures().served_share,
        )

    def _counted(self) -> dict[Outcome, int]:
        """Count the outcomes of the parts that count; a faster worker may have made others."""
        counts = dict.fromkeys(Outcome, 0)
        for chunk, one in self._counts.items():
            if chunk < self._stopper.needed:
                for outcome, number in one.items():
                    counts[outcome] += number
        for begun in self._begun() if self._stopper.rule is None else ():
            for outcome, number in begun.items():
                counts[outcome] += number
        return counts

    def _begun(self) -> Iterator[Mapping[Outcome, int]]:
        """Count what is kept of chunks that are not whole, which grows from look to look."""
        for chunk in begun_chunks(self._store):
            if chunk not in self._counts and (one := read_begun(self._store, chunk)) is not None:
                yield counted(one.outcome)

    def _note_start(self) -> None:
        if self._started_s is None and self._store.read("plan.json") is not None:
            self._started_s = time.monotonic()

    def _count_new(self) -> None:
        try:
            new = self._store.finished(besides=self._counts.keys())
            tables = list(self._store.tables(["outcome", "load_kw", "served_kw"], new))
        except StoreError as error:
            if isinstance(error.__cause__, FileNotFoundError):
                return  # a part that does not count was just removed: look again
            raise
        for chunk, table in zip(new, tables, strict=True):
            codes = outcome_codes(table.column("outcome")).reshape(len(self._store.tried), -1)
            counts = counted(joint_outcome(codes))
            self._stopper.saw(chunk, counts)
            self._counts[chunk] = counts
            self._energy.add(table)


@contextmanager
def following(store: CampaignStore, tell: Callable[[Tally], None] | None) -> Iterator[None]:
    """Tell how far a campaign has come, twice a second, while the body runs.

    Parameters
    ----------
    store
        The campaign that others write to.
    tell
        Told from a thread of its own; nothing is watched if None.
    """
    if tell is None:
        yield
        return
    ended = threading.Event()
    follower = Follower(store)

    def look() -> None:
        over = False
        while not over:  # one look more after the end: the last parts count too
            over = ended.wait(_EVERY_S)
            try:
                tell(follower.look())
            except StoreError:
                return  # whoever reads the result will say so; a watcher must not end a run

    thread = threading.Thread(target=look, name="campaign-follower", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join(10.0)
