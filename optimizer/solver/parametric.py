"""A linear program whose right-hand side is affine in a few parameters.

A basis that is optimal for one parameter is optimal for every parameter at which its basic
solution stays within bounds, and there the solution is affine: a **critical region**. A
Farkas ray that refutes one parameter refutes every parameter that violates it. So nearly
every program of a campaign is answered by products (`optimizer.solver.bases`).

Each parameter starts at the region of the nearest of a few fixed, learnt parameters, and goes
from region to region by steps of the dual simplex method until one holds or a ray refutes. A
step is the same for every parameter that takes it, so it is kept; that changes how long an
answer takes, never the answer, which is a function of the parameter alone: what was asked
before cannot change a bit of it. Sums run over parameters one by one, so a row of a batch is
rounded as it would be alone.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from gridproof.optimizer.solver.atlas import Atlas
from gridproof.optimizer.solver.bases import LOST, REFUTED, LinearForm, Rows, Statuses
from gridproof.optimizer.solver.solve import Arrays
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.proof import Termination
from scipy import sparse
from scipy.spatial import cKDTree

if TYPE_CHECKING:
    from gridproof.optimizer.solver.walker import Walker

__all__ = ["ParametricProgram", "Rows", "Solutions"]

_INSIDE = 1e-9
"""How far a basic variable may lie outside its bounds in a region that still counts."""

_REFUTES = 1e-7
"""Least violation that refutes where nothing can mend it: the solver's own tolerance."""

_STEPS = 300  # of the dual simplex method before HiGHS is asked instead
_FEW = 8  # nearest learnt points whose regions are looked at before any step
_AT_ONCE = 512  # parameters whose guards are held in memory at a time


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Solutions:
    """Answers of a batch: ``found`` (parameter,), ``x`` (parameter, column)."""

    found: BoolArray
    x: FloatArray


