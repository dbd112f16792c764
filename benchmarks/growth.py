"""How a campaign grows: with nodes, with uncertain loads, with realizations.

``python -m benchmarks.growth [nodes loads realizations]``; recourse ``fixed``. Nodes and loads: one
process, a campaign with the fast engine and a campaign with OpenDSS's in turn, in µs a realization
with all that belongs to it, and what the fast one takes before its first realization. Realizations:
``gridproof run`` on two workers, from the command to its report, with the memory of all its
processes together. The IEEE 8500-node feeder is taken where ``GRIDPROOF_IEEE8500`` names its file.
"""

from __future__ import annotations

import json
import os
import shutil
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.plan import Plan
from gridproof.simulator.reader.feeder import read_feeder

from benchmarks._bench import clocks
from benchmarks.fast import LARGE, SUBJECTS, as_its_file_has_it

__all__ = ["main"]

_NODES = {"ieee37": (40_960, 8192), "ieee123": (40_960, 8192), "ieee8500": (8192, 256)}
"""Realizations with the fast engine, and with OpenDSS's."""

_LOADS = (6, 30, 100, 300, 1000)
_REALIZATIONS = (10_000, 100_000, 1_000_000, 10_000_000)
_ENGINES = ("fast", "opendss")
_SHORT = 64  # realizations of a campaign that is nearly all start
_LOOK_S = 0.5


def _seconds(path: Path, study: str | Path, plan: Plan, told: Sequence[str]) -> tuple[float, float]:
    """Wall and processor seconds of one campaign in this process."""
    made = load_study(study, ["campaign.recourse=fixed", *told])
    shutil.rmtree(path, ignore_errors=True)
    wall_s, cpu_s = clocks()
    run_campaign(made, path, plan=plan, mode="in_process")
    ended_s, ended_cpu_s = clocks()
    return ended_s - wall_s, ended_cpu_s - cpu_s


def _line(folder: Path, study: str | Path, plan: Plan, counts: tuple[int, int]) -> str:
    """Both engines on one study, after what is compiled once; the cost of a start apart."""
    out, cells = folder / "c", []
    first = ["campaign.engine=fast", f"campaign.samples={_SHORT}"]
    _seconds(out, study, plan, first)
    _, start_s = _seconds(out, study, plan, first)
    for engine, count in zip(_ENGINES, counts, strict=True):
        told = [f"campaign.engine={engine}", f"campaign.samples={count}"]
        wall_s, cpu_s = _seconds(out, study, plan, told)
        cells += [f"{count:>10}", f"{wall_s / count * 1e6:>10.1f}", f"{cpu_s / count * 1e6:>10.1f}"]
    return f"{''.join(cells)}{start_s:>10.2f}"


_HEAD = (
    f"{'fast':>10}{'wall, µs':>10}{'CPU, µs':>10}{'OpenDSS':>10}{'wall, µs':>10}{'CPU, µs':>10}"
    f"{'start, s':>10}"
)


def _nodes() -> Iterator[str]:
    yield f"{'feeder':<10}{'nodes':>7}{_HEAD}"
    for name, counts in _NODES.items():
        if name == "ieee8500" and LARGE not in os.environ:
            yield f"{name} is left out: {LARGE} names no file"
            continue
        with TemporaryDirectory(prefix="gridproof-bench-") as made:
            folder = Path(made)
            study, plan = SUBJECTS[name][1](folder, [])
            told = folder / "large.toml" if name == "ieee8500" else f"{name}-networked"
            nodes = int(study.scenario.feeder.buses.phases.sum())
            yield f"{name:<10}{nodes:>7}{_line(folder, told, plan, counts)}"


def _loads() -> Iterator[str]:
    if LARGE not in os.environ:
        yield f"left out: {LARGE} names no file"
        return
    path = Path(os.environ[LARGE]).resolve()
    ids = read_feeder(path).loads.ids
    yield f"{'uncertain loads':<17}{_HEAD}"
    for count in _LOADS:
        with TemporaryDirectory(prefix="gridproof-bench-") as made:
            study, plan = as_its_file_has_it(Path(made), path, [], ids[:count])
            del study
            yield f"{count:<17}{_line(Path(made), Path(made) / 'large.toml', plan, (4096, 128))}"


def _memory_mib(root: int) -> float:
    """Memory of a process and all that it started, shared pages in equal parts; 0 where unknown."""
    parents = {}
    for stat in Path("/proc").glob("[0-9]*/stat"):
        try:
            told = stat.read_text().rpartition(")")[2].split()
        except OSError:
            continue
        parents[int(stat.parent.name)] = int(told[1])
    ours = {root}
    while more := {child for child, own in parents.items() if own in ours} - ours:
        ours |= more
    total = 0
    for process in ours:
        try:
            lines = Path(f"/proc/{process}/smaps_rollup").read_text().splitlines()
        except OSError:
            continue
        total += sum(int(line.split()[1]) for line in lines if line.startswith("Pss:"))
    return total / 1024


def _realizations(most: int) -> Iterator[str]:
    yield (
        f"{'realizations':<14}{'wall, s':>10}{'CPU, s':>10}{'memory, MiB':>13}{'disk, MiB':>11}"
        f"{'feasible':>11}"
    )
    for count in (one for one in _REALIZATIONS if one <= most):
        with TemporaryDirectory(prefix="gridproof-bench-") as made:
            out, report = Path(made) / "c", Path(made) / "told.json"
            told = [f"campaign.samples={count}", "campaign.engine=fast", "campaign.recourse=fixed"]
            words = [word for one in told for word in ("--set", one)]
            command = [sys.executable, "-m", "gridproof", "run", "ieee37-networked", *words,
                       "--workers", "2", "--out", str(out), "--json"]  # fmt: skip
            wall_s, cpu_s = clocks()
            with report.open("wb") as into, subprocess.Popen(command, stdout=into) as run:
                memory_mib = 0.0
                while run.poll() is None:
                    memory_mib = max(memory_mib, _memory_mib(run.pid))
                    time.sleep(_LOOK_S)
            ended_s, ended_cpu_s = clocks()
            disk_mib = sum(file.stat().st_size for file in out.rglob("*") if file.is_file()) / 2**20
            share = json.loads(report.read_text())["campaign"]["outcomes"]["feasible"] / count
            yield (
                f"{count:<14}{ended_s - wall_s:>10.1f}{ended_cpu_s - cpu_s:>10.1f}"
                f"{memory_mib:>13.0f}{disk_mib:>11.1f}{share:>11.5f}"
            )


def main(names: Sequence[str]) -> None:
    """Print the tables that are named; all but the longest campaign if none is."""
    tables = {"nodes": _nodes, "loads": _loads}
    for name in names or (*tables, "realizations"):
        long = bool(names)
        lines = tables[name]() if name in tables else _realizations(10**7 if long else 10**6)
        for line in lines:
            print(line, flush=True)
        print()


if __name__ == "__main__":
    main(sys.argv[1:])
