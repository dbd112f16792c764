"""A real campaign over each transport: threads without HELICS, inproc, zmq between processes."""

from __future__ import annotations

import json
import statistics
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from gridproof.federation.members.launch import supervise
from gridproof.federation.members.session import SessionSettings, run_session
from gridproof.federation.studies.study import load_study
from gridproof.federation.wire.broker_address import BrokerAddress
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.plan_file import plan_to_json

from benchmarks._side import BATCH, STUDY, jobs

__all__ = ["LIMITS", "Timing", "campaigns", "report"]

LIMITS: Mapping[str, float] = {"inproc": 0.10, "zmq processes": 0.20}
"""Largest share that HELICS may add to a campaign of batches of 256."""


@dataclass(frozen=True, slots=True)
class Timing:
    """One campaign: from the first draw to the last verdict."""

    wall_s: float
    cpu_s: float  # both sides together
    outcomes: tuple[int, ...]


def campaigns(samples: int, repeats: int) -> dict[str, list[Timing]]:
    """Run every transport in turn, the first of each round another one every time."""
    study = load_study(STUDY)
    options = study.config.planner
    plan = make_planner(options.family, options.options).plan(study.scenario)

    def here(transport: str) -> Timing:
        planner, feeder, meter = jobs(study, plan, samples)
        run_session(planner, feeder, SessionSettings(transport=transport))
        return Timing(meter.wall_s, meter.cpu_s, tuple(meter.outcomes))

    with TemporaryDirectory() as folder:
        file = Path(folder) / "plan.json"
        file.write_text(plan_to_json(plan), encoding="utf-8")
        sides: dict[str, Callable[[], Timing]] = {
            "threads": lambda: here("local"),
            "inproc": lambda: here("inproc"),
            "zmq processes": lambda: _processes(file, samples, Path(folder) / "out"),
        }
        names = list(sides)
        found: dict[str, list[Timing]] = {name: [] for name in names}
        for name in ("threads", "inproc"):  # warm
            sides[name]()
        for turn in range(repeats):
            for name in names[turn % 3 :] + names[: turn % 3]:
                found[name].append(sides[name]())
    judged = {timing.outcomes for timings in found.values() for timing in timings}
    if len(judged) != 1:
        raise RuntimeError("the transports judged differently; the timing means nothing")
    return found


def _processes(plan: Path, samples: int, out: Path) -> Timing:
    settings = SessionSettings(transport="zmq")

    def command(role: str) -> Callable[[BrokerAddress], Sequence[str]]:
        return lambda address: [
            *(sys.executable, "-m", "benchmarks._side", role),
            *(f"{address.host}:{address.port}", address.key, settings.to_json()),
            *(str(plan), str(samples), str(out)),
        ]

    supervise({role: command(role) for role in ("planner", "feeder")}, settings)
    planner, feeder = (
        json.loads(Path(f"{out}.{role}").read_text(encoding="utf-8"))
        for role in ("planner", "feeder")
    )
    cpu_s = planner["cpu_s"] + feeder["cpu_s"]
    return Timing(feeder["wall_s"], cpu_s, tuple(feeder["outcomes"]))


def report(found: Mapping[str, Sequence[Timing]], samples: int) -> str:
    """Medians of each transport, and what it adds to threads, round by round."""
    base = found["threads"]
    lines = [
        f"a campaign of {samples} realizations of {STUDY} in batches of {BATCH}, "
        f"{len(base)} rounds in turn",
        f"{'transport':<15}{'wall, s':>9}{'CPU, s':>9}{'adds, wall':>12}{'adds, CPU':>11}"
        f"{'least':>8}{'most':>8}{'allowed':>9}",
    ]
    for name, timings in found.items():
        wall = [one.wall_s / other.wall_s - 1.0 for one, other in zip(timings, base, strict=True)]
        cpu = [one.cpu_s / other.cpu_s - 1.0 for one, other in zip(timings, base, strict=True)]
        line = (
            f"{name:<15}{statistics.median(one.wall_s for one in timings):9.3f}"
            f"{statistics.median(one.cpu_s for one in timings):9.3f}"
        )
        if name in LIMITS:
            line += (
                f"{statistics.median(wall):12.1%}{statistics.median(cpu):11.1%}"
                f"{min(wall):8.1%}{max(wall):8.1%}{LIMITS[name]:9.0%}"
            )
        lines.append(line)
    return "\n".join(lines)
