"""Listens where a dead federate did, and throws away what it is sent.

A HELICS broker sends to all its cores from one thread. Of zmq, whoever does not fetch is kept a
thousand messages, and then the thread waits: for a core that was killed, for ever, and every
other core with it. So somebody has to fetch. ZMTP 3 is spoken without a library: a greeting,
one word of what we are, and after that nothing is asked of a reader but to read.
"""

from __future__ import annotations

import contextlib
import socket
import threading

__all__ = ["StandIn"]

_GREETING = b"\xff" + bytes(8) + b"\x7f" + b"\x03\x00" + b"NULL".ljust(20, b"\0") + bytes(32)
_READY = b"\x05READY" + b"\x0bSocket-Type" + (4).to_bytes(4, "big") + b"PULL"
_HELLO = _GREETING + bytes([0x04, len(_READY)]) + _READY
_CHUNK = 1 << 16
_LOOK_EVERY_S = 0.2


class StandIn:
    """A PULL socket that keeps nothing.

    Parameters
    ----------
    host, port
        Where the dead one listened.

    Raises
    ------
    OSError
        If somebody else listens there by now.

    Attributes
    ----------
    fetched
        Bytes thrown away until now.
    """

    def __init__(self, host: str, port: int) -> None:
        self.fetched = 0
        self._ended = threading.Event()
        self._listener = socket.create_server((host, port))
        self._listener.settimeout(_LOOK_EVERY_S)
        self._accepting = threading.Thread(target=self._accept, name="stand-in", daemon=True)
        self._accepting.start()

    def close(self) -> None:
        """Stop to listen; idempotent."""
        self._ended.set()
        self._accepting.join()

    def _accept(self) -> None:
        with self._listener:
            while not self._ended.is_set():
                with contextlib.suppress(OSError):  # nobody came in time, or left at the door
                    sender, _ = self._listener.accept()
                    drain = threading.Thread(target=self._drain, args=(sender,), daemon=True)
                    drain.start()

    def _drain(self, sender: socket.socket) -> None:
        with sender, contextlib.suppress(OSError):
            sender.settimeout(_LOOK_EVERY_S)
            sender.sendall(_HELLO)
            while not self._ended.is_set():
                with contextlib.suppress(TimeoutError):
                    heard = sender.recv(_CHUNK)
                    if not heard:
                        return
                    self.fetched += len(heard)
