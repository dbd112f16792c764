"""The worst realization of the set for a plan, searched for with the physics inside.

Three stages, each starting from what the last one found: corners ranked by the linear model;
a coordinate search from the worst of them in AC; differential evolution over the whole box
with what is left of the budget (Storn and Price, J. Global Optimization 11, 1997). A search
proves nothing: it finds a bad realization or fails to.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from itertools import product

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.realization import uniforms

__all__ = ["ENUMERATED", "Found", "Stage", "worst_of", "worst_realization"]

ENUMERATED = 12
"""Most moving directions whose corners are all tried in the linear model: 4096."""

_STARTS = 16  # corners put to the physics, and starts of the ascent where there are too many
_STREAM = 22  # of the counter-based generator; keeps clear of the campaign's own draws
_STEPS = (1.0, 0.5, 0.25, 0.1, 0.05, 0.02)
_LOST = -1e6  # stands for -inf: nothing solved, or no re-dispatch

Margin = Callable[[FloatArray], FloatArray]
"""(point, direction) in [-1, 1] to (point,) least scaled margin."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Stage:
    """What one stage cost and had found when it ended."""

    name: str
    evaluations: int
    least: float


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Found:
    """The worst realization found.

    Attributes
    ----------
    zeta
        (direction,).
    least
        Its least scaled margin; ``-inf`` where nothing could be solved.
    at_corner
        Whether every moving direction is at an end of its range.
    stages
        In order; the physics' evaluations only.
    linear_evaluations
        Of the linear model.
    """

    zeta: FloatArray
    least: float
    at_corner: bool
    stages: tuple[Stage, ...]
    linear_evaluations: int

    @property
    def evaluations(self) -> int:
        """Of the physics, all stages."""
        return sum(stage.evaluations for stage in self.stages)


