"""Chunks as tasks on a Dask cluster, which SLURM, Kubernetes or MPI can bring up.

A task is text in and bytes out: the workers need no shared file system and write nothing,
and a task whose worker is lost is done again by another, with the same bytes. Dask is an
optional dependency and is imported only here.
"""

from __future__ import annotations

import re
import time
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from federation.campaigns.chunks import Failure, Share, try_chunks
from federation.campaigns.workers import MAX_LOSSES
from federation.records.keeper import Keeper, Tally
from federation.records.parts import EncodedPart
from federation.records.store import CampaignStore
from federation.studies.study import Study
from scenarios.errors import ConfigError, DeadlinePassed, FederateLost
from scenarios.plan import Plan, plan_to_json

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["DaskCluster", "try_group"]

_LOOK_EVERY_S, _COUNT_EVERY_S = 0.05, 2.0
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
    """

    address: str

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
            If Dask is not installed, or a worker has other versions or another feeder.
        DeadlinePassed
            If the scheduler does not answer, or there is no worker, for the study's
            ``join_deadline_s``.
        FederateLost
            If `MAX_LOSSES` workers were lost at the same task, or the scheduler was.
        """
        wait_s = study.config.federation.join_deadline_s
        with _client(self.address, wait_s) as client:
            mode = f"dask {self.address}"
            keeper = Keeper(store=store, scenario=study.scenario, mode=mode, watch=progress)
            finished = keeper.begin(plan)
            share = Share.of(store.read("study.json") or "", plan_to_json(plan))
            try:
                _Tasks(self, client, share, keeper, wait_s).run(store.missing(finished))
            except BaseException as error:
                keeper.record_failure(error)
                raise


def try_group(share: Share, chunks: Sequence[int]) -> list[EncodedPart] | Failure:
    """Try a few chunks, on whichever worker; an exception comes back as text."""
    parts: list[EncodedPart] = []
    try:
        try_chunks(share, iter(chunks), keep=parts.append)
    except Exception as error:
        return Failure.of(error)
    return parts


class _Tasks:
    """Keeps the cluster busy, and no more than that: results wait in its memory."""

    def __init__(
        self, cluster: DaskCluster, client: Client, share: Share, keeper: Keeper, wait_s: float
    ) -> None:
        self._address, self._client, self._wait_s = cluster.address, client, wait_s
        self._share, self._keeper = share, keeper
        self._pending, self._tries = deque[int](), dict[tuple[int, ...], int]()
        self._running: dict[Future, tuple[int, ...]] = {}
        self._count, self._counted_s, self._served_s = 0, -_COUNT_EVERY_S, time.monotonic()

    def run(self, chunks: Sequence[int]) -> None:
        """Return when every chunk is kept."""
        self._pending.extend(chunks)
        try:
            while self._pending or self._running:
                self._submit(self._workers())
                time.sleep(_LOOK_EVERY_S)
                for future in [one for one in self._running if one.status != "pending"]:
                    self._take(future)
        finally:
            for future in self._running:
                future.cancel(force=True)

    def _workers(self) -> int:
        """Count the cluster's workers, now and then; raise if there were none for too long."""
        if self._client.status != "running":
            raise FederateLost(
                f"the scheduler {self._address} is gone; finished parts are whole: bring it up "
                "and resume"
            )
        now_s = time.monotonic()
        if now_s - self._counted_s < _COUNT_EVERY_S:
            return self._count
        self._counted_s = now_s
        self._count = len(self._client.scheduler_info(n_workers=-1)["workers"])
        if self._count:
            self._served_s = now_s
        elif now_s - self._served_s > self._wait_s:
            whom = f"the Dask scheduler {self._address}"
            raise DeadlinePassed("a worker ([federation] join_deadline_s)", whom, self._wait_s)
        return self._count

    def _submit(self, workers: int) -> None:
        while self._pending and len(self._running) < _AT_HAND * workers:
            size = min(_LARGEST_GROUP, -(-len(self._pending) // (_AT_HAND * workers)))
            group = tuple(self._pending.popleft() for _ in range(min(size, len(self._pending))))
            self._send(group)

    def _send(self, group: tuple[int, ...]) -> None:
        future = self._client.submit(try_group, self._share, group, pure=False)
        self._running[future] = group

    def _take(self, future: Future) -> None:
        group = self._running.pop(future)
        if future.status == "cancelled":
            raise FederateLost(f"the scheduler dropped chunks {group[0]} to {group[-1]}; resume")
        if future.status == "error":
            error = future.exception()
            raise self._given_up(group, error) from error
        result: list[EncodedPart] | Failure
        try:
            result = future.result(timeout=self._wait_s)
        except TimeoutError:  # who held it is gone, so it is to be computed anew, if by anybody
            self._running[future] = group
            return
        except Exception as error:
            raise self._given_up(group, error) from error
        future.release()
        if isinstance(result, Failure):
            self._again(group, result)
            return
        for part in result:
            self._keeper.keep(part)
        self._drop_surplus()

    @staticmethod
    def _given_up(group: tuple[int, ...], error: BaseException | None) -> FederateLost:
        return FederateLost(
            f"the cluster gave up on chunks {group[0]} to {group[-1]}: {error}; finished "
            "parts are whole: mend what ended its workers, and resume"
        )

    def _drop_surplus(self) -> None:
        """Forget chunks beyond the last that counts, once a stopping rule has decided."""
        needed = self._keeper.stopper.needed
        if self._pending and self._pending[-1] >= needed:
            self._pending = deque(chunk for chunk in self._pending if chunk < needed)

    def _again(self, group: tuple[int, ...], failure: Failure) -> None:
        """Send a group again whose federation could not go on; raise what is nobody's luck."""
        self._tries[group] = self._tries.get(group, 0) + 1
        if not failure.of_federation or self._tries[group] >= MAX_LOSSES:
            raise failure.error(f"a worker at chunks {group[0]} to {group[-1]}")
        self._send(group)


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
