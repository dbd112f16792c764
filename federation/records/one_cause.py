"""Why no realization of a campaign is feasible, in one value: what ended most of them, and where.

A share of 0 % that names no cause reads as a verdict on the plan, though it may be one set-point
that is asked of one DER in every realization.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa
from gridproof.federation.jsonable import IF_KNOWN, Jsonable
from gridproof.federation.records.rows import MARGIN_UNITS, OUTCOME_NAMES, outcome_codes
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.limits import Limits
from gridproof.scenarios.verdict import MarginKind, Outcome

__all__ = ["OneCause", "Place", "cause_columns", "one_cause"]

_HALF_BAND_PU = (Limits().v_max_pu - Limits().v_min_pu) / 2.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Place(Jsonable):
    """Where most realizations are outside, at one limit of one element.

    Attributes
    ----------
    kind, element, phase
        Which limit, and of what.
    count
        Realizations that are outside there, and there furthest of all of this kind.
    mean_margin, unit
        Mean of their margins, negative; pu for a voltage, else a share of the rating.
    """

    kind: str
    element: str
    phase: str | None
    count: int
    mean_margin: float
    unit: str


@dataclass(frozen=True, slots=True, kw_only=True)
class OneCause(Jsonable):
    """What ended the realizations of a campaign in which none is feasible.

    Attributes
    ----------
    outcome, count
        What became of most of those judged, and of how many; the first of `Outcome` wins a tie.
    judged
        Realizations that did not err.
    place
        Where they are outside; None where nothing was solved, or the state is inside.
    """

    outcome: str
    count: int
    judged: int
    place: Place | None = field(default=None, metadata=IF_KNOWN)


def cause_columns() -> list[str]:
    """Return the columns that `one_cause` reads."""
    stems = ("margin", "element", "phase")
    return ["outcome", *(f"{stem}_{kind.value}" for kind in MarginKind for stem in stems)]


def one_cause(tables: Iterable[pa.Table]) -> OneCause | None:
    """Name what ended the realizations.

    Parameters
    ----------
    tables
        The parts' rows, one part at a time; needs `cause_columns`.

    Returns
    -------
    OneCause or None
        None where one is feasible, or none was judged.
    """
    counts = np.zeros(len(Outcome), np.int64)
    held: dict[Outcome, _Places] = {kind: {} for kind in Outcome}
    for table in tables:
        codes = outcome_codes(table.column("outcome"))
        counts += np.bincount(codes, minlength=len(Outcome))
        for code in Outcome:
            if code not in (Outcome.FEASIBLE, Outcome.ERRED):
                _add_places(held[code], table.filter(pa.array(codes == code)))
    counts[Outcome.ERRED] = 0  # says nothing of the plan
    if counts[Outcome.FEASIBLE] or not counts.any():
        return None
    most = Outcome(int(counts.argmax()))
    return OneCause(
        outcome=OUTCOME_NAMES[most],
        count=int(counts[most]),
        judged=int(counts.sum()),
        place=_first(held[most]),
    )


_Limit = tuple[MarginKind, str, str | None]
_Places = dict[_Limit, tuple[int, float]]
"""By limit, element and phase: how many realizations are outside, and the sum of their margins."""


def _add_places(held: _Places, rows: pa.Table) -> None:
    for kind in MarginKind:
        margin: FloatArray = np.asarray(rows.column(f"margin_{kind.value}").to_numpy(), float)
        outside = np.flatnonzero(margin < -Limits().tolerance)
        names = rows.column(f"element_{kind.value}").take(pa.array(outside)).to_pylist()
        slots = rows.column(f"phase_{kind.value}").take(pa.array(outside)).to_pylist()
        for name, slot, value in zip(names, slots, margin[outside].tolist(), strict=True):
            count, total = held.get((kind, name, slot), (0, 0.0))
            held[kind, name, slot] = (count + 1, total + value)


def _first(held: _Places) -> Place | None:
    """Return the place of most realizations; of several the one that is furthest outside."""
    if not held:
        return None

    def rank(limit: _Limit) -> tuple[int, float]:
        count, total = held[limit]
        return -count, total / count / (_HALF_BAND_PU if limit[0] is MarginKind.VOLTAGE else 1.0)

    kind, element, phase = limit = min(held, key=rank)
    count, total = held[limit]
    return Place(
        kind=kind.value,
        element=element,
        phase=phase,
        count=count,
        mean_margin=total / count,
        unit=MARGIN_UNITS[kind.value],
    )
