"""How a run ends early: lost, interrupted, or out of time; what is kept then, and how to go on."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from gridproof.federation.campaigns.progress import CampaignBar
from gridproof.federation.campaigns.steps import step_stores
from gridproof.federation.cli.options import note
from gridproof.federation.records.run_record import rows_there
from gridproof.federation.records.store import LOGS, CampaignStore
from gridproof.scenarios.errors import ConfigError, PlanError, StoreError

__all__ = ["interrupted", "time_is_up", "told_if_lost"]

INTERRUPTED, NO_PLAN = 130, 3


@contextmanager
def told_if_lost(root: Path, again: str | None = None) -> Iterator[None]:
    """Say what is kept, how to go on and where logs are, where a federation could not go on.

    Parameters
    ----------
    root
        The campaign directory.
    again
        What goes on with it; ``gridproof resume`` if left out.
    """
    try:
        yield
    except (ConfigError, PlanError, StoreError):
        raise  # nothing was lost; the message says what to do
    except (Exception, KeyboardInterrupt):
        for line in _kept(root, again or f"gridproof resume {root}"):
            note(line)
        raise


def _kept(root: Path, again: str) -> Iterator[str]:
    try:
        whole = CampaignStore.open(root)
        stores = (whole,) if whole.stepped else step_stores(whole)
        rows, of = sum(map(rows_there, stores)), sum(one.samples for one in stores)
    except StoreError:
        return  # it never came so far, or is worse off than this can tell
    yield f"{rows} of {of} realizations are kept in {root}; go on with: {again}"
    logs = [path for one in stores for path in sorted((one.root / LOGS).glob("*.log"))]
    if logs:
        yield f"what the federates wrote: {', '.join(str(path) for path in logs)}"


def time_is_up(root: Path, bar: CampaignBar, again: str) -> int:
    """Say how far the time reached; what was tried is then reported as of any campaign."""
    if not _rows_kept(root):
        what = "a plan was found" if bar.last is None else "a realization was finished"
        note(f"the time is up before {what}; go on with: {again}")
        return NO_PLAN if bar.last is None else INTERRUPTED
    note(f"the time is up: {next(_kept(root, again))}")
    return 0


def _rows_kept(root: Path) -> int:
    """Realizations that a directory holds, of the step that has fewest; 0 if it is none yet."""
    try:
        whole = CampaignStore.open(root)
        return min(map(rows_there, (whole,) if whole.stepped else step_stores(whole)), default=0)
    except StoreError:
        return 0


def interrupted(root: Path, bar: CampaignBar, again: str) -> int:
    """Say where it stopped, what is kept and how to go on."""
    on = f"go on with: {again}"
    if bar.last is not None:
        note(f"interrupted after {bar.last.done} of {bar.last.total} realizations")
        kept = next(_kept(root, again), on)
        note(f"{kept}\nsee what is there with: gridproof report {root}")
    else:
        note("interrupted while planning; nothing was tried yet")
        if (root / "study.json").exists():
            note(on)
    return INTERRUPTED
