"""`Link` on the HELICS value interface.

What HELICS 3.6 does not do by itself is done here: every core has a name of its own (two
unnamed cores in one process may hang on entering execution), a time granted other than the
one asked for is a failure, a failure is told to the others (HELICS takes an uncaught
exception for a clean leave), and every wait is guarded by a `Watchdog`, since a request
cannot time out from inside.
"""

from __future__ import annotations

import contextlib
import math
import re
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from functools import partial
from typing import Any

import helics as h
from gridproof.federation.wire.broker_address import BrokerAddress
from gridproof.federation.wire.helics_broker import (
    ERROR_CODE,
    EndOnce,
    count_live,
    refuse_encryption,
)
from gridproof.federation.wire.helics_environment import own_environment, within
from gridproof.federation.wire.helics_watch import Watchdog
from gridproof.federation.wire.link import PortKind, Reading
from gridproof.federation.wire.schedule import TimeGrid
from gridproof.scenarios.errors import DeadlinePassed, FederateLost, FederationError

__all__ = ["HelicsLink", "ObserverLink"]

_ATTEMPTS = 3
_MORE_S = 5.0  # HELICS keeps the join deadline itself, if it can; this is for when it cannot


class HelicsLink:
    """`Link` as a HELICS value federate.

    Parameters
    ----------
    name
        The federate's name, unique in its federation.
    grid
        The times it may be granted.
    address
        Its broker.
    join_deadline_s
        Longest wait for the broker to answer.
    once
        Shared by whoever can end the same federation from this process.

    Raises
    ------
    DeadlinePassed
        If no broker answers at the address.
    FederationError
        If the broker refuses: another key, a name taken, a federation that has begun.

    Attributes
    ----------
    heard_the_end
        Whether the federation was ended by another than this federate.
    """

    def __init__(
        self,
        name: str,
        grid: TimeGrid,
        address: BrokerAddress,
        *,
        join_deadline_s: float,
        once: EndOnce | None = None,
    ) -> None:
        refuse_encryption()
        self._name, self._closed, self._once = name, False, once or EndOnce()
        self.heard_the_end = False
        self._outputs: dict[str, tuple[PortKind, object]] = {}
        self._inputs: dict[str, tuple[PortKind, object]] = {}
        self._last: dict[str, bytes] = {}
        if address.transport == "zmq":
            _await_listener(address, join_deadline_s)
        self._federate = _join(name, grid, address, join_deadline_s)
        count_live(+1)
        self._core = h.helicsFederateGetCore(self._federate)
        self._watchdog = Watchdog(f"{name}-watchdog", self.end_from_outside)

    @property
    def name(self) -> str:
        """The federate's name."""
        return self._name

    @property
    def joined(self) -> bool:
        """Whether the federate is a member of its federation, and has not left."""
        return not self._closed

    def publishes(self, ports: Mapping[str, PortKind]) -> None:
        """Register output ports; see `Link`."""
        types = {PortKind.TEXT: h.HELICS_DATA_TYPE_STRING, PortKind.RAW: h.HELICS_DATA_TYPE_RAW}
        for port, kind in ports.items():
            handle = h.helicsFederateRegisterPublication(self._federate, port, types[kind], "")
            self._outputs[port] = (kind, handle)

    def reads(self, keys: Mapping[str, PortKind]) -> None:
        """Register inputs; see `Link`."""
        for key, kind in keys.items():
            handle = h.helicsFederateRegisterSubscription(self._federate, key, "")
            self._inputs[key] = (kind, handle)

    def enter(self, *, deadline_s: float) -> None:
        """Wait for every member; see `Link`."""
        others = " and ".join(sorted({key.split("/")[0] for key in self._inputs})) or "the broker"
        with self._guarded(deadline_s, "joining the federation", others):
            h.helicsFederateEnterExecutingMode(self._federate)

    def request(self, time_s: float, *, deadline_s: float, awaited: str, whom: str) -> None:
        """Wait for a time; see `Link`."""
        with self._guarded(deadline_s, awaited, whom):
            granted = h.helicsFederateRequestTime(self._federate, time_s)
        if granted != time_s:
            self.heard_the_end = True
            beyond = granted >= h.HELICS_TIME_MAXTIME
            raise FederateLost(
                f"federate {self._name} asked for time {time_s} and was granted "
                f"{'the end of time' if beyond else granted}: the federation was shut down "
                f"while waiting for {awaited} from {whom}"
            )

    def publish(self, port: str, payload: bytes) -> None:
        """Send on an own port; see `Link`."""
        if port not in self._outputs:
            raise FederationError(f"{self._name}/{port} was never registered as an output")
        kind, handle = self._outputs[port]
        try:
            if kind is PortKind.TEXT:
                h.helicsPublicationPublishString(handle, payload.decode())
            else:
                h.helicsPublicationPublishBytes(handle, payload)
        except h.HelicsException as error:
            raise FederateLost(f"{self._name}/{port} was not sent: {_text(error)}") from error

    def read(self, key: str) -> Reading:
        """Return an input's newest message; see `Link`."""
        if key not in self._inputs:
            raise FederationError(f"{self._name} never registered {key} as an input")
        kind, handle = self._inputs[key]
        updated = bool(h.helicsInputIsUpdated(handle))
        if updated:  # reading also clears HELICS' flag
            text = kind is PortKind.TEXT
            self._last[key] = (
                h.helicsInputGetString(handle).encode() if text else h.helicsInputGetBytes(handle)
            )
        return Reading(self._last.get(key, b""), updated)

    def fail(self, reason: str) -> None:
        """End the federation; see `Link`."""
        if not self._closed and self._once.claim():
            with contextlib.suppress(h.HelicsException):
                h.helicsFederateGlobalError(self._federate, ERROR_CODE, reason)

    def close(self) -> None:
        """Leave; see `Link`."""
        if self._closed:
            return
        self._closed = True
        self._watchdog.stop()
        with contextlib.suppress(h.HelicsException):
            h.helicsFederateDisconnect(self._federate)
        self._outputs.clear()
        self._inputs.clear()
        del self._core, self._federate
        count_live(-1)

    def end_from_outside(self, reason: str) -> None:
        """End the federation from another thread, while this federate waits or computes."""
        if not self._closed and self._once.claim():
            with contextlib.suppress(h.HelicsException):
                h.helicsCoreGlobalError(self._core, ERROR_CODE, reason.encode())  # bytes, not str

    @contextmanager
    def _guarded(self, deadline_s: float, awaited: str, whom: str) -> Iterator[None]:
        late = DeadlinePassed(awaited, whom, deadline_s)
        self._watchdog.arm(deadline_s, f"{self._name}: {late}")
        cause: Exception | None = None
        try:
            yield
        except h.HelicsException as error:
            cause = error
        finally:
            fired = self._watchdog.disarm()
        if fired:
            raise late from cause
        if cause is not None:
            # somebody has ended it already; unless it was us
            self.heard_the_end = self._once.claim() or self.heard_the_end
            raise FederateLost(_text(cause)) from cause


