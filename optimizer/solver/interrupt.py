"""HiGHS in a thread of its own, so that whoever waits for it can be interrupted.

A call into HiGHS hears neither a signal nor an exception that is thrown into its thread until
it returns, which may take a minute. Here it runs in a helper thread; the caller waits in
Python, and what interrupts the wait tells HiGHS to stop by its own callback.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from queue import SimpleQueue
from typing import Any

__all__ = ["run_highs"]

_LOOK_EVERY_S, _GRACE_S = 0.05, 1.0
_mine = threading.local()


def run_highs(highs: Any, kinds: Sequence[Any]) -> None:
    """Run a search; answers are those of ``highs.run()``, which it is.

    Parameters
    ----------
    highs
        A loaded model. After an exception it must not be used any more: the search is told
        to stop, and nobody waits longer than a second for it.
    kinds
        HiGHS' callbacks that ask whether to stop.

    Raises
    ------
    BaseException
        What interrupted the wait, and what HiGHS' binding raised.
    """
    helpers = _mine.__dict__.setdefault("helpers", {})
    workers = highs.getOptionValue("threads")[1]
    if workers not in helpers:
        helpers[workers] = _Helper()
    task = _Task(highs, kinds)
    helpers[workers].tasks.put(task)
    try:
        while not task.done.wait(_LOOK_EVERY_S):
            pass
    except BaseException:
        task.stop.set()
        if not task.done.wait(_GRACE_S):
            del helpers[workers]  # a next search, if any, does not queue behind this one
        raise
    if task.error is not None:
        raise task.error


class _Task:
    """One search, and what its two threads tell each other."""

    def __init__(self, highs: Any, kinds: Sequence[Any]) -> None:
        self.highs: Any = highs
        self.kinds = kinds
        self.error: BaseException | None = None
        self.stop, self.done = threading.Event(), threading.Event()

    def run(self) -> None:
        try:
            self.highs.setCallback(self._look, None)
            for kind in self.kinds:
                self.highs.startCallback(kind)
            self.highs.run()
            for kind in self.kinds:
                self.highs.stopCallback(kind)
        except BaseException as error:  # raised again by the caller
            self.error = error
        finally:
            self.highs = None
            self.done.set()

    def _look(self, _kind: Any, _words: str, _data: Any, answer: Any, _mine: Any) -> None:
        if self.stop.is_set():
            answer.user_interrupt = True


class _Helper:
    """A thread that lasts as long as the one it works for: HiGHS keeps workers per thread.

    There is one for each number of workers that is asked for: from 1.16 on HiGHS refuses a search
    that asks for another number than its thread's first.
    """

    def __init__(self) -> None:
        self.tasks: SimpleQueue[_Task | None] = SimpleQueue()
        threading.Thread(target=_serve, args=(self.tasks,), name="highs", daemon=True).start()

    def __del__(self) -> None:
        self.tasks.put(None)


def _serve(tasks: SimpleQueue[_Task | None]) -> None:
    thread = threading.current_thread()
    while (task := tasks.get()) is not None:
        thread.name = "highs-busy"  # a process that ends now must not wait for it
        task.run()
        thread.name = "highs"
        del task  # its model is large
