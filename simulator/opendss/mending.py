"""Files that OpenDSS does not get through for what no flow needs, compiled from a mended copy.

Four kinds. A line of no impedance at all, as a switch or a jumper is often written, ends the first
build of the admittance matrix, and the rest of the file with it: it is given `JUMPER_OHM`. Profiles
and coordinates in files that are not there: nominal demand needs neither, so profiles are left
without points, and buses without a place. A redirect to a file whose name has its letters in
another case, as where it was written nobody minds, or that lies beside the file that names it
instead of in another folder, is led there. Machines, and controls of theirs, that keep the file's
own solve from an end are disabled before it, as they are after it anyway. Only a file that OpenDSS
refuses for one of these is copied; the copy lies in a directory of its own in which everything but
what was mended is a link to the original, so that relative paths lead where they did.
"""

from __future__ import annotations

import json
import os
import re
import tempfile
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
from gridproof.scenarios.arrays import FloatArray
from gridproof.simulator.opendss.contexts import refusal
from gridproof.simulator.opendss.dss_files import files_of, found_by, lines_of, text_of
from numpy.typing import NDArray

__all__ = [
    "DERS",
    "JUMPER_OHM",
    "PASSED_OVER",
    "THEIR_CONTROLS",
    "compile_mended",
    "without_impedance",
]

ComplexArray = NDArray[np.complex128]

DERS = ("generator", "pvsystem", "storage", "indmach012")
"""Classes of machines: a study says what DERs there are, so those of the file are passed over."""

THEIR_CONTROLS = (
    "invcontrol", "expcontrol", "storagecontroller", "storagecontroller2", "gendispatcher",
)  # fmt: skip
PASSED_OVER = (*DERS, *THEIR_CONTROLS)

JUMPER_OHM = 1e-7
"""Of a line that has none, and then no charging either: 1000 A lose 1e-4 V in it."""

_MOST_ROUNDS = 24  # solves of one file that may each meet lines the ones before had not
_SINGULAR = 1e-12  # of an impedance matrix: least by largest singular value
_NO_IMPEDANCE, _NO_PLACES, _NO_FILE = 183, 275, 243
_NO_PROFILE = {613, 653, 70401, 70501, 70502, 58613}
_EVERY_PROPERTY = 1  # of an object as JSON, not only those that were set
_NUMBER = re.compile(r"\(#(\d+)\)")
_AT = re.compile(r'\[file: "([^"]*)", line: (\d+)\]')
_SOLVES = re.compile(r"^\s*(solv|calcv)\w*\b", re.IGNORECASE)
_PLACES = re.compile(r"^\s*(buscoords?|latlongcoords?)\b", re.IGNORECASE)
_POINTS = re.compile(
    r"""\b(?P<key>mult|qmult|pmult|pbase|qbase|hour|temp|price|sdata|xarray|yarray|harmonic)
        \s*=\s*[\[({]\s*(?:file|sngfile|dblfile)\s*=\s*["']?(?P<file>[^\])}"',]+)["']?[^\])}]*[\])}]
      | \b(?:csvfile|sngfile|dblfile|pqcsvfile)\s*=\s*["'(\[{]?(?P<whole>[^\s\])}"',]+)["')\]}]?""",
    re.IGNORECASE | re.VERBOSE,
)


def compile_mended(context: Any, path: Path) -> None:
    """Compile a file; where OpenDSS refuses it for a kind that can be mended, its mended copy.

    Parameters
    ----------
    context
        One that was lent.
    path
        The main file.

    Raises
    ------
    DSSException
        What OpenDSS says of the file, in the file's own paths.
    """
    main = path.resolve()
    error = _run(context, main)
    if error is None and not _is_no_number(context):
        if not any(_SOLVES.match(line) for file in files_of(main) for _, line in lines_of(file)):
            for command in _edits(context):
                context.Text.Command(command)
            if int(context.Basic.NumCircuits()):
                context.Solution.Solve()  # nobody has, and without buses nothing can be told
        return
    with tempfile.TemporaryDirectory(prefix="gridproof-") as root:
        copy = _Copy(Path(root), main)
        for _ in range(_MOST_ROUNDS):
            if not copy.mend(context, error):
                break
            error = _run(context, copy.at(main))
            if error is None and not _is_no_number(context):
                return
        if error is not None:
            raise copy.told(error) from error


