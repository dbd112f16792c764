"""A HELICS broker of our own, and the library's life in this process.

Federations side by side would join one another: every one has a broker name, key and port
of its own. The heartbeat is set on the broker (5 s by default, a killed federate is then
noticed after 23 s; 500 ms on the cores alone would blind the broker).
"""

from __future__ import annotations

import contextlib
import os
import threading
import time
import warnings
from collections.abc import Callable, Sequence
from functools import partial
from typing import Any
from uuid import uuid4

import helics as h
from gridproof.federation.addresses import host_and_port
from gridproof.federation.wire.broker_address import LOOPBACK, SILENT, BrokerAddress, free_port
from gridproof.federation.wire.helics_environment import within
from gridproof.scenarios.errors import ConfigError, DeadlinePassed, FederateLost, FederationError

__all__ = [
    "ERROR_CODE",
    "EndOnce",
    "HelicsBroker",
    "close_library",
    "count_live",
    "refuse_encryption",
    "watch_broker",
]

ERROR_CODE = FederationError.exit_code
"""What a failing federation shows other HELICS programs."""

_NEVER_S = 30 * 86400
_LEAVE_S = 4.0
_ANSWER_S = 5.0  # an answer takes a millisecond
_JOINING = ("created", "configuring", "configured", "connecting", "connected", "initializing")
_START_S = 20.0  # a broker starts in 10 ms; one that finds its port taken says so after 4 s
warnings.filterwarnings("ignore", message="This function will return a JSON", category=UserWarning)
_live = 0
_live_lock = threading.Lock()


class EndOnce:
    """Lets one of several ends of a federation be announced, and only one.

    Two global errors within a millisecond wedge HELICS 3.6 now and then: its broker then
    never disconnects (5 of 38 federations; 0 of 240 with one).
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._claimed = False

    def claim(self) -> bool:
        """Return true to the first who asks."""
        with self._lock:
            first, self._claimed = not self._claimed, True
        return first


class HelicsBroker:
    """A broker of our own: loopback only, own name, key and port, 500 ms heartbeat.

    Parameters
    ----------
    transport
        ``inproc`` or ``zmq``.
    members
        Names of the federates expected.
    observers
        Federates of any name that are expected, too.
    port
        Where it listens; a free port if 0.
    key
        That lets in; one of its own if left out.
    """

    def __init__(
        self,
        transport: str,
        members: Sequence[str],
        *,
        observers: int = 0,
        port: int = 0,
        key: str | None = None,
    ) -> None:
        refuse_encryption()
        self._members, self._observers = tuple(members), observers
        attempts = 1 if port else 5  # another program may take a free port before HELICS does
        for attempt in range(attempts):
            address = BrokerAddress(
                transport=transport,
                key=key or f"gridproof-{uuid4().hex[:16]}",
                port=(port or free_port()) if transport == "zmq" else 0,
            )
            arguments = (
                f"--federates={len(members) + observers} --brokerkey={address.key} --tick=500ms "
                f"--terminate_on_error --error_on_unmatched {SILENT}"
            )
            if transport == "zmq":
                arguments += f" --port={address.port}"
            if observers:  # who supervises looks after them; a ping unanswered would end all
                arguments += f" --timeout={_NEVER_S}s"
            broker = within(
                _START_S,
                partial(h.helicsCreateBroker, transport, address.name, arguments),
                awaited="a broker's start",
                whom=f"HELICS ({transport})",
            )
            if h.helicsBrokerIsConnected(broker):
                break
            h.helicsBrokerDisconnect(broker)
            if attempt == attempts - 1:
                remedy = f": it or {port + 1} is taken; choose another [federation] port, --port"
                raise FederationError(
                    f"no HELICS broker of type {transport} could be started on {LOOPBACK}; "
                    f"the last port tried was {address.port}" + (remedy if port else "")
                )
        self.address, self._broker = address, broker
        self._closed, self.once = False, EndOnce()
        count_live(+1)

    def joined(self) -> tuple[str, ...]:
        """Names of the federates that have joined until now."""
        answer = self._ask("root", "federates")
        return tuple(answer) if isinstance(answer, list) else ()

    def states(self) -> dict[str, str]:
        """State of each federate that has joined, by name, as HELICS has it."""
        told = self._ask("root", "current_state")
        if not isinstance(told, dict):
            return {}
        cores = {one["attributes"]["id"]: one["state"] for one in told.get("cores", ())}
        states = {}
        for one in told.get("federates", ()):
            of_core = cores.get(one["attributes"]["parent"])  # a core leaves, and all that it held
            gone = of_core in ("disconnected", "error")
            states[str(one["attributes"]["name"])] = str(of_core if gone else one["state"])
        return states

    @property
    def phase(self) -> str:
        """``joining``, ``running``, or ``ending``."""
        told = self._ask("root", "current_state")
        state = told.get("state") if isinstance(told, dict) else None
        return "running" if state == "operating" else "joining" if state in _JOINING else "ending"

    def place_of(self, name: str) -> tuple[str, int] | None:
        """Where a federate's core listens; None if it does not say."""
        told = self._ask("root", "current_state")
        if not isinstance(told, dict):
            return None
        cores = {one["attributes"]["id"]: one["attributes"]["name"] for one in told["cores"]}
        for one in told["federates"]:
            if one["attributes"]["name"] == name:
                address = self._ask(cores.get(one["attributes"]["parent"], ""), "address")
                said = address if isinstance(address, str) else ""
                return host_and_port(said.strip('"').removeprefix("tcp://"))
        return None

    def answers(self, name: str) -> bool:
        """Ask a federate's core for a sign of life; of a dead one it waits for the broker's end."""
        return self.place_of(name) is not None

    def exchange(self) -> int | None:
        """How many exchanges there were, as the feeder's clock has it; None if it is not known."""
        told = self._ask("feeder", "current_time")
        granted = told.get("granted_time") if isinstance(told, dict) else None
        return max(0, int(granted)) if isinstance(granted, int | float) else None

    def _ask(self, whom: str, what: str) -> Any:
        """Answer of the broker; None of one that ends, which may leave a question for ever."""
        if self._closed or not self.alive:
            return None

        def asked() -> Any:
            return h.helicsQueryBrokerExecute(h.helicsCreateQuery(whom, what), self._broker)

        try:
            return within(_ANSWER_S, asked, awaited="an answer", whom="the broker")
        except (DeadlinePassed, UserWarning, h.HelicsException):  # no JSON, under -W error
            return None

    def missing(self) -> tuple[str, ...]:
        """Names of the federates that have not joined yet."""
        here = self.joined()
        absent = tuple(name for name in self._members if name not in here)
        free = self._observers - len([name for name in here if name not in self._members])
        return (*absent, f"{free} of {self._observers} observers") if free > 0 else absent

    @property
    def alive(self) -> bool:
        """False once the federation has ended, well or badly."""
        return bool(h.helicsBrokerIsConnected(self._broker))

    def end(self, reason: str) -> None:
        """End the federation; every blocked federate gets the reason within milliseconds."""
        if not self._closed and self.alive and self.once.claim():
            with contextlib.suppress(h.HelicsException):
                h.helicsBrokerGlobalError(
                    self._broker, ERROR_CODE, reason.encode()
                )  # bytes, not str

    def close(self, patience_s: float = 1.0) -> None:
        """Wait shortly for the members to leave, then disconnect; idempotent."""
        if self._closed:
            return
        self._closed = True
        handles = [self._broker]
        del self._broker

        def leave() -> None:
            if not h.helicsBrokerWaitForDisconnect(handles[0], int(1000 * patience_s)):
                h.helicsBrokerDisconnect(handles[0])
                h.helicsBrokerWaitForDisconnect(handles[0], 1000)
            handles.clear()
            h.helicsCleanupLibrary()

        # it hangs where a core fetches nothing; its thread ends with the process
        with contextlib.suppress(DeadlinePassed):
            within(patience_s + _LEAVE_S, leave, awaited="the end", whom="HELICS")
        count_live(-1)


