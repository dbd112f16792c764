"""The report of a million rows: seconds and peak memory; what keeping profiles and pages costs.

``python -m benchmarks.report [ROWS]`` tries one real campaign in which limits are left, writes
its rows again and again under new indices, and reports the result in a process of its own.
Before that it times what a batch goes through, its profile among them, and the pages of a study of
four steps against summing it up. ``python -m benchmarks.report steps`` does the last alone.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

import numpy as np
import pyarrow as pa
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.campaigns.steps import steps_summary
from gridproof.federation.records.campaign_report import CampaignReport
from gridproof.federation.records.parts import CHUNK_ROWS
from gridproof.federation.records.profile import Profile
from gridproof.federation.records.profile_store import encode_profile, keep_profiles, read_profile
from gridproof.federation.records.rows import rows_of
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.reports.data import Readout, read_out
from gridproof.federation.reports.steps_page import write_steps_report
from gridproof.federation.studies.study import load_study, resolved_text
from gridproof.optimizer.recourse.policies import make_recourse
from gridproof.scenarios.plan import plan_digest
from gridproof.scenarios.sampling import sample
from gridproof.scenarios.verdict import judge
from gridproof.simulator.opendss.engine import OpenDssEngine

_BATCH = 256
_SEEN = [
    "uncertainty.spread=0.6", "limits.v_min_pu=0.966", "limits.line_rating_a=66",
    "planner.method=nominal", "campaign.recourse=fixed",
]  # fmt: skip


def synthesise(folder: Path, rows: int) -> Path:
    """Write a campaign of so many rows: four real parts, repeated with noise on the margins."""
    source = load_study("ieee37-networked", [f"campaign.samples={4 * CHUNK_ROWS}", *_SEEN])
    result = run_campaign(source, folder / "real", mode="local")
    study = load_study("ieee37-networked", [f"campaign.samples={rows}", *_SEEN])
    store = CampaignStore.create(folder / "many", resolved_text(study), result.store.environment)
    store.write("plan.json", (folder / "real" / "plan.json").read_text())
    digest, noise = plan_digest(result.plan), np.random.default_rng(7)
    tables = list(result.store.tables(_columns(result.store), (0, 1, 2, 3)))
    profiles = [
        read_profile(
            result.store.root,
            (k,),
            source.scenario,
            result.plan,
            (str(source.fingerprint), digest),
        )[0]
        for k in range(4)
    ]
    for chunk in range(-(-rows // CHUNK_ROWS)):
        first, count = store.chunk_range(chunk)
        one = tables[chunk % 4].slice(0, count)
        one = one.set_column(
            0, one.schema.field("index"), pa.array(np.arange(first, first + count))
        )
        for k, name in enumerate(one.column_names):
            if name.startswith("margin_"):
                moved = one.column(name).to_numpy() * (1.0 + 1e-3 * noise.standard_normal(count))
                one = one.set_column(k, one.schema.field(name), pa.array(moved, from_pandas=True))
        data = encode_profile(
            profiles[chunk % 4], source.scenario, chunk=chunk, plan_digest=digest,
            fingerprint=study.fingerprint,
        )  # fmt: skip
        keep_profiles(store.root, chunk, (data,), store.tried)
        store.write_part(chunk, one, digest)
    return store.root


def _columns(store: CampaignStore) -> list[str]:
    return pa.parquet.read_schema(store.part_path(0)).names


_REPORT = """
import json, re, sys, time
from pathlib import Path
from gridproof.federation.records.store import CampaignStore
from gridproof.federation.studies.study import load_study
from gridproof.federation.reports.data import read_out
from gridproof.federation.reports.campaign_page import write_report
root = Path(sys.argv[1])
store, study = CampaignStore.open(root), load_study(root / "study.json")
def mib():  # getrusage would tell the peak of the process this one was forked from
    return int(re.search(r"VmHWM:\\s+(\\d+)", Path("/proc/self/status").read_text())[1]) / 1024
