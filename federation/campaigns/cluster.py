"""Chunks as tasks on a Dask cluster, which SLURM, Kubernetes or MPI can bring up.

A task is text in and bytes out: the workers need no shared file system and write nothing,
and a task whose worker is lost is done again by another, with the same bytes. Dask is an
optional dependency and is imported only here.
"""

from __future__ import annotations

import re
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from gridproof.federation.campaigns.chunks import Failure, OtherVersions, Share, try_chunks
from gridproof.federation.campaigns.cluster_workers import ClusterWorkers
from gridproof.federation.campaigns.unfinished import Unfinished
from gridproof.federation.records.keeper import Tally
from gridproof.federation.records.parts import EncodedPart
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import Study
from gridproof.scenarios.errors import ConfigError, DeadlinePassed, FederateLost
from gridproof.scenarios.plan import Plan

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["DaskCluster", "try_group"]

_LOOK_EVERY_S = 0.05
_AT_HAND = 3
"""Tasks on their way for each worker: one it is at, the others so that it need not wait."""

_ADDRESS = re.compile(r"(\w+://)?[^/]+:\d+")

_LARGEST_GROUP = 16
"""Chunks in a task: enough to be worth a federation, few enough to be lost."""


@dataclass(frozen=True, slots=True, kw_only=True)
class DaskCluster:
    """Tries the missing chunks of a campaign as tasks of a Dask scheduler.

    Attributes
    ----------
    address
        The scheduler's, such as ``tcp://node17:8786``.
    tell
        Told of workers that are left out.
    """

    address: str
    tell: Callable[[str], None] = field(default=lambda _: None, compare=False)

    def ready(self, study: Study) -> None:
        """See that the scheduler answers; it may still be without workers.

        Raises
        ------
        ConfigError, DeadlinePassed
            As a call would, before anything is planned.
        """
        with _client(self.address, study.config.federation.join_deadline_s):
            pass

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
        ConfigError
            If Dask is not installed, no worker has this program's versions, or one has
            another feeder.
        DeadlinePassed
            If the scheduler does not answer, or there is no worker, for the study's
            ``join_deadline_s``.
        FederateLost
            If `MAX_LOSSES` workers were lost at the same task, or the scheduler was.
        """
        wait_s = study.config.federation.join_deadline_s
        with _client(self.address, wait_s) as client:
            left = Unfinished.of(study, store, plan, mode=f"dask {self.address}", progress=progress)
            try:
                _Tasks(self, client, left, wait_s).run()
            except _lost_errors() as error:
                gone = FederateLost(_gone(self.address, store))
                left.keeper.record_failure(gone)
                raise gone from error
            except BaseException as error:
                left.keeper.record_failure(error)
                raise


@dataclass(frozen=True, slots=True)
class _Refused:
    """A worker of other versions, which was given a task before it could be asked."""

    address: str
    reason: str


def try_group(share: Share, chunks: Sequence[int]) -> list[EncodedPart] | Failure | _Refused:
    """Try a few chunks, on whichever worker; an exception comes back as text."""
    parts: list[EncodedPart] = []
    try:
        try_chunks(share, iter(chunks), keep=parts.append)
    except OtherVersions as error:
        return _Refused(_own_address(), str(error).partition(";")[0].removeprefix("a worker "))
    except Exception as error:
        return Failure.of(error)
    return parts


class _Tasks:
    """Keeps the cluster busy, and no more than that: results wait in its memory."""

    def __init__(
        self, cluster: DaskCluster, client: Client, left: Unfinished, wait_s: float
    ) -> None:
        self._address, self._client, self._wait_s = cluster.address, client, wait_s
        self._left, self._keeper = left, left.keeper
        self._running: dict[Future, tuple[int, ...]] = {}
        self._pinned: dict[Future, Sequence[str]] = {}
        self._workers = ClusterWorkers(client, left.share, cluster.tell)
        self._served_s = time.monotonic()

    def run(self) -> None:
        """Return when every chunk is kept."""
        try:
            while self._left or self._running:
                self._look()
                self._submit()
                time.sleep(_LOOK_EVERY_S)
                for future in [one for one in self._running if one.status != "pending"]:
                    self._take(future)
        finally:
            for future in self._running:
                future.cancel(force=True)

    def _look(self) -> None:
        """See who is there; raise if there was nobody for too long."""
        if self._client.status != "running":
            raise FederateLost(_gone(self._address, self._keeper.store))
        self._workers.look()
        now_s = time.monotonic()
        if self._workers.any_hope:
            self._served_s = now_s
        elif now_s - self._served_s > self._wait_s:
            whom = f"the Dask scheduler {self._address}"
            raise DeadlinePassed("a worker ([federation] join_deadline_s)", whom, self._wait_s)
        for future, pinned in list(self._pinned.items()):
            if future.status == "pending" and not self._workers.present(pinned):
                group = self._running.pop(future)  # nobody it may go to is left
                del self._pinned[future]
                future.cancel(force=True)
                self._left.put_back(group)

    def _submit(self) -> None:
        """Keep tasks at hand; some without any worker, since a cluster that adapts asks for them.

        Workers that are there and have not said yet what they have are waited for.
        """
        choice = self._workers.choice
        if choice is not None and not choice:
            return
        at_hand = _AT_HAND * max(1, len(self._workers.usable))
        while self._left and len(self._running) < at_hand:
            self._send(self._left.take(min(_LARGEST_GROUP, -(-len(self._left) // at_hand))))

    def _send(self, group: tuple[int, ...]) -> None:
        choice = self._workers.choice
        future = self._client.submit(try_group, self._left.share, group, pure=False, workers=choice)
        self._running[future] = group
        if choice is not None:
            self._pinned[future] = choice

    def _take(self, future: Future) -> None:
        group = self._running.pop(future)
        pinned = self._pinned.pop(future, None)
        if future.status == "cancelled":
            raise FederateLost(f"the scheduler dropped chunks {group[0]} to {group[-1]}; resume")
        if future.status == "error":
            error = future.exception()
            if isinstance(error, (ImportError, AttributeError)) and self._once_more(group):
                return  # on a worker without this program, which is being asked meanwhile
            raise self._given_up(group, error) from error
        result: list[EncodedPart] | Failure | _Refused
        try:
            result = future.result(timeout=self._wait_s)
        except TimeoutError:  # who held it is gone, so it is to be computed anew, if by anybody
            self._running[future] = group
            if pinned is not None:
                self._pinned[future] = pinned
            return
        except Exception as error:
            raise self._given_up(group, error) from error
        future.release()
        if isinstance(result, _Refused):
            self._workers.leave_out(result.address, result.reason)
            self._left.put_back(group)
            return
        if isinstance(result, Failure):
            self._again(group, result)
            return
        for part in result:
            self._keeper.keep(part)
        self._left.drop_surplus()

    def _once_more(self, group: tuple[int, ...]) -> bool:
        """Put a group back that came to a worker nobody had asked yet; false if too often."""
        self._left.put_back(group)
        return not self._left.given_up(group)

    @staticmethod
    def _given_up(group: tuple[int, ...], error: BaseException | None) -> FederateLost:
        return FederateLost(
            f"the cluster gave up on chunks {group[0]} to {group[-1]}: {error}; finished "
            "parts are whole: mend what ended its workers, and resume"
        )

    def _again(self, group: tuple[int, ...], failure: Failure) -> None:
        """Send a group again whose federation could not go on; raise what is nobody's luck."""
        if not failure.of_federation or self._left.given_up(group):
            raise failure.error(f"a worker at chunks {group[0]} to {group[-1]}")
        self._send(group)


