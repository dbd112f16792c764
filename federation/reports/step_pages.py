"""The pages of a study's steps, written side by side: each is half a second of drawing.

Helpers are processes of their own that are told which steps are theirs and say which page is done.
They get nothing but the names of two folders, so a script that calls needs no guard; a page that a
helper does not bring, for whatever reason, is written here, where a fault is told.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Hashable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from queue import Empty, SimpleQueue
from threading import Thread

from gridproof.federation.campaigns.steps import step_stores
from gridproof.federation.records.scenario_store import SCENARIO, stored_scenario
from gridproof.federation.records.store import CampaignStore, step_root
from gridproof.federation.reports.campaign_page import write_report
from gridproof.federation.reports.data import Readout
from gridproof.federation.reports.page import PAGE
from gridproof.scenarios.scenario import Scenario

__all__ = ["main", "write_step_pages"]

_STEPS_EACH = 6  # fewer are drawn before a helper has started
_HELPERS_AT_MOST = 8
_SILENT_S = 120.0  # a page takes half a second; of a helper that brings none, nobody waits longer

Tell = Callable[[int, int], None]


def write_step_pages(
    stores: Sequence[CampaignStore],
    scenario: Scenario,
    out: Path,
    readouts: Mapping[int, Readout],
    *,
    tell: Tell,
    helpers: int | None = None,
) -> None:
    """Write into ``step-0/`` and so on of ``out`` the page of each step.

    Parameters
    ----------
    stores, scenario, out, readouts, tell
        As `federation.reports.steps_page.write_steps_report`; each store is one step's.
    helpers
        Processes that write; from the processors there are if left out, 0 for none.
    """
    steps, done = [one.step for one in stores], set[int]()
    count = _helpers(len(steps)) if helpers is None else helpers
    root = stores[0].root if stores and stores[0].stepped else None
    if count > 1 and root is not None and (root / SCENARIO).is_file():
        done = _helped(root, out, [steps[k::count] for k in range(count)], tell)
    drawn: dict[Hashable, Path] = {}
    for one in stores:
        if one.step not in done:
            tell(len(done), len(steps))
            folder = step_root(out, one.step)
            write_report(one, scenario, folder, readouts.get(one.step), png=False, drawn=drawn)
            done.add(one.step)


def _helpers(steps: int) -> int:
    have = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return min(have, _HELPERS_AT_MOST, steps // _STEPS_EACH)


def _helped(root: Path, out: Path, shares: Sequence[Sequence[int]], tell: Tell) -> set[int]:
    """Have helpers write, and return the steps that have their page."""
    said: SimpleQueue[int | None] = SimpleQueue()
    of, done, left = sum(map(len, shares)), set[int](), len(shares)
    started = [_start(root, out, share) for share in shares]
    listening = [Thread(target=_listen, args=(one, said), daemon=True) for one in started]
    for listener in listening:
        listener.start()
    try:
        while left:
            tell(len(done), of)
            step = said.get(timeout=_SILENT_S)
            if step is None:
                left -= 1
            elif (step_root(out, step) / PAGE).is_file():
                done.add(step)
    except Empty:
        pass  # what is missing is written here
    finally:
        for helper in started:
            helper.kill()
            helper.wait()
        for listener in listening:
            listener.join()
    return done


def _start(root: Path, out: Path, steps: Sequence[int]) -> subprocess.Popen[str]:
    words = [str(root), str(out), ",".join(map(str, steps))]
    return subprocess.Popen(
        [sys.executable, "-c", f"from {__name__} import main; main()", *words],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True,
        env={**os.environ, "PYTHONSAFEPATH": "1"},
    )  # fmt: skip


def _listen(helper: subprocess.Popen[str], said: SimpleQueue[int | None]) -> None:
    assert helper.stdout is not None
    with suppress(OSError, ValueError), helper.stdout as lines:
        for line in lines:
            said.put(int(line))
    said.put(None)


def main() -> None:
    """Write the pages of some steps, and say each as it is done: a helper's whole life."""
    root, out, steps = Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3]
    wanted, store = {int(step) for step in steps.split(",")}, CampaignStore.open(root)
    scenario, drawn = stored_scenario(store), dict[Hashable, Path]()
    assert scenario is not None
    for one in step_stores(store):
        if one.step in wanted:
            write_report(one, scenario, step_root(out, one.step), png=False, drawn=drawn)
            sys.stdout.write(f"{one.step}\n")
            sys.stdout.flush()
