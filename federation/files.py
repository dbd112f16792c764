"""Small files that are there whole or not at all."""

from __future__ import annotations

import errno
import json
import os
import re
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any

from scenarios.errors import StoreError

__all__ = [
    "UNFINISHED",
    "json_text",
    "read_json",
    "read_text",
    "text_of",
    "unsigned_zeros",
    "write_whole",
]

UNFINISHED = re.compile(r"\..+\.\d+\.tmp")
"""Names of files a writer was still at; one that was killed leaves them behind."""


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file so that it is there whole or not at all, also after a loss of power.

    Raises
    ------
    StoreError
        If the disk refuses; the old file, if any, is untouched and nothing partial is left.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    partial = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        with partial.open("wb") as file:
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
        _sync_folder(path.parent)
    except OSError as error:
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        if error.errno in (errno.ENOSPC, errno.EDQUOT):
            raise StoreError(
                f"{path}: the disk is full; finished parts are whole: free some space and run "
                "again with the same --out to go on"
            ) from error
        raise StoreError(f"{path} cannot be written: {error}") from error
    except BaseException:  # Ctrl-C: nothing partial stays
        with suppress(OSError):
            partial.unlink(missing_ok=True)
        raise


def _sync_folder(folder: Path) -> None:
    """Make a rename outlast a loss of power; Windows cannot open a folder and need not."""
    if os.name == "nt":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)


def json_text(record: Mapping[str, Any]) -> str:
    """JSON as people read it, with a line end."""
    return json.dumps(unsigned_zeros(record), indent=1, ensure_ascii=False) + "\n"


def unsigned_zeros(value: Any) -> Any:
    """Return a JSON value in which every -0.0 is 0.0: nobody can read a difference in it."""
    if isinstance(value, float):
        return value + 0.0
    if isinstance(value, Mapping):
        return {key: unsigned_zeros(one) for key, one in value.items()}
    if isinstance(value, (list, tuple)):
        return [unsigned_zeros(one) for one in value]
    return value


def text_of(data: bytes) -> str:
    """Decode UTF-8, with or without a byte order mark.

    Raises
    ------
    UnicodeDecodeError
        If it is something else.
    """
    return data.decode("utf-8-sig")


def read_text(path: Path) -> str:
    """Read a text file of the user's: UTF-8, with or without a byte order mark.

    Raises
    ------
    OSError, UnicodeDecodeError
        If it cannot be read, or is something else.
    """
    return text_of(path.read_bytes())


def read_json(path: Path) -> dict[str, Any]:
    """Read a JSON object.

    Raises
    ------
    StoreError
        If it is missing, unreadable or something else than an object.
    """
    try:
        record = json.loads(read_text(path))
    except (OSError, ValueError) as error:
        raise StoreError(
            f"{path} cannot be understood ({error}); restore it, or delete {path.parent}"
        ) from error
    if not isinstance(record, dict):
        raise StoreError(f"{path} is not a JSON object; restore it, or delete {path.parent}")
    return record
