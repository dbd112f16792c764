"""Planning methods, means of separation and radiality formulations side by side.

``python -m benchmarks.partitioning [--large]``; wall times of this run on this machine. Each
line is a whole search, centring left out. ``--large`` adds the IEEE 123 case (minutes).
"""

from __future__ import annotations

import sys
from dataclasses import replace
from time import perf_counter

import numpy as np

from federation.study import load_study
from optimizer.constraints.network import Network
from optimizer.constraints.topology import FORMULATIONS
from optimizer.cutting_plane import CuttingPlaneMaster
from optimizer.methods.decomposition import decompose
from optimizer.methods.island_separation import SEPARATIONS
from optimizer.partitioning import PartitioningOptions, PartitioningPlanner
from optimizer.subproblems import VertexSubproblems
from scenarios.errors import PlanError
from scenarios.plan import Proof
from scenarios.scenario import Scenario
from scenarios.uncertainty import Box

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


def run(scenario: Scenario, **options: object) -> str:
    """Plan once and say what it took."""
    chosen = {"time_limit_s": LIMIT_S, "max_iterations": 10_000, "centre": False} | options
    began = perf_counter()
    try:
        planner = PartitioningPlanner(options=PartitioningOptions(**chosen))  # type: ignore[arg-type]
        proof = planner.plan(scenario).proof
    except PlanError as error:
        proof = error.proof
    return said(proof, perf_counter() - began)


def said(proof: Proof, seconds: float) -> str:
    """One line of figures."""
    parts = "  ".join(
        f"{name} {proof.seconds.get(name, 0.0):7.2f}" for name in ("master", "separation")
    )
    return (
        f"{seconds:7.2f} s  ({parts})  {proof.iterations:5} iterations  "
        f"{proof.realizations_kept:3} realizations  cost {proof.incumbent_usd:12,.2f}  "
        f"gap {proof.gap:8.1e}  {'certified' if proof.certified else proof.termination}"
    )


def printed(scenario: Scenario) -> str:
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
    return said(outcome.proof, perf_counter() - began)


def main(*, large: bool) -> None:
    """Print every comparison."""
    print("IEEE 37 networked, 6 uncertain loads: methods")
    for spread in LEVELS:
        scenario = networked(spread)
        print(f"{spread:5.0%}  column_and_constraint  {run(scenario)}", flush=True)
        cut = run(scenario, method="cutting_plane", separation="enumeration")
        print(f"{spread:5.0%}  cutting_plane          {cut}", flush=True)
    print(f"{0:5.0%}  as printed             {printed(networked(0.0))}", flush=True)
    print("IEEE 37 networked, 10 %: radiality of the master")
    for radiality in FORMULATIONS:
        print(f"{radiality:20} {run(networked(0.10), radiality=radiality)}", flush=True)
    print("IEEE 37 networked, 10 %: separation, 6 loads and then all 30")
    for kind in SEPARATIONS:
        print(f"{kind:12} {run(networked(0.10), separation=kind)}", flush=True)
    everything = networked(0.10, every_load=True)
    for kind in SEPARATIONS:
        if kind != "enumeration":
            print(f"{kind:12} {run(everything, separation=kind)}", flush=True)
    for budget in (1.0, 3.0, 6.0, 12.0):
        print(f"budget {budget:4.0f}  {run(everything, budget=budget)}", flush=True)
    if large:
        print("IEEE 123 networked, 24 uncertain loads, 10 %")
        for radiality in FORMULATIONS:
            scenario = networked(0.10, study="ieee123")
            print(f"{radiality:20} {run(scenario, radiality=radiality)}", flush=True)


if __name__ == "__main__":
    main(large="--large" in sys.argv[1:])
