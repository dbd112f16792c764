"""Members of a federation on threads of this process; none is left behind.

The calling thread only waits, so that Ctrl-C reaches it at any time: a thread inside a
HELICS call sees no signal. What ends one member ends the others within a second, and the
first exception is the one that surfaces; the others are its consequences.
"""

from __future__ import annotations

import ctypes
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager

from gridproof.federation.members.arena import share_heap
from gridproof.scenarios.errors import DeadlinePassed, FederateLost
from gridproof.scenarios.plan import Plan

__all__ = ["Note", "run_members"]

Note = Callable[[BaseException], None]
_GRACES_S = (0.5, 0.4, 0.4, 0.4)  # to end by themselves, then after each try to throw them out
_LOOK_EVERY_S = 0.2


def run_members(
    bodies: Mapping[str, Callable[[Note], Plan]],
    end: Callable[[str], None],
    *,
    wall_deadline_s: float | None = None,
    look: Callable[[], None] = lambda: None,
) -> dict[str, Plan]:
    """Run every body on a thread of its own until all have returned.

    Parameters
    ----------
    bodies
        By member's name; each is given where to note its exception before the others can
        hear of it.
    end
        Ends the federation, so that whoever waits in it wakes up.
    wall_deadline_s
        Longest time for the whole, s.
    look
        Called a few times a second by the waiting thread; what it raises ends the run.

    Returns
    -------
    dict
        What each body returned.

    Raises
    ------
    BaseException
        The first exception of any member, of ``look``, or the waiting thread's own
        (`KeyboardInterrupt`, `DeadlinePassed`), after all members were stopped.
    """
    errors = _Errors()
    members = [_Member(name, body, errors) for name, body in bodies.items()]
    share_heap()
    try:
        for member in members:
            member.thread.start()
        _await_all(members, errors, wall_deadline_s, look)
    except BaseException as error:
        errors.note(error)
    cause = errors.first()
    if cause is not None:
        end(str(cause) or f"stopped by {type(cause).__name__}")
    _stop(members, errors)
    cause = errors.first()
    if cause is not None:
        raise cause
    return {member.name: member.result for member in members if member.result is not None}


class _Stopped(BaseException):
    """Thrown into a thread whose federation has ended while it was computing."""


class _Errors:
    """Keeps the first exception and wakes whoever waits for one."""

    def __init__(self) -> None:
        self.changed = threading.Condition()
        self._first: BaseException | None = None

    def note(self, error: BaseException) -> None:
        with self.changed:
            if self._first is None:
                self._first = error
            self.changed.notify_all()

    def first(self) -> BaseException | None:
        return self._first


class _Member:
    def __init__(self, name: str, body: Callable[[Note], Plan], errors: _Errors) -> None:
        self.name, self._body, self._errors = name, body, errors
        self.result: Plan | None = None
        self.finished = self.leaving = False
        self.thread = threading.Thread(target=self._run, name=f"federate-{name}", daemon=True)

    @property
    def running(self) -> bool:
        return self.thread.is_alive()

    def interrupt(self) -> None:
        """Raise `_Stopped` in the thread at its next Python instruction.

        It may land in a callback that swallows it, hence more than one try; never while the
        thread already cleans up.
        """
        if self.running and not self.leaving and self.thread.ident is not None:
            ctypes.pythonapi.PyThreadState_SetAsyncExc(
                ctypes.c_ulong(self.thread.ident), ctypes.py_object(_Stopped)
            )

    def note(self, error: BaseException) -> None:
        """Keep the thread's own failure; from now on it only cleans up."""
        self.leaving = True
        self._errors.note(error)

    def _run(self) -> None:
        try:
            self.result = self._body(self.note)
        except BaseException as error:  # the thread ends here; the waiting one raises it
            self._errors.note(error)
        finally:
            with self._errors.changed:
                self.finished = True
                self._errors.changed.notify_all()


def _await_all(
    members: list[_Member],
    errors: _Errors,
    wall_deadline_s: float | None,
    look: Callable[[], None],
) -> None:
    """Return when all have ended or one has failed."""
    started = time.monotonic()
    while errors.first() is None and not all(member.finished for member in members):
        left = _LOOK_EVERY_S
        if wall_deadline_s is not None:
            left = min(left, started + wall_deadline_s - time.monotonic())
            if left <= 0.0:
                whom = " and ".join(member.name for member in members if not member.finished)
                raise DeadlinePassed("the end of the run", whom, wall_deadline_s)
        look()
        with errors.changed:
            if errors.first() is None and not all(member.finished for member in members):
                errors.changed.wait(left)


def _stop(members: list[_Member], errors: _Errors) -> None:
    """Wait for the threads; throw them out of their computing if they do not come."""
    late: list[_Member] = []
    with _silent_swallows():
        for grace_s in _GRACES_S:
            until = time.monotonic() + grace_s
            for member in members:
                if member.thread.ident is not None:
                    member.thread.join(max(0.0, until - time.monotonic()))
            late = [member for member in members if member.running]
            if not late:
                return
            for member in late:
                member.interrupt()
    stuck = FederateLost(
        f"the {' and '.join(member.name for member in late)} is inside a call of its own that "
        "cannot be interrupted; its thread ends with this process"
    )
    cause = errors.first()
    if cause is None:
        errors.note(stuck)
    else:
        cause.add_note(str(stuck))


@contextmanager
def _silent_swallows() -> Iterator[None]:
    """Let a `_Stopped` that some callback swallowed pass without a word on stderr."""
    before = sys.unraisablehook

    def hook(swallowed: sys.UnraisableHookArgs) -> None:
        if not issubclass(swallowed.exc_type, _Stopped):
            before(swallowed)

    sys.unraisablehook = hook
    try:
        yield
    finally:
        sys.unraisablehook = before
