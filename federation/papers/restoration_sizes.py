"""How large the restoration program is by radiality formulation, and what solving it takes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from gridproof.federation.papers.networks.mv_network import (
    MvNetwork,
    draw_failures,
    generate_network,
)
from gridproof.optimizer.network.feed_rows import FeedGraph
from gridproof.optimizer.network.radiality import FORMULATIONS, add_feed
from gridproof.optimizer.restoration.isolation import isolate
from gridproof.optimizer.restoration.options import RestorationOptions
from gridproof.optimizer.restoration.planner import RestorationPlanner, build_all_phases
from gridproof.optimizer.restoration.reconfiguration import build_reconfiguration
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.errors import NoPlanExists, PlanNotFound
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_audit import audit_restoration
from gridproof.scenarios.restoration_scenario import with_failures
from gridproof.scenarios.restoration_states import states_of
from gridproof.scenarios.scenario import Scenario

__all__ = [
    "RadialitySize",
    "grown_case",
    "printed_size",
    "program_size",
    "radiality_size",
    "solve_row",
]


def printed_size(buses: int, lines: int, formulation: str) -> tuple[int, int] | None:
    """Variables and constraints of Table I for one phase; None where it has no row.

    [12] is ``multi_commodity``, [16] ``parent_child``.
    """
    n, k = buses, lines
    return {
        "directed_local_flow": (2 * n + 3 * k, 2 * n + 3 * k),
        "multi_commodity": (2 * n * k + k, n * n + 2 * n * k - n - k + 1),
        "parent_child": (n + 3 * k, n + k),
    }.get(formulation)


@dataclass(frozen=True, slots=True, kw_only=True)
class RadialitySize:
    """Columns and rows that radiality takes in one phase, bus by bus.

    Attributes
    ----------
    variables
        With the states it speaks of (lines, buses, roots), as Table I counts them.
    added, whole
        Without those; and the whole ones among them.
    constraints
        All its rows.
    """

    variables: int
    added: int
    whole: int
    constraints: int


def radiality_size(scenario: Scenario, formulation: str) -> RadialitySize:
    """Count what a formulation takes in one phase."""
    case = Outage.of(scenario)
    m, buses = Program(), len(case.feeder.buses.ids)
    graph = FeedGraph(size=buses, ends=case.ends, root_nodes=case.feeder.sources.bus)
    given = [m.columns(len(case.ends)), m.columns(buses), m.columns(int(case.substation.sum()))]
    before = m.size
    add_feed(m, graph, *given, formulation=formulation)
    return RadialitySize(
        variables=m.size,
        added=m.size - before,
        whole=int(m.arrays().integer[before:].sum()),
        constraints=m.height,
    )


def program_size(scenario: Scenario, formulation: str, extent: str) -> tuple[int, int, int]:
    """Columns, free ones among them, and rows of the program of an extent."""
    case = Outage.of(scenario)
    if extent == "all_phases":
        program: Program = build_all_phases(case, radiality=formulation)[0]
    else:
        program = build_reconfiguration(case, isolate(case), radiality=formulation)[0]
    arrays = program.arrays()
    return program.size, int((arrays.lower < arrays.upper).sum()), program.height


def grown_case(buses: int, *, network_seed: int, failure_seed: int) -> Scenario:
    """Make a network with as many failures per bus as the declared one, half of them cables."""
    network = generate_network(MvNetwork(seed=network_seed, buses=buses))
    failures = draw_failures(network, failure_seed, round(15 * buses / 315))
    return with_failures(network, failures, buried=len(failures) // 2)


def solve_row(
    scenario: Scenario, formulation: str, extent: str, time_limit_s: float
) -> dict[str, Any]:
    """Plan once and say what it took, what is proven and what the graph audit found.

    A search that a limit ended shows its gap; ``optimal`` is true only where it is proven.
    """
    if formulation not in FORMULATIONS:
        raise ValueError(f"{formulation!r} is no formulation")
    share: float | None
    faults: int | None
    options = RestorationOptions(radiality=formulation, extent=extent, time_limit_s=time_limit_s)
    row: dict[str, Any] = {
        "buses": len(scenario.feeder.buses.ids),
        "lines": len(scenario.feeder.lines.ids),
        "formulation": formulation,
        "extent": extent,
        "time_limit_s": time_limit_s,
    }
    columns, free, rows = program_size(scenario, formulation, extent)
    row |= {"variables": columns, "free_variables": free, "constraints": rows}
    try:
        plan = RestorationPlanner(options=options).plan(scenario)
    except (PlanNotFound, NoPlanExists) as error:
        proof, share, faults = error.proof, None, None
    else:
        case, states, proof = Outage.of(scenario), states_of(plan, scenario), plan.proof
        share = 100.0 * float(states.supplied_share(case)[3])
        faults = len(audit_restoration(case, states))
    proven = proof.termination is Termination.OPTIMAL and proof.gap <= proof.asked_gap
    finite = proof.gap < float("inf")
    return {
        **row,
        "termination": proof.termination.value,
        "optimal": proven,
        "gap": float(proof.gap) if finite else None,
        "solver_seconds": proof.seconds["solve"],
        "total_seconds": proof.seconds["total"],
        "supplied_percent": share,
        "audit_faults": faults,
    }
