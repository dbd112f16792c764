"""``gridproof watch``: a campaign seen from another terminal, by its directory alone."""

from __future__ import annotations

import json
import sys
import time
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console

from federation.campaigns.follow import Follower, StepsFollower
from federation.campaigns.progress import (
    CampaignBar,
    campaign_progress,
    running_interval,
    tally_words,
)
from federation.cli.options import note
from federation.files import unsigned_zeros
from federation.records.keeper import Tally
from federation.records.lock import writer_at
from federation.records.store import CampaignStore
from scenarios.verdict import Outcome

__all__ = ["watch"]

_EVERY_S = 1.0


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
    """Watch a campaign that another program runs; ends when it is complete."""
    store = CampaignStore.open(directory)
    follower = StepsFollower(store) if store.steps else Follower(store)
    campaign = store.study["config"]["campaign"]
    if once or as_json or not sys.stdout.isatty():
        _print_lines(store, follower, once=once, every_s=every_s, as_json=as_json)
        return
    with campaign_progress(Console()) as progress:
        bar = CampaignBar(progress, campaign)
        while True:
            tally = follower.look()
            if isinstance(follower, StepsFollower):
                bar.begin(follower.name)
            bar(tally)
            if _over(store, follower):
                break
            time.sleep(every_s)
    _say_end(store, follower)


def _print_lines(
    store: CampaignStore,
    follower: Follower | StepsFollower,
    *,
    once: bool,
    every_s: float,
    as_json: bool,
) -> None:
    campaign, before = store.study["config"]["campaign"], ("", -1)
    while True:
        tally = follower.look()
        over = once or _over(store, follower)  # before it is told: the last line says so too
        step = follower.name if isinstance(follower, StepsFollower) else ""
        if as_json:
            figures = {**({"step": step} if step else {}), **_figures(store, tally)}
            typer.echo(json.dumps(unsigned_zeros(figures), allow_nan=False))
        elif (step, tally.done) != before:  # no bar without a terminal: a line when it moves
            words = (step, *tally_words(tally, campaign).values())
            typer.echo("  ".join(filter(None, words)))
        before = step, tally.done
        if over:
            break
        sys.stdout.flush()
        time.sleep(every_s)
    if not as_json:
        _say_end(store, follower)


def _over(store: CampaignStore, follower: Follower | StepsFollower) -> bool:
    """Whether nothing more will come: all is there, and whoever wrote it has left."""
    return follower.complete and writer_at(store.root) is None


def _say_end(store: CampaignStore, follower: Follower | StepsFollower) -> None:
    if follower.complete:
        note(f"complete; see it with: gridproof report {store.root}")
    elif writer_at(store.root) is None:
        note(f"nobody is writing to it; go on with: gridproof resume {store.root}")


def _figures(store: CampaignStore, tally: Tally) -> dict[str, Any]:
    """Put one look into one object."""
    judged = tally.done - tally.counts[Outcome.ERRED]
    low, high = running_interval(tally, store.study["config"]["campaign"])
    return {
        "time": datetime.now(UTC).isoformat(timespec="milliseconds"),
        "done": tally.done,
        "total": tally.total,
        "outcomes": {kind.name.lower(): tally.counts[kind] for kind in Outcome},
        "feasible_share": tally.counts[Outcome.FEASIBLE] / judged if judged else None,
        "served_share": tally.served,
        "interval": [low, high],
        "samples_per_s": tally.rate,
        "left_s": tally.left_s,
        "writer": writer_at(store.root),
    }
