"""One federation in this process: planner and feeder on two threads, and nothing left behind.

The main thread only waits, so that Ctrl-C reaches it at any time. Whatever ends one
federate ends the other within a second, and the first exception is the one that surfaces,
as itself.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields

from gridproof.federation.members.attend import attend
from gridproof.federation.members.federates import PlannerFederate
from gridproof.federation.members.feeder_federate import FeederFederate
from gridproof.federation.members.jobs import Deadlines, FeederJob, PlannerJob, Sink
from gridproof.federation.members.threads import Note, run_members
from gridproof.federation.wire.frames import now
from gridproof.federation.wire.link import Link, LocalHub
from gridproof.federation.wire.recorder import Hear, TappedLink
from gridproof.federation.wire.schedule import FEEDER_GRID, PLANNER_GRID, TimeGrid
from gridproof.optimizer.recourse.policies import Recourse
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.plan import Plan
from gridproof.simulator.engine import Engine

__all__ = [
    "MEMBERS",
    "Engine",
    "FeederJob",
    "PlannerJob",
    "Recourse",
    "SessionSettings",
    "Sink",
    "run_feeder",
    "run_planner",
    "run_session",
]

MEMBERS: Mapping[str, TimeGrid] = {"planner": PLANNER_GRID, "feeder": FEEDER_GRID}
TRANSPORTS = ("inproc", "zmq", "local")
MakeLink = Callable[[str], Link]
"""Joins the federation as the member named."""


@dataclass(frozen=True, slots=True, kw_only=True)
class SessionSettings:
    """How a federation runs and how long anyone waits; never changes a verdict.

    Attributes
    ----------
    transport
        ``inproc`` or ``zmq`` (HELICS core types) or ``local`` (no HELICS).
    batch
        Realizations per exchange; used by whoever cuts the ranges.
    join_deadline_s, plan_deadline_s, step_deadline_s
        Longest waits for the federates to join, for the plan, for one exchange, s.
    wall_deadline_s
        Longest time for the whole, s; ``None`` for no limit.
    observers
        Seats for federates that only listen, between processes.
    port
        The broker's, between processes; a free one if 0.
    measurements
        Whether solved states also cross the wire; costs more than everything else on it.
    """

    transport: str = "inproc"
    batch: int = 256
    join_deadline_s: float = 30.0
    plan_deadline_s: float = 3600.0
    step_deadline_s: float = 120.0
    wall_deadline_s: float | None = None
    observers: int = 0
    port: int = 0
    measurements: bool = False

    def __post_init__(self) -> None:
        faults = []
        if self.transport not in TRANSPORTS:
            faults.append(f"transport {self.transport!r} is not one of {', '.join(TRANSPORTS)}")
        if self.batch < 1:
            faults.append(f"batch is {self.batch}; it must be 1 or more")
        for name in ("join_deadline_s", "plan_deadline_s", "step_deadline_s", "wall_deadline_s"):
            value = getattr(self, name)
            if value is not None and not 0.0 < value < float("inf"):
                faults.append(f"{name} is {value}; it must be a positive number of seconds")
        if faults:
            raise ConfigError(faults)

    @property
    def deadlines(self) -> Deadlines:
        """The federates' own part."""
        return Deadlines(
            join_s=self.join_deadline_s, plan_s=self.plan_deadline_s, step_s=self.step_deadline_s
        )

    def to_json(self) -> str:
        """Return the settings as one line, for a child process."""
        return json.dumps(asdict(self))

    @classmethod
    def from_json(cls, text: str) -> SessionSettings:
        """Read what `to_json` wrote; raises `ConfigError`."""
        try:
            values = json.loads(text)
            unknown = set(values) - {field.name for field in fields(cls)}
        except (ValueError, TypeError) as error:
            raise ConfigError(f"session settings {text[:60]!r} are not a JSON object") from error
        if unknown:
            raise ConfigError(f"session settings have no field {', '.join(sorted(unknown))}")
        return cls(**values)


def run_session(
    planner_job: PlannerJob,
    feeder_job: FeederJob,
    settings: SessionSettings,
    *,
    hear: Hear | None = None,
    clock: Callable[[], float] = now,
) -> Plan:
    """Run both federates in this process until the feeder has seen N of N.

    Parameters
    ----------
    planner_job, feeder_job
        What they do; each is used from one thread of its own.
    settings
        Transport and deadlines.
    hear
        Hears every message as it is published (`federation.wire.recorder`), from two threads.
    clock
        Stamps messages, seconds since 1970.

    Returns
    -------
    Plan
        The plan that was tried, as the feeder received it.

    Raises
    ------
    BaseException
        What a federate's own callable raised, as itself (a `PlanError`, say).
    FederateLost, DeadlinePassed
        If the federation itself could not go on.
    KeyboardInterrupt
        After both federates were stopped; what the sink has written stays.
    """
    with _open_federation(settings) as (open_link, end):

        def make_link(name: str) -> Link:
            link = open_link(name)
            return link if hear is None else TappedLink(link, hear)

        def plan_and_answer(note: Note) -> Plan:
            return run_planner(planner_job, make_link, settings, note, clock=clock)

        def draw_and_judge(note: Note) -> Plan:
            return run_feeder(feeder_job, make_link, settings, note, clock=clock)

        bodies = {"planner": plan_and_answer, "feeder": draw_and_judge}
        return run_members(bodies, end, wall_deadline_s=settings.wall_deadline_s)["feeder"]


def run_planner(
    job: PlannerJob,
    make_link: MakeLink,
    settings: SessionSettings,
    note: Note,
    *,
    clock: Callable[[], float] = now,
) -> Plan:
    """Join as the planner and run to the end; ``note`` hears of a failure before the wire."""
    link = make_link("planner")
    return attend(
        link, lambda: PlannerFederate(job, link, settings.deadlines, clock=clock).run(), note
    )


def run_feeder(
    job: FeederJob,
    make_link: MakeLink,
    settings: SessionSettings,
    note: Note,
    *,
    clock: Callable[[], float] = now,
) -> Plan:
    """Join as the feeder and run to the end; ``note`` hears of a failure before the wire."""
    link = make_link("feeder")

    def body() -> Plan:
        wanted = settings.measurements
        return FeederFederate(job, link, settings.deadlines, measurements=wanted, clock=clock).run()

    return attend(link, body, note)


@contextmanager
def _open_federation(
    settings: SessionSettings,
) -> Iterator[tuple[MakeLink, Callable[[str], None]]]:
    """Yield how to make a member's link, and how to end the whole."""
    if settings.transport == "local":
        hub = LocalHub(MEMBERS)
        yield hub.link, hub.end
        return
    # HELICS is slow to load, and most commands open no federation or one without it
    from gridproof.federation.wire.helics_broker import HelicsBroker  # noqa: PLC0415
    from gridproof.federation.wire.helics_link import HelicsLink  # noqa: PLC0415

    broker = HelicsBroker(settings.transport, tuple(MEMBERS))

    def make_link(name: str) -> Link:
        return HelicsLink(
            name,
            MEMBERS[name],
            broker.address,
            join_deadline_s=settings.join_deadline_s,
            once=broker.once,
        )

    try:
        yield make_link, broker.end
    finally:
        broker.close()
