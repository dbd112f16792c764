"""``--for 10m``: what can be planned and tried in a time, and what was not."""

from __future__ import annotations

import os
import re
import signal
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Annotated

import typer
from gridproof.federation.studies.study import Study
from gridproof.scenarios.errors import ConfigError

__all__ = ["Budget", "For", "duration_s", "planning_entry"]

_PARTS = re.compile(r"(?:(\d+(?:\.\d+)?)h)?(?:(\d+(?:\.\d+)?)m)?(?:(\d+(?:\.\d+)?)s)?")
_PLANNING = 0.5  # of the time; what the search leaves is for trying

For = Annotated[
    str | None,
    typer.Option(
        "--for",
        metavar="TIME",
        help="Take at most so long (90s, 10m, 1h30m): planning at most half of it, then trying, "
        "as far as it comes.",
    ),
]


def duration_s(text: str) -> float:
    """Return the seconds of ``90s``, ``10m`` or ``1h30m``.

    Raises
    ------
    ConfigError
        If it is none of these, or nothing.
    """
    found = _PARTS.fullmatch(text.strip())
    parts = [float(part or 0.0) for part in found.groups()] if found else []
    total = sum(part * unit for part, unit in zip(parts, (3600.0, 60.0, 1.0), strict=False))
    if not 0.0 < total < float("inf"):
        raise ConfigError(f"--for {text!r} is no time; say it as 90s, 10m or 1h30m")
    return total


def planning_entry(study: Study, seconds: float, *, share: float = _PLANNING) -> tuple[str, ...]:
    """Return the ``--set`` entry that ends the search in its share of a time.

    Parameters
    ----------
    study
        As it is without; a planner that would end earlier anyway, or has no limit, is left alone.
    seconds
        All there is.
    share
        Of it, for planning.
    """
    limit = study.config.planner.options.get("time_limit_s")
    if limit is None or float(limit) <= share * seconds:
        return ()
    return (f"planner.time_limit_s={share * seconds:g}",)


@dataclass(slots=True, kw_only=True)
class Budget:
    """A time that began with the command, at whose end the main thread hears Ctrl-C.

    So it ends as a person would end it: what is finished is kept, and can be gone on with.

    Attributes
    ----------
    said, seconds
        As given, and in seconds.
    over
        Whether it was this that ended something.
    """

    said: str
    seconds: float
    over: bool = False
    _begun_s: float = field(default_factory=time.monotonic)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _watching: bool = False

    @classmethod
    def of(cls, said: str | None) -> Budget | None:
        """Begin, if a time was given."""
        return None if said is None else cls(said=said, seconds=duration_s(said))

    @contextmanager
    def interrupting(self) -> Iterator[None]:
        """Interrupt the body when the time is up; nothing comes once it has been left."""
        left_s = max(0.01, self.seconds - (time.monotonic() - self._begun_s))
        self._watching = True
        timer = threading.Timer(left_s, self._interrupt)
        timer.daemon = True
        timer.start()
        try:
            yield
        finally:
            timer.cancel()
            with self._lock:
                self._watching = False

    def _interrupt(self) -> None:
        with self._lock:
            if not self._watching:
                return
            self.over = True
            if hasattr(signal, "pthread_kill"):  # wakes the main thread from what it waits for
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)
            else:  # Windows
                os.kill(os.getpid(), getattr(signal, "CTRL_C_EVENT", signal.SIGINT))
