"""Why a block is dead: what stands against serving it, or what serving it would cost.

The plan says which blocks stay dark, not why. For each of them, alone, an elastic second stage
with the block forced live is asked for the least limits to pass, every other state free
(`optimizer.network.elastic`): first at the nominal load, then at the extreme realizations.
Where that is 0 the whole search is run once more with the block forced live:

impossible
    The elastic optimum is above 0, or the forced search is proven to have no plan: no plan of
    this study has the block live. What binds is listed, in figures.
dearer
    There is such a plan, and none is cheaper than the one in hand: both costs are given.
no_dearer
    There is such a plan at no greater cost: the plan was not searched for to the end, or was
    made elsewhere.
undecided
    A limit came first.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from enum import StrEnum
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.hopeless import HopelessLaterals
from gridproof.optimizer.partitioning.master import PartitioningMaster
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.shortfalls import Elastic, Shortfall, least_shortfalls
from gridproof.optimizer.partitioning.topology import BlockGraph
from gridproof.optimizer.separation.islands import IslandSeparation
from gridproof.optimizer.separation.region import Region
from gridproof.optimizer.solver.decomposition import decompose
from gridproof.scenarios.apart import taken_apart
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.proof import Termination

if TYPE_CHECKING:
    from gridproof.scenarios.plan import Plan
    from gridproof.scenarios.scenario import Scenario

__all__ = ["Alternative", "DeadBlock", "Shortfall", "Standing", "why_dead"]

LARGE = 2000
"""Nodes beyond which a lateral that no state of its root can serve is an answer by itself, and
a plan with the block live is searched for before what lacks."""

FINER = (32, 64, 128, 256)
"""Sides of the polygon that are tried where only ratings stand against a block."""


class Standing(StrEnum):
    """What became of the question whether a dead block could be live."""

    IMPOSSIBLE = "impossible"
    DEARER = "dearer"
    NO_DEARER = "no_dearer"
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class Alternative:
    """The cheapest plan found with the block live, at one step.

    Attributes
    ----------
    cost_usd, bound_usd
        What it costs, and what none with the block live can cost less than.
    served_kw
        Nominal demand that it serves.
    """

    cost_usd: float
    bound_usd: float
    served_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class DeadBlock:
    """Why one block is dead at one step.

    Attributes
    ----------
    step, block
        Where.
    demand_kw
        Its nominal demand.
    standing
        What is known.
    no_former
        Whether no state of the switches joins it to a DER that can form an island.
    shortfalls
        What lacks, the greatest of each kind first; the least found in sum.
    realization
        At which load: ``nominal``, or in words which loads are up and down; empty if the
        shortfalls are of several.
    polygon_sides
        The least number of sides that leaves nothing lacking, if the polygon inside the circle
        of ratings alone stands against the block; None if it does not.
    margin_alone
        Whether the margins that the planner keeps (``ac_margin``) alone stand against it.
    plan_usd
        Cost of the plan in hand at the step, worst re-dispatch included; None if not asked.
    alternative
        A plan with the block live, if one was found.
    """

    step: int
    block: str
    demand_kw: float
    standing: Standing
    no_former: bool = False
    shortfalls: tuple[Shortfall, ...] = ()
    realization: str = ""
    polygon_sides: int | None = None
    margin_alone: bool = False
    plan_usd: float | None = None
    alternative: Alternative | None = None


def why_dead(
    plan: Plan,
    scenario: Scenario,
    options: PartitioningOptions,
    *,
    time_limit_s: float | None = None,
    progress: Callable[[str], None] | None = None,
) -> tuple[DeadBlock, ...]:
    """Say of each dead block of a partitioning plan what stands against serving it.

    Parameters
    ----------
    plan, scenario, options
        The plan, what it is of, and how plans are searched for; what the options require of a
        plan holds for the alternatives too.
    time_limit_s
        Wall time for all blocks together; the options' if left out.
    progress
        Told the name of each block as it is taken up.

    Returns
    -------
    tuple of DeadBlock
        In the order of steps and blocks.
    """
    if options.per_phase:
        scenario = taken_apart(scenario).scenario
    limit_s = options.time_limit_s if time_limit_s is None else time_limit_s
    deadline = perf_counter() + limit_s
    asked = [
        (time, block)
        for time in range(len(scenario.hours))
        for block in np.flatnonzero(~plan.energized[time]).tolist()
    ]
    found, inquiries = [], {}
    for number, (time, block) in enumerate(asked):
        if progress is not None:
            progress(scenario.feeder.blocks.ids[block])
        if time not in inquiries:
            inquiries[time] = _Inquiry(FirstStage.of(plan, time), scenario, time, options)
        left = max(deadline - perf_counter(), 0.0) / (len(asked) - number)
        found.append(inquiries[time].ask(block, perf_counter() + left))
    return tuple(found)


class _Inquiry:
    """The questions about one step of a plan."""

    def __init__(
        self, stage: FirstStage, scenario: Scenario, time: int, options: PartitioningOptions
    ) -> None:
        self.stage, self.scenario, self.time, self.options = stage, scenario, time, options
        self.network = _network(scenario, time, options)
        self.demand_kw = scenario.block_demand_kw(time)
        self._plan_usd: float | None = None
        self._hopeless: HopelessLaterals | None = None

    def ask(self, block: int, deadline: float) -> DeadBlock:
        """Say why a block is dead, by a moment of `time.perf_counter`."""
        said = DeadBlock(
            step=self.time,
            block=self.scenario.feeder.blocks.ids[block],
            demand_kw=float(self.demand_kw[block]),
            standing=Standing.UNDECIDED,
        )
        if not _reaches_former(self.scenario, block):
            return replace(said, standing=Standing.IMPOSSIBLE, no_former=True)
        corners = self._corners()
        if perf_counter() >= deadline:
            return said
        if self.network.phases.sum() > LARGE:
            lacking = self._lateral_lacks(said, block, corners)
            forced = lacking or self._forced(said, block, corners, deadline)
            if forced.standing is not Standing.UNDECIDED or forced.alternative is not None:
                return forced
        for zetas in ([], corners) if corners else ([],):
            elastic = self._elastic(self.network, block, zetas, deadline)
            if elastic.impossible:
                return self._impossible(said, block, zetas, elastic, deadline)
            if elastic.undecided:
                return said
        return self._forced(said, block, corners, deadline)

    def _lateral_lacks(
        self, said: DeadBlock, block: int, corners: Sequence[FloatArray]
    ) -> DeadBlock | None:
        """Say which laterals no state of their roots can serve, of the block or on every way."""
        if self._hopeless is None:
            self._hopeless = HopelessLaterals.of(self.network, corners, sides=FINER[-1])
        told = self._hopeless.against(block)
        if told is None:
            return None
        shortfalls, zeta = told
        return replace(
            said,
            standing=Standing.IMPOSSIBLE,
            shortfalls=shortfalls,
            realization=_realization_words(self.scenario, [] if zeta is None else [zeta], 0),
        )

    def _impossible(
        self,
        said: DeadBlock,
        block: int,
        zetas: Sequence[FloatArray],
        elastic: Elastic,
        deadline: float,
    ) -> DeadBlock:
        """Fill in what binds, and whether the planner's own caution alone does."""
        sides, alone = None, False
        if any(one.drawn_in for one in elastic.shortfalls):
            sides = self._sides_enough(block, zetas, deadline)
        if self.options.ac_margin > 0.0 or self.options.ac_margin_at:
            bare = Network.of(self.scenario, self.time)
            alone = self._elastic(bare, block, zetas, deadline).possible
        return replace(
            said,
            standing=Standing.IMPOSSIBLE,
            shortfalls=elastic.shortfalls,
            realization=_realization_words(self.scenario, zetas, elastic.copy),
            polygon_sides=sides,
            margin_alone=alone,
        )

    def _sides_enough(self, block: int, zetas: Sequence[FloatArray], deadline: float) -> int | None:
        finer = [sides for sides in FINER if sides > self.network.sides]

        def enough(sides: int) -> bool:
            network = replace(self.network, sides=sides)
            return self._elastic(network, block, zetas, deadline).possible

        if not finer or not enough(finer[-1]):
            return None
        return next((sides for sides in finer[:-1] if enough(sides)), finer[-1])

    def _forced(
        self, said: DeadBlock, block: int, corners: Sequence[FloatArray], deadline: float
    ) -> DeadBlock:
        """Search for a plan with the block live, as the plan itself was searched for."""
        options, network = self.options, self.network
        master = PartitioningMaster(network, options)
        master.model.energized[block].fix(1)
        robust = options.method != "nominal"
        if robust:
            for zeta in corners:
                master.add(zeta)
            oracle = self._oracle(master.reach)
            ended = decompose(
                master, oracle, gap=options.gap, time_limit_s=max(0.0, deadline - perf_counter()),
                max_iterations=options.max_iterations,
            )  # fmt: skip
            proof, candidate = ended.proof, ended.candidate
            termination, cost, bound = proof.termination, proof.incumbent, proof.bound
        else:
            answer, candidate = master.solve(
                gap=options.gap, time_limit_s=max(0.0, deadline - perf_counter())
            )
            termination, cost, bound = answer.termination, answer.incumbent, answer.bound
        if candidate is None:
            if termination is not Termination.INFEASIBLE:
                return said
            kept = list(master.kept)
            elastic = self._elastic(network, block, kept, deadline)
            return self._impossible(said, block, kept, elastic, deadline)
        plan_usd = self._cost_of_plan(deadline)
        other = Alternative(
            cost_usd=float(cost),
            bound_usd=float(bound),
            served_kw=float(self.demand_kw[candidate.energized].sum()),
        )
        said = replace(said, plan_usd=plan_usd, alternative=other)
        if plan_usd is None:
            return said
        room = options.gap * max(1.0, abs(plan_usd))
        if other.cost_usd <= plan_usd + room:
            return replace(said, standing=Standing.NO_DEARER)
        if other.bound_usd > plan_usd:
            return replace(said, standing=Standing.DEARER)
        return said

    def _cost_of_plan(self, deadline: float) -> float | None:
        """Cost of the plan in hand at the step; None where its worst case is not known."""
        if self._plan_usd is None:
            cost = self.stage.cost_usd(self.scenario)
            if self.options.method != "nominal" and self.stage.energized.any():
                worst = self._oracle(None).worst(
                    self.stage, time_limit_s=max(1.0, deadline - perf_counter())
                )
                cost += worst.certain_usd if worst.complete else np.inf
            self._plan_usd = float(cost)
        return self._plan_usd if np.isfinite(self._plan_usd) else None

    def _oracle(self, reach: FloatArray | None) -> IslandSeparation:
        options = self.options
        return IslandSeparation(
            network=self.network, kind=options.separation, budget=options.budget,
            gap=options.gap, reach=reach,
        )  # fmt: skip

    def _elastic(
        self, network: Network, block: int, zetas: Sequence[FloatArray], deadline: float
    ) -> Elastic:
        return least_shortfalls(
            network, self.options, block, zetas, time_limit_s=max(0.0, deadline - perf_counter())
        )

    def _corners(self) -> list[FloatArray]:
        """Realizations with demand at its highest and at its lowest."""
        box = self.scenario.uncertainty
        if self.options.method == "nominal" or not (box.spread > 0.0).any():
            return []
        of = self.scenario.feeder.loads.ids
        demand = dict(zip(of, self.scenario.load_p_kw[self.time].sum(axis=1), strict=True))
        size = box.spread * np.array([demand[name] for name in box.load_ids], dtype=float)
        everything = Region.of(box, np.arange(box.size), self.options.budget)
        found = everything.highest(np.stack([size, -size]))[1]
        return [np.asarray(zeta) for zeta in found]


