"""One writer at a time: a campaign directory is locked while a program writes to it.

The lock is the operating system's own on an open file, so it ends with the process that
holds it, however that process ends: a file left behind by a killed writer locks nobody out,
and a process number used again cannot be mistaken for the old writer. What is written in the
file only tells people who it was.
"""

from __future__ import annotations

import errno
import json
import os
import platform
import stat
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from importlib import import_module
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from gridproof.federation.files import refuse_links
from gridproof.scenarios.errors import StoreError

fcntl: Any = import_module("fcntl") if find_spec("fcntl") else None
"""The system's file locks; there are none on Windows, and nobody is locked out there."""

__all__ = ["LOCK_NAME", "may_be_abandoned", "writer_at", "writing"]

LOCK_NAME = "writer.lock"
_PATIENCE_S = 0.2
_CAREFUL = getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
"""Follow no link, and wait for nobody at the other end of a pipe."""


@contextmanager
def writing(root: Path) -> Iterator[None]:
    """Be the only writer of a campaign directory while the body runs; made if missing.

    Raises
    ------
    StoreError
        If another program writes to it, by host and process number, it cannot be made, or holds
        a link.
    """
    path = root / LOCK_NAME
    fresh = not root.exists()
    try:
        root.mkdir(parents=True, exist_ok=True)
        handle = _locked(path)
    except OSError as error:
        raise StoreError(f"{root} cannot hold a campaign ({error}); give another --out") from error
    if handle is None:
        raise StoreError(
            f"{root} is being written to by {_in_words(_read(path))}; wait for it to end (see it "
            f"with: gridproof watch {root}), or give another --out"
        )
    try:
        refuse_links(root)
        _sign(handle, path)
        yield
    finally:
        with suppress(OSError):
            path.unlink()  # while it is still ours: whoever waits sees that the file is gone
        os.close(handle)
        if fresh:
            with suppress(OSError):
                root.rmdir()  # only if nothing came of it


def writer_at(root: Path) -> dict[str, Any] | None:
    """Who writes to a campaign directory now (``pid``, ``host``, ``since``), None if nobody.

    A lock file that a killed writer left behind is nobody.
    """
    path = root / LOCK_NAME
    try:
        handle = _open(path, os.O_RDONLY)
    except OSError:
        return None
    try:
        if fcntl is None or _take(handle, shared=True):
            return None
        return _read(path)
    except OSError:
        return None  # no locks in this file system, so nobody could have written either
    finally:
        os.close(handle)


def may_be_abandoned(root: Path) -> bool:
    """Whether nobody writes to a campaign directory, as far as this machine can tell.

    A lock of another host may not be seen from here: a file that such a writer signed counts
    as held. Without the system's locks any file does.
    """
    path = root / LOCK_NAME
    if writer_at(root) is not None:
        return False
    if fcntl is None:
        return not path.exists()
    return not path.exists() or _read(path).get("host") in (None, platform.node())


def _open(path: Path, flags: int) -> int:
    """Open the lock file itself: what a link in its place points to is somebody else's.

    So is a file that has another name elsewhere.
    """
    handle = os.open(path, flags | _CAREFUL, 0o644)
    about = os.fstat(handle)
    if stat.S_ISREG(about.st_mode) and about.st_nlink <= 1:
        return handle
    os.close(handle)
    raise OSError(errno.EINVAL, "not a plain file", str(path))


def _locked(path: Path) -> int | None:
    """Open and lock the file; None if another process holds it."""
    while True:
        handle = _open(path, os.O_RDWR | os.O_CREAT)
        try:
            if fcntl is None:
                return handle
            if not _take_soon(handle):
                os.close(handle)
                return None
            if _same(handle, path):
                return handle
        except BaseException:
            os.close(handle)
            raise
        os.close(handle)  # its last holder removed it between our open and our lock


def _take_soon(handle: int) -> bool:
    """Try for a moment: somebody who only asks who writes holds the file that long."""
    until = time.monotonic() + _PATIENCE_S
    while not _take(handle):
        if time.monotonic() > until:
            return False
        time.sleep(_PATIENCE_S / 20)
    return True


def _take(handle: int, *, shared: bool = False) -> bool:
    kind = fcntl.LOCK_SH if shared else fcntl.LOCK_EX
    try:
        fcntl.flock(handle, kind | fcntl.LOCK_NB)
    except OSError as error:
        if error.errno in (errno.EAGAIN, errno.EACCES):
            return False
        raise
    return True


def _same(handle: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(handle), path.lstat())
    except FileNotFoundError:
        return False


def _sign(handle: int, path: Path) -> None:
    record = {
        "pid": os.getpid(),
        "host": platform.node(),
        "since": datetime.now(UTC).isoformat(timespec="seconds"),
    }
    try:
        os.ftruncate(handle, 0)
        os.write(handle, (json.dumps(record) + "\n").encode())
    except OSError as error:
        full = "the disk is full" if error.errno in (errno.ENOSPC, errno.EDQUOT) else str(error)
        raise StoreError(f"{path} cannot be written: {full}; finished parts are whole") from error


def _read(path: Path) -> dict[str, Any]:
    """Return what the holder wrote; empty if it has not yet."""
    try:
        record = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):
        return {}
    return record if isinstance(record, dict) else {}


def _in_words(record: dict[str, Any]) -> str:
    if not record:
        return "another program"
    return f"process {record.get('pid')} on {record.get('host')} since {record.get('since')}"
