"""A case small enough that every realization can be listed: 5 buses, 4 hours, two islands."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from gridproof.optimizer.resiliency.case import (
    CASES,
    Budgets,
    Crews,
    Demand,
    Emissions,
    Gas,
    Horizon,
    Market,
    Outage,
    ResiliencyCase,
    Response,
)
from gridproof.optimizer.resiliency.network import Network
from gridproof.optimizer.resiliency.units import (
    BoilerUnits,
    ChpUnits,
    MobileUnits,
    RenewableUnits,
    StorageUnits,
)


def _small(**changes: Any) -> ResiliencyCase:
    """Root 0 - 1 - 2 with a CHP at 1; 2 - 3 damaged, 3 - 4 beyond it, a tie from 1 to 4.

    The root's own line 0 - 1 is lost too, so that from hour 2 on nothing is bought.
    """
    p = np.array([[0, 300, 200, 150, 250], [0, 320, 260, 170, 240],
                  [0, 280, 300, 200, 260], [0, 350, 240, 180, 300.0]])  # fmt: skip
    heat = np.zeros_like(p)
    heat[:, 1], heat[:, 3] = 120.0, 60.0
    rho = np.tile([0.0, 5.0, 12.0, 8.0, 3.0], (4, 1)) * np.array([[1.0], [1.2], [0.9], [1.4]])
    case = ResiliencyCase(
        name="five buses",
        horizon=Horizon(hours=4),
        network=Network(
            bus_ids=tuple("01234"),
            line_ids=("0-1", "1-2", "2-3", "3-4", "1-4"),
            from_bus=[0, 1, 2, 3, 1],
            to_bus=[1, 2, 3, 4, 4],
            r_ohm=np.full(5, 0.4),
            x_ohm=np.full(5, 0.3),
            p_max_kw=2000.0,
            q_max_kvar=1500.0,
            tie=[False, False, False, False, True],
            damaged=[True, False, True, False, False],
            base_kv=12.66,
        ),
        outage=Outage(hour=2),
        demand=Demand(
            p_kw=p, q_kvar=0.4 * p, heat_kw=heat, interruption_usd_per_kwh=rho,
            heat_interruption_usd_per_kwh=np.full(p.shape, 2.0),
        ),
        market=Market(
            price_usd_per_kwh=np.array([0.25, 0.3, 0.28, 0.35]), buy_max_kw=4000.0,
            sell_max_kw=4000.0,
        ),
        budgets=Budgets(load_share=0.2, price_share=0.3, load_gamma=2, price_gamma=2),
        gas=Gas(usd_per_m3=0.25, kwh_per_m3=9.7),
        emissions=Emissions(
            usd_per_t=20.0, grid_t_per_mwh=0.6, chp_t_per_mwh=0.4, boiler_t_per_mwh=0.2
        ),
        response=Response(
            electric_share=0.2, heat_share=0.1, electric_factor=2.0, heat_factor=1.2
        ),
        crews=Crews(count=1),
        chps=ChpUnits(
            ids=("chp",), bus=[1], p_min_kw=30.0, p_max_kw=600.0, q_max_kvar=450.0,
            running_usd_per_h=40.0, usd_per_kwh=0.11, start_usd=25.0, stop_usd=15.0,
            ramp_up_kw_per_h=350.0, ramp_down_kw_per_h=350.0, heat_kw_per_kw=0.9, efficiency=0.4,
            on_before=True,
        ),
        boilers=BoilerUnits(ids=("b1", "b3"), bus=[1, 3], heat_max_kw=np.inf, efficiency=0.9),
        storages=StorageUnits(
            ids=("battery",), bus=[2], p_max_kw=80.0, energy_kwh=200.0, charge_efficiency=0.85,
            discharge_efficiency=0.95, soc_start=0.6, soc_min=0.2, soc_max=0.9, usd_per_kwh=0.1,
        ),
        renewables=RenewableUnits(ids=("wind",), bus=[3], available_kw=np.full((4, 1), 90.0)),
        mobile=MobileUnits(count=1, p_max_kw=150.0, q_max_kvar=100.0),
        actions=CASES["IV"],
    )  # fmt: skip
    return replace(case, **changes)


@pytest.fixture(scope="session")
def small() -> Callable[..., ResiliencyCase]:
    """A builder: fields of the case to replace."""
    return _small
