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

__all__ = ["UNFINISHED", "json_text", "read_json", "write_whole"]

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
    return json.dumps(record, indent=1, ensure_ascii=False) + "\n"


def read_json(path: Path, remedy: str | None = None) -> dict[str, Any]:
    """Read a JSON object.

    Parameters
    ----------
    path
        The file.
    remedy
        What to do about one that is torn.

    Raises
    ------
    StoreError
        If it is missing, unreadable or something else than an object.
    """
    remedy = remedy or f"restore it, or delete {path.parent}"
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be understood ({error}); {remedy}") from error
    if not isinstance(record, dict):
        raise StoreError(f"{path} is not a JSON object; {remedy}")
    return record
