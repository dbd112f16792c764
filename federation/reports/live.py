"""Pages of campaigns that run or have ended, drawn anew as parts arrive, in a folder of their own.

Nothing is written into a campaign. What is asked for twice between two parts is drawn once.
"""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from gridproof.federation.campaigns.follow import Follower
from gridproof.federation.campaigns.steps import steps_summary
from gridproof.federation.files import refuse_links
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.records.lock import writer_at
from gridproof.federation.records.scenario_store import stored_scenario
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.reports.campaign_page import write_report
from gridproof.federation.reports.data import Readout, read_out
from gridproof.federation.reports.page import PAGE
from gridproof.federation.reports.steps_page import write_steps_report
from gridproof.scenarios.errors import GridproofError, StoreError
from gridproof.scenarios.verdict import Outcome

__all__ = ["Campaigns", "Drawn", "Seen"]

_WAIT_S = 180.0  # for a page that somebody else's request is drawing
_PAUSE = 3.0  # times as long as drawing took, so that a running campaign keeps its processor
_GROWS = (".", "parts", "begun")


@dataclass(frozen=True, slots=True, kw_only=True)
class Seen:
    """Where a campaign stands.

    Attributes
    ----------
    name, state
        Its folder; running, complete, not complete, or what keeps it from being read.
    done, total, feasible
        Realizations.
    """

    name: str
    state: str
    done: int = 0
    total: int = 0
    feasible: int = 0

    @property
    def running(self) -> bool:
        """Whether somebody writes to it."""
        return self.state == "running"


@dataclass(slots=True, kw_only=True)
class Drawn:
    """What was drawn of a campaign: folder, what it was drawn from, when, and how long it took."""

    folder: Path
    of: tuple[object, ...] = ()
    at_s: float = float("-inf")
    took_s: float = 0.0
    lock: threading.Lock = field(default_factory=threading.Lock)


class Campaigns:
    """The campaigns in a directory, or the one that it is.

    Parameters
    ----------
    root
        A campaign's directory, or one that holds such.
    pages
        An empty folder for what is drawn.
    every_s
        The least time between two drawings of one campaign.

    Raises
    ------
    StoreError
        If the directory is neither.
    """

    _drawing = threading.Lock()  # matplotlib draws one figure at a time

    def __init__(self, root: Path, pages: Path, *, every_s: float) -> None:
        if not root.is_dir():
            raise StoreError(f"{root} is no directory; name a campaign's, or one that holds such")
        self.root, self.every_s, self._pages = root.resolve(), every_s, pages
        self.single = (root / "study.json").is_file()
        self._drawn: dict[str, Drawn] = {}
        self._known = threading.Lock()

    def names(self) -> list[str]:
        """Name the campaigns: folders that are no links and hold a study, the newest first."""
        if self.single:
            return [self.root.name]
        with os.scandir(self.root) as entries:
            found = [
                (one.stat(follow_symlinks=False).st_mtime, one.name)
                for one in entries
                if one.is_dir(follow_symlinks=False) and _plain(Path(one.path) / "study.json")
            ]
        return [name for _, name in sorted(found, reverse=True)]

    def place(self, name: str) -> Path | None:
        """Return the directory of a campaign that is there by that very name."""
        if name not in self.names():
            return None
        return self.root if self.single else self.root / name

    def seen(self, name: str) -> Seen:
        """Look at where a campaign stands; what keeps it from being read is told, not raised."""
        place = self.place(name)
        if place is None:
            return Seen(name=name, state="not there")
        try:
            refuse_links(place)
            follower = Follower(CampaignStore.open(place))
            tally, writer = follower.look(), writer_at(place)
        except (GridproofError, OSError) as error:
            return Seen(name=name, state=str(error))
        state = "running" if writer else "complete" if follower.complete else "not complete"
        return Seen(name=name, state=state, done=tally.done, total=tally.total,
                    feasible=tally.counts[Outcome.FEASIBLE])  # fmt: skip

    def page(self, name: str) -> Path:
        """Return the folder of a campaign's page, drawn anew if there is more to say.

        Raises
        ------
        StoreError
            If it cannot be read, holds a link, has no part yet, or a drawing takes too long.
        """
        place = self.place(name)
        if place is None:
            raise StoreError(f"there is no campaign {name!r} here")
        with self._known:
            folder = self._pages / f"{len(self._drawn)}"
            drawn = self._drawn.setdefault(name, Drawn(folder=folder))
        if not drawn.lock.acquire(timeout=_WAIT_S):
            raise StoreError(f"its page is still being drawn after {_WAIT_S:g} s")
        try:
            pause_s = max(self.every_s, _PAUSE * drawn.took_s)
            there = (drawn.folder / PAGE).is_file()
            if not there or time.monotonic() - drawn.at_s > pause_s:
                self._draw(place, drawn)
        finally:
            drawn.lock.release()
        return drawn.folder

    def _draw(self, place: Path, drawn: Drawn) -> None:
        refuse_links(place)
        now = tuple(_grown(place))
        if now == drawn.of and (drawn.folder / PAGE).is_file():
            return
        with Campaigns._drawing:
            begun = time.monotonic()
            _write(place, drawn.folder)
            drawn.at_s = time.monotonic()
        drawn.of, drawn.took_s = now, drawn.at_s - begun


def _plain(path: Path) -> bool:
    return path.is_file() and not path.is_symlink()


def _grown(place: Path) -> Iterator[tuple[str, int, int]]:
    """Tell one state of a campaign's files from another."""
    for folder in _GROWS:
        if (place / folder).is_dir():
            with os.scandir(place / folder) as entries:
                for one in sorted(entries, key=lambda entry: entry.name):
                    if one.is_file(follow_symlinks=False):
                        about = one.stat(follow_symlinks=False)
                        yield f"{folder}/{one.name}", about.st_mtime_ns, about.st_size


def _write(place: Path, folder: Path) -> None:
    store = CampaignStore.open(place)
    scenario = stored_scenario(store)
    if scenario is None:
        raise StoreError(f"{place} was made by an earlier version and holds no scenario")
    if not store.steps:
        write_report(store, scenario, folder)
        return
    readouts: dict[int, Readout] = {}

    def summarize(one: CampaignStore) -> CampaignReport:
        readouts[one.step] = read_out(one, scenario)
        return readouts[one.step].reading.report

    found = steps_summary(store, summarize)
    write_steps_report(store, scenario, folder, found, readouts)
