"""One federation in this process: planner and feeder on two threads, and nothing left behind.

The main thread only waits, so that Ctrl-C reaches it at any time. Whatever ends one
federate ends the other within a second, and the first exception is the one that surfaces,
as itself.
"""

from __future__ import annotations

import ctypes
import json
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import asdict, dataclass, fields
from typing import Protocol

from federation.federates import (
    Deadlines,
    Engine,
    FeederFederate,
    FeederJob,
    PlannerFederate,
    PlannerJob,
    Recourse,
    Sink,
    attend,
)
from federation.helics_link import HelicsBroker, HelicsLink
from federation.link import Link, LocalHub
from federation.schedule import FEEDER_GRID, PLANNER_GRID, TimeGrid
from scenarios.errors import ConfigError, DeadlinePassed, FederateLost
from scenarios.plan import Plan

__all__ = [
    "MEMBERS",
    "Engine",
    "FeederJob",
    "PlannerJob",
    "Recourse",
    "SessionSettings",
    "Sink",
    "run_session",
]

MEMBERS: Mapping[str, TimeGrid] = {"planner": PLANNER_GRID, "feeder": FEEDER_GRID}
TRANSPORTS = ("inproc", "zmq", "local")
_GRACE_S = 1.0


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
    measurements
        Whether solved states also cross the wire; costs more than everything else on it.
    """

    transport: str = "inproc"
    batch: int = 256
    join_deadline_s: float = 30.0
    plan_deadline_s: float = 3600.0
    step_deadline_s: float = 120.0
    wall_deadline_s: float | None = None
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


def run_session(planner_job: PlannerJob, feeder_job: FeederJob, settings: SessionSettings) -> Plan:
    """Run both federates in this process until the feeder has seen N of N.

    Parameters
    ----------
    planner_job, feeder_job
        What they do; each is used from one thread of its own.
    settings
        Transport and deadlines.

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
    with _open_federation(settings) as (make_link, end):
        errors = _Errors()

        def plan_and_answer() -> Plan:
            link = make_link("planner")
            body = PlannerFederate(planner_job, link, settings.deadlines).run
            return attend(link, body, errors.note)

        def draw_and_judge() -> Plan:
            link = make_link("feeder")
            body = FeederFederate(
                feeder_job, link, settings.deadlines, measurements=settings.measurements
            ).run
            return attend(link, body, errors.note)

        runners = [
            _Runner("planner", plan_and_answer, errors),
            _Runner("feeder", draw_and_judge, errors),
        ]
        try:
            _await_all(runners, errors, settings)
        except BaseException as error:  # Ctrl-C, the wall deadline
            errors.note(error)
            end(f"the session was stopped: {error or type(error).__name__}")
        cause = errors.cause()
        if cause is not None:
            end(str(cause))
        _stop(runners, errors)
        cause = errors.cause()
        if cause is not None:
            raise cause
        plan = runners[1].result
        assert plan is not None
        return plan


class _MakeLink(Protocol):
    def __call__(self, name: str) -> Link: ...


@contextmanager
def _open_federation(
    settings: SessionSettings,
) -> Iterator[tuple[_MakeLink, Callable[[str], None]]]:
    """Yield how to make a member's link, and how to end the whole."""
    if settings.transport == "local":
        hub = LocalHub(MEMBERS)
        yield hub.link, hub.end
        return
    broker = HelicsBroker(settings.transport, tuple(MEMBERS))

    def make_link(name: str) -> Link:
        return HelicsLink(
            name, MEMBERS[name], broker.address, join_deadline_s=settings.join_deadline_s
        )

    try:
        yield make_link, broker.end
    finally:
        broker.close()


class _Errors:
    """The first exception of any federate: the cause, the rest are its consequences."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._first: BaseException | None = None
        self.changed = threading.Condition()

    def note(self, error: BaseException) -> None:
        with self._lock:
            self._first = self._first or error
        self.wake()

    def cause(self) -> BaseException | None:
        with self._lock:
            return self._first

    def wake(self) -> None:
        with self.changed:
            self.changed.notify_all()


class _Stopped(BaseException):
    """Thrown into a thread whose federation has ended while it was computing."""


class _Runner:
    """A federate on a thread of its own."""

    def __init__(self, name: str, body: Callable[[], Plan], errors: _Errors) -> None:
        self.name = name
        self._body, self._errors = body, errors
        self.result: Plan | None = None
        self.thread = threading.Thread(target=self._run, name=f"federate-{name}", daemon=True)
        self.thread.start()

    @property
    def running(self) -> bool:
        return self.thread.is_alive()

    def interrupt(self) -> None:
        """Raise `_Stopped` in the thread at its next Python instruction."""
        if self.running and self.thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self.thread.ident), ctypes.py_object(_Stopped)
            )

    def _run(self) -> None:
        try:
            self.result = self._body()
        except BaseException as error:  # the thread ends here; the main one raises it
            self._errors.note(error)
        finally:
            self._errors.wake()


def _await_all(runners: list[_Runner], errors: _Errors, settings: SessionSettings) -> None:
    """Return when all have ended or one has failed."""
    started = time.monotonic()
    while errors.cause() is None and any(runner.running for runner in runners):
        left = 0.2  # a thread that has just woken us may not yet count as ended
        if settings.wall_deadline_s is not None:
            left = min(left, started + settings.wall_deadline_s - time.monotonic())
            if left <= 0.0:
                whom = " and ".join(runner.name for runner in runners if runner.running)
                raise DeadlinePassed("the end of the run", whom, settings.wall_deadline_s)
        with errors.changed:
            if errors.cause() is None and any(runner.running for runner in runners):
                errors.changed.wait(left)


def _stop(runners: list[_Runner], errors: _Errors) -> None:
    """Wait for the threads; throw them out of their computing if they do not come."""
    for attempt in range(2):
        until = time.monotonic() + _GRACE_S
        for runner in runners:
            runner.thread.join(max(0.0, until - time.monotonic()))
        late = [runner for runner in runners if runner.running]
        if not late:
            return
        if attempt == 0:
            for runner in late:
                runner.interrupt()
    names = " and ".join(runner.name for runner in late)
    stuck = (
        f"the {names} is still inside one call of its own that cannot be interrupted; "
        "its thread ends with this process"
    )
    errors.note(FederateLost(stuck))
    cause = errors.cause()
    if cause is not None and stuck not in str(cause):
        cause.add_note(stuck)
