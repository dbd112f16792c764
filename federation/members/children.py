"""Children of a supervisor: each in a process group of its own, watched, and reaped always."""

from __future__ import annotations

import os
import signal
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING

from gridproof.federation.members.intruders import ENDED_BY_NO_MEMBER, watch_for_intruders
from gridproof.federation.members.session import MEMBERS, SessionSettings
from gridproof.federation.wire.helics_environment import without_helics
from gridproof.scenarios.errors import ConfigError, DeadlinePassed, FederateLost, FederationError

import gridproof

if TYPE_CHECKING:
    from gridproof.federation.wire.helics_broker import HelicsBroker

__all__ = [
    "HEARD",
    "KEY",
    "RECEIPT",
    "SUPERVISOR",
    "Child",
    "broker_key",
    "key_of_observers",
    "watch",
]

KEY = "GRIDPROOF_KEY"
"""Environment variable with the broker's key: the words of a command are seen by everybody."""
SUPERVISOR, RECEIPT = "GRIDPROOF_SUPERVISOR", "GRIDPROOF_RECEIPT"
"""Environment variables that tell a child who supervises it and where its receipt goes."""
HEARD = "GRIDPROOF_HEARD"
"""Environment variable: where a child notes that the federation was ended, and not by it."""
_LOOK_EVERY_S, _JOIN_LOOK_S, _GRACE_S = 0.05, 0.25, 2.0
_LONGER_S = 10.0
_TAIL_CHARACTERS = 4000
_KNOWN_CODES = (1, 2, 3, 4)  # the command line's own; anything else is a lost federate


def broker_key() -> str:
    """Return the broker's key from the environment.

    Raises
    ------
    ConfigError
        If there is none.
    """
    key = os.environ.get(KEY)
    if not key:
        raise ConfigError(
            f"the broker's key is not there: set {KEY}, to the same word here and where the others "
            "run; it is no word of a command, which everybody on the machine may read"
        )
    return key


def key_of_observers(settings: SessionSettings) -> str | None:
    """Return the key that observers know; None where there are none, and a broker has its own."""
    return broker_key() if settings.observers else None


class Child:
    """A federate's process, leader of its own process group; its output goes to a file."""

    def __init__(
        self,
        name: str,
        command: Sequence[str],
        places: tuple[Path, Path],
        receipt: bool,
        *,
        key: str = "",
        more: Mapping[str, str] | None = None,
    ) -> None:
        self.name, self.ours = name, receipt
        folder, logs = places
        self._output, self._receipt = logs / f"{name}.log", folder / f"{name}.receipt"
        self._heard = folder / f"{name}.heard"
        root = Path(gridproof.__file__).parents[1]
        paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = without_helics(os.environ) | {
            SUPERVISOR: str(os.getpid()),
            RECEIPT: str(self._receipt),
            HEARD: str(self._heard),
            KEY: key,
            "PYTHONPATH": os.pathsep.join(paths),
            **(more or {}),
        }
        try:
            logs.mkdir(parents=True, exist_ok=True)
            with self._output.open("ab") as output:
                self._begin = output.tell()
                self._process = subprocess.Popen(
                    list(command),
                    stdin=subprocess.DEVNULL,
                    stdout=output,
                    stderr=subprocess.STDOUT,
                    env=environment,
                    process_group=0,
                )
        except OSError as error:
            raise ConfigError(f"the {name} could not be started: {command[0]}: {error}") from error

    def code(self) -> int | None:
        """Exit code; negative for a signal, ``None`` while it runs."""
        return self._process.poll()

    @property
    def finished_its_work(self) -> bool:
        """Whether it ended with code 0 and, if it is ours, left its receipt."""
        return self.code() == 0 and (self._receipt.exists() or not self.ours)

    @property
    def only_heard_of_the_end(self) -> bool:
        """Whether it ended because the federation did, by somebody else's word."""
        return self._heard.exists()

    def ask_to_end(self) -> None:
        """Send it SIGTERM if it still runs."""
        if self.code() is None:
            self._signal(signal.SIGTERM)

    def reap(self) -> None:
        """Wait shortly, then kill; whatever it started itself is killed with it."""
        with suppress(subprocess.TimeoutExpired):
            self._process.wait(_GRACE_S)
        self._signal(signal.SIGKILL)
        self._process.wait()
        with suppress(OSError):
            if not self._output.stat().st_size:
                self._output.unlink()
                self._output.parent.rmdir()  # only if no other wrote anything either

    def said(self) -> str:
        """Return the end of what it wrote."""
        try:
            written = self._output.read_bytes()[self._begin :]
        except OSError:
            return ""
        text = written.decode("utf-8", errors="replace").strip()
        return text.removeprefix("error: ")[-_TAIL_CHARACTERS:]

    def failure(self) -> FederateLost:
        """Say what its exit code means, with what it wrote."""
        code, how = self.code(), f"ended with code {self.code()}"
        if code == 0:
            how = "left with code 0 before its work was done"
        elif code is not None and code < 0:
            how = f"was killed by {signal.Signals(-code).name}"
        said = self.said()
        error = FederateLost(f"the {self.name} {how}" + (f": {said}" if said else ""))
        known = self.ours and code in _KNOWN_CODES
        error.exit_code = code if known and code else FederationError.exit_code
        return error

    def _signal(self, number: signal.Signals) -> None:
        with suppress(ProcessLookupError, PermissionError):
            os.killpg(self._process.pid, number)


