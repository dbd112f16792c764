"""What a day costs by terms, (9)-(16), at the worst prices of its own exposure."""

from __future__ import annotations

import numpy as np
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.optimizer.resiliency.decision import Decision
from gridproof.optimizer.resiliency.recourse import Operated, Recourse
from gridproof.scenarios.arrays import FloatArray

__all__ = ["exposure", "terms_kusd", "worst_price"]


def exposure(case: ResiliencyCase, recourse: Recourse, done: Operated) -> FloatArray:
    """(hour,) ``N_t``, MW bought, sold and answered as the hour's price weighs them."""
    x, at, own = done.point, recourse.operation, case.response
    net = x[at.bought] - case.market.sell_share * x[at.sold]
    net += own.electric_factor * x[at.answered].sum(axis=1)
    return np.asarray(net + own.heat_factor * x[at.heat_answered].sum(axis=1))


def worst_price(case: ResiliencyCase, net: FloatArray) -> FloatArray:
    """(hour,) $/kWh: the dearest prices of the budget for an exposure, (5)-(7)."""
    price, budget = case.market.price_usd_per_kwh, case.budgets
    order = np.argsort(-np.abs(price * net), kind="stable")
    share = np.zeros(len(net))
    share[order] = np.clip(budget.price_gamma - np.arange(len(net)), 0.0, 1.0)
    return np.asarray(price * (1.0 + budget.price_share * share * np.sign(net)))


def terms_kusd(
    case: ResiliencyCase, recourse: Recourse, decision: Decision, done: Operated
) -> dict[str, float]:
    """(9)-(16) in k$; ``OF = TEC + TCIC + TCEM`` is their sum.

    Returns
    -------
    dict
        ``grid`` TCG, ``gas`` TCgas, ``response`` TCDR, ``chp`` TCCHP (starts and running
        included), ``storage`` TCES, ``interruption`` TCIC, ``emission`` TCEM, and ``mobile``,
        which the print leaves out and prices at 0.
    """
    x, at, step = done.point, recourse.operation, case.horizon.step_h
    price = worst_price(case, exposure(case, recourse, done))
    air, own = case.emissions, case.response
    chp, boiled = x[at.chp_p], x[at.boiled]
    burnt = (chp / case.chps.efficiency).sum() + (boiled / case.boilers.efficiency).sum()
    tonnes = air.grid_t_per_mwh * x[at.bought].sum() + air.chp_t_per_mwh * chp.sum()
    tonnes += air.boiler_t_per_mwh * boiled.sum()
    answered = own.electric_factor * x[at.answered].sum(axis=1)
    answered += own.heat_factor * x[at.heat_answered].sum(axis=1)
    lost = (case.demand.interruption_usd_per_kwh * x[at.shed]).sum()
    lost += (case.demand.heat_interruption_usd_per_kwh * x[at.heat_shed]).sum()
    traded = x[at.bought] - case.market.sell_share * x[at.sold]
    found = {
        "grid": step * (price @ traded),
        "gas": step * burnt * case.gas.usd_per_m3 / case.gas.kwh_per_m3,
        "response": step * (price @ answered),
        "chp": step * (chp @ case.chps.usd_per_kwh).sum() + decision.cost(case),
        "storage": step * (x[at.discharged] @ case.storages.usd_per_kwh).sum(),
        "interruption": step * lost,
        "emission": step * tonnes * air.usd_per_t / 1e3,
        "mobile": step * x[at.mobile_p].sum() * case.mobile.usd_per_kwh,
    }
    return {name: float(value) for name, value in found.items()}
