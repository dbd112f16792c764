"""How a plan came to a proof under AC power flow: every plan on the way, the price, and a bound."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gridproof.federation.jsonable import Jsonable
from gridproof.federation.records.certificate_report import Claim, WorstClaim

__all__ = ["AcProofReport", "AcProofRound"]


@dataclass(frozen=True, slots=True, kw_only=True)
class AcProofRound(Jsonable):
    """One plan, and what its certificate said.

    Attributes
    ----------
    ac_margin_pu, margins_at_pu
        What the planner kept clear everywhere, and at single elements by kind and id.
    objective_usd, served_kw, energized_blocks
        The plan; a study of several steps serves so much at its first.
    verdict, worst
        What is known of it over the whole set.
    """

    ac_margin_pu: float
    margins_at_pu: Mapping[str, Mapping[str, float]]
    objective_usd: float
    served_kw: float
    energized_blocks: int
    verdict: Claim
    worst: WorstClaim | None


@dataclass(frozen=True, slots=True, kw_only=True)
class AcProofReport(Jsonable):
    """A plan that is proven under AC power flow.

    Attributes
    ----------
    recourse, load_set
        With what answer of the DERs, and over which set.
    rounds
        Every plan made, the proven one last.
    least_margin
        No load of the set leaves less, as `scenarios.verdict.least_margin` scales it; None where
        nothing is live.
    price_usd
        What it costs more than the first, which the linear model alone was asked for.
    bound_usd, bound_words
        No plan that is robust under AC costs less, or None; and why that is so, or why there is
        none.
    """

    recourse: str
    load_set: str
    rounds: tuple[AcProofRound, ...]
    least_margin: float | None
    price_usd: float
    bound_usd: float | None
    bound_words: str