def _network(scenario: Scenario, time: int, options: PartitioningOptions) -> Network:
    return Network.of(
        scenario, time, ac_margin=options.ac_margin, ac_margin_at=options.ac_margin_at
    )


def _reaches_former(scenario: Scenario, block: int) -> bool:
    """Whether switches that are not locked open could join a block to a DER that can form."""
    graph = BlockGraph.of(scenario)
    shut = scenario.feeder.lines.closed[scenario.feeder.switches]
    usable = np.flatnonzero(shut | ~scenario.locked).tolist()
    joined = next(blocks for blocks in graph.components(usable) if block in blocks)
    return bool(set(joined) & set(graph.former_blocks))


def _realization_words(scenario: Scenario, zetas: Sequence[FloatArray], copy: int | None) -> str:
    """Name the load at which most lacks: nominal, all up, all down, or which are up and down."""
    if not zetas:
        return "nominal"
    if copy is None:
        return ""
    box = scenario.uncertainty
    names, above = box.load_ids, zetas[copy] - (box.low + box.high) / 2.0
    up = [name for name, z in zip(names, above.tolist(), strict=True) if z > 0.0]
    down = [name for name, z in zip(names, above.tolist(), strict=True) if z < 0.0]
    for some, others, word in ((up, down, "highest"), (down, up, "lowest")):
        if not others and len(some) == len(names):
            return f"every uncertain load at its {word}"
    return "; ".join(
        f"{_listed(some)} at {'its' if len(some) == 1 else 'their'} {word}"
        for some, word in ((up, "highest"), (down, "lowest"))
        if some
    )


def _listed(names: Sequence[str], most: int = 6) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return f"{', '.join(names[:most])}{more}"
