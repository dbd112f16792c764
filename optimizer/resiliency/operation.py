"""The third level, (10)-(18) and (28)-(56): a day's operation at one realization of the loads.

Served load ``s ≥ 0`` leaves the balances, active and reactive, and one row a bus and hour asks
``s + shed + answered ≥ d`` [o]. The load d stands there and nowhere else; the row's dual g lies
in ``[0, ρ^EP]``, by the columns of s and shed, whatever the rest. So a load's deviation is worth
at most ``ρ^EP`` (an exact M), and cost never falls as a load rises.

The price's budget is dualised: ``max over λ of Σ λ_t N_t = Σ λ̄_t N_t + Γ θ + Σ q_t`` with
``θ + q_t ≥ |λ̂_t N_t|``, N_t being all that is bought, sold or paid at the hour's price.

Neither storage nor exchange needs a binary: losses and prices of discharge, and a selling price
below the buying price, make doing both at once dearer.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.feeder_rows import add_balance, add_lines
from gridproof.optimizer.resiliency.first_stage import FirstStage
from gridproof.optimizer.resiliency.grid import Grid
from gridproof.optimizer.solver.program import Program
from gridproof.scenarios.arrays import FloatArray, IntArray

__all__ = ["Operation", "add_operation"]


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Operation:
    """Columns of one second stage, MW and Mvar, and what each costs.

    Attributes
    ----------
    served, shed, answered
        (hour, bus) ``s``, ``P^shed``, ``P^DR``.
    boiled
        (hour, boiler) ``H^AXB``.
    heat_shed, heat_answered
        (hour, bus) ``H^shed``, ``H^DR``.
    chp_p, chp_q, spilled
        (hour, chp) output, and what of it a load bank takes.
    mobile_p, mobile_q
        (hour, site); from `Grid.first_mobile` on.
    renewable
        (hour, renewable).
    charged, discharged, stored
        (hour, storage); stored at the hour's end, MWh.
    bought, sold
        (hour,).
    p, q, v
        (hour, line) flows and (hour, bus) voltage, pu (or its square).
    price_theta, price_q
        The price's dual columns.
    demand
        (hour, bus) positions of the demand rows.
    columns, cost
        Every column with a cost, and its k$ per unit.
    """

    served: IntArray
    shed: IntArray
    answered: IntArray
    boiled: IntArray
    heat_shed: IntArray
    heat_answered: IntArray
    chp_p: IntArray
    spilled: IntArray
    chp_q: IntArray
    mobile_p: IntArray
    mobile_q: IntArray
    renewable: IntArray
    charged: IntArray
    discharged: IntArray
    stored: IntArray
    bought: IntArray
    sold: IntArray
    p: IntArray
    q: IntArray
    v: IntArray
    price_theta: IntArray
    price_q: IntArray
    demand: IntArray
    columns: IntArray
    cost: FloatArray


def add_operation(
    m: Program, case: ResiliencyCase, grid: Grid, stage: FirstStage, load_mw: FloatArray
) -> Operation:
    """State one second stage.

    Parameters
    ----------
    load_mw
        (hour, bus) the realization.
    """
    made = _columns(m, case)
    made["demand"] = _add_demand(m, case, grid, stage, made, load_mw=load_mw)
    _add_heat(m, case, grid, stage, made)
    _add_chps(m, case, stage, made)
    _add_mobile(m, case, grid, stage, made)
    _add_inverters(m, case, grid, stage, made)
    add_balance(m, case, made)
    add_lines(m, case, grid, stage, made)
    columns, cost = _costs(case, made)
    _add_price(m, case, made)
    return Operation(**made, columns=columns, cost=cost)


def _columns(m: Program, case: ResiliencyCase) -> dict[str, IntArray]:
    """All columns, free of charge, with the bounds that nothing decides."""
    most = (1.0 + case.budgets.load_share) * case.demand.p_kw / 1e3
    hours, net = case.horizon.hours, case.network
    buses, lines = len(net.bus_ids), len(net.line_ids)

    def family(name: str, count: int, upper: object = np.inf, lower: object = 0.0) -> IntArray:
        high, low = (
            np.broadcast_to(np.asarray(b, float), (hours, count)).ravel() for b in (upper, lower)
        )
        return m.columns(hours * count, lower=low, upper=high, name=name).reshape(hours, count)

    asked, heat = case.demand.p_kw / 1e3, case.demand.heat_kw / 1e3
    share = case.response if case.actions.response else None
    chp, mobile, store = case.chps, case.mobile, case.storages
    size = store.energy_kwh / 1e3
    power = 2 if net.squared_voltage else 1
    q_chp, q_mobile = chp.q_max_kvar / 1e3, mobile.q_max_kvar / 1e3
    sites = len(case.sites)
    return {
        "served": family("served", buses, most),
        "shed": family("shed", buses),
        "answered": family("answered", buses, share.electric_share * asked if share else 0.0),
        "boiled": family("boiled", len(case.boilers.ids), case.boilers.heat_max_kw / 1e3),
        "heat_shed": family("heat shed", buses),
        "heat_answered": family("heat answered", buses, share.heat_share * heat if share else 0.0),
        "chp_p": family("chp p", len(chp.ids)),
        "spilled": family("spilled", len(chp.ids)),
        "chp_q": family("chp q", len(chp.ids), q_chp, -q_chp),
        "mobile_p": family("mobile p", sites, mobile.p_max_kw / 1e3),
        "mobile_q": family("mobile q", sites, q_mobile, -q_mobile),
        "renewable": family("renewable", len(case.renewables.ids),
                            case.renewables.available_kw / 1e3),
        "charged": family("charged", len(store.ids), store.p_max_kw / 1e3),
        "discharged": family("discharged", len(store.ids), store.p_max_kw / 1e3),
        "stored": family("stored", len(store.ids), store.soc_max * size, store.soc_min * size),
        "bought": family("bought", 1, case.market.buy_max_kw / 1e3)[:, 0],
        "sold": family("sold", 1, case.market.sell_max_kw / 1e3)[:, 0],
        "p": family("p", lines, net.p_max_kw / 1e3, -net.p_max_kw / 1e3),
        "q": family("q", lines, net.q_max_kvar / 1e3, -net.q_max_kvar / 1e3),
        "v": family("v", buses, net.v_max_pu**power, net.v_min_pu**power),
        "price_theta": m.columns(1, upper=np.inf, name="price theta"),
        "price_q": m.columns(hours, upper=np.inf, name="price q"),
    }  # fmt: skip


def _add_demand(
    m: Program,
    case: ResiliencyCase,
    grid: Grid,
    stage: FirstStage,
    made: dict[str, IntArray],
    *,
    load_mw: FloatArray,
) -> IntArray:
    """``s + shed + answered ≥ d`` [o]; the answer of live buses alone, where asked for (55)."""
    hours, buses = load_mw.shape
    first = m.height
    m.rows(
        "demand", (1.0, made["served"].ravel()), (1.0, made["shed"].ravel()),
        (1.0, made["answered"].ravel()), lower=load_mw.ravel(),
    )  # fmt: skip
    # implied at a whole first stage, where nobody feeds a dead block; a relaxation lacks it
    lit = slice(case.outage.hour - 1, None)
    most = (1.0 + case.budgets.load_share) * case.demand.p_kw[lit].ravel() / 1e3
    live = stage.alive[lit][:, grid.block_of_bus].ravel()
    m.rows("served alive", (1.0, made["served"][lit].ravel()), (-most, live), upper=0.0)
    if case.response.gated and case.actions.response:
        late = slice(case.outage.hour - 1, None)
        alive = stage.alive[late][:, grid.block_of_bus].ravel()
        for kind, share, nominal in (
            ("answered", case.response.electric_share, case.demand.p_kw),
            ("heat_answered", case.response.heat_share, case.demand.heat_kw),
        ):
            most = share * nominal[late].ravel() / 1e3
            m.rows("(55)-(56) live", (1.0, made[kind][late].ravel()), (-most, alive), upper=0.0)
    return np.arange(first, first + hours * buses, dtype=np.int64).reshape(hours, buses)


def _add_heat(
    m: Program, case: ResiliencyCase, grid: Grid, stage: FirstStage, made: dict[str, IntArray]
) -> None:
    """(38) per bus, at least what is asked for: heat of a CHP may be wasted.

    With `BoilerUnits.follows_power` a boiler's heat is at most ``H / P · (s + answered)`` [o].
    """
    hours, buses = case.demand.heat_kw.shape
    boiler, chp = case.boilers, case.chps
    need = np.flatnonzero(case.demand.heat_kw.any(axis=0))
    heat = case.demand.heat_kw / 1e3
    each = np.arange(hours)
    for bus in need:
        terms = [(1.0, made["heat_shed"][:, bus]), (1.0, made["heat_answered"][:, bus])]
        own = np.flatnonzero(boiler.bus == bus)
        terms += [(1.0, made["boiled"][:, k]) for k in own]
        terms += [(float(chp.heat_kw_per_kw[k]), made["chp_p"][:, k])
                  for k in np.flatnonzero(chp.bus == bus)]  # fmt: skip
        m.rows("(38)", *terms, lower=heat[:, bus])
        if not boiler.follows_power or not len(own):
            continue
        asked = case.demand.p_kw[:, bus] / 1e3
        on = each[asked > 0.0]
        burnt = [(1.0, made["boiled"][on, k]) for k in own]
        ratio = -heat[on, bus] / asked[on]
        m.rows("boiler follows power", *burnt, (ratio, made["served"][on, bus]),
               (ratio, made["answered"][on, bus]), upper=0.0)  # fmt: skip
        off = each[asked <= 0.0]
        if len(off):
            burnt = [(1.0, made["boiled"][off, k]) for k in own]
            live = stage.alive[off, grid.block_of_bus[bus]]
            m.rows("boiler follows power", *burnt, (-heat[off, bus], live), upper=0.0)
    idle = np.setdiff1d(np.arange(buses), need)
    m.fix(made["heat_shed"][:, idle].ravel(), 0.0)


def _add_chps(
    m: Program, case: ResiliencyCase, stage: FirstStage, made: dict[str, IntArray]
) -> None:
    """(42)-(45), ramps stated with starts and stops: the same at whole ``u``, tighter between."""
    own, hours, step = case.chps, case.horizon.hours, case.horizon.step_h
    if not own.ids:
        return
    p, q, u = made["chp_p"], made["chp_q"], stage.running
    low, high, most_q = (np.tile(c / 1e3, hours) for c in (own.p_min_kw, own.p_max_kw,
                                                          own.q_max_kvar))  # fmt: skip
    m.rows("(42)", (1.0, p.ravel()), (-high, u.ravel()), upper=0.0)
    m.rows("(42)", (1.0, p.ravel()), (-low, u.ravel()), lower=0.0)
    m.rows("(43)", (1.0, q.ravel()), (-most_q, u.ravel()), upper=0.0)
    m.rows("(43)", (1.0, q.ravel()), (most_q, u.ravel()), lower=0.0)
    now, then = p[1:].ravel(), p[:-1].ravel()
    start = np.tile(own.p_min_kw / 1e3, hours - 1)
    up, down = (np.tile(step * c / 1e3, hours - 1) for c in (own.ramp_up_kw_per_h,
                                                            own.ramp_down_kw_per_h))  # fmt: skip
    m.rows("(44)", (1.0, now), (-1.0, then), (-up, u[:-1].ravel()),
           (-start, stage.started[1:].ravel()), upper=0.0)  # fmt: skip
    m.rows("(45)", (1.0, then), (-1.0, now), (-down, u[1:].ravel()),
           (-start, stage.stopped[1:].ravel()), upper=0.0)  # fmt: skip


def _add_mobile(
    m: Program, case: ResiliencyCase, grid: Grid, stage: FirstStage, made: dict[str, IntArray]
) -> None:
    """(39)-(41), from the hour in which they can be there."""
    p, q = made["mobile_p"], made["mobile_q"]
    early = slice(None, grid.first_mobile)
    for columns in (p, q):
        m.fix(columns[early].ravel(), 0.0)
    p, q = p[grid.first_mobile :], q[grid.first_mobile :]
    placed = np.tile(stage.placed, len(p))
    most, most_q = case.mobile.p_max_kw / 1e3, case.mobile.q_max_kvar / 1e3
    m.rows("(39)", (1.0, p.ravel()), (-most, placed), upper=0.0)
    m.rows("(40)-(41)", (1.0, q.ravel()), (-most_q, placed), upper=0.0)
    m.rows("(40)-(41)", (1.0, q.ravel()), (most_q, placed), lower=0.0)


def _add_inverters(
    m: Program, case: ResiliencyCase, grid: Grid, stage: FirstStage, made: dict[str, IntArray]
) -> None:
    """(46)-(49) without binaries; wind, sun and batteries give where somebody forms [o]."""
    hours, step, own = case.horizon.hours, case.horizon.step_h, case.storages
    late = slice(case.outage.hour - 1, None)
    for table, name, most in (
        (case.renewables, "renewable", case.renewables.available_kw),
        (own, "discharged", np.tile(own.p_max_kw, (hours, 1))),
    ):
        if table.ids:
            alive = stage.alive[late][:, grid.block_of_bus[table.bus]].ravel()
            m.rows("inverters follow", (1.0, made[name][late].ravel()),
                   (-most[late].ravel() / 1e3, alive), upper=0.0)  # fmt: skip
    if not own.ids:
        return
    into = np.tile(step * own.charge_efficiency, hours)
    out = np.tile(step / own.discharge_efficiency, hours)
    count, start = len(own.ids), own.soc_start * own.energy_kwh / 1e3
    first = slice(None, count)
    soc, ch, dis = (made[k].ravel() for k in ("stored", "charged", "discharged"))
    m.rows("(46)", (1.0, soc[first]), (-into[first], ch[first]), (out[first], dis[first]),
           lower=start, upper=start)  # fmt: skip
    rest = slice(count, None)
    m.rows("(46)", (1.0, soc[rest]), (-1.0, soc[:-count]), (-into[rest], ch[rest]),
           (out[rest], dis[rest]), lower=0.0, upper=0.0)  # fmt: skip


def _priced(case: ResiliencyCase, made: dict[str, IntArray]) -> list[tuple[float, IntArray]]:
    """Factors and (hour, k) columns of all that is traded or paid at the price of its hour."""
    own = case.response
    return [
        (1.0, made["bought"][:, None]),
        (-case.market.sell_share, made["sold"][:, None]),
        (own.electric_factor, made["answered"]),
        (own.heat_factor, made["heat_answered"]),
    ]


def _costs(case: ResiliencyCase, made: dict[str, IntArray]) -> tuple[IntArray, FloatArray]:
    """(8), (10)-(18): k$ of each column; a $/kWh is a k$/MWh."""
    step, hours, price = case.horizon.step_h, case.horizon.hours, case.market.price_usd_per_kwh
    gas, air = case.gas, case.emissions
    burnt = gas.usd_per_m3 / gas.kwh_per_m3
    tonne = air.usd_per_t / 1e3
    chp = case.chps.usd_per_kwh + burnt / case.chps.efficiency + tonne * air.chp_t_per_mwh
    boiler = burnt / case.boilers.efficiency + tonne * air.boiler_t_per_mwh
    parts = [
        (made["shed"], case.demand.interruption_usd_per_kwh),
        (made["heat_shed"], case.demand.heat_interruption_usd_per_kwh),
        (made["chp_p"], np.tile(chp, (hours, 1))),
        (made["boiled"], np.tile(boiler, (hours, 1))),
        (made["mobile_p"], np.full(made["mobile_p"].shape, case.mobile.usd_per_kwh)),
        (made["discharged"], np.tile(case.storages.usd_per_kwh, (hours, 1))),
    ]
    parts += [(c, np.repeat(f * price[:, None], c.shape[1], axis=1))
              for f, c in _priced(case, made)]  # fmt: skip
    columns = np.concatenate([c.ravel() for c, _ in parts])
    cost = step * np.concatenate([k.ravel() for _, k in parts])
    grid_air = step * tonne * air.grid_t_per_mwh
    where = {int(c): k for k, c in enumerate(columns)}
    for c in made["bought"].tolist():
        cost[where[c]] += grid_air
    columns = np.concatenate([columns, made["price_theta"], made["price_q"]])
    return columns, np.concatenate([cost, [case.budgets.price_gamma], np.ones(hours)])


def _add_price(m: Program, case: ResiliencyCase, made: dict[str, IntArray]) -> None:
    """(5)-(7) dualised: ``θ + q_t ≥ ± λ̂_t N_t``."""
    step = case.horizon.step_h
    far = step * case.budgets.price_share * case.market.price_usd_per_kwh
    theta = np.full(case.horizon.hours, made["price_theta"][0])
    for sign in (1.0, -1.0):
        terms = [
            (-sign * factor * far, columns[:, k])
            for factor, columns in _priced(case, made)
            for k in range(columns.shape[1])
        ]
        m.rows("(5)-(7)", (1.0, theta), (1.0, made["price_q"]), *terms, lower=0.0)
