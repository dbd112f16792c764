"""Radiality formulations side by side on the declared 315-bus case, then growth in buses.

``python -m benchmarks.restoration [BUSES ...] [--limit SECONDS]``; each formulation is solved in
this one run and set in ratio to the publication's own, the directed local flow. A search that a
limit ended shows its gap; a ratio is given between proven optima alone.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import numpy as np
from gridproof.federation.families.restoration_files import read_network
from gridproof.federation.papers.restoration_sizes import (
    grown_case,
    printed_size,
    radiality_size,
    solve_row,
)
from gridproof.optimizer.network.radiality import FORMULATIONS
from gridproof.optimizer.restoration.planner import RestorationPlanner, build_all_phases
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_scenario import with_failures
from gridproof.scenarios.restoration_states import states_of
from gridproof.scenarios.scenario import Scenario

MV315 = Path(__file__).parents[1] / "configs" / "feeders" / "mv315"
OWN = "directed_local_flow"
SQUARED = "multi_commodity"  # its size grows with the square of the network


def declared(number: int) -> Scenario:
    """Case 1 to 4: the first 0, 5, 10, 15 failed lines are remote cables."""
    network = read_network(MV315)
    names = [network.feeder.lines.ids[k] for k in network.events.element]
    return with_failures(network, names, buried=5 * (number - 1))


def table_one(case: Scenario) -> None:
    """Print counts of radiality for one phase, as built and as printed, then the whole program."""
    buses, lines = len(case.feeder.buses.ids), len(case.feeder.lines.ids)
    print(f"{case.name}: {buses} buses, {lines} lines; radiality of one phase")
    for name in FORMULATIONS:
        size, printed = radiality_size(case, name), printed_size(buses, lines, name)
        beside = "not in Table I" if printed is None else f"printed {printed[0]:7} {printed[1]:7}"
        print(f"  {name:20} {size.variables:8} variables {size.constraints:8} rows  {beside}")
    program, _ = build_all_phases(Outage.of(case))
    print(f"  all phases: {program.size} columns, {program.height} rows; printed 14122, 34782")


def side_by_side(case: Scenario, label: str, extent: str, limit_s: float) -> None:
    """Solve with each formulation; times as ratios to the local flow's."""
    large = len(case.feeder.buses.ids) > 500 or extent == "all_phases"
    names = [name for name in FORMULATIONS if name != SQUARED or not large]
    rows = {name: solve_row(case, name, extent, limit_s) for name in names}
    own = rows[OWN]
    for name, row in rows.items():
        proven = row["optimal"] and own["optimal"]
        ratio = f"{row['solver_seconds'] / own['solver_seconds']:7.2f} x" if proven else "        –"
        gap = "no plan" if row["gap"] is None else f"gap {row['gap']:.1e}"
        fed = "–" if row["supplied_percent"] is None else f"{row['supplied_percent']:.2f} %"
        print(
            f"{label:12} {name:20} {ratio}  solver {row['solver_seconds']:8.2f} s  all "
            f"{row['total_seconds']:8.2f} s  {gap}  supplied {fed}  "
            f"audit faults {row['audit_faults']}",
            flush=True,
        )


def main() -> None:
    """Print Table I, the four cases, formulations side by side, and the growth."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("buses", nargs="*", type=int, default=[315, 1000, 3000])
    parser.add_argument("--limit", type=float, default=120.0, help="seconds a search may take")
    asked = parser.parse_args()
    table_one(declared(4))
    for number in (1, 2, 3, 4):
        case = declared(number)
        states = states_of(RestorationPlanner().plan(case), case)
        shares = " ".join(f"{100 * share:6.2f}" for share in states.supplied_share(Outage.of(case)))
        damaged = " ".join(f"{n:4}" for n in np.sum(~states.available, axis=1))
        print(f"case {number}: supplied, % {shares}   damaged buses {damaged}")
    side_by_side(declared(4), "t = 3", "reconfiguration", asked.limit)
    side_by_side(declared(4), "all phases", "all_phases", asked.limit)
    for buses in asked.buses:
        case = grown_case(buses, network_seed=1, failure_seed=2)
        side_by_side(case, f"{buses} buses", "reconfiguration", asked.limit)


if __name__ == "__main__":
    main()
