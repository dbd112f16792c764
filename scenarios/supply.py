"""What a day's supply costs and owes: energy and fuel, heat, interruption, demand response."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, fields

import numpy as np
from gridproof.scenarios.arrays import FloatArray, frozen

__all__ = ["Supply"]

_BY_LOAD = ("heat_kw", "interruption_usd_per_kwh", "heat_interruption_usd_per_kwh")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Supply:
    """Prices of energy and of its lack over the steps of a scenario, and how far they may move.

    Attributes
    ----------
    price_usd_per_kwh
        (time,) nominal price of what the main grid gives.
    price_share, price_gamma
        Largest deviation of that price as a share of it, and at how many steps it may deviate.
    load_gamma
        At how many steps each uncertain load may deviate; its spread is the scenario's.
    sell_share
        Price of what the main grid takes over that of what it gives.
    buy_max_kw, sell_max_kw
        Most that it gives and takes.
    line_p_max_kw, line_q_max_kvar
        Most that plans send over any line.
    heat_kw, interruption_usd_per_kwh, heat_interruption_usd_per_kwh
        (time, load) heat asked for at a load's bus, and what a kWh not served costs.
    response_share, heat_response_share
        Share of nominal electric load and heat that customers may be paid to leave.
    response_factor, heat_response_factor
        What they are paid, over the price of the step.
    response_gated
        Whether live buses alone are paid.
    boilers_follow_power
        Whether a boiler needs its bus' electricity.
    gas_usd_per_m3, gas_kwh_per_m3
        Price of a m³ of gas, and the heat it holds.
    emission_usd_per_t, grid_t_per_mwh, chp_t_per_mwh, boiler_t_per_mwh
        Price of a tonne, and tonnes for each MWh of grid, CHP and boiler.
    """

    price_usd_per_kwh: FloatArray
    price_share: float
    price_gamma: float
    load_gamma: int
    sell_share: float
    buy_max_kw: float
    sell_max_kw: float
    line_p_max_kw: float
    line_q_max_kvar: float
    heat_kw: FloatArray
    interruption_usd_per_kwh: FloatArray
    heat_interruption_usd_per_kwh: FloatArray
    response_share: float
    heat_response_share: float
    response_factor: float
    heat_response_factor: float
    response_gated: bool
    boilers_follow_power: bool
    gas_usd_per_m3: float
    gas_kwh_per_m3: float
    emission_usd_per_t: float
    grid_t_per_mwh: float
    chp_t_per_mwh: float
    boiler_t_per_mwh: float

    def __post_init__(self) -> None:
        price = frozen(self.price_usd_per_kwh, float, (-1,))
        object.__setattr__(self, "price_usd_per_kwh", price)
        for name in _BY_LOAD:
            held = frozen(getattr(self, name), float, (len(price), -1))
            object.__setattr__(self, name, held)

    def faults(self, steps: int, loads: int) -> Iterator[str]:
        """Every contradiction with the scenario's steps and loads, one sentence each."""
        for name in ("price_usd_per_kwh", *_BY_LOAD):
            held = getattr(self, name)
            wanted = (steps,) if held.ndim == 1 else (steps, loads)
            if held.shape != wanted:
                yield f"supply: {name} is {held.shape}; {wanted} is needed"
        for one in fields(self):
            held = np.asarray(getattr(self, one.name), float)
            if not (held >= 0.0).all():
                yield f"supply: {one.name} must be at least 0; it is {held.min():g}"
        for name in ("price_gamma", "load_gamma"):
            if getattr(self, name) > steps:
                yield f"supply: {name} = {getattr(self, name):g} must lie in 0 to {steps} steps"
