"""Small files that are there whole or not at all."""

from __future__ import annotations

import errno
import hashlib
import io
import json
import os
import re
import select
import stat
from collections.abc import Mapping
from contextlib import suppress
from pathlib import Path
from typing import Any, BinaryIO

from gridproof.scenarios.errors import ConfigError, StoreError
from gridproof.scenarios.strict_json import load_json

__all__ = [
    "MOST_BYTES",
    "UNFINISHED",
    "append_whole",
    "folder_name",
    "json_text",
    "read_bytes",
    "read_json",
    "read_text",
    "refuse_links",
    "table_text",
    "text_of",
    "unsigned_zeros",
    "write_result",
    "write_whole",
]

MOST_BYTES = 64 << 20
"""Of a file that is read whole: a plan, a study, a feeder's facts."""
_MOST_TABLE = 16 << 20

UNFINISHED = re.compile(r"\..+\.\d+\.tmp")
"""Names of files a writer was still at; one that was killed leaves them behind."""

_FULL = (errno.ENOSPC, errno.EDQUOT)
_NEW = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)  # follows no link
_OLD = (
    os.O_RDWR | os.O_CREAT | os.O_APPEND | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_NONBLOCK", 0)
)  # fmt: skip
_NO_PART = re.compile(r"[/\\\x00-\x1f\x7f\ud800-\udfff]")
_LONGEST_BYTES = 180


def write_whole(path: Path, content: str | bytes, *, mode: int | None = None) -> None:
    """Write a file of a directory of ours so that it is there whole or not at all.

    Parameters
    ----------
    path
        The file; a link in its place is refused: the directory may be somebody else's.
    content
        Text is written as UTF-8.
    mode
        Permissions the file has before a byte of it is under its name; those of the file that
        is replaced, or what the process' mask leaves, if None.

    Raises
    ------
    StoreError
        If the disk refuses; the old file, if any, is untouched and nothing partial is left.
    """
    if path.is_symlink():
        raise StoreError(f"{path} is a link, and nothing of ours is written through one; remove it")
    try:
        _replace(path, content.encode("utf-8") if isinstance(content, str) else content, mode)
    except OSError as error:
        if error.errno in _FULL:
            raise StoreError(
                f"{path}: the disk is full; finished parts are whole: free some space and run "
                "again with the same --out to go on"
            ) from error
        raise StoreError(f"{path} cannot be written: {error}") from error


def append_whole(path: Path, line: bytes) -> None:
    """Add a line to a file of a directory of ours; when this returns, it is on the disk.

    A line that a killed writer left half is ended first, so that it spoils no other.

    Raises
    ------
    StoreError
        If the disk refuses, or what lies there is a link, has another name elsewhere, or is no
        regular file: the directory may be somebody else's.
    """
    try:
        handle = os.open(path, _OLD, 0o666)
        with os.fdopen(handle, "r+b", buffering=0) as file:
            about = os.fstat(handle)
            if not stat.S_ISREG(about.st_mode) or about.st_nlink > 1:
                raise StoreError(f"{path} is no plain file, and nothing is added to it; remove it")
            if about.st_size and (file.seek(-1, os.SEEK_END), file.read(1))[1] != b"\n":
                line = b"\n" + line
            file.write(line)
            os.fsync(handle)
    except OSError as error:
        full = "the disk is full" if error.errno in _FULL else f"cannot be written: {error}"
        raise StoreError(f"{path}: {full}; finished parts are whole") from error


def write_result(path: Path, content: str | bytes, *, mode: int | None = None) -> None:
    """Write a file that the user named, whole or not at all; its folder is made if missing.

    Parameters are those of `write_whole`, but what a link leads to is replaced, not the link: who
    names it knows where it leads. What is no regular file, such as ``/dev/stdout`` or a
    pipe, is written to as it is: there is nothing to replace.

    Raises
    ------
    ConfigError
        If the place cannot be written to; the old file, if any, is untouched.
    """
    data = content.encode("utf-8") if isinstance(content, str) else content
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        if path.exists() and not path.is_file() and not path.is_dir():
            path.write_bytes(data)
        else:
            _replace(path, data, mode)
    except OSError as error:
        kept = "; the file that was there is untouched" if path.is_file() else ""
        raise ConfigError(
            f"{path}: cannot be written: {error.strerror or error}{kept}; give another --out"
        ) from error


