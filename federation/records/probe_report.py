"""Answers to what a campaign cannot count: the worst realization, and how rare a failure is.

`federation.inquiries.probe` asks; a campaign directory keeps them as files, which may be of an
earlier version.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np
from gridproof.federation.jsonable import IF_KNOWN, Jsonable
from gridproof.federation.records.rows import MARGIN_UNITS
from gridproof.scenarios.verdict import MarginKind

__all__ = [
    "AdversaryReport",
    "DrawnLeast",
    "LimitMargin",
    "RareLevel",
    "RareReport",
    "SearchStage",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class LimitMargin(Jsonable):
    """Margin of one realization to one kind of limit, and where it is least."""

    margin: float
    unit: str
    element: str | None
    phase: str | None

    @classmethod
    def by_kind(cls, row: Mapping[str, Any]) -> dict[str, LimitMargin]:
        """Read them from a campaign's row; a kind that was not judged has none."""
        return {
            kind.value: cls(
                margin=row[f"margin_{kind.value}"],
                unit=MARGIN_UNITS[kind.value],
                element=row[f"element_{kind.value}"],
                phase=row[f"phase_{kind.value}"],
            )
            for kind in MarginKind
            if row.get(f"margin_{kind.value}") is not None
            and np.isfinite(row[f"margin_{kind.value}"])
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchStage(Jsonable):
    """One stage of the search for the worst: what it took, and the least margin then."""

    name: str
    evaluations: int
    least_margin: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class DrawnLeast(Jsonable):
    """The least margin among a campaign's own ``realizations``, and at which ``index``."""

    least_margin: float | None
    index: int
    realizations: int


@dataclass(frozen=True, slots=True, kw_only=True)
class AdversaryReport(Jsonable):
    """The worst realization that a search found.

    Attributes
    ----------
    judge, recourse, seed
        Asked of whom.
    outcome, least_margin
        What becomes of it; the margin scaled as `scenarios.verdict.least_margin`.
    zeta, at_corner, margins
        The realization by direction, whether it is a corner, and its margins by kind of limit.
    evaluations, linear_evaluations, erred, stages
        What the search took.
    monte_carlo
        The worst that the campaign itself drew.
    bound
        No load of the set has a least margin below, proven by certificates; None where the worst
        was searched for.
    """

    judge: str
    recourse: str
    seed: int
    outcome: str
    least_margin: float | None
    zeta: Mapping[str, float]
    at_corner: bool
    margins: Mapping[str, LimitMargin]
    evaluations: int
    linear_evaluations: int
    erred: int
    stages: tuple[SearchStage, ...]
    monte_carlo: DrawnLeast | None
    bound: float | None = field(default=None, metadata=IF_KNOWN)


@dataclass(frozen=True, slots=True, kw_only=True)
class RareLevel(Jsonable):
    """One level of a subset simulation."""

    threshold: float | None
    share: float
    cov: float | None
    accepted: float


@dataclass(frozen=True, slots=True, kw_only=True)
class RareReport(Jsonable):
    """How rare a failure is, by subset simulation.

    Attributes
    ----------
    judge, recourse, sampler, seed, samples_per_level
        Asked of whom, and how.
    reached, probability, below
        Whether failure was reached: its probability, or what it is rarer than.
    cov, cov_upper
        Coefficient of variation, and with chains wholly dependent.
    levels, evaluations, erred
        What it took.
    not_covered
        What the figures leave out; None of an answer of a version that did not say.
    """

    judge: str
    recourse: str
    sampler: str
    seed: int
    samples_per_level: int
    reached: bool
    probability: float | None
    below: float | None
    cov: float | None
    cov_upper: float | None
    levels: tuple[RareLevel, ...]
    evaluations: int
    erred: int
    not_covered: tuple[str, ...] | None = field(default=None, metadata=IF_KNOWN)
