"""Chunks that were begun and not finished when a run stopped: kept, shown, and gone on with.

::

    DIR/begun/part-00000000.parquet    the first rows of chunk 0, its profile in the footer

A stop of any kind leaves such a file, and so does every half minute of a slow run, for a process
that is killed says nothing. It goes when the chunk's part is there. A row depends on its index
alone, so a part made of two runs has the bytes of one; in real time its clock columns are those
of the run that tried the row.
"""

from __future__ import annotations

import base64
import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from gridproof.federation.files import UNFINISHED, write_whole
from gridproof.federation.records.parts import (
    CHUNK_ROWS,
    FORMAT,
    STAMP_KEY,
    Begun,
    causes_in_stamp,
    encode_tables,
    runs_without_gap,
    stamp_of_causes,
)
from gridproof.federation.records.rows import joint_outcome, outcome_codes
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.arrays import IntArray
from gridproof.scenarios.errors import StoreError

__all__ = ["BegunChunk", "begun_chunks", "begun_path", "drop_begun", "keep_begun", "read_begun"]

_PROFILE_KEY = b"profile"
_NAME = re.compile(r"part-(\d{8})\.parquet")


@dataclass(frozen=True, slots=True, kw_only=True)
class BegunChunk:
    """What was done of a chunk: its first rows, in order, and their profiles' bytes.

    ``causes`` are of the first realization that erred at each step, if one did.
    """

    chunk: int
    rows: pa.Table
    profiles: tuple[bytes, ...]
    causes: Mapping[int, tuple[int, str]]

    @property
    def realizations(self) -> int:
        """How many realizations are done, at every step."""
        return int(self.rows.num_rows) // len(self.profiles)

    @property
    def outcome(self) -> IntArray:
        """(realization,) codes over all steps."""
        codes = outcome_codes(self.rows.column("outcome"))
        return joint_outcome(codes.reshape(len(self.profiles), -1))


def begun_path(store: CampaignStore, chunk: int) -> Path:
    """File of the rows of a chunk that is not whole."""
    return store.root / "begun" / f"part-{chunk:08d}.parquet"


def keep_begun(store: CampaignStore, begun: Begun) -> None:
    """Write what is done of a chunk, whole or not at all; replaces what was there of it.

    Raises
    ------
    StoreError
        If the disk refuses; what was kept before stays.
    """
    stamp = {
        "format": FORMAT,
        "fingerprint": store.study["fingerprint"],
        "plan": begun.plan_digest,
        "chunk": begun.chunk,
        **stamp_of_causes(begun.causes, stepped=len(begun.profiles) > 1),
    }
    told: dict[str | bytes, str | bytes] = {
        STAMP_KEY: json.dumps(stamp, sort_keys=True),
        _PROFILE_KEY: b",".join(base64.b64encode(one) for one in begun.profiles),
    }
    data = encode_tables(begun.by_step(), lambda _: told, group=max(begun.realizations, 1))
    path = begun_path(store, begun.chunk)
    try:
        path.parent.mkdir(exist_ok=True)
    except OSError as error:
        raise StoreError(f"{path.parent} cannot be made: {error}") from error
    write_whole(path, data)


def begun_chunks(store: CampaignStore) -> tuple[int, ...]:
    """Chunks of which some rows are kept, in order, those apart whose part is there."""
    return tuple(chunk for chunk in _listed(store) if not store.part_path(chunk).exists())


def read_begun(
    store: CampaignStore, chunk: int, plan_digest: str | None = None
) -> BegunChunk | None:
    """Read what is kept of a chunk; None if nothing is, or its part came meanwhile.

    Raises
    ------
    StoreError
        If the file is torn, or of another configuration or plan; names it.
    """
    path = begun_path(store, chunk)
    remedy = "delete it and run again with the same --out: its rows are computed anew"
    try:
        with pq.ParquetFile(path, page_checksum_verification=True) as file:
            table = file.read(use_threads=False)
        metadata = table.schema.metadata or {}
        stamp = json.loads(metadata[STAMP_KEY.encode()])
        profiles = tuple(map(base64.b64decode, metadata[_PROFILE_KEY].split(b",")))
    except FileNotFoundError:
        return None
    except (pa.ArrowException, OSError, KeyError, ValueError) as error:
        raise StoreError(
            f"{path} is torn or unreadable ({str(error).splitlines()[0]}); {remedy}"
        ) from error
    first, count = store.chunk_range(chunk)
    own, done = (stamp.get("fingerprint"), stamp.get("chunk")), table.num_rows // len(profiles)
    whole = 0 < done <= count and runs_without_gap(table, first, done)
    if own != (store.study["fingerprint"], chunk) or not whole:
        raise StoreError(f"{path} does not hold the first rows of chunk {chunk}; {remedy}")
    if plan_digest is not None and stamp.get("plan") != plan_digest:
        raise StoreError(
            f"{path} was made under another plan; delete {store.root} or give another --out"
        )
    return BegunChunk(
        chunk=chunk,
        rows=table.replace_schema_metadata(None),
        profiles=profiles,
        causes=causes_in_stamp(stamp, store.tried),
    )


def drop_begun(store: CampaignStore, chunk: int) -> None:
    """Delete what was kept of a chunk that is whole now, and the folder with the last of it."""
    path = begun_path(store, chunk)
    try:
        path.unlink(missing_ok=True)
        path.parent.rmdir()
    except OSError:
        return  # others are in there, or there was none


def missing_ranges(
    store: CampaignStore, finished: tuple[int, ...], batch: int
) -> tuple[tuple[int, int], ...]:
    """Batches ``(first, count)`` still to do, rows of begun chunks left out."""
    done = {
        chunk: one.realizations
        for chunk in begun_chunks(store)
        if (one := read_begun(store, chunk))
    }
    return tuple(_left(store, finished, batch, done))


def _left(
    store: CampaignStore, finished: tuple[int, ...], batch: int, done: dict[int, int]
) -> Iterator[tuple[int, int]]:
    for first, count in store.missing_ranges(batch, finished):
        kept = done.get(first // CHUNK_ROWS, 0) + CHUNK_ROWS * (first // CHUNK_ROWS)
        start = max(first, kept)
        if start < first + count:
            yield start, first + count - start


def _listed(store: CampaignStore) -> Iterator[int]:
    folder = store.root / "begun"
    for path in sorted(folder.iterdir()) if folder.is_dir() else ():
        if UNFINISHED.fullmatch(path.name):
            continue
        match = _NAME.fullmatch(path.name)
        if match is None or int(match[1]) * CHUNK_ROWS >= store.samples:
            raise StoreError(f"{path} does not belong to a campaign; move it elsewhere")
        yield int(match[1])
