"""Which workers of a Dask cluster may be given tasks: those that have what the campaign asks.

Every worker that appears is asked once, by a small task pinned to it, which versions it has.
One that answers with others, or cannot load this program at all, is left out by name, and the
campaign goes on with the rest.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING

from gridproof.federation.campaigns.chunks import Share, differences
from gridproof.scenarios.errors import ConfigError

if TYPE_CHECKING:
    from distributed import Client, Future

__all__ = ["ClusterWorkers", "about"]

_COUNT_EVERY_S = 2.0
_ANSWER_S = 30.0  # one that has not answered by then is at something long: it may be given more


def about(asked: tuple[tuple[str, str], ...]) -> list[str]:
    """Say, on a worker, what it has in another version than is asked for."""
    return differences(asked)


class ClusterWorkers:
    """The workers of a cluster as they come and go.

    Parameters
    ----------
    client
        Of its scheduler.
    share
        What the workers are to have.
    tell
        Told of each worker that is left out, and why.
    """

    def __init__(self, client: Client, share: Share, tell: Callable[[str], None]) -> None:
        self._client, self._share, self._tell = client, share, tell
        self._asked: dict[str, tuple[Future, float]] = {}
        self._good: set[str] = set()
        self._here: set[str] = set()
        self._bad: dict[str, str] = {}
        self._counted_s = -_COUNT_EVERY_S

    @property
    def usable(self) -> Sequence[str]:
        """Addresses of those that may be given tasks."""
        return sorted(self._here & self._good)

    @property
    def choice(self) -> Sequence[str] | None:
        """Whom tasks must be pinned to; None where any worker will do."""
        return self.usable if self._here - self._good else None

    @property
    def any_hope(self) -> bool:
        """Whether there is a worker that is not left out, even if it has not answered yet."""
        return bool(self._here - set(self._bad))

    def present(self, addresses: Sequence[str]) -> bool:
        """Whether any of some workers is still there."""
        return not self._here.isdisjoint(addresses)

    def look(self) -> None:
        """Count, now and then; ask who is new, and hear who has answered.

        Raises
        ------
        ConfigError
            If no worker is left that has what is asked for.
        """
        now_s = time.monotonic()
        if now_s - self._counted_s >= _COUNT_EVERY_S:
            self._counted_s = now_s
            self._here = set(self._client.scheduler_info(n_workers=-1)["workers"])
            for address in self._here - self._good - set(self._bad) - set(self._asked):
                self._ask(address)
        for address, (future, since_s) in list(self._asked.items()):
            if address not in self._here:
                del self._asked[address]
            elif future.status != "pending":
                del self._asked[address]
                self._heard(address, future)
            elif now_s - since_s > _ANSWER_S:
                self._good.add(address)
        if self._here and not self._here - set(self._bad):
            listed = "; ".join(self._bad[address] for address in sorted(self._here))
            raise ConfigError(
                f"no worker can be given anything: {listed}; results of different versions are not "
                "mixed: install the same versions on every worker"
            )

    def leave_out(self, address: str, reason: str) -> None:
        """Give a worker nothing any more, and say so."""
        self._good.discard(address)
        if address not in self._bad:
            self._bad[address] = f"worker {address} {reason}"
            self._tell(f"{self._bad[address]}: it is left out; the others go on")

    def _ask(self, address: str) -> None:
        future = self._client.submit(
            about, self._share.versions, workers=[address], pure=False, priority=10
        )
        self._asked[address] = (future, time.monotonic())

    def _heard(self, address: str, future: Future) -> None:
        if future.status == "finished":
            try:
                other = future.result(timeout=_ANSWER_S)
            except Exception:  # it left with its answer: whoever comes back is asked again
                return
            if other:
                self.leave_out(address, f"has {', '.join(other)}")
            else:
                self._good.add(address)
        elif future.status == "error":
            error = future.exception()
            self.leave_out(address, f"cannot load this program ({type(error).__name__}: {error})")
