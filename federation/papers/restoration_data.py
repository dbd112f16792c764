"""The restoration publication as data: its cases, what it printed, and how large networks grow."""

from __future__ import annotations

from typing import Annotated, Literal

from gridproof.federation.config.base import Section
from pydantic import Field

__all__ = ["CaseRow", "GrowthRows", "RestorationPaper", "SizeRow", "StormRow"]

Texts = Annotated[tuple[str, ...], Field(strict=False)]
Counts = Annotated[tuple[int, ...], Field(strict=False)]


class _About(Section):
    kind: Literal["restoration"]
    title: str
    authors: str
    notes: Texts = ()


class CaseRow(Section):
    """One case: the study that holds it, and the share the publication printed for it.

    Attributes
    ----------
    set
        Entries on top of the study, as ``--set`` takes them.
    printed_supplied_percent
        Supplied after reconfiguration; None where the publication has a curve and no number.
    """

    key: str
    about: str
    study: str
    set: Texts = ()
    printed_supplied_percent: float | None = None


class SizeRow(Section):
    """Table I and the program's size: which case is counted and solved, and what was printed."""

    case: str
    printed_variables: int
    printed_constraints: int
    printed_solver_seconds: float
    printed_total_seconds: float


class GrowthRows(Section):
    """Networks of the growth table, drawn by one seed each."""

    buses: Counts
    network_seed: int
    failure_seed: int


class StormRow(Section):
    """A damage model, in which the first case's network is drawn again and again."""

    key: str
    about: str
    rate_per_km: float
    sigma: float = 0.0
    correlation_km: float = 2.0


class RestorationPaper(Section):
    """The publication: cases, sizes, growth, and what it left to later work.

    That is damage models, and an ``unbalanced`` network under several models of its physics.
    """

    paper: _About
    cases: Annotated[tuple[CaseRow, ...], Field(strict=False, min_length=1)]
    size: SizeRow
    growth: GrowthRows
    unbalanced: Annotated[tuple[CaseRow, ...], Field(strict=False)] = ()
    storms: Annotated[tuple[StormRow, ...], Field(strict=False)] = ()
