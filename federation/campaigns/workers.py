"""Worker processes on one machine: the plan is made once, its chunks are tried side by side.

Each worker runs planner and feeder over a broker of its own and hands back whole chunks; only
this process writes, so a worker may be lost at any moment. Its chunks are done again by
others, and their bytes are the same.
"""

from __future__ import annotations

import multiprocessing
import os
import signal
import threading
import time
from collections import deque
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from queue import Empty, SimpleQueue
from typing import Any

from gridproof.federation.campaigns.chunks import Failure, Share
from gridproof.federation.campaigns.unfinished import MAX_LOSSES, Unfinished
from gridproof.federation.campaigns.worker import main
from gridproof.federation.records.keeper import Tally
from gridproof.federation.records.parts import EncodedPart
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.signals import held
from gridproof.federation.studies.study import Study
from gridproof.scenarios.errors import ConfigError, FederateLost
from gridproof.scenarios.plan import Plan

__all__ = ["Workers"]

_LOOK_EVERY_S, _GRACE_S = 0.2, 5.0
_SPAWN = multiprocessing.get_context("spawn")


@dataclass(frozen=True, slots=True, kw_only=True)
class Workers:
    """Tries the missing chunks of a campaign in so many processes.

    Attributes
    ----------
    count
        Worker processes.
    started
        Told the process number of each worker as it starts.
    """

    count: int
    started: Callable[[int], None] | None = None

    def __post_init__(self) -> None:
        if self.count < 1:
            raise ConfigError(f"{self.count} workers asked for; it takes 1 or more")

    def ready(self, study: Study) -> None:
        """Nothing can be missing on this machine."""

    def __call__(
        self,
        study: Study,
        store: CampaignStore,
        plan: Plan,
        progress: Callable[[Tally], None] | None,
    ) -> None:
        """Try the plan on every missing chunk.

        Raises
        ------
        FederateLost
            If `MAX_LOSSES` workers were lost at the same chunk.
        StoreError
            If the directory is of another plan, or the disk refuses.
        BaseException
            What a worker raised, if it is no failure of its federation.
        """
        left = Unfinished.of(study, store, plan, mode=f"{self.count} workers", progress=progress)
        pool = _Pool(self, study, left)
        try:
            pool.run()
        except BaseException as error:
            left.keeper.record_failure(error)
            raise
        finally:
            pool.end()


@dataclass(frozen=True, slots=True)
class _Gone:
    """The end of what a worker says: its pipe is closed, or torn within a message."""


_Said = SimpleQueue[tuple["_Worker", Any]]
"""What workers say, in the order it came."""


class _Worker:
    """A worker process, and the chunks it was given: the first is the one it is at.

    A thread of its own listens to it, so that one that stops within a message, killed or
    hanging, is missed like any other and keeps nobody waiting.
    """

    def __init__(self, share: Share, idle_s: float, said: _Said) -> None:
        self.pipe, far = _SPAWN.Pipe()
        self.given: deque[int] = deque()
        self.heard_s, self.why = time.monotonic(), ""
        self._process = _SPAWN.Process(
            target=main, args=(far, share, os.getpid(), idle_s), name="worker", daemon=True
        )
        with held(signal.SIGINT):
            self._process.start()
        far.close()  # so that the worker's end is closed when the worker is gone
        self.pid = self._process.pid or 0
        self._listener = threading.Thread(target=self._listen, args=(said,), daemon=True)
        self._listener.start()

    def give(self, chunk: int) -> None:
        """Hand a chunk over; a worker that is gone shows by its silence."""
        if not self.given:
            self.heard_s = time.monotonic()
        self.given.append(chunk)
        with suppress(OSError):
            self.pipe.send(chunk)

    def _listen(self, said: _Said) -> None:
        with suppress(EOFError, OSError):  # whole or torn, it was the last of it
            while True:
                said.put((self, self.pipe.recv()))
        said.put((self, _Gone()))

    def dismiss(self) -> None:
        """Tell it that there is nothing more to do."""
        with suppress(OSError):
            self.pipe.send(None)

    def reap(self, grace_s: float) -> str:
        """Wait shortly, then kill; returns how it ended."""
        self._process.join(grace_s)
        if self._process.is_alive():
            self._process.kill()
            self._process.join()
        self._listener.join(_GRACE_S)
        self.pipe.close()
        code = self._process.exitcode or 0
        return f"was killed by {signal.Signals(-code).name}" if code < 0 else f"ended ({code})"


