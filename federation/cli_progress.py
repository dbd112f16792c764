"""What a person sees on stderr while waiting; nothing at all where nobody is watching."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.status import Status

from federation.sink import Tally
from optimizer.planner import PlanProgress
from scenarios.verdict import Outcome

__all__ = ["CampaignBar", "watching_campaign", "watching_plan"]


def _terminal(quiet: bool) -> Console | None:
    console = Console(stderr=True)
    return None if quiet or not console.is_terminal else console


@contextmanager
def watching_plan(*, quiet: bool) -> Iterator[Callable[[PlanProgress], None] | None]:
    """Show a search's bound and incumbent while it runs."""
    console = _terminal(quiet)
    if console is None:
        yield None
        return
    with Status("planning …", console=console) as status:
        yield lambda now: status.update(_search(now))


def _search(now: PlanProgress) -> str:
    return (
        f"planning: iteration {now.iteration}, bound {now.bound_usd:.0f}, "
        f"best {_usd(now.incumbent_usd)}, {now.elapsed_s:.0f} s"
    )


def _usd(value: float) -> str:
    return f"{value:.0f} USD" if value < float("inf") else "none yet"


class CampaignBar:
    """A bar over the realizations of a campaign, with its rate and running share."""

    def __init__(self, progress: Progress) -> None:
        self._progress = progress
        self._task = progress.add_task("planning", total=None, of="", rate="", share="")
        self.last: Tally | None = None

    def planning(self, now: PlanProgress) -> None:
        """Show where the search for the plan stands."""
        self._progress.update(self._task, description=_search(now))

    def __call__(self, tally: Tally) -> None:
        """Show how far the campaign has come."""
        self.last = tally
        judged = tally.done - tally.counts[Outcome.ERRED]
        share = f"{100.0 * tally.counts[Outcome.FEASIBLE] / judged:.2f} %" if judged else "–"
        fresh = tally.done - tally.resumed
        self._progress.update(
            self._task,
            description="trying the plan",
            total=tally.total,
            completed=tally.done,
            of=f"{tally.done}/{tally.total}",
            rate=f"{fresh / tally.seconds:.0f}/s" if tally.seconds > 0.0 else "",
            share=f"feasible {share}",
        )


@contextmanager
def watching_campaign(*, quiet: bool) -> Iterator[CampaignBar]:
    """Show a campaign's progress; without a terminal it only remembers how far it came."""
    console = _terminal(quiet)
    progress = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.fields[of]}"),
        TextColumn("{task.fields[rate]}"),
        TextColumn("{task.fields[share]}"),
        TimeRemainingColumn(),
        console=console or Console(stderr=True, quiet=True),
        disable=console is None,
    )
    with progress:
        yield CampaignBar(progress)
