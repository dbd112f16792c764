"""Algorithm 1 of the partitioning paper: a master without physics, and cuts.

The master (M) knows radiality, (2)-(15), and of the second stage only the cuts (17b). It is
the problem of `optimizer.partitioning.master` with the same optimum, kept as the reference to
measure that against. With ``separation = "enumeration"`` every vertex of Û is tried by (E),
as printed. What the text leaves open is settled as follows.

- **x** in π^T A (x - x_k) is every first-stage variable that (S1) holds: switch, block and
  forming states, base set-points, and the voltages held. (S1) holds copies of them, fixed at
  x_k, so π^T A is the vector of their reduced costs. Demand enters times z_bl; its share of
  the slope is that of the block's state.
- **The nominal load** must be served without re-dispatch, here as everywhere in gridproof.
  (S1) is therefore solved for the nominal load with o = 0 as well, before any vertex.
- **Two cuts, not one.** Where the slack is not zero, (17b) alone prices it at ω, and a master
  may rather pay ω than drop a block: Algorithm 1 then never ends. The same realization
  therefore gives a feasibility cut, ``h(x_k) + π_h^T A (x - x_k) ≤ 0`` with re-dispatch free
  of charge, which is exact whatever ω is. (17b) is added beside it, as printed.
- (S1) has a slack on the voltages held, beside that on the balance, so that it has a state
  for every x; both vanish in a plan.
- It ends when the best robust candidate is within the asked gap of the master's bound; the
  printed end, slack below ε, is not enough by itself, since θ may still lie below the cost.
"""

from __future__ import annotations

from dataclasses import replace
from time import perf_counter
from typing import Any

import numpy as np
import pyomo.environ as pyo
from gridproof.optimizer.network.devices import add_base_setpoints
from gridproof.optimizer.network.first_stage import FirstStage
from gridproof.optimizer.network.network import Network
from gridproof.optimizer.partitioning.master import (
    add_cost,
    build_first_stage,
    decisions_of,
    read_candidate,
)
from gridproof.optimizer.partitioning.options import PartitioningOptions
from gridproof.optimizer.partitioning.subproblems import Point, VertexSubproblems, point_of
from gridproof.optimizer.solver.pyomo_model import compile_model
from gridproof.optimizer.solver.solve import Answer, Arrays, solve_arrays
from gridproof.optimizer.solver.solve_again import LinearProgram
from gridproof.scenarios.arrays import FloatArray
from gridproof.scenarios.errors import SolverError
from gridproof.scenarios.proof import Termination
from scipy import sparse

__all__ = ["CuttingPlaneMaster"]

_KEPT = 1e-7  # a cut that is passed by less is kept
_RELAXED = 0.5  # share of the time for cuts without integrality
_PATIENCE, _MOVED = 30, 1e-5  # programs in which a bound must rise by a share