class _Pool:
    """Gives chunks to workers and takes parts from them."""

    def __init__(self, workers: Workers, study: Study, left: Unfinished) -> None:
        federation = study.config.federation
        self._workers, self._left, self._keeper = workers, left, left.keeper
        self._crew: list[_Worker] = []
        self._said: _Said = SimpleQueue()
        self._idle_s = min(10.0, federation.step_deadline_s / 2.0)
        self._silence_s = federation.join_deadline_s + 2.0 * federation.step_deadline_s

    def run(self) -> None:
        """Return when every chunk is kept."""
        while self._left or any(worker.given for worker in self._crew):
            self._staff()
            self._give()
            self._listen(_LOOK_EVERY_S)
        for worker in self._crew:
            worker.dismiss()
        until = time.monotonic() + _GRACE_S
        while self._crew:
            self._crew[-1].reap(max(0.0, until - time.monotonic()))
            self._crew.pop()

    def end(self) -> None:
        """Leave no worker behind; nothing is lost, for they write nothing."""
        while self._crew:
            self._crew[-1].reap(0.0)
            self._crew.pop()

    def _staff(self) -> None:
        """Start workers while there is a chunk for each."""
        open_chunks = len(self._left) + sum(len(worker.given) for worker in self._crew)
        while len(self._crew) < min(self._workers.count, open_chunks):
            self._crew.append(_Worker(self._left.share, self._idle_s, self._said))
            if self._workers.started is not None:
                self._workers.started(self._crew[-1].pid)

    def _give(self) -> None:
        """Keep everybody at work, with a second chunk at hand while there is plenty."""
        for most in (1, 2):
            for worker in self._crew:
                plenty = most == 1 or len(self._left) >= len(self._crew)
                if len(worker.given) < most and plenty:
                    for chunk in self._left.take():
                        worker.give(chunk)

    def _listen(self, timeout_s: float) -> None:
        """Hear all that was said, waiting for the first; miss who was silent for too long."""
        with suppress(Empty):
            worker, said = self._said.get(timeout=timeout_s)
            while True:
                if worker in self._crew:
                    self._hear(worker, said)
                worker, said = self._said.get_nowait()
        for worker in tuple(self._crew):
            if worker.given and time.monotonic() - worker.heard_s > self._silence_s:
                worker.why = f"was silent for {self._silence_s:.0f} s"
                self._lost(worker)

    def _hear(self, worker: _Worker, said: Any) -> None:
        worker.heard_s = time.monotonic()
        if isinstance(said, EncodedPart):
            self._keeper.keep(said)
            self._left.drop_surplus()
            worker.given.remove(said.chunk)
        elif isinstance(said, Failure):
            if not said.of_federation:
                raise said.error(f"worker {worker.pid}")
            worker.why = said.text
        elif isinstance(said, _Gone):
            self._lost(worker)
        else:
            self._keeper.saw(*said)

    def _lost(self, worker: _Worker) -> None:
        """Take its chunks back; give up on a chunk that too many were lost at."""
        self._crew.remove(worker)
        ended = worker.reap(0.0 if worker.why else _GRACE_S)
        for chunk in worker.given:
            self._keeper.forget(chunk)
        self._left.put_back(worker.given)
        if not worker.given:
            return
        at = worker.given[0]
        if self._left.given_up(at):
            raise FederateLost(
                f"{MAX_LOSSES} workers were lost at chunk {at}, the last one "
                f"{worker.why or ended}; finished parts are whole: mend what ended them, and resume"
            )
