"""Columns and certain rows of the dispatch, over all steps.

With powers of all phases together, ``x`` a storage's charge and discharge, ``E`` its energy::

    Σ p_g = Σ (load - shed)                                                        (1c)
    E_t = E_(t-1) + h (η_c charge - discharge / η_d),  E_min ≤ E,  E_T ≥ end
    p + up ≤ p_max (less headroom where it forms),     p - down ≥ p_min            (2c)
    E - H up / η_d ≥ E_min,   E + H η_c down ≤ E_max       for H hours from the step's end
    E_t - Σ_(s ≤ t) h up_s / η_d ≥ E_min, and down likewise    where reserves are carried
    down ≤ p of a renewable,  interrupt ≤ load - shed

and the cost (4) plus the reserves' prices. A trip of a machine takes its output and its
capability: ``p - w + r ≤ p_max - w`` is the row above, unchanged.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.policy_mode.microgrid import Microgrid
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.arrays import FloatArray, IntArray
from scipy import sparse

__all__ = ["Columns", "add_dispatch", "capability_kw"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Columns:
    """Positions of the columns: (time, der), (time, storage), (time, renewable), (time, load)."""

    p: IntArray
    up: IntArray
    down: IntArray
    charge: IntArray
    discharge: IntArray
    energy: IntArray
    spill: IntArray
    shed: IntArray
    interrupt: IntArray


def capability_kw(grid: Microgrid) -> tuple[FloatArray, FloatArray]:
    """(der,) least and largest output that a plan may count on, headroom off."""
    low, high = grid.ders.p_min_kw.sum(axis=1), grid.ders.p_max_kw.sum(axis=1)
    high[grid.forming] -= grid.headroom_kw
    return low, high


def add_dispatch(m: Program, grid: Microgrid) -> Columns:
    """Add the columns, their costs and the rows that no disturbance moves."""
    c = _columns(m, grid)
    every = np.arange(len(grid.ders.ids))
    _balance(m, grid, c)
    _machines(m, grid, c, every[grid.machine])
    _storages(m, grid, c)
    _renewables(m, grid, c)
    served = grid.load_kw.ravel()
    m.rows("interruptible", (1.0, c.interrupt.ravel()), (1.0, c.shed.ravel()), upper=served)
    return c


def _columns(m: Program, grid: Microgrid) -> Columns:
    hours, prices = grid.duration_h[:, None], grid.prices
    steps, low_high = len(grid.duration_h), capability_kw(grid)
    energy_usd = np.where(grid.machine, grid.ders.cost_usd_per_kw, 0.0)
    stores, available = grid.fleet.storages, grid.fleet.renewables.available_kw
    most = np.maximum(grid.load_kw, 0.0)

    def family(usd: FloatArray, lower: FloatArray, upper: FloatArray) -> IntArray:
        shape = np.broadcast_shapes((steps, 1), np.shape(usd), np.shape(upper), np.shape(lower))
        flat = [np.broadcast_to(v, shape).ravel() for v in (lower, upper, usd)]
        count = int(np.prod(shape))
        return m.columns(count, lower=flat[0], upper=flat[1], cost=flat[2]).reshape(shape)

    def reserve(usd: FloatArray, upper: FloatArray) -> IntArray:
        offered = np.isfinite(usd)
        return family(
            np.where(offered, usd, 0.0) * hours, np.zeros(1), np.where(offered, upper, 0.0)
        )

    span = low_high[1] - np.minimum(low_high[0], 0.0)
    own = grid.ders.cost_usd_per_kw[stores.der] * hours
    rated = low_high[1][stores.der], -low_high[0][stores.der]
    return Columns(
        p=family(energy_usd * hours, low_high[0], low_high[1]),
        up=reserve(prices.reserve_up_usd_per_kw, span),
        down=reserve(prices.reserve_down_usd_per_kw, span),
        discharge=family(own, np.zeros(1), rated[0]),
        charge=family(own, np.zeros(1), rated[1]),
        energy=family(np.zeros(1), stores.energy_min_kwh, stores.energy_max_kwh),
        spill=family(prices.spill_usd_per_kwh * hours, np.zeros(1), available.reshape(steps, -1)),
        shed=family(prices.shed_usd_per_kwh * hours, np.zeros(1), prices.shed_most * most),
        interrupt=reserve(prices.interrupt_usd_per_kw, most),
    )


def _balance(m: Program, grid: Microgrid, c: Columns) -> None:
    """(1c): what all DERs give is what is served, step by step."""
    steps = len(grid.duration_h)
    terms = [(1.0, c.p[:, g]) for g in range(c.p.shape[1])]
    terms += [(1.0, c.shed[:, k]) for k in range(c.shed.shape[1])]
    demand = grid.load_kw.sum(axis=1)
    m.rows("balance", *terms, lower=demand, upper=demand)
    assert m.family["balance"] == steps


def _machines(m: Program, grid: Microgrid, c: Columns, which: IntArray) -> None:
    low, high = capability_kw(grid)
    steps = len(grid.duration_h)
    p, up, down = (x[:, which].ravel() for x in (c.p, c.up, c.down))
    m.rows("machine", (1.0, p), (1.0, up), upper=np.tile(high[which], steps))
    m.rows("machine", (1.0, p), (-1.0, down), lower=np.tile(low[which], steps))


def _storages(m: Program, grid: Microgrid, c: Columns) -> None:
    stores = grid.fleet.storages
    if not stores.ids:
        return
    _machines(m, grid, c, stores.der)
    p = c.p[:, stores.der]
    m.rows(
        "storage", (1.0, p.ravel()), (-1.0, c.discharge.ravel()), (1.0, c.charge.ravel()),
        lower=0.0, upper=0.0,
    )  # fmt: skip
    hours = grid.duration_h[:, None]
    into = (hours * stores.charge_efficiency, hours / stores.discharge_efficiency)
    first = [(-into[0][0], c.charge[0]), (into[1][0], c.discharge[0])]
    m.rows("energy", (1.0, c.energy[0]), *first, lower=stores.start_kwh, upper=stores.start_kwh)
    m.rows(
        "energy", (1.0, c.energy[1:].ravel()), (-1.0, c.energy[:-1].ravel()),
        (-into[0][1:].ravel(), c.charge[1:].ravel()),
        (into[1][1:].ravel(), c.discharge[1:].ravel()), lower=0.0, upper=0.0,
    )  # fmt: skip
    m.rows("energy at the end", (1.0, c.energy[-1]), lower=stores.end_min_kwh)
    steps, lasting = len(grid.duration_h), grid.prices.reserve_h
    give = np.tile(lasting / stores.discharge_efficiency, steps)
    take = np.tile(lasting * stores.charge_efficiency, steps)
    up, down = c.up[:, stores.der].ravel(), c.down[:, stores.der].ravel()
    least, most = np.tile(stores.energy_min_kwh, steps), np.tile(stores.energy_max_kwh, steps)
    if grid.prices.reserve_carried:
        _carried(m, grid, c)
    m.rows("lasting", (1.0, c.energy.ravel()), (-give, up), lower=least)
    m.rows("lasting", (1.0, c.energy.ravel()), (take, down), upper=most)


def _carried(m: Program, grid: Microgrid, c: Columns) -> None:
    """Keep energy for every call of every step so far: nothing is bought back on the way.

    An answer ``r`` changes what is stored by at most ``|r| / η_d`` an hour, whichever way the
    set-point lies, as ``η_c ≤ 1 / η_d``.
    """
    stores, steps = grid.fleet.storages, len(grid.duration_h)
    past = np.tril(np.tile(grid.duration_h, (steps, 1)))
    for k, (g, efficiency) in enumerate(
        zip(stores.der.tolist(), stores.discharge_efficiency.tolist(), strict=True)
    ):
        called = sparse.csr_array(past / efficiency)
        energy = (1.0, c.energy[:, k])
        m.rows("carried", energy, (-called, c.up[:, g]), lower=stores.energy_min_kwh[k])
        m.rows("carried", energy, (called, c.down[:, g]), upper=stores.energy_max_kwh[k])


def _renewables(m: Program, grid: Microgrid, c: Columns) -> None:
    own = grid.fleet.renewables
    if not own.ids:
        return
    p, available = c.p[:, own.der].ravel(), own.available_kw.ravel()
    m.rows("renewable", (1.0, p), (1.0, c.spill.ravel()), lower=available, upper=available)
    m.rows("renewable", (1.0, p), (-1.0, c.down[:, own.der].ravel()), lower=0.0)
    m.fix(c.up[:, own.der].ravel(), 0.0)
