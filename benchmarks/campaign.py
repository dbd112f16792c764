"""A whole campaign against a bare OpenDSS loop: what everything around the physics costs.

The left side is all that ``gridproof campaign`` does once a plan is there: the directory, the
HELICS federation, compiling the feeder, drawing, recourse ``fixed``, OpenDSS, judging, and
every part on the disk. The right side sets the same loads in OpenDSS, solves at the same
tolerance, and copies the node voltages (`benchmarks.engine`); its circuit is compiled
beforehand. It is timed from the campaign's fixed start and from OpenDSS's own warm start.

``python -m benchmarks.campaign [SAMPLES [REPEATS]]`` on the shipped networked IEEE 37 study.
"""

from __future__ import annotations

import shutil
import sys
from pathlib import Path
from tempfile import TemporaryDirectory

from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.sampling import sample
from gridproof.simulator.opendss.engine import OpenDssEngine

from benchmarks._bench import Row, compare, table
from benchmarks.engine import bare_loop

__all__ = ["run"]

STUDY = "ieee37-networked"
ASKED = 0.70
"""Least share of the bare loop's rate that a campaign is meant to reach."""


def run(samples: int = 122_880, repeats: int = 3) -> list[Row]:
    """Time the campaign and the bare loop over the same realizations, interleaved."""
    study = load_study(STUDY, [f"campaign.samples={samples}", "campaign.recourse=fixed"])
    config = study.config.planner
    plan = make_planner(config.family, config.options).plan(study.scenario)
    engine = OpenDssEngine(study.scenario)
    engine.hold(plan)
    realizations = sample(study.scenario, study.sampler, 0, samples)
    with TemporaryDirectory(prefix="gridproof-bench-") as folder:
        out = Path(folder) / "c"

        def whole() -> None:
            shutil.rmtree(out, ignore_errors=True)
            run_campaign(study, out, plan=plan, mode="in_process")

        rows = [
            compare(
                f"{samples} realizations, {start} start",
                whole,
                bare_loop(engine, realizations, fixed_start=start == "fixed"),
                units=samples,
                repeats=repeats,
            )
            for start in ("fixed", "warm")
        ]
    engine.close()
    return rows


if __name__ == "__main__":
    print(table(run(*(int(argument) for argument in sys.argv[1:])), "campaign", "bare loop"))
    print(f"asked of the campaign: {ASKED:.2f} of the bare loop's rate or more")
