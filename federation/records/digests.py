"""What a campaign's own record says of its parts: the SHA-256 of each, as it was finished.

::

    DIR/parts.sha256     e3b0c442…  parts/part-00000000.parquet

Lines as ``sha256sum --check`` reads them. A line is on the disk before its part has a name, so a
part without one was put there by somebody else; the last line of a part counts, for one that was
deleted is computed anew. A campaign of a time before has no such file: its parts are taken as they
are, and noted as soon as one more is finished.

This finds what was changed, mixed up or damaged. It is no signature: whoever changes a part can
change its line.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from functools import lru_cache
from pathlib import Path

from gridproof.federation.files import append_whole, read_bytes, write_whole
from gridproof.scenarios.errors import StoreError

__all__ = ["DIGESTS", "note_part", "refuse_changed"]

DIGESTS = "parts.sha256"
"""Where a campaign directory keeps the digests of its parts."""

_LINE = re.compile(rb"([0-9a-f]{64}) [ *]parts/([^/\\\x00-\x1f]+)\r?")


def note_part(path: Path, data: bytes) -> None:
    """Note the digest of a part that is about to be put in its place.

    Parameters
    ----------
    path
        Where the part will lie: in ``parts/`` of a campaign directory.
    data
        Its bytes.

    Raises
    ------
    StoreError
        If the record cannot be written, or is no plain file.
    """
    record = path.parent.parent / DIGESTS
    if not record.exists():
        there = sorted(one for one in path.parent.glob("part-*.parquet") if one != path)
        if there:
            write_whole(record, b"".join(_line(one, _digest_of(one)) for one in there))
    append_whole(record, _line(path, hashlib.sha256(data).hexdigest()))


def refuse_changed(root: Path, parts: Iterable[Path]) -> None:
    """Refuse parts that are not what the campaign's record says; all are named.

    Parameters
    ----------
    root
        The campaign directory.
    parts
        Parts that were seen in it before the record is read.

    Raises
    ------
    StoreError
        If one has another digest than was noted, or none was noted of it.
    """
    record, wrong = root / DIGESTS, []
    try:
        about = record.stat()
    except FileNotFoundError:
        return
    noted = _noted(record, about.st_mtime_ns, about.st_size, about.st_ino)
    for path in parts:
        said, found = noted.get(path.name), _digest_of(path)
        if said is None:
            wrong.append(f"{path} was not written by this campaign: {record} does not name it")
        elif said != found:
            wrong.append(
                f"{path} was changed or damaged after it was finished (SHA-256 {found:.12}…, "
                f"{record} has {said:.12}…)"
            )
    if wrong:
        raise StoreError(
            "\n  ".join(wrong) + "\n  delete what is named and run again with the same --out: only "
            "its realizations are recomputed"
        )


def _line(path: Path, digest: str) -> bytes:
    return f"{digest}  parts/{path.name}\n".encode()


def _digest_of(path: Path) -> str:
    """Return the SHA-256 of a file; it is read again only once it is another."""
    try:
        seen = path.stat()
        return _digest(path, seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino)
    except OSError as error:
        raise StoreError(f"{path} cannot be read: {error}; run again") from error


@lru_cache(maxsize=1 << 14)
def _digest(path: Path, *_seen: int) -> str:
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


@lru_cache(maxsize=8)
def _noted(record: Path, *_seen: int) -> Mapping[str, str]:
    """Read the record: by part, the digest that was noted last; a torn line says nothing."""
    try:
        data = read_bytes(record)
    except OSError as error:
        raise StoreError(
            f"{record} cannot be read: {error}; restore it, or delete it to take the parts as they "
            "are"
        ) from error
    found = (_LINE.fullmatch(line) for line in data.split(b"\n"))
    return {one[2].decode(errors="replace"): one[1].decode() for one in found if one}
