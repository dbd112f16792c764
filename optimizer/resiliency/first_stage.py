"""The first stage: commitment, switching by crews, placement, and which blocks live.

Columns are whole where the paper's are binary; the recourse holds the same columns at values.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.grid import Grid, cycles
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.arrays import IntArray
from scipy import sparse

__all__ = [
    "FirstStage",
    "add_commitment",
    "add_energisation",
    "add_first_stage",
    "add_placement",
    "add_switching",
]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FirstStage:
    """Columns of the first stage.

    Attributes
    ----------
    running, started, stopped
        (hour, chp) ``u``, ``su``, ``sd``.
    closed
        (hour, tie) ``β``.
    placed
        (site,) ``m``.
    alive
        (hour, block) ``e``: whether the block's island has a source that forms.
    """

    running: IntArray
    started: IntArray
    stopped: IntArray
    closed: IntArray
    placed: IntArray
    alive: IntArray


def add_first_stage(m: Program, case: ResiliencyCase, grid: Grid) -> FirstStage:
    """State (19)-(27), and the energisation that the print leaves out."""
    running, started, stopped = add_commitment(m, case)
    closed = add_switching(m, case, grid)
    placed = add_placement(m, case)
    alive = add_energisation(m, case, grid, running=running, closed=closed, placed=placed)
    return FirstStage(
        running=running,
        started=started,
        stopped=stopped,
        closed=closed,
        placed=placed,
        alive=alive,
    )


def add_commitment(m: Program, case: ResiliencyCase) -> tuple[IntArray, IntArray, IntArray]:
    """(19) ``su_t - sd_t = u_t - u_{t-1}``, with the costs of starts, stops and running, k$."""
    own, hours = case.chps, case.horizon.hours
    count = len(own.ids)
    usd_h = own.running_usd_per_h * case.horizon.step_h
    running, started, stopped = (
        m.columns(hours * count, cost=np.tile(usd, hours) / 1e3, integer=whole, name=name).reshape(
            hours, count
        )
        for name, usd, whole in (
            ("running", usd_h, True),
            ("started", own.start_usd, False),
            ("stopped", own.stop_usd, False),
        )
    )
    before = own.on_before.astype(float)
    m.rows(
        "(19)", (1.0, started[0]), (-1.0, stopped[0]), (-1.0, running[0]),
        lower=-before, upper=-before,
    )  # fmt: skip
    m.rows(
        "(19)", (1.0, started[1:].ravel()), (-1.0, stopped[1:].ravel()),
        (-1.0, running[1:].ravel()), (1.0, running[:-1].ravel()), lower=0.0, upper=0.0,
    )  # fmt: skip
    # a unit that starts runs, one that stops does not: what lets ramps be stated tightly
    m.rows("start runs", (1.0, started.ravel()), (-1.0, running.ravel()), upper=0.0)
    m.rows("stop rests", (1.0, stopped.ravel()), (1.0, running.ravel()), upper=1.0)
    return running, started, stopped


def add_switching(m: Program, case: ResiliencyCase, grid: Grid) -> IntArray:
    """(23)-(26) over ties: ``β_t = Σ_{s≤t} c_s``, each closed once, ``Σ_{l,s} c ≤ NCrew``.

    As printed (26) sums over hours alone and says nothing beside (23). Loops of ties, where there
    are any, are kept open in part, so that (20)-(22) are not needed.
    """
    hours, ties, first = case.horizon.hours, len(grid.ties), grid.first_switched
    crews = case.crews_used
    closed = m.columns(hours * ties, name="closed").reshape(hours, ties)
    m.fix(closed[:first].ravel(), 0.0)
    closing = m.columns((hours - first) * ties, integer=True, name="closing")
    closing = closing.reshape(hours - first, ties)
    for k in range(hours - first):
        earlier = [] if k == 0 else [(-1.0, closed[first + k - 1])]
        m.rows(
            "(23)-(25)", (1.0, closed[first + k]), (-1.0, closing[k]), *earlier,
            lower=0.0, upper=0.0,
        )  # fmt: skip
    if closing.size:
        m.rows("(26)", (_one_row(closing.size), closing.ravel()),
               upper=float(crews))  # fmt: skip
        for loop in cycles(case, grid):
            m.rows("no loop", (_one_row(len(loop)), closed[-1, list(loop)]), upper=len(loop) - 1.0)
    return closed


def add_placement(m: Program, case: ResiliencyCase) -> IntArray:
    """(27) ``Σ m_i ≤ NMG``."""
    placed = m.columns(len(case.sites), integer=True, name="placed")
    m.rows("(27)", (_one_row(len(placed)), placed), upper=float(case.mobile_used))
    return placed


def add_energisation(
    m: Program,
    case: ResiliencyCase,
    grid: Grid,
    *,
    running: IntArray,
    closed: IntArray,
    placed: IntArray,
) -> IntArray:
    """Not in print: one commodity from the grid, committed CHPs and placed generators to blocks.

    A block takes ``e ≤ 1`` of it; wind, sun and batteries give nothing where ``e = 0``, as their
    inverters follow and nobody forms the island.
    """
    hours, n = case.horizon.hours, float(grid.blocks)
    alive = m.columns(hours * grid.blocks, name="alive").reshape(hours, grid.blocks)
    root = grid.block_of_bus[case.network.root]
    for t in range(case.outage.hour - 1):
        m.fix(alive[t], 1.0)
    for t in range(case.outage.hour - 1, hours):
        lasting = np.flatnonzero(grid.lasting[t] & (grid.ends[:, 0] != grid.ends[:, 1]))
        lines = np.concatenate([lasting, grid.ties])
        flow = m.columns(len(lines), lower=-n, upper=n, name="commodity")
        tied = flow[len(lasting) :]
        m.rows("commodity over ties", (1.0, tied), (-n, closed[t]), upper=0.0)
        m.rows("commodity over ties", (1.0, tied), (n, closed[t]), lower=0.0)
        into = _incidence(grid.blocks, grid.ends[lines])
        sources = [(root, n, None)]
        sources += [
            (grid.block_of_bus[bus], n, u) for bus, u in zip(case.chps.bus, running[t], strict=True)
        ]
        if t >= grid.first_mobile:
            sources += [
                (grid.block_of_bus[bus], n, at) for bus, at in zip(case.sites, placed, strict=True)
            ]
        given = m.columns(len(sources), upper=n, name="commodity")
        gated = [k for k, one in enumerate(sources) if one[2] is not None]
        if gated:
            gates = np.array([sources[k][2] for k in gated])
            m.rows("commodity of sources", (1.0, given[gated]), (-n, gates), upper=0.0)
        feed = sparse.csr_array(
            (np.ones(len(sources)), ([s[0] for s in sources], range(len(sources)))),
            shape=(grid.blocks, len(sources)),
        )
        m.rows("commodity", (into, flow), (feed, given), (-1.0, alive[t]), lower=0.0, upper=0.0)
        # implied at whole values, and what a relaxation lacks: a source within, or a closed line
        touch = abs(into)
        near = touch[:, len(lasting) :]
        reach = np.asarray(touch[:, : len(lasting)].sum(axis=1)).ravel()
        reach[root] += 1.0
        own = feed[:, gated]
        m.rows("alive by somebody", (-1.0, alive[t]), (near, closed[t]),
               (own, np.array([sources[k][2] for k in gated], np.int64)), lower=-reach)  # fmt: skip
    return alive


def _one_row(width: int) -> sparse.csr_array:
    return sparse.csr_array(np.ones((1, width)))


def _incidence(nodes: int, ends: IntArray) -> sparse.csr_array:
    """(node, edge) -1 where an edge begins, +1 where it ends."""
    count = len(ends)
    data = np.concatenate([-np.ones(count), np.ones(count)])
    where = np.concatenate([ends[:, 0], ends[:, 1]])
    return sparse.csr_array((data, (where, np.tile(np.arange(count), 2))), shape=(nodes, count))
