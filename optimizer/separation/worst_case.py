"""The worst realization of one island, bracketed: what some cost, and what none can exceed.

From below, realizations are tried: heuristics first, because any that breaks the plan is good
enough to go on. From above, in this order and no further than the asked tolerance needs:
enumeration of few vertices; an affine rule for the whole set; and the same for its parts,
halved in the direction that the rule's binding realizations disagree about most. V is convex,
so only vertices count, and the halving ends at them: the bracket closes in finite time.
"""

from __future__ import annotations

import heapq
from collections.abc import Iterable
from dataclasses import dataclass, field
from itertools import count
from time import perf_counter

import numpy as np
from gridproof.optimizer.separation.affine import PATTERNS, AffineBound, affine_bound
from gridproof.optimizer.separation.island_recourse import IslandRecourse
from gridproof.optimizer.separation.region import Region, vertex_count
from gridproof.scenarios.arrays import FloatArray

__all__ = ["FEW_VERTICES", "Bracket", "Found", "bracket", "search"]

FEW_VERTICES = 256  # vertices that are tried one by one rather than bounded
_FEW_LEFT = 5  # free directions at which a part is enumerated
_ALTERNATIONS = 8
_DRAWS = 12  # random vertices the heuristics start from
_POLICY_FLOOR = 1e-9


@dataclass(slots=True)
class Found:
    """The worst realization tried so far.

    Attributes
    ----------
    zeta
        (direction,) of the island.
    cost_usd
        Its cost, ``inf`` where it cannot be served.
    violation
        0 if all tried can be served.
    """

    zeta: FloatArray
    cost_usd: float = -1.0
    violation: float = 0.0
    tried: dict[bytes, tuple[float, float]] = field(default_factory=dict)

    def take(self, recourse: IslandRecourse, zeta: FloatArray) -> FloatArray | None:
        """Try a realization; its slope, or None if it is known already."""
        key = np.round(zeta, 9).tobytes()
        if key in self.tried:
            return None
        value = recourse.value(zeta)
        self.tried[key] = (value.violation, value.cost_usd)
        if (value.violation, value.cost_usd) > (self.violation, self.cost_usd):
            self.zeta, self.cost_usd, self.violation = zeta, value.cost_usd, value.violation
        return value.sensitivity


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Bracket:
    """What is known of one island's worst case.

    Attributes
    ----------
    zeta
        (direction,) the worst realization found.
    cost_usd
        What it costs, ``inf`` if it cannot be served.
    bound_usd
        No realization costs more.
    violation
        By how much ``zeta`` must pass a limit.
    nodes
        Parts of the set that were bounded.
    """

    zeta: FloatArray
    cost_usd: float
    bound_usd: float
    violation: float
    nodes: int = 0


def search(recourse: IslandRecourse, region: Region, found: Found) -> None:
    """Try realizations likely to be worst, alternating between ζ and the slope of V there.

    Starts: all loads high, all low, each pattern of the phases' signs for active and for
    reactive demand, the worst for each limit on its own, and a few fixed draws.
    """
    ones = np.ones((1, recourse.size))
    chance = np.random.default_rng(0).normal(size=(_DRAWS, recourse.size))
    slopes = [
        ones,
        -ones,
        PATTERNS @ recourse.demand,
        PATTERNS @ recourse.features[3:],
        recourse.K[: recourse.rows],
        chance,
    ]
    _, starts = region.highest(np.vstack(slopes))
    for zeta in np.unique(np.round(starts, 9), axis=0):
        climb(recourse, region, found, zeta)


def climb(recourse: IslandRecourse, region: Region, found: Found, zeta: FloatArray) -> None:
    """Follow the slope of V from vertex to vertex."""
    for _ in range(_ALTERNATIONS):
        slope = found.take(recourse, zeta)
        if slope is None:
            return
        zeta = region.highest(slope[None])[1][0]


def bracket(
    recourse: IslandRecourse,
    region: Region,
    *,
    tolerance_usd: float,
    time_limit_s: float,
    branch: bool = True,
) -> Bracket:
    """Bracket the island's worst cost over a whole set.

    Parameters
    ----------
    recourse, region
        The island and the set of its own directions.
    tolerance_usd
        Width at which the bracket is narrow enough.
    time_limit_s
        Wall time; the bracket is valid whenever it ends, if wide.
    branch
        False to stop at one affine rule for the whole set.
    """
    return _Bracketing(recourse, region, tolerance_usd, time_limit_s).run(branch=branch)