def without_impedance(z: ComplexArray) -> bool:
    """Whether no admittance matrix can hold a line's series impedance (conductor, conductor)."""
    if not (z.size and np.isfinite(z).all()):
        return False  # a fault of its own
    sizes = np.linalg.svd(z, compute_uv=False)
    return bool(sizes[-1] <= _SINGULAR * sizes[0])


def _run(context: Any, path: Path) -> Exception | None:
    """Compile a file; what OpenDSS says against it, if anything."""
    context.Text.Command("Clear")
    try:
        context.Text.Command(f'Compile "{path}"')
    except refusal() as error:
        return error
    return None


def _is_no_number(context: Any) -> bool:
    """Whether the file's own solution, if it has one, holds what is no number."""
    if not int(context.Basic.NumCircuits()):
        return False
    try:
        volts = np.asarray(context.Circuit.AllBusVolts(), float)
    except refusal():  # not solved
        return False
    return not bool(np.isfinite(volts).all())


def _edits(context: Any) -> list[str]:
    """Commands that give each line without impedance one; disabled lines are built, too."""
    if not int(context.Basic.NumCircuits()):
        return []
    context.Circuit.SetActiveClass("Line")
    if not int(context.ActiveClass.Count()):
        return []
    found = []
    for line in json.loads(context.ActiveClass.ToJSON(_EVERY_PROPERTY)):
        z, name = _impedance(line), str(line["Name"])
        if without_impedance(z) and '"' not in name:
            found.append(f'Edit "Line.{name}" units=none length=1 {_mended(line, z)}')
    return found


def _impedance(line: dict[str, Any]) -> ComplexArray:
    """(conductor, conductor) series impedance of a whole line, as its properties have it."""
    if line.get("R1") is None:  # by matrix, code or geometry
        r, x = (np.array(line[key], float) for key in ("RMatrix", "XMatrix"))
        return np.asarray((r + 1j * x) * float(line["Length"]), complex)
    one, zero = complex(line["R1"], line["X1"]), complex(line["R0"], line["X0"])
    count = int(line["Phases"])
    z = np.full((count, count), (zero - one) / 3.0)
    np.fill_diagonal(z, (2.0 * one + zero) / 3.0 if count > 1 else one)
    return np.asarray(z * float(line["Length"]), complex)


def _mended(line: dict[str, Any], z: ComplexArray) -> str:
    """Properties of a line with `JUMPER_OHM` on top, in the words it was stated in.

    Sequence values that were set go before a matrix that is set later.
    """
    if line.get("R1") is None:
        z = z + JUMPER_OHM * np.eye(len(z))
        none = np.zeros(z.shape)
        return f"rmatrix={_lower(z.real)} xmatrix={_lower(z.imag)} cmatrix={_lower(none)}"
    length = float(line["Length"])
    values = {key: float(line[key]) * length for key in ("R1", "X1", "R0", "X0")}
    added = {"R1": JUMPER_OHM, "R0": JUMPER_OHM}
    told = (f"{key}={value + added.get(key, 0.0):.12g}" for key, value in values.items())
    return f"{' '.join(told)} c1=0 c0=0"


def _lower(matrix: FloatArray) -> str:
    """Set a symmetric matrix as OpenDSS takes it: its lower triangle, row by row."""
    rows = (" ".join(f"{value:.12g}" for value in row[: k + 1]) for k, row in enumerate(matrix))
    return f"[{' | '.join(rows)}]"


