"""One loop for every two-stage robust family: a master, an oracle, two bounds.

The master holds the realizations found so far and yields a candidate with a lower bound on
every plan; the oracle returns the worst realization of a candidate with what it costs, or
how far it is from feasible. The loop ends when the best robust candidate is within the asked
gap of the bound, when a limit comes, or when nothing can be found at all. Whether the master
answers a realization with a full copy of the second stage (column-and-constraint) or with a
cut is its own affair.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter
from typing import Generic, Protocol, TypeVar

import numpy as np
from gridproof.optimizer.solver.solve import Answer
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.proof import Proof, Termination

__all__ = ["Master", "Oracle", "Outcome", "PlanProgress", "Worst", "decompose"]

C = TypeVar("C")
C_co = TypeVar("C_co", covariant=True)
C_contra = TypeVar("C_contra", contravariant=True)
_TIGHTER = 0.1  # how much closer the master is solved when it stalls
_STALLS = 3
_RESERVE, _RESERVE_S = 0.2, 5.0  # share and seconds of the limit kept for separation


@dataclass(frozen=True, slots=True, kw_only=True)
class PlanProgress:
    """Where a search stands.

    Attributes
    ----------
    iteration
        Master solves so far.
    bound, incumbent
        What no plan beats, and the best plan proven robust.
    realizations
        Realizations the master holds.
    elapsed_s
        Wall time.
    stage
        What is being done: ``building`` the model, solving the ``master``, ``separation``,
        ``centring``.
    """

    iteration: int
    bound: float
    incumbent: float
    realizations: int
    elapsed_s: float
    stage: str = "master"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Worst:
    """The worst realization of a candidate.

    Attributes
    ----------
    zeta
        (direction,) the realization.
    cost_usd
        Its re-dispatch cost; ``inf`` where it cannot be served.
    violation
        Least violation over the set's worst realization; 0 if all can be served.
    complete
        False if not every realization was settled: a limit came, or the bound is too weak.
    bound_usd
        No realization costs more; ``cost_usd`` itself if left out.
    """

    zeta: FloatArray
    cost_usd: float
    violation: float
    complete: bool = True
    bound_usd: float | None = None

    @property
    def certain_usd(self) -> float:
        """Cost that no realization exceeds: what a plan is charged with."""
        return self.cost_usd if self.bound_usd is None else self.bound_usd


class Master(Protocol[C_co]):
    """The first stage with the realizations found so far."""

    @property
    def realizations(self) -> int:
        """How many realizations it holds."""
        ...

    def solve(self, *, gap: float, time_limit_s: float) -> tuple[Answer, C_co | None]:
        """Return what the search ended with and the candidate found, if any."""
        ...

    def add(self, zeta: FloatArray) -> bool:
        """Take in a realization; false if it is already there."""
        ...


class Oracle(Protocol[C_contra]):
    """The second stage at a fixed candidate."""

    def worst(self, candidate: C_contra, *, time_limit_s: float) -> Worst:
        """Return the worst realization of the set."""
        ...

    def first_stage_usd(self, candidate: C_contra) -> float:
        """Cost of the candidate before any realization."""
        ...


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Outcome(Generic[C]):
    """What the loop ended with: the best robust candidate, if any, and the proof."""

    candidate: C | None
    worst: Worst | None
    proof: Proof


def decompose(
    master: Master[C],
    oracle: Oracle[C],
    *,
    gap: float,
    time_limit_s: float,
    max_iterations: int,
    sharpness: float = _TIGHTER,
    progress: Callable[[PlanProgress], None] | None = None,
) -> Outcome[C]:
    """Run the loop.

    Parameters
    ----------
    master, oracle
        The two stages.
    gap
        Relative gap asked for.
    time_limit_s, max_iterations
        Limits; reaching one is a value, not an error.
    sharpness
        Share of the gap that masters are solved to; more than a tenth where the oracle adds next
        to nothing to it.
    progress
        Called when the master is solved, when separation begins, and after every iteration.
    """
    limits = _Limits(
        gap=gap, time_limit_s=time_limit_s, max_iterations=max_iterations, sharpness=sharpness
    )
    return _Loop(master, oracle, limits, progress).run()


@dataclass(frozen=True, slots=True, kw_only=True)
class _Limits:
    gap: float
    time_limit_s: float
    max_iterations: int
    sharpness: float


class _Loop(Generic[C]):
    def __init__(
        self,
        master: Master[C],
        oracle: Oracle[C],
        limits: _Limits,
        progress: Callable[[PlanProgress], None] | None,
    ) -> None:
        self.master, self.oracle, self.progress = master, oracle, progress
        self.gap, self.limit_s = limits.gap, limits.time_limit_s
        self.max_iterations, self.sharpness = limits.max_iterations, limits.sharpness
        self.began = perf_counter()
        self.seconds = {"master": 0.0, "separation": 0.0}
        self.best: tuple[C, Worst] | None = None
        self.incumbent, self.bound, self.iterations = np.inf, -np.inf, 0

    def run(self) -> Outcome[C]:
        sharpness, stalls = self.sharpness, 0
        while True:
            if self._left() <= 0.0:
                return self._end(Termination.TIME_LIMIT)
            if self.iterations >= self.max_iterations:
                return self._end(Termination.ITERATION_LIMIT)
            self.iterations += 1
            # what is left for separation: a candidate that cannot be tried is worth nothing
            kept_back = min(_RESERVE_S, _RESERVE * self.limit_s)
            self._tell("master")
            answer, candidate = self.master.solve(
                gap=self.gap * sharpness, time_limit_s=max(0.0, self._left() - kept_back)
            )
            self.seconds["master"] += answer.seconds
            self.bound = max(self.bound, answer.bound)
            if candidate is None:
                return self._end(answer.termination)
            self._tell("separation")
            worst = self._separate(candidate)
            self._tell("separation")
            if self._closed():
                return self._end(Termination.OPTIMAL)
            if answer.termination is Termination.TIME_LIMIT or self._left() <= 0.0:
                return self._end(Termination.TIME_LIMIT)
            if not self.master.add(worst.zeta):
                stalls, sharpness = stalls + 1, sharpness * _TIGHTER
                if stalls > _STALLS:
                    return self._end(Termination.UNKNOWN)

    def _separate(self, candidate: C) -> Worst:
        began = perf_counter()
        worst = self.oracle.worst(candidate, time_limit_s=self._left())
        self.seconds["separation"] += perf_counter() - began
        if worst.complete and np.isfinite(worst.certain_usd):
            cost = self.oracle.first_stage_usd(candidate) + worst.certain_usd
            if cost < self.incumbent:
                self.incumbent, self.best = cost, (candidate, worst)
        return worst

    def _closed(self) -> bool:
        return self._proof(Termination.OPTIMAL).gap <= self.gap

    def _left(self) -> float:
        return self.limit_s - (perf_counter() - self.began)

    def _tell(self, stage: str) -> None:
        if self.progress is None:
            return
        now = PlanProgress(
            iteration=self.iterations,
            bound=min(self.bound, self.incumbent),
            incumbent=self.incumbent,
            realizations=self.master.realizations,
            elapsed_s=perf_counter() - self.began,
            stage=stage,
        )
        self.progress(now)

    def _proof(self, termination: Termination) -> Proof:
        return Proof(
            termination=termination,
            incumbent=self.incumbent,
            bound=min(self.bound, self.incumbent) if self.best else self.bound,
            asked_gap=self.gap,
            robust=self.best is not None,
            iterations=self.iterations,
            realizations_kept=self.master.realizations,
            seconds={**self.seconds, "total": perf_counter() - self.began},
        )

    def _end(self, termination: Termination) -> Outcome[C]:
        candidate, worst = self.best or (None, None)
        return Outcome(candidate=candidate, worst=worst, proof=self._proof(termination))
