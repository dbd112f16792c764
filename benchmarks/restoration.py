"""Radiality formulations side by side on the declared 315-bus case, then growth in buses.

``python -m benchmarks.restoration [BUSES ...]``; times are of this run on this machine, wall
and processor, solver and whole.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

import numpy as np

from optimizer.constraints.feed import FORMULATIONS, FeedGraph, add_feed
from optimizer.methods.program import Program
from optimizer.restoration import RestorationOptions, RestorationPlanner, build_all_phases
from scenarios.errors import PlanNotFound
from scenarios.mv_files import read_network
from scenarios.mv_network import MvNetwork, draw_failures, generate_network
from scenarios.restoration import RestorationCase
from scenarios.restoration_audit import audit_restoration

MV315 = Path(__file__).parents[1] / "configs" / "feeders" / "mv315"


def declared(number: int) -> RestorationCase:
    """Case 1 to 4: the first 0, 5, 10, 15 failed lines are remote cables."""
    network = read_network(MV315)
    names = [network.feeder.lines.ids[k] for k in network.failed]
    return network.with_failures(names, buried=5 * (number - 1))


def grown(buses: int) -> RestorationCase:
    """Make a larger network with as many failures per bus, half of them remote cables."""
    network = generate_network(MvNetwork(seed=1, buses=buses))
    failures = draw_failures(network, 2, round(15 * buses / 315))
    return network.with_failures(failures, buried=len(failures) // 2)


def radiality_size(case: RestorationCase, formulation: str) -> tuple[int, int, int]:
    """Columns, whole ones among them, and rows that radiality adds in one phase, per bus."""
    m, buses = Program(), len(case.feeder.buses.ids)
    graph = FeedGraph(size=buses, ends=case.ends, root_nodes=case.feeder.sources.bus)
    given = [m.columns(len(case.ends)), m.columns(buses), m.columns(int(case.substation.sum()))]
    before = m.size
    add_feed(m, graph, *given, formulation=formulation)
    return m.size - before, int(m.arrays().integer[before:].sum()), m.height


def run(case: RestorationCase, formulation: str, extent: str, limit_s: float) -> str:
    """Plan once and say what it took."""
    options = RestorationOptions(radiality=formulation, extent=extent, time_limit_s=limit_s)
    began, busy = time.perf_counter(), time.process_time()
    try:
        plan = RestorationPlanner(options).plan(case)
    except PlanNotFound as error:
        return f"nothing found in {error.proof.seconds['total']:.1f} s"
    wall, busy = time.perf_counter() - began, time.process_time() - busy
    share = plan.supplied_share(case)[3]
    faults = len(audit_restoration(case, plan))
    return (
        f"solver {plan.proof.seconds['solve']:8.2f} s  whole {wall:8.2f} s  processor "
        f"{busy:8.2f} s  gap {plan.proof.gap:.1e}  supplied {share:.4f}  audit faults {faults}"
    )


def table_one(case: RestorationCase) -> None:
    """Print counts of radiality for one phase, then of the whole program, then solve times."""
    buses, lines = len(case.feeder.buses.ids), len(case.feeder.lines.ids)
    print(f"{case.name}: {buses} buses, {lines} lines; printed count of the local flow, one phase:")
    print(f"  2|N| + 3|L| = {2 * buses + 3 * lines} variables and constraints")
    for formulation in FORMULATIONS:
        columns, whole, rows = radiality_size(case, formulation)
        print(f"  {formulation:20} {columns:8} columns ({whole:5} whole) {rows:8} rows")
    program, _ = build_all_phases(case)
    arrays = program.arrays()
    free = int((arrays.lower < arrays.upper).sum())
    print(f"  all phases: {program.size} columns ({free} not fixed), {program.height} rows")


def main(sizes: list[int]) -> None:
    """Print Table I, the four cases, and the growth."""
    table_one(declared(4))
    for number in (1, 2, 3, 4):
        case = declared(number)
        plan = RestorationPlanner().plan(case)
        shares = " ".join(f"{100 * share:6.2f}" for share in plan.supplied_share(case))
        damaged = " ".join(f"{n:4}" for n in np.sum(~plan.available, axis=1))
        print(f"case {number}: supplied, % {shares}   damaged buses {damaged}")
    for formulation in FORMULATIONS:
        print(
            f"t = 3       {formulation:20} {run(declared(4), formulation, 'reconfiguration', 120)}"
        )
    for formulation in FORMULATIONS:
        if formulation != "multi_commodity":  # a million columns
            print(
                f"all phases  {formulation:20} {run(declared(4), formulation, 'all_phases', 120)}"
            )
    for buses in sizes:
        case = grown(buses)
        for formulation in FORMULATIONS:
            if formulation == "multi_commodity" and buses >= 1000:
                continue  # grows with the square
            line = run(case, formulation, "reconfiguration", 150)
            print(f"{buses:6} buses {formulation:20} {line}", flush=True)


if __name__ == "__main__":
    main([int(arg) for arg in sys.argv[1:]] or [315, 1000, 3000])
