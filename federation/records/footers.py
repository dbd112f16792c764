"""What a part's footer says, and whether every page of it is whole."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path
from types import MappingProxyType
from typing import Any

import pyarrow as pa
from gridproof.federation.records.bounded import opened, read_table
from gridproof.federation.records.parts import STAMP_KEY
from gridproof.scenarios.errors import StoreError

__all__ = ["check_whole", "footer_of", "torn"]


def footer_of(path: Path) -> tuple[int, Mapping[str, Any]]:
    """Rows and stamp of a part; opened again only once the file is another.

    Raises
    ------
    OSError, KeyError, ValueError
        If there is no such file, it is torn (`pyarrow.ArrowInvalid`), or has no stamp.
    """
    seen = path.stat()
    return _footer(path, seen.st_mtime_ns, seen.st_size, seen.st_ino)


@lru_cache(maxsize=1 << 14)
def _footer(path: Path, *_seen: int) -> tuple[int, Mapping[str, Any]]:
    with opened(path) as file:
        stamp = json.loads((file.schema_arrow.metadata or {})[STAMP_KEY.encode()])
        return file.metadata.num_rows, MappingProxyType(stamp)


def check_whole(paths: Iterable[Path]) -> None:
    """Read parts through, every page against its checksum.

    Raises
    ------
    StoreError
        If one is damaged inside; names all that are.
    """
    damaged = []
    for path in paths:
        try:
            read_table(path)
        except (pa.ArrowException, OSError) as error:
            damaged.append(torn(path, error))
    if damaged:
        raise StoreError("\n  ".join(damaged))


def torn(path: Path, error: Exception) -> str:
    """Say which file is damaged, and what to do."""
    return (
        f"{path} is torn or unreadable ({str(error).splitlines()[0]}); delete it and run again "
        "with the same --out: only its realizations are recomputed"
    )