class _Bracketing:
    def __init__(
        self, recourse: IslandRecourse, region: Region, tolerance_usd: float, time_limit_s: float
    ) -> None:
        self.recourse, self.region, self.tolerance = recourse, region, tolerance_usd
        self.deadline = perf_counter() + time_limit_s
        self.found = Found(zeta=region.highest(np.ones((1, recourse.size)))[1][0])
        self.nodes = 0
        self.settled = 0.0  # most that a part left aside may cost
        # a rule that must keep an equality for every ζ has to see every ζ
        self.features = np.eye(recourse.size) if recourse.tied else recourse.features

    def run(self, *, branch: bool) -> Bracket:
        recourse, region = self.recourse, self.region
        if branch and vertex_count(recourse.size, region.budget) <= FEW_VERTICES:
            complete = self.enumerate(region.vertices())
            return self.end(self.found.cost_usd if complete else np.inf)
        search(recourse, region, self.found)
        if self.found.violation > 0.0:
            return self.end(np.inf)
        root = self.bound(region)
        if not branch and not np.isfinite(root.cost_usd) and not recourse.tied:
            self.features = np.eye(recourse.size)
            root = self.bound(region)
        if branch:
            return self.end(self.split(region, root))
        return self.end(root.cost_usd)

    def enumerate(self, vertices: Iterable[FloatArray]) -> bool:
        """Try all; false if time ran out first."""
        for zeta in vertices:
            if perf_counter() > self.deadline:
                return False
            self.found.take(self.recourse, zeta)
        return True

    def bound(self, region: Region) -> AffineBound:
        """Bound a part, and try what holds the bound up."""
        self.nodes += 1
        start = np.unique(np.round(region.highest(PATTERNS @ self.recourse.demand)[1], 9), axis=0)
        answer = affine_bound(
            self.recourse,
            region,
            features=self.features,
            start=start,
            time_limit_s=self.deadline - perf_counter(),
        )
        if answer.cost_usd > self.found.cost_usd + self.tolerance:
            for zeta in answer.candidates[np.argsort(-answer.weight)][:8]:
                climb(self.recourse, region, self.found, zeta)
        return answer

    def split(self, region: Region, root: AffineBound) -> float:
        """Halve the part that may cost most, again and again; what no realization exceeds."""
        number = count()
        parts = [(-root.cost_usd, next(number), region, root)]
        while parts and self.found.violation <= 0.0:
            most = max(-parts[0][0], self.settled, self.found.cost_usd)
            if most <= self.found.cost_usd + self.tolerance or perf_counter() > self.deadline:
                return most
            _, _, part, answer = heapq.heappop(parts)
            for half in part.halves(self.direction(part, answer)):
                if half.free.sum() <= _FEW_LEFT:
                    if not self.enumerate(_corners(half)):
                        return most
                    continue
                bound = self.bound(half)
                least = min(bound.cost_usd, answer.cost_usd)
                if least > self.found.cost_usd + self.tolerance:
                    heapq.heappush(parts, (-least, next(number), half, bound))
                else:
                    self.settled = max(self.settled, least)
        if self.found.violation > 0.0:
            return np.inf
        return max(self.found.cost_usd, self.settled)

    def direction(self, part: Region, answer: AffineBound) -> int:
        """Direction in which the realizations that hold the bound up disagree most."""
        size = np.abs(self.recourse.demand).sum(axis=0) + _POLICY_FLOOR
        score = np.where(part.free > 0.0, size * 1e-6, -1.0)
        if len(answer.weight):
            weight = answer.weight / answer.weight.sum()
            mean = weight @ answer.candidates
            score += part.free * size * (weight @ answer.candidates**2 - mean**2)
        return int(np.argmax(score))

    def end(self, bound_usd: float) -> Bracket:
        found = self.found
        return Bracket(
            zeta=found.zeta,
            cost_usd=found.cost_usd,
            bound_usd=max(bound_usd, found.cost_usd),
            violation=found.violation,
            nodes=self.nodes,
        )


def _corners(part: Region) -> Iterable[FloatArray]:
    """Vertices of a small part, by halving to the end."""
    free = np.flatnonzero(part.free)
    if not len(free):
        yield part.low
        return
    for half in part.halves(int(free[0])):
        yield from _corners(half)
