"""What came of one row of the resiliency publication, as a value, and as it is kept."""

from __future__ import annotations

from dataclasses import dataclass

from gridproof.federation.jsonable import Jsonable

__all__ = ["ResiliencyFigures"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ResiliencyFigures(Jsonable):
    """One row in figures, in the order in which it is written; k$ and shares.

    Attributes
    ----------
    case, crews, mobile, gamma, outage_hour
        What was asked for.
    objective_kusd
        What no load and price of the set exceeds.
    worst_found_kusd
        What some of them really reach.
    bound_kusd
        What no plan undercuts.
    gap, certified, termination, iterations
        What is proven, and how the search ended.
    energy_kusd
        TEC, the sum of the five terms from ``grid`` on but interruption and emission, (9).
    interruption_kusd, emission_kusd, grid_kusd, gas_kusd, response_kusd, chp_kusd, storage_kusd
        Terms at the worst found.
    switches, sites
        Ties that crews close, and buses where generators stand.
    supplied_share, response_share, heat_supplied_share
        Of the worst load found and of heat, hour by hour.
    seconds, processor_seconds
        Wall and processor time of the search.
    """

    case: str
    crews: int
    mobile: int
    gamma: int
    outage_hour: int
    objective_kusd: float
    worst_found_kusd: float
    bound_kusd: float
    gap: float
    certified: bool
    termination: str
    iterations: int
    energy_kusd: float
    interruption_kusd: float
    emission_kusd: float
    grid_kusd: float
    gas_kusd: float
    response_kusd: float
    chp_kusd: float
    storage_kusd: float
    switches: tuple[str, ...]
    sites: tuple[str, ...]
    supplied_share: tuple[float, ...]
    response_share: tuple[float, ...]
    heat_supplied_share: tuple[float, ...]
    seconds: float
    processor_seconds: float
