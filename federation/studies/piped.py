"""A study that comes through a pipe: read once, however often it is asked for."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from gridproof.federation.files import MOST_BYTES, read_bytes, text_of
from gridproof.scenarios.errors import ConfigError

__all__ = ["STDIN", "piped_study"]

STDIN = "-"
_seen: list[tuple[Any, str]] = []


def _is_pipe(path: Path) -> bool:
    """Whether a path is no place of its own; ``/dev/stdin`` may well be a file."""
    if not path.exists() or path.is_dir():
        return False
    return not path.is_file() or path.is_relative_to("/dev") or path.is_relative_to("/proc")


def _stdin() -> bytes:
    data = sys.stdin.buffer.read(MOST_BYTES + 1)
    if len(data) > MOST_BYTES:
        raise OSError(f"it is larger than {MOST_BYTES >> 20} MiB")
    return data


def piped_study(given: str) -> str | None:
    """Return the text of a study that is no file, such as ``-`` or ``/dev/fd/63``.

    A pipe gives its content once, and a sweep loads its study for every point: what was read
    is kept.

    Raises
    ------
    ConfigError
        If it is empty or not UTF-8.
    """
    path = Path(given)
    if given == STDIN:
        source: Any = sys.stdin
    elif _is_pipe(path):
        about = path.stat()
        source = (given, about.st_dev, about.st_ino)
    else:
        return None
    for known, text in _seen:
        if known is source or (isinstance(known, tuple) and known == source):
            return text
    try:
        data = _stdin() if given == STDIN else read_bytes(path, pipe=True)
        text = text_of(data)
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigError(
            f"{given}: cannot be read as UTF-8 text ({error}); pipe a study"
        ) from error
    if not text.strip():
        raise ConfigError(f"{given}: nothing came through the pipe; pipe a study, or name a file")
    _seen.append((source, text))
    return text
