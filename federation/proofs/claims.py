"""From certificates and witnesses to what is claimed, in a report's words."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np
from gridproof.federation.records.certificate_report import (
    CertificateReport,
    Claim,
    IslandClaim,
    KindClaim,
    LoadSet,
    WorstClaim,
)
from gridproof.federation.records.rows import MARGIN_UNITS, element_names, slot_names
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box, Budget, UncertaintySet, Wasserstein
from gridproof.scenarios.verdict import MarginKind, margin_scale
from gridproof.simulator.opendss.network import IslandNetwork
from gridproof.simulator.proof.bounds import KindBound
from gridproof.simulator.proof.certificate import Certificate
from gridproof.simulator.proof.limits import KINDS

if TYPE_CHECKING:
    from gridproof.federation.studies.study import Study

__all__ = ["Search", "Witness", "island_claim", "report_of", "set_words"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Witness:
    """A load of the set that is outside a limit, as OpenDSS solves it."""

    zeta: FloatArray
    margin: float
    element: int
    phase: int


@dataclass(slots=True, eq=False)
class Search:
    """What is known of an island so far.

    Attributes
    ----------
    whole
        The certificate of the whole set.
    leaves
        Certificates of the parts that the set is cut into; of one part, the whole.
    witnesses, attained
        By kind: the load that breaks it, and the margin at the worst load that was tried.
    depth
        How often the set was cut at most.
    ran_out
        Whether cutting ended for want of time.
    """

    whole: Certificate
    leaves: list[Certificate] = field(default_factory=list)
    witnesses: dict[MarginKind, Witness] = field(default_factory=dict)
    attained: dict[MarginKind, float] = field(default_factory=dict)
    depth: int = 0
    ran_out: bool = False

    def least(self, kind: MarginKind) -> float:
        """Return what no margin of a kind is below."""
        return min(leaf.least(kind) for leaf in self.leaves)


def set_words(scenario: Scenario, load_set: UncertaintySet) -> LoadSet:
    """Describe a set over the scenario's directions."""
    spread = dict(zip(scenario.direction_ids, scenario.direction_spread.tolist(), strict=True))
    if isinstance(load_set, Budget):
        return LoadSet(kind="budget", directions=spread, gamma=float(load_set.gamma.sum()))
    kind = "parallelotope" if isinstance(load_set, Wasserstein) else "box"
    down = None
    if isinstance(load_set, Box) and not load_set.even:
        falls = -load_set.low * load_set.spread
        down = dict(zip(scenario.direction_ids, falls.tolist(), strict=True))
        rises = load_set.high * load_set.spread
        spread = dict(zip(scenario.direction_ids, rises.tolist(), strict=True))
    return LoadSet(kind=kind, directions=spread, down=down)


def island_claim(
    scenario: Scenario,
    network: IslandNetwork,
    search: Search,
    *,
    missing: str,
    step: int,
    inside: bool,
) -> IslandClaim:
    """Say what is known of one island."""
    kinds = {
        kind.value: _kind_claim(scenario, search, kind, missing)
        for kind in KINDS
        if missing or search.whole.missing or any(b.kind is kind for b in search.whole.bounds)
    }
    widths = [leaf.width_pu for leaf in search.leaves]
    remainders = [leaf.remainder_pu for leaf in search.leaves]
    return IslandClaim(
        formers=tuple(scenario.ders.ids[k] for k in network.forming.der),
        step=step,
        nodes=len(network.node_at),
        verdict=_together([claim.verdict for claim in kinds.values()]),
        nominal_inside=inside,
        kinds=kinds,
        width_pu=search.whole.width_pu,
        remainder_pu=_most(remainders) if None not in widths else None,
        unique=not missing and all(leaf.unique for leaf in search.leaves),
        parts=len(search.leaves),
        depth=search.depth,
        seconds=sum(leaf.seconds for leaf in search.leaves),
    )


