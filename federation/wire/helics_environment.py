"""HELICS reads the environment, and some of its calls do not come back: neither reaches us.

A ``HELICS_BROKER_ADDRESS`` that was exported for another federation sends a core, and a broker,
to look for a broker there, for ever, in a call that hears no signal. What a federation of ours
is told stands in its own words, so nothing of the environment is let in, and a call that
creates something is waited for in another thread, with a deadline.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from typing import TypeVar

from gridproof.scenarios.errors import DeadlinePassed

__all__ = ["own_environment", "within", "without_helics"]

T = TypeVar("T")

_PREFIX, _KEPT = "HELICS_", "HELICS_ENCRYPTION"  # which is refused aloud, not ignored
_LOOK_EVERY_S = 0.1
_lock = threading.Lock()
_inside = 0
_hidden: dict[str, str] = {}


def without_helics(environment: Mapping[str, str]) -> dict[str, str]:
    """Return an environment without HELICS' own variables, for a program we start."""
    return {name: value for name, value in environment.items() if not _is_foreign(name)}


def _is_foreign(name: str) -> bool:
    return name.startswith(_PREFIX) and not name.startswith(_KEPT)


@contextmanager
def own_environment() -> Iterator[None]:
    """Hide every ``HELICS_…`` variable while HELICS makes something for us.

    The process's environment is one for all threads: the first to come in hides, the last to
    go out puts back.
    """
    global _inside  # noqa: PLW0603
    with _lock:
        if not _inside:
            _hidden.update({k: v for k, v in os.environ.items() if _is_foreign(k)})
            for name in _hidden:
                del os.environ[name]
        _inside += 1
    try:
        yield
    finally:
        with _lock:
            _inside -= 1
            if not _inside:
                os.environ.update(_hidden)
                _hidden.clear()


def within(deadline_s: float, call: Callable[[], T], *, awaited: str, whom: str) -> T:
    """Return what a call returns; whoever waits for it can be interrupted.

    Parameters
    ----------
    deadline_s
        After so long it is given up. Its thread, which nothing can end, ends with the process.
    call
        Into HELICS.
    awaited, whom
        For the message.

    Raises
    ------
    DeadlinePassed
        When the time is over.
    BaseException
        What the call raised.
    """
    results: list[T] = []
    errors: list[BaseException] = []

    def body() -> None:
        try:
            with own_environment():
                results.append(call())
        except BaseException as error:  # raised again by whoever waits
            errors.append(error)

    thread = threading.Thread(target=body, name=f"helics-{awaited}", daemon=True)
    thread.start()
    left = deadline_s
    while thread.is_alive() and left > 0.0:
        thread.join(min(_LOOK_EVERY_S, left))
        left -= _LOOK_EVERY_S
    if errors:
        raise errors[0]
    if not results:
        raise DeadlinePassed(awaited, whom, deadline_s)
    return results[0]
