"""One federation as two processes under a supervisor that owns the broker.

HELICS' own runner exits 0 when a federate is killed, leaves brokers behind and has no
deadline. Here every child has its own process group, its death is seen within a fraction of
a second, whatever happens ends and reaps all of them, and the run counts only if each child
ended with code 0 *and* left its receipt: a federate that never did its work is not a success.
"""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from tempfile import TemporaryDirectory

from gridproof.federation.members.jobs import FeederJob, PlannerJob
from gridproof.federation.members.session import MEMBERS, SessionSettings, run_feeder, run_planner
from gridproof.federation.members.threads import Note, run_members
from gridproof.federation.wire.helics_broker import (
    BrokerAddress,
    HelicsBroker,
    close_library,
    watch_broker,
)
from gridproof.federation.wire.helics_environment import without_helics
from gridproof.federation.wire.helics_link import HelicsLink
from gridproof.federation.wire.link import Link
from gridproof.scenarios.errors import ConfigError, DeadlinePassed, FederateLost, FederationError
from gridproof.scenarios.plan import Plan

import gridproof

__all__ = [
    "federate_command",
    "is_supervised",
    "program",
    "run_feeder_process",
    "run_planner_process",
    "run_processes",
    "run_wired_process",
    "supervise",
]

_SUPERVISOR, _RECEIPT = "GRIDPROOF_SUPERVISOR", "GRIDPROOF_RECEIPT"
_LOOK_EVERY_S, _JOIN_LOOK_S, _GRACE_S = 0.05, 0.25, 2.0
_TAIL_CHARACTERS = 4000
_KNOWN_CODES = (1, 2, 3, 4)  # the command line's own; anything else is a lost federate


# ------------------------------------------------------------------------ inside a child


def run_planner_process(
    job: PlannerJob, *, broker: str, key: str, settings: SessionSettings | None = None
) -> Plan:
    """Be the planner of a federation whose broker is elsewhere, until the feeder says done.

    The command ``federate planner STUDY --broker HOST:PORT --key KEY --settings JSON`` makes
    the job of its study and calls this.

    Parameters
    ----------
    job
        What the planner does.
    broker
        ``HOST:PORT``.
    key
        The broker's key.
    settings
        Deadlines (`SessionSettings.from_json` reads ``--settings``); the transport is zmq.

    Raises
    ------
    BaseException
        As `federation.members.session.run_session`; the command line turns it into an exit code.
    """
    return run_wired_process(job, BrokerAddress.parse(broker, key), settings)


def run_feeder_process(
    job: FeederJob, *, broker: str, key: str, settings: SessionSettings | None = None
) -> Plan:
    """Be the feeder of a federation whose broker is elsewhere, until N of N are judged.

    The command ``federate feeder STUDY --broker HOST:PORT --key KEY --out DIR --settings
    JSON`` makes the job of its study and directory and calls this. Parameters, return value
    and errors are those of `run_planner_process`.
    """
    return run_wired_process(job, BrokerAddress.parse(broker, key), settings)


def run_wired_process(
    job: PlannerJob | FeederJob,
    address: BrokerAddress,
    settings: SessionSettings | None = None,
    *,
    name: str | None = None,
    wire: Callable[[Link], Link] = lambda link: link,
) -> Plan:
    """Be a federate in a federation of somebody else's making.

    Parameters
    ----------
    job
        What it does; its kind is its role.
    address
        The broker.
    settings
        Deadlines.
    name
        The federate's name on the wire; its role if left out.
    wire
        Stands between the federate and its link: other names, other keys.

    Raises
    ------
    BaseException
        As `federation.members.session.run_session`.
    """
    role = "planner" if isinstance(job, PlannerJob) else "feeder"
    chosen = settings or SessionSettings(transport="zmq")
    links: list[HelicsLink] = []

    def make_link(member: str) -> Link:
        deadline_s = chosen.join_deadline_s
        link = HelicsLink(name or member, MEMBERS[member], address, join_deadline_s=deadline_s)
        links.append(link)
        return wire(link)

    look_at_broker = watch_broker(address)

    def look() -> None:
        _look_for_supervisor()
        if links and links[-1].joined:
            look_at_broker()

    def body(note: Note) -> Plan:
        if isinstance(job, PlannerJob):
            return run_planner(job, make_link, chosen, note)
        return run_feeder(job, make_link, chosen, note)

    def end(reason: str) -> None:
        for link in links:
            link.end_from_outside(reason)

    results = run_members({role: body}, end, wall_deadline_s=chosen.wall_deadline_s, look=look)
    close_library()
    receipt = os.environ.get(_RECEIPT)
    if receipt:
        Path(receipt).write_text("done\n", encoding="utf-8")
    return results[role]


def is_supervised() -> bool:
    """Whether this process was started by `supervise`, which keeps its directory for it."""
    return bool(os.environ.get(_SUPERVISOR))


def _look_for_supervisor() -> None:
    """Give up when the supervisor is gone; nobody else would end us."""
    supervisor = os.environ.get(_SUPERVISOR)
    if supervisor and supervisor != str(os.getppid()):
        raise FederateLost(f"the supervisor (process {supervisor}) is gone")


# ------------------------------------------------------------------------ the supervisor