before = mib()
start, cpu = time.perf_counter(), time.process_time()
readout = read_out(store, study.scenario)
middle = time.perf_counter()
write_report(store, study.scenario, root / "report", readout)
end = time.perf_counter()
print(json.dumps({"summary_s": middle - start, "page_s": end - middle,
                  "cpu_s": time.process_time() - cpu,
                  "before_mib": before, "peak_mib": mib()}))
"""


def report_of(root: Path) -> dict[str, float]:
    """Report a campaign in a process of its own; seconds and MiB."""
    command = [sys.executable, "-c", _REPORT, str(root)]
    done = subprocess.run(command, check=True, capture_output=True, text=True, timeout=600)
    found: dict[str, float] = json.loads(done.stdout)
    return found


def profile_cost() -> str:
    """CPU time of each step of a batch, µs a realization: least of many tries."""
    lines = []
    for name, more in (("most violated", _SEEN), ("all feasible", ["campaign.recourse=fixed"])):
        study = load_study("ieee37-networked", [*more, "campaign.samples=1"])
        with tempfile.TemporaryDirectory() as folder:
            plan = run_campaign(study, Path(folder) / "c", mode="local").plan
        scenario = study.scenario
        engine, recourse = OpenDssEngine(scenario), make_recourse("fixed", plan, scenario)
        engine.hold(plan)
        batch = sample(scenario, study.sampler, 0, _BATCH)
        answer, profile = recourse.respond(batch), Profile.of(scenario, plan)
        snapshots = engine.observe(batch, answer)
        verdicts = judge(snapshots, plan, scenario)
        cost = {
            "solve": _cpu_us(partial(engine.observe, batch, answer)),
            "judge": _cpu_us(partial(judge, snapshots, plan, scenario)),
            "rows": _cpu_us(partial(rows_of, scenario, plan, batch, snapshots, verdicts)),
            "profile": _cpu_us(partial(profile.add, scenario, plan, snapshots, verdicts)),
        }
        engine.close()
        share = cost["profile"] / sum(cost.values())
        told = ", ".join(f"{step} {us:.1f}" for step, us in cost.items())
        lines.append(f"{name}: {told} µs a realization; the profile is {100 * share:.1f} %")
    return "\n".join(lines)


def pages_cost() -> str:
    """CPU time of the pages of a study of several steps, against reading and summing it up."""
    study = load_study("mv315-case4", ["campaign.samples=500"])
    with tempfile.TemporaryDirectory() as folder:
        store = run_campaign(study, Path(folder) / "c", mode="local").store
        readouts: dict[int, Readout] = {}

        def summarize(one: CampaignStore) -> CampaignReport:
            readouts[one.step] = read_out(one, study.scenario)
            return readouts[one.step].reading.report

        spent = []
        for attempt in range(2):  # the first draws in what is imported late
            start = time.process_time()
            found = steps_summary(store, summarize)
            middle = time.process_time()
            out = Path(folder) / f"report-{attempt}"
            write_steps_report(store, study.scenario, out, found, readouts)
            spent.append((middle - start, time.process_time() - middle))
        figures = len(list(out.rglob("*.svg")))
    summing, drawing = spent[-1]
    return (
        f"{len(store.steps)} steps of mv315-case4: summing up {summing:.2f} s, pages {drawing:.2f} "
        f"s, {drawing / len(store.steps):.2f} s a step and {drawing / figures:.3f} s a figure, "
        f"{drawing / summing:.0f} times the summing up"
    )


def _cpu_us(step: Callable[[], object]) -> float:
    step()
    least = float("inf")
    for _ in range(40):
        start = time.process_time()
        step()
        least = min(least, time.process_time() - start)
    return least / _BATCH * 1e6


def main() -> None:
    """Print both subjects."""
    if sys.argv[1:] == ["steps"]:
        print(pages_cost())
        return
    many = int(sys.argv[1]) if len(sys.argv) > 1 else 1_000_000
    print(profile_cost())
    print(pages_cost())
    for rows in (many // 10, many):
        with tempfile.TemporaryDirectory() as folder:
            start = time.perf_counter()
            root = synthesise(Path(folder), rows)
            print(f"{rows} rows written in {time.perf_counter() - start:.1f} s")
            print(json.dumps({"rows": rows, **report_of(root)}))


if __name__ == "__main__":
    main()
