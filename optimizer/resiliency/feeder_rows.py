"""The feeder of a day, (32)-(37): balances, voltage drops, and flows over ties that are closed."""

from __future__ import annotations

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.first_stage import FirstStage
from gridproof.optimizer.resiliency.grid import Grid, tie_reach
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.arrays import IntArray
from scipy import sparse

__all__ = ["add_balance", "add_lines"]


def add_balance(m: Program, case: ResiliencyCase, made: dict[str, IntArray]) -> None:
    """(32)-(33): what comes in over lines and of units is what is served."""
    net, hours = case.network, case.horizon.hours
    buses = len(net.bus_ids)
    line = np.arange(len(net.line_ids))
    into = sparse.csr_array(
        (
            np.concatenate([np.ones(len(line)), -np.ones(len(line))]),
            (np.concatenate([net.to_bus, net.from_bus]), np.tile(line, 2)),
        ),
        shape=(buses, len(line)),
    )

    def at(bus: IntArray, sign: float = 1.0) -> sparse.csr_array:
        ones = np.full(len(bus), sign)
        return sparse.csr_array((ones, (bus, np.arange(len(bus)))), shape=(buses, len(bus)))

    asked = case.demand.p_kw
    ratio = np.divide(case.demand.q_kvar, asked, out=np.zeros_like(asked), where=asked > 0.0)
    root = np.array([net.root])
    for t in range(hours):
        m.rows(
            "(32)", (into, made["p"][t]), (at(case.chps.bus), made["chp_p"][t]),
            (at(case.chps.bus, -1.0), made["spilled"][t]),
            (at(case.sites), made["mobile_p"][t]),
            (at(case.renewables.bus), made["renewable"][t]),
            (at(case.storages.bus), made["discharged"][t]),
            (at(case.storages.bus, -1.0), made["charged"][t]),
            (at(root), made["bought"][t : t + 1]), (at(root, -1.0), made["sold"][t : t + 1]),
            (-1.0, made["served"][t]), lower=0.0, upper=0.0,
        )  # fmt: skip
        # the main grid gives what reactive power the root lacks: its row is not stated
        own = np.delete(np.arange(buses), net.root)
        terms = [
            (into[own], made["q"][t]),
            (at(case.chps.bus)[own], made["chp_q"][t]),
            (at(case.sites)[own], made["mobile_q"][t]),
            (-ratio[t, own], made["served"][t, own]),
        ]
        m.rows("(33)", *terms, lower=0.0, upper=0.0)


def add_lines(
    m: Program, case: ResiliencyCase, grid: Grid, stage: FirstStage, made: dict[str, IntArray]
) -> None:
    """(34)-(37): voltage drops along closed lines, flows on none that is open."""
    net, hours = case.network, case.horizon.hours
    power = 2 if net.squared_voltage else 1
    r, x = (power * ohm / net.base_kv**2 for ohm in (net.r_ohm, net.x_ohm))
    v, p, q = made["v"], made["p"], made["q"]
    m.fix(v[:, net.root], net.root_v_pu**power)
    for t in range(hours):
        closed = np.flatnonzero(grid.lasting[t])
        a, b = net.from_bus[closed], net.to_bus[closed]
        m.rows("(34)-(35)", (1.0, v[t, a]), (-1.0, v[t, b]), (-r[closed], p[t, closed]),
               (-x[closed], q[t, closed]), lower=0.0, upper=0.0)  # fmt: skip
        open_ = ~grid.lasting[t]
        if t >= grid.first_switched:
            open_ = open_ & ~net.tie
        m.fix(p[t, open_], 0.0)
        m.fix(q[t, open_], 0.0)
    late, ties = slice(grid.first_switched, None), grid.ties
    closed = stage.closed[late].ravel()
    if not len(closed):
        return
    far = net.v_max_pu**power - net.v_min_pu**power
    rows = hours - grid.first_switched
    terms = [
        (1.0, v[late][:, net.from_bus[ties]].ravel()),
        (-1.0, v[late][:, net.to_bus[ties]].ravel()),
        (-np.tile(r[ties], rows), p[late][:, ties].ravel()),
        (-np.tile(x[ties], rows), q[late][:, ties].ravel()),
    ]
    m.rows("(34)-(35) ties", *terms, (far, closed), upper=far)
    m.rows("(34)-(35) ties", *terms, (-far, closed), lower=-far)
    forth, back, mvar = (most[late].ravel() for most in tie_reach(case, grid))
    over, over_q = p[late][:, ties].ravel(), q[late][:, ties].ravel()
    m.rows("(36)", (1.0, over), (-forth, closed), upper=0.0)
    m.rows("(36)", (1.0, over), (back, closed), lower=0.0)
    m.rows("(36)", (1.0, over_q), (-mvar, closed), upper=0.0)
    m.rows("(36)", (1.0, over_q), (mvar, closed), lower=0.0)
