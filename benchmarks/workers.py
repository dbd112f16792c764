"""What worker processes gain: the same campaign by one worker and by several, in one run.

``python -m benchmarks.workers [SAMPLES [WORKERS [REPEATS]]]`` on the shipped networked IEEE 37
study with the plan given, once for each kind of recourse. Both sides start their processes
anew each time, and both keep every part; the directories are compared byte by byte.
"""

from __future__ import annotations

import os
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from benchmarks._bench import Row, compare, table
from federation.campaign import run_campaign
from federation.study import Study, load_study
from federation.workers import Workers
from optimizer.planner import make_planner
from scenarios.plan import Plan

__all__ = ["run"]

STUDY = "ieee37-networked"
SAMPLES = {"fixed": 614_400, "linear": 409_600}
"""A minute of work, or thereabouts: starting processes is seconds."""


def run(samples: int = 0, workers: int = 2, repeats: int = 3) -> list[Row]:
    """Time one worker against ``workers``, both sides interleaved."""
    return [
        _pair(recourse, samples or count, workers, repeats) for recourse, count in SAMPLES.items()
    ]


def _pair(recourse: str, samples: int, workers: int, repeats: int) -> Row:
    study = load_study(STUDY, [f"campaign.samples={samples}", f"campaign.recourse={recourse}"])
    config = study.config.planner
    plan = make_planner(config.family, config.options).plan(study.scenario)
    with TemporaryDirectory(prefix="gridproof-bench-") as folder:
        sides = [Path(folder) / f"{count}" for count in (workers, 1)]
        row = compare(
            f"{recourse}, {samples} realizations, {workers} workers, {os.cpu_count()} cores",
            _campaign(study, plan, sides[0], workers),
            _campaign(study, plan, sides[1], 1),
            units=samples,
            repeats=repeats,
            warm=False,
        )
        _must_be_alike(*sides)
    return row


def _campaign(study: Study, plan: Plan, out: Path, workers: int) -> Callable[[], object]:
    def once() -> object:
        shutil.rmtree(out, ignore_errors=True)
        return run_campaign(study, out, plan=plan, spread=Workers(count=workers))

    return once


def _must_be_alike(left: Path, right: Path) -> None:
    names = [sorted(path.name for path in (side / "parts").iterdir()) for side in (left, right)]
    alike = names[0] == names[1] and all(
        (left / "parts" / name).read_bytes() == (right / "parts" / name).read_bytes()
        for name in names[0]
    )
    if not alike:
        raise RuntimeError("the two sides kept different results; the timing means nothing")


if __name__ == "__main__":
    print(table(run(*(int(argument) for argument in sys.argv[1:])), "workers", "one worker"))
