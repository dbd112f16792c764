"""Restoration of hybrid overhead-underground systems: the paper's program, phase by phase.

Before the event (t = 0), automatic isolation (1), remote isolation (2), remote reconfiguration
(3). `build_all_phases` states all four, as printed but for the corrections below;
`build_reconfiguration` in ``optimizer.restoration.reconfiguration`` states what the first three
leave to decide, which is all a planner needs to solve. The tests hold the two against each other.

Corrections to the print, each with the function that makes it:

* (2) charges availability; the text charges its loss: ``1 - a`` (`build_all_phases`).
* (9) has ``a_i`` on both sides; (8)-(11) hold from t = 1 (`add_cascade`).
* Availability is bounded from above only, so that at t = 1 the print may call a sound
  substation damaged, keep its breaker closed by that, and have its feeders back at t = 2; or
  trip a recloser that met no fault. The automatic response is no decision: what is damaged
  at t = 1 is what (8), (10) and (11) make it, and what opens is what stops it.
* (4) would have a safe zone that nobody can feed called damaged; (6) and (7) are infeasible
  when a substation is lost and admit a fed ring without a source (`add_feed`).
* ``y_dg`` is the connection of a generator, a decision of t = 3.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.feed_rows import FeedGraph
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.network.radiality import add_feed
from gridproof.optimizer.restoration.damage import (
    StateColumns,
    add_cascade,
    add_states,
    add_switching,
)
from gridproof.optimizer.restoration.distflow import FlowColumns, LineData, add_distflow
from gridproof.optimizer.restoration.isolation import Isolation, isolate, isolate_later
from gridproof.optimizer.restoration.large import solve_large
from gridproof.optimizer.restoration.options import RestorationOptions
from gridproof.optimizer.restoration.publish import publish
from gridproof.optimizer.restoration.reconfiguration import (
    assemble,
    build_reconfiguration,
    read_reconfiguration,
)
from gridproof.optimizer.restoration.supply import add_supply, hold_source_voltage, w_band
from gridproof.optimizer.restoration.three_phase import three_phase_network
from gridproof.optimizer.solver.decomposition import PlanProgress
from gridproof.optimizer.solver.program import Program
from gridproof.optimizer.solver.solve import Answer, Arrays, solve_arrays
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import NoPlanExists, PlanNotFound, ScenarioError
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.restoration import Outage
from gridproof.scenarios.restoration_faults import restoration_faults
from gridproof.scenarios.restoration_states import PhaseStates

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.scenario import Scenario

__all__ = ["PhaseColumns", "RestorationOptions", "RestorationPlanner", "build_all_phases"]

_MANY_SWITCHES = 300  # from here on it is solved part by part


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class PhaseColumns:
    """Columns of the program over all phases.

    Attributes
    ----------
    states
        Switch states.
    available, energized
        (time, bus) ``a`` and ``y``.
    forming
        (der,) ``y_dg`` at t = 3.
    flow
        One per phase.
    """

    states: StateColumns
    available: IntArray
    energized: IntArray
    forming: IntArray
    flow: tuple[FlowColumns, ...]


def build_all_phases(
    case: Outage,
    *,
    radiality: str = "directed_local_flow",
    free_response: bool = False,
) -> tuple[Program, PhaseColumns]:
    """State the paper's program (2)-(15) with linearised DistFlow at every phase.

    ``min α Σ_t (Σ_i C_i^ns p_ns_i + Σ_i C_i^e (1 - a_i)) + β Σ_t Σ_l C_sw |Δsw_l|``   (2)

    Parameters
    ----------
    free_response
        Leave states and damage at t = 1 to the solver, as printed; for comparison.
    """
    m = Program()
    buses, lines = len(case.feeder.buses.ids), len(case.feeder.lines.ids)
    everything = LineData.of(case, np.arange(buses), np.arange(lines))
    states = add_states(m, case)
    lost, unserved = case.lost_bus, case.unserved_per_mw
    available = np.stack([m.columns(buses, cost=-lost) for _ in range(4)])
    m.fix(available[0], 1.0)
    if not free_response:
        automatic = isolate(case)
        m.fix(available[1], automatic.available[1])
        m.fix(states.closed[1], automatic.closed[1])
        m.fix(states.end_closed[1], automatic.end_closed[1][states.cables])
    m.constant += 4 * float(lost.sum() + unserved @ everything.p)
    add_cascade(m, case, states, available)
    add_switching(m, case, states)
    forming = m.columns(len(case.forming), integer=True)
    energized, flow = [], []
    for time in range(4):
        y = m.columns(buses)
        m.rows("supplied is safe", (1.0, y), (-1.0, available[time]), upper=0.0)
        generators = forming if time == 3 else forming[:0]
        roots = np.concatenate([available[time, case.feeder.sources.bus], generators])
        root_nodes = case.feeder.sources.bus
        if len(generators):
            root_nodes = np.concatenate([root_nodes, case.ders.bus[case.forming]])
        graph = FeedGraph(size=buses, ends=case.ends, root_nodes=root_nodes)
        feed = add_feed(m, graph, states.closed[time], y, roots, formulation=radiality)
        which = case.forming[: len(generators)]
        supply = add_supply(m, case, case.feeder.sources.bus, which, generators)
        flow.append(
            add_distflow(
                m, everything, feed, np.arange(lines), y, supply=supply, w_band=w_band(case)
            )
        )
        hold_source_voltage(m, case, flow[time], np.arange(buses))
        m.charge(flow[time].share, -unserved * everything.p)
        energized.append(y)
    columns = PhaseColumns(
        states=states,
        available=available,
        energized=np.stack(energized),
        forming=forming,
        flow=tuple(flow),
    )
    return m, columns


@dataclass(frozen=True, slots=True, kw_only=True)
class RestorationPlanner:
    """Plans the phases of a scenario in which lines fail.

    Deterministic: the nominal load decides, and nothing is proven of others.
    """

    options: RestorationOptions = field(default_factory=RestorationOptions)

    def plan(
        self, scenario: Scenario, *, progress: Callable[[PlanProgress], None] | None = None
    ) -> Plan:
        """Decide the switches of every phase.

        Parameters
        ----------
        scenario
            With its devices and failed lines; `scenarios.restoration_scenario` makes one.
        progress
            Told when the search has ended; the program is solved once.

        Raises
        ------
        ScenarioError
            With all that this family does not plan for.
        NoPlanExists
            If normal operation itself, or what failed, cannot satisfy the constraints.
        PlanNotFound
            If a limit came before any plan.
        """
        began = perf_counter()
        tell = progress or (lambda _: None)
        faults = restoration_faults(scenario)
        if faults:
            raise ScenarioError(faults)
        case = Outage.of(scenario)
        decided, proof = self.decide(case)
        made = publish(case, decided, proof)
        total = perf_counter() - began
        tell(
            PlanProgress(
                iteration=1,
                bound=proof.bound,
                incumbent=proof.incumbent,
                realizations=0,
                elapsed_s=total,
            )
        )
        seconds = MappingProxyType({**proof.seconds, "total": total})
        return replace(made, proof=replace(proof, seconds=seconds))

    def decide(self, case: Outage) -> tuple[PhaseStates, Proof]:
        """Solve for what stands at every phase: ends and damage as the program has them.

        Raises
        ------
        NoPlanExists, PlanNotFound
            As `plan`.
        """
        began = perf_counter()
        isolation = isolate(case)
        whole = self.options.extent == "all_phases" or not isolation.certain
        network = self._network(case, whole=whole)
        if not whole:
            return self._reconfigured(case, isolation, network, began)
        program, columns = build_all_phases(case, radiality=self.options.radiality)
        arrays, built = program.arrays(), perf_counter()
        answer, values = self._solved(arrays, built)
        proof = self._proof(answer, began, built)
        if not answer.found:
            raise _without_plan(case, proof)
        return _read_all_phases(case, columns, values), proof

    def later(self, case: Outage, former: PhaseStates) -> tuple[Plan, PhaseStates]:
        """Plan one more response from what the former one left.

        Parameters
        ----------
        case
            What still is damaged, and what may be switched by now;
            `scenarios.restoration_later.after` makes one.
        former
            Its last phase is where this response starts.

        Returns
        -------
        plan, states
            As of `plan`, with the former's last phase at t = 1, what is cut off the damage first
            at t = 2, and the response at t = 3. The costs are of those rows, not of a storm.

        Raises
        ------
        NoPlanExists, PlanNotFound
            As `plan`.
        """
        isolation = isolate_later(case, former)
        network = self._network(case, whole=False)
        decided, proof = self._reconfigured(case, isolation, network, perf_counter())
        return publish(case, decided, proof), decided

    def _reconfigured(
        self, case: Outage, isolation: Isolation, network: Network | None, began: float
    ) -> tuple[PhaseStates, Proof]:
        """Solve the last phase alone."""
        program, reduced = build_reconfiguration(
            case, isolation, radiality=self.options.radiality, network=network
        )
        arrays = program.arrays()
        built = perf_counter()
        if network is None and len(reduced.switches) > _MANY_SWITCHES:
            answer, values = solve_large(case, isolation, reduced, arrays, self.options)
        else:
            answer, values = self._solved(arrays, built)
        proof = self._proof(answer, began, built)
        if not answer.found:
            raise _without_plan(case, proof)
        return read_reconfiguration(case, isolation, reduced, values), proof

    def _solved(self, arrays: Arrays, built: float) -> tuple[Answer, FloatArray]:
        left_s = self.options.time_limit_s - (perf_counter() - built)
        return solve_arrays(arrays, gap=self.options.gap, time_limit_s=left_s)

    def _network(self, case: Outage, *, whole: bool) -> Network | None:
        """Return the network phase by phase, if it is to be planned so."""
        options = self.options
        if options.model == "balanced":
            if not options.ac_margin:
                return None
            raise ScenarioError(
                f"[planner] ac_margin = {options.ac_margin:g} is kept by three phases alone; set "
                'model = "three_phase", or leave ac_margin out'
            )
        if options.extent == "all_phases":
            raise ScenarioError(
                '[planner] extent = "all_phases" is stated for one balanced phase alone; set '
                'extent = "reconfiguration", or model = "balanced"'
            )
        if whole:
            raise ScenarioError(
                f'{case.name}: model = "three_phase" plans the last phase alone, and what is lost '
                "weighs too little, or normal operation is too near its limits, to settle the "
                'phases before it; raise [restoration] weights, or set model = "balanced"'
            )
        return three_phase_network(case, options.ac_margin)

    def _proof(self, answer: Answer, began: float, built: float) -> Proof:
        now = perf_counter()
        seconds = {"build": built - began, "solve": now - built, "total": now - began}
        return Proof(
            termination=answer.termination,
            incumbent=answer.incumbent,
            bound=answer.bound,
            asked_gap=self.options.gap,
            iterations=1,
            seconds=MappingProxyType(seconds),
        )


def _without_plan(case: Outage, proof: Proof) -> NoPlanExists | PlanNotFound:
    if proof.termination is Termination.INFEASIBLE:
        return NoPlanExists(
            f"{case.name}: no switching satisfies every phase; look at the voltage band, the "
            "ratings and lines without switches between a failure and a source",
            proof,
        )
    return PlanNotFound(
        f"{case.name}: no plan within {proof.seconds['total']:.1f} s; raise time_limit_s", proof
    )


def _read_all_phases(case: Outage, columns: PhaseColumns, values: FloatArray) -> PhaseStates:
    closed = values[columns.states.closed] > 0.5
    ends = np.repeat(closed[:, :, None], 2, axis=2)
    ends[:, columns.states.cables] = values[columns.states.end_closed] > 0.5
    share = np.stack([values[flow.share] for flow in columns.flow])
    forming = np.zeros((4, len(columns.forming)), bool)
    forming[3] = values[columns.forming] > 0.5
    return assemble(
        case,
        end_closed=ends,
        available=values[columns.available] > 0.5,
        energized=values[columns.energized] > 0.5,
        forming=forming,
        share=share,
    )
