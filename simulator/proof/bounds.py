"""The worst of each kind of limit, and the loads to look at, of margins that come in blocks."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, fields

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.verdict import MarginKind
from gridproof.simulator.proof.limits import KINDS, Margins
from gridproof.simulator.proof.reach import Reach

__all__ = ["KindBound", "bounds_of"]

_CANDIDATES = 8  # points of a kind that are put to the engine


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class KindBound:
    """The worst of one kind of limit over a set.

    Attributes
    ----------
    worst, remainder
        The tangent's least margin, and the most by which the truth can be below it, both of the
        row whose ``worst - remainder`` is least.
    element, phase
        Of that row.
    centre
        Least margin of the kind at the set's centre.
    zeta
        (candidate, direction) points of the set that may break the limit, the worst first: those
        of rows that are not proven; of a kind that is, the one of the worst row.
    """

    kind: MarginKind
    worst: float
    remainder: float
    element: int
    phase: int
    centre: float
    zeta: FloatArray

    @property
    def least(self) -> float:
        """What no margin of the kind is below, anywhere in the set."""
        return self.worst - self.remainder


def bounds_of(margins: Iterable[Margins], reach: Reach, tolerance: float) -> tuple[KindBound, ...]:
    """Find the worst of each kind that an island has; of every block only what may be it is kept.

    Parameters
    ----------
    margins
        In blocks.
    reach
        The set.
    tolerance
        By how much a margin may be below 0.
    """
    kept: dict[MarginKind, list[Margins]] = {}
    for block in margins:
        if len(block.worst):
            kept.setdefault(block.kind, []).append(_picked(block, _places(block, tolerance)))
    return tuple(_bound(_joined(kept[kind]), reach, tolerance) for kind in KINDS if kind in kept)


def _bound(margins: Margins, reach: Reach, tolerance: float) -> KindBound:
    place, chosen = _worst(margins), _open(margins, tolerance)
    points = margins.omega[chosen if len(chosen) else [place]]
    return KindBound(
        kind=margins.kind,
        worst=float(margins.worst[place]),
        remainder=float(_remainder(margins)[place]),
        element=int(margins.element[place]),
        phase=int(margins.phase[place]),
        centre=float(margins.centre.min()),
        zeta=np.stack([reach.zeta(point) for point in points]),
    )


def _remainder(margins: Margins) -> FloatArray:
    """(row,) what is no number is not known."""
    return np.where(np.isnan(margins.remainder), np.inf, margins.remainder)


def _worst(margins: Margins) -> int:
    return int(np.lexsort((margins.worst, margins.worst - _remainder(margins)))[0])


def _open(margins: Margins, tolerance: float) -> IntArray:
    """Rows that are not proven, the worst first."""
    rows = np.flatnonzero(margins.worst - _remainder(margins) < -tolerance)
    return rows[np.argsort(margins.worst[rows], kind="stable")][:_CANDIDATES]


def _places(margins: Margins, tolerance: float) -> IntArray:
    """Rows of a block that the bound of all blocks can be made of, in their order."""
    least = int(margins.centre.argmin())
    return np.unique([_worst(margins), least, *_open(margins, tolerance)])


_BY_ROW = tuple(field.name for field in fields(Margins) if field.name != "kind")


def _picked(margins: Margins, rows: IntArray) -> Margins:
    return Margins(kind=margins.kind, **{name: getattr(margins, name)[rows] for name in _BY_ROW})


def _joined(parts: list[Margins]) -> Margins:
    joined = {name: np.concatenate([getattr(one, name) for one in parts]) for name in _BY_ROW}
    return Margins(kind=parts[0].kind, **joined)
