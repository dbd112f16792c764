"""What is told of a plan at one step: proof, costs, blocks, switches, islands and set-points."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gridproof.federation.jsonable import IF_KNOWN, Jsonable
from gridproof.federation.proof_words import PlanFigures
from gridproof.federation.records.ac_proof_report import AcProofReport

__all__ = [
    "BlockAlternative",
    "BlockAnswer",
    "BlockShortfall",
    "CornerRedispatch",
    "DerReport",
    "IslandReport",
    "LinearError",
    "PlanReport",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class IslandReport(Jsonable):
    """Live blocks that are joined.

    Attributes
    ----------
    blocks, grid_forming
        Which, and the DERs that form it.
    demand_kw, served_kw
        Nominal demand, and what the plan asks for of it.
    capacity_kw
        Of its DERs; None where a source without a rating is among them.
    """

    blocks: tuple[str, ...]
    grid_forming: tuple[str, ...]
    demand_kw: float
    served_kw: float
    capacity_kw: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DerReport(Jsonable):
    """A DER under a plan.

    Attributes
    ----------
    bus, block
        Where.
    role
        ``grid-forming``, ``grid-following``, ``substation`` or ``off``.
    p_kw, q_kvar
        Its set-point, all phases.
    capacity_kw, source_v_pu
        Its rating, and the voltage that it holds; None without one.
    """

    bus: str
    block: str
    role: str
    p_kw: float
    q_kvar: float
    capacity_kw: float | None
    source_v_pu: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class CornerRedispatch(Jsonable):
    """What a recourse costs at most over the corners of the set.

    Attributes
    ----------
    policy
        The recourse by name.
    most_usd, corners
        The dearest of so many.
    """

    policy: str
    most_usd: float
    corners: int


@dataclass(frozen=True, slots=True, kw_only=True)
class LinearError(Jsonable):
    """Largest difference of voltage magnitudes, linear model against OpenDSS, in a plan's state.

    Attributes
    ----------
    linearised
        Where the linear model stands: ``flat`` or ``ac``.
    error_pu, bus, phase
        How large, and where; None where there is nothing to compare.
    remark
        Why not.
    """

    linearised: str
    error_pu: float | None = None
    bus: str = ""
    phase: str = ""
    remark: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockShortfall(Jsonable):
    """One limit that stands against serving a block, as `optimizer.partitioning.shortfalls`."""

    kind: str
    element: str
    phase: str
    upper: bool
    amount: float
    unit: str
    limit: float | None
    drawn_in: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockAlternative(Jsonable):
    """The cheapest plan found with the block live, as `optimizer.partitioning.why`."""

    cost_usd: float
    bound_usd: float
    served_kw: float


@dataclass(frozen=True, slots=True, kw_only=True)
class BlockAnswer(Jsonable):
    """Why one block is dead at one step, in figures and words.

    Attributes are those of `optimizer.partitioning.why.DeadBlock`, whose ``standing`` is a word
    here; ``words`` says the same in sentences.
    """

    step: int
    block: str
    demand_kw: float
    standing: str
    no_former: bool = False
    shortfalls: tuple[BlockShortfall, ...] = ()
    realization: str = ""
    polygon_sides: int | None = None
    margin_alone: bool = False
    plan_usd: float | None = None
    alternative: BlockAlternative | None = None
    words: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanReport(PlanFigures):
    """A plan at one step; `federation.records.summary.plan_summary` says what is counted how.

    Attributes
    ----------
    cost_terms
        Terms that a family counts its costs by, USD, where they are others than the usual three.
    termination, objective_usd, bound_usd, gap
        How the search ended, and what it showed.
    shed_cost_usd, generation_cost_usd, redispatch_cost_usd, redispatch_policy
        What the cost is made of, and whose re-dispatch is meant.
    energized_blocks, blocks, closed_switches, switches
        Live blocks and closed switches between them, counted and by name.
    served_kw, served_in_part, demand_kw, served_share
        Nominal demand served, loads of which a share is, and all there is.
    grid_forming, islands, ders
        Who forms, what is joined, who makes what.
    iterations, realizations_kept, seconds
        What the search took.
    redispatch_tried
        What the study's own recourse costs, where it can be told without physics.
    why
        What stands against each dead block, if that was asked.
    unrated_lines
        Lines that are held to no rating, the feeder's file stating none; None if there are none.
    ac_proof
        How the plan came to its proof under AC power flow, if that was asked.
    linear
        How far the linear model is from OpenDSS in the plan's own state, if that was looked at.
    stages_s
        Wall time by stage of planning, where the family counts it.
    """

    cost_terms: Mapping[str, float | None] | None = field(default=None, metadata=IF_KNOWN)
    termination: str
    objective_usd: float | None
    bound_usd: float | None
    gap: float | None
    shed_cost_usd: float | None
    generation_cost_usd: float | None
    redispatch_cost_usd: float | None
    redispatch_policy: str | None
    energized_blocks: int
    blocks: Mapping[str, str]
    closed_switches: int
    switches: Mapping[str, str]
    served_kw: float
    served_in_part: Mapping[str, float]
    demand_kw: float
    served_share: float | None
    grid_forming: tuple[str, ...]
    islands: tuple[IslandReport, ...]
    ders: Mapping[str, DerReport]
    iterations: int
    realizations_kept: int
    seconds: float | None
    redispatch_tried: CornerRedispatch | None = field(default=None, metadata=IF_KNOWN)
    why: tuple[BlockAnswer, ...] | None = field(default=None, metadata=IF_KNOWN)
    unrated_lines: tuple[str, ...] | None = field(default=None, metadata=IF_KNOWN)
    ac_proof: AcProofReport | None = field(default=None, metadata=IF_KNOWN)
    linear: LinearError | None = field(default=None, metadata=IF_KNOWN)
    stages_s: Mapping[str, float] | None = field(default=None, metadata=IF_KNOWN)

    def blocks_that_are(self, state: str) -> tuple[str, ...]:
        """Name the blocks that are ``live`` or ``dead``."""
        return tuple(name for name, one in self.blocks.items() if one == state)

    def switches_that_are(self, state: str) -> tuple[str, ...]:
        """Name the switches that are ``closed`` or ``open``."""
        return tuple(name for name, one in self.switches.items() if one == state)

    def formers_of(self, island: IslandReport) -> str:
        """Name who forms an island; a substation is called one."""
        named = (
            f"{name} (substation)" if self.ders[name].role == "substation" else name
            for name in island.grid_forming
        )
        return ", ".join(named) or "none"
