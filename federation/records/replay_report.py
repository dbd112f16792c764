"""One realization opened: what was asked, told, solved and judged of it, step by step."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from gridproof.federation.jsonable import IF_KNOWN, Jsonable
from gridproof.federation.records.probe_report import LimitMargin

__all__ = [
    "BusSeen",
    "DerSeen",
    "LineSeen",
    "LoadSeen",
    "ReplayReport",
    "ReplayedStep",
    "TransformerSeen",
]

Phases = tuple[float | None, ...]
"""One number a phase, a to c; None where there is none."""


@dataclass(frozen=True, slots=True, kw_only=True)
class LoadSeen(Jsonable):
    """What a load asked for, and whether it is on a live block."""

    asked_kw: Phases
    asked_kvar: Phases
    live: bool


@dataclass(frozen=True, slots=True, kw_only=True)
class DerSeen(Jsonable):
    """What a DER was told and gave; ``held_pu`` is the magnitude that one that forms holds."""

    forms: bool
    held_pu: float | None
    told_kw: Phases
    told_kvar: Phases
    gave_kw: Phases
    gave_kvar: Phases


@dataclass(frozen=True, slots=True, kw_only=True)
class BusSeen(Jsonable):
    """Voltages of a bus, line to neutral and line to line, per unit; None where dead or missing."""

    v_pu: Phases
    v_ll_pu: Phases


@dataclass(frozen=True, slots=True, kw_only=True)
class LineSeen(Jsonable):
    """Currents of a line, larger of both ends, and the largest as a share of its rating."""

    current_a: Phases
    share_of_rating: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class TransformerSeen(Jsonable):
    """Apparent power of a transformer, larger of both sides, and its share of the rating."""

    kva: float
    share_of_rating: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayedStep(Jsonable):
    """The realization at one step.

    Attributes
    ----------
    step, name
        Which.
    outcome, margins
        The verdict, with the least margin of each kind of limit and where it is.
    kept_outcome
        What the campaign's row says; None where it holds none.
    margins_apart
        Largest difference of a margin from the campaign's row; None without one.
    zeta
        The draw by direction.
    served_kw, asked_kw, losses_kw, iterations
        Of all that lives; None where nothing was solved.
    loads, ders, buses, lines, transformers
        By id.
    """

    step: int
    name: str
    outcome: str
    margins: Mapping[str, LimitMargin]
    kept_outcome: str | None
    margins_apart: float | None
    zeta: Mapping[str, float]
    served_kw: float | None
    asked_kw: float | None
    losses_kw: float | None
    iterations: int | None
    loads: Mapping[str, LoadSeen]
    ders: Mapping[str, DerSeen]
    buses: Mapping[str, BusSeen]
    lines: Mapping[str, LineSeen]
    transformers: Mapping[str, TransformerSeen]


@dataclass(frozen=True, slots=True, kw_only=True)
class ReplayReport(Jsonable):
    """A realization as it was.

    Attributes
    ----------
    study, index
        Whose realization; index -1 is a load of the set that was named instead of drawn.
    named
        What named it, where it was not drawn.
    recourse, judge
        Who answered, and who judged.
    steps
        In order.
    alone_apart_pu
        Where the circuit was written out: largest difference of a live node's voltage when OpenDSS
        solves the file alone.
    """

    study: str
    index: int
    named: str
    recourse: str
    judge: str
    steps: tuple[ReplayedStep, ...]
    alone_apart_pu: float | None = field(default=None, metadata=IF_KNOWN)
