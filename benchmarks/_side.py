"""One side of a campaign, timed from the plan to the last verdict; also as a process of its own.

``python -m benchmarks._side ROLE BROKER KEY SETTINGS PLAN SAMPLES OUT`` is what the supervisor
starts; it writes its figures to ``OUT.ROLE``.
"""

from __future__ import annotations

import json
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from gridproof.federation.campaigns.study_jobs import feeder_job_of, make_planner_job
from gridproof.federation.members.jobs import FeederJob, PlannerJob
from gridproof.federation.members.launch import run_feeder_process, run_planner_process
from gridproof.federation.members.session import SessionSettings
from gridproof.federation.studies.study import Study, load_study
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.plan_file import plan_from_json
from gridproof.scenarios.realization import Realizations
from gridproof.scenarios.verdict import Verdicts

STUDY, BATCH = "ieee37-networked", 256


@dataclass
class Meter:
    """A sink that keeps nothing but the time; wall and CPU seconds since the plan came."""

    started_s: float = 0.0
    wall_s: float = 0.0
    cpu_s: float = 0.0
    outcomes: list[int] = field(default_factory=list)
    _cpu_s: float = 0.0

    def accept(self, plan: Plan) -> None:
        """Keep the moment."""

    def start(self) -> None:
        """Begin to count: the engine stands, nothing was drawn yet."""
        self.started_s, self._cpu_s = time.perf_counter(), time.process_time()

    def keep_trace(self, trace: object) -> None:
        """Nothing is traced here."""

    def write(self, *batch: object) -> None:
        """Count up to the last batch; remember what was judged, so that sides can be compared."""
        verdicts = batch[3]
        assert isinstance(verdicts, Verdicts)
        self.outcomes += np.bincount(verdicts.outcome, minlength=7).tolist()
        self.wall_s = time.perf_counter() - self.started_s
        self.cpu_s = time.process_time() - self._cpu_s


def jobs(study: Study, plan: Plan, samples: int) -> tuple[PlannerJob, FeederJob, Meter]:
    """Both sides of a campaign whose plan is there."""
    meter = Meter()
    ranges = [(first, min(BATCH, samples - first)) for first in range(0, samples, BATCH)]
    whole = feeder_job_of(study, ranges, lambda _: meter)  # type: ignore[arg-type, return-value]
    first_draw = True

    def draw(first: int, count: int) -> Realizations:
        nonlocal first_draw
        if first_draw:
            meter.start()
            first_draw = False
        return whole.draw(first, count)

    feeder = FeederJob(
        scenario=whole.scenario, make_engine=whole.make_engine, draw=draw, ranges=ranges, sink=meter
    )  # type: ignore[arg-type]
    return make_planner_job(study, plan), feeder, meter


def main(role: str, broker: str, key: str, *given: str) -> None:
    """Be one federate, and write what it took."""
    settings, plan, samples, out = given
    study = load_study(STUDY)
    told = plan_from_json(Path(plan).read_text(encoding="utf-8"), study.scenario, plan)
    planner, feeder, meter = jobs(study, told, int(samples))
    chosen = SessionSettings.from_json(settings)
    if role == "feeder":
        run_feeder_process(feeder, broker=broker, key=key, settings=chosen)
        found = {"wall_s": meter.wall_s, "cpu_s": meter.cpu_s, "outcomes": meter.outcomes}
    else:
        began = 0.0

        def make_recourse(made: Plan):  # noqa: ANN202
            nonlocal began
            recourse = planner.make_recourse(made)
            began = time.process_time()
            return recourse

        job = PlannerJob(
            scenario=planner.scenario, make_plan=planner.make_plan, make_recourse=make_recourse
        )
        run_planner_process(job, broker=broker, key=key, settings=chosen)
        found = {"cpu_s": time.process_time() - began}
    Path(f"{out}.{role}").write_text(json.dumps(found), encoding="utf-8")


if __name__ == "__main__":
    main(*sys.argv[1:])
