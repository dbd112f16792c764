"""One federation as two processes under a supervisor that owns the broker.

HELICS' own runner exits 0 when a federate is killed, leaves brokers behind and has no
deadline. Here every child has its own process group, its death is seen within a fraction of
a second, whatever happens ends and reaps all of them, and the run counts only if each child
ended with code 0 *and* left its receipt: a federate that never did its work is not a success.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from gridproof.federation.members.bystanders import Bystanders
from gridproof.federation.members.children import (
    HEARD,
    RECEIPT,
    SUPERVISOR,
    Child,
    key_of_observers,
    watch,
)
from gridproof.federation.members.jobs import FeederJob, PlannerJob
from gridproof.federation.members.session import MEMBERS, SessionSettings, run_feeder, run_planner
from gridproof.federation.members.threads import Note, run_members
from gridproof.federation.plain_text import shown
from gridproof.federation.wire.broker_address import BrokerAddress, helics_words
from gridproof.federation.wire.link import Link
from gridproof.scenarios.errors import FederateLost
from gridproof.scenarios.plan import Plan

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

_OBSERVERS_S = 5.0  # that they have to read the end and to leave

# ------------------------------------------------------------------------ inside a child


def run_planner_process(
    job: PlannerJob, *, broker: str, key: str, settings: SessionSettings | None = None
) -> Plan:
    """Be the planner of a federation whose broker is elsewhere, until the feeder says done.

    The command ``federate planner STUDY --broker HOST:PORT --settings JSON`` makes the job of its
    study, takes the key from ``GRIDPROOF_KEY``, and calls this.

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

    The command ``federate feeder STUDY --broker HOST:PORT --out DIR --settings JSON`` makes the job
    of its study and directory and calls this. Parameters, return value and errors are those of
    `run_planner_process`.
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
    # HELICS is slow to load, and most commands join no federation
    from gridproof.federation.wire.helics_broker import close_library, watch_broker  # noqa: PLC0415
    from gridproof.federation.wire.helics_link import HelicsLink  # noqa: PLC0415

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

    try:
        results = run_members({role: body}, end, wall_deadline_s=chosen.wall_deadline_s, look=look)
    except BaseException:
        if any(link.heard_the_end for link in links):
            _note(HEARD)
        raise
    close_library()
    _note(RECEIPT)
    return results[role]


def _note(place: str) -> None:
    """Tell the supervisor, if there is one, by a file that it named."""
    path = os.environ.get(place)
    if path:
        Path(path).write_text("done\n", encoding="utf-8")


def is_supervised() -> bool:
    """Whether this process was started by `supervise`, which keeps its directory for it."""
    return bool(os.environ.get(SUPERVISOR))


def _look_for_supervisor() -> None:
    """Give up when the supervisor is gone; nobody else would end us."""
    supervisor = os.environ.get(SUPERVISOR)
    if supervisor and supervisor != str(os.getppid()):
        raise FederateLost(f"the supervisor (process {supervisor}) is gone")


# ------------------------------------------------------------------------ the supervisor


def _to_stderr(said: str) -> None:
    sys.stderr.write(f"{shown(said)}\n")


def _nothing() -> None:
    """Nobody else is there."""


def run_processes(
    study_file: Path,
    out: Path,
    settings: SessionSettings,
    *,
    trust: Sequence[str] = (),
    logs: Path | None = None,
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
    trust
        Words of the children's commands that vouch for the study's feeder and devices.
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
        return lambda address: federate_command(
            role, study_file, out, address, settings, trust=trust
        )

    supervise({role: command(role) for role in MEMBERS}, settings, logs=logs)


def program() -> list[str]:
    """Return how this program is started, so that its children are it, too."""
    script = Path(sys.executable).with_name("gridproof")
    return [sys.executable, *([str(script)] if script.is_file() else ["-m", "gridproof"])]


def federate_command(
    role: str,
    study_file: Path,
    out: Path,
    address: BrokerAddress,
    settings: SessionSettings,
    *,
    trust: Sequence[str] = (),
) -> list[str]:
    """Return the command of one child, as the command line understands it.

    Its key comes by the environment: the words of a command are seen by everybody.
    """
    return [
        *(*program(), "federate", role, str(study_file)),
        *("--broker", f"{address.host}:{address.port}"),
        *("--out", str(out), "--settings", settings.to_json()),
        *trust,
    ]


def supervise(
    commands: Mapping[str, Callable[[BrokerAddress], Sequence[str]]],
    settings: SessionSettings,
    *,
    foreign: Sequence[str] = (),
    logs: Path | None = None,
    tell: Callable[[str], None] = _to_stderr,
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
        HELICS' own programs find the broker in their environment.
    logs
        Folder that keeps what each child wrote, ``NAME.log``, run after run; nothing is kept of
        one that wrote nothing, or if left out.
    tell
        Hears, in a sentence, of an observer that died and is done without.

    Raises
    ------
    BaseException
        As `run_processes`.
    """
    from gridproof.federation.wire.helics_broker import HelicsBroker  # noqa: PLC0415  (slow to load)

    with TemporaryDirectory(prefix="gridproof-") as folder:
        broker = HelicsBroker(
            "zmq",
            tuple(commands),
            observers=settings.observers,
            port=settings.port,
            key=key_of_observers(settings),
        )
        children: list[Child] = []
        beside = Bystanders(broker, tuple(commands), tell)
        try:
            for name, command in commands.items():
                receipt = name not in foreign
                places = Path(folder), logs or Path(folder)
                address = broker.address
                more = None if receipt else helics_words(address)
                children.append(
                    Child(name, command(address), places, receipt, key=address.key, more=more)
                )
            watch(children, broker, settings, beside.look if settings.observers else _nothing)
        except BaseException as error:
            broker.end(f"ended by the supervisor: {error or type(error).__name__}")
            raise
        finally:
            for child in children:
                child.ask_to_end()
            for child in children:
                child.reap()
            waited_for = settings.observers and not beside.all_are_gone
            broker.close(_OBSERVERS_S if waited_for else 1.0)
            beside.close()
