"""A worker process: tries chunks that come through a pipe, and hands each back through it."""

from __future__ import annotations

import os
import time
from collections.abc import Iterator, Mapping
from multiprocessing.connection import Connection

from gridproof.federation.campaigns.chunks import Failure, Share, try_chunks
from gridproof.scenarios.verdict import Outcome

__all__ = ["main"]

_LOOK_EVERY_S = 0.5


def main(pipe: Connection, share: Share, parent: int, idle_s: float) -> None:
    """Serve until told to end, or until nobody is left to serve.

    Parameters
    ----------
    pipe
        Numbers of chunks come in, None at the end. Out go ``(chunk, counts)`` for a batch, an
        `EncodedPart` for a chunk, and a `Failure` before this process ends of one.
    share
        The campaign.
    parent
        Process number of who gives the work.
    idle_s
        A federation without work ends after so long, for its own deadlines run on.
    """
    work = _Work(pipe, parent, idle_s)
    try:
        while work.wait(None):
            try_chunks(share, work.chunks(), keep=pipe.send, watch=work.saw)
    except (_OrphanedError, EOFError, BrokenPipeError, ConnectionResetError):
        return
    except BaseException as error:  # whatever it is, it is told, and this process ends
        pipe.send(Failure.of(error))


class _OrphanedError(Exception):
    """Who gave the work is gone: nobody is left to hand anything to."""


class _Work:
    """What comes through the pipe."""

    def __init__(self, pipe: Connection, parent: int, idle_s: float) -> None:
        self._pipe, self._parent, self._idle_s = pipe, parent, idle_s
        self._next: int | None = None
        self._ended = False

    def wait(self, idle_s: float | None) -> bool:
        """Wait for the next chunk; False if there is none to come, or not within ``idle_s``."""
        since = time.monotonic()
        while not self._ended:
            if self._pipe.poll(_LOOK_EVERY_S):
                self._next = self._pipe.recv()
                self._ended = self._next is None
                return not self._ended
            self._look_for_parent()
            if idle_s is not None and time.monotonic() - since > idle_s:
                return False
        return False

    def chunks(self) -> Iterator[int]:
        """Yield the chunk that came, then those that follow without a long pause."""
        while self._next is not None:
            chunk, self._next = self._next, None
            yield chunk
            if not self.wait(self._idle_s):
                return

    def saw(self, chunk: int, counts: Mapping[Outcome, int]) -> None:
        """Tell the outcomes of a batch."""
        self._look_for_parent()
        self._pipe.send((chunk, dict(counts)))

    def _look_for_parent(self) -> None:
        if os.getppid() != self._parent:
            raise _OrphanedError
