"""Where a generated network's buses lie and which lines join them."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray
from scipy.spatial import cKDTree

__all__ = ["Layout", "lay_out"]

_AREA_PER_BUS_KM2 = 0.5
_SLACK = 1.2  # a line is this much longer than the straight way
_DEPTH_PRICE = 0.3  # a km of way back to the substation, against a km of new line


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Layout:
    """Buses in the plane (substations first), a tree for each feeder, ties between feeders.

    Attributes
    ----------
    xy_km
        (bus, 2).
    ends
        (line, 2) bus positions: closed lines first, each from its parent and after its
        parent's own line; then the open ties.
    length_km
        (line,).
    feeder_of_line
        (closed line,) feeder of each closed line; a feeder's first line leaves a substation.
    """

    xy_km: FloatArray
    ends: IntArray
    length_km: FloatArray
    feeder_of_line: IntArray

    @property
    def closed_count(self) -> int:
        """Number of closed lines; the ties follow them."""
        return len(self.feeder_of_line)

    @property
    def feeder_count(self) -> int:
        """Number of feeders."""
        return int(self.feeder_of_line.max(initial=-1)) + 1

    def downstream(self, at_bus: FloatArray) -> FloatArray:
        """Sum ``at_bus`` (bus,) over all buses fed through each closed line: (closed line,)."""
        total = at_bus.copy()
        for parent, child in self.ends[: self.closed_count][::-1].tolist():
            total[parent] += total[child]
        below: FloatArray = total[self.ends[: self.closed_count, 1]]
        return below


def lay_out(
    rng: np.random.Generator,
    *,
    buses: int,
    substations: int,
    buses_per_feeder: float,
    ties_per_feeder: float,
) -> Layout:
    """Scatter substations and buses, grow the feeders, choose the ties."""
    side = np.sqrt(buses * _AREA_PER_BUS_KM2)
    stations = _scatter(rng, substations, side, jitter=0.4)
    xy = np.concatenate([stations, _scatter(rng, buses, side, jitter=0.8)])
    _, owner = cKDTree(stations).query(xy[substations:])
    parents, feeder_of_bus, order = _grow(xy, owner, substations, buses_per_feeder)
    children = np.array(order, np.int64)
    closed = np.stack([parents[children], children], axis=1)
    ties = _ties(xy, closed, feeder_of_bus, round(ties_per_feeder * (feeder_of_bus.max() + 1)))
    ends = np.concatenate([closed, ties])
    return Layout(
        xy_km=xy,
        ends=ends,
        length_km=_SLACK * np.linalg.norm(xy[ends[:, 0]] - xy[ends[:, 1]], axis=1),
        feeder_of_line=feeder_of_bus[children],
    )


def _scatter(rng: np.random.Generator, count: int, side: float, jitter: float) -> FloatArray:
    """(count, 2) points, one in each of ``count`` cells of a grid that covers the square."""
    across = int(np.ceil(np.sqrt(count)))
    down = int(np.ceil(count / across))
    cells = np.argsort(rng.random(across * down))[:count]
    cells.sort()
    corner = np.stack([cells % across, cells // across], axis=1)
    inside = 0.5 + jitter * (rng.random((count, 2)) - 0.5)
    points: FloatArray = np.round((corner + inside) * side / np.array([across, down]), 4)
    return points


def _grow(
    xy: FloatArray, owner: IntArray, substations: int, per_feeder: float
) -> tuple[IntArray, IntArray, list[int]]:
    """(bus,) parent and feeder of each bus, and the buses in an order that has parents first."""
    parents = np.full(len(xy), -1, np.int64)
    feeder_of_bus = np.full(len(xy), -1, np.int64)
    order: list[int] = []
    feeder = 0
    for station in range(substations):
        members = substations + np.flatnonzero(owner == station)
        bearing = np.arctan2(*(xy[members] - xy[station]).T[::-1])
        sectors = np.array_split(
            members[np.argsort(bearing)], max(1, round(len(members) / per_feeder))
        )
        for sector in sectors:
            if len(sector):
                order += _grow_tree(xy, station, sector, parents)
                feeder_of_bus[sector] = feeder
                feeder += 1
    return parents, feeder_of_bus, order


def _grow_tree(xy: FloatArray, station: int, members: IntArray, parents: IntArray) -> list[int]:
    """Grow one feeder from its substation over ``members``; writes ``parents``."""
    far = np.linalg.norm(xy[members, None] - xy[None, members], axis=2)
    to_station = np.linalg.norm(xy[members] - xy[station], axis=1)
    head = int(np.argmin(to_station))
    way = np.full(len(members), np.inf)
    way[head] = to_station[head]
    parents[members[head]] = station
    order = [head]
    while len(order) < len(members):
        left = np.setdiff1d(np.arange(len(members)), order)
        price = far[np.array(order)[:, None], left] + _DEPTH_PRICE * way[order][:, None]
        row, column = np.unravel_index(int(np.argmin(price)), price.shape)
        parent, child = order[row], int(left[column])
        way[child] = way[parent] + far[parent, child]
        parents[members[child]] = members[parent]
        order.append(child)
    return [int(members[k]) for k in order]


def _ties(xy: FloatArray, closed: IntArray, feeder_of_bus: IntArray, count: int) -> IntArray:
    """(tie, 2) short lines between different feeders, the outer buses first, each bus once."""
    first = int(np.flatnonzero(feeder_of_bus >= 0)[0])
    hops = np.zeros(len(xy))
    for parent, child in closed.tolist():
        hops[child] = hops[parent] + 1
    near, whom = cKDTree(xy[first:]).query(xy[first:], k=min(9, len(xy) - first))
    one = np.repeat(np.arange(first, len(xy)), near.shape[1])
    other, length = whom.ravel() + first, near.ravel()
    useful = (one < other) & (feeder_of_bus[one] != feeder_of_bus[other])
    one, other, length = one[useful], other[useful], length[useful]
    best = np.argsort(length / (1.0 + np.minimum(hops[one], hops[other])), kind="stable")
    chosen: list[tuple[int, int]] = []
    used: set[int] = set()
    for k in best.tolist():
        pair = (int(one[k]), int(other[k]))
        if len(chosen) < count and not used & set(pair):
            chosen.append(pair)
            used |= set(pair)
    return np.array(chosen, np.int64).reshape(-1, 2)
