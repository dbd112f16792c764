"""A wait that HELICS itself cannot end is ended from another thread."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

__all__ = ["Watchdog"]

_LOOK_EVERY_S = 0.02  # how late a deadline may be noticed; costs some 50 wake-ups a second


class Watchdog:
    """Calls ``end(reason)`` once if a guarded wait outlives its deadline.

    Arming and disarming is a plain store, since it happens at every exchange; the thread
    looks at it a few times a second.

    Parameters
    ----------
    name
        Of the thread.
    end
        Ends the federation, so that the blocked call returns.
    """

    def __init__(self, name: str, end: Callable[[str], None]) -> None:
        self._end = end
        self._guarded: tuple[float, str] | None = None
        self._lock = threading.Lock()
        self._stopped = threading.Event()
        self._thread = threading.Thread(target=self._watch, name=name, daemon=True)
        self._thread.start()

    def arm(self, deadline_s: float, reason: str) -> None:
        """Begin to count."""
        self._guarded = (time.monotonic() + deadline_s, reason)

    def disarm(self) -> bool:
        """Stop to count; true if the deadline had passed and the federation was ended."""
        with self._lock:
            fired = self._guarded is None
            self._guarded = None
        return fired

    def stop(self) -> None:
        """End the thread."""
        self._stopped.set()
        if self._thread is not threading.current_thread():
            self._thread.join()

    def _watch(self) -> None:
        while not self._stopped.wait(_LOOK_EVERY_S):
            with self._lock:
                guarded = self._guarded
                if guarded is None or time.monotonic() < guarded[0]:
                    continue
                self._guarded = None
            self._end(guarded[1])
