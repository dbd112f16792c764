"""The ``[resiliency]`` section of a study file: a day with an outage, and what may answer it.

::

    [resiliency]
    day = "resiliency-day.toml"   # beside the study or the feeder's file
    case = "IV"                   # what may answer, from nothing (I) to everything (IV)
    crews = 2
    mobile = 2
"""

from __future__ import annotations

from typing import Literal

from gridproof.federation.config.base import Section, Share
from pydantic import Field

__all__ = ["ResiliencyConfig"]


class ResiliencyConfig(Section):
    """A day with an outage; used where ``planner.family`` is resiliency."""

    day: str | None = Field(
        default=None,
        min_length=1,
        description="table (.toml) of the day: loads, prices, heat, machines, damaged lines and "
        "ties, relative to the study or beside the feeder's file",
    )
    case: Literal["I", "II", "III", "IV"] = Field(
        default="IV",
        description="what may answer: I nothing but CHPs, II switching by crews too, III demand "
        "response too, IV mobile generators too",
    )
    crews: int = Field(default=2, ge=0, description="crews; each closes one switch")
    mobile: int = Field(default=2, ge=0, description="mobile generators, each at a bus of its own")
    gamma: int = Field(
        default=24, ge=0, description="hours at which each load, and the price, may deviate"
    )
    outage_hour: int = Field(
        default=13, ge=1, description="hour, from 1, at which the damaged lines are lost"
    )
    gated: bool | None = Field(
        default=None,
        description="whether demand response is paid to live buses alone; the day's if left out",
    )
    redispatch_share: Share = Field(
        default=0.3,
        description="most that a machine is moved once the load is known, as a share of its "
        "capacity; storages keep to the plan",
    )
