"""Linearised DistFlow of a balanced network, one phase for three.

Per unit on 1 MVA and the line-to-line base; w is the squared voltage. Loads consume, nothing
is lost, and an island has one root: power therefore flows away from the root on every line,
active and reactive alike, which is what lets a line's direction bound both.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.network.feed_rows import Feed
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.arrays import FloatArray, IntArray
from gridproof.scenarios.restoration import Outage
from scipy import sparse

__all__ = ["FlowColumns", "LineData", "add_distflow"]

_SIDES = 16  # of the inner polygon; a flow is in the first or the third quadrant
_ANGLES = (np.arange(_SIDES // 4) + 0.5) * 2.0 * np.pi / _SIDES
_APOTHEM = float(np.cos(np.pi / _SIDES))


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class LineData:
    """Some buses of a case and some lines between them, per unit.

    Attributes
    ----------
    ends
        (line, 2) positions among the chosen buses.
    r, x, s_max
        (line,) impedance and apparent-power rating.
    p, q
        (bus,) nominal demand.
    """

    ends: IntArray
    r: FloatArray
    x: FloatArray
    s_max: FloatArray
    p: FloatArray
    q: FloatArray

    @classmethod
    def of(cls, case: Outage, buses: IntArray, lines: IntArray) -> LineData:
        """Take buses and lines of a case; every line's ends must be among the buses."""
        feeder = case.feeder
        place = np.full(len(feeder.buses.ids), -1, np.int64)
        place[buses] = np.arange(len(buses))
        base_kv = float(feeder.buses.base_kv[0]) * np.sqrt(3.0)
        r, x = case.impedance_ohm()
        p, q = case.bus_demand()
        return cls(
            ends=place[case.ends[lines]],
            r=r[lines] / base_kv**2,
            x=x[lines] / base_kv**2,
            s_max=case.rating_mva()[lines],
            p=p[buses] / 1e3,
            q=q[buses] / 1e3,
        )


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class FlowColumns:
    """Columns of the flow: ``p``, ``q`` (line,), ``w`` and served share ``share`` (bus,)."""

    p: IntArray
    q: IntArray
    w: IntArray
    share: IntArray


def add_distflow(
    m: Program,
    net: LineData,
    feed: Feed,
    switched: IntArray,
    energized: IntArray,
    *,
    supply: tuple[IntArray, IntArray, IntArray],
    w_band: tuple[float, float],
) -> FlowColumns:
    """Add flows, voltages and the share of each load that is served.

    ::

        Σ p into i - Σ p out of i + supply_i = p_i σ_i,  0 ≤ σ_i ≤ y_i        q alike
        w_j = w_i - 2 (r p + x q)                      where the line conducts
        -S d_ji ≤ p, q ≤ S d_ij,   |p + jq| ≤ S        inner polygon of 16 sides

    A line that may be open relaxes the voltage row by the band's width, no more.

    Parameters
    ----------
    feed
        Direction and use of the lines in ``switched``; the others always conduct.
    switched
        Positions in ``net`` of the feed's edges.
    energized
        (bus,) column of each bus.
    supply
        Bus position, active and reactive column of each source.
    w_band
        Least and most squared voltage; held at sources by the caller.
    """
    lines, buses = len(net.ends), len(net.p)
    p, q = (m.columns(lines, lower=-net.s_max, upper=net.s_max) for _ in range(2))
    w = m.columns(buses, lower=w_band[0], upper=w_band[1])
    share = m.columns(buses)
    m.rows("served", (1.0, share), (-1.0, energized), upper=0.0)
    place, *sources = supply
    into, out, at = (_incidence(buses, of) for of in (net.ends[:, 1], net.ends[:, 0], place))
    for flow, demand, given in zip((p, q), (net.p, net.q), sources, strict=True):
        terms = ((into - out, flow), (at, given), (-demand, share))
        m.rows("balance", *terms, lower=0.0, upper=0.0)
    _add_voltage(m, net, feed, switched, (p, q, w), width=w_band[1] - w_band[0])
    _add_rating(m, net, feed, switched, (p, q))
    return FlowColumns(p=p, q=q, w=w, share=share)


def _add_voltage(
    m: Program,
    net: LineData,
    feed: Feed,
    switched: IntArray,
    columns: tuple[IntArray, IntArray, IntArray],
    *,
    width: float,
) -> None:
    p, q, w = columns

    def drop(k: IntArray) -> tuple[tuple[FloatArray | float, IntArray], ...]:
        i, j = net.ends[k].T
        return ((1.0, w[j]), (-1.0, w[i]), (2.0 * net.r[k], p[k]), (2.0 * net.x[k], q[k]))

    fixed = np.setdiff1d(np.arange(len(net.ends)), switched)
    m.rows("voltage", *drop(fixed), lower=0.0, upper=0.0)
    relaxed = tuple((width, used) for used in feed.used)
    tight = tuple((-width, used) for used in feed.used)
    m.rows("voltage", *drop(switched), *relaxed, upper=width)
    m.rows("voltage", *drop(switched), *tight, lower=-width)


def _add_rating(
    m: Program, net: LineData, feed: Feed, switched: IntArray, flows: tuple[IntArray, IntArray]
) -> None:
    limit = net.s_max[switched]
    for flow in flows:
        m.rows("direction", (1.0, flow[switched]), (-limit, feed.forward), upper=0.0)
        m.rows("direction", (1.0, flow[switched]), (limit, feed.backward), lower=0.0)
    p, q = flows
    bound = net.s_max * _APOTHEM
    for angle in _ANGLES:
        m.rows("rating", (np.cos(angle), p), (np.sin(angle), q), lower=-bound, upper=bound)


def _incidence(size: int, of: IntArray) -> sparse.csr_array:
    count = len(of)
    return sparse.csr_array((np.ones(count), (of, np.arange(count))), shape=(size, count))
