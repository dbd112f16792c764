"""What crossed the wire, message by message, kept beside a federation without slowing it."""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from threading import Lock
from types import TracebackType
from typing import BinaryIO

from gridproof.federation.wire.link import Link, PortKind, Reading
from gridproof.scenarios.errors import StoreError

__all__ = ["Hear", "TappedLink", "WireLog", "read_wire_log"]

Hear = Callable[[float, str, bytes], None]
"""Called with federation time, key and payload of every message, as it is published."""

_RECORD = struct.Struct("<dHI")  # time, length of key, length of payload
_MAGIC = b"GPWL\x01\x00\x00\x00"


class TappedLink:
    """`Link` that lets someone hear what its federate publishes."""

    def __init__(self, link: Link, hear: Hear) -> None:
        self._link, self._hear, self._time_s = link, hear, 0.0

    @property
    def name(self) -> str:
        """The federate's name."""
        return self._link.name

    def publishes(self, ports: Mapping[str, PortKind]) -> None:
        """Register output ports; see `Link`."""
        self._link.publishes(ports)

    def reads(self, keys: Mapping[str, PortKind]) -> None:
        """Register inputs; see `Link`."""
        self._link.reads(keys)

    def enter(self, *, deadline_s: float) -> None:
        """Wait for every member; see `Link`."""
        self._link.enter(deadline_s=deadline_s)

    def request(self, time_s: float, *, deadline_s: float, awaited: str, whom: str) -> None:
        """Wait for a time; see `Link`."""
        self._link.request(time_s, deadline_s=deadline_s, awaited=awaited, whom=whom)
        self._time_s = time_s

    def publish(self, port: str, payload: bytes) -> None:
        """Send on an own port; see `Link`."""
        self._link.publish(port, payload)
        self._hear(self._time_s, f"{self.name}/{port}", payload)

    def read(self, key: str) -> Reading:
        """Return an input's newest message; see `Link`."""
        return self._link.read(key)

    def fail(self, reason: str) -> None:
        """End the federation; see `Link`."""
        self._link.fail(reason)

    def close(self) -> None:
        """Leave; see `Link`."""
        self._link.close()


class WireLog:
    """Keeps every message in a file that `read_wire_log` reads back; usable as a `Hear`."""

    def __init__(self, path: Path) -> None:
        self._lock = Lock()
        self._file: BinaryIO = path.open("wb")
        self._file.write(_MAGIC)

    def __enter__(self) -> WireLog:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._file.close()

    def __call__(self, time_s: float, key: str, payload: bytes) -> None:
        """Keep one message."""
        name = key.encode()
        with self._lock:  # both federates of a process write here
            self._file.write(_RECORD.pack(time_s, len(name), len(payload)) + name + payload)


def read_wire_log(path: Path) -> Iterator[tuple[float, str, bytes]]:
    """Yield time, key and payload of every message kept.

    Raises
    ------
    StoreError
        If the file is none of ours, or ends inside a message.
    """
    data = path.read_bytes()
    if not data.startswith(_MAGIC):
        raise StoreError(f"{path} is not a wire log: it does not begin with {_MAGIC!r}")
    place = len(_MAGIC)
    while place < len(data):
        if place + _RECORD.size > len(data):
            raise StoreError(f"{path} is torn: it ends inside a message at byte {place}")
        time_s, key_length, length = _RECORD.unpack_from(data, place)
        place += _RECORD.size
        end = place + key_length + length
        if end > len(data):
            raise StoreError(f"{path} is torn: it ends inside a message at byte {place}")
        yield time_s, data[place : place + key_length].decode(), data[place + key_length : end]
        place = end