def run_processes(
    study_file: Path, out: Path, settings: SessionSettings, *, logs: Path | None = None
) -> None:
    """Run planner and feeder of a study as two processes; returns when N of N are judged.

    Parameters
    ----------
    study_file
        Read by both children.
    out
        The campaign directory the feeder writes to.
    settings
        Deadlines; handed to the children as they are.
    logs
        As in `supervise`.

    Raises
    ------
    FederateLost
        A child failed. ``exit_code`` is the child's where it is 1 to 4 (3: no plan, 2: bad
        input), else 4; the message holds what the child said.
    DeadlinePassed
        A child did not join, or the whole took longer than ``wall_deadline_s``.
    """

    def command(role: str) -> Callable[[BrokerAddress], Sequence[str]]:
        return lambda address: federate_command(role, study_file, out, address, settings)

    supervise({role: command(role) for role in MEMBERS}, settings, logs=logs)


def program() -> list[str]:
    """Return how this program is started, so that its children are it, too."""
    script = Path(sys.executable).with_name("gridproof")
    return [sys.executable, *([str(script)] if script.is_file() else ["-m", "gridproof"])]


def federate_command(
    role: str, study_file: Path, out: Path, address: BrokerAddress, settings: SessionSettings
) -> list[str]:
    """Return the command of one child, as the command line understands it."""
    return [
        *(*program(), "federate", role, str(study_file)),
        *("--broker", f"{address.host}:{address.port}", "--key", address.key),
        *("--out", str(out), "--settings", settings.to_json()),
    ]


def supervise(
    commands: Mapping[str, Callable[[BrokerAddress], Sequence[str]]],
    settings: SessionSettings,
    *,
    foreign: Sequence[str] = (),
    logs: Path | None = None,
) -> None:
    """Start a broker and one child for each command; end and reap everything, always.

    Parameters
    ----------
    commands
        By federate: the argument list for a broker's address.
    settings
        ``join_deadline_s`` and ``wall_deadline_s`` are kept here, the others in the children.
    foreign
        Federates that are programs of somebody else's and leave no receipt: for them the code
        0 is enough here, and the other federate, which wants to hear *done*, is the witness.
    logs
        Folder that keeps what each child wrote, ``NAME.log``, run after run; nothing is kept of
        one that wrote nothing, or if left out.

    Raises
    ------
    BaseException
        As `run_processes`.
    """
    with TemporaryDirectory(prefix="gridproof-") as folder:
        broker = HelicsBroker("zmq", tuple(commands))
        children: list[_Child] = []
        try:
            for name, command in commands.items():
                receipt = name not in foreign
                places = Path(folder), logs or Path(folder)
                children.append(_Child(name, command(broker.address), places, receipt))
            _watch(children, broker, settings)
        except BaseException as error:
            broker.end(f"ended by the supervisor: {error or type(error).__name__}")
            raise
        finally:
            for child in children:
                child.ask_to_end()
            for child in children:
                child.reap()
            broker.close()


class _Child:
    """A federate's process, leader of its own process group; its output goes to a file."""

    def __init__(
        self, name: str, command: Sequence[str], places: tuple[Path, Path], receipt: bool
    ) -> None:
        self.name, self.ours = name, receipt
        folder, logs = places
        self._output, self._receipt = logs / f"{name}.log", folder / f"{name}.receipt"
        root = Path(gridproof.__file__).parents[1]
        paths = [str(root), *filter(None, [os.environ.get("PYTHONPATH")])]
        environment = without_helics(os.environ) | {
            _SUPERVISOR: str(os.getpid()),
            _RECEIPT: str(self._receipt),
            "PYTHONPATH": os.pathsep.join(paths),
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
        return self.code() == 0 and (self._receipt.exists() or not self.ours)

    def ask_to_end(self) -> None:
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


def _watch(children: Sequence[_Child], broker: HelicsBroker, settings: SessionSettings) -> None:
    """Return when all children have finished their work; raise as soon as one cannot."""
    started = time.monotonic()
    next_look_s, awaits_members = 0.0, True
    while not all(child.finished_its_work for child in children):
        waited = time.monotonic() - started
        if any(_has_failed(child) for child in children):
            raise _cause(children)
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


def _has_failed(child: _Child) -> bool:
    return child.code() is not None and not child.finished_its_work


def _cause(children: Sequence[_Child]) -> FederateLost:
    """Return the failure the others follow from: they only lost their peer, code 4."""
    until = time.monotonic() + _GRACE_S
    while any(child.code() is None for child in children) and time.monotonic() < until:
        if any(_has_failed(child) and _rank(child) < 2 for child in children):
            break
        time.sleep(_LOOK_EVERY_S)
    failed = sorted((child for child in children if _has_failed(child)), key=_rank)
    error = failed[0].failure()
    silent = [child.name for child in children if child.code() is None]
    if silent and _rank(failed[0]) in (3, 4):  # HELICS' own words name its peer by a number
        more = FederateLost(f"{error}\nthe {' and '.join(silent)} still ran and did not answer")
        more.exit_code, error = error.exit_code, more
    for other in failed[1:]:
        if not other.ours and other.said():  # its own words say more than ours about it
            more = FederateLost(f"{error}\nthe {other.name} wrote last: {other.said()[-200:]}")
            more.exit_code, error = error.exit_code, more
    return error


def _rank(child: _Child) -> int:
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
