"""Compiling a feeder file so that it is what OpenDSS would compile a second time.

One setting outlives the circuit that a file makes: ``Set DefaultBaseFrequency``. Elements
take it when they are made, so in a file that sets it after ``New Circuit`` the source keeps
the frequency from before, the circuit is solved at the new one, and the source is dead; the
same file compiled again is right. Reader and engine both compile through `compile_feeder`,
which compiles again where that setting moved.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from gridproof.scenarios.errors import ConfigError
from gridproof.simulator.opendss.bases import mend_bases
from gridproof.simulator.opendss.dss_files import circle_of_redirects
from gridproof.simulator.opendss.guard import refuse_programs
from gridproof.simulator.opendss.mending import PASSED_OVER, compile_mended
from gridproof.simulator.opendss.stars import take_stars_apart
from gridproof.simulator.opendss.stiff import lengthen_stiff
from gridproof.simulator.opendss.ties import open_disabled_switches

__all__ = [
    "DEFAULT_FREQUENCY_HZ",
    "base_frequency_hz",
    "compile_feeder",
    "refuse_hopeless",
]

_MORE_SOLVES = 4

DEFAULT_FREQUENCY_HZ = 60.0
"""What a context starts with."""


def refuse_hopeless(path: Path) -> None:
    """Refuse what OpenDSS does not survive, and a path that cannot be told to it.

    Raises
    ------
    ConfigError
        If files redirect to one another in a circle, the path holds a quote or a line break, or a
        file asks for more than a circuit (`simulator.opendss.guard`).
    """
    if any(sign in str(path.resolve()) for sign in '"\r\n'):
        raise ConfigError(f"{path}: its path holds a quote or a line break; rename file or folder")
    circle = circle_of_redirects(path)
    if circle:
        (file, line), *between = circle
        through = "".join(
            f", which goes on in {other}, line {number}," for other, number in between
        )
        back = (
            f"to {between[0][0].name}{through} and so back to this file" if between else "to itself"
        )
        raise ConfigError(f"{file}, line {line}: redirects {back}; remove one of these lines")
    refuse_programs(path)


def compile_feeder(
    context: Any, path: Path, *, machines: bool = False, as_written: bool = False
) -> None:
    """Compile a file in a context that was lent, and solve; again if its frequency moved.

    Machines that the file holds are disabled then, and what is left is solved anew, so that taps
    are those of the feeder without them.

    Parameters
    ----------
    context
        Its default base frequency is `DEFAULT_FREQUENCY_HZ`.
    path
        The main file.
    machines
        Leave the file's machines as they are.
    as_written
        Leave lines of next to no impedance (`simulator.opendss.stiff`), disabled switches
        (`simulator.opendss.ties`) and transformers of three windings (`simulator.opendss.stars`)
        as they are.

    Raises
    ------
    ConfigError
        As `refuse_hopeless`.
    DSSException
        What OpenDSS says of the file.
    """
    refuse_hopeless(path)
    _compile(context, path, machines, as_written)
    if base_frequency_hz(context) != DEFAULT_FREQUENCY_HZ:  # `Clear` leaves it: all have it now
        _compile(context, path, machines, as_written)


def _compile(context: Any, path: Path, machines: bool, as_written: bool) -> None:
    compile_mended(context, path)
    mend_bases(context)
    if not as_written:
        take_stars_apart(context)
        open_disabled_switches(context)
        lengthen_stiff(context)
    context.Solution.Solve()  # files need not solve themselves; taps have to be settled
    moved = not machines and _disable(context)
    for _ in range(_MORE_SOLVES):  # a file's own limits may end before its regulators are settled
        if not moved and _settled(context):
            break
        context.Solution.Solve()
        moved = False
    mend_bases(context)  # of buses, too, that came after the file's last solve


def _settled(context: Any) -> bool:
    return not int(context.Basic.NumCircuits()) or bool(context.Solution.Converged())


def _disable(context: Any) -> bool:
    """Disable the file's machines; whether there were any."""
    if not int(context.Basic.NumCircuits()):
        return False
    elements, found = context.to_dss_python().ActiveCircuit.CktElements, False
    kinds = tuple(f"{kind}." for kind in PASSED_OVER)
    for k, name in enumerate(context.Circuit.AllElementNames()):
        if str(name).lower().startswith(kinds):
            element = elements(k)
            found |= bool(element.Enabled)
            element.Enabled = False
    return found


def base_frequency_hz(context: Any) -> float:
    """Default base frequency of the context; it must hold a circuit, else the default is told."""
    if not int(context.Basic.NumCircuits()):
        return DEFAULT_FREQUENCY_HZ
    context.Text.Command("Get DefaultBaseFrequency")
    return float(context.Text.Result())