def _own_address() -> str:
    from distributed import get_worker  # noqa: PLC0415  (an optional dependency)

    return str(get_worker().address)


def _lost_errors() -> tuple[type[Exception], ...]:
    from distributed.comm import CommClosedError  # noqa: PLC0415  (an optional dependency)

    return (CommClosedError,)


def _gone(address: str, store: CampaignStore) -> str:
    """Say what to start again, and how to go on."""
    port = address.rpartition(":")[2]
    return (
        f"the scheduler {address} is gone; finished parts are whole. Start it again (dask "
        f"scheduler --port {port}, or the script that made the cluster), then its workers (dask "
        f"worker {address} --nthreads 1), and go on with: gridproof resume {store.root} "
        f"--scheduler {address}"
    )


@contextmanager
def _client(address: str, wait_s: float) -> Iterator[Client]:
    try:
        import distributed  # noqa: PLC0415  (an optional dependency)
    except ImportError as error:
        raise ConfigError(
            "--scheduler needs Dask, which is not installed; install it with: "
            "pip install 'gridproof[dask]'"
        ) from error
    if not _ADDRESS.fullmatch(address):
        raise ConfigError(f"--scheduler {address} is no address; give one like tcp://HOST:8786")
    options: Mapping[str, Any] = {"timeout": wait_s, "set_as_default": False}
    try:
        client = distributed.Client(address, **options)
    except (OSError, TimeoutError) as error:
        raise DeadlinePassed("an answer", f"the Dask scheduler {address}", wait_s) from error
    try:
        yield client
    finally:
        client.close(timeout=2.0)
