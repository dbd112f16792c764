"""The parts of a campaign as bytes: which realizations belong to one, and how it is encoded.

Pure functions of rows and of what they belong to, so that a part has the same bytes whoever
makes it: the program that keeps it, one of its workers, or a machine elsewhere.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
from gridproof.federation.records.profile import Profile
from gridproof.federation.records.profile_store import encode_profile
from gridproof.federation.records.rows import outcome_counts, table_of, with_trace
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
    "chunk_range",
    "encode_part",
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
    profile
        The bytes of its profile, kept beside it.
    """

    chunk: int
    data: bytes
    counts: Mapping[Outcome, int]
    profile: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class Begun:
    """The first rows of a chunk that is not whole, in order, with their profile's bytes."""

    chunk: int
    rows: pa.Table
    profile: bytes
    plan_digest: str


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
    table: pa.Table,
    *,
    samples: int,
    fingerprint: str,
    plan_digest: str,
    cause: tuple[int, str] | None = None,
) -> bytes:
    """Encode one chunk; the bytes depend on the arguments alone.

    Parameters
    ----------
    cause
        The first realization of the chunk that erred, and why; kept with what it belongs to.

    Raises
    ------
    StoreError
        If the rows are not the chunk's, in order.
    """
    first, count = chunk_range(chunk, samples)
    index = table.column("index").to_numpy()
    if len(index) != count or index[0] != first or (index[1:] - index[:-1] != 1).any():
        raise StoreError(
            f"chunk {chunk} needs realizations {first} to {first + count - 1} in order; "
            f"found {len(index)} rows"
        )
    stamp: dict[str, Any] = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "plan": plan_digest,
        "chunk": chunk,
    }
    if cause is not None:
        stamp["erred"] = {"first": cause[0], "said": cause[1]}
    table = table.replace_schema_metadata({STAMP_KEY: json.dumps(stamp, sort_keys=True)})
    sink = pa.BufferOutputStream()
    strings = [f.name for f in table.schema if not pa.types.is_floating(f.type)]
    pq.write_table(
        table,
        sink,
        compression="zstd",
        compression_level=3,
        use_dictionary=strings,
        row_group_size=CHUNK_ROWS,
        write_page_checksum=True,
    )
    data: bytes = sink.getvalue().to_pybytes()
    return data


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
    step
        The step of the plan that is tried.
    """

    scenario: Scenario
    samples: int
    fingerprint: str
    keep: Callable[[EncodedPart], None]
    watch: Callable[[int, Mapping[Outcome, int]], None] | None = None
    traced: Sequence[str] = ()
    step: int = 0
    _trace: Trace | None = None
    _plan: Plan | None = None
    _digest: str = ""
    _open: dict[int, list[pa.Table]] = field(default_factory=dict)
    _profiles: dict[int, Profile] = field(default_factory=dict)
    _causes: dict[int, tuple[int, str]] = field(default_factory=dict)
    _unsound: set[int] = field(default_factory=set)

    def accept(self, plan: Plan) -> None:
        """Take the plan everything that follows is tried under."""
        self._plan, self._digest = plan, plan_digest(plan)

    def keep_trace(self, trace: Trace) -> None:
        """Take what is kept beside the verdicts of the batch that comes next."""
        self._trace = trace

    def keep_cause(self, index: int, said: str) -> None:
        """Take why a realization of the batch that comes next erred; a chunk keeps the first."""
        chunk = index // CHUNK_ROWS
        self._causes[chunk] = min(self._causes.get(chunk, (index, said)), (index, said))

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
        rows = table_of(
            self.scenario,
            self._plan,
            realizations,
            snapshots,
            verdicts,
            second=second,
            time=self.step,
        )
        if self.traced:
            rows, self._trace = with_trace(rows, self._trace, self.traced), None
        start = 0
        chunks = realizations.index // CHUNK_ROWS
        while start < len(chunks):  # nearly always one turn: batches end where chunks do
            stop = start + int((chunks[start:] == chunks[start]).argmin() or len(chunks) - start)
            chunk = int(chunks[start])
            if chunk not in self._profiles:
                self._profiles[chunk] = Profile.of(self.scenario, self._plan, self.step)
            part = verdicts if stop - start == len(chunks) else verdicts.take(slice(start, stop))
            self._unsound.add(chunk)  # until its profile and its rows have both taken the batch
            self._profiles[chunk].add(self.scenario, self._plan, snapshots, part, time=self.step)
            self._open.setdefault(chunk, []).append(rows.slice(start, stop - start))
            self._unsound.discard(chunk)
            self._hand_over(chunk)
            start = stop

    def begun(self) -> tuple[Begun, ...]:
        """Return what is done of every chunk that is not whole, from its first row without a gap.

        Rows after a gap are left out, and so is the whole chunk then: its profile counts them.
        """
        found = []
        for chunk, pieces in self._open.items():
            if chunk in self._unsound:
                continue
            rows = _in_order(pieces)
            index, (first, _) = rows.column("index").to_numpy(), chunk_range(chunk, self.samples)
            if index[0] != first or (index[1:] - index[:-1] != 1).any():
                continue
            profile = self._profile_bytes(chunk, self._profiles[chunk])
            found.append(Begun(chunk=chunk, rows=rows, profile=profile, plan_digest=self._digest))
        return tuple(found)

    def go_on(self, chunk: int, rows: pa.Table, profile: Profile) -> None:
        """Take up what an earlier run did of a chunk; nobody is told of it again."""
        self._open[chunk], self._profiles[chunk] = [rows], profile
        self._hand_over_whole(chunk)  # it may have been stopped between its last row and its part

    def _hand_over(self, chunk: int) -> None:
        """Tell of the batch that came, and hand over the chunk if that made it whole."""
        if self.watch is not None:
            self.watch(chunk, outcome_counts(self._open[chunk][-1].column("outcome")))
        self._hand_over_whole(chunk)

    def _hand_over_whole(self, chunk: int) -> None:
        pieces = self._open[chunk]
        if sum(piece.num_rows for piece in pieces) < chunk_range(chunk, self.samples)[1]:
            return
        del self._open[chunk]
        whole = _in_order(pieces)
        data = encode_part(
            chunk,
            whole,
            samples=self.samples,
            fingerprint=self.fingerprint,
            plan_digest=self._digest,
            cause=self._causes.pop(chunk, None),
        )
        profile = self._profile_bytes(chunk, self._profiles.pop(chunk))
        counts = outcome_counts(whole["outcome"])
        self.keep(EncodedPart(chunk=chunk, data=data, counts=counts, profile=profile))

    def _profile_bytes(self, chunk: int, profile: Profile) -> bytes:
        return encode_profile(
            profile,
            self.scenario,
            chunk=chunk,
            fingerprint=self.fingerprint,
            plan_digest=self._digest,
        )


def _in_order(pieces: Sequence[pa.Table]) -> pa.Table:
    whole = pa.concat_tables(pieces).sort_by("index").combine_chunks()
    return whole.cast(pieces[-1].schema)
