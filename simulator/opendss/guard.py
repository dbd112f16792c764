"""What a feeder file may not ask OpenDSS for: code of its own, and files written while it is read.

A feeder file is a program of OpenDSS, and OpenDSS loads the native libraries it names, and writes
the exports, reports and traces it asks for beside it. Neither is needed to read a feeder, so a
file that asks for one is refused before OpenDSS gets it, unless its reader vouches for it.
Comments in blocks are read as well: where one ends is OpenDSS's to say.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from functools import cache
from pathlib import Path

from gridproof.scenarios.errors import ConfigError
from gridproof.simulator.opendss.dss_files import MOST_BYTES, all_lines_of, files_of, leads_to

__all__ = ["TRUSTED", "refuse_programs"]

TRUSTED = "GRIDPROOF_TRUST_FEEDER"
"""Environment variable; with ``1`` feeder files may do what OpenDSS lets them."""

_MOST_FAULTS = 20
_MOST_ELEMENTS = 100_000
_LOADS = ("usermodel", "shaftmodel", "dynadll")
_TRACES = ("debugtrace",)
_WRITES = (
    "export", "exportoverloads", "exportvviolations", "show", "save", "dump", "fileedit",
    "formedit", "vdiff", "alignfile", "doscmd", "comparecases", "di_plot", "yearlycurves",
    "visualize", "distribute", "estimate", "uuids", "cvrtloadshapes", "connect", "calcincmatrix",
    "calcincmatrix_o", "closedi", "top",
)  # fmt: skip
"""Commands that write files, start something or listen; no feeder needs one to be read."""
_WHOLE = ("close",)
"""Commands that begin as one of those does: OpenDSS takes a word that is whole for itself."""
_SETTINGS = (
    "demandinterval", "diverbose", "overloadreport", "voltexceptionreport", "tracecontrol",
    "log", "logfile", "datapath", "editor", "recorder", "dssvisualizationtool", "casename",
)  # fmt: skip
_LEADS, _QUOTES = ("redirect", "compile"), tuple("\"'([{")
_SHORTEST = 2
_FIRST = re.compile(r"""^[\s"'(\[{]*(?P<word>[@\w]+)""")
_NAMED = re.compile(r"""(?P<name>[\w.@-]+)["')\]}]*\s*=\s*["'(\[{]?\s*(?P<value>[^\s,"')\]}]*)""")
_QUOTED = re.compile(r"""["'(\[{]([^"')\]}]*)["')\]}]""")
_WORD = re.compile(r"""[^\s,="'()\[\]{}]+""")
_NATIVE = (b"\x7fELF", b"MZ", b"\xfe\xed\xfa", b"\xcf\xfa\xed\xfe", b"\xce\xfa\xed\xfe",
           b"\xca\xfe\xba\xbe")  # fmt: skip
"""How libraries of Linux, Windows and macOS begin."""


def refuse_programs(path: Path) -> None:
    """Refuse a feeder that loads libraries, writes files or starts something while it is read.

    Parameters
    ----------
    path
        The main file; what it redirects to is looked at, too.

    Raises
    ------
    ConfigError
        Naming file and line of each; not where the environment has `TRUSTED` = ``1``.
    """
    if os.environ.get(TRUSTED) == "1":
        return
    files = tuple(file for file in files_of(path) if file.is_file())  # else OpenDSS says so
    if not files:
        return
    places = {file.parent for file in files} | {Path.cwd()}
    near = {name.lower() for place in places for name in _names(place)}
    native = cache(_native)  # of this call: a feeder names its few files in thousands of lines
    _refuse_sizes(files)
    faults = [
        f"{path if file == path.resolve() else file}, line {number}: {wrong}; remove it, or, if "
        f"you would run this file as a program, vouch for it: gridproof --trust-feeder … (or "
        f"{TRUSTED}=1)"
        for file in files
        for number, line in all_lines_of(file)
        for wrong in _wrong(line, (file.parent, *places), near, native)
    ]
    if faults:
        raise ConfigError(faults[:_MOST_FAULTS])


def _refuse_sizes(files: tuple[Path, ...]) -> None:
    """Refuse more than a computer has room for, before OpenDSS makes it."""
    if sum(file.stat().st_size for file in files) > MOST_BYTES:
        raise ConfigError(
            f"{files[0]}: it and what it redirects to are larger than {MOST_BYTES >> 20} MiB; take "
            "a part of the feeder"
        )
    made = 0
    for file in files:
        words = (_FIRST.match(line) for _, line in all_lines_of(file))
        made += sum(bool(one) and "new".startswith(one["word"].lower()) for one in words if one)
    if made > _MOST_ELEMENTS:
        raise ConfigError(
            f"{files[0]}: it makes {made} elements, and at most {_MOST_ELEMENTS} are read; take a "
            "part of the feeder"
        )


def _wrong(
    line: str,
    places: tuple[Path, ...],
    near: set[str],
    native: Callable[[Path, str], Path | None],
) -> Iterator[str]:
    first = _FIRST.match(line)
    word = "" if first is None else first["word"].lower()
    if word.startswith("@"):
        yield f"{word} stands for a command that nobody can read here"
    elif line.lstrip()[:1] in _QUOTES and _shortens(word, _LEADS) and leads_to(line) is None:
        yield f"{word} leads to a file that nobody can read here"
    elif word not in _WHOLE and _shortens(word, _WRITES):
        yield f"{word} writes files, or starts something, while the feeder is read"
    for match in _NAMED.finditer(line):
        name, value = match["name"].lower().rpartition(".")[2], match["value"].lower()
        if _shortens(name, _LOADS):
            yield f"{match['name']} loads a native library"
        elif (_shortens(name, _TRACES) and value[:1] in {"y", "t", "1"}) or (
            _shortens(name, ("action",)) and value[:1] in {"d", "s"}
        ):
            yield f"{match['name']}={match['value']} writes a file while the feeder is read"
        elif word.startswith("se") and name in _SETTINGS and value[:1] not in {"n", "f", "0"}:
            yield f"set {name} writes, or chooses where OpenDSS writes"
    for given in _places_named(line, near):
        found = next((one for place in places if (one := native(place, given))), None)
        if found is not None:
            yield f"{given} is a native library ({found})"


@cache
def _beginnings(*names: str) -> frozenset[str]:
    return frozenset(name[:end] for name in names for end in range(_SHORTEST, len(name) + 1))


def _shortens(word: str, names: tuple[str, ...]) -> bool:
    """Whether OpenDSS may take a word for one of the names: it lets each be shortened."""
    return word in _beginnings(*names)


def _places_named(line: str, near: set[str]) -> Iterator[str]:
    """Yield what may be a file's path: what has a slash, or is called as a file near by is."""
    for given in dict.fromkeys((*_QUOTED.findall(line), *_WORD.findall(line))):
        if "/" in given or "\\" in given or given.strip().lower() in near:
            yield given.strip()


def _native(place: Path, given: str) -> Path | None:
    for name in (given, given.replace("\\", "/")):
        for ending in ("", ".so", ".dll", ".dylib"):
            path = place / f"{name}{ending}"
            with suppress(OSError, ValueError):
                if path.is_file():
                    with path.open("rb") as file:
                        if file.read(4).startswith(_NATIVE):
                            return path
    return None


def _names(place: Path) -> Iterator[str]:
    with suppress(OSError), os.scandir(place) as found:
        for entry in found:
            yield entry.name
            yield entry.name.partition(".")[0]
