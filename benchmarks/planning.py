"""How long the networked case takes to plan, level by level, beside the paper's times.

The paper's figures come from other hardware and a commercial solver (its Table I); the ratio
says what a user waits for, not which computer is faster.
"""

from __future__ import annotations

import statistics
import time

from gridproof.federation.studies.study import load_study
from gridproof.optimizer.planner import make_planner

PAPER_S = {0.0: 100.8, 0.10: 1952.6, 0.15: 2500.4, 0.25: 4599.9}


def run(repeats: int = 3) -> list[tuple[float, int, bool, float, float]]:
    """Plan each level; (spread, live blocks, certified, median seconds, paper's seconds)."""
    rows = []
    for spread, paper_s in PAPER_S.items():
        study = load_study("ieee37-networked", [f"uncertainty.spread={spread}"])
        times = []
        for _ in range(repeats):
            start = time.perf_counter()
            plan = make_planner("partitioning", {}).plan(study.scenario)
            times.append(time.perf_counter() - start)
        live, certified = int(plan.energized.sum()), plan.proof.certified
        rows.append((spread, live, certified, statistics.median(times), paper_s))
    return rows


if __name__ == "__main__":
    print("spread  blocks  certified  seconds  paper's seconds  times faster")
    for spread, blocks, certified, ours_s, paper_s in run():
        print(
            f"{spread:5.0%}   {blocks:6d}  {certified!s:9}  {ours_s:7.2f}  {paper_s:15.1f}"
            f"  {paper_s / ours_s:12.0f}"
        )
