"""The only door to HELICS: a broker of our own, and `Link` on its value interface.

What HELICS 3.6 does not do by itself is done here: every core has a name of its own (two
unnamed cores in one process may hang on entering execution), every federation a broker
name, key and port of its own (federations side by side would join one another), the
heartbeat is set on the broker (5 s by default, a killed federate is then noticed after
23 s), a time granted beyond the one asked for is a failure, and every wait is guarded by a
`Watchdog`, since a request cannot time out from inside.
"""

from __future__ import annotations

import contextlib
import re
import socket
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from uuid import uuid4

import helics as h

from federation.helics_watch import Watchdog
from federation.link import PortKind, Reading
from federation.schedule import TimeGrid
from scenarios.errors import ConfigError, DeadlinePassed, FederateLost, FederationError

__all__ = ["BrokerAddress", "HelicsBroker", "HelicsLink", "close_library"]

_CODE = 4  # what a failing federation shows other HELICS programs; our exit code of it
_SILENT = "--consoleloglevel=no_print --loglevel=no_print"
_LOOPBACK = "127.0.0.1"
_live = 0
_live_lock = threading.Lock()


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """How a core finds its broker.

    Attributes
    ----------
    transport
        HELICS core type: ``inproc`` within one process, ``zmq`` between processes.
    key
        Only cores that bear it are let in; also the broker's name.
    host, port
        Where it listens; not used by ``inproc``.
    """

    transport: str
    key: str
    host: str = _LOOPBACK
    port: int = 0

    def __post_init__(self) -> None:
        if self.transport not in ("inproc", "zmq"):
            raise ConfigError(f"transport {self.transport!r} is not one of inproc, zmq")
        if not re.fullmatch(r"[A-Za-z0-9_.-]+", self.key):
            raise ConfigError(f"broker key {self.key!r} may hold letters, digits and -_. only")
        if not re.fullmatch(r"[A-Za-z0-9_.:-]*", self.host):
            raise ConfigError(f"broker host {self.host!r} is neither a name nor an address")

    @classmethod
    def parse(cls, broker: str, key: str) -> BrokerAddress:
        """Read ``HOST:PORT`` of a broker between processes.

        Raises
        ------
        ConfigError
            If it is not of that form.
        """
        host, _, port = broker.rpartition(":")
        if not (host and port.isdigit() and 0 < int(port) < 65536):
            raise ConfigError(f"broker {broker!r} is not HOST:PORT, such as 127.0.0.1:23500")
        return cls(transport="zmq", key=key, host=host, port=int(port))

    def core_arguments(self) -> str:
        """Return the init string of a core that joins this broker."""
        own = f"--federates=1 --brokerkey={self.key} --terminate_on_error {_SILENT}"
        if self.transport == "inproc":
            return f"{own} --broker={self.key}"
        return f"{own} --broker_address=tcp://{self.host} --brokerport={self.port}"


