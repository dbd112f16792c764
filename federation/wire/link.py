"""A federate's end of the wire, and the one that needs no HELICS.

Laws that every `Link` keeps:

* what is published at time ``s`` is read at the reader's first grant later than ``s``; of
  several messages on one port in between, the last;
* a grant is exactly the time asked for, or an exception: nothing else ends a wait;
* after any member fails, every wait of the others ends with `FederateLost` bearing its
  reason; a member that closes counts as gone and holds nobody back;
* a wait longer than its deadline ends the federation and raises `DeadlinePassed`.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Protocol

from gridproof.federation.wire.schedule import TimeGrid
from gridproof.scenarios.errors import DeadlinePassed, FederateLost, FederationError

__all__ = ["Link", "LocalHub", "LocalLink", "PortKind", "Reading"]


class PortKind(StrEnum):
    """What a port carries."""

    TEXT = "text"  # UTF-8 JSON
    RAW = "raw"  # a header and little-endian float64


@dataclass(frozen=True, slots=True)
class Reading:
    """The last message on an input, and whether it came since the last read."""

    payload: bytes
    updated: bool


class Link(Protocol):
    """One federate's membership in one federation; used by one thread at a time."""

    @property
    def name(self) -> str:
        """The federate's name, the first half of its ports' keys."""
        ...

    def publishes(self, ports: Mapping[str, PortKind]) -> None:
        """Register output ports by local name; port ``p`` has the key ``<name>/p``."""
        ...

    def reads(self, keys: Mapping[str, PortKind]) -> None:
        """Register inputs by the publisher's key."""
        ...

    def enter(self, *, deadline_s: float) -> None:
        """Wait until every member has joined; time is then 0.

        Raises
        ------
        DeadlinePassed
            Naming the members that are missing.
        """
        ...

    def request(self, time_s: float, *, deadline_s: float, awaited: str, whom: str) -> None:
        """Wait until time is exactly ``time_s``.

        Parameters
        ----------
        time_s
            A time of the link's own grid, later than now.
        deadline_s
            Longest wait, wall-clock seconds.
        awaited, whom
            What the wait is for and who owes it; named when it does not come.

        Raises
        ------
        DeadlinePassed, FederateLost
        """
        ...

    def publish(self, port: str, payload: bytes) -> None:
        """Send a message on an own port at the present time."""
        ...

    def read(self, key: str) -> Reading:
        """Return the newest message of an input that is visible at the present time."""
        ...

    def fail(self, reason: str) -> None:
        """End the whole federation; others see `FederateLost` with this reason."""
        ...

    def close(self) -> None:
        """Leave; idempotent, and safe after a failure."""
        ...


# --------------------------------------------------------------------------- without HELICS


@dataclass(slots=True)
class _Member:
    grid: TimeGrid
    joined: bool = False
    gone: bool = False
    granted_s: float = 0.0
    waiting_for_s: float | None = None
    keys: set[str] = field(default_factory=set)
    queued: list[tuple[float, str, bytes]] = field(default_factory=list)


