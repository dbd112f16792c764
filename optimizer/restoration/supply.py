"""What feeds a balanced network: substations, and generators that carry an island."""

from __future__ import annotations

import numpy as np
from gridproof.optimizer.restoration.distflow import FlowColumns
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.arrays import IntArray
from gridproof.scenarios.restoration import Outage

__all__ = ["Supply", "add_supply", "hold_source_voltage", "w_band"]

Supply = tuple[IntArray, IntArray, IntArray]
"""Bus position, active and reactive column of each source: substations, then generators."""

_ANGLES = (np.arange(4) + 0.5) * np.pi / 8.0  # an inner polygon of 16 sides, first quadrant


def add_supply(
    m: Program,
    case: Outage,
    substations: IntArray,
    which: IntArray,
    forming: IntArray,
) -> Supply:
    """Add what each source supplies; per unit on 1 MVA, three phases together.

    A substation supplies what is asked of it. A generator with ``y_dg = 1`` stays within its
    limits, ``|p + jq| ≤ S`` by an inner polygon; otherwise it supplies nothing.

    Parameters
    ----------
    substations
        Positions of the sources that may supply.
    which, forming
        Positions in ``case.ders`` of the generators, and their ``y_dg`` columns.
    """
    p_total, q_total = (demand.sum() / 1e3 for demand in case.bus_demand())
    p = m.columns(len(substations), upper=p_total)
    q = m.columns(len(substations), upper=q_total)
    if not len(forming):
        return substations, p, q
    ders = case.ders
    p_max, q_max, s_max = (
        np.minimum(limit[which], total * 1e3).sum(axis=1) / 1e3
        for limit, total in (
            (ders.p_max_kw, p_total),
            (ders.q_max_kvar, q_total),
            (ders.s_max_kva, p_total + q_total),
        )
    )
    p_der, q_der = m.columns(len(which), upper=p_max), m.columns(len(which), upper=q_max)
    m.rows("generator", (1.0, p_der), (-p_max, forming), upper=0.0)
    m.rows("generator", (1.0, q_der), (-q_max, forming), upper=0.0)
    for angle in _ANGLES:
        bound = s_max * np.cos(np.pi / 16)
        m.rows(
            "generator",
            (np.cos(angle), p_der),
            (np.sin(angle), q_der),
            (-bound, forming),
            upper=0.0,
        )
    place = np.concatenate([substations, ders.bus[which]])
    return place, np.concatenate([p, p_der]), np.concatenate([q, q_der])


def hold_source_voltage(m: Program, case: Outage, flow: FlowColumns, place: IntArray) -> None:
    """Hold the squared voltage of each substation among the flow's buses.

    Parameters
    ----------
    place
        (bus of the case,) position among the flow's buses, -1 for those left out.
    """
    here = place[case.feeder.sources.bus]
    kept = here >= 0
    m.fix(flow.w[here[kept]], case.feeder.sources.v_pu[kept] ** 2)


def w_band(case: Outage) -> tuple[float, float]:
    """Least and most squared voltage."""
    return case.limits.v_min_pu**2, case.limits.v_max_pu**2
