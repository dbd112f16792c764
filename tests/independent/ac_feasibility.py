"""Is there any re-dispatch that AC physics accepts? An optimal power flow answers.

For one plan and one load realization, island by island, in rectangular voltages ``e + jf``::

    max t   s.t.  (Y v)_n + Σ loads conj(s / v_load) = 0        at nodes without a DER
                  v_n conj(the same) = Σ p + jq                  at nodes with one
                  v = v_held ∠(0, -120°, 120°)                   at the grid-forming bus
                  every margin ≥ t

with the margins of a verdict in a verdict's own units: voltage in pu, current and kVA as a
share of rating, capability and ramp as a share of the DER phase's active rating. Ipopt's word
is not taken for an answer: its point is put back into the equations in plain numpy, and
counts only if it solves them. With ``free_voltage`` the held magnitude is a variable too, within
the band. A point with ``t ≥ -tolerance`` proves feasibility. That there is none is Ipopt's local
optimum from every start tried, so strictly a strong hint.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from enum import StrEnum
from time import perf_counter
from typing import Any

import casadi as ca
import numpy as np
from ac_network import Island, islands_of
from gridproof.scenarios.limits import VoltageTest
from gridproof.scenarios.plan import Plan
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.verdict import MarginKind
from numpy.typing import NDArray
from scipy import sparse

__all__ = ["AcFeasibility", "Answer", "Finding", "Flow"]

RESIDUAL = 1e-9
"""Power balance error, pu of 1 MVA, up to which a point counts as a solution (1e-6 kW)."""

_IPOPT = {
    "print_time": False,
    "ipopt.print_level": 0,
    "ipopt.sb": "yes",
    "ipopt.tol": 1e-9,
    "ipopt.constr_viol_tol": 1e-10,
    "ipopt.bound_relax_factor": 0.0,
    "ipopt.max_iter": 300,
    "ipopt.max_cpu_time": 60.0,
}

Array = NDArray[np.float64]
Start = tuple[Array, Array]
"""Set-points to start from: (der, 3) kW and kvar."""


class Finding(StrEnum):
    """What was found out."""

    FEASIBLE = "feasible"
    INFEASIBLE = "infeasible"
    UNKNOWN = "unknown"  # the solver failed; says nothing of the physics


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Flow:
    """A verified solution of one island.

    Attributes
    ----------
    v
        (node,) complex voltage, pu.
    p_kw, q_kvar
        (der phase,) injections.
    residual
        Largest power balance error, pu of 1 MVA.
    margins
        Least margin of each kind, as a verdict has it.
    """

    v: NDArray[np.complex128]
    p_kw: Array
    q_kvar: Array
    residual: float
    margins: dict[str, float]

    @property
    def least(self) -> tuple[str, float]:
        """The kind with the least margin, and that margin."""
        kind = min(self.margins, key=self.margins.__getitem__)
        return kind, self.margins[kind]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Answer:
    """Over all islands of one realization.

    Attributes
    ----------
    finding
        The verdict.
    t
        Largest least margin found; NaN if unknown.
    binding
        Kind of the limit that binds it, or the solver's words.
    statuses
        What Ipopt said, island by island (of the start that was kept).
    seconds
        Wall time.
    flows
        The point found in each island, None where the solver failed.
    """

    finding: Finding
    t: float
    binding: str
    statuses: tuple[str, ...]
    seconds: float
    flows: tuple[Flow | None, ...]


class AcFeasibility:
    """The problem of one plan, ready for realizations.

    Parameters
    ----------
    scenario, plan, time
        What is fixed: switches, roles, held voltages, base set-points, limits.
    free_voltage
        Whether the held voltage may follow the realization.
    """

    def __init__(
        self, scenario: Scenario, plan: Plan, time: int = 0, *, free_voltage: bool = False
    ) -> None:
        self.islands = islands_of(scenario, plan, time)
        self._problems = [
            _Problem(scenario, plan, time, island, free_voltage) for island in self.islands
        ]
        self._base: Start = (plan.p_kw[time], plan.q_kvar[time])
        self._tolerance = scenario.limits.tolerance

    def solve(self, p_kw: Array, q_kvar: Array, starts: Sequence[Start] = ()) -> Answer:
        """Look for a re-dispatch that holds for (load, 3) demand.

        The plan's base set-points and flat voltages are the first start; the others are
        tried, while no feasible point is found, one after another.
        """
        began = perf_counter()
        best = [
            problem.best(p_kw, q_kvar, (self._base, *starts), self._tolerance)
            for problem in self._problems
        ]
        return self._answer(best, perf_counter() - began)

    def flow(self, p_kw: Array, q_kvar: Array, setpoints: Start) -> Answer:
        """Solve the power flow alone: every DER but the formers at its set-point."""
        began = perf_counter()
        points = [problem.solve(p_kw, q_kvar, setpoints, free=False) for problem in self._problems]
        return self._answer(points, perf_counter() - began)

    def _answer(self, points: Sequence[tuple[Flow | None, str]], seconds: float) -> Answer:
        flows = tuple(flow for flow, _ in points)
        statuses = tuple(status for _, status in points)
        solved = [flow.least for flow in flows if flow is not None]
        binding, t = min(solved, key=lambda item: item[1], default=("", np.inf))
        if t < -self._tolerance:
            finding = Finding.INFEASIBLE
        elif len(solved) < len(flows):
            finding, t, binding = Finding.UNKNOWN, np.nan, "; ".join(statuses)
        else:
            finding = Finding.FEASIBLE
        return Answer(
            finding=finding, t=t, binding=binding, statuses=statuses, seconds=seconds, flows=flows
        )


class _Problem:
    """One island: symbols once, numbers per realization."""

    def __init__(
        self, scenario: Scenario, plan: Plan, time: int, island: Island, free_voltage: bool
    ) -> None:
        self._scenario, self._island, self._free_voltage = scenario, island, free_voltage
        ders, at = scenario.ders, (island.der, island.der_phase)
        rating = np.maximum(np.abs(ders.p_max_kw[at]), np.abs(ders.p_min_kw[at]))
        self._scale = np.where(rating > 0.0, rating, 1.0)
        self._base = plan.p_kw[time][at], plan.q_kvar[time][at]
        self._held = float(plan.source_v_pu[time, island.former])
        self._forms = island.der == island.former
        bus = int(ders.bus[island.former])
        self._held_nodes = [island.nodes.index((bus, phase)) for phase in range(3)]
        line_to_line = scenario.limits.voltage_test is VoltageTest.LINE_TO_LINE
        tested = island.pairs if line_to_line else sparse.eye_array(len(island.nodes)).tocsr()
        moving = np.delete(np.arange(len(island.nodes)), self._held_nodes)
        self._tested = tested
        self._measured = tested[np.flatnonzero(abs(tested)[:, moving].sum(axis=1))]
        self._solver = self._build()

    # ------------------------------------------------------------------ symbols
    def _build(self) -> Any:
        island = self._island
        n, g, m = len(island.nodes), len(island.der), len(island.load)
        e, f, p, q = (ca.SX.sym(name, k) for name, k in (("e", n), ("f", n), ("p", g), ("q", g)))
        t, demand = ca.SX.sym("t"), ca.SX.sym("s", 2 * m)
        held = ca.SX.sym("held", int(self._free_voltage))
        current = _product(island.Y, e, f)
        drawn = self._load_current(e, f, demand[:m], demand[m:])
        re, im = current[0] + drawn[0], current[1] + drawn[1]
        fed = sorted(set(island.der_node.tolist()))
        last = set(island.floating[:, 2].tolist())
        rest = [node for node in range(n) if node not in set(fed) | last]
        afloat = [sum(v[k] for k in group) for group in island.floating.tolist() for v in (e, f)]
        gather = ca.DM.zeros(len(fed), g)
        for k, node in enumerate(island.der_node.tolist()):
            gather[fed.index(node), k] = 1.0
        balance = [
            re[rest],
            im[rest],
            *afloat,
            (e * re + f * im)[fed] - gather @ p,
            (f * re - e * im)[fed] - gather @ q,
        ]
        margins = self._margins_symbolic(e, f, p, q, t)
        if self._free_voltage:
            at, phasor = self._held_nodes, np.exp(-2j * np.pi / 3.0 * np.arange(3))
            balance += [e[at] - held * phasor.real, f[at] - held * phasor.imag]
            margins += [held - self._scenario.limits.v_min_pu - t]
            margins += [self._scenario.limits.v_max_pu - held - t]
        equalities, inequalities = ca.vertcat(*balance), ca.vertcat(*margins)
        self._equalities, self._inequalities = equalities.numel(), inequalities.numel()
        problem = {
            "x": ca.vertcat(e, f, p, q, t, held),
            "p": demand,
            "f": -t,
            "g": ca.vertcat(equalities, inequalities),
        }
        return ca.nlpsol("redispatch", "ipopt", problem, _IPOPT)

    def _load_current(self, e: Any, f: Any, p: Any, q: Any) -> tuple[Any, Any]:
        """Σ conj(s / u), u the voltage across a load slot, s following it by its model."""
        island = self._island
        ue, uf = _product(island.across, e, f)
        square = ue**2 + uf**2
        a, b = (ca.DM(column) for column in island.powers.T)
        ratio = square / ca.DM(island.rated) ** 2
        p, q = p * ratio ** (a / 2), q * ratio ** (b / 2)
        back = ca.DM(island.across.real.T.tocsc())
        return back @ ((p * ue + q * uf) / square), back @ ((p * uf - q * ue) / square)

    def _margins_symbolic(self, e: Any, f: Any, p: Any, q: Any, t: Any) -> list[Any]:
        """Rows that are ≥ 0 where a margin is ≥ t; squared where a magnitude has to be ≤.

        The held voltages' own margins, which nothing can move, are left to `_margins`.
        """
        island, limits, ders = self._island, self._scenario.limits, self._scenario.ders
        at, scale = (island.der, island.der_phase), ca.DM(self._scale)
        ve, vf = _product(self._measured, e, f)
        v = ca.sqrt(ve**2 + vf**2)
        ie, jf = _product(island.line_current, e, f)
        rows = [
            v - limits.v_min_pu - t,
            limits.v_max_pu - v - t,
            (1 - t) ** 2 - ie**2 - jf**2,
        ]
        if len(island.unit_node):
            ce, cf = _product(island.unit_current, e, f)
            we, wf = e[island.unit_node.tolist()], f[island.unit_node.tolist()]
            add = ca.DM(island.unit_side.tocsc())
            rows.append(
                (1 - t) ** 2 - (add @ (we * ce + wf * cf)) ** 2 - (add @ (wf * ce - we * cf)) ** 2
            )
        base_p, base_q = (ca.DM(base) for base in self._base)
        kw, kvar = 1000.0 * p, 1000.0 * q
        for value, least, most, ramp, base in (
            (kw, ders.p_min_kw[at], ders.p_max_kw[at], ders.ramp_kw[at], base_p),
            (kvar, ders.q_min_kvar[at], ders.q_max_kvar[at], ders.ramp_kvar[at], base_q),
        ):
            rows += [
                (value - ca.DM(least)) / scale - t,
                (ca.DM(most) - value) / scale - t,
                (ca.DM(ramp) - value + base) / scale - t,
                (ca.DM(ramp) + value - base) / scale - t,
            ]
        stated = np.flatnonzero(np.isfinite(ders.s_max_kva[at])).tolist()
        if stated:
            s_max = ca.DM(ders.s_max_kva[at][stated]) / scale[stated]
            square = (kw[stated] ** 2 + kvar[stated] ** 2) / scale[stated] ** 2
            rows.append((s_max - t) ** 2 - square)
        return rows

    # ------------------------------------------------------------------ numbers
    def best(
        self, p_kw: Array, q_kvar: Array, starts: Sequence[Start], tolerance: float
    ) -> tuple[Flow | None, str]:
        """Take the best of all starts, ending at the first feasible point."""
        found: tuple[Flow | None, str] = (None, "not tried")
        for start in starts:
            point, status = self.solve(p_kw, q_kvar, start, free=True)
            if point is not None and (found[0] is None or point.least[1] > found[0].least[1]):
                found = point, status
            elif found[0] is None:
                found = None, status
            if found[0] is not None and found[0].least[1] >= -tolerance:
                break
        return found

    def solve(
        self, p_kw: Array, q_kvar: Array, start: Start, *, free: bool
    ) -> tuple[Flow | None, str]:
        """Solve one realization from a start; ``free`` lets the DERs move."""
        island = self._island
        at, phase = (island.der, island.der_phase), np.array([k for _, k in island.nodes])
        p0, q0 = start[0][at] / 1000.0, start[1][at] / 1000.0
        flat = self._held * np.exp(-2j * np.pi / 3.0 * phase)
        x0 = np.concatenate([flat.real, flat.imag, p0, q0, [0.0, self._held]])
        x0 = x0[: len(x0) - (not self._free_voltage)]
        low, high = np.full(len(x0), -np.inf), np.full(len(x0), np.inf)
        n, g = len(flat), len(p0)
        if not self._free_voltage:
            fixed = [k for node in self._held_nodes for k in (node, n + node)]
            low[fixed] = high[fixed] = x0[fixed]
        if not free:
            follows = 2 * n + np.flatnonzero(np.tile(~self._forms, 2))
            low[follows] = high[follows] = x0[follows]
        high[2 * n + 2 * g] = (
            1.0  # beyond, a squared margin would turn round; no margin can be larger
        )
        slots = island.load, island.slot
        demand = np.concatenate([p_kw[slots], q_kvar[slots]]) / 1000.0
        solved = self._solver(
            x0=x0,
            p=demand,
            lbx=low,
            ubx=high,
            lbg=0.0,
            ubg=np.concatenate([np.zeros(self._equalities), np.full(self._inequalities, np.inf)]),
        )
        status = str(self._solver.stats()["return_status"])
        x = np.asarray(solved["x"]).ravel()
        v = x[:n] + 1j * x[n : 2 * n]
        flow = self._read(v, x[2 * n : 2 * n + g], x[2 * n + g : 2 * n + 2 * g], demand)
        good = status in ("Solve_Succeeded", "Solved_To_Acceptable_Level")
        accepted = good and flow.residual <= RESIDUAL
        return (flow if accepted else None), status

    def _read(self, v: NDArray[np.complex128], p: Array, q: Array, demand: Array) -> Flow:
        """Put a point back into the physics, without a symbol or the solver's own margins."""
        island = self._island
        across = island.across @ v
        m = len(island.load)
        ratio = np.abs(across) / island.rated
        load = demand[:m] * ratio ** island.powers[:, 0] + 1j * (
            demand[m:] * ratio ** island.powers[:, 1]
        )
        drawn = island.Y @ v + island.across.T @ np.conj(load / across)
        fed = np.zeros(len(v), complex)
        np.add.at(fed, island.der_node, p + 1j * q)
        residual = np.abs(v * np.conj(drawn) - fed).max()
        return Flow(
            v=v,
            p_kw=1000.0 * p,
            q_kvar=1000.0 * q,
            residual=float(residual) if np.isfinite(residual) else np.inf,
            margins=self._margins(v, 1000.0 * p, 1000.0 * q),
        )

    def _margins(self, v: NDArray[np.complex128], kw: Array, kvar: Array) -> dict[str, float]:
        island, limits, ders = self._island, self._scenario.limits, self._scenario.ders
        at, scale = (island.der, island.der_phase), self._scale
        size = np.abs(self._tested @ v)
        passed = v[island.unit_node] * np.conj(island.unit_current @ v)
        ramp_kw = ders.ramp_kw[at] - np.abs(kw - self._base[0])
        ramp_kvar = ders.ramp_kvar[at] - np.abs(kvar - self._base[1])
        room = [
            ders.p_max_kw[at] - kw,
            kw - ders.p_min_kw[at],
            ders.q_max_kvar[at] - kvar,
            kvar - ders.q_min_kvar[at],
            ders.s_max_kva[at] - np.hypot(kw, kvar),
        ]
        found = {
            MarginKind.VOLTAGE: np.minimum(size - limits.v_min_pu, limits.v_max_pu - size),
            MarginKind.CURRENT: 1.0 - np.abs(island.line_current @ v),
            MarginKind.TRANSFORMER: 1.0 - np.abs(island.unit_side @ passed),
            MarginKind.CAPABILITY: np.minimum.reduce(room) / scale,
            MarginKind.RAMP: np.minimum(ramp_kw, ramp_kvar) / scale,
            MarginKind.DAMAGE: np.zeros(0),  # nothing failed
        }
        return {str(kind): float(values.min(initial=np.inf)) for kind, values in found.items()}


def _product(matrix: Any, e: Any, f: Any) -> tuple[Any, Any]:
    """Real and imaginary part of ``matrix @ (e + jf)``, each with its own sparsity."""
    G, B = (_sparse(part) for part in (matrix.real, matrix.imag))
    return G @ e - B @ f, B @ e + G @ f


def _sparse(matrix: Any) -> Any:
    compact = matrix.tocsc()
    compact.eliminate_zeros()
    return ca.DM(compact)
