"""What a day costs: one campaign over 24 steps against 24 campaigns of one step each.

Whole campaigns, both sides in one run, in turn, on the same plan and the same draws; processor
seconds, planning apart. Allowed is 1.15. Also the memory that more realizations take.
"""

from __future__ import annotations

import resource
import statistics
import sys
from pathlib import Path
from tempfile import TemporaryDirectory
from time import process_time

from gridproof.federation.campaigns.campaign import run_campaign
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner

STUDY = "ieee37-day"
ROUNDS = 3


def campaign_s(overrides: list[str], plan: object, folder: Path) -> float:
    """Processor seconds of one campaign, its study loaded before."""
    study = load_study(STUDY, overrides)
    began = process_time()
    run_campaign(study, folder, plan=plan, mode="local")
    return process_time() - began


def main() -> int:
    """Print both sides and their ratio; 1 if it is above what is allowed."""
    study = load_study(STUDY)
    asked = study.config.planner
    plan = make_planner(asked.family, asked.options).plan(study.scenario)
    steps, worst = len(study.scenario.hours), 0.0
    for recourse in ("fixed", "participation"):
        shared = ["campaign.samples=512", f"campaign.recourse={recourse}"]
        ratios = []
        for round_number in range(ROUNDS + 1):  # the first warms up
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
        print(f"{recourse}: {middle:.3f} of single steps (allowed 1.15)")
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0
    with TemporaryDirectory() as name:
        campaign_s(["campaign.samples=4096", "campaign.recourse=fixed"], plan, Path(name) / "c")
    more = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024.0 - peak
    print(f"memory: {peak:.0f} MiB, {more:.0f} more with eight times the realizations")
    return int(worst > 1.15)


if __name__ == "__main__":
    sys.exit(main())
