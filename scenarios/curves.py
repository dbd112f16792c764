"""What binds a DER's reactive power to its active power: least power factors, capability curves.

Either is a list of half-planes of one phase's powers::

    side · q ≤ slope · p + level,       side = ±1

A power factor's have the tangent of its angle for a slope and no level, so that at no active power
there is no reactive power; those of a curve run through its points, two by two.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray, frozen
from gridproof.scenarios.errors import ScenarioError

__all__ = ["Curves", "HalfPlanes", "curve_fault"]

_BENT = 1e-9  # of the largest kvar: a point this near to a straight line lies on it
_STEP = 1e-3  # of a curve's range: points nearer in kW make a slope that no solver holds


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Curves:
    """Capability curves (P-Q diagrams): least and most reactive power at some active powers.

    Between two points of a DER both are straight; all phases together, each phase an equal part.

    Attributes
    ----------
    der
        (point,) rows in `Ders`; the points of one stand together.
    p_kw
        (point,) active power, growing from point to point of one DER.
    q_min_kvar, q_max_kvar
        (point,) what it can do there; ``q_max`` concave, ``q_min`` convex.

    Raises
    ------
    ScenarioError
        If a curve encloses no convex set; with DER and point.
    """

    der: IntArray
    p_kw: FloatArray
    q_min_kvar: FloatArray
    q_max_kvar: FloatArray

    def __post_init__(self) -> None:
        n = len(self.der)
        object.__setattr__(self, "der", frozen(self.der, np.int64, (n,)))
        for name in ("p_kw", "q_min_kvar", "q_max_kvar"):
            object.__setattr__(self, name, frozen(getattr(self, name), float, (n,)))
        faults = []
        for g in self.of_ders.tolist():
            fault = curve_fault(*(part.tolist() for part in self.of(g)))
            faults += [f"capability of DER {g}: {fault}"] if fault else []
        if faults:
            raise ScenarioError(faults)

    @property
    def of_ders(self) -> IntArray:
        """Rows in `Ders` that have a curve, in growing order."""
        return np.unique(self.der)

    def of(self, der: int) -> tuple[FloatArray, FloatArray, FloatArray]:
        """Return ``p_kw``, ``q_min_kvar`` and ``q_max_kvar`` at the points of one DER."""
        at = np.flatnonzero(self.der == der)
        return self.p_kw[at], self.q_min_kvar[at], self.q_max_kvar[at]

    def taken(self, ders: IntArray, first: int) -> Curves | None:
        """Return the curves of some DERs, in a table that has these from a row on; None if none."""
        parts = [(first + k, *self.of(g)) for k, g in enumerate(ders.tolist()) if g in self.der]
        if not parts:
            return None
        return Curves(
            der=np.concatenate([np.full(len(p), row) for row, p, _, _ in parts]),
            p_kw=np.concatenate([p for _, p, _, _ in parts]),
            q_min_kvar=np.concatenate([low for _, _, low, _ in parts]),
            q_max_kvar=np.concatenate([high for _, _, _, high in parts]),
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class HalfPlanes:
    """``side · q ≤ slope · p + level`` of every phase that a DER feeds, in one unit of power.

    Attributes
    ----------
    der
        (row,) rows in `Ders`, in growing order.
    side
        (row,) 1 where reactive power is bounded above, -1 where below.
    slope
        (row,) reactive power for a unit of active power.
    level
        (row, 3) what a phase has at no active power.
    curve
        (row,) whether a capability curve says it, else a power factor does.
    """

    der: IntArray
    side: FloatArray
    slope: FloatArray
    level: FloatArray
    curve: BoolArray

    def __post_init__(self) -> None:
        n = len(self.der)
        object.__setattr__(self, "der", frozen(self.der, np.int64, (n,)))
        object.__setattr__(self, "level", frozen(self.level, float, (n, 3)))
        object.__setattr__(self, "curve", frozen(self.curve, bool, (n,)))
        for name in ("side", "slope"):
            object.__setattr__(self, name, frozen(getattr(self, name), float, (n,)))

    def __len__(self) -> int:
        return len(self.der)

    @property
    def steepness(self) -> FloatArray:
        """(row,) length of a half-plane's normal: its reactive power for a unit of distance."""
        return np.hypot(1.0, self.slope)

    def scaled(self, factor: float) -> HalfPlanes:
        """Return them in another unit of power."""
        return replace(self, level=self.level * factor)

    def between(self, p: FloatArray) -> tuple[FloatArray, FloatArray]:
        """(…, der, 3) least and most reactive power beside an active one; endless if unstated."""
        least, most = np.full(p.shape, -np.inf), np.full(p.shape, np.inf)
        for row, g in enumerate(self.der.tolist()):
            reach = self.slope[row] * p[..., g, :] + self.level[row]
            if self.side[row] > 0.0:
                np.minimum(most[..., g, :], reach, out=most[..., g, :])
            else:
                np.maximum(least[..., g, :], -reach, out=least[..., g, :])
        return least, most

    def around(
        self, p: FloatArray, q: FloatArray
    ) -> tuple[tuple[FloatArray, FloatArray], tuple[FloatArray, FloatArray]]:
        """(der, 3) ends of active power beside these reactive ones, and of reactive beside active.

        Each alone, the other as it is; endless where nothing is stated.
        """
        least, most = np.full(p.shape, -np.inf), np.full(p.shape, np.inf)
        for row, g in enumerate(self.der.tolist()):
            slope = float(self.slope[row])
            if slope == 0.0:
                continue
            end = (self.side[row] * q[g] - self.level[row]) / slope
            if slope > 0.0:
                np.maximum(least[g], end, out=least[g])
            else:
                np.minimum(most[g], end, out=most[g])
        return (least, most), self.between(p)

    def room(self, p: FloatArray, q: FloatArray) -> FloatArray:
        """(…, der, 3) reactive power that is left; below 0 where outside, endless if unstated."""
        room = np.full(p.shape, np.inf)
        for row, g in enumerate(self.der.tolist()):
            reach = self.slope[row] * p[..., g, :] + self.level[row]
            left = reach - self.side[row] * q[..., g, :]
            room[..., g, :] = np.minimum(room[..., g, :], left)
        return room

    def inside(self, p: FloatArray, q: FloatArray) -> FloatArray:
        """Return reactive powers put back to where a solver's tolerance took them from."""
        if not len(self):
            return q
        least, most = self.between(p)
        return np.asarray(np.minimum(np.maximum(q, least), most))

    @classmethod
    def of(cls, phases: BoolArray, q_per_p: FloatArray | None, curves: Curves | None) -> HalfPlanes:
        """Collect what DERs state, power factors before curves; what feeds no phase has none.

        Parameters
        ----------
        phases
            (der, 3) that each feeds.
        q_per_p, curves
            As in `Ders`.
        """
        found: list[tuple[int, float, float, float, bool]] = []
        stated = np.zeros(0) if curves is None else curves.of_ders
        bound = np.zeros(len(phases), bool) if q_per_p is None else np.isfinite(q_per_p)
        bound[np.asarray(stated, np.int64)] = True
        for g in np.flatnonzero(bound & phases.any(axis=1)).tolist():
            if q_per_p is not None and np.isfinite(q_per_p[g]):
                found += [(g, side, float(q_per_p[g]), 0.0, False) for side in (1.0, -1.0)]
            if curves is not None and g in stated:
                p, low, high = curves.of(g)
                found += [(g, *one, True) for one in _chords(p, high, 1.0)]
                found += [(g, *one, True) for one in _chords(p, low, -1.0)]
        der = np.array([one[0] for one in found], np.int64)
        part = phases / np.maximum(phases.sum(axis=1, keepdims=True), 1)
        return cls(
            der=der,
            side=np.array([one[1] for one in found], float),
            slope=np.array([one[2] for one in found], float),
            level=np.array([one[3] for one in found], float)[:, None] * part[der],
            curve=np.array([one[4] for one in found], bool),
        )


