"""The dispatch with its network: every row of LinDist3Flow, for every disturbance of a set.

Columns beside those of the copperplate: reactive power of each follower, priced (free, it would
sit on limits), and the magnitude that the forming unit holds at each step. Under an **affine**
response the rows of `feeder_rows` are held over the whole set, by lazy worst cases (`robust`);
under a **shared** one they are held for the plan alone, and only reserves are for the set.

What is said to be proven is proven of the linear model, with its margins: losses, and what they
do to voltages, are the AC engine's to judge.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from time import perf_counter
from types import MappingProxyType
from typing import TYPE_CHECKING

import numpy as np
from gridproof.optimizer.policy_mode.dispatch import (
    Dispatch,
    read,
    refuse,
    refuse_shortfall,
    reserve_rows,
)
from gridproof.optimizer.policy_mode.feeder_rows import (
    HELD_UNIT,
    Margins,
    Quantities,
    limits,
    quantities,
)
from gridproof.optimizer.policy_mode.gaps import Gaps, add_gaps
from gridproof.optimizer.policy_mode.hedge import Hedge
from gridproof.optimizer.policy_mode.microgrid import Disturbance, Microgrid
from gridproof.optimizer.policy_mode.model import Columns, add_dispatch
from gridproof.optimizer.policy_mode.options import RESPONSES
from gridproof.optimizer.policy_mode.response import add_affine, add_duals, add_shared
from gridproof.optimizer.policy_mode.robust import StepRows, nominal, reachable, search
from gridproof.optimizer.policy_mode.shapes import Rectangle, Worst
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.arrays import BoolArray, FloatArray, IntArray
from gridproof.scenarios.errors import ScenarioError
from gridproof.scenarios.lindist import polygon
from gridproof.scenarios.proof import Termination
from gridproof.scenarios.sets import Wasserstein

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["NetworkDispatch", "dispatch_network"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class NetworkDispatch:
    """A dispatch, and what the network asks of it.

    Attributes
    ----------
    dispatch
        Set-points, reserves, response; its ``proven`` says what is held over which set.
    q_kvar
        (time, der) of the followers; of the forming DER what it supplies by the linear model.
    held_pu
        (time,) magnitude that the forming DER holds.
    rounds, rows, programs
        Solves; rows stated, of ``rows_all``; linear programs for worst cases of a cut set.
    broken, worst_kw
        Rows still broken when time ran out, and by how much at most, kW or its like.
    seconds
        Wall time by part: ``maps``, ``search``.
    """

    dispatch: Dispatch
    q_kvar: FloatArray
    held_pu: FloatArray
    rounds: int
    rows: int
    rows_all: int
    programs: int
    broken: int
    worst_kw: float
    seconds: Mapping[str, float] = field(default_factory=lambda: MappingProxyType({}))


def dispatch_network(
    scenario: Scenario,
    grid: Microgrid,
    disturbance: Disturbance,
    held: Hedge,
    *,
    response: str = "affine",
    closed: BoolArray | None = None,
    margins: Margins | None = None,
    time_limit_s: float = 60.0,
) -> NetworkDispatch:
    """Dispatch over all steps on one island of the scenario's feeder.

    Parameters
    ----------
    scenario
        Feeder, DERs and loads, all of constant power; ``grid`` has its DERs and loads.
    grid, disturbance, held
        As for `dispatch.dispatch`.
    response
        ``"affine"`` or ``"shared"``.
    closed
        (switch,) states; those of the feeder's file if left out.
    margins
        What is kept free for losses.
    time_limit_s
        Wall time of the search. What is open then is said to be open: nothing is proven of it.

    Raises
    ------
    NoPlanExists
        If no plan with this response exists.
    PlanNotFound
        If not even the first program was solved in time.
    ScenarioError
        If the pieces contradict each other, or a set over totals is asked to hold the network.
    """
    _check(scenario, grid, disturbance, held, response)
    began = perf_counter()
    if response == "affine":
        refuse_shortfall(grid, disturbance, held, response, began)
    parts = _Parts.of(scenario, grid, disturbance, held, response, closed, margins or Margins())
    arrays, affine = parts.program.arrays(), response == "affine"
    shape = Worst(held.shape) if affine and held.shape else nominal(len(disturbance.ids))
    families = reachable(parts.families, arrays, disturbance.shape, shape.shape)
    mapped = perf_counter()
    ended = search(arrays, families, parts.A, disturbance.shape, shape, time_limit_s=time_limit_s)
    if ended.termination is Termination.INFEASIBLE and not affine:
        refuse_shortfall(grid, disturbance, held, response, began)
    refuse(ended, held, response, perf_counter() - began)
    plan = read(
        grid, parts.columns, parts.A, ended, arrays, held=held, response=response,
        proven=f"reserves and network over {held.says}" if affine else "",
        seconds=perf_counter() - began,
    )  # fmt: skip
    q_kvar = ended.x[parts.q].copy()
    q_kvar[:, grid.forming] = _value(parts.forming_q, ended.x, parts.at).sum(axis=1)
    done = ended.termination is Termination.OPTIMAL
    return NetworkDispatch(
        dispatch=plan,
        q_kvar=q_kvar,
        held_pu=np.sqrt(1.0 + HELD_UNIT * ended.x[parts.omega]),
        rounds=ended.rounds,
        rows=ended.rows,
        rows_all=sum(len(rows.B) for rows in parts.families) * len(disturbance.shape),
        programs=ended.programs,
        broken=0 if done else ended.broken,
        worst_kw=0.0 if done else ended.worst_kw,
        seconds=MappingProxyType({"maps": mapped - began, "search": perf_counter() - mapped}),
    )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class _Parts:
    """The program without its network rows, and the rows, which are stated as they are missed."""

    program: Program
    columns: Columns
    A: IntArray
    q: IntArray
    omega: IntArray
    at: IntArray
    forming_q: Quantities
    families: list[StepRows]

    @classmethod
    def of(  # noqa: PLR0917  (what `dispatch_network` is given)
        cls,
        scenario: Scenario,
        grid: Microgrid,
        disturbance: Disturbance,
        held: Hedge,
        response: str,
        closed: BoolArray | None,
        kept: Margins,
    ) -> _Parts:
        """State dispatch, response and reserves; collect what the network asks of them."""
        shut = scenario.feeder.lines.closed[scenario.feeder.switches] if closed is None else closed
        network, state, found = quantities(scenario, grid, disturbance, shut)
        m, affine = Program(), response == "affine"
        c = add_dispatch(m, grid)
        q, omega = _add_reactive(m, grid, kept)
        A = np.zeros((len(disturbance.shape), 0, len(disturbance.ids)), dtype=np.int64)
        gaps = add_gaps(m, grid, disturbance, c, held.shape if affine else None)
        families = _followers(grid, disturbance, c, q, gaps.lost)
        families += _bound_followers(grid, disturbance, c, q, gaps.lost)
        if affine:
            A = add_affine(m, grid, disturbance)
            if isinstance(held.shape, Rectangle | Wasserstein):
                add_duals(m, grid, c, held.shape, d=disturbance, A=A, gaps=gaps)
            else:
                families += reserve_rows(grid, c, disturbance, gaps)
        else:
            add_shared(m, c, held, disturbance.shape)
        at = np.concatenate([c.p, q, omega[:, None], c.shed], axis=1)
        rows = limits(network, state, found, kept, grid.forming, disturbance)
        families += _step_rows(rows, at, gaps, grid, affine=affine)
        return cls(
            program=m,
            columns=c,
            A=A,
            q=q,
            omega=omega,
            at=at,
            forming_q=found["forming_q"],
            families=[_with_width(rows, A.shape[1]) for rows in families],
        )


def _add_reactive(m: Program, grid: Microgrid, kept: Margins) -> tuple[IntArray, IntArray]:
    """``q`` of each DER (0 of the forming one) and ω of each step; ``|q|`` is priced."""
    steps, n = len(grid.duration_h), len(grid.ders.ids)
    follows = np.arange(n) != grid.forming
    low = np.where(follows, grid.ders.q_min_kvar.sum(axis=1), 0.0)
    high = np.where(follows, grid.ders.q_max_kvar.sum(axis=1), 0.0)
    q = m.columns(steps * n, lower=np.tile(low, steps), upper=np.tile(high, steps))
    price = np.repeat(grid.duration_h, n) * grid.prices.reactive_usd_per_kvarh
    size = m.columns(steps * n, upper=np.inf, cost=price)
    m.rows("reactive", (1.0, size), (1.0, q), lower=0.0)
    m.rows("reactive", (1.0, size), (-1.0, q), lower=0.0)
    ends = [(v**2 - 1.0) / HELD_UNIT for v in (kept.held_min_pu, kept.held_max_pu)]
    omega = m.columns(steps, lower=ends[0], upper=ends[1])
    return q.reshape(steps, n), omega


def _followers(
    grid: Microgrid, d: Disturbance, c: Columns, q: IntArray, lost: IntArray
) -> list[StepRows]:
    """``|s| ≤ S`` of every follower, at its set-point plus what it holds up, and less down.

    Of a renewable with the sun that a disturbance brings it, less what is lost of that.
    """
    kva = grid.ders.s_max_kva.sum(axis=1)
    bound = np.isfinite(kva) & (np.arange(len(kva)) != grid.forming)
    at = np.flatnonzero(bound)
    n, steps = len(at), len(d.shape)
    eye, none, parts, right, moved = np.eye(n), np.zeros((n, n)), [], [], []
    sun = np.isin(at, grid.fleet.renewables.der)
    dims = (at[:, None] == grid.fleet.renewables.der[None]).astype(float)  # (follower, renewable)
    own = np.where(sun[:, None], d.of_der[:, at].T, 0.0)
    for cos, sin, reach in polygon(16):
        more = max(cos, 0.0)
        for reserve in ((cos * eye, none), (none, -cos * eye)):
            parts.append(np.hstack([cos * eye, *reserve, sin * eye, -more * dims]))
            right.append(reach * kva[at])
            moved.append(-more * own)
    columns = np.concatenate([c.p[:, at], c.up[:, at], c.down[:, at], q[:, at], lost], axis=1)
    count = n * len(parts)
    return [
        StepRows(
            name="follower",
            columns=columns,
            B=np.vstack(parts),
            constant=np.zeros((steps, count)),
            right=np.concatenate(right),
            G=np.zeros((count, 0)),
            D=np.vstack(moved),
        )
    ]


def _bound_followers(
    grid: Microgrid, d: Disturbance, c: Columns, q: IntArray, lost: IntArray
) -> list[StepRows]:
    """``side q - slope P ≤ level`` of every follower's power factor and capability curve.

    ``P`` is at its highest what it holds up and more sun than forecast make of its set-point, less
    what is lost of that sun; at its lowest what it holds down and what an event takes. Reactive
    power stays.
    """
    planes, suns = grid.ders.half_planes, grid.fleet.renewables.der
    rows = np.flatnonzero(planes.der != grid.forming)
    at, own = np.unique(planes.der[rows], return_inverse=True)
    if not len(rows):
        return []
    side, slope, steps = planes.side[rows], planes.slope[rows], len(d.shape)
    pick = np.eye(len(at))[own]  # (row, follower)
    falls, rises = np.maximum(-slope, 0.0)[:, None], np.maximum(slope, 0.0)[:, None]
    sun = (at[:, None] == suns[None]).astype(float)[own]  # (row, renewable)
    taken = d.of_der[:, at].T[own]  # (row, component)
    scale = planes.steepness[rows]
    B = np.hstack([-slope[:, None] * pick, falls * pick, rises * pick, side[:, None] * pick,
                   -falls * sun])  # fmt: skip
    D = rises * taken - falls * taken * np.isin(at, suns)[own][:, None]
    return [
        StepRows(
            name="capability",
            columns=np.concatenate(
                [c.p[:, at], c.up[:, at], c.down[:, at], q[:, at], lost], axis=1
            ),
            B=B / scale[:, None],
            constant=np.zeros((steps, len(rows))),
            right=planes.level[rows].sum(axis=1) / scale,
            G=np.zeros((len(rows), 0)),
            D=D / scale[:, None],
        )
    ]


def _step_rows(
    parts: list[tuple[str, Quantities, FloatArray]],
    at: IntArray,
    gaps: Gaps,
    grid: Microgrid,
    *,
    affine: bool,
) -> list[StepRows]:
    """One family of each name, every row scaled by its largest slope of power."""
    columns, sun = np.concatenate([at, gaps.lost], axis=1), grid.fleet.renewables.der
    responders = list(grid.responders) if affine else []
    made = []
    for name in dict.fromkeys(name for name, _, _ in parts):
        own = [part for part in parts if part[0] == name]
        of_p = np.vstack([quantity.of_p for _, quantity, _ in own])
        of_shed = np.vstack([quantity.of_shed for _, quantity, _ in own])
        B = np.vstack([_slopes(quantity) for _, quantity, _ in own])
        short = gaps.worst(of_p[:, sun], of_shed)
        B[:, -of_shed.shape[1] :] += short[:, len(sun) :]
        B = np.hstack([B, short[:, : len(sun)]])
        scale = np.maximum(np.abs(of_p).max(axis=1), np.abs(of_shed).max(axis=1, initial=0.0))
        scale = np.where(scale > 1e-12, scale, 1.0)
        B = B / scale[:, None]
        made.append(
            StepRows(
                name=name,
                columns=columns,
                B=np.where(np.abs(B) > 1e-9, B, 0.0),
                constant=np.hstack([quantity.base for _, quantity, _ in own]) / scale,
                right=np.concatenate([right for _, _, right in own]) / scale,
                G=of_p[:, responders] / scale[:, None],
                D=np.vstack([quantity.of_w for _, quantity, _ in own]) / scale[:, None],
            )
        )
    return made


def _slopes(own: Quantities) -> FloatArray:
    """(row, column) slopes in the order of the columns p, q, ω, shed."""
    return np.hstack([own.of_p, own.of_q, own.of_held[:, None], own.of_shed])


def _with_width(rows: StepRows, responders: int) -> StepRows:
    """Give rows that no response moves a slope of zeros."""
    if rows.G.shape[1] == responders:
        return rows
    return replace(rows, G=np.zeros((len(rows.B), responders)))


def _value(own: Quantities, x: FloatArray, at: IntArray) -> FloatArray:
    """(time, row) of a quantity at the plan."""
    return own.base + x[at] @ _slopes(own).T


def _check(scenario: Scenario, grid: Microgrid, d: Disturbance, held: Hedge, response: str) -> None:
    faults = []
    if grid.ders is not scenario.ders and grid.ders.ids != scenario.ders.ids:
        faults.append("the microgrid has other DERs than the scenario; give the same")
    if grid.load_ids != scenario.feeder.loads.ids:
        faults.append("the microgrid has other loads than the scenario's feeder; give the same")
    elif not np.allclose(grid.load_kw, scenario.load_p_kw.sum(axis=2), atol=1e-6):
        faults.append("the microgrid's loads differ from the scenario's; give the same kW")
    wanted = (len(grid.duration_h), len(grid.ders.ids), len(grid.load_ids))
    given = (len(d.shape), d.of_der.shape[1], d.of_load.shape[1])
    if given != wanted:
        faults.append(f"disturbances are given for {given} steps, DERs, loads; there are {wanted}")
    if held.shape is not None and held.shape.size != len(d.ids):
        faults.append(f"the set has {held.shape.size} components, the disturbance {len(d.ids)}")
    if response not in RESPONSES:
        faults.append(f"unknown response {response!r}; there are {', '.join(RESPONSES)}")
    if held.totals and response == "affine":
        faults.append(
            "dro_total says nothing of where a disturbance lands, which the network must know; "
            'ask for response = "shared", or for dro_components'
        )
    if faults:
        raise ScenarioError(faults)
