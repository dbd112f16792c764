"""Planning methods, means of separation and radiality formulations side by side.

``python -m benchmarks.partitioning [--large]``; wall times of this run on this machine. Each
line is a whole search, centring left out. ``--large`` adds the IEEE 123 case (minutes).
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from gridproof.federation.studies.study import load_study
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.cutting_plane import CuttingPlaneMaster
from gridproof.optimizer.partitioning.options import FORMULATIONS, SEPARATIONS, PartitioningOptions
from gridproof.optimizer.partitioning.planner import PartitioningPlanner
from gridproof.optimizer.partitioning.subproblems import VertexSubproblems
from gridproof.optimizer.solver.decomposition import decompose
from gridproof.scenarios.errors import PlanError
from gridproof.scenarios.proof import Proof
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box

LEVELS = (0.0, 0.10, 0.15, 0.25)
LIMIT_S = 300.0
PRINTED_LIMIT_S = 120.0


def networked(spread: float, *, every_load: bool = False, study: str = "ieee37") -> Scenario:
    """Read a networked study at some spread, with the study's uncertain loads or all."""
    scenario = load_study(f"{study}-networked", [f"uncertainty.spread={spread}"]).scenario
    if not every_load:
        return scenario
    loads = scenario.feeder.loads.ids
    return replace(scenario, uncertainty=Box(load_ids=loads, spread=np.full(len(loads), spread)))


@dataclass(frozen=True, kw_only=True)
class Search:
    """One whole search: how long it took, and what came of it in one line."""

    seconds: float
    proof: Proof

    def __str__(self) -> str:
        return said(self.proof, self.seconds)


def run(scenario: Scenario, **options: object) -> Search:
    """Plan once."""
    chosen = {"time_limit_s": LIMIT_S, "max_iterations": 10_000, "centre": False} | options
    began = perf_counter()
    try:
        planner = PartitioningPlanner(options=PartitioningOptions(**chosen))  # type: ignore[arg-type]
        proof = planner.plan(scenario).proof
    except PlanError as error:
        proof = error.proof
    return Search(seconds=perf_counter() - began, proof=proof)


def against(first: Search, name: str, other: Search) -> str:
    """Say how a search stands to the first of its group: time as a ratio, cost as a difference."""
    dearer = other.proof.incumbent - first.proof.incumbent
    cost = f"cost {dearer:+.2f} USD" if np.isfinite(dearer) else "no plan to compare"
    return f"       {name}: {other.seconds / first.seconds:.2f} times as long, {cost}"


def side_by_side(searches: Iterator[tuple[str, Search]]) -> None:
    """Print each search as it ends, and how it stands to the first."""
    first: Search | None = None
    for name, search in searches:
        print(f"{name:24} {search}", flush=True)
        if first is not None:
            print(against(first, name, search), flush=True)
        first = first or search


def said(proof: Proof, seconds: float) -> str:
    """One line of figures."""
    parts = "  ".join(
        f"{name} {proof.seconds.get(name, 0.0):7.2f}" for name in ("master", "separation")
    )
    return (
        f"{seconds:7.2f} s  ({parts})  {proof.iterations:5} iterations  "
        f"{proof.realizations_kept:3} realizations  cost {proof.incumbent:12,.2f}  "
        f"gap {proof.gap:8.1e}  {'certified' if proof.certified else proof.termination}"
    )


def printed(scenario: Scenario) -> Search:
    """Run Algorithm 1 with cuts at the master's solutions alone."""
    network = Network.of(scenario)
    options = PartitioningOptions(method="cutting_plane", separation="enumeration")
    began = perf_counter()
    subproblems = VertexSubproblems(network)
    outcome = decompose(
        CuttingPlaneMaster(network, options, subproblems, as_printed=True),
        subproblems,
        gap=1e-4,
        time_limit_s=PRINTED_LIMIT_S,
        max_iterations=10_000,
    )
    return Search(seconds=perf_counter() - began, proof=outcome.proof)


def methods(spread: float) -> Iterator[tuple[str, Search]]:
    """Columns and constraints, then Algorithm 1 over every vertex; as printed at no uncertainty."""
    scenario = networked(spread)
    yield f"{spread:.0%} column_and_constraint", run(scenario)
    cut = run(scenario, method="cutting_plane", separation="enumeration")
    yield f"{spread:.0%} cutting_plane", cut
    if not spread:
        yield f"{spread:.0%} as printed", printed(scenario)


def main(*, large: bool) -> None:
    """Print every comparison."""
    print("IEEE 37 networked, 6 uncertain loads: methods, at 0 % as printed too")
    for spread in LEVELS:
        side_by_side(methods(spread))
    print("IEEE 37 networked, 10 %: radiality of the master")
    side_by_side((kind, run(networked(0.10), radiality=kind)) for kind in FORMULATIONS)
    print("IEEE 37 networked, 10 %: separation, 6 loads and then all 30")
    side_by_side((kind, run(networked(0.10), separation=kind)) for kind in SEPARATIONS)
    everything = networked(0.10, every_load=True)
    wide = [kind for kind in SEPARATIONS if kind != "enumeration"]
    side_by_side((kind, run(everything, separation=kind)) for kind in wide)
    for budget in (1.0, 3.0, 6.0, 12.0):
        print(f"budget {budget:<17g} {run(everything, budget=budget)}", flush=True)
    if large:
        print("IEEE 123 networked, 24 uncertain loads, 10 %")
        scenario = networked(0.10, study="ieee123")
        side_by_side((kind, run(scenario, radiality=kind)) for kind in FORMULATIONS)


if __name__ == "__main__":
    main(large="--large" in sys.argv[1:])