def _chords(p: FloatArray, q: FloatArray, side: float) -> list[tuple[float, float, float]]:
    """Side, slope and level through each two neighbours; a straight run of points is one."""
    found: list[tuple[float, float, float]] = []
    slopes = side * np.diff(q) / np.diff(p)
    for k, slope in enumerate(slopes.tolist()):
        level = side * float(q[k]) - slope * float(p[k])
        same = found and abs(slope - found[-1][1]) * (p[-1] - p[0]) <= _BENT * np.abs(q).max()
        if not same:
            found.append((side, slope, level))
    return found


def curve_fault(
    p_kw: Sequence[float], q_min_kvar: Sequence[float], q_max_kvar: Sequence[float]
) -> str:
    """Say why points enclose no convex set, and what to do; empty where they do."""
    count = len(p_kw)
    if count < 2:
        return f"it has {count} point; give two or more, in the order of p_kw"
    least = _STEP * abs(p_kw[-1] - p_kw[0])
    for k in range(1, count):
        if not p_kw[k] - p_kw[k - 1] > 0.0:
            return f"p_kw = {p_kw[k]:g} follows p_kw = {p_kw[k - 1]:g}; p_kw must grow"
        if p_kw[k] - p_kw[k - 1] < least:
            return (
                f"p_kw = {p_kw[k]:g} is less than a thousandth of the curve beyond the point "
                f"before it, {p_kw[k - 1]:g}; leave one of the two out"
            )
    for p, low, high in zip(p_kw, q_min_kvar, q_max_kvar, strict=True):
        if low > high:
            return f"q_min_kvar = {low:g} is above q_max_kvar = {high:g} at p_kw = {p:g}"
    return _bend(p_kw, q_max_kvar, "q_max_kvar", 1.0) or _bend(p_kw, q_min_kvar, "q_min_kvar", -1.0)


def _bend(p: Sequence[float], q: Sequence[float], name: str, side: float) -> str:
    """Say where a curve lies inside the straight line between a point's neighbours."""
    large = max(abs(one) for one in q)
    for k in range(1, len(p) - 1):
        share = (p[k] - p[k - 1]) / (p[k + 1] - p[k - 1])
        straight = q[k - 1] + share * (q[k + 1] - q[k - 1])
        if side * (straight - q[k]) > _BENT * large:
            way, end = ("below", "least") if side > 0.0 else ("above", "most")
            return (
                f"{name} = {q[k]:g} at p_kw = {p[k]:g} lies {way} the straight line from "
                f"p_kw = {p[k - 1]:g} to {p[k + 1]:g}, and what the DER can do would not be "
                f"convex; give at {end} {straight:g} there, or change its neighbours"
            )
    return ""
