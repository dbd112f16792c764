"""Large networks: solved part by part; as a whole only where that leaves too much open.

A whole search is given a start that keeps live lines, and what is proven region by region.
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
from gridproof.optimizer.restoration.regions import regional_bounds, with_bounds
from gridproof.optimizer.solver.solve import Answer, Arrays, solve_arrays
from gridproof.optimizer.solver.solve_parts import solve_parts
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.proof import Termination

if TYPE_CHECKING:
    from gridproof.optimizer.restoration.isolation import Isolation
    from gridproof.optimizer.restoration.options import RestorationOptions
    from gridproof.scenarios.restoration import Outage

__all__ = ["solve_large"]

_PARTS_SHARE = 0.5  # of the time limit
_START_GAP = 1e-5
_START_SHARE, _REGIONS_SHARE = 0.3, 0.4  # of what the parts leave of it
_MOST_COLUMNS = 8000
"""Columns of a part beyond which it does not come to an end by itself: one of 22 074, at 10 000
buses, stood at a gap of 1.1e-3 after 260 s of processor time; a start and regions do better."""


def solve_large(
    case: Outage,
    isolation: Isolation,
    columns: ReconfigurationColumns,
    arrays: Arrays,
    options: RestorationOptions,
) -> tuple[Answer, FloatArray]:
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
    began, limit_s = perf_counter(), options.time_limit_s
    share_s = _PARTS_SHARE * limit_s
    found = solve_parts(arrays, gap=options.gap, time_limit_s=share_s, most=_MOST_COLUMNS)
    if found is not None and found[0].termination is Termination.OPTIMAL:
        return found
    left_s = limit_s - (perf_counter() - began)
    start = _start(
        case,
        isolation,
        columns,
        len(arrays.cost),
        gap=max(options.gap, _START_GAP),
        time_limit_s=_START_SHARE * left_s,
    )
    if options.radiality == "directed_local_flow":
        told = case, isolation, columns, arrays
        arrays = with_bounds(arrays, regional_bounds(*told, time_limit_s=_REGIONS_SHARE * left_s))
    left_s = limit_s - (perf_counter() - began)
    whole = solve_arrays(arrays, gap=options.gap, time_limit_s=left_s, start=start)
    return _better(found, whole, options.gap)


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


def _better(
    one: tuple[Answer, FloatArray] | None, other: tuple[Answer, FloatArray], gap: float
) -> tuple[Answer, FloatArray]:
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