def watch(
    children: Sequence[Child],
    broker: HelicsBroker,
    settings: SessionSettings,
    beside: Callable[[], None] = lambda: None,
) -> None:
    """Return when all children have finished their work; raise as soon as one cannot.

    ``beside`` is called often, to look after whoever else is there.
    """
    started = time.monotonic()
    next_look_s, awaits_members = 0.0, True
    names = [child.name for child in children]
    look = watch_for_intruders(broker, names, observers=settings.observers)
    while not all(child.finished_its_work for child in children):
        waited = time.monotonic() - started
        if any(_has_failed(child) for child in children):
            raise _cause(children)
        look()
        beside()
        if awaits_members and waited >= next_look_s:
            next_look_s = waited + _JOIN_LOOK_S
            absent = broker.missing()
            awaits_members = bool(absent) and not any(c.code() == 0 for c in children)
            if awaits_members and waited > settings.join_deadline_s:
                raise DeadlinePassed("joining the federation", " and ".join(absent), waited)
        if settings.wall_deadline_s is not None and waited > settings.wall_deadline_s:
            whom = " and ".join(child.name for child in children if child.code() is None)
            raise DeadlinePassed("the end of the run", whom, settings.wall_deadline_s)
        time.sleep(_LOOK_EVERY_S)


def _has_failed(child: Child) -> bool:
    return child.code() is not None and not child.finished_its_work


def _cause(children: Sequence[Child]) -> FederateLost:
    """Return the failure the others follow from: they only lost their peer, code 4."""
    began = time.monotonic()
    while any(child.code() is None for child in children):
        ranks = [_rank(child) for child in children if _has_failed(child)]
        # who was heard to fail is on its way out, and knows why: it is worth waiting for
        patience_s = _LONGER_S if min(ranks) == 4 else _GRACE_S
        if min(ranks) < 2 or time.monotonic() - began > patience_s:
            break
        time.sleep(_LOOK_EVERY_S)
    failed = sorted((child for child in children if _has_failed(child)), key=_rank)
    error = failed[0].failure()
    silent = [child.name for child in children if child.code() is None]
    if silent and _rank(failed[0]) in (3, 4):  # HELICS' own words name its peer by a number
        more = FederateLost(f"{error}\nthe {' and '.join(silent)} still ran and did not answer")
        more.exit_code, error = error.exit_code, more
    if all(child.only_heard_of_the_end for child in children):
        more = FederateLost(f"{error}\n{ENDED_BY_NO_MEMBER}")
        more.exit_code, error = error.exit_code, more
    for other in failed[1:]:
        if not other.ours and other.said():  # its own words say more than ours about it
            more = FederateLost(f"{error}\nthe {other.name} wrote last: {other.said()[-200:]}")
            more.exit_code, error = error.exit_code, more
    return error


def _rank(child: Child) -> int:
    """Own failures first, then a signal, then an early leave, then who tells of the wire.

    Of two that do, the one that only repeats why the other failed comes later. A foreign
    program's codes mean nothing to us; its peer has heard why it failed.
    """
    code = child.code() or 0
    if code > 0 and not child.ours:
        return 5
    if code in (1, 2, 3):
        return 0
    if code < 0:
        return 1
    if code == 0:
        return 2
    return 4 if any(child.said().startswith(f"{name} failed: ") for name in MEMBERS) else 3
