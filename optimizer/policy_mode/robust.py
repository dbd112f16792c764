"""Rows that must hold for every disturbance of a set, by lazy worst cases.

Row k of step t, with ``x`` the step's columns::

    c_tk + B_k x + max over w of  ((D_k + G_k A_t) ∘ s_t) · w  ≤  right_k

is stated only at disturbances at which some plan has broken it. Each round the program is solved,
every row of every step is held against a bound on its worst (products), and those which the bound
does not clear against the worst itself. A plan that no row breaks any more is proven over the
set, within `BROKEN`; the program without the missing rows is a bound on every plan.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from time import perf_counter

import numpy as np
from gridproof.optimizer.policy_mode.shapes import Rectangle, Shape, Worst, bound
from gridproof.optimizer.solver.solve import Answer, Arrays, solve_arrays
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.proof import Termination
from scipy import sparse

__all__ = ["BROKEN", "Lazy", "StepRows", "nominal", "reachable", "search", "solved"]

BROKEN = 1e-3
"""kW (rows are scaled to it) by which a row may be passed and still counts as held."""

_PER_STEP = 30
_EXACT = 400  # linear programs a round spends on worst cases
_ROUNDS = 200


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class StepRows:
    """Rows alike at every step, scaled so that a kW counts about one.

    Attributes
    ----------
    name
        What they hold.
    columns
        (time, column) program columns that ``B`` multiplies.
    B
        (row, column).
    constant
        (time, row) ``c``.
    right
        (row,).
    G
        (row, responder) effect of a kW of response.
    D
        (row, component) effect of a kW of disturbance.
    """

    name: str
    columns: IntArray
    B: FloatArray
    constant: FloatArray
    right: FloatArray
    G: FloatArray
    D: FloatArray


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Lazy:
    """How a search ended.

    Attributes
    ----------
    termination
        ``OPTIMAL`` if nothing is broken, ``INFEASIBLE`` if proven so, else the limit.
    x
        (column,) last values.
    objective
        Of the program so far: no plan that holds all rows costs less.
    rounds, rows, programs
        Solves, rows stated, and linear programs that a cut set took.
    worst_kw
        Largest excess left.
    broken
        How many rows are.
    binds
        Of what is proven infeasible: which row at which step lacks how much; else empty.
    """

    termination: Termination
    x: FloatArray
    objective: float
    rounds: int
    rows: int
    programs: int
    worst_kw: float
    broken: int
    binds: str = ""


class _Search:
    def __init__(
        self, arrays: Arrays, families: Sequence[StepRows], A: IntArray, s: FloatArray, worst: Worst
    ) -> None:
        self.program = LinearProgram(arrays)
        self.width = arrays.matrix.shape[1]
        self.families, self.A, self.s, self.worst = families, A, s, worst
        self.rows = 0
        self.arrays = arrays
        self.stated: list[tuple[sparse.csr_array, FloatArray]] = []
        self.named: list[tuple[str, int]] = []

    def run(self, time_limit_s: float) -> tuple[Termination, FloatArray, float]:
        """Solve the rows so far; where the warm start leads nowhere, anew and presolved."""
        if time_limit_s <= 0.0:
            return Termination.TIME_LIMIT, np.zeros(0), -np.inf
        began = perf_counter()
        try:
            ended = self.program.run(time_limit_s=time_limit_s)
        except SolverError:
            left = time_limit_s - (perf_counter() - began)
            answer, x = solved(self.whole(), time_limit_s=left)
            return answer.termination, x, answer.incumbent
        return ended, self.program.primal(), self.program.objective

    def whole(self) -> Arrays:
        """Return the program with the rows stated so far."""
        base = self.arrays
        right = np.concatenate([base.row_upper, *[b for _, b in self.stated]])
        low = np.full(len(right), -np.inf)
        low[: len(base.row_lower)] = base.row_lower
        matrix = sparse.vstack([sparse.csr_array(base.matrix), *[r for r, _ in self.stated]])
        return replace(base, matrix=sparse.csc_array(matrix), row_lower=low, row_upper=right)

    def binds(self, time_limit_s: float) -> str:
        """Say which stated row lacks most where they lack least in sum; empty if none can mend it.

        The rows are stated at disturbances of the set, so what they lack no plan can mend.
        """
        whole = self.whole()
        first, count = len(self.arrays.row_upper), self.rows
        slack = sparse.csc_array(
            (-np.ones(count), (np.arange(first, first + count), np.arange(count))),
            shape=(first + count, count),
        )
        answer, x = solved(
            replace(
                whole,
                cost=np.concatenate([0.0 * whole.cost, np.ones(count)]),
                matrix=sparse.csc_array(sparse.hstack([whole.matrix, slack])),
                lower=np.concatenate([whole.lower, np.zeros(count)]),
                upper=np.concatenate([whole.upper, np.full(count, np.inf)]),
                integer=np.zeros(len(whole.cost) + count, bool),
            ),
            time_limit_s=time_limit_s,
        )
        if answer.termination is not Termination.OPTIMAL or not count:
            return ""
        lacking = x[len(whole.cost) :]
        worst = int(lacking.argmax())
        name, step = self.named[worst]
        return (
            f"at step {step + 1} a row of {name} lacks {lacking[worst]:.1f} kW or more; "
            f"{int((lacking > BROKEN).sum())} rows lack {lacking.sum():.1f} in sum"
        )

    def broken(self, x: FloatArray) -> tuple[float, list[tuple[StepRows, IntArray, FloatArray]]]:
        """Largest excess, and per family the broken (time, row) with the w that breaks each."""
        most, found = 0.0, []
        A = x[self.A] if self.A.size else np.zeros(self.A.shape)
        for rows in self.families:
            left = rows.right - rows.constant - x[rows.columns] @ rows.B.T  # (time, row)
            slope = np.einsum("ki,tij->tkj", rows.G, A) + rows.D
            slope *= self.s[:, None, :]
            top, at, excess = self._excess(slope, left)
            if len(top):
                most = max(most, float(excess.max()))
                found.append((rows, top, at))
        return most, found

    def _excess(
        self, slope: FloatArray, left: FloatArray
    ) -> tuple[IntArray, FloatArray, FloatArray]:
        _, count, size = slope.shape
        flat, room = slope.reshape(-1, size), left.ravel()
        high, at = bound(self.worst.shape, flat)
        open_ = np.flatnonzero(high - room > BROKEN)
        open_ = open_[np.argsort(-(high - room)[open_], kind="stable")]
        if at is not None or not len(open_):
            picked = self._spread(open_, count)
            none = np.zeros((0, size))
            return _pairs(picked, count), none if at is None else at[picked], (high - room)[picked]
        known, where = self.worst.among_known(flat[open_])
        hit = known - room[open_] > BROKEN
        if hit.any():
            order = np.argsort(-(known - room[open_])[hit], kind="stable")
            rows, corners = open_[hit][order], where[hit][order]
            keep = np.isin(rows, self._spread(rows, count))
            excess = np.einsum("rj,rj->r", flat[rows], corners) - room[rows]
            return _pairs(rows[keep], count), corners[keep], excess[keep]
        for first in range(0, len(open_), _EXACT):
            rows = open_[first : first + _EXACT]
            value, corners = self.worst(flat[rows])
            over = value - room[rows]
            if (over > BROKEN).any():
                mask = over > BROKEN
                return _pairs(rows[mask], count), corners[mask], over[mask]
        return _pairs(open_[:0], count), np.zeros((0, size)), np.zeros(0)

    @staticmethod
    def _spread(order: IntArray, count: int) -> IntArray:
        """Keep the first so many of each step."""
        step = order // count
        rank = np.zeros(len(order), dtype=np.int64)
        for t in np.unique(step):
            rank[step == t] = np.arange(int((step == t).sum()))
        return order[rank < _PER_STEP]

    def _row_matrix(self, columns: IntArray, values: FloatArray) -> sparse.csr_array:
        """(row, program column) of values at columns; entries at one place add up."""
        at = np.nonzero(values)
        where = (at[0], columns[at])
        matrix = sparse.csr_array((values[at], where), shape=(len(values), self.width))
        matrix.sum_duplicates()
        return matrix

    def add(self, found: list[tuple[StepRows, IntArray, FloatArray]]) -> None:
        """State broken rows at the disturbances that break them."""
        for rows, where, w in found:
            t, k = where[:, 0], where[:, 1]
            seen = self.s[t] * w
            columns, values = [rows.columns[t]], [rows.B[k]]
            if self.A.size:
                effect = rows.G[k][:, :, None] * seen[:, None, :]
                columns.append(self.A[t].reshape(len(t), -1))
                values.append(effect.reshape(len(t), -1))
            right = rows.right[k] - rows.constant[t, k] - np.einsum("rj,rj->r", rows.D[k], seen)
            stated = self._row_matrix(np.hstack(columns), np.hstack(values))
            self.program.add_sparse(stated, np.full(len(where), -np.inf), right)
            self.stated.append((stated, right))
            self.named += [(rows.name, step) for step in t.tolist()]
            self.rows += len(where)


def solved(arrays: Arrays, *, time_limit_s: float) -> tuple[Answer, FloatArray]:
    """Solve a program; where the solver loses its figures, in MW; then it is open, not an error.

    In kW a row may read 1e-5 of one beside 1e3 of another, and what is left of a tolerance after
    scaling decides whether a run ends with an answer.
    """
    began, open_ = perf_counter(), np.full(len(arrays.cost), np.nan)
    for unit in (1.0, 1e3):
        left = time_limit_s - (perf_counter() - began)
        if left <= 0.0:
            return _nothing(Termination.TIME_LIMIT), open_
        scaled = replace(
            arrays, cost=arrays.cost * unit, lower=arrays.lower / unit, upper=arrays.upper / unit,
            row_lower=arrays.row_lower / unit, row_upper=arrays.row_upper / unit,
        )  # fmt: skip
        try:
            answer, x = solve_arrays(scaled, time_limit_s=left)
        except SolverError:
            continue
        return answer, unit * x
    return _nothing(Termination.UNKNOWN), open_


def _nothing(why: Termination) -> Answer:
    return Answer(termination=why, incumbent=np.inf, bound=-np.inf, seconds=0.0)


def search(
    arrays: Arrays,
    families: Sequence[StepRows],
    A: IntArray,
    s: FloatArray,
    shape: Worst,
    *,
    time_limit_s: float = 60.0,
) -> Lazy:
    """Solve the program with all rows of ``families`` held over the set.

    Parameters
    ----------
    arrays
        Columns and the rows that are certain.
    families
        Rows to be held.
    A
        (time, responder, component) columns of the response; empty where there is none.
    s
        (time, component) shapes of the steps.
    shape
        The set.
    time_limit_s
        Wall time; what is not finished then is said to be open.
    """
    began, own = perf_counter(), _Search(arrays, families, A, s, shape)
    x, objective, most = np.full(own.width, np.nan), -np.inf, np.inf
    found: list[tuple[StepRows, IntArray, FloatArray]] = []
    ended, rounds = Termination.ITERATION_LIMIT, 0
    while rounds < _ROUNDS:
        left = time_limit_s - (perf_counter() - began)
        ended, values, value = own.run(left)
        rounds += 1
        if ended is not Termination.OPTIMAL:
            break
        x, objective = values, value
        most, found = own.broken(x)
        if not found:
            break
        own.add(found)
        ended = Termination.ITERATION_LIMIT
    binds = ""
    if ended is Termination.INFEASIBLE:
        binds = own.binds(time_limit_s - (perf_counter() - began))
    return Lazy(
        binds=binds,
        termination=ended,
        x=x,
        objective=objective,
        rounds=rounds,
        rows=own.rows,
        programs=shape.programs,
        worst_kw=most,
        broken=sum(len(where) for _, where, _ in found),
    )


def reachable(
    families: Sequence[StepRows], arrays: Arrays, s: FloatArray, shape: Shape
) -> list[StepRows]:
    """Drop rows that no plan can break, whatever the disturbance.

    A responder's set-point and answer together stay within its capability, which its reserve rows
    say, so that ``B x`` at the columns' bounds and ``D`` at the set's own span bound a row.
    """
    eye = np.eye(shape.size)
    most, least = bound(shape, eye)[0], -bound(shape, -eye)[0]
    kept = []
    for rows in families:
        high, low = arrays.upper[rows.columns], arrays.lower[rows.columns]
        up, down = np.maximum(rows.B, 0.0), np.minimum(rows.B, 0.0)
        top = _product(high, up) + _product(low, down) + rows.constant
        slope = rows.D[None] * s[:, None, :]
        top += np.where(slope > 0.0, slope * most, slope * least).sum(axis=2)
        keep = np.flatnonzero((top > rows.right).any(axis=0))
        kept.append(
            StepRows(
                name=rows.name, columns=rows.columns, B=rows.B[keep],
                constant=rows.constant[:, keep], right=rows.right[keep], G=rows.G[keep],
                D=rows.D[keep],
            )
        )  # fmt: skip
    return kept


def nominal(size: int) -> Worst:
    """Return the set of no disturbance."""
    return Worst(Rectangle(lower=np.zeros(size), upper=np.zeros(size)))


def _product(ends: FloatArray, slope: FloatArray) -> FloatArray:
    """(time, row) ``ends @ slope.T``, where an endless column counts only if it has a slope."""
    endless = ~np.isfinite(ends)
    whole = np.where(endless, 0.0, ends) @ slope.T
    return np.where(endless.astype(float) @ (slope != 0.0).T > 0.0, np.inf, whole)


def _pairs(rows: IntArray, count: int) -> IntArray:
    return np.stack([rows // count, rows % count], axis=1)
