"""A mixed-integer program of many places, solved region by region, and proven by their sum.

Branching over the whole multiplies what places that are far apart leave open. Here each region is
asked for itself, twice: what it must cost, whatever happens elsewhere, and what can be had around
it as the rest stands. Where the two differ after that, neighbours want the same thing: the region
and all beside it become one, and are asked again. In the end nothing is open, or the time is up
and what is open is known::

    Σ over regions of its bound + least cost of columns of no place ≤ least of the whole
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from gridproof.optimizer.solver.places import Places, Region, Whole
from gridproof.optimizer.solver.solve import Answer, Arrays, solve_arrays
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.proof import Termination

__all__ = ["Regional", "solve_regions"]

_OFF = 1e-6  # that a row may be off where a region's solution takes the place of what was
_GAIN = 1e-7  # below which a region's solution is no better
_FAIR = 8.0  # times its equal share of the time that is left, for a region that has many after it
_HALF = 0.5  # of the time that is left, for a region made of several; and of the asked gap


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Regional:
    """What a search by regions ended with: the best solution, and what is proven by region."""

    answer: Answer
    values: FloatArray
    regions: tuple[Region, ...]


def solve_regions(
    arrays: Arrays,
    places: Places,
    start: FloatArray,
    *,
    gap: float = 1e-6,
    time_limit_s: float = 600.0,
) -> Regional:
    """Solve a program region by region.

    Parameters
    ----------
    places
        Where columns belong, and the regions to begin with.
    start
        (column,) a solution of the program.
    gap, time_limit_s
        As of `solve_arrays`.
    """
    began = perf_counter()
    search = _Search(Whole(arrays, places), places, start, gap, began + time_limit_s)
    search.run()
    incumbent, left_open = search.incumbent, search.left_open
    proven = left_open <= search.allowed
    answer = Answer(
        termination=Termination.OPTIMAL if proven else Termination.TIME_LIMIT,
        incumbent=incumbent,
        bound=incumbent - max(0.0, left_open),
        seconds=perf_counter() - began,
    )
    return Regional(answer=answer, values=search.values, regions=tuple(search.regions))


class _Search:
    """Regions and values as they stand; after each step both hold."""

    def __init__(
        self, whole: Whole, places: Places, start: FloatArray, gap: float, ends: float
    ) -> None:
        self.whole, self.values, self.gap, self.ends = whole, start, gap, ends
        cores = np.unique(places.core)
        self.regions = [whole.region(places.core == core) for core in cores]
        self.share = _HALF * self.allowed / max(1, len(cores))

    @property
    def incumbent(self) -> float:
        return self.whole.cost_of(self.values)

    @property
    def allowed(self) -> float:
        return self.gap * max(1.0, abs(self.incumbent))

    @property
    def left_open(self) -> float:
        opened = sum(region.open_at(self.values) for region in self.regions)
        return self.whole.rest_open_at(self.values) + opened

    def left_s(self) -> float:
        return self.ends - perf_counter()

    def run(self) -> None:
        for k, limit_s in self._open():
            self.regions[k] = self._bounded(self.regions[k], limit_s)
        for k, limit_s in self._open():
            self._improve(self.regions[k], limit_s)
        while self.left_open > self.allowed:
            first = next(self._open(), None)
            if first is None:
                return
            self._merge(first[0])

    def _open(self) -> Iterator[tuple[int, float]]:
        """Yield regions that leave anything open, most first, until time is up, with their time."""
        opened = np.array([region.open_at(self.values) for region in self.regions])
        order = np.argsort(-opened, kind="stable")
        for done, k in enumerate(order.tolist()):
            left_s, region = self.left_s(), self.regions[k]
            if left_s <= 0.0:
                return
            if not region.settled and region.open_at(self.values) > self.share:
                yield k, min(left_s, _FAIR * left_s / (len(order) - done))

    def _bounded(self, region: Region, limit_s: float) -> Region:
        """Ask what a region must cost."""
        answer, _ = self._solved(*self.whole.relaxed(region), limit_s)
        bound = max(region.bound, answer.bound) if answer.bound < np.inf else region.bound
        ended = answer.termination is not Termination.OPTIMAL
        return replace(region, bound=float(bound), settled=region.settled or ended)

    def _improve(self, region: Region, limit_s: float) -> None:
        """Ask what can be had around a region while the rest stays as it is."""
        part, columns = self.whole.held(region, self.values)
        answer, found = self._solved(part, columns, limit_s)
        if not answer.found:
            return
        values = self.values.copy()
        values[columns] = found
        if self.whole.cost_of(values) < self.incumbent - _GAIN and self.whole.off(values) <= _OFF:
            self.values = values

    def _merge(self, k: int) -> None:
        """Make one region of one and all beside it, and ask again."""
        near = self.whole.grown(self.regions[k].places)
        member = [bool((near & region.places).any()) for region in self.regions]
        if sum(member) < 2:
            self.regions[k] = replace(self.regions[k], settled=True)
            return
        met = [region for region, one in zip(self.regions, member, strict=True) if one]
        kept = [region for region, one in zip(self.regions, member, strict=True) if not one]
        one = self._bounded(Region.joined(met), _HALF * self.left_s())
        self.regions = [*kept, one]
        if one.open_at(self.values) > self.share:
            self._improve(one, _HALF * self.left_s())

    def _solved(self, part: Arrays, columns: IntArray, limit_s: float) -> tuple[Answer, FloatArray]:
        return solve_arrays(
            part,
            gap=0.0,
            time_limit_s=limit_s,
            start=self.values[columns],
            options={"mip_abs_gap": self.share},
        )
