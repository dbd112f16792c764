"""A large restoration's places, by which it is solved region by region.

A dead zone is fed by its neighbours or not at all: what closed lines hold together, feeder by
feeder, is one place, and a line between two of them ties both. Regions begin as connected zones of
about equal size; `optimizer.solver.solve_regions` does the rest.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from gridproof.optimizer.network.bridges import joined
from gridproof.optimizer.restoration.isolation import Isolation
from gridproof.optimizer.restoration.reconfiguration import ReconfigurationColumns
from gridproof.optimizer.solver.places import Places
from gridproof.optimizer.solver.solve import Arrays, solve_arrays
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.restoration import Outage
from scipy import sparse

__all__ = ["as_it_stands", "places_of"]

_CORE_BUSES = 150


def places_of(
    case: Outage, isolation: Isolation, columns: ReconfigurationColumns, count: int
) -> Places:
    """Say which zones each of ``count`` columns belongs to, and group the zones."""
    zone = _zones(case, isolation)
    near = _neighbours(case, columns, zone)
    buses = np.bincount(zone[zone >= 0], minlength=near.shape[0])
    return Places(tags=_tags(case, columns, zone, count), core=_cores(near, buses))


def as_it_stands(
    isolation: Isolation, columns: ReconfigurationColumns, arrays: Arrays, *, time_limit_s: float
) -> FloatArray | None:
    """Return the best that no switching at all can have; None if nothing was found."""
    was = isolation.closed[2][columns.switches].astype(float)
    lower, upper = arrays.lower.copy(), arrays.upper.copy()
    lower[columns.closed] = upper[columns.closed] = was
    held = replace(arrays, lower=lower, upper=upper)
    answer, values = solve_arrays(held, time_limit_s=time_limit_s)
    return values if answer.found else None


def _zones(case: Outage, isolation: Isolation) -> IntArray:
    """(bus,) what closed lines hold together, feeder by feeder; -1 where lost or a substation."""
    safe, ends = isolation.available[2] & ~case.substation, case.ends
    kept = isolation.closed[2] & safe[ends].all(axis=1)
    label = joined(len(safe), ends[kept])
    zone = np.full(len(safe), -1, np.int64)
    _, zone[safe] = np.unique(label[safe], return_inverse=True)
    return zone


def _tags(case: Outage, columns: ReconfigurationColumns, zone: IntArray, count: int) -> IntArray:
    """(column, 2) zones a column belongs to, -1 for none: such a column is everybody's.

    So is a block's depth in the order that forbids rings: its value says little, and one that is
    held would keep others from being fed over it.
    """
    tags = np.full((count, 2), -1, np.int64)
    of_bus = zone[columns.buses]
    of_line = np.sort(zone[case.ends[columns.lines]], axis=1)[:, ::-1]
    of_block = np.full(len(columns.energized), -1, np.int64)
    of_block[columns.block] = of_bus
    rooted = columns.block[case.substation[columns.buses]]
    of_block[rooted] = -1
    for own in (columns.closed, columns.feed.forward, columns.feed.backward):
        tags[own] = of_line[: len(columns.switches)]
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


def _cores(near: sparse.csr_array, buses: IntArray) -> IntArray:
    """(zone,) number of a connected core, of about equal size, largest zones first."""
    core, number = np.full(len(buses), -1, np.int64), 0
    for first in np.argsort(-buses, kind="stable").tolist():
        if core[first] >= 0:
            continue
        queue, total = [first], 0
        while queue and total < _CORE_BUSES:
            zone = queue.pop(0)
            if core[zone] < 0:
                core[zone], total = number, total + int(buses[zone])
                queue += near.indices[near.indptr[zone] : near.indptr[zone + 1]].tolist()
        number += 1
    return core
