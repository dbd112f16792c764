"""From what a search ended with to the plan it is published as, or to the reason why not."""

from __future__ import annotations

from collections.abc import Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.network.branches import BASE_KVA
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.solver.decomposition import Outcome
from gridproof.scenarios.errors import NoPlanExists, PlanError, PlanNotFound, ScenarioError
from gridproof.scenarios.events import EventKind
from gridproof.scenarios.loops import turning_blocks
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.proof import Proof, Termination
from gridproof.scenarios.provenance import facts_of

if TYPE_CHECKING:
    from gridproof.optimizer.partitioning.options import PartitioningOptions
    from gridproof.scenarios.scenario import Scenario

__all__ = ["ACTS_ON", "assemble", "join_proofs", "no_plan", "refuse_fleet", "refuse_loops"]


def assemble(
    scenario: Scenario, steps: Sequence[Outcome[FirstStage]], *, robust: bool = True
) -> Plan:
    """Join the steps of a search into one plan.

    Parameters
    ----------
    scenario
        What was planned for.
    steps
        One outcome with a candidate per step.
    robust
        False if the method proved nothing about realizations other than the nominal.
    """
    stages = [step.candidate for step in steps if step.candidate is not None]
    proof = join_proofs([step.proof for step in steps], robust=robust)
    shed = sum(stage.shed_usd(scenario) for stage in stages)
    generation = sum(stage.generation_usd(scenario) for stage in stages)
    redispatch = sum(step.worst.certain_usd for step in steps if step.worst is not None)
    return Plan(
        family="partitioning",
        scenario_digest=scenario.digest(),
        switch_ids=scenario.feeder.switch_ids,
        block_ids=scenario.feeder.blocks.ids,
        der_ids=scenario.ders.ids,
        closed=np.array([stage.closed for stage in stages]),
        energized=np.array([stage.energized for stage in stages]),
        grid_forming=np.array([stage.forming for stage in stages]),
        source_v_pu=np.array(
            [np.where(stage.forming, np.sqrt(stage.source_w), np.nan) for stage in stages]
        ),
        p_kw=np.array([stage.p for stage in stages]) * BASE_KVA,
        q_kvar=np.array([stage.q for stage in stages]) * BASE_KVA,
        costs=MappingProxyType(
            {
                "shed": shed,
                "generation": generation,
                "redispatch": redispatch,
                "objective": shed + generation + redispatch,
            }
        ),
        proof=proof,
        made_for=MappingProxyType(facts_of(scenario)),
    )


def join_proofs(proofs: Sequence[Proof], *, robust: bool = True) -> Proof:
    """Proof of the sum of independent steps: costs and bounds add up, the worst end counts."""
    ended = [proof.termination for proof in proofs]
    parts = list(dict.fromkeys(name for proof in proofs for name in proof.seconds))
    return Proof(
        termination=next((t for t in ended if t is not Termination.OPTIMAL), Termination.OPTIMAL),
        incumbent=sum(proof.incumbent for proof in proofs),
        bound=sum(proof.bound for proof in proofs),
        asked_gap=min(proof.asked_gap for proof in proofs),
        robust=robust and all(proof.robust for proof in proofs),
        iterations=sum(proof.iterations for proof in proofs),
        realizations_kept=sum(proof.realizations_kept for proof in proofs),
        seconds=MappingProxyType(
            {name: sum(proof.seconds.get(name, 0.0) for proof in proofs) for name in parts}
        ),
    )


ACTS_ON: tuple[EventKind, ...] = ()
"""Kinds of event that a partition is planned for; what is lost beforehand is locked open."""


def refuse_fleet(scenario: Scenario) -> None:
    """Refuse what this family does not model behind the DERs.

    Raises
    ------
    ScenarioError
        Naming every kind.
    """
    unknown = scenario.fleet.beyond(("storages", "renewables"))
    if unknown:
        raise ScenarioError(
            f"{scenario.name}: {', '.join(unknown)} cannot be planned for by the partitioning "
            "family; leave them out, or use a family that knows them"
        )
    storages, steps = scenario.fleet.storages, len(scenario.hours)
    told = storages.schedule_kw if len(storages.schedule_kw) else np.full((steps, 1), np.nan)
    free = [n for k, n in enumerate(storages.ids) if np.isnan(told[:, k % told.shape[1]]).any()]
    if free:
        raise ScenarioError(
            f"{scenario.name}: storage {', '.join(free)} has no schedule_kw, and the partitioning "
            "family plans each step on its own; state one, or use a family that plans the day"
        )
    if not scenario.disturbances.empty:
        raise ScenarioError(
            f"{scenario.name}: the partitioning family knows loads that move by shares, not "
            'disturbances in kW; leave [events] out, or use family = "policy_mode"'
        )


def refuse_loops(scenario: Scenario) -> None:
    """Refuse a loop that no switch opens, over transformers that turn phases.

    Loops of lines are stated by their angles; transformers beside each other between two buses
    count once (single-phase units of a bank stand so).

    Raises
    ------
    ScenarioError
        Naming the blocks.
    """
    looped = turning_blocks(scenario.feeder)
    if looped:
        raise ScenarioError(
            f"block {', '.join(looped)} holds a loop over transformers that no switch can open; "
            "the linear model does not determine flows in it: make one of its lines a switch"
        )


def no_plan(scenario: Scenario, time: int, options: PartitioningOptions, proof: Proof) -> PlanError:
    """Build the exception of a step that ended without a plan: proven, or merely not found."""
    asked = []
    if options.min_energized_blocks:
        asked.append(f"at least {options.min_energized_blocks} live blocks")
    if options.min_served_kw:
        asked.append(f"at least {options.min_served_kw:g} kW served")
    if options.max_served_kw is not None:
        asked.append(f"at most {options.max_served_kw:g} kW served")
    locked = sum(scenario.locked)
    asked.append(f"{locked} locked switches")
    wish = f"{scenario.name}, step {time}, with {', '.join(asked)}"
    if proof.termination is Termination.INFEASIBLE:
        return NoPlanExists(
            f"no plan exists for {wish}: after {proof.iterations} master solves, "
            f"{proof.realizations_kept} realizations of the set are proven to leave no common "
            "plan; ask for less, unlock a switch, or narrow the uncertainty",
            proof,
        )
    spent = proof.seconds.get("total", 0.0)
    bound = "nothing" if np.isinf(proof.bound) else f"{proof.bound:,.2f} USD"
    return PlanNotFound(
        f"no robust plan was found for {wish} before the search ended ({proof.termination}, "
        f"{spent:.1f} s, {proof.iterations} master solves); a lower bound of {bound} was shown. "
        "Raise time_limit_s or max_iterations",
        proof,
    )
