"""What a person sees on stderr while waiting; nothing at all where nobody is watching."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from datetime import timedelta
from typing import Any

from gridproof.federation.plain_text import PlainConsole
from gridproof.federation.records.intervals import ANYTIME, EXACT, NOMINAL, Intervals
from gridproof.federation.records.keeper import Tally
from gridproof.federation.studies.study import Study
from gridproof.federation.wording import decimals, per_cent, served_words
from gridproof.optimizer.solver.decomposition import PlanProgress
from gridproof.scenarios.verdict import Outcome
from rich.console import Console
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn, TimeElapsedColumn
from rich.status import Status

__all__ = [
    "CampaignBar",
    "campaign_progress",
    "drawing_pages",
    "known_of",
    "running_interval",
    "running_kind",
    "showing",
    "summing_up",
    "tally_words",
    "watching_campaign",
    "watching_plan",
]

_SHOW_EVERY_S = 0.2
_BESIDE = ("faults", "realtime", "devices")


def _terminal(quiet: bool) -> Console | None:
    console = PlainConsole(stderr=True)
    return None if quiet or not console.is_terminal else console


@contextmanager
def watching_plan(*, quiet: bool) -> Iterator[Callable[[PlanProgress], None] | None]:
    """Show a search's bound and incumbent while it runs."""
    console = _terminal(quiet)
    if console is None:
        yield None
        return
    with _stage_line(console) as line:
        task = line.add_task("planning", total=None)
        yield lambda now: line.update(task, description=_search(now))


@contextmanager
def showing(what: str, *, quiet: bool) -> Iterator[None]:
    """Show what one long step is about, and for how long it has been; nothing to nobody."""
    console = _terminal(quiet)
    if console is None:
        yield
        return
    with _stage_line(console) as line:
        line.add_task(what, total=None)
        yield


def _stage_line(console: Console) -> Progress:
    """One line with what is done and a clock; it goes when that is done."""
    words = TextColumn("{task.description}", markup=False)
    return Progress(SpinnerColumn(), words, TimeElapsedColumn(), console=console, transient=True)


@contextmanager
def summing_up(*, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show that a long campaign's parts are read, which takes a while when all is tried."""
    console = _terminal(quiet)
    if console is None:
        yield lambda _done, _of: None
        return
    with Status("summing up …", console=console) as status:
        yield lambda done, of: status.update(f"summing up: part {done} of {of}")


@contextmanager
def drawing_pages(*, quiet: bool = False) -> Iterator[Callable[[int, int], None]]:
    """Show how many steps of a study have their page."""
    console = _terminal(quiet)
    if console is None:
        yield lambda _done, _of: None
        return
    with Status("drawing the pages of the steps …", console=console) as status:
        yield lambda done, of: status.update(f"drawing: page {done + 1} of {of}")


_STAGES = {"building": "building the model", "master": "solving the master"}


def _search(now: PlanProgress) -> str:
    doing = _STAGES.get(now.stage, now.stage)
    if now.iteration == 0:
        return f"planning: {doing}"
    return (
        f"planning: {doing}, iteration {now.iteration}, bound {decimals(now.bound, 0)}, "
        f"best {_usd(now.incumbent)}, {decimals(now.elapsed_s, 0)} s"
    )


def _usd(value: float) -> str:
    return f"{decimals(value, 0)} USD" if value < float("inf") else "none yet"


class CampaignBar:
    """A bar over the realizations of a campaign, with rate, running share and time left."""

    def __init__(self, progress: Progress, campaign: Mapping[str, Any]) -> None:
        self._progress, self._campaign, self._shown_s = progress, campaign, -math.inf
        self._task = progress.add_task("planning", total=None, of="", rate="", share="", left="")
        self.last: Tally | None = None

    def planning(self, now: PlanProgress) -> None:
        """Show where the search for the plan stands."""
        self._progress.update(self._task, description=_search(now))

    def __call__(self, tally: Tally) -> None:
        """Show how far the campaign has come; a few times a second, an interval costs time."""
        self.last = tally
        now_s = time.monotonic()
        if self._progress.disable or (
            now_s - self._shown_s < _SHOW_EVERY_S and tally.done < tally.total
        ):
            return
        self._shown_s = now_s
        words: dict[str, Any] = dict(tally_words(tally, self._campaign))
        self._progress.update(
            self._task,
            description="trying the plan",
            total=tally.total,
            completed=tally.done,
            **words,
        )


def running_interval(tally: Tally, campaign: Mapping[str, Any]) -> tuple[float, float]:
    """Interval of the feasible share so far; with a stopping rule valid at any time.

    Parameters
    ----------
    tally
        Counts by outcome.
    campaign
        The resolved ``[campaign]`` section, as `known_of` has it.
    """
    intervals = _intervals(campaign)
    if intervals.kind == ANYTIME and tally.looked is not None:
        return intervals.share(*tally.looked)
    judged = tally.done - tally.counts[Outcome.ERRED]
    return intervals.share(tally.counts[Outcome.FEASIBLE], judged)


def running_kind(campaign: Mapping[str, Any]) -> str:
    """Say which interval `running_interval` is: that of the moment, or of any moment.

    How much verdicts lean on one another is not known while they come: nominal.
    """
    kind = _intervals(campaign).kind
    return kind if kind in (EXACT, ANYTIME) else NOMINAL


def known_of(config: Mapping[str, Any]) -> dict[str, Any]:
    """Return the ``[campaign]`` section with the sections beside it that decide its intervals."""
    beside = {key: config[key] for key in _BESIDE if config.get(key)}
    return {**config["campaign"], **beside}


def _intervals(campaign: Mapping[str, Any]) -> Intervals:
    return Intervals.of({"campaign": campaign, **{k: campaign.get(k) for k in _BESIDE}})


def tally_words(tally: Tally, campaign: Mapping[str, Any]) -> dict[str, str]:
    """Say in words how far a campaign has come: ``of``, ``rate``, ``share``, ``left``."""
    judged = tally.done - tally.counts[Outcome.ERRED]
    share = "feasible –"
    if judged:
        low, high = running_interval(tally, campaign)
        share = (
            f"feasible {per_cent(tally.counts[Outcome.FEASIBLE] / judged)} % "
            f"[{per_cent(low)}, {per_cent(high)}]"
        )
        if running_kind(campaign) == NOMINAL:
            share += " nominal"
        if tally.served is not None:
            share += f", {served_words(tally.served)}"
    left = tally.left_s
    return {
        "of": f"{tally.done}/{tally.total}",
        "rate": "" if tally.rate is None else f"{decimals(tally.rate, 0)}/s",
        "share": share,
        "left": "" if left is None else f"{timedelta(seconds=round(left))} left",
    }


@contextmanager
def watching_campaign(study: Study | None = None, *, quiet: bool) -> Iterator[CampaignBar]:
    """Show a campaign's progress; without a terminal it only remembers how far it came."""
    console = _terminal(quiet)
    progress = campaign_progress(console or PlainConsole(stderr=True, quiet=True), console is None)
    with progress:
        known = {} if study is None else known_of(study.config.model_dump())
        yield CampaignBar(progress, {"confidence": 0.95, **known})


def campaign_progress(console: Console, disable: bool = False) -> Progress:
    """Return the bar of a campaign."""
    fields = ("of", "rate", "share", "left")
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=None),
        *(TextColumn(f"{{task.fields[{name}]}}", markup=False) for name in fields),
        console=console,
        disable=disable,
        expand=True,
    )
