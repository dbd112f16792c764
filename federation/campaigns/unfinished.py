"""The chunks of a campaign that are still to be tried, whoever tries them elsewhere.

Worker processes and a cluster share this: chunks are taken from the front and put back there when
who had them is gone, a chunk that too many were lost at is given up, and once a stopping rule has
decided, what lies beyond it is forgotten.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Hashable, Sequence

from gridproof.federation.campaigns.chunks import Share
from gridproof.federation.records.keeper import Keeper, Tally
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import Study, resolved_text
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_to_json

__all__ = ["MAX_LOSSES", "Unfinished"]

MAX_LOSSES = 3
"""Workers that may be lost at one chunk before the campaign gives up."""


class Unfinished:
    """Missing chunks of a campaign, what is told to whoever tries them, and who keeps the parts.

    Parameters
    ----------
    keeper
        Writes what comes back, and knows which chunks count.
    share
        What whoever tries them is told.
    chunks
        Those that are missing, in order.
    """

    def __init__(self, keeper: Keeper, share: Share, chunks: Sequence[int]) -> None:
        self.keeper, self.share = keeper, share
        self._waiting = deque(chunks)
        self._losses: dict[Hashable, int] = {}
        self._needed = keeper.stopper.needed

    @classmethod
    def of(
        cls,
        study: Study,
        store: CampaignStore,
        plan: Plan,
        *,
        mode: str,
        progress: Callable[[Tally], None] | None,
    ) -> Unfinished:
        """Begin what a campaign directory lacks of a plan's trial.

        Raises
        ------
        StoreError
            If the directory is of another plan.
        """
        keeper = Keeper(store=store, scenario=study.scenario, mode=mode, watch=progress)
        finished = keeper.begin(plan)
        share = Share.of(resolved_text(study), plan_to_json(plan))
        return cls(keeper, share, store.missing(finished))

    def __len__(self) -> int:
        return len(self._waiting)

    def take(self, most: int = 1) -> tuple[int, ...]:
        """Take up to so many chunks, in order."""
        return tuple(self._waiting.popleft() for _ in range(min(most, len(self._waiting))))

    def put_back(self, chunks: Sequence[int]) -> None:
        """Give chunks back that were taken and not finished; those that still count come next."""
        self._waiting.extendleft(chunk for chunk in reversed(chunks) if chunk < self._needed)

    def given_up(self, lost_at: Hashable) -> bool:
        """Count a loss at a chunk or a group of them; true once there were `MAX_LOSSES`."""
        self._losses[lost_at] = self._losses.get(lost_at, 0) + 1
        return self._losses[lost_at] >= MAX_LOSSES

    def drop_surplus(self) -> None:
        """Forget chunks beyond the last that counts, once a stopping rule has decided."""
        if self.keeper.stopper.needed < self._needed:
            self._needed = self.keeper.stopper.needed
            self._waiting = deque(chunk for chunk in self._waiting if chunk < self._needed)
