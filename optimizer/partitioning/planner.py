"""Robust partitioning and operation of a distribution grid.

After H. Moring, H. Nagarajan, K. Girigoudar, D. M. Fobes, J. L. Mathieu, "Robust Partitioning
and Operation for Maximal Uncertain-Load Delivery in Distribution Grids". First stage: switch
states, live blocks, grid-forming roles, the voltage each grid-forming DER holds, and base
set-points that serve the nominal load by themselves. Second stage, once the load is known:
re-dispatch within capability and ramp. Feasible for **every** load of the set, proven::

    min  Σ α_l (1 - z_l) + Σ c_g p_g + θ,    θ ≥ Σ c_g (o⁺ + o⁻) for every realization

Corrections to the printed text. (16d): the bus downstream of a flow ``i → j`` is ``j``. (E)
prints ``s0 + ζ⁺ s̄ - ζ⁻ s̲``; consistent with the set Û it is ``ζ⁺ s̄ + ζ⁻ s̲``. (S1) prints an
undefined ``o_g``; ``o⁺ + o⁻`` is used, so that θ ≥ 0. (16l), (18b)-(18e): the block index is that
of the bus. "1190 kW, 53.2 % of the total load": 53.2 % is the share left unserved.

Methods: ``column_and_constraint`` keeps a full LinDist3Flow copy of the nominal load and of
each realization found, and stops when no realization costs more than θ; ``nominal`` is the
deterministic counterpart, whose plan is not robust and never certified as such.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace
from time import perf_counter
from typing import TYPE_CHECKING, Any

import numpy as np
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.laterals import SeenNetwork
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.centring import centre, moved_inward
from gridproof.optimizer.partitioning.cutting_plane import CuttingPlaneMaster
from gridproof.optimizer.partitioning.horizon import plan_each, plan_held
from gridproof.optimizer.partitioning.master import PartitioningMaster
from gridproof.optimizer.partitioning.options import METHODS, PartitioningOptions
from gridproof.optimizer.partitioning.plans import (
    ACTS_ON,
    assemble,
    no_plan,
    refuse_fleet,
    refuse_loops,
)
from gridproof.optimizer.partitioning.subproblems import VertexSubproblems
from gridproof.optimizer.separation.islands import IslandSeparation, check_budget
from gridproof.optimizer.separation.region import Region, vertex_count
from gridproof.optimizer.separation.worst_case import FEW_VERTICES
from gridproof.optimizer.solver.decomposition import Outcome, PlanProgress, Worst, decompose
from gridproof.optimizer.solver.solve import Answer
from gridproof.scenarios.apart import taken_apart
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.event_faults import refuse_events
from gridproof.scenarios.sets import Box

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.scenario import Scenario

__all__ = ["METHODS", "PartitioningOptions", "PartitioningPlanner"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PartitioningPlanner:
    """Plans a scenario: each step on its own, or all under one configuration."""

    options: PartitioningOptions = field(default_factory=PartitioningOptions)

    def plan(
        self, scenario: Scenario, *, progress: Callable[[PlanProgress], None] | None = None
    ) -> Plan:
        """Find a plan and what can be proven about it.

        Raises
        ------
        NoPlanExists
            If it is proven that no plan satisfies the scenario and the options' requirements.
        PlanNotFound
            If a limit came before any robust plan was found.
        ScenarioError
            If the scenario cannot be planned for by this method.
        """
        began = perf_counter()
        refuse_loops(scenario)
        refuse_fleet(scenario)
        refuse_events(scenario, "partitioning", ACTS_ON, half_planes=True)

        asked = taken_apart(scenario).scenario if self.options.per_phase else scenario

        def plan_step(one: Scenario, time: int) -> Outcome[FirstStage]:
            left = self.options.time_limit_s - (perf_counter() - began)
            return _plan_step(one, time, self.options, left, progress)

        if self.options.hold_configuration and len(scenario.hours) > 1:
            steps, failed = plan_held(asked, plan_step)
        else:
            steps, failed = plan_each(asked, plan_step)
        if failed is not None:
            raise no_plan(scenario, failed, self.options, steps[-1].proof)
        return assemble(scenario, steps, robust=self.options.method != "nominal")


def _plan_step(
    scenario: Scenario,
    time: int,
    options: PartitioningOptions,
    time_limit_s: float,
    progress: Callable[[PlanProgress], None] | None,
) -> Outcome[FirstStage]:
    began, tell = perf_counter(), progress or _nobody
    tell(_at_stage("building", 0.0))
    network = Network.of(
        scenario, time, ac_margin=options.ac_margin, ac_margin_at=options.ac_margin_at
    )
    box = scenario.uncertainty
    check_budget(options.budget, box)
    master, oracle = _two_stages(network, options)
    size = box.spread * _demand_kw(scenario, time)
    everything = Region.of(box, np.arange(box.size), options.budget)
    corners = everything.highest(np.stack([size, -size]))[1]
    if options.method == "column_and_constraint" and (box.spread > 0.0).any():
        # all high is the likeliest to break a plan; a second copy now costs more than it saves
        master.add(corners[0])
    built_s = perf_counter() - began
    within = _InwardMaster(master, network, corners) if _tries_inward(options, box) else master
    outcome = decompose(
        within,
        oracle,
        gap=options.gap,
        time_limit_s=max(time_limit_s - built_s, 0.0),
        max_iterations=options.max_iterations,
        progress=progress,
    )
    seconds = {"building": built_s, **outcome.proof.seconds}
    outcome = replace(outcome, proof=replace(outcome.proof, seconds=seconds))
    if outcome.candidate is None or not options.centre:
        return outcome
    tell(_at_stage("centring", perf_counter() - began, outcome))
    left = time_limit_s - (perf_counter() - began)
    kept = list(master.kept)
    if options.method != "nominal" and (box.spread > 0.0).any():
        kept = _with(kept, corners)
    return centre(network, oracle, outcome, kept, time_limit_s=left)


def _tries_inward(options: PartitioningOptions, box: Box) -> bool:
    """Whether a packing is worth moving away from its limits before it is separated.

    It is where no separation tries all vertices.
    """
    many = vertex_count(int((box.spread > 0.0).sum()), None) > FEW_VERTICES
    return many and options.centre and options.method == "column_and_constraint"


class _InwardMaster:
    """A master whose packings lie away from their limits, at no greater cost.

    A cheapest candidate lies on limits, where it takes dozens of times as long to prove what none
    of the set exceeds. One that centring would find there is as cheap. On networks too large to be
    packed, finding it takes longer than that: IEEE 8500 9 s of processor time against 3.
    """

    def __init__(self, master: Any, network: Network, corners: FloatArray) -> None:
        self._master, self._corners, self._seen = master, corners, SeenNetwork.of(network)

    @property
    def realizations(self) -> int:
        return int(self._master.realizations)

    def add(self, zeta: FloatArray) -> bool:
        return bool(self._master.add(zeta))

    def solve(self, *, gap: float, time_limit_s: float) -> tuple[Answer, FirstStage | None]:
        ends = perf_counter() + time_limit_s
        answer, candidate = self._master.solve(gap=gap, time_limit_s=time_limit_s)
        if candidate is None or not (self._master.packed and candidate.energized.any()):
            return answer, candidate

        def left() -> float:
            return max(0.0, ends - perf_counter())

        kept = _with(self._master.kept, self._corners)
        moved = moved_inward(self._seen, candidate, kept, -np.inf, left)
        return answer, candidate if moved is None else moved[0]


def _with(kept: list[FloatArray], corners: FloatArray) -> list[FloatArray]:
    """Realizations kept, and corners that are not among them."""
    return kept + [z for z in corners if not any(np.array_equal(z, known) for known in kept)]


def _nobody(_: PlanProgress) -> None:
    """Tell nobody."""


def _at_stage(
    stage: str, elapsed_s: float, ended: Outcome[FirstStage] | None = None
) -> PlanProgress:
    """Say which stage begins, before or after a search."""
    proof = None if ended is None else ended.proof
    return PlanProgress(
        iteration=0 if proof is None else proof.iterations,
        bound=-np.inf if proof is None else proof.bound,
        incumbent=np.inf if proof is None else proof.incumbent,
        realizations=0 if proof is None else proof.realizations_kept,
        elapsed_s=elapsed_s,
        stage=stage,
    )


def _two_stages(network: Network, options: PartitioningOptions) -> tuple[Any, Any]:
    """Master and oracle of a method."""
    if options.method == "nominal":
        return PartitioningMaster(network, options), _NominalOnly(network)
    separation = IslandSeparation(
        network=network,
        kind=options.separation,
        budget=options.budget,
        gap=options.gap,
        slack_usd_per_kw=options.slack_usd_per_kw,
    )
    if options.method == "cutting_plane":
        every = options.separation == "enumeration"
        subproblems = VertexSubproblems(
            network,
            budget=options.budget,
            separation=None if every else separation,
            slack_usd_per_kw=options.slack_usd_per_kw,
        )
        return CuttingPlaneMaster(network, options, subproblems), subproblems
    master = PartitioningMaster(network, options)
    return master, replace(separation, reach=master.reach)


def _demand_kw(scenario: Scenario, time: int) -> FloatArray:
    """(direction,) nominal demand of each uncertain load."""
    total = dict(
        zip(scenario.feeder.loads.ids, scenario.load_p_kw[time].sum(axis=1).tolist(), strict=True)
    )
    return np.array([total[name] for name in scenario.uncertainty.load_ids], dtype=float)


class _NominalOnly:
    """The oracle of the deterministic counterpart: nothing moves, nothing costs."""

    def __init__(self, network: Network) -> None:
        self._scenario = network.scenario

    def first_stage_usd(self, candidate: FirstStage) -> float:
        return candidate.cost_usd(self._scenario)

    def worst(self, candidate: FirstStage, *, time_limit_s: float) -> Worst:  # noqa: ARG002
        return Worst(zeta=np.zeros(self._scenario.uncertainty.size), cost_usd=0.0, violation=0.0)
