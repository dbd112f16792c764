"""What a day costs: one campaign over 24 steps against 24 campaigns of one step each.

Whole campaigns, both sides in one run, in turn, on the same plan and the same draws; processor
seconds, planning apart. Allowed is 1.15. Also peak memory, each campaign in a process of its own:
at eight times the realizations, and at twice the steps.

``python -m benchmarks.day [cost [RECOURSE] | memory]``
"""

from __future__ import annotations

import json
import resource
import statistics
import subprocess
import sys
from dataclasses import fields, replace
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

import numpy as np
from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner
from gridproof.scenarios.plan_file import plan_from_json, plan_to_json

STUDY = "ieee37-day"
SIDES = (("fixed", 512, 3), ("participation", 512, 3), ("linear", 64, 1))
"""Recourse, realizations, rounds beside the one that warms up; linear re-dispatch solves programs
at every step on both sides, so that fewer realizations say as much."""


def campaign_s(overrides: list[str], plan: object, folder: Path) -> float:
    """Processor seconds of one campaign, its study loaded before."""
    study = load_study(STUDY, overrides)
    began = process_time()
    run_campaign(study, folder, plan=plan, mode="local")
    return process_time() - began


def longer(plan_file: Path, days: int) -> tuple[object, object]:
    """Return the study over so many days, the same each, and its plan over them."""
    study = load_study(STUDY)
    plan = plan_from_json(plan_file.read_text(encoding="utf-8"), study.scenario, str(plan_file))
    steps = len(study.scenario.hours)
    profile = study.config.horizon.load_profile
    told = json.dumps([*profile] * days)
    entries = [f"horizon.load_profile={told}"]
    for name, one in study.config.ders.fleet.items():
        for part, key in (
            (one.storage, "storage.schedule_kw"),
            (one.renewable, "renewable.profile"),
        ):
            if part is not None:
                own = getattr(part, key.split(".")[1])
                entries.append(f"ders.fleet.{name}.{key}={json.dumps([*own] * days)}")
    again = {
        field.name: np.concatenate([getattr(plan, field.name)] * days)
        for field in fields(plan)
        if isinstance(value := getattr(plan, field.name), np.ndarray)
        and value.ndim
        and len(value) == steps
    }
    return entries, replace(plan, **again, scenario_digest="")


def peak_mib(plan_file: Path, days: int, samples: int, recourse: str) -> None:
    """Print the peak of a process that does nothing but one campaign."""
    entries, plan = longer(plan_file, days)
    with TemporaryDirectory() as name:
        asked = [f"campaign.samples={samples}", f"campaign.recourse={recourse}"]
        campaign_s([*entries, *asked, "campaign.batch=256"], plan, Path(name) / "c")
    print(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0)


def memory(plan_file: Path) -> None:
    """Print peaks: one day, eight times the realizations, twice the steps."""
    for recourse, few in (("fixed", 2048), ("linear", 256)):
        sides = {"a day": (1, few), "8 N": (1, 8 * few), "2 T": (2, few)}
        for side, (days, samples) in sides.items():
            done = subprocess.run(
                [sys.executable, "-m", "benchmarks.day", "peak", str(plan_file), str(days),
                 str(samples), recourse],
                check=True, capture_output=True, text=True,
            )  # fmt: skip
            print(f"{recourse}, {side}: {float(done.stdout.split()[-1]):.0f} MiB", flush=True)


def cost(plan: object, steps: int, only: str | None = None) -> float:
    """Print both sides and their ratio for each recourse, or one; returns the worst."""
    worst = 0.0
    for recourse, samples, rounds in SIDES:
        if only not in (None, recourse):
            continue
        shared = [f"campaign.samples={samples}", f"campaign.recourse={recourse}"]
        ratios = []
        for round_number in range(rounds + 1):  # the first warms up
            with TemporaryDirectory() as name:
                root = Path(name)
                apart = sum(
                    campaign_s([*shared, f"campaign.step={k}"], plan, root / str(k))
                    for k in range(steps)
                )
                whole = campaign_s(shared, plan, root / "day")
            if round_number:
                ratios.append(whole / apart)
                print(f"{recourse}: day {whole:.2f} s, {steps} single steps {apart:.2f} s")
        middle = statistics.median(ratios)
        worst = max(worst, middle)
        print(f"{recourse}: {middle:.3f} of single steps (allowed 1.15)", flush=True)
    return worst


def main(what: str = "all", *given: str) -> int:
    """Print what is asked for; 1 if the ratio is above what is allowed."""
    if what == "peak":
        plan_file, days, samples, recourse = given
        peak_mib(Path(plan_file), int(days), int(samples), recourse)
        return 0
    study, worst = load_study(STUDY), 0.0
    asked = study.config.planner
    plan = make_planner(asked.family, asked.options).plan(study.scenario)
    if what in ("all", "cost"):
        worst = cost(plan, len(study.scenario.hours), *given)
    if what in ("all", "memory"):
        with TemporaryDirectory() as name:
            plan_file = Path(name) / "plan.json"
            plan_file.write_text(plan_to_json(plan), encoding="utf-8")
            memory(plan_file)
    return int(worst > 1.15)


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:]))