def worst_realization(
    margin: Margin,
    linear: Margin,
    moving: BoolArray,
    *,
    budget: int = 2000,
    seed: int = 1,
) -> Found:
    """Search the box for the least margin.

    Parameters
    ----------
    margin
        The physics' margin; asked at most about ``budget`` times.
    linear
        The linear model's, which ranks corners.
    moving
        (direction,) those with a spread; the others stay at +1.
    budget
        Realizations put to the physics.
    seed
        Decides every random choice.
    """
    search = _Search(margin, moving, budget)
    corners, linear_evaluations = _corners(linear, moving, seed)
    search.ask("corners", corners[: max(1, min(_STARTS, budget))])
    if moving.any():
        _coordinates(search, (budget - search.used) // 2)
        _evolution(search, budget - search.used, seed)
    zeta = search.best
    return Found(
        zeta=zeta,
        least=search.least if search.least > _LOST else -np.inf,
        at_corner=bool((np.abs(zeta[moving]) == 1.0).all()),
        stages=tuple(search.stages),
        linear_evaluations=linear_evaluations,
    )


def worst_of(
    margin: Margin,
    moving: BoolArray,
    points: FloatArray,
    *,
    ends: tuple[FloatArray, FloatArray],
) -> Found:
    """Put given points to the physics and keep the worst: those that certificates name.

    Parameters
    ----------
    margin, moving
        As in `worst_realization`.
    points
        (point, direction).
    ends
        (direction,) each: between which coordinates lie.
    """
    search = _Search(margin, moving, len(points))
    search.ask("certificate", np.unique(points, axis=0))
    zeta = search.best
    cornered = (zeta == ends[0]) | (zeta == ends[1])
    return Found(
        zeta=zeta,
        least=search.least if search.least > _LOST else -np.inf,
        at_corner=bool(cornered[moving].all()),
        stages=tuple(search.stages),
        linear_evaluations=0,
    )


class _Search:
    """The physics, what it was asked so far, and the worst of it."""

    def __init__(self, margin: Margin, moving: BoolArray, budget: int) -> None:
        self._margin, self.moving, self.budget = margin, moving, budget
        self.used, self.least = 0, np.inf
        self.best = np.ones(len(moving))
        self.stages: list[Stage] = []

    def ask(self, stage: str, zeta: FloatArray) -> FloatArray:
        """Evaluate points, keep the worst, charge the stage."""
        g = np.maximum(self._margin(zeta), _LOST)
        self.used += len(zeta)
        if len(g) and g.min() < self.least:
            place = int(g.argmin())
            self.least, self.best = float(g[place]), zeta[place].copy()
        spent = len(zeta)
        if self.stages and self.stages[-1].name == stage:
            spent += self.stages.pop().evaluations
        self.stages.append(Stage(name=stage, evaluations=spent, least=self.least))
        return g


def _corners(linear: Margin, moving: BoolArray, seed: int) -> tuple[FloatArray, int]:
    """Corners from the worst in the linear model upward, and what ranking them cost."""
    width = int(moving.sum())
    if width <= ENUMERATED:
        signs = np.array(list(product((-1.0, 1.0), repeat=width))).reshape(2**width, width)
        g = linear(_whole(signs, moving))
        return _whole(signs[np.argsort(g, kind="stable")], moving), len(signs)
    random = uniforms(seed, 0, _STARTS - 2, width, _STREAM)
    signs = np.concatenate([np.ones((1, width)), -np.ones((1, width)), np.sign(random - 0.5)])
    g, spent = linear(_whole(signs, moving)), len(signs)
    for _ in range(width):  # a sign of every start is turned while it makes that start worse
        turned = np.repeat(signs, width, axis=0)
        turned[np.arange(len(turned)), np.tile(np.arange(width), len(signs))] *= -1.0
        there = linear(_whole(turned, moving)).reshape(len(signs), width)
        spent += len(turned)
        place = there.argmin(axis=1)
        worse = there[np.arange(len(signs)), place] < g
        if not worse.any():
            break
        rows = np.flatnonzero(worse)
        signs[rows, place[rows]] *= -1.0
        g[rows] = there[rows, place[rows]]
    _, first = np.unique(signs, axis=0, return_index=True)
    order = first[np.argsort(g[first], kind="stable")]
    return _whole(signs[order], moving), spent


def _whole(part: FloatArray, moving: BoolArray) -> FloatArray:
    zeta = np.ones((len(part), len(moving)))
    zeta[:, moving] = part
    return zeta


def _coordinates(search: _Search, budget: int) -> None:
    """From the worst point: both ways along every coordinate, then with shorter steps."""
    moving = np.flatnonzero(search.moving)
    limit = search.used + budget
    for step in _STEPS:
        improved = True
        while improved and search.used + 2 * len(moving) <= limit:
            before = search.least
            around = np.repeat(search.best[None], 2 * len(moving), axis=0)
            rows = np.arange(len(moving))
            around[2 * rows, moving] += step
            around[2 * rows + 1, moving] -= step
            search.ask("coordinates", np.clip(around, -1.0, 1.0))
            improved = search.least < before


def _evolution(search: _Search, budget: int, seed: int) -> None:
    """Differential evolution over the box, a generation per call of the physics."""
    from scipy.optimize import differential_evolution  # noqa: PLC0415  (slow to import)

    moving = np.flatnonzero(search.moving)
    members = max(8, min(40, 5 * len(moving)))
    generations = budget // members - 1
    if generations < 1:
        return
    start = 2.0 * uniforms(seed, 0, members, len(moving), _STREAM + 1) - 1.0
    start[0] = search.best[moving]

    def cost(columns: FloatArray) -> FloatArray:
        return search.ask("evolution", _whole(columns.T, search.moving))

    differential_evolution(
        cost,
        [(-1.0, 1.0)] * len(moving),
        init=start,
        maxiter=generations,
        rng=np.random.Generator(np.random.PCG64(seed)),
        tol=0.0,
        polish=False,
        updating="deferred",
        vectorized=True,
    )
