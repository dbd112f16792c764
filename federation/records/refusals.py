"""What a campaign directory does not take up: parts and studies that are not its own."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Protocol

import pyarrow as pa
from gridproof.federation.config.foreign import answerer_words
from gridproof.federation.files import refuse_links
from gridproof.federation.records.footers import footer_of, torn
from gridproof.scenarios.errors import StoreError

__all__ = ["check_part", "refuse_other"]


_LATER = ("numba", "llvmlite")


class Kept(Protocol):
    """What is asked of a campaign directory here."""

    @property
    def root(self) -> Path:
        """The directory."""

    @property
    def study(self) -> Mapping[str, Any]:
        """``study.json``."""

    @property
    def samples(self) -> int:
        """Realizations the whole campaign holds."""

    @property
    def tried(self) -> tuple[int, ...]:
        """Steps that every part holds."""

    @property
    def environment(self) -> dict[str, Any]:
        """``environment.json``."""

    def chunk_range(self, chunk: int) -> tuple[int, int]:
        """First realization and count of a chunk."""


def check_part(store: Kept, path: Path, chunk: int, plan_digest: str | None) -> None:
    """Refuse a part that is torn, foreign, or of another fingerprint, plan or chunk."""
    try:
        rows, stamp = footer_of(path)
    except (pa.ArrowException, OSError) as error:
        raise StoreError(torn(path, error)) from error
    except (KeyError, ValueError) as error:
        raise StoreError(
            f"{path} was not written by a campaign; move it elsewhere and run again"
        ) from error
    first, count = store.chunk_range(chunk)
    if stamp.get("fingerprint") != store.study["fingerprint"]:
        raise StoreError(
            f"{path} belongs to another configuration (fingerprint "
            f"{stamp.get('fingerprint')!s:.12}, here {store.study['fingerprint']!s:.12}); "
            "delete it and run again"
        )
    if plan_digest is not None and stamp.get("plan") != plan_digest:
        raise StoreError(
            f"{path} was made under another plan; delete {store.root} or give another --out"
        )
    wanted = count * len(store.tried)
    if stamp.get("chunk") != chunk or rows != wanted or first >= store.samples:
        raise StoreError(
            f"{path} holds {rows} rows of chunk {stamp.get('chunk')}; {max(wanted, 0)} of "
            f"chunk {chunk} belong there; delete it and run again"
        )


def refuse_other(store: Kept, record: Mapping[str, Any], environment: Mapping[str, Any]) -> None:
    """Refuse to go on with a campaign of another fingerprint, planner or version."""
    refuse_links(store.root)
    if store.study.get("steps") and not store.study.get("rows_by_step"):
        raise StoreError(
            f"{store.root} was made by an earlier version, with a directory for each step; "
            "gridproof report still reads it, but it cannot be gone on with: give another --out"
        )
    here, asked = answerer_words(store.study), answerer_words(record)
    if record.get("answers") != store.study.get("answers"):
        raise StoreError(
            f"{store.root} is answered by another planner: by {here}, not by {asked}; two "
            "planners are never mixed in one campaign: go on with the one it has, or give "
            "another --out"
        )
    if record["fingerprint"] != store.study["fingerprint"]:
        raise StoreError(
            f"{store.root} holds a campaign of another configuration (study "
            f"{store.study.get('name')!r}, fingerprint {store.study['fingerprint']!s:.12}, "
            f"asked for {record['fingerprint']!s:.12}); give another --out"
        )
    have, now = store.environment.get("versions", {}), environment["versions"]
    if have.keys().isdisjoint(_LATER):  # made when nobody wrote them down
        now = {name: of for name, of in now.items() if name not in _LATER}
    other = [f"{k} {have.get(k)} (now {v})" for k, v in now.items() if have.get(k) != v]
    if other:
        raise StoreError(
            f"{store.root} was made with {', '.join(other)}; results of different versions "
            "are not mixed: give another --out, or use those versions"
        )