class _Copy:
    """A feeder's files in a directory of their own, those that were mended as text."""

    def __init__(self, root: Path, main: Path) -> None:
        self._root, self._main = root, main
        self._texts: dict[Path, list[str]] = {}
        self._to_disable = [THEIR_CONTROLS, DERS]
        self._place(main)

    def at(self, file: Path) -> Path:
        """Where a file of the feeder lies in the copy."""
        return self._root / file.relative_to(file.anchor)

    def told(self, error: Exception) -> Exception:
        """Return an error of the copy as one of the original."""
        text = str(error).replace(str(self._root), "")
        number = _NUMBER.search(text)
        if number is None:
            return error
        return refusal()(int(number[1]), text.removeprefix(f"{number[0]} "))

    def mend(self, context: Any, error: Exception | None) -> bool:
        """Mend what a compilation ended for; whether there was anything that can be."""
        number = None if error is None else _NUMBER.search(str(error))
        code = int(number[1]) if number else 0
        if code in _NO_PROFILE:
            return self._leave_out_profiles()
        at = _AT.search(str(error))
        place = None if at is None else (self._own(at[1]), int(at[2]) - 1)
        if code == _NO_PLACES and place is not None:
            return self._replace(*place, lambda line: "" if _PLACES.match(line) else line)
        if code == _NO_FILE and place is not None:
            above = (place[0], self._main)
            return self._replace(*place, lambda line: self._led_right(line, above))
        if place is not None and code != _NO_IMPEDANCE and _SOLVES.match(self._line(*place)):
            return self._without_machines(context, *place)
        if error is None:
            place = self._first_solving()
        if code not in {0, _NO_IMPEDANCE} or place is None:
            return False
        edits = _edits(context)
        self._text(place[0])[place[1] : place[1]] = edits
        self._write(place[0])
        return bool(edits)

    def _led_right(self, line: str, above: tuple[Path, ...]) -> str:
        """Let a redirect lead to the file that is meant, wherever `files_of` has found it."""
        found = found_by(line, above)
        if found is None:
            return line
        given, target = found
        return line.replace(given, f'"{self.at(target)}"', 1)

    def _without_machines(self, context: Any, file: Path, line: int) -> bool:
        """Disable machines' controls, then machines, before a solve; whether there are any."""
        if not int(context.Basic.NumCircuits()):
            return False
        names = [str(name).lower() for name in context.Circuit.AllElementNames()]
        while self._to_disable:
            there = [
                kind
                for kind in self._to_disable.pop(0)
                if any(name.startswith(f"{kind}.") for name in names)
            ]
            if there:
                self._text(file)[line:line] = [f"BatchEdit {kind}..* enabled=no" for kind in there]
                self._write(file)
                return True
        return False

    def _own(self, told: str) -> Path:
        """Path of the original of a file that an error names."""
        return Path(os.path.normpath(told.removeprefix(str(self._root)))).resolve()

    def _first_solving(self) -> tuple[Path, int] | None:
        for file in files_of(self._main):
            for number, line in enumerate(self._text(file)):
                if _SOLVES.match(line):
                    return file, number
        return None

    def _leave_out_profiles(self) -> bool:
        """Leave each profile without the points of a file that is not there."""
        files = tuple(files_of(self._main))
        found = False
        for file in files:
            places = (file.parent, *(one.parent for one in files))

            def shown(match: re.Match[str], places: tuple[Path, ...] = places) -> str:
                name = (match["file"] or match["whole"]).strip().replace("\\", "/")
                there = any((place / name).is_file() for place in places)
                return match[0] if there else (f"{match['key']}=(1)" if match["key"] else "")

            for number, line in enumerate(self._text(file)):
                found |= self._replace(file, number, lambda line: _POINTS.sub(shown, line), line)
            self._write(file)
        return found

    def _line(self, file: Path, number: int) -> str:
        lines = self._text(file)
        return lines[number] if number < len(lines) else ""

    def _text(self, file: Path) -> list[str]:
        if file not in self._texts:
            self._texts[file] = text_of(file).split("\n")
        return self._texts[file]

    def _replace(
        self, file: Path, number: int, change: Callable[[str], str], line: str | None = None
    ) -> bool:
        lines = self._text(file)
        new = change(lines[number] if line is None else line)
        if new == lines[number]:
            return False
        lines[number] = new
        if line is None:
            self._write(file)
        return True

    def _write(self, file: Path) -> None:
        self._place(file)
        text = "\n".join(self._text(file))
        self.at(file).unlink(missing_ok=True)
        self.at(file).write_text(text, "utf-8", "surrogateescape")

    def _place(self, file: Path) -> None:
        """Make the directories that lead to a file; all else in them are links."""
        real = Path(file.anchor)
        for part in file.relative_to(real).parts:
            copy = self.at(real)
            if copy.is_symlink():
                copy.unlink()
            if not copy.is_dir():
                copy.mkdir()
                with suppress(OSError):
                    for one in real.iterdir():
                        (copy / one.name).symlink_to(one)
            real /= part