def _replace(path: Path, data: bytes, mode: int | None) -> None:
    """Write under another name beside the file, flush, and rename; raises `OSError`."""
    target = path.resolve() if path.is_symlink() else path
    if target.is_dir():
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if mode is None and target.exists():
        mode = stat.S_IMODE(target.stat().st_mode)
    partial = target.with_name(f".{target.name}.{os.getpid()}.tmp")
    try:
        partial.unlink(missing_ok=True)  # of a killed process that had our number
        handle = os.open(partial, _NEW, 0o666 if mode is None else mode & 0o700)
        with os.fdopen(handle, "wb") as file:
            if mode is not None and hasattr(os, "fchmod"):
                os.fchmod(file.fileno(), mode)  # never less than it was made with
            file.write(data)
            file.flush()
            os.fsync(file.fileno())
        partial.replace(target)
        _sync_folder(target.parent)
    except BaseException:  # Ctrl-C too: nothing partial stays
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


def refuse_links(root: Path) -> None:
    """Refuse a directory that holds a link, at any depth: it may be somebody else's.

    Written or deleted through, it would be another's file; where the directory itself is a link,
    who names it knows where it leads.

    Raises
    ------
    StoreError
        Naming the first.
    """
    folders = [root]
    while folders:
        try:
            with os.scandir(folders.pop()) as found:
                entries = sorted(found, key=lambda one: one.name)
        except OSError:
            continue  # not there yet; or nothing can be written there either
        for entry in entries:
            if entry.is_symlink():
                raise StoreError(
                    f"{entry.path} is a link, and nothing is written or deleted in {root} through "
                    "links; remove it, or put in its place what it leads to"
                )
            if entry.is_dir(follow_symlinks=False):
                folders.append(Path(entry.path))


def folder_name(text: str) -> str:
    """Return a text as the name of one folder: what would lead elsewhere is replaced.

    A text that is such a name already stays as it is; another keeps its readable part and gets
    the start of its digest, so that two texts do not meet.
    """
    data = text.encode("utf-8", errors="replace")
    if len(data) <= _LONGEST_BYTES and text.strip(".") and not _NO_PART.search(text):
        return text
    short = data[: _LONGEST_BYTES - 9].decode("utf-8", errors="ignore")
    plain = _NO_PART.sub("_", short).strip(".") or "_"
    return f"{plain}-{hashlib.sha256(data).hexdigest()[:8]}"


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


def table_text(path: Path) -> io.StringIO:
    """Open a table of the user's: bytes that are no UTF-8 may stand where nothing is read.

    Raises
    ------
    OSError
        As `read_bytes`, with a bound of its own: a cell takes more room than it has signs.
    """
    data = read_bytes(path, _MOST_TABLE)
    return io.StringIO(data.decode("utf-8-sig", errors="backslashreplace"), newline="")


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
    return text_of(read_bytes(path))


def read_bytes(path: Path, most: int = MOST_BYTES, *, pipe: bool = False) -> bytes:
    """Read a file of at most so many bytes.

    A pipe that the shell opened for us (``/dev/fd/63``) is read, too; one that lies somewhere only
    where ``pipe`` says so, and is waited for no longer than `PIPE_PATIENCE_S`.

    Raises
    ------
    OSError
        If it cannot be read, is larger, or is a device or a pipe.
    """
    about = path.stat()
    fifo, opened = stat.S_ISFIFO(about.st_mode), path.is_relative_to("/dev")
    if stat.S_ISDIR(about.st_mode):
        raise IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR))
    if not (stat.S_ISREG(about.st_mode) or (fifo and (pipe or opened))):
        raise OSError(errno.EINVAL, "it is a device or a pipe, not a file")
    with _written_to(path) if fifo and not opened else path.open("rb") as file:
        data = file.read(most + 1)
    if len(data) > most:
        raise OSError(errno.EFBIG, f"it is larger than {most >> 20} MiB")
    return data


PIPE_PATIENCE_S = 10.0
"""How long a named pipe is waited for until somebody writes to it."""


def _written_to(path: Path) -> BinaryIO:
    """Open a named pipe once somebody writes to it; raises `OSError` where nobody does."""
    handle = os.open(path, os.O_RDONLY | os.O_NONBLOCK)
    try:
        watch = select.poll()
        watch.register(handle, select.POLLIN)
        if not watch.poll(1e3 * PIPE_PATIENCE_S):
            raise OSError(
                errno.ETIMEDOUT,
                f"nobody wrote to it within {PIPE_PATIENCE_S:g} s; do, or name a file",
            )
        os.set_blocking(handle, True)
        return os.fdopen(handle, "rb")
    except BaseException:
        os.close(handle)
        raise


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
        record = load_json(read_text(path))
    except (OSError, ValueError) as error:
        raise StoreError(f"{path} cannot be understood ({error}); {remedy}") from error
    if not isinstance(record, dict):
        raise StoreError(f"{path} is not a JSON object; {remedy}")
    return record
