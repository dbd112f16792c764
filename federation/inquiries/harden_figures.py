"""A finished counter-example loop as values: what each round tried and showed, and the price."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from gridproof.federation.jsonable import Interval, Jsonable
from gridproof.federation.records.certificate_report import Claim, WorstClaim

__all__ = ["FailingPlace", "HardenPrice", "HardenReport", "RoundReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class FailingPlace(Jsonable):
    """An element outside a ``limit`` in so many realizations, and how far at worst."""

    limit: str
    element: str
    realizations: int
    worst_margin: float
    worst_index: int


@dataclass(frozen=True, slots=True, kw_only=True)
class RoundReport(Jsonable):
    """One plan of the loop.

    Attributes
    ----------
    round, directory
        From 1, and where its campaign is.
    ac_margin_pu, margins_at_pu
        What the planner kept clear everywhere, and at single elements by kind and id.
    seed
        Of its realizations.
    energized_blocks, served_kw, objective_usd, certified, grid_forming
        The plan.
    certificate, worst
        What is known of it over every load that can be drawn, and the load that says so; None where
        draws or recourse are of a kind that certificates do not speak of.
    samples, feasible, feasible_share, interval
        What became of it; the interval is two-sided. A plan that is proven is not sampled, and no
        plan is where only a proof will do: no share then.
    alpha, one_sided_bound, shown
        The error the round may spend, the bound at it (1 where proven), and whether that reaches
        the share asked.
    failures, deepest_pu, fails_at
        Outcomes that are not feasible, the deepest margin, and where.
    """

    round: int
    directory: str
    ac_margin_pu: float
    margins_at_pu: Mapping[str, Mapping[str, float]]
    seed: int
    energized_blocks: int
    served_kw: float
    objective_usd: float | None
    certified: bool
    grid_forming: tuple[str, ...]
    certificate: Claim | None
    worst: WorstClaim | None
    samples: int
    feasible: int
    feasible_share: float | None
    interval: Interval | None
    alpha: float
    one_sided_bound: float
    shown: bool
    failures: Mapping[str, int]
    deepest_pu: float | None
    fails_at: tuple[FailingPlace, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class HardenPrice(Jsonable):
    """What the last plan gives up against the first."""

    served_kw: float
    served_share: float | None
    objective_usd: float | None
    energized_blocks: int
    ac_margin_pu: float
    margins_at_pu: Mapping[str, Mapping[str, float]]


@dataclass(frozen=True, slots=True, kw_only=True)
class HardenReport(Jsonable):
    """A finished loop, as ``--json`` prints it.

    Attributes
    ----------
    study, asked_share, confidence
        What was asked.
    shown, end, why
        Whether the share was shown, how the loop ended, and the planner's words.
    rounds, price
        Every plan, and what the last costs against the first.
    advice
        What a wider margin cannot mend; empty where nothing.
    error_control
        What the asked confidence covers.
    versions
        What it was made with.
    """

    study: str
    asked_share: float
    confidence: float
    shown: bool
    end: str
    why: str
    rounds: tuple[RoundReport, ...]
    price: HardenPrice
    advice: str
    error_control: str
    versions: Mapping[str, str]