class LocalHub:
    """A federation inside one process: conservative time between threads, nothing else.

    Parameters
    ----------
    members
        Every federate expected, with its time grid.
    """

    def __init__(self, members: Mapping[str, TimeGrid]) -> None:
        self._members = {name: _Member(grid) for name, grid in members.items()}
        self._changed = threading.Condition()
        self._reason: str | None = None

    def link(self, name: str) -> LocalLink:
        """Return the link of one expected member."""
        if name not in self._members:
            raise FederationError(
                f"federate {name} is not expected here; expected are {', '.join(self._members)}"
            )
        return LocalLink(self, name)

    def end(self, reason: str) -> None:
        """End every wait, now and later, with `FederateLost`; the first reason stays."""
        with self._changed:
            self._reason = self._reason or reason
            self._changed.notify_all()

    def register(self, name: str, keys: Mapping[str, PortKind]) -> None:
        """Let ``name`` receive what is published under ``keys``."""
        with self._changed:
            self._members[name].keys.update(keys)

    def enter(self, name: str, deadline_s: float) -> None:
        """Wait until all expected members have entered."""
        with self._changed:
            self._members[name].joined = True
            self._changed.notify_all()

            def missing() -> list[str]:
                return [m for m, member in self._members.items() if not member.joined]

            self._wait(
                lambda: not missing(),
                deadline_s,
                "joining the federation",
                lambda: " and ".join(missing()),
            )

    def request(self, name: str, time_s: float, deadline_s: float, awaited: str, whom: str) -> None:
        """Wait until nobody else can still act before ``time_s``."""
        with self._changed:
            me = self._members[name]
            if not (me.grid.holds(time_s) and time_s > me.granted_s):
                raise FederationError(
                    f"federate {name} asked for time {time_s} at {me.granted_s}; its times are "
                    f"{me.grid.offset_s} + k · {me.grid.period_s}, later than the present one"
                )
            me.waiting_for_s = time_s
            self._changed.notify_all()
            self._wait(lambda: self._is_due(name, time_s), deadline_s, awaited, lambda: whom)
            me.waiting_for_s, me.granted_s = None, time_s
            self._changed.notify_all()

    def publish(self, name: str, port: str, payload: bytes) -> None:
        """Queue a message for every member that reads the port."""
        key = f"{name}/{port}"
        with self._changed:
            self._raise_if_ended()
            stamp = self._members[name].granted_s
            for member in self._members.values():
                if key in member.keys:
                    member.queued.append((stamp, key, payload))

    def collect(self, name: str) -> dict[str, bytes]:
        """Take what has become visible at the member's present time, newest per key."""
        with self._changed:
            me = self._members[name]
            due = [item for item in me.queued if item[0] < me.granted_s]
            me.queued = [item for item in me.queued if item[0] >= me.granted_s]
            return {key: payload for _, key, payload in due}

    def leave(self, name: str) -> None:
        """Stop holding the others back."""
        with self._changed:
            self._members[name].joined = self._members[name].gone = True
            self._changed.notify_all()

    def _is_due(self, name: str, time_s: float) -> bool:
        for other, member in self._members.items():
            if other == name or member.gone:
                continue
            waits_for = member.waiting_for_s
            if (member.granted_s if waits_for is None else waits_for) < time_s:
                return False
        return True

    def _wait(
        self,
        ready: Callable[[], bool],
        deadline_s: float,
        awaited: str,
        whom: Callable[[], str],
    ) -> None:
        started = time.monotonic()
        while not ready():
            self._raise_if_ended()
            left = started + deadline_s - time.monotonic()
            if left <= 0.0:
                late = DeadlinePassed(awaited, whom(), deadline_s)
                self._reason = self._reason or str(late)
                self._changed.notify_all()
                raise late
            self._changed.wait(left)
        self._raise_if_ended()

    def _raise_if_ended(self) -> None:
        if self._reason is not None:
            raise FederateLost(self._reason)


class LocalLink:
    """`Link` between threads of one process, without HELICS; same laws."""

    def __init__(self, hub: LocalHub, name: str) -> None:
        self._hub, self._name = hub, name
        self._ports: set[str] = set()
        self._inputs: dict[str, bytes] = {}
        self._fresh: set[str] = set()

    @property
    def name(self) -> str:
        """The federate's name."""
        return self._name

    def publishes(self, ports: Mapping[str, PortKind]) -> None:
        """Register output ports; see `Link`."""
        self._ports.update(ports)

    def reads(self, keys: Mapping[str, PortKind]) -> None:
        """Register inputs; see `Link`."""
        self._inputs.update(dict.fromkeys(keys, b""))
        self._hub.register(self._name, keys)

    def enter(self, *, deadline_s: float) -> None:
        """Wait for every member; see `Link`."""
        self._hub.enter(self._name, deadline_s)

    def request(self, time_s: float, *, deadline_s: float, awaited: str, whom: str) -> None:
        """Wait for a time; see `Link`."""
        self._hub.request(self._name, time_s, deadline_s, awaited, whom)
        arrived = self._hub.collect(self._name)
        self._inputs.update(arrived)
        self._fresh.update(arrived)

    def publish(self, port: str, payload: bytes) -> None:
        """Send on an own port; see `Link`."""
        if port not in self._ports:
            raise FederationError(f"{self._name}/{port} was never registered as an output")
        self._hub.publish(self._name, port, payload)

    def read(self, key: str) -> Reading:
        """Return an input's newest message; see `Link`."""
        if key not in self._inputs:
            raise FederationError(f"{self._name} never registered {key} as an input")
        updated = key in self._fresh
        self._fresh.discard(key)
        return Reading(self._inputs[key], updated)

    def fail(self, reason: str) -> None:
        """End the federation; see `Link`."""
        self._hub.end(reason)

    def close(self) -> None:
        """Leave; see `Link`."""
        self._hub.leave(self._name)