class CuttingPlaneMaster:
    """(M) with (17a), (3) and the cuts found so far.

    Parameters
    ----------
    network, options
        As for `optimizer.partitioning.master.PartitioningMaster`.
    subproblems
        What the cuts come from.
    as_printed
        True to cut at the solutions of (M) alone. Otherwise also where (M) without
        integrality stands, until that gives nothing more, and where it stands with the
        states of its solution fixed: the same cuts, found by linear programs.
    """

    def __init__(
        self,
        network: Network,
        options: PartitioningOptions,
        subproblems: VertexSubproblems,
        *,
        as_printed: bool = False,
    ) -> None:
        self.network, self.subproblems, self.as_printed = network, subproblems, as_printed
        self.kept: list[FloatArray] = []
        m = self.model = build_first_stage(network, options)
        add_base_setpoints(m, network, decisions_of(m))
        add_cost(m, network)
        self._arrays = compile_model(m)
        column = {id(v): k for k, v in enumerate(self._arrays.variables)}
        self._theta = column[id(m.worst_redispatch)]
        self._variables = {key: _variable(m, key) for key in subproblems.keys}
        self._column = {k: column[id(v)] for k, v in self._variables.items() if id(v) in column}
        self._states = np.flatnonzero(self._arrays.integer)
        self._relaxed = LinearProgram(self._arrays)
        self._rows: list[FloatArray] = []
        self._right: list[float] = []
        self._x: Point = {}

    @property
    def realizations(self) -> int:
        """Distinct realizations that gave cuts."""
        return len(self.kept)

    def solve(self, *, gap: float, time_limit_s: float) -> tuple[Answer, FirstStage | None]:
        """Solve (M) as it stands."""
        began = perf_counter()
        if not self.as_printed:
            self._settle(began + _RELAXED * time_limit_s)
        left = time_limit_s - (perf_counter() - began)
        answer, values = solve_arrays(self._with_cuts(), gap=gap, time_limit_s=left, tolerance=1e-9)
        if answer.found and not self.as_printed:
            values = self._polished(values, began + time_limit_s)
        answer = replace(answer, seconds=perf_counter() - began)
        if not answer.found:
            return answer, None
        for variable, value in zip(self._arrays.variables, values.tolist(), strict=True):
            variable.set_value(value, skip_validation=True)
        candidate = read_candidate(self.model, self.network)
        self._x = point_of(candidate)
        return answer, candidate

    def add(self, zeta: FloatArray) -> bool:
        """Cut off the last candidate where a realization, or the nominal load, says so."""
        nominal = not zeta.any()
        if not nominal and not any(np.array_equal(zeta, known) for known in self.kept):
            self.kept.append(zeta.copy())
        vertex = None if nominal else zeta[self.subproblems.moving]
        theta = float(pyo.value(self.model.worst_redispatch))
        return self._cut(self._x, theta, vertex)

    # -------------------------------------------------------------------------- cutting

    def _cut(self, point: Point, theta: float, vertex: FloatArray | None) -> bool:
        """Add the cuts of one realization at a point; false if none cuts it off."""
        new = False
        for cut in self.subproblems.cuts(point, vertex):
            over = cut.value - (0.0 if cut.feasibility else theta)
            if over <= (_KEPT if cut.feasibility else _KEPT * max(1.0, abs(theta))):
                continue
            row = np.zeros(len(self._arrays.cost))
            right = -cut.value
            for key, slope in cut.slope.items():
                right += slope * point[key]
                if key in self._column:
                    row[self._column[key]] += slope
                elif self._variables[key] is not None:
                    right -= slope * float(pyo.value(self._variables[key]))
            if not cut.feasibility:
                row[self._theta] = -1.0
            size = float(np.abs(row).max(initial=0.0)) or 1.0
            self._rows.append(row / size)
            self._right.append(right / size)
            self._relaxed.add_rows(row[None] / size, [-np.inf], [right / size])
            new = True
        return new

    def _cut_all(self, values: FloatArray) -> bool:
        """Cut at a point that need not be whole, for nominal and all realizations kept."""
        point = {
            key: float(values[self._column[key]])
            if key in self._column
            else float(pyo.value(variable) if variable is not None else 0.0)
            for key, variable in self._variables.items()
        }
        vertices = [None, *(zeta[self.subproblems.moving] for zeta in self.kept)]
        found = [self._cut(point, float(values[self._theta]), vertex) for vertex in vertices]
        return any(found)

    def _settle(self, deadline: float) -> None:
        """Cut where (M) without integrality stands, until its bound moves no more."""
        bounds: list[float] = []
        while perf_counter() < deadline:
            if self._run() is not Termination.OPTIMAL:
                return
            bounds.append(self._relaxed.objective)
            stuck = len(bounds) > _PATIENCE and bounds[-1] - bounds[-_PATIENCE] <= _MOVED * max(
                1.0, abs(bounds[-1])
            )
            if stuck or not self._cut_all(self._relaxed.primal()):
                return

    def _polished(self, values: FloatArray, deadline: float) -> FloatArray:
        """Cut with the states fixed, until set-points serve all kept realizations or none do."""
        states, arrays = np.round(values[self._states]), self._arrays
        self._relaxed.set_columns(self._states, states, states)
        while perf_counter() < deadline:
            if self._run() is not Termination.OPTIMAL:
                break
            values = self._relaxed.primal()
            if not self._cut_all(values):
                break
        self._relaxed.set_columns(
            self._states, arrays.lower[self._states], arrays.upper[self._states]
        )
        return values

    def _run(self) -> Termination:
        """Solve without integrality; a program that HiGHS gives up is built anew and left."""
        try:
            return self._relaxed.run()
        except SolverError:
            self._relaxed = LinearProgram(self._with_cuts())
            return Termination.UNKNOWN

    def _with_cuts(self) -> Arrays:
        """(M) and its cuts as one program."""
        if not self._rows:
            return self._arrays
        a = self._arrays
        return replace(
            a,
            matrix=sparse.csc_array(
                sparse.vstack([a.matrix, sparse.csr_array(np.array(self._rows))])
            ),
            row_lower=np.concatenate([a.row_lower, np.full(len(self._rows), -np.inf)]),
            row_upper=np.concatenate([a.row_upper, np.array(self._right)]),
        )


def _variable(m: Any, key: tuple[Any, ...]) -> Any:
    """Find the master's variable of a copy, None where there is none."""
    if key[0] == "w":
        return m.source_w[key[1]]
    if key[0] in ("p", "q"):
        table = m.base.p if key[0] == "p" else m.base.q
        return table[key[1:]] if key[1:] in table else None  # noqa: SIM401 - no dictionary
    return getattr(m, key[0])[key[1]]
