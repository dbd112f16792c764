"""The limits inside laterals as rows over their roots, without those that others imply."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.network.angles import WIDEST
from gridproof.optimizer.network.elastic import Slack
from gridproof.optimizer.network.lateral_system import LateralSystem, Unknown, home_of
from gridproof.optimizer.network.network import Network
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.lindist import PAIR_W, polygon
from scipy import sparse

__all__ = ["SEEN", "LateralLimits"]

SEEN = 8
"""Columns of a row beside z: ``w`` and ``θ`` of the root's phases, margins of voltage and flow."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LateralLimits:
    """Rows ``T X + m t ≤ u z + c`` of the inner states X, and where their roots may be.

    Attributes
    ----------
    home
        (row,) root.
    inner
        (row, unknown) ``T``.
    live, right
        (row,) ``u`` and ``c``.
    low, high
        (bus, 6) least and greatest of what a live root shows.
    of_margin
        (row, 2) ``m``, of the normalised margins ``t`` of voltages and of flows.
    limit, unit
        (row,) which limit a row is a side of, and what 1 is worth there, per unit.
    """

    home: IntArray
    inner: sparse.csr_array
    live: FloatArray
    right: FloatArray
    low: FloatArray
    high: FloatArray
    of_margin: FloatArray
    limit: tuple[Slack, ...]
    unit: FloatArray
    _of_root: FloatArray

    @classmethod
    def of(cls, system: LateralSystem) -> LateralLimits:
        """Collect the band of ``w`` and of ``θ``, and the ratings of branches."""
        rows = _Limits()
        _add_bands(rows, system)
        _add_ratings(rows, system)
        at = [np.full(len(terms), k) for k, terms in enumerate(rows.terms)]
        along = [system.column[name] for terms in rows.terms for name, _ in terms]
        values = [value for terms in rows.terms for _, value in terms]
        inner = sparse.csr_array(
            (values, (np.concatenate([*at, np.zeros(0)]).astype(np.int64), along)),
            shape=(len(rows.terms), len(system.column)),
        )
        low, high = _roots_range(system.network)
        return cls(
            home=np.array(rows.home, dtype=np.int64),
            inner=inner,
            live=np.array(rows.live),
            right=np.array(rows.right),
            low=low,
            high=high,
            of_margin=np.array(rows.of_margin).reshape(-1, 2),
            limit=tuple(rows.limit),
            unit=np.array(rows.unit),
            _of_root=inner @ system.of_root,
        )

    def lacking(self, constant: FloatArray) -> dict[tuple[int, Slack], float]:
        """By how much limits must be passed wherever a root stands, per unit, by root and limit."""
        rows, low, high = self._stated(constant, 0.0)
        over = -_most(-rows, low[self.home], high[self.home])[0] - self.right
        found: dict[tuple[int, Slack], float] = {}
        for k in np.flatnonzero(over > 0.0).tolist():
            key = int(self.home[k]), self.limit[k]
            found[key] = max(found.get(key, 0.0), float(over[k] * self.unit[k]))
        return found

    def rows(
        self, constant: FloatArray, most: float = 0.0
    ) -> Iterator[tuple[int, FloatArray, float]]:
        """Yield what may bind: root, (9,) coefficients of (w, θ, t, z), right side.

        Parameters
        ----------
        constant
            (unknown,) ``e``.
        most
            Largest margin that is asked for.
        """
        coefficients, every_low, every_high = self._stated(constant, most)
        low, high = every_low[self.home], every_high[self.home]
        live, dead = _most(coefficients, low, high)
        kept = np.flatnonzero((live > self.right) | (dead > self.right))
        kept = kept[np.argsort(self.home[kept], kind="stable")]
        starts = np.flatnonzero(np.diff(self.home[kept], prepend=-1))
        for group in np.split(kept, starts[1:]) if len(kept) else ():
            box = every_low[self.home[group[0]]], every_high[self.home[group[0]]]
            for k in group[_tightest(coefficients[group], self.right[group], *box)].tolist():
                yield int(self.home[k]), coefficients[k], float(self.right[k])

    def _stated(
        self, constant: FloatArray, most: float
    ) -> tuple[FloatArray, FloatArray, FloatArray]:
        """(row, 9) coefficients under ``e``, and (bus, 8) between what their columns stand."""
        inside = self.inner @ constant - self.live
        margins = np.zeros((len(self.low), 2))
        return (
            np.column_stack([self._of_root, self.of_margin, inside]),
            np.hstack([self.low, margins]),
            np.hstack([self.high, margins + most]),
        )


