"""One thread of the process makes every call into OpenDSS.

The library keeps a record for each thread that ever calls it and never takes it down. With
federates on threads that come and go, the first call of yet another thread crashed now and
then (segmentation faults inside ``NewContext`` and ``AllowChangeDir``, seen with dss_python
0.15.7 on DSS C-API 0.14.5). So all calls are made by one thread that lives as long as the
process. It is a daemon: a call stuck in the library cannot keep the process from ending.
"""

from __future__ import annotations

import os
import queue
import threading
from collections.abc import Callable
from concurrent.futures import Future
from functools import wraps
from typing import Any, ParamSpec, TypeVar

__all__ = ["NAME", "elsewhere", "on_engine_thread"]

NAME = "opendss"
P = ParamSpec("P")
R = TypeVar("R")

_lock = threading.Lock()
_work: queue.SimpleQueue[tuple[Future[Any], Callable[[], Any]]] = queue.SimpleQueue()
_thread: threading.Thread | None = None


def on_engine_thread(function: Callable[P, R]) -> Callable[P, R]:
    """Have a function run on the engine thread; the caller waits, and gets its exception."""

    @wraps(function)
    def call(*args: P.args, **kwargs: P.kwargs) -> R:
        if threading.current_thread() is _thread:
            return function(*args, **kwargs)
        _start()
        answer: Future[R] = Future()
        _work.put((answer, lambda: function(*args, **kwargs)))
        return answer.result()

    return call


def elsewhere() -> str:
    """Name of the thread that is here, where it is another than the engine thread; else empty."""
    here = threading.current_thread()
    return "" if here is _thread else here.name


def _start() -> None:
    global _thread  # noqa: PLW0603 - there is one such thread in a process, that is its point
    with _lock:
        if _thread is None:
            _thread = threading.Thread(target=_serve, name=NAME, daemon=True)
            _thread.start()


def _serve() -> None:
    while True:
        answer, work = _work.get()
        try:
            answer.set_result(work())
        except BaseException as error:  # belongs to the caller, who raises it
            answer.set_exception(error)
        del answer, work  # so that nothing of a finished call is kept until the next


def _forget() -> None:
    """Start over in a forked child, which has the queue but not the thread."""
    global _thread, _work, _lock
    _thread, _work, _lock = None, queue.SimpleQueue(), threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_forget)