def watch_broker(address: BrokerAddress, *, every_s: float = 1.0) -> Callable[[], None]:
    """Return a look at a zmq broker elsewhere; HELICS misses a killed one after 30 s only.

    Returns
    -------
    callable
        To be called often; now and then it knocks at the broker's port, and raises
        `FederateLost` when it was refused twice: nobody listens there any more.
    """
    next_s, refused = time.monotonic() + every_s, 0

    def look() -> None:
        nonlocal next_s, refused
        if time.monotonic() < next_s:
            return
        next_s = time.monotonic() + every_s
        refused = 0 if address.listens() else refused + 1
        if refused > 1:
            raise FederateLost(
                f"the broker at {address.host}:{address.port} is gone: nobody listens there"
            )

    return look


def refuse_encryption() -> None:
    """Refuse to run in clear text where encryption was asked for.

    Raises
    ------
    ConfigError
        HELICS' wheel has encryption compiled out, and goes on in clear text without a word.
    """
    names = ("HELICS_ENCRYPTION", "HELICS_ENCRYPTION_CONFIG")
    asked = [name for name in names if os.environ.get(name)]
    if asked:
        raise ConfigError(
            f"the environment has {' and '.join(asked)} set, but this HELICS is built without "
            "encryption; unset it, and keep federates on one host, in a private network or a tunnel"
        )


def close_library() -> None:
    """Free what HELICS keeps in this process; call before its end.

    Raises
    ------
    FederationError
        While a broker or federate of ours is still open here: they would be torn down.
    """
    with _live_lock:
        if _live:
            raise FederationError(
                f"{_live} HELICS brokers or federates are still open in this process; "
                "close them before the library"
            )
        h.helicsCloseLibrary()


def count_live(change: int) -> None:
    """Count brokers and federates that are open in this process."""
    global _live  # noqa: PLW0603
    with _live_lock:
        _live += change
