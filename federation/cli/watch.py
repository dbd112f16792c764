"""``gridproof watch``: a campaign seen from another terminal, by its directory alone."""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from gridproof.federation.campaigns.follow import Follower
from gridproof.federation.campaigns.progress import (
    CampaignBar,
    campaign_progress,
    known_of,
    running_interval,
    running_kind,
    tally_words,
)
from gridproof.federation.cli.options import note
from gridproof.federation.files import unsigned_zeros
from gridproof.federation.jsonable import Interval, Jsonable
from gridproof.federation.plain_text import PlainConsole, shown
from gridproof.federation.records.keeper import Tally
from gridproof.federation.records.lock import may_be_abandoned, writer_at
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.errors import StoreError
from gridproof.scenarios.verdict import Outcome

__all__ = ["watch"]

_EVERY_S = 1.0
RUNNING, COMPLETE, ABANDONED = "running", "complete", "abandoned"
"""How a campaign stands: somebody writes; all is there; nobody writes and something is missing."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Look(Jsonable):
    """Where a campaign stood when it was looked at.

    Attributes
    ----------
    time, state
        When, and whether somebody writes, all is there, or nobody writes and something is missing.
    done, total, outcomes
        Realizations tried, to be tried, and counted by outcome.
    feasible_share, served_share, interval, interval_kind
        Of what was judged so far.
    samples_per_s, left_s
        How fast it goes, and when it will be through.
    writer
        Who writes; None where nobody does.
    """

    time: str
    state: str
    done: int
    total: int
    outcomes: Mapping[str, int]
    feasible_share: float | None
    served_share: float | None
    interval: Interval
    interval_kind: str
    samples_per_s: float | None
    left_s: float | None
    writer: Mapping[str, Any] | None


def watch(
    directory: Annotated[Path, typer.Argument(metavar="DIR", help="A campaign directory.")],
    once: Annotated[
        bool, typer.Option("--once", help="Show where it stands now, and end.")
    ] = False,
    every_s: Annotated[
        float, typer.Option("--every", metavar="S", min=0.05, help="Seconds between looks.")
    ] = _EVERY_S,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print one JSON object a line for every look.")
    ] = False,
) -> None:
    """Watch a campaign that another program runs; ends when it is complete, or abandoned."""
    store = CampaignStore.open(directory)
    if store.steps and not store.stepped:
        raise StoreError(
            f"{directory} was made by an earlier version, with a directory for each step, and "
            f"nobody writes to it any more; see it with: gridproof report {directory}"
        )
    follower = Follower(store)
    campaign = known_of(store.study["config"])
    if once or as_json or not sys.stdout.isatty():
        _print_lines(store, follower, once=once, every_s=every_s, as_json=as_json)
        return
    with campaign_progress(PlainConsole()) as progress:
        bar = CampaignBar(progress, campaign)
        while True:
            state, tally = _look(store, follower)
            bar(tally)
            if state != RUNNING:
                break
            time.sleep(every_s)
    _say_end(store, state)


def _print_lines(
    store: CampaignStore,
    follower: Follower,
    *,
    once: bool,
    every_s: float,
    as_json: bool,
) -> None:
    campaign, before = known_of(store.study["config"]), -1
    while True:
        state, tally = _look(store, follower)
        if as_json:
            figures = _figures(store, tally, state)
            typer.echo(json.dumps(unsigned_zeros(figures.to_json()), allow_nan=False))
        elif tally.done != before:  # no bar without a terminal: a line when it moves
            words = tally_words(tally, campaign).values()
            typer.echo(shown("  ".join(filter(None, words))))
        before = tally.done
        if once or state != RUNNING:
            break
        sys.stdout.flush()
        time.sleep(every_s)
    if not as_json:
        _say_end(store, state)


def _look(store: CampaignStore, follower: Follower) -> tuple[str, Tally]:
    """Say how the campaign stands and how far it has come.

    Who writes is asked first: one who leaves between the two has left what the look then finds.
    """
    alone = may_be_abandoned(store.root)
    tally = follower.look()
    over = follower.complete and writer_at(store.root) is None
    if not over and not alone:
        return RUNNING, tally
    still = replace(tally, seconds=0.0)  # nobody works, so there is neither a rate nor a time left
    return (COMPLETE if over else ABANDONED), still


def _say_end(store: CampaignStore, state: str) -> None:
    if state == COMPLETE:
        note(f"complete; see it with: gridproof report {store.root}")
    elif state == ABANDONED:
        note(f"nobody is writing to it; go on with: gridproof resume {store.root}")


def _figures(store: CampaignStore, tally: Tally, state: str) -> Look:
    """Put one look into one object."""
    judged = tally.done - tally.counts[Outcome.ERRED]
    campaign = known_of(store.study["config"])
    low, high = running_interval(tally, campaign)
    return Look(
        time=datetime.now(UTC).isoformat(timespec="milliseconds"),
        state=state,
        done=tally.done,
        total=tally.total,
        outcomes={kind.name.lower(): tally.counts[kind] for kind in Outcome},
        feasible_share=tally.counts[Outcome.FEASIBLE] / judged if judged else None,
        served_share=tally.served,
        interval=(low, high),
        interval_kind=running_kind(campaign),
        samples_per_s=tally.rate,
        left_s=tally.left_s,
        writer=writer_at(store.root),
    )
