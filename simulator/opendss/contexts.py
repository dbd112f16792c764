"""OpenDSS contexts, lent and taken back: one circuit at a time each, never disposed.

A context is the engine's whole state, and a program needs few of them at once but many one
after another: each reading and each engine takes one. A context given back is cleared and lent
again, so that one is made only when all are in use.

The library is loaded by the first to borrow, on the engine thread: where another thread had
loaded it, the first call of this one crashed now and then (`simulator.opendss.engine_thread`).
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

from gridproof.scenarios.errors import ConfigError
from gridproof.simulator.opendss.engine_thread import elsewhere

__all__ = ["borrow", "give_back", "refusal"]

_lock = threading.Lock()
_idle: list[Any] = []


def borrow() -> Any:
    """Lend a context without a circuit; the caller alone may use it until it gives it back.

    Raises
    ------
    ConfigError
        If there is no working directory any more: the library asks for it and crashes.
    RuntimeError
        If this is not the engine thread: the library may crash on any other.
    """
    other = elsewhere()
    if other:
        raise RuntimeError(f"OpenDSS was called on thread {other}; call it by on_engine_thread")
    try:
        Path.cwd()
    except OSError as error:
        raise ConfigError(
            "the working directory is not there any more; change to one that is and start again"
        ) from error
    import opendssdirect  # noqa: PLC0415  (loads the library, on the thread that is here)

    with _lock:
        context = _idle.pop() if _idle else opendssdirect.NewContext()
    context.Basic.AllowChangeDir(False)  # the working directory belongs to the process
    context.Basic.AllowEditor(False)  # nor may a feeder file start a program
    context.Basic.AllowDOScmd(False)
    return context


def give_back(context: Any) -> None:
    """Clear a context and keep it for the next borrower; one that cannot be cleared is dropped."""
    try:
        context.Text.Command("ClearAll")
        context.Text.Command("Set DefaultBaseFrequency=60")  # outlives the circuit that set it
    except refusal():
        return
    with _lock:
        _idle.append(context)


def refusal() -> type[Exception]:
    """Class of what OpenDSS raises."""
    from dss import DSSException  # noqa: PLC0415  (as above)

    return DSSException  # type: ignore[no-any-return]