def _kind_claim(scenario: Scenario, search: Search, kind: MarginKind, missing: str) -> KindClaim:
    witness = search.witnesses.get(kind)
    bounds = [(leaf, b) for leaf in search.leaves for b in leaf.bounds if b.kind is kind]
    worst = min((b for _, b in bounds), key=lambda b: (b.least, b.worst), default=None)
    proven = not missing and search.least(kind) >= -scenario.limits.tolerance
    if witness is not None:
        verdict, zeta = Claim.REFUTED, witness.zeta
    else:
        verdict = Claim.PROVEN if proven else Claim.UNDECIDED
        zeta = np.zeros(0) if worst is None else worst.zeta[0]
    bounded = worst is not None and np.isfinite(worst.remainder) and not missing
    element, phase = (-1, -1) if worst is None else (worst.element, worst.phase)
    attained = search.attained.get(kind) if witness is None else witness.margin
    if witness is not None:
        element, phase = witness.element, witness.phase
    return KindClaim(
        verdict=verdict,
        worst=None if worst is None else worst.worst,
        remainder=worst.remainder if worst is not None and bounded else None,
        unit=MARGIN_UNITS[kind.value],
        element=element_names(scenario, kind)[element] if element >= 0 else None,
        phase=_slot(scenario, kind, phase),
        zeta=_zeta(scenario, zeta),
        attained=None if attained is None or not np.isfinite(attained) else attained,
        missing=_missing(search, worst, missing) if verdict is Claim.UNDECIDED else None,
    )


def _missing(search: Search, worst: KindBound | None, missing: str) -> str:
    """Say what stands between here and a proof."""
    if missing:
        return missing
    if worst is None or not np.isfinite(worst.remainder):
        return next((leaf.missing for leaf in search.leaves if leaf.missing), "no bound holds")
    short = -worst.least
    ended = "for want of time" if search.ran_out else f"at depth {search.depth}"
    return (
        f"the worst margin is known between {worst.least:.3g} and {worst.worst:.3g}; {short:.2g} "
        f"is lacking, and cutting the set ended {ended}"
    )


def report_of(
    study: Study,
    plan: Plan,
    islands: tuple[IslandClaim, ...],
    *,
    load_set: LoadSet,
    recourse: str,
    said: tuple[str, ...],
    damaged: tuple[str, ...],
    evaluations: int,
    seconds: float,
) -> CertificateReport:
    """Put the islands together."""
    limits = study.scenario.limits
    claims = [(island, kind, claim) for island in islands for kind, claim in island.kinds.items()]
    ranked = [one for one in claims if one[2].worst is not None]
    least = min(ranked, key=lambda one: _relative(one[1], _low(one[2]), limits), default=None)
    remainders = [
        None
        if claim.remainder is None
        else claim.remainder / margin_scale(MarginKind(kind), limits)
        for _, kind, claim in claims
    ]
    outside = [", ".join(one.formers) for one in islands if not one.nominal_inside]
    if outside:
        said = (
            *said,
            f"the plan's own state is already outside a limit at nominal load (formed by "
            f"{'; '.join(outside)})",
        )
    if damaged:
        said = (
            *said,
            "outside a limit whatever the loads: something that failed is live, or a DER that is "
            f"called live is not in service ({', '.join(damaged)})",
        )
    if not islands:
        said = (*said, "the plan energises nothing: there is nothing that could be outside a limit")
    verdicts = [island.verdict for island in islands] + [Claim.REFUTED] * bool(damaged)
    return CertificateReport(
        study=study.name,
        family=plan.family,
        verdict=_together(verdicts),
        load_set=load_set,
        recourse=recourse,
        islands=islands,
        worst=None if least is None else _worst(*least, limits),
        remainder=None if None in remainders else _most(remainders),
        said=said,
        evaluations=evaluations,
        seconds=seconds,
    )


def _worst(island: IslandClaim, kind: str, claim: KindClaim, limits: Limits) -> WorstClaim:
    margin = _low(claim)
    return WorstClaim(
        step=island.step,
        formers=island.formers,
        kind=kind,
        margin=margin,
        remainder=claim.remainder,
        unit=claim.unit,
        element=claim.element,
        phase=claim.phase,
        relative=_relative(kind, margin, limits),
        zeta=claim.zeta,
    )


def _low(claim: KindClaim) -> float:
    """Return the tangent's worst margin, or OpenDSS's at a load that broke the limit."""
    assert claim.worst is not None
    if claim.verdict is Claim.REFUTED and claim.attained is not None:
        return claim.attained
    return claim.worst


def _relative(kind: str, margin: float, limits: Limits) -> float:
    return (margin + limits.tolerance) / margin_scale(MarginKind(kind), limits)


def _together(claims: list[Claim]) -> Claim:
    for claim in (Claim.REFUTED, Claim.UNDECIDED):
        if claim in claims:
            return claim
    return Claim.PROVEN


def _most(values: list[float | None]) -> float:
    return max((one for one in values if one is not None), default=0.0)


def _slot(scenario: Scenario, kind: MarginKind, slot: int) -> str | None:
    names = slot_names(scenario, kind)
    return names[slot] if 0 <= slot < len(names) else None


def _zeta(scenario: Scenario, zeta: FloatArray) -> dict[str, float]:
    return dict(zip(scenario.direction_ids, zeta.tolist(), strict=False))
