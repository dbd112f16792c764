"""Large networks: solved part by part, then region by region; as a whole only what that leaves.

A whole search is given the best start there is, and what is proven region by region.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.restoration.reconfiguration import (
    ReconfigurationColumns,
    build_reconfiguration,
    starting_point,
)
from gridproof.optimizer.restoration.regions import as_it_stands, places_of
from gridproof.optimizer.solver.places import with_bounds
from gridproof.optimizer.solver.solve import Answer, Arrays, solve_arrays
from gridproof.optimizer.solver.solve_parts import solve_parts
from gridproof.optimizer.solver.solve_regions import solve_regions
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.proof import Termination

if TYPE_CHECKING:
    from gridproof.optimizer.restoration.isolation import Isolation
    from gridproof.optimizer.restoration.options import RestorationOptions
    from gridproof.scenarios.restoration import Outage

__all__ = ["solve_large"]

_PARTS_SHARE = 0.5  # of the time limit
_WHOLE_SHARE = 0.2  # of what the parts leave of it
_START_GAP = 1e-5
_START_SHARE = 0.3  # of what is left then
_LOCAL = ("directed_local_flow", "parent_child")  # each column is of a line or a block
_MOST_COLUMNS = 4000
"""Columns of a part beyond which regions are quicker: one of 6971, at 3000 buses, took 100 s of
processor time, one of 22 074, at 10 000, stood at a gap of 1.1e-3 after 260 s; by regions the
first takes 18 s, the second 76."""

Found = tuple[Answer, FloatArray]


def solve_large(
    case: Outage,
    isolation: Isolation,
    columns: ReconfigurationColumns,
    arrays: Arrays,
    options: RestorationOptions,
) -> Found:
    """Solve the last phase of a large network.

    Parameters
    ----------
    case, isolation
        The outage, and what the phases before leave.
    columns, arrays
        The program, as `build_reconfiguration` states it.
    options
        Gap, time limit and formulation.
    """
    ends = perf_counter() + options.time_limit_s
    share_s = _PARTS_SHARE * options.time_limit_s
    found = solve_parts(arrays, gap=options.gap, time_limit_s=share_s, most=_MOST_COLUMNS)
    start = None if found is None else found[1]
    if not _proven(found) and options.radiality in _LOCAL:
        until = ends - _WHOLE_SHARE * (ends - perf_counter())
        if start is None:
            left_s = until - perf_counter()
            start = as_it_stands(isolation, columns, arrays, time_limit_s=left_s)
        if start is not None:
            places = places_of(case, isolation, columns, len(arrays.cost))
            left_s = until - perf_counter()
            met = solve_regions(arrays, places, start, gap=options.gap, time_limit_s=left_s)
            found = _better(found, (met.answer, met.values), options.gap)
            start, arrays = found[1], with_bounds(arrays, met.regions)
    if found is not None and _proven(found):
        return found
    if start is None:
        gap, left_s = max(options.gap, _START_GAP), _START_SHARE * (ends - perf_counter())
        start = _start(case, isolation, columns, len(arrays.cost), gap=gap, time_limit_s=left_s)
    left_s = ends - perf_counter()
    whole = solve_arrays(arrays, gap=options.gap, time_limit_s=left_s, start=start)
    return _better(found, whole, options.gap)


def _proven(found: Found | None) -> bool:
    return found is not None and found[0].termination is Termination.OPTIMAL


def _start(
    case: Outage,
    isolation: Isolation,
    columns: ReconfigurationColumns,
    size: int,
    *,
    gap: float,
    time_limit_s: float,
) -> FloatArray | None:
    """Solve with live lines kept, always by the local flow; None if nothing comes of it."""
    program, kept = build_reconfiguration(case, isolation, keep_live=True)
    answer, values = solve_arrays(program.arrays(), gap=gap, time_limit_s=time_limit_s)
    return starting_point(columns, size, kept, values) if answer.found else None


def _better(one: Found | None, other: Found, gap: float) -> Found:
    """Of two searches for one optimum the better solution, and what either has proven."""
    if one is None:
        return other
    best = one if one[0].incumbent <= other[0].incumbent else other
    ended = other[0].termination if other[0].found else one[0].termination
    bound = max((each[0].bound for each in (one, other) if each[0].found), default=-np.inf)
    answer = replace(best[0], bound=min(bound, best[0].incumbent), termination=ended)
    if answer.gap <= gap:
        answer = replace(answer, termination=Termination.OPTIMAL)
    return answer, best[1]
