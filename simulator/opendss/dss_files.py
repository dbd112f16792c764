"""What is looked at in feeder files before OpenDSS gets them.

OpenDSS follows a file that redirects to itself until the program's stack is gone, and takes
the program along; and it cannot say in which line a setting was made. Everything else about a
file is OpenDSS's own to say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

__all__ = [
    "MOST_BYTES",
    "all_lines_of",
    "circle_of_redirects",
    "files_of",
    "found_by",
    "leads_to",
    "lines_of",
    "place_of",
    "text_of",
]

_LEADS_ON = re.compile(
    r"""^\s*(?P<command>red(?:i(?:r(?:e(?:c(?:t)?)?)?)?)?|c(?:o(?:m(?:p(?:i(?:l(?:e)?)?)?)?)?)?)
        [\s,]+(?:\w+\s*=\s*)?(?P<file>"[^"]*"|'[^']*'|\([^)]*\)|\[[^\]]*\]|\{[^}]*\}|[^\s,!]+)""",
    re.IGNORECASE | re.VERBOSE,
)
"""``Redirect`` and ``Compile``, as far as OpenDSS lets them be shortened."""

MOST_BYTES = 32 << 20
"""Of a feeder's file; the largest public ones have a tenth of it."""

_VARIABLE = re.compile(r"""(@\w+)\s*=\s*("[^"]*"|'[^']*'|[^\s,!]+)""")
_ENCODINGS = ((b"\xff\xfe", "utf-16"), (b"\xfe\xff", "utf-16"), (b"", "utf-8-sig"))


def circle_of_redirects(path: Path) -> tuple[tuple[Path, int], ...]:
    """Find files that lead back to one another.

    Parameters
    ----------
    path
        The main file.

    Returns
    -------
    tuple
        File and line of each step of the first circle that OpenDSS would get into; empty if
        there is none.
    """
    return _circle(path.resolve(), [], {}, set())


def _circle(
    file: Path, above: list[tuple[Path, int]], variables: dict[str, str], done: set[Path]
) -> tuple[tuple[Path, int], ...]:
    for number, line in lines_of(file):
        if line.lstrip()[:3].lower() == "var":
            variables |= {key.lower(): value for key, value in _VARIABLE.findall(line)}
            continue
        match = _LEADS_ON.match(line)
        if match is None:
            continue
        given = match["file"]
        target = _found(variables.get(given.lower(), given), (file, *(k for k, _ in above)))
        if target is None or target in done:
            continue
        here = [*above, (file, number)]
        for k, (ancestor, _) in enumerate(here):
            if ancestor == target:
                return tuple(here[k:])
        circle = _circle(target, here, variables, done)
        if circle:
            return circle
    done.add(file)
    return ()


def _found(given: str, readers: tuple[Path, ...]) -> Path | None:
    """Find what a redirect names: beside the file that has it, or beside one further up.

    What OpenDSS would not find is looked for whatever the case of its letters, as where the file
    was written, and then by its name alone beside those files (`simulator.opendss.mending`).
    """
    name = given.strip("\"'()[]{} \t").replace("\\", "/")
    for reader in readers:
        for candidate in (reader.parent / name, reader.parent / f"{name}.dss"):
            if candidate.is_file():
                return candidate.resolve()
    for way in (name, name.rpartition("/")[2]):
        for reader in readers:
            for named in (way, f"{way}.dss"):
                found = _whatever_case(reader.parent, named)
                if found is not None and found.resolve() not in readers:
                    return found.resolve()
    return None


def _whatever_case(folder: Path, name: str) -> Path | None:
    """Return the one file that a relative path names but for the case of its letters."""
    here = [folder]
    for part in name.split("/"):
        if part in {"", "."}:
            continue
        if part == "..":
            here = [one.parent for one in here]
            continue
        here = [one / found for one in here for found in _entries(one, part)]
    files = [one for one in here if one.is_file()]
    return files[0] if len(files) == 1 else None


def _entries(folder: Path, name: str) -> Iterator[str]:
    with suppress(OSError), os.scandir(folder) as found:
        yield from (one.name for one in found if one.name.lower() == name.lower())


def found_by(line: str, above: tuple[Path, ...]) -> tuple[str, Path] | None:
    """Return what a line redirects to, as it says it, and the file that this is.

    Parameters
    ----------
    line
        A line of the first of ``above``.
    above
        The file that has the line, and those that may have led to it.
    """
    given = leads_to(line)
    target = None if given is None else _found(given, above)
    return None if given is None or target is None else (given, target)


def lines_of(file: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of what is no comment; nothing of a file that cannot be read."""
    commented = False
    for number, line in enumerate(text_of(file).splitlines(), start=1):
        text = line.lstrip()
        if commented or text.startswith("/*"):
            commented = "*/" not in text
        elif text and not text.startswith(("!", "//")):
            yield number, line


def all_lines_of(file: Path) -> Iterator[tuple[int, str]]:
    """Yield number and text of all that OpenDSS may take for a line, and not for a comment.

    What ends a line and what ends a block of comments is OpenDSS's to say: here anything that
    may end one does, and only a whole line of a comment is left out.
    """
    for number, line in enumerate(text_of(file).split("\n"), start=1):
        for place, text in enumerate(line.splitlines()):
            if place or not text.lstrip().startswith(("!", "//")):
                yield number, text


def text_of(file: Path) -> str:
    """Return what a file says, however it is encoded; nothing of one that cannot be read."""
    try:
        with file.open("rb") as source:
            data = source.read(MOST_BYTES)  # of what is larger, `guard` says so
    except OSError:
        return ""
    encoding = next(name for mark, name in _ENCODINGS if data.startswith(mark))
    return data.decode(encoding, "surrogateescape" if encoding == "utf-8-sig" else "replace")


def place_of(path: Path, pattern: re.Pattern[str]) -> str:
    """Name the first line, in the file or in what it redirects to, that matches.

    Returns
    -------
    str
        ``FILE, line N``; the main file alone if no line does.
    """
    for file in files_of(path):
        for number, line in lines_of(file):
            if pattern.search(line):
                return f"{file if file != path.resolve() else path}, line {number}"
    return str(path)


def files_of(path: Path) -> Iterator[Path]:
    """Yield a feeder's main file and what it redirects to, each once, resolved."""
    yield from _tree((path.resolve(),), set(), {})


def leads_to(line: str) -> str | None:
    """Return what a line redirects to, as it says it; None if it redirects nowhere."""
    match = _LEADS_ON.match(line)
    return None if match is None else match["file"]


def _tree(above: tuple[Path, ...], seen: set[Path], variables: dict[str, str]) -> Iterator[Path]:
    """Yield a file, the first of those that led to it, and what it leads on to, each once."""
    seen.add(above[0])
    yield above[0]
    for _, line in all_lines_of(above[0]):
        variables |= {key.lower(): value for key, value in _VARIABLE.findall(line)}
        given = leads_to(line)
        target = None if given is None else _found(variables.get(given.lower(), given), above)
        if target is not None and target not in seen:
            yield from _tree((target, *above), seen, variables)
