"""How a core finds its broker, without the HELICS library, which few commands need."""

from __future__ import annotations

import contextlib
import hashlib
import re
import socket
from dataclasses import dataclass

from gridproof.federation.addresses import host_and_port
from gridproof.scenarios.errors import ConfigError, FederationError

__all__ = ["LOOPBACK", "SILENT", "BrokerAddress", "free_port", "helics_words", "listens_at"]

SILENT = "--consoleloglevel=no_print --loglevel=no_print"
LOOPBACK = "127.0.0.1"


@dataclass(frozen=True, slots=True, kw_only=True)
class BrokerAddress:
    """How a core finds its broker.

    Attributes
    ----------
    transport
        HELICS core type: ``inproc`` within one process, ``zmq`` between processes.
    key
        Only cores that bear it are let in.
    host, port
        Where it listens; not used by ``inproc``.
    cores
        What the names of cores begin with; `name` if empty.
    more
        Further words of a core's init string, for somebody else's broker.
    keyless
        Whether the key may be empty, as somebody else's broker may ask for none.
    """

    transport: str
    key: str
    host: str = LOOPBACK
    port: int = 0
    cores: str = ""
    more: str = ""
    keyless: bool = False

    def __post_init__(self) -> None:
        if self.transport not in ("inproc", "zmq"):
            raise ConfigError(f"transport {self.transport!r} is not one of inproc, zmq")
        if not self.key and not self.keyless:
            raise ConfigError("broker key '' may hold letters, digits and -_. only")
        for word in (self.key, self.cores):
            if not re.fullmatch(r"[A-Za-z0-9_.-]*", word):
                raise ConfigError(f"broker key {word!r} may hold letters, digits and -_. only")
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
        found = host_and_port(broker)
        if found is None:
            raise ConfigError(f"broker {broker!r} is not HOST:PORT, such as 127.0.0.1:23500")
        host, port = found
        if ":" in host:
            raise ConfigError(
                f"broker {broker!r} is an IPv6 address, which HELICS does not take over zmq; give "
                "an IPv4 address or a name that has one, such as 127.0.0.1:23500"
            )
        return cls(transport="zmq", key=key, host=host, port=port)

    @property
    def name(self) -> str:
        """Name of a broker of ours, and of its cores: as unique as the key, and not the key."""
        return f"gridproof-{hashlib.sha256(self.key.encode()).hexdigest()[:12]}"

    def listens(self) -> bool:
        """Knock at the port: False where nobody is there, True where nothing is known, too."""
        return listens_at(self.host, self.port)

    def core_arguments(self) -> str:
        """Return the init string of a core that joins this broker.

        A zmq core gets a free port of its own: those a broker hands out by itself collide
        with its neighbours' (12 failures in 160 federations, run four at a time; none of 160
        with ports of their own).
        """
        key = f"--brokerkey={self.key} " if self.key else ""
        own = f"--federates=1 {key}--terminate_on_error {SILENT} {self.more}".rstrip()
        if self.transport == "inproc":
            return f"{own} --broker={self.name}"
        at = f"--broker_address=tcp://{self.host} --brokerport={self.port}"
        return f"{own} {at} --port={free_port()}"


def helics_words(address: BrokerAddress) -> dict[str, str]:
    """Return the environment by which a program of HELICS' own finds a broker."""
    return {
        "HELICS_CORE_TYPE": address.transport,
        "HELICS_CORE_INIT_STRING": address.core_arguments(),
    }


def listens_at(host: str, port: int) -> bool:
    """Knock at a port: False where nobody is there, True where nothing is known, too."""
    try:
        socket.create_connection((host, port), 0.2).close()
    except ConnectionRefusedError:
        return False
    except OSError:  # slow, or filtered: HELICS' own time-outs decide
        return True
    return True


def free_port() -> int:
    """Return a port that was free together with the next one, which HELICS also takes."""
    for _ in range(50):
        with socket.socket() as one, socket.socket() as other:
            one.bind((LOOPBACK, 0))
            port = int(one.getsockname()[1])
            if port < 65500:
                with contextlib.suppress(OSError):
                    other.bind((LOOPBACK, port + 1))
                    return port
    raise FederationError(f"no two neighbouring ports are free on {LOOPBACK}")