class _Limits:
    """Rows as they are collected."""

    def __init__(self) -> None:
        self.home: list[int] = []
        self.terms: list[list[tuple[Unknown, float]]] = []
        self.live: list[float] = []
        self.right: list[float] = []
        self.of_margin: list[tuple[float, float]] = []
        self.limit: list[Slack] = []
        self.unit: list[float] = []

    def add(
        self,
        home: int,
        terms: list[tuple[Unknown, float]],
        *,
        live: float = 0.0,
        right: float = 0.0,
        of_margin: tuple[float, float] = (0.0, 0.0),
        limit: Slack,
        unit: float = 1.0,
    ) -> None:
        """Add ``Σ terms + of_margin · t ≤ live z + right``, a side of a limit."""
        self.limit.append(limit)
        self.unit.append(unit)
        self.home.append(home)
        self.of_margin.append(of_margin)
        self.terms.append(terms)
        self.live.append(live)
        self.right.append(right)


def _add_bands(rows: _Limits, system: LateralSystem) -> None:
    """(16c), on phases or on pairs, and the widest angle."""
    network = system.network
    for i in np.flatnonzero(system.root >= 0).tolist():
        held = np.flatnonzero(network.phases[i]).tolist()
        own = float(network.bus_w_min[i]), float(network.bus_w_max[i])
        tested = [(k, [(("w", i, k), 1.0)]) for k in held]
        if network.pairwise:
            for k, terms in tested:
                _add_band(rows, (int(system.root[i]), i, k), terms, network.phase_band, kept=0.0)
            pairs = [(n, row, np.flatnonzero(row).tolist()) for n, row in enumerate(PAIR_W)]
            tested = [
                (n, [(("w", i, k), float(row[k])) for k in ends])
                for n, row, ends in pairs
                if set(ends) <= set(held)
            ]
        for k, terms in tested:
            kept = (own[1] - own[0]) / 2.0
            _add_band(rows, (int(system.root[i]), i, k), terms, own, kept=kept)
        for k in held if network.zero_sequence.angled[i] else ():
            for sign in (1.0, -1.0):
                limit = Slack(kind="angle", place=i, slot=k, upper=sign > 0.0)
                rows.add(int(system.root[i]), [(("theta", i, k), sign)], right=WIDEST, limit=limit)


def _add_band(
    rows: _Limits,
    where: tuple[int, int, int],
    terms: list[tuple[Unknown, float]],
    band: tuple[float, float],
    *,
    kept: float,
) -> None:
    """``z least + kept t ≤ Σ terms ≤ z most - kept t`` at a root, bus, and phase or pair."""
    home, bus, slot = where
    turned = [(name, -value) for name, value in terms]
    for sides, live, upper in ((terms, band[1], True), (turned, -band[0], False)):
        limit = Slack(kind="voltage", place=bus, slot=slot, upper=upper)
        rows.add(home, sides, live=live, of_margin=(kept, 0.0), limit=limit)


def _add_ratings(rows: _Limits, system: LateralSystem) -> None:
    """(16e), (16f), each side of a polygon as a share of its rating."""
    network = system.network
    sides = polygon(network.sides).tolist()
    for e, branch in enumerate(network.branches):
        home = home_of(branch, system.root)
        if home < 0 or network.idle[e]:
            continue
        for slot, (weights, rating) in enumerate(branch.limits):
            if np.isinf(rating):
                continue
            along, scale = np.flatnonzero(weights).tolist(), rating or 1.0
            limit = Slack(kind="rating", place=e, slot=slot, upper=True)
            for cosine, sine, inner in sides:
                terms = [
                    ((kind, e, c), part * float(weights[c]) / scale)
                    for c in along
                    for kind, part in (("p", cosine), ("q", sine))
                ]
                own = inner * rating / scale
                rows.add(
                    home, terms, live=own, of_margin=(0.0, own), limit=limit, unit=float(scale)
                )


def _roots_range(network: Network) -> tuple[FloatArray, FloatArray]:
    """(bus, 6) between what ``w`` and ``θ`` of a live bus stand."""
    least, most = network.bus_w_min[:, None], network.bus_w_max[:, None]
    if network.pairwise:
        least, most = (np.full_like(least, end) for end in network.phase_band)
    angle = np.full((len(least), 3), WIDEST)
    three = np.ones((1, 3))
    return np.hstack([least * three, -angle]), np.hstack([most * three, angle])


def _most(rows: FloatArray, low: FloatArray, high: FloatArray) -> tuple[FloatArray, FloatArray]:
    """Highest value of each row over a box where the root is live, and where it is dead."""
    seen = rows[:, :SEEN]
    most = np.where(seen > 0.0, seen * high, seen * low)
    return most.sum(axis=1) + rows[:, SEEN], most[:, 3:6].sum(axis=1)


def _tightest(rows: FloatArray, right: FloatArray, low: FloatArray, high: FloatArray) -> BoolArray:
    """Rows of one root that none of those taken before implies over the whole box."""
    centre = rows[:, :SEEN] @ (low + high) / 2.0 + rows[:, SEEN] - right
    order = list(np.argsort(-centre, kind="stable"))
    open_, taken = np.ones(len(rows), dtype=bool), np.zeros(len(rows), dtype=bool)
    for k in order:
        if not open_[k]:
            continue
        taken[k], open_[k] = True, False
        live, dead = _most(rows - rows[k], low, high)
        open_ &= (live > right - right[k]) | (dead > right - right[k])
    return taken
