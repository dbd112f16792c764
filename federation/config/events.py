"""The ``[events]`` section of a study file: what may happen where, how likely, how large.

::

    [events]
    mode = "cyber"                        # one of modes, several joined, or "auto"
    areas.west = [1, 6, 28]               # buses; a component is an event in an area
    modes.forecast = ["pv_error", "load_error"]
    [events.kinds.dg_trip]
    acts_on = "ders"
    base_kw = { dg47 = 300 }              # what a fraction of 1 stands for
    uniform = [0.4, 0.9]
    support = [0.0, 1.0]
    probability = { dg47 = 0.01 }
"""

from __future__ import annotations

from typing import Literal

from gridproof.federation.config.base import Id, Ids, Money, Section, Share, remedy
from pydantic import Field, model_validator

__all__ = [
    "AUTO",
    "ActualConfig",
    "EventConfig",
    "EventsConfig",
    "FlexibleLoadsConfig",
    "NormalConfig",
]

AUTO = "auto"
"""A mode that is chosen by risk and cost."""


class NormalConfig(Section):
    """A fraction that is normal about 0, cut."""

    deviation: float = Field(gt=0.0, description="standard deviation")
    cut: float = Field(gt=0.0, description="largest absolute value")


class ActualConfig(Section):
    """How what happens differs from what the log was drawn from."""

    probability_factor: float = Field(default=1.0, ge=0.0, description="times the probability")
    uniform_factor: float = Field(default=1.0, ge=0.0, description="times a uniform fraction")
    deviation_factor: float = Field(
        default=1.0, ge=0.0, description="times deviation and cut of a normal fraction"
    )
    bias: float = Field(default=0.0, description="added to the fraction")


class EventConfig(Section):
    """One kind of event."""

    acts_on: Literal["ders", "loads"] = Field(
        description="what it takes: output of DERs, or demand of loads at buses"
    )
    probability: dict[Id, Share] = Field(
        min_length=1,
        description="by place, a DER's id or a bus: that it happens within an hour",
        json_schema_extra=remedy("a probability lies in [0, 1]"),
    )
    per: Literal["hour", "year"] = Field(
        default="hour", description="what the probability is stated for"
    )
    base_kw: dict[Id, float] = Field(
        default_factory=dict,
        description="by place: kW that a fraction of 1 stands for; a DER's capacity, or the "
        "nominal demand at a bus, if left out",
    )
    shape: Literal["constant", "available", "load"] = Field(
        default="constant",
        description="how it follows the steps: not at all, the renewable's profile, the load's",
    )
    sign: Literal[1, -1] = Field(default=1, description="1 is a deficit, -1 a surplus")
    uniform: tuple[float, float] | None = Field(
        default=None, strict=False, description="fraction, uniform between the two"
    )
    normal: NormalConfig | None = Field(default=None, description="fraction, normal about 0")
    support: tuple[float, float] = Field(
        strict=False, description="least and largest fraction there can physically be"
    )
    together: bool = Field(
        default=False, description="whether one chance decides for all places of an area"
    )
    correlation: Share = Field(default=0.0, description="of the normal fractions of any two places")
    actual: ActualConfig = Field(
        default_factory=ActualConfig, description="how what happens differs from the log"
    )

    @model_validator(mode="after")
    def _one_law(self) -> EventConfig:
        if (self.uniform is None) == (self.normal is None):
            raise ValueError("needs uniform or normal, one of the two, to say how large it is")
        unknown = sorted(set(self.base_kw) - set(self.probability))
        if unknown:
            raise ValueError(f"base_kw names {', '.join(unknown)}, which probability does not")
        return self


class EventsConfig(Section):
    """What may happen, which of it is planned for, and what was seen of it."""

    mode: str = Field(
        default=AUTO,
        description='mode that is planned for and drawn from: a key of modes, several as "a+b", '
        'or "auto" for the cheapest that covers risk_share',
    )
    modes: dict[str, Ids] = Field(default_factory=dict, description="events of each mode")
    areas: dict[str, Ids] = Field(
        default_factory=dict, description="buses of each area; places in none are refused"
    )
    kinds: dict[str, EventConfig] = Field(default_factory=dict, description="events by name")
    predictions: str | None = Field(
        default=None,
        description="CSV of probabilities, a row an event, a column a place; replaces those of "
        "kinds",
    )
    seen: str | None = Field(
        default=None,
        description="CSV of events seen, with columns event, location, hour; probabilities are "
        "estimated from it and replace those of kinds",
    )
    seen_h: float | None = Field(
        default=None, gt=0.0, description="how long was watched for them, h"
    )
    log: str | None = Field(
        default=None,
        description="CSV of disturbances seen, kW, a column event@area; drawn if left out",
    )
    log_samples: int = Field(
        default=100, ge=2, description="length of the log that is drawn where none is given"
    )
    log_seed: int = Field(default=20260107, ge=0, description="its seed")
    draws: Literal["actual", "sampled"] = Field(
        default="actual", description="which distribution the campaign draws from"
    )
    risk_share: Share = Field(
        default=0.8, description='share of the total risk that mode = "auto" covers'
    )

    @model_validator(mode="after")
    def _one_source(self) -> EventsConfig:
        if (self.seen is None) != (self.seen_h is None):
            raise ValueError("seen and seen_h go together: a count says nothing without hours")
        if self.seen is not None and self.predictions is not None:
            raise ValueError("takes seen or predictions, one of the two, for its probabilities")
        return self

    @property
    def chosen(self) -> tuple[str, ...]:
        """Names of the modes that ``mode`` joins."""
        return tuple(part.strip() for part in self.mode.split("+"))


class FlexibleLoadsConfig(Section):
    """Loads that may be asked for less, at a price."""

    curtailed_share: Share = Field(
        default=0.0, description="largest share of each load that may be left out"
    )
    usd_per_kwh: Money = Field(default=0.0, description="price of a kWh left out")
    reserve_buses: Ids = Field(
        default=(), description="buses whose loads can be cut at once, as a reserve"
    )
    reserve_usd_per_kw: Money = Field(default=0.0, description="price of a kW held ready to be cut")
