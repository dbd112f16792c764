"""How late a real-time run is on one machine: lateness of steps, and ages of what was applied.

The shipped networked IEEE 37 study, one realization a step, linear recourse and AC physics, at
several steps, over each transport. Everything is in wall-clock milliseconds.

``python -m benchmarks.jitter [SECONDS]`` runs each case for so long (10).
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import numpy as np
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.field.realtime import PACE_COLUMNS
from gridproof.federation.studies.study import load_study
from gridproof.scenarios.arrays import FloatArray

__all__ = ["measure", "table"]

STUDY = "ieee37-networked"
MODES = {"local": "threads, no HELICS", "in_process": "HELICS inproc", "processes": "HELICS zmq"}
STEPS_S = (0.1, 0.02, 0.01, 0.005)


def measure(mode: str, step_s: float, seconds: float) -> dict[str, FloatArray]:
    """Run one case; return (step,) lateness and ages, ms, and how many verdicts were stale."""
    samples = max(20, int(seconds / step_s))
    overrides = [f"campaign.samples={samples}", f"realtime.step_s={step_s}"]
    study = load_study(STUDY, overrides)
    with TemporaryDirectory() as folder:
        result = run_campaign(study, Path(folder) / "c", mode=mode)
        tables = list(result.store.tables([*PACE_COLUMNS, "outcome"], result.store.finished()))
    values = {
        name: 1000.0 * np.concatenate([np.array(part.column(name)) for part in tables])
        for name in PACE_COLUMNS
    }
    outcome = [name for part in tables for name in part.column("outcome").to_pylist()]
    values["stale"] = np.array([name == "stale" for name in outcome], float)
    return values


def table(seconds: float) -> Sequence[str]:
    """One line a case, Markdown."""
    lines = [
        "| transport | step, ms | steps | lateness p50 / p99 / max, ms | age of the loads answered "
        "p50 / p99 / max, ms | stale |",
        "|---|---|---|---|---|---|",
    ]
    for mode, label in MODES.items():
        for step_s in STEPS_S:
            found = measure(mode, step_s, seconds)
            late, age = (_spread(found[name][1:]) for name in PACE_COLUMNS[:2])
            count, stale = len(found["stale"]), int(found["stale"].sum())
            lines.append(f"| {label} | {1000.0 * step_s:g} | {count} | {late} | {age} | {stale} |")
    return lines


def _spread(values: FloatArray) -> str:
    p50, p99, most = np.percentile(values, [50.0, 99.0, 100.0])
    return f"{p50:.2f} / {p99:.2f} / {most:.2f}"


if __name__ == "__main__":
    for line in table(float(sys.argv[1]) if len(sys.argv) > 1 else 10.0):
        print(line, flush=True)