class ParametricProgram:
    """``min cost @ x`` over `Rows` and column bounds.

    Parameters
    ----------
    cost, lower, upper
        (column,); bounded on the side the cost pushes to.
    rows
        The rows and how the parameters move them.
    reach
        Most that any parameter ever is, either way; a promise that `answer` relies on.
    quick
        Whether walks are compiled (`optimizer.solver.walker`): the same answers but for rounding.

    Attributes
    ----------
    one_by_one
        Whether HiGHS is asked for every parameter: for a few, quicker than any region.
    """

    def __init__(
        self,
        *,
        cost: FloatArray,
        lower: FloatArray,
        upper: FloatArray,
        rows: Rows,
        reach: float = np.inf,
        quick: bool = False,
    ) -> None:
        parameters = rows.shift.shape[1]
        self.form = LinearForm(
            cost=cost, lower=lower, upper=upper, rows=rows, reach=np.full(parameters, reach)
        )
        self._atlas = Atlas(self.form)
        self._points = np.zeros((0, parameters))
        self._start = np.zeros(0, dtype=np.int64)
        self._tree: Any = None
        self._rays = np.zeros((0, 1 + parameters))
        self._solver: LinearProgram | None = None
        self.one_by_one = False
        self._walker: Walker | None = None
        if quick:
            from gridproof.optimizer.solver.walker import Walker  # noqa: PLC0415  (needs numba)

            self._walker = Walker(self.form, _STEPS, _INSIDE, _REFUTES)
            self._start = np.zeros(0, dtype=np.int64)

    def arrays(self) -> Arrays:
        """Return the program at parameter 0, as a solver reads it."""
        form = self.form
        return Arrays(
            cost=form.cost,
            constant=0.0,
            matrix=sparse.csc_array(form.rows.matrix),
            row_lower=form.rows.lower,
            row_upper=form.rows.upper,
            lower=form.lower,
            upper=form.upper,
            integer=np.zeros(len(form.cost), dtype=bool),
        )

    def learn(self, parameters: FloatArray) -> None:
        """Make (sample, parameter) the points that later answers start from.

        They are taken in blocks, each as large as all before it, so that most start near.
        """
        first = 0
        while first < len(parameters):
            block = parameters[first : max(1, 2 * first)]
            first += len(block)
            block = block[~self.refuted(block)]
            if self._walker is not None:
                self._learn_walking(self._walker, block)
                continue
            where, last, side = self._walk(block, self._starts(block))
            for k in np.flatnonzero(where == REFUTED).tolist():
                if not self.refuted(block[k : k + 1])[0]:
                    ray = self._atlas.guard(int(last[k]), int(side[k]))
                    self._rays = np.concatenate([self._rays, ray[None]])
            self._plant([self._points, block], [self._start, last])
            if self._atlas.many:
                self._start = self._atlas.keep_only(self._start)
        self._atlas.keep()

    def _learn_walking(self, walker: Walker, block: FloatArray) -> None:
        """Make hubs of where some points end, and rays of what refutes them."""
        walked = walker.walk(block, self._hubs(walker, block))
        for k in np.flatnonzero(walked.where == REFUTED).tolist():
            if not self.refuted(block[k : k + 1])[0]:
                region = self.form.region(walked.status[k])
                for at in np.flatnonzero(region.side == walked.side[k]).tolist():
                    ray = np.concatenate([region.guard[at : at + 1], region.guard_slope[at]])
                    self._rays = np.concatenate([self._rays, ray[None]])
        sound = walked.where != LOST
        kept = self._start if len(self._points) else np.zeros(0, dtype=np.int64)
        found = np.concatenate([kept, walker.add(walked.status[sound])])
        self._plant([self._points, block[sound]], [walker.keep_only(found), found[:0]])

    def _hubs(self, walker: Walker, theta: FloatArray) -> IntArray:
        """Hub of the learnt point that is nearest to each parameter; all rows where none is."""
        if not len(self._points):
            return np.repeat(walker.add(self.form.slack()[None]), len(theta))
        return np.asarray(self._start[walker.nearest(theta)])

    def _plant(self, points: list[FloatArray], start: list[IntArray]) -> None:
        self._points, self._start = np.concatenate(points), np.concatenate(start)
        if self._walker is not None:
            self._walker.plant(self._points)
        else:
            self._tree = cKDTree(self._points) if self._points.size else None

    def rest(self) -> None:
        """Take little memory until the next question; no answer depends on it.

        Regions on the way to those that answers start from go for good. A step that is answered
        alone keeps them: to find them anew cost the IEEE 123 campaign a third more time.
        """
        if self._walker is not None:
            self._walker.rest()
            self._atlas.rest()
            return
        self._atlas.wake()
        self._start = self._atlas.keep_only(self._start)
        self._atlas.rest()

    def answer(self, parameters: FloatArray) -> Solutions:
        """Answer (sample, parameter) programs; found is false where one is infeasible."""
        if not self.one_by_one:
            self._atlas.wake()
        found = np.zeros(len(parameters), dtype=bool)
        x = np.zeros((len(parameters), len(self.form.cost)))
        for first in range(0, len(parameters), _AT_ONCE):
            rows = slice(first, first + _AT_ONCE)
            theta, part = parameters[rows], x[rows]
            where = self._settle(theta, part)
            found[rows] = where >= 0
            for k in np.flatnonzero(where == LOST).tolist():
                status = self._solve(self._moves(theta[k]))
                if status is not None:
                    found[first + k] = True
                    part[k] = self.form.solution(status, self._moves(theta[k]))
            self._atlas.trim()
        return Solutions(found=found, x=x)

    def refuted(self, parameters: FloatArray) -> BoolArray:
        """Tell which (sample, parameter) programs a learnt ray refutes; others may be, too."""
        refuted = np.zeros(len(parameters), dtype=bool)
        for ray in self._rays:
            value = np.full(len(parameters), ray[0])
            for k in range(parameters.shape[1]):
                value += ray[k + 1] * parameters[:, k]
            refuted |= value < -_REFUTES
        return refuted

    def answer_moved(self, theta: FloatArray, moved: FloatArray) -> FloatArray | None:
        """Answer one program whose rows are moved besides.

        Parameters
        ----------
        theta
            (parameter,).
        moved
            (row,) added to every row's activity.

        Returns
        -------
        ndarray of shape (column,), or None if the program is infeasible
        """
        form, atlas = self.form, self._atlas
        atlas.wake()
        moves = self._moves(theta)
        moves[len(form.cost) :] += moved
        if self._walker is not None:
            atlas.trim()
            hub = self._hubs(self._walker, theta[None])
            at = atlas.number(self._walker.status(int(hub[0])))
        else:
            at = int(self._starts(theta[None])[0])
            atlas.trim()
        for _ in range(_STEPS):
            x = form.solution(atlas.status(at), moves)
            value = form.every @ x + moves
            short = np.stack([form.low - value, value - form.high], axis=1).ravel()
            side = int(short.argmax())
            if short[side] <= _INSIDE:
                return x
            following = atlas.step(at, side)
            if following == REFUTED:
                return x if short[side] <= _REFUTES else None
            if following == LOST:
                break
            at = following
        status = self._solve(moves)
        return None if status is None else form.solution(status, moves)

    # ------------------------------------------------------------------ how
    def _settle(self, theta: FloatArray, x: FloatArray) -> IntArray:
        """Fill in what is known; returns 0 or more there, `REFUTED`, or `LOST`."""
        if self.one_by_one:
            return np.full(len(theta), LOST)
        where = np.full(len(theta), REFUTED)
        left = np.flatnonzero(~self.refuted(theta))  # rays first, then steps
        if self._walker is not None:
            walked = self._walker.walk(theta[left], self._hubs(self._walker, theta[left]))
            where[left] = walked.where
            x[left[walked.where >= 0]] = walked.x[walked.where >= 0]
            return where
        where[left], _, _ = self._walk(theta[left], self._starts(theta[left]))
        known = np.flatnonzero(where >= 0)
        x[known] = self._atlas.solutions(where[known], theta[known])
        return where

    def _starts(self, theta: FloatArray) -> IntArray:
        """Where to go on from: of the nearest learnt regions the first that holds, or nearly.

        The basis of all rows where nothing is learnt.
        """
        if not len(self._points):
            return np.full(len(theta), self._atlas.first(), dtype=np.int64)
        near = self._start[self._nearest(theta)]
        at, best = near[:, 0].copy(), np.full(len(theta), -np.inf)
        left = np.arange(len(theta))
        for k in range(near.shape[1]):
            worst, _ = self._atlas.worst(near[left, k], theta[left])
            better = worst > best[left]
            at[left[better]], best[left[better]] = near[left[better], k], worst[better]
            left = left[worst < -_INSIDE]
        return at

    def _nearest(self, theta: FloatArray) -> IntArray:
        """(sample, few) learnt points by distance, each sample searched for on its own."""
        if self._tree is None:
            return np.zeros((len(theta), 1), dtype=np.int64)
        few = min(_FEW, len(self._points))
        return np.asarray(self._tree.query(theta, few)[1]).reshape(len(theta), few)

    def _walk(self, theta: FloatArray, start: IntArray) -> tuple[IntArray, IntArray, IntArray]:
        """Go on until a region holds or a ray refutes.

        Returns the region that holds, `REFUTED` or `LOST`; the last region; and its last side
        that did not hold.
        """
        atlas, at = self._atlas, start.copy()
        where, last = np.full(len(theta), LOST), np.zeros(len(theta), dtype=np.int64)
        left = np.arange(len(theta))
        for _ in range(_STEPS):
            worst, side = atlas.worst(at[left], theta[left])
            holds = worst >= -_INSIDE
            where[left[holds]] = at[left[holds]]
            left, worst, side = left[~holds], worst[~holds], side[~holds]
            if not len(left):
                break
            last[left] = side
            following = atlas.steps(at[left], side)
            ended, mere = following == REFUTED, worst >= -_REFUTES
            where[left[ended & ~mere]] = REFUTED
            where[left[ended & mere]] = at[left[ended & mere]]
            on = following >= 0
            at[left[on]] = following[on]
            left = left[on]
        return where, at, last

    def _moves(self, theta: FloatArray) -> FloatArray:
        """(column + row,) how far the parameter moves each variable."""
        moves = np.zeros(len(self.form.low))
        for k in range(len(theta)):
            moves += theta[k] * self.form.moved[:, k]
        return moves

    def _solve(self, moves: FloatArray) -> Statuses | None:
        """Ask HiGHS, from nothing; None where it finds the program infeasible."""
        if self._solver is None:
            self._solver = LinearProgram(self.arrays())
        rows, move = self.form.rows, moves[len(self.form.cost) :]
        self._solver.set_rows(np.arange(len(move)), rows.lower - move, rows.upper - move)
        ended = self._solver.run(fresh=True)
        if ended is Termination.INFEASIBLE:
            return None
        if ended is not Termination.OPTIMAL:
            raise SolverError(
                f"a re-dispatch program of {len(move)} rows and {len(self.form.cost)} columns "
                f"ended with {ended}; it is neither solved nor infeasible"
            )
        return np.concatenate(self._solver.basis()).astype(np.int8)