class ObserverLink(HelicsLink):
    """A link of one who only listens: it leaves, and never ends the federation."""

    def fail(self, reason: str) -> None:  # noqa: ARG002
        """Leave."""
        self.close()

    def end_from_outside(self, reason: str) -> None:
        """Do nothing: what is to be said is the members'."""


def _join(name: str, grid: TimeGrid, address: BrokerAddress, deadline_s: float) -> Any:
    """Create the federate; again on another port if someone took the first meanwhile."""
    for attempt in range(_ATTEMPTS):
        try:
            info = _info(name, grid, address, attempt, deadline_s)
            return within(
                deadline_s + _MORE_S,
                partial(h.helicsCreateValueFederate, name, info),
                awaited="an answer",
                whom=f"a HELICS broker at {address.host}:{address.port}",
            )
        except h.HelicsException as error:
            if "Unable to connect" in str(error) and attempt + 1 < _ATTEMPTS:
                continue
            raise FederationError(
                f"federate {name} could not join the broker at {address.host}:{address.port} "
                f"({address.transport}): {_text(error)}"
            ) from error
    raise AssertionError("unreachable")


def _info(
    name: str, grid: TimeGrid, address: BrokerAddress, attempt: int, deadline_s: float
) -> Any:
    with own_environment():
        info = h.helicsCreateFederateInfo()
    h.helicsFederateInfoSetCoreTypeFromString(info, address.transport)
    prefix = address.cores or address.name
    h.helicsFederateInfoSetCoreName(info, f"{prefix}-{name}-{attempt}")
    # else 30 s, where something listens that is no broker
    words = f"{address.core_arguments()} --timeout={math.ceil(1000 * deadline_s)}ms"
    h.helicsFederateInfoSetCoreInitString(info, words)
    h.helicsFederateInfoSetTimeProperty(info, h.HELICS_PROPERTY_TIME_PERIOD, grid.period_s)
    h.helicsFederateInfoSetTimeProperty(info, h.HELICS_PROPERTY_TIME_OFFSET, grid.offset_s)
    h.helicsFederateInfoSetFlagOption(info, h.HELICS_FLAG_TERMINATE_ON_ERROR, True)
    for level in (h.HELICS_PROPERTY_INT_CONSOLE_LOG_LEVEL, h.HELICS_PROPERTY_INT_LOG_LEVEL):
        h.helicsFederateInfoSetIntegerProperty(info, level, h.HELICS_LOG_LEVEL_NO_PRINT)
    return info


def _await_listener(address: BrokerAddress, deadline_s: float) -> None:
    """Wait until something listens at the broker's port; HELICS' own retries take 12 s."""
    started = time.monotonic()
    while True:
        left = started + deadline_s - time.monotonic()
        try:
            socket.create_connection((address.host, address.port), max(0.05, left)).close()
        except OSError as error:
            if left <= 0.0:
                whom = f"a HELICS broker at {address.host}:{address.port}"
                raise DeadlinePassed("an answer", whom, deadline_s) from error
            time.sleep(min(0.05, max(left, 0.0)))
        else:
            return


def _text(error: Exception) -> str:
    """Return HELICS' message without its code."""
    return re.sub(r"^\[-?\d+\]\s*", "", str(error))
