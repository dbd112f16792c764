"""Bounds region by region: what a restoration must cost in each part of a large network.

A dead zone is fed by its neighbours or not at all. The network is parted into cores, each with a
halo of neighbouring zones; a core's program keeps the columns of both, drops every row that
touches any other, and is charged for the core alone. Whatever the whole decides satisfies each of
them, so that a core's bound holds for its share of the cost in every plan::

    Σ c_k x_k over the core's own columns ≥ bound of the core

Rows like these close what branching over many independent places cannot.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from gridproof.optimizer.network.bridges import joined
from gridproof.optimizer.restoration.isolation import Isolation
from gridproof.optimizer.restoration.reconfiguration import ReconfigurationColumns
from gridproof.optimizer.solver.solve import Arrays, solve_arrays
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.restoration import Outage
from scipy import sparse

__all__ = ["Region", "regional_bounds", "with_bounds"]

_CORE_BUSES = 150
_LEAST_SECONDS = 0.05


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Region:
    """A core: the ``columns`` it is charged for, their ``cost``, and a lower ``bound`` of it."""

    columns: IntArray
    cost: FloatArray
    bound: float


def regional_bounds(
    case: Outage,
    isolation: Isolation,
    columns: ReconfigurationColumns,
    arrays: Arrays,
    *,
    time_limit_s: float,
    gap: float = 1e-7,
) -> tuple[Region, ...]:
    """Bound every core that costs anything.

    Parameters
    ----------
    columns, arrays
        The program of the directed local flow.
    time_limit_s
        For all together; a core that the limit cuts off has the bound it had by then.
    """
    zone = _zones(case, isolation)
    tags = _tags(case, columns, zone, len(arrays.cost))
    owner = np.full(len(arrays.cost), -1, np.int64)
    charged = np.concatenate([columns.flow.share, columns.closed])
    owner[charged] = tags[charged, 0]
    near, rows = _neighbours(case, columns, zone), arrays.matrix.tocsr()
    ends = perf_counter() + time_limit_s
    cores = _cores(near, np.bincount(zone[zone >= 0], minlength=near.shape[0]))
    found = []
    for k, core in enumerate(cores):
        own = np.flatnonzero(core[owner] & (owner >= 0) & (arrays.cost != 0.0))
        left = (ends - perf_counter()) / (len(cores) - k) * 8.0
        left = min(left, ends - perf_counter())
        if len(own) and left > _LEAST_SECONDS:
            halo = core | np.asarray(near @ core, bool)
            inside = (tags < 0).all(axis=1) | (halo[tags] & (tags >= 0)).any(axis=1)
            part = _part(arrays, rows, inside, own)
            answer, _ = solve_arrays(part, gap=gap, time_limit_s=left)
            if np.isfinite(answer.bound):
                found.append(Region(columns=own, cost=arrays.cost[own], bound=float(answer.bound)))
    return tuple(found)


def with_bounds(arrays: Arrays, regions: tuple[Region, ...], slack: float = 1e-6) -> Arrays:
    """Add a row for each region; ``slack`` keeps rounding from cutting an optimum off."""
    if not regions:
        return arrays
    shape = (len(regions), len(arrays.cost))
    where = np.repeat(np.arange(len(regions)), [len(one.columns) for one in regions])
    which = np.concatenate([one.columns for one in regions])
    cost = np.concatenate([one.cost for one in regions])
    more = sparse.csc_array((cost, (where, which)), shape=shape)
    bounds = np.array([one.bound - slack for one in regions])
    return replace(
        arrays,
        matrix=sparse.csc_array(sparse.vstack([arrays.matrix, more])),
        row_lower=np.concatenate([arrays.row_lower, bounds]),
        row_upper=np.concatenate([arrays.row_upper, np.full(len(regions), np.inf)]),
    )


def _zones(case: Outage, isolation: Isolation) -> IntArray:
    """(bus,) what closed lines hold together, feeder by feeder; -1 where lost or a substation."""
    safe, ends = isolation.available[2] & ~case.substation, case.ends
    kept = isolation.closed[2] & safe[ends].all(axis=1)
    label = joined(len(safe), ends[kept])
    zone = np.full(len(safe), -1, np.int64)
    _, zone[safe] = np.unique(label[safe], return_inverse=True)
    return zone


def _tags(case: Outage, columns: ReconfigurationColumns, zone: IntArray, count: int) -> IntArray:
    """(column, 2) zones a column belongs to, -1 for none: such a column is everybody's."""
    tags = np.full((count, 2), -1, np.int64)
    of_bus = zone[columns.buses]
    of_line = np.sort(zone[case.ends[columns.lines]], axis=1)[:, ::-1]
    of_block = np.full(len(columns.energized), -1, np.int64)
    of_block[columns.block] = of_bus
    rooted = columns.block[case.substation[columns.buses]]
    of_block[rooted] = -1
    switches = len(columns.switches)
    forward = columns.feed_first + np.arange(switches)
    for own in (columns.closed, forward, forward + switches):
        tags[own] = of_line[:switches]
    tags[columns.energized, 0] = of_block
    for own in (columns.flow.p, columns.flow.q):
        tags[own] = of_line
    for own in (columns.flow.w, columns.flow.share):
        tags[own, 0] = of_bus
    return tags


def _neighbours(case: Outage, columns: ReconfigurationColumns, zone: IntArray) -> sparse.csr_array:
    size = int(zone.max(initial=-1)) + 1
    pair = zone[case.ends[columns.switches]]
    pair = pair[(pair >= 0).all(axis=1)]
    one, other = np.concatenate([pair, pair[:, ::-1]]).T
    return sparse.csr_array((np.ones(len(one)), (one, other)), shape=(size, size))


def _cores(near: sparse.csr_array, buses: IntArray) -> list[BoolArray]:
    """Part the zones into connected cores of about equal size."""
    free, cores = np.ones(len(buses), bool), []
    for first in np.argsort(-buses, kind="stable").tolist():
        if not free[first]:
            continue
        core, queue, total = np.zeros(len(buses), bool), [first], 0
        while queue and total < _CORE_BUSES:
            zone = queue.pop(0)
            if free[zone]:
                core[zone], free[zone], total = True, False, total + int(buses[zone])
                queue += near.indices[near.indptr[zone] : near.indptr[zone + 1]].tolist()
        cores.append(core)
    return cores


def _part(arrays: Arrays, rows: sparse.csr_array, inside: BoolArray, own: IntArray) -> Arrays:
    """Keep the inside columns and the rows that touch no other; charge ``own`` alone."""
    touched = rows.copy()
    touched.data = np.ones(len(touched.data))
    whole = np.flatnonzero(touched @ (~inside).astype(float) == 0.0)
    cols = np.flatnonzero(inside)
    cost = np.zeros(len(arrays.cost))
    cost[own] = arrays.cost[own]
    return Arrays(
        cost=cost[cols],
        constant=0.0,
        matrix=sparse.csc_array(rows[whole][:, cols]),
        row_lower=arrays.row_lower[whole],
        row_upper=arrays.row_upper[whole],
        lower=arrays.lower[cols],
        upper=arrays.upper[cols],
        integer=arrays.integer[cols],
    )