class HelicsBroker:
    """A broker of our own: loopback only, own name, key and port, 500 ms heartbeat.

    Parameters
    ----------
    transport
        ``inproc`` or ``zmq``.
    members
        Names of the federates expected.
    """

    def __init__(self, transport: str, members: Sequence[str]) -> None:
        self._members = tuple(members)
        for attempt in range(5):  # another program may take the free port before HELICS does
            address = BrokerAddress(
                transport=transport,
                key=f"gridproof-{uuid4().hex[:16]}",
                port=_free_port() if transport == "zmq" else 0,
            )
            arguments = (
                f"--federates={len(members)} --brokerkey={address.key} --tick=500ms "
                f"--terminate_on_error --error_on_unmatched {_SILENT}"
            )
            if transport == "zmq":
                arguments += f" --port={address.port}"
            broker = h.helicsCreateBroker(transport, address.key, arguments)
            if h.helicsBrokerIsConnected(broker):
                break
            h.helicsBrokerDisconnect(broker)
            if attempt == 4:
                raise FederationError(
                    f"no HELICS broker of type {transport} could be started on {_LOOPBACK}; "
                    f"the last port tried was {address.port}"
                )
        self.address, self._broker = address, broker
        self._closed = False
        _count(+1)

    def joined(self) -> tuple[str, ...]:
        """Names of the federates that have joined until now."""
        query = h.helicsCreateQuery("root", "federates")
        answer = h.helicsQueryBrokerExecute(query, self._broker)
        return tuple(answer) if isinstance(answer, list) else ()

    def missing(self) -> tuple[str, ...]:
        """Names of the federates that have not joined yet."""
        here = self.joined()
        return tuple(name for name in self._members if name not in here)

    @property
    def alive(self) -> bool:
        """False once the federation has ended, well or badly."""
        return bool(h.helicsBrokerIsConnected(self._broker))

    def end(self, reason: str) -> None:
        """End the federation; every blocked federate gets the reason within milliseconds."""
        if not self._closed:
            with contextlib.suppress(h.HelicsException):
                h.helicsBrokerGlobalError(self._broker, _CODE, reason.encode())  # bytes, not str

    def close(self, patience_s: float = 1.0) -> None:
        """Wait shortly for the members to leave, then disconnect; idempotent."""
        if self._closed:
            return
        self._closed = True
        if not h.helicsBrokerWaitForDisconnect(self._broker, int(1000 * patience_s)):
            h.helicsBrokerDisconnect(self._broker)
            h.helicsBrokerWaitForDisconnect(self._broker, 1000)
        del self._broker
        _count(-1)
        h.helicsCleanupLibrary()


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

    Raises
    ------
    DeadlinePassed
        If no broker answers at the address.
    FederationError
        If the broker refuses: another key, a name taken, a federation that has begun.
    """

    def __init__(
        self, name: str, grid: TimeGrid, address: BrokerAddress, *, join_deadline_s: float
    ) -> None:
        self._name, self._granted_s, self._closed = name, 0.0, False
        self._outputs: dict[str, tuple[PortKind, object]] = {}
        self._inputs: dict[str, tuple[PortKind, object]] = {}
        self._last: dict[str, bytes] = {}
        if address.transport == "zmq":
            _await_listener(address, join_deadline_s)
        try:
            self._federate = h.helicsCreateValueFederate(name, _info(name, grid, address))
        except h.HelicsException as error:
            raise FederationError(
                f"federate {name} could not join the broker at {address.host}:{address.port} "
                f"({address.transport}): {_text(error)}"
            ) from error
        _count(+1)
        self._core = h.helicsFederateGetCore(self._federate)
        self._watchdog = Watchdog(f"{name}-watchdog", self._end_from_outside)

    @property
    def name(self) -> str:
        """The federate's name."""
        return self._name

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
            beyond = granted >= h.HELICS_TIME_MAXTIME
            raise FederateLost(
                f"federate {self._name} asked for time {time_s} and was granted "
                f"{'the end of time' if beyond else granted}: the federation was shut down "
                f"while waiting for {awaited} from {whom}"
            )
        self._granted_s = granted

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
        if not self._closed:
            with contextlib.suppress(h.HelicsException):
                h.helicsFederateGlobalError(self._federate, _CODE, reason)

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
        _count(-1)

    def _end_from_outside(self, reason: str) -> None:
        with contextlib.suppress(h.HelicsException):
            h.helicsCoreGlobalError(self._core, _CODE, reason.encode())  # bytes, not str

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
            raise FederateLost(_text(cause)) from cause


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


def _info(name: str, grid: TimeGrid, address: BrokerAddress) -> object:
    info = h.helicsCreateFederateInfo()
    h.helicsFederateInfoSetCoreTypeFromString(info, address.transport)
    h.helicsFederateInfoSetCoreName(info, f"{address.key}-{name}")
    h.helicsFederateInfoSetCoreInitString(info, address.core_arguments())
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


def _free_port() -> int:
    """Return a port that was free together with the next one, which HELICS also takes."""
    for _ in range(50):
        with socket.socket() as one, socket.socket() as other:
            one.bind((_LOOPBACK, 0))
            port = int(one.getsockname()[1])
            if port < 65500:
                with contextlib.suppress(OSError):
                    other.bind((_LOOPBACK, port + 1))
                    return port
    raise FederationError(f"no two neighbouring ports are free on {_LOOPBACK}")


def _text(error: Exception) -> str:
    """Return HELICS' message without its code."""
    return re.sub(r"^\[-?\d+\]\s*", "", str(error))


def _count(change: int) -> None:
    global _live  # noqa: PLW0603
    with _live_lock:
        _live += change
