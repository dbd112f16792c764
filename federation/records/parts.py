"""The parts of a campaign as bytes: which realizations belong to one, and how it is encoded.

Pure functions of rows and of what they belong to, so that a part has the same bytes whoever
makes it: the program that keeps it, one of its workers, or a machine elsewhere.
"""

from __future__ import annotations

import io
import json
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from gridproof.federation.records.open_chunk import OpenChunk
from gridproof.federation.records.profile import Profile
from gridproof.federation.records.profile_store import encode_profile
from gridproof.federation.records.rows import STEP, counted, rows_of
from gridproof.federation.trial.trial import Trace
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.plan import Plan, plan_digest
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.setpoints import Setpoints
from gridproof.scenarios.snapshot import Snapshots
from gridproof.scenarios.verdict import Outcome, Verdicts

__all__ = [
    "CHUNK_ROWS",
    "FORMAT",
    "STAMP_KEY",
    "Begun",
    "ChunkSink",
    "EncodedPart",
    "batches",
    "causes_in_stamp",
    "chunk_range",
    "encode_part",
    "encode_tables",
    "plan_digest",
    "runs_without_gap",
    "stamp_of_causes",
]

FORMAT = "gridproof-campaign/1"
STAMP_KEY = "gridproof"
"""Key of a part's own metadata: what it belongs to, as JSON."""

CHUNK_ROWS = 2048
"""Realizations per part: under a second of work on a small feeder, about half a megabyte."""


