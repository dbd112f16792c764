"""What worker processes gain: the same campaign by one worker and by several, in one run.

``python -m benchmarks.workers [SAMPLES [WORKERS [REPEATS]]]`` on the shipped networked IEEE 37
study with the plan given, once for each kind of recourse. Three sides in turn: one worker,
several workers, and as many campaigns of one worker each at once, which share nothing but the
machine. What those gain together is the machine's own ideal. Each side starts its processes
anew and keeps every part; one worker's and several workers' are compared byte by byte.
"""

from __future__ import annotations

import os
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.workers import Workers
from gridproof.federation.studies.study import Study, load_study
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json

from benchmarks._bench import clocks

__all__ = ["run"]

STUDY = "ieee37-networked"
SAMPLES = {"fixed": 409_600, "linear": 409_600}
"""Three quarters of a minute of work: starting a process is seconds of it."""

ASKED = 1.7
"""Least gain of two workers on two cores."""


def run(samples: int = 0, workers: int = 2, repeats: int = 3) -> str:
    """Time the three sides in turn; a table with medians and gains."""
    lines = [
        f"{workers} workers on {os.cpu_count()} cores, medians of {repeats} rounds in turn; "
        f"asked of two on two: {ASKED}",
        f"{'recourse':<9}{'realizations':>13}{'one, s':>9}{'several, s':>12}{'gain':>7}"
        f"{'least':>7}{'most':>6}{'one, CPU s':>12}{'several':>9}{'gain by CPU':>13}"
        f"{'ideal':>7}{'of ideal':>10}",
    ]
    for recourse, count in SAMPLES.items():
        lines.append(_line(recourse, samples or count, workers, repeats))
    return "\n".join(lines)


def _line(recourse: str, samples: int, workers: int, repeats: int) -> str:
    study = _study(recourse, samples)
    config = study.config.planner
    plan = make_planner(config.family, config.options).plan(study.scenario)
    one, several, apart = [], [], []
    with TemporaryDirectory(prefix="gridproof-bench-") as name:
        folder = Path(name)
        (folder / "plan.json").write_text(plan_to_json(plan), encoding="utf-8")
        for _ in range(repeats):
            one.append(_campaign(study, plan, folder / "one", 1))
            several.append(_campaign(study, plan, folder / "several", workers))
            apart.append(_apart(recourse, samples, workers, folder))
        _must_be_alike(folder / "one", folder / "several")
    gains = [left[0] / right[0] for left, right in zip(one, several, strict=True)]
    ideals = [workers * left[0] / right for left, right in zip(one, apart, strict=True)]
    (one_s, one_cpu_s), (several_s, several_cpu_s) = (
        [statistics.median(column) for column in zip(*side, strict=True)] for side in (one, several)
    )
    gain, ideal = statistics.median(gains), statistics.median(ideals)
    return (
        f"{recourse:<9}{samples:>13}{one_s:9.1f}{several_s:12.1f}{gain:7.2f}{min(gains):7.2f}"
        f"{max(gains):6.2f}{one_cpu_s:12.1f}{several_cpu_s:9.1f}"
        f"{workers * one_cpu_s / several_cpu_s:13.2f}{ideal:7.2f}{gain / ideal:10.2f}"
    )


def _study(recourse: str, samples: int) -> Study:
    return load_study(STUDY, [f"campaign.samples={samples}", f"campaign.recourse={recourse}"])


def _campaign(study: Study, plan: Plan, out: Path, workers: int) -> tuple[float, float]:
    """Wall and processor seconds of a campaign, its workers' included."""
    shutil.rmtree(out, ignore_errors=True)
    start, cpu = clocks()
    run_campaign(study, out, plan=plan, spread=Workers(count=workers))
    end, cpu_end = clocks()
    return end - start, cpu_end - cpu


def _apart(recourse: str, samples: int, count: int, folder: Path) -> float:
    """Wall seconds of so many campaigns at once, each of one worker, until the last has ended."""
    children = [
        subprocess.Popen(
            [sys.executable, "-m", "benchmarks.workers", "--one", recourse, str(samples),
             str(folder / "plan.json"), str(folder / f"apart-{k}")],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        )
        for k in range(count)
    ]  # fmt: skip
    try:
        for child in children:
            assert child.stdout is not None
            if child.stdout.readline() != "ready\n":
                raise RuntimeError("a campaign by itself did not come up")
        start = time.perf_counter()
        for child in children:
            assert child.stdin is not None
            child.stdin.write("go\n")
            child.stdin.flush()
        for child in children:
            assert child.stdout is not None
            if child.stdout.readline() != "done\n":
                raise RuntimeError("a campaign by itself failed")
        return time.perf_counter() - start
    finally:
        for child in children:
            child.communicate(timeout=30)


def _one(recourse: str, samples: str, plan: str, out: str) -> None:
    """Be one of those campaigns: say when ready, begin when told, say when done."""
    study = _study(recourse, int(samples))
    made = plan_from_json(Path(plan).read_text(encoding="utf-8"), study.scenario, plan)
    print("ready", flush=True)
    if sys.stdin.readline():
        _campaign(study, made, Path(out), 1)
        print("done", flush=True)


def _must_be_alike(left: Path, right: Path) -> None:
    names = [sorted(path.name for path in (side / "parts").iterdir()) for side in (left, right)]
    alike = names[0] == names[1] and all(
        (left / "parts" / name).read_bytes() == (right / "parts" / name).read_bytes()
        for name in names[0]
    )
    if not alike:
        raise RuntimeError("the two sides kept different results; the timing means nothing")


def main(arguments: Sequence[str]) -> None:
    """Print the table, or be one side of it."""
    if arguments[:1] == ["--one"]:
        _one(*arguments[1:])
    else:
        print(run(*(int(argument) for argument in arguments)))


if __name__ == "__main__":
    main(sys.argv[1:])
