"""The one who writes a campaign's parts: keeps each, counts verdicts, records the run.

However many compute, one program writes: parts come to it encoded.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

from gridproof.federation.records.begun import begun_path, drop_begun, keep_begun
from gridproof.federation.records.parts import Begun, EncodedPart
from gridproof.federation.records.profile_store import keep_profiles
from gridproof.federation.records.rows import counted
from gridproof.federation.records.stopping import Stopper
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan import Plan, plan_digest
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import Outcome

__all__ = ["Keeper", "Tally", "stored_plan"]


_EARLY_S = 0.5


@dataclass(frozen=True, slots=True, kw_only=True)
class Tally:
    """How far a campaign has come.

    Attributes
    ----------
    done, total
        Realizations with a verdict, and asked for.
    resumed
        How many of ``done`` were there before this run.
    counts
        Realizations by outcome.
    seconds
        Since the plan was there, this run.
    looked
        Feasible of judged where the stopping rule looked last, chunks in their order: what an
        interval that is valid at any time may be made of. None without a rule.
    served
        Share of the load that the plan serves; None where nobody says.
    """

    done: int
    total: int
    resumed: int
    counts: Mapping[Outcome, int]
    seconds: float
    looked: tuple[int, int] | None = None
    served: float | None = None

    @property
    def rate(self) -> float | None:
        """Realizations a second in this run; None while it is too early to say."""
        fresh = self.done - self.resumed
        return fresh / self.seconds if fresh > 0 and self.seconds > _EARLY_S else None

    @property
    def left_s(self) -> float | None:
        """Time left at that rate, s; None while nothing can be said."""
        return None if self.rate is None else (self.total - self.done) / self.rate


def stored_plan(store: CampaignStore, scenario: Scenario) -> Plan | None:
    """Read the plan a campaign directory holds, if it holds one yet."""
    text = store.read("plan.json")
    if text is None:
        return None
    return plan_from_json(text, scenario, str(store.root / "plan.json"))


@dataclass(slots=True, kw_only=True, eq=False)
class Keeper:
    """Keeps encoded parts in any order.

    Attributes
    ----------
    store, scenario
        Where to, and what the plan speaks of.
    mode
        Kept in the record of the run.
    watch
        Called with a `Tally` whenever verdicts have come.
    stopper
        Hears of every whole chunk; says which count.
    """

    store: CampaignStore
    scenario: Scenario
    mode: str
    watch: Callable[[Tally], None] | None = None
    stopper: Stopper = field(init=False)
    _there: set[int] = field(default_factory=set)
    _begun: bool = False
    _recorded: bool = False
    _kept: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    _pending: dict[int, dict[Outcome, int]] = field(default_factory=dict)
    _resumed: int = 0
    _taken_up: dict[int, int] = field(default_factory=dict)
    _written: int = 0
    _begun_rows: dict[int, int] = field(default_factory=dict)
    _started_s: float = 0.0
    _started_at: str = ""
    _served: float | None = None

    def __post_init__(self) -> None:
        self.stopper = Stopper.of(self.store)

    def begin(self, plan: Plan) -> tuple[int, ...]:
        """Put the plan in place and count what is there; returns the finished chunks.

        Raises
        ------
        StoreError
            If the directory holds another plan, or parts made under another.
        """
        digest, kept = plan_digest(plan), stored_plan(self.store, self.scenario)
        self._served = plan.served_of(self.scenario, self.store.step)
        if kept is None:
            self.store.write("plan.json", plan_to_json(plan) + "\n")
        elif plan_digest(kept) != digest:
            raise StoreError(
                f"{self.store.root / 'plan.json'} is another plan than the one to be tried; "
                "give another --out"
            )
        finished = self.store.finished(digest)
        for chunk, outcome in zip(finished, self.store.outcomes(finished), strict=True):
            counts = counted(outcome)
            self._resumed += len(outcome)
            _add(self._kept, counts)
            self.stopper.saw(chunk, counts)
        self._there = set(finished)
        self._started_s = time.monotonic()
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")
        self._begun = True
        return finished

    def take_up(self, chunk: int, counts: Mapping[Outcome, int]) -> None:
        """Count what an earlier run did of a chunk that is not whole."""
        rows = sum(counts.values())
        self._taken_up[chunk] = rows
        self._resumed += rows
        _add(self._pending.setdefault(chunk, dict.fromkeys(Outcome, 0)), counts)

    def keep_begun(self, begun: Begun) -> None:
        """Write what is done of a chunk that is not whole.

        Raises
        ------
        StoreError
            If the disk refuses.
        """
        if begun.chunk < self.stopper.needed:
            keep_begun(self.store, begun)
            fresh = begun.realizations - self._taken_up.get(begun.chunk, 0)
            self._begun_rows[begun.chunk] = fresh

    def saw(self, chunk: int, counts: Mapping[Outcome, int]) -> None:
        """Hear of verdicts of a chunk that is not whole yet."""
        _add(self._pending.setdefault(chunk, dict.fromkeys(Outcome, 0)), counts)
        self._tell()

    def forget(self, chunk: int) -> None:
        """Drop what was heard of a chunk whose worker is lost."""
        self._pending.pop(chunk, None)

    def keep(self, part: EncodedPart) -> None:
        """Write a part; when this returns, it is on the disk under its own name.

        A part beyond the last that counts is dropped.

        Raises
        ------
        StoreError
            If the disk refuses; finished parts stay whole.
        """
        if part.chunk >= self.stopper.needed:
            self.forget(part.chunk)
            return
        # first: a part that is there has them
        keep_profiles(self.store.root, part.chunk, part.profiles, self.store.tried)
        self.store.keep_part(part.chunk, part.data)
        told = self._pending.pop(part.chunk, None)
        _add(self._kept, part.counts)
        self._written += sum(part.counts.values()) - self._taken_up.pop(part.chunk, 0)
        self._begun_rows.pop(part.chunk, None)
        if begun_path(self.store, part.chunk).exists():
            drop_begun(self.store, part.chunk)
        self.stopper.saw(part.chunk, part.counts)
        self._there.add(part.chunk)
        whole = len(self._there) >= self.stopper.needed
        if whole and not self.stopper.missing(tuple(self._there)):
            self.record("finished")
        if told != part.counts:
            self._tell()

    def tally(self) -> Tally:
        """How far the campaign has come."""
        counts = dict(self._kept)
        for pending in self._pending.values():
            _add(counts, pending)
        return Tally(
            done=sum(counts.values()),
            total=self.store.samples,
            resumed=self._resumed,
            counts=MappingProxyType(counts),
            seconds=time.monotonic() - self._started_s,
            looked=self.stopper.looked,
            served=self._served,
        )

    def record(self, ended: str) -> dict[str, Any]:
        """Append this run to the environment record, once; ``ended`` says how it came out."""
        run = {
            "mode": self.mode,
            "started": self._started_at,
            "seconds": round(time.monotonic() - self._started_s, 6),
            "realizations": self._written + sum(self._begun_rows.values()),
            "ended": ended,
        }
        if self._begun and not self._recorded:
            self._recorded = True
            self.store.record_run(run)
        return run

    def record_failure(self, error: BaseException) -> None:
        """Record a run that ended by an exception, which a full disk then does not replace."""
        try:
            self.record("interrupted" if isinstance(error, KeyboardInterrupt) else "failed")
        except StoreError as refused:
            error.add_note(f"and the run could not be recorded: {refused}")

    def _tell(self) -> None:
        if self.watch is not None:
            self.watch(self.tally())


def _add(counts: dict[Outcome, int], more: Mapping[Outcome, int]) -> None:
    for outcome, number in more.items():
        counts[outcome] += number