@dataclass(frozen=True, slots=True, kw_only=True)
class EncodedPart:
    """One chunk, ready to be kept.

    Attributes
    ----------
    chunk
        Its number.
    data
        The file's bytes.
    counts
        Its realizations by outcome.
    profiles
        The bytes of its profile at each step, kept beside it.
    """

    chunk: int
    data: bytes
    counts: Mapping[Outcome, int]
    profiles: tuple[bytes, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The first realizations of a chunk that is not whole, so many, with their profiles' bytes.

    ``by_step`` yields their rows, a table a step; ``causes`` are of the first realization that
    erred at each step, if one did.
    """

    chunk: int
    realizations: int
    by_step: Callable[[], Iterator[pa.Table]]
    profiles: tuple[bytes, ...]
    plan_digest: str
    causes: Mapping[int, tuple[int, str]] = field(default_factory=dict)


def chunk_range(chunk: int, samples: int) -> tuple[int, int]:
    """First realization and count of a chunk of a campaign of so many samples."""
    first = chunk * CHUNK_ROWS
    return first, min(CHUNK_ROWS, samples - first)


def batches(chunk: int, samples: int, batch: int) -> tuple[tuple[int, int], ...]:
    """Batches ``(first, count)`` of a chunk; none crosses its bounds."""
    first, count = chunk_range(chunk, samples)
    end = first + count
    return tuple((start, min(batch, end - start)) for start in range(first, end, batch))


def encode_part(
    chunk: int,
    tables: Iterable[pa.Table],
    *,
    samples: int,
    fingerprint: str,
    plan_digest: str,
    causes: Mapping[int, tuple[int, str]] | None = None,
) -> bytes:
    """Encode one chunk; the bytes depend on the arguments alone.

    Parameters
    ----------
    tables
        Its rows, a table a step; asked for one by one.
    causes
        By step, the first realization of the chunk that erred there, and why; kept with what it
        belongs to.

    Raises
    ------
    StoreError
        If the rows are not the chunk's, in order.
    """
    first, count = chunk_range(chunk, samples)
    stamp: dict[str, Any] = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "plan": plan_digest,
        "chunk": chunk,
    }

    def told(table: pa.Table) -> dict[str | bytes, str | bytes]:
        stepped = STEP in table.column_names
        whole = stamp | stamp_of_causes(causes or {}, stepped=stepped)
        return {STAMP_KEY: json.dumps(whole, sort_keys=True)}

    def checked() -> Iterator[pa.Table]:
        last = -1
        for table in tables:
            step = int(table.column(STEP)[0].as_py()) if STEP in table.column_names else 0
            if step <= last or not runs_without_gap(table, first, count):
                raise StoreError(
                    f"chunk {chunk} needs realizations {first} to {first + count - 1} in order, at "
                    f"every step; found {table.num_rows} rows at step {step}"
                )
            last = step
            yield table

    return encode_tables(checked(), told, group=count)


def encode_tables(
    tables: Iterable[pa.Table],
    told: Callable[[pa.Table], dict[str | bytes, str | bytes]],
    *,
    group: int,
) -> bytes:
    """Encode tables of one schema as one file, each let go of before the next is asked for.

    Parameters
    ----------
    tables
        At least one.
    told
        What the file says of itself, given the first of them.
    group
        Rows of a row group: of a step, where there are several.
    """
    sink, rest = io.BytesIO(), iter(tables)
    first = next(rest)
    own = told(first)
    strings = [f.name for f in first.schema if not pa.types.is_floating(f.type)]
    with pq.ParquetWriter(
        sink,
        first.schema.with_metadata(own),
        compression="zstd",
        compression_level=3,
        use_dictionary=strings,
        write_page_checksum=True,
    ) as writer:
        for table in chain((first,), rest):
            writer.write_table(table.replace_schema_metadata(own), row_group_size=group)
    return sink.getvalue()


def stamp_of_causes(causes: Mapping[int, tuple[int, str]], *, stepped: bool) -> dict[str, Any]:
    """Put into a stamp why realizations erred: by step, where a part holds several."""
    said = {
        str(step): {"first": index, "said": why} for step, (index, why) in sorted(causes.items())
    }
    if not said:
        return {}
    return {"erred": said if stepped else next(iter(said.values()))}


def causes_in_stamp(stamp: Mapping[str, Any], steps: Sequence[int]) -> dict[int, tuple[int, str]]:
    """Read back what `stamp_of_causes` put, by step; of one that does not say which, nothing."""
    erred = stamp.get("erred", {})
    if "first" in erred:
        erred = {str(steps[0]): erred} if len(steps) == 1 else {}
    return {int(step): (int(one["first"]), str(one["said"])) for step, one in erred.items()}


def runs_without_gap(table: pa.Table, first: int, count: int) -> bool:
    """Whether rows are realizations ``first …``, so many, in order; step after step if several."""
    index = table.column("index").to_numpy()
    steps = table.column(STEP).to_numpy() if STEP in table.column_names else np.zeros(len(index))
    groups = len(index) // count if count else 0
    wanted = np.tile(np.arange(first, first + count), groups)
    marks = steps.reshape(groups, count) if len(index) == groups * count else np.zeros((0, 0))
    return (
        groups > 0
        and np.array_equal(index, wanted)
        and bool((marks == marks[:, :1]).all())
        and bool((np.diff(marks[:, 0]) > 0).all())
    )


@dataclass(slots=True, kw_only=True, eq=False)
class ChunkSink:
    """Takes batches in any order and size; hands over each chunk as soon as it is whole.

    Attributes
    ----------
    scenario, samples, fingerprint
        What the rows speak of and belong to.
    traced
        Columns that come beside a batch's verdicts, by `keep_trace`.
    keep
        Receives the encoded parts.
    watch
        Told the outcomes of every batch, with its chunks.
    steps
        The steps of the plan that are tried, in order.
    """

    scenario: Scenario
    samples: int
    fingerprint: str
    keep: Callable[[EncodedPart], None]
    watch: Callable[[int, Mapping[Outcome, int]], None] | None = None
    traced: Sequence[str] = ()
    steps: tuple[int, ...] = (0,)
    _trace: Trace | None = None
    _plan: Plan | None = None
    _digest: str = ""
    _open: dict[int, OpenChunk] = field(default_factory=dict)
    _causes: list[tuple[int, str]] = field(default_factory=list)
    _anew: set[int] = field(default_factory=set)

    def accept(self, plan: Plan) -> None:
        """Take the plan everything that follows is tried under."""
        self._plan, self._digest = plan, plan_digest(plan)

    def keep_trace(self, trace: Trace) -> None:
        """Take what is kept beside the verdicts of the batch that comes next."""
        self._trace = trace

    def keep_cause(self, index: int, said: str) -> None:
        """Take why a realization of the batch that comes next erred.

        A chunk keeps the first of each step.
        """
        self._causes.append((index, said))

    def write(
        self,
        realizations: Realizations,
        setpoints: Setpoints,  # noqa: ARG002  (what was commanded; rows keep what came of it)
        snapshots: Snapshots,
        verdicts: Verdicts,
        second: Verdicts | None = None,
    ) -> None:
        """Take one batch; the parts of chunks it completes are handed over."""
        if self._plan is None:
            raise StoreError("results came before the plan they belong to; accept a plan first")
        step = realizations.first_step if len(self.steps) > 1 else self.steps[0]
        rows = rows_of(
            self.scenario,
            self._plan,
            realizations,
            snapshots,
            verdicts,
            second=second,
            time=step,
            stepped=len(self.steps) > 1,
        )
        if self.traced:
            rows, self._trace = rows.traced(self._trace, self.traced), None
        for index, said in self._causes:
            self._opened(index // CHUNK_ROWS).keep_cause(step, index, said)
        self._causes.clear()
        start = 0
        chunks = realizations.index // CHUNK_ROWS
        while start < len(chunks):  # nearly always one turn: batches end where chunks do
            stop = start + int((chunks[start:] == chunks[start]).argmin() or len(chunks) - start)
            part = verdicts if stop - start == len(chunks) else verdicts.take(slice(start, stop))
            chunk = int(chunks[start])
            self._opened(chunk).add(step, rows.take(slice(start, stop)), snapshots, part)
            self._hand_over(chunk, step, part)
            start = stop

    def forget(self, chunk: int) -> None:
        """Drop what has come of a chunk, to take it anew, and keep it only when it is whole."""
        one = self._open.pop(chunk, None)
        self._anew.add(chunk)  # half done, it would be taken up as if nothing had been dropped
        if one is not None and self.watch is not None:
            told = counted(one.outcome[: one.done])
            self.watch(chunk, {kind: -count for kind, count in told.items()})

    def begun(self) -> tuple[Begun, ...]:
        """Return what is done of every chunk that is not whole, from its first row without a gap.

        A batch that has not come to its last step is left out, and a chunk with a gap: its
        profiles count rows that would be missing.
        """
        found = []
        for chunk, one in self._open.items():
            if not one.sound or chunk in self._anew:
                continue
            first, done = chunk_range(chunk, self.samples)[0], one.done
            if not all(runs_without_gap(rows, first, done) for rows in one.by_step()):
                continue
            kept = {step: cause for step, cause in one.causes.items() if cause[0] < first + done}
            found.append(
                Begun(
                    chunk=chunk,
                    realizations=done,
                    by_step=one.by_step,
                    profiles=self._profiles_of(chunk, one),
                    plan_digest=self._digest,
                    causes=kept,
                )
            )
        return tuple(found)

    def go_on(
        self,
        chunk: int,
        rows: pa.Table,
        profiles: Sequence[Profile],
        causes: Mapping[int, tuple[int, str]],
    ) -> None:
        """Take up what an earlier run did of a chunk; nobody is told of it again."""
        one = self._opened(chunk)
        one.take_up(rows, profiles, causes)
        self._hand_over_whole(chunk)  # it may have been stopped between its last row and its part

    def _opened(self, chunk: int) -> OpenChunk:
        assert self._plan is not None
        if chunk not in self._open:
            first, count = chunk_range(chunk, self.samples)
            self._open[chunk] = OpenChunk.of(self.scenario, self._plan, self.steps, first, count)
        return self._open[chunk]

    def _hand_over(self, chunk: int, step: int, verdicts: Verdicts) -> None:
        """Tell of a batch whose last step came, and hand over the chunk if that made it whole."""
        if step != self.steps[-1]:
            return
        if self.watch is not None:
            self.watch(chunk, counted(self._open[chunk].outcome_of(verdicts.index)))
        self._hand_over_whole(chunk)

    def _hand_over_whole(self, chunk: int) -> None:
        one, count = self._open[chunk], chunk_range(chunk, self.samples)[1]
        if one.rows < count * len(self.steps):
            return
        del self._open[chunk]
        one.settle_all()
        data = encode_part(
            chunk,
            one.by_step(),
            samples=self.samples,
            fingerprint=self.fingerprint,
            plan_digest=self._digest,
            causes=one.causes,
        )
        profiles, counts = self._profiles_of(chunk, one), counted(one.outcome)
        self.keep(EncodedPart(chunk=chunk, data=data, counts=counts, profiles=profiles))

    def _profiles_of(self, chunk: int, one: OpenChunk) -> tuple[bytes, ...]:
        return tuple(
            encode_profile(
                one.profiles[step],
                self.scenario,
                chunk=chunk,
                fingerprint=self.fingerprint,
                plan_digest=self._digest,
            )
            for step in self.steps
        )
