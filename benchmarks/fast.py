"""A whole campaign with the fast engine against a bare OpenDSS loop over the same loads.

The left side is all that ``gridproof run --set campaign.engine=fast`` does once a plan is there:
the directory, the HELICS federation, compiling the feeder, factoring its network, drawing, recourse
``fixed``, estimates, OpenDSS for what they do not settle and for its audit, judging, and every part
on the disk. The right side sets the same loads in OpenDSS, solves each from the campaign's fixed
start at the same tolerance, and copies the node voltages (`benchmarks.engine`). What numba compiles
is compiled before.

``python -m benchmarks.fast [ieee37 ieee123 ieee8500 …]``. The IEEE 8500-node feeder is no part of
the project: it is taken where ``GRIDPROOF_IEEE8500`` names its main file, and left out else.
"""

from __future__ import annotations

import json
import os
import shutil
import sys
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from tempfile import TemporaryDirectory

import pyarrow.parquet as pq
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.study_jobs import make_planner_job
from gridproof.federation.inquiries.feeder_facts import as_it_stands
from gridproof.federation.studies.study import Study, load_study
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.sampling import sample
from gridproof.simulator.opendss.engine import OpenDssEngine
from gridproof.simulator.reader.feeder import read_feeder

from benchmarks._bench import Row, compare, table
from benchmarks.engine import bare_loop

__all__ = ["LARGE", "SUBJECTS", "as_its_file_has_it", "run"]

LARGE = "GRIDPROOF_IEEE8500"
ASKED: Mapping[str, float] = {"ieee37": 2.0, "ieee123": 2.0, "ieee8500": 8.0}
"""The bare loop's rate, times this, is what a campaign is meant to reach."""

_CHECKED = 2048  # realizations whose verdicts are held against OpenDSS's


def _shipped(name: str) -> Callable[[Path, list[str]], tuple[Study, Plan]]:
    def make(_: Path, told: list[str]) -> tuple[Study, Plan]:
        study = load_study(name, told)
        return study, make_planner_job(study).make_plan()

    return make


def _large(folder: Path, told: list[str]) -> tuple[Study, Plan]:
    """Take the feeder as its file has it, every load within 2 %."""
    path = Path(os.environ[LARGE]).resolve()
    return as_its_file_has_it(folder, path, told, read_feeder(path).loads.ids)


def as_its_file_has_it(
    folder: Path, path: Path, told: list[str], loads: Sequence[str]
) -> tuple[Study, Plan]:
    """Make a study of a feeder that is served as it stands, some loads within 2 %."""
    (folder / "large.toml").write_text(
        f"[feeder]\npath = {json.dumps(str(path))}\nload_model = 'as_modelled'\nswitches = []\n"
        "[limits]\nv_min_pu = 0.80\nv_max_pu = 1.10\n[substation]\nlost = false\n[ders.fleet]\n"
        f"[uncertainty]\nloads = {json.dumps(list(loads))}\nspread = 0.02\n"
    )
    return load_study(folder / "large.toml", told), as_it_stands(read_feeder(path))[1]


SUBJECTS: Mapping[str, tuple[int, Callable[[Path, list[str]], tuple[Study, Plan]]]] = {
    "ieee37": (122_880, _shipped("ieee37-networked")),
    "ieee123": (122_880, _shipped("ieee123-networked")),
    "ieee8500": (8_192, _large),
}


def run(name: str, samples: int | None = None, repeats: int = 3) -> tuple[Row, str]:
    """Time one feeder's campaign and bare loop, interleaved; and compare some verdicts."""
    usual, make = SUBJECTS[name]
    samples = samples or usual
    told = [f"campaign.samples={samples}", "campaign.recourse=fixed", "campaign.engine=fast"]
    with TemporaryDirectory(prefix="gridproof-bench-") as folder:
        study, plan = make(Path(folder), told)
        realizations = sample(study.scenario, study.sampler, 0, samples)
        engine = OpenDssEngine(study.scenario)
        engine.hold(plan)
        out = Path(folder) / "c"

        def whole() -> None:
            shutil.rmtree(out, ignore_errors=True)
            run_campaign(study, out, plan=plan, mode="in_process")

        bare = bare_loop(engine, realizations, fixed_start=True)
        row = compare(f"{name}, {samples}", whole, bare, units=samples, repeats=repeats)
        engine.close()
        fast = pq.read_table(out / "parts", columns=["outcome", "fast_reason"]).to_pydict()
        told = [f"campaign.samples={min(samples, _CHECKED)}", *told[1:2]]
        run_campaign(make(Path(folder), told)[0], out.with_name("d"), plan=plan, mode="in_process")
        kept = pq.read_table(out.with_name("d") / "parts", columns=["outcome"]).to_pydict()
    apart = sum(a != b for a, b in zip(fast["outcome"], kept["outcome"], strict=False))
    again = sum(1 for reason in fast["fast_reason"] if reason)
    said = (
        f"{name}: {apart} of {len(kept['outcome'])} verdicts differ from OpenDSS's; of {samples} "
        f"realizations OpenDSS answered {again}; {dict(Counter(fast['outcome']))}; asked: "
        f"{ASKED[name]:g} times the bare loop's rate"
    )
    return row, said


def main(names: list[str]) -> None:
    """Print each feeder's rates."""
    for name in names or list(SUBJECTS):
        if name == "ieee8500" and LARGE not in os.environ:
            print(f"ieee8500 is left out: {LARGE} names no file")
            continue
        row, said = run(name)
        print(table([row], "campaign", "bare loop"))
        print(said, flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
