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
_PROCESSES_AT_MOST = 8
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
        Processes that write beside this one; from the processors there are if left out.
    """
    steps, drawn = [one.step for one in stores], dict[Hashable, Path]()
    count = _processes(len(steps)) if helpers is None else helpers + 1
    root = stores[0].root if stores and stores[0].stepped else None
    if root is None or not (root / SCENARIO).is_file():
        count = 1
    own, shares = set(steps[::count]), [steps[k::count] for k in range(1, count)]
    done = set[int]()

    def write(one: CampaignStore) -> None:
        folder = step_root(out, one.step)
        write_report(one, scenario, folder, readouts.get(one.step), png=False, drawn=drawn)
        done.add(one.step)

    with _Helped(root or out, out, shares) as helped:
        for one in stores:
            if one.step in own:
                tell(len(done | helped.done()), len(steps))
                write(one)
        done |= helped.wait(lambda theirs: tell(len(done) + theirs, len(steps)))
    for one in stores:
        if one.step not in done:  # which no helper has brought
            tell(len(done), len(steps))
            write(one)


def _processes(steps: int) -> int:
    have = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    return max(1, min(have, _PROCESSES_AT_MOST, steps // _STEPS_EACH))


class _Helped:
    """Helpers at work on their shares of the steps; ended when the body is left.

    Parameters
    ----------
    root, out, shares
        The campaign, where pages go, and the steps of each helper.
    """

    def __init__(self, root: Path, out: Path, shares: Sequence[Sequence[int]]) -> None:
        self._out, self._said, self._done = out, SimpleQueue[int | None](), set[int]()
        self._left = len(shares)
        self._started = [_start(root, out, share) for share in shares]
        self._listening = [
            Thread(target=_listen, args=(one, self._said), daemon=True) for one in self._started
        ]

    def __enter__(self) -> _Helped:
        for listener in self._listening:
            listener.start()
        return self

    def __exit__(self, *_: object) -> None:
        for helper in self._started:
            helper.kill()
            helper.wait()
        for listener in self._listening:
            listener.join()

    def done(self) -> set[int]:
        """Return the steps that have their page by now."""
        with suppress(Empty):
            while True:
                self._hear(self._said.get_nowait())
        return self._done

    def wait(self, tell: Callable[[int], None]) -> set[int]:
        """Wait until every helper has ended, or said nothing for too long."""
        with suppress(Empty):  # what is missing then is written by who waited
            while self._left:
                tell(len(self._done))
                self._hear(self._said.get(timeout=_SILENT_S))
        return self._done

    def _hear(self, step: int | None) -> None:
        if step is None:
            self._left -= 1
        elif (step_root(self._out, step) / PAGE).is_file():
            self._done.add(step)


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
