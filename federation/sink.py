"""Where a feeder federate's results go: rows into chunks, chunks into parts, counts to watchers."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from types import MappingProxyType
from typing import Any

import pyarrow as pa

from federation.rows import outcome_counts, row_schema, table_of
from federation.store import CHUNK_ROWS, CampaignStore
from scenarios.arrays import content_digest
from scenarios.errors import StoreError
from scenarios.plan import Plan, Setpoints, plan_from_json, plan_to_json
from scenarios.realization import Realizations
from scenarios.scenario import Scenario
from scenarios.snapshot import Snapshots
from scenarios.verdict import Outcome, Verdicts

__all__ = ["CampaignSink", "Tally", "plan_digest", "stored_plan"]


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
    """

    done: int
    total: int
    resumed: int
    counts: Mapping[Outcome, int]
    seconds: float


def plan_digest(plan: Plan) -> str:
    """SHA-256 of what a plan decides; who made it, how long it took and its proof left out."""
    return content_digest(
        (
            plan.switch_ids,
            plan.block_ids,
            plan.der_ids,
            plan.closed,
            plan.energized,
            plan.grid_forming,
            plan.source_v_pu,
            plan.p_kw,
            plan.q_kvar,
        )
    )


def stored_plan(store: CampaignStore, scenario: Scenario) -> Plan | None:
    """Read the plan a campaign directory holds, if it holds one yet."""
    text = store.read("plan.json")
    if text is None:
        return None
    return plan_from_json(text, scenario, str(store.root / "plan.json"))


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
    """

    store: CampaignStore
    scenario: Scenario
    mode: str
    watch: Callable[[Tally], None] | None = None
    _plan: Plan | None = None
    _digest: str = ""
    _open: dict[int, list[pa.Table]] = field(default_factory=dict)
    _counts: dict[Outcome, int] = field(default_factory=lambda: dict.fromkeys(Outcome, 0))
    _resumed: int = 0
    _done: int = 0
    _written: int = 0
    _started_s: float = 0.0
    _started_at: str = ""

    def accept(self, plan: Plan) -> None:
        """Take the plan everything that follows is tried under.

        Raises
        ------
        StoreError
            If the directory holds another plan, or parts made under another.
        """
        self._plan, self._digest = plan, plan_digest(plan)
        kept = stored_plan(self.store, self.scenario)
        if kept is None:
            self.store.write("plan.json", plan_to_json(plan) + "\n")
        elif plan_digest(kept) != self._digest:
            raise StoreError(
                f"{self.store.root / 'plan.json'} is another plan than the one to be tried; "
                "give another --out"
            )
        finished = self.store.finished(self._digest)
        for table in self.store.tables(["outcome"], finished):
            self._resumed += table.num_rows
            _add(self._counts, outcome_counts(table.column("outcome")))
        self._done = self._resumed
        self._started_s = time.monotonic()
        self._started_at = datetime.now(UTC).isoformat(timespec="seconds")

    def write(
        self,
        realizations: Realizations,
        setpoints: Setpoints,  # noqa: ARG002  (what was commanded; rows keep what came of it)
        snapshots: Snapshots,
        verdicts: Verdicts,
    ) -> None:
        """Take one batch; chunks it completes are on the disk when this returns."""
        if self._plan is None:
            raise StoreError("results came before the plan they belong to; accept a plan first")
        rows = table_of(self.scenario, self._plan, realizations, snapshots, verdicts)
        _add(self._counts, outcome_counts(rows.column("outcome")))
        self._done += rows.num_rows
        start = 0
        chunks = realizations.index // CHUNK_ROWS
        while start < len(chunks):  # nearly always one turn: batches end where chunks do
            stop = start + int((chunks[start:] == chunks[start]).argmin() or len(chunks) - start)
            self._take(int(chunks[start]), rows.slice(start, stop - start))
            start = stop
        if self.watch is not None:
            self.watch(self.tally())

    def tally(self) -> Tally:
        """How far the campaign has come."""
        return Tally(
            done=self._done,
            total=self.store.samples,
            resumed=self._resumed,
            counts=MappingProxyType(dict(self._counts)),
            seconds=time.monotonic() - self._started_s,
        )

    def record(self, ended: str) -> dict[str, Any]:
        """Append this run to the environment record; ``ended`` says how it came out."""
        run = {
            "mode": self.mode,
            "started": self._started_at,
            "seconds": round(time.monotonic() - self._started_s, 6),
            "realizations": self._written,
            "ended": ended,
        }
        if self._plan is not None:
            self.store.record_run(run)
        return run

    def _take(self, chunk: int, rows: pa.Table) -> None:
        pieces = self._open.setdefault(chunk, [])
        pieces.append(rows)
        _, count = self.store.chunk_range(chunk)
        if sum(piece.num_rows for piece in pieces) < count:
            return
        whole = pa.concat_tables(pieces).sort_by("index").combine_chunks()
        self.store.write_part(chunk, whole.cast(row_schema(self.scenario)), self._digest)
        del self._open[chunk]
        self._written += count
        if self._written + self._resumed == self.store.samples:
            self.record("finished")


def _add(counts: dict[Outcome, int], more: Mapping[Outcome, int]) -> None:
    for outcome, number in more.items():
        counts[outcome] += number
