"""What is proven of a plan over a whole load set, what is refuted, and what is left open."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from gridproof.federation.jsonable import IF_KNOWN, Jsonable

__all__ = ["CertificateReport", "Claim", "IslandClaim", "KindClaim", "LoadSet", "WorstClaim"]


class Claim(StrEnum):
    """What is known of a limit over a set."""

    PROVEN = "proven"  # every load of the set has a power flow inside it
    REFUTED = "refuted"  # a load of the set is outside it, as OpenDSS solves it
    UNDECIDED = "undecided"


@dataclass(frozen=True, slots=True, kw_only=True)
class KindClaim(Jsonable):
    """One kind of limit of one island.

    Attributes
    ----------
    verdict
        What is known.
    worst, remainder
        Least margin over the set by the tangent, and the most by which the truth can be below it;
        None where no bound holds. ``unit`` is the margin's.
    element, phase
        Whose margin that is.
    zeta
        The load that attains it by the tangent; of a refuted limit the load that breaks it.
    attained
        The kind's margin in this island at that load, solved by OpenDSS; None where it found none.
    missing
        What stands between here and a proof; only where undecided.
    """

    verdict: Claim
    worst: float | None
    remainder: float | None
    unit: str
    element: str | None
    phase: str | None
    zeta: Mapping[str, float]
    attained: float | None
    missing: str | None = field(default=None, metadata=IF_KNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class IslandClaim(Jsonable):
    """One island at one step.

    Attributes
    ----------
    formers, step, nodes
        Which DERs hold its voltage, at which step, and its live nodes.
    verdict
        The worst of its kinds.
    nominal_inside
        Whether the plan's own state, at nominal load, is inside every limit.
    kinds
        By kind of limit.
    width_pu, remainder_pu
        Largest change of a node's voltage over the set, and how far it can be from the tangent;
        None where the tube does not close.
    unique
        Whether the power flow in the tube is shown to be the only one there.
    parts, depth
        Parts that the set was cut into, and how often at most.
    seconds
        What the certificates took, OpenDSS not counted.
    """

    formers: tuple[str, ...]
    step: int
    nodes: int
    verdict: Claim
    nominal_inside: bool
    kinds: Mapping[str, KindClaim]
    width_pu: float | None
    remainder_pu: float | None
    unique: bool
    parts: int
    depth: int
    seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSet(Jsonable):
    """The set that is spoken of.

    Attributes
    ----------
    kind
        ``box``, ``budget``, ``parallelotope``.
    directions
        Half-width of each coordinate, as a share of nominal; how far it rises where it does not
        fall as far.
    down
        Then how far it falls.
    gamma
        Of a budget: how many coordinates may be at an end of their range at once.
    """

    kind: str
    directions: Mapping[str, float]
    down: Mapping[str, float] | None = field(default=None, metadata=IF_KNOWN)
    gamma: float | None = field(default=None, metadata=IF_KNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorstClaim(Jsonable):
    """The least margin of all islands and kinds, on one scale.

    Attributes
    ----------
    step, formers, kind, margin, remainder, unit, element, phase, zeta
        As the island's `KindClaim` has them.
    relative
        The margin as `scenarios.verdict.least_margin` scales it.
    """

    step: int
    formers: tuple[str, ...]
    kind: str
    margin: float
    remainder: float | None
    unit: str
    element: str | None
    phase: str | None
    relative: float
    zeta: Mapping[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class CertificateReport(Jsonable):
    """Everything that is known of a plan over a set, without sampling.

    Attributes
    ----------
    study, family
        Whose plan.
    verdict
        *proven* if every limit of every island is, *refuted* if one is.
    load_set, recourse
        Over what, and with what answer of the DERs.
    islands
        At every step.
    worst
        None where no island has a state at all.
    remainder
        Largest remainder of a kind, on the scale of ``worst.relative``; None where one is infinite.
    said
        What has to be known beside the verdict.
    evaluations
        Power flows that OpenDSS solved for it.
    seconds
        All together.
    """

    study: str
    family: str
    verdict: Claim
    load_set: LoadSet
    recourse: str
    islands: tuple[IslandClaim, ...]
    worst: WorstClaim | None
    remainder: float | None
    said: tuple[str, ...]
    evaluations: int
    seconds: float

    @property
    def least_margin(self) -> float | None:
        """Scaled margin that no load of the set is below; None where nothing bounds it."""
        if self.worst is None or self.remainder is None:
            return None
        return self.worst.relative - self.remainder

    def __repr__(self) -> str:
        return f"<CertificateReport {self.study}: {self.verdict.value}>"
