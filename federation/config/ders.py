"""The ``[ders]`` section of a study file: what an operator can move."""

from __future__ import annotations

from typing import Literal

from gridproof.federation.config.base import Id, Money, Section, Share, remedy
from gridproof.scenarios.curves import curve_fault
from pydantic import Field, field_validator, model_validator

__all__ = [
    "CapabilityPoint",
    "DerConfig",
    "DerDefaults",
    "DersConfig",
    "RenewableConfig",
    "StorageConfig",
]


Phases = Literal["a", "b", "c", "ab", "bc", "ac", "abc"]


class StorageConfig(Section):
    """The energy behind a DER, which then charges as well as discharges up to its capacity."""

    energy_kwh: float = Field(gt=0.0, description="energy it holds when full, kWh")
    floor_share: Share = Field(default=0.1, description="least stored energy, share of full")
    start_share: Share = Field(default=0.5, description="stored as the first step begins, share")
    end_share: Share = Field(default=0.5, description="least stored as the last step ends, share")
    charge_efficiency: float = Field(
        default=0.95, gt=0.0, le=1.0, description="share of a kWh taken that is stored"
    )
    discharge_efficiency: float = Field(
        default=0.95, gt=0.0, le=1.0, description="share of a stored kWh that is given back"
    )
    schedule_kw: tuple[float, ...] | None = Field(
        default=None,
        strict=False,
        description="output at each step, kW of all phases: positive discharges, negative charges; "
        "re-dispatch leaves it alone. Left out, the planner decides, if its family can",
    )


class RenewableConfig(Section):
    """Sun or wind behind a DER."""

    profile: tuple[Share, ...] = Field(
        strict=False, description="what it could give at each step, as a share of its capacity"
    )
    spread: Share = Field(
        default=0.0,
        description="half-width of that power as a share of it; plans count on the least of it",
        json_schema_extra=remedy("0.25 means ±25 %"),
    )
    curtail_usd_per_kwh: Money = Field(
        default=0.0, description="price of a kWh that is there and not taken"
    )


class CapabilityPoint(Section):
    """What a DER can do at one active power, all its phases together."""

    p_kw: float = Field(description="active power, kW; negative while a storage charges")
    q_min_kvar: float = Field(description="least reactive power there, kvar; negative takes it")
    q_max_kvar: float = Field(description="greatest reactive power there, kvar")


class DerDefaults(Section):
    """What every DER has unless its own row says otherwise."""

    phases: Phases = Field(default="abc", description="phases it feeds")
    reactive_limit: float = Field(
        default=0.75,
        ge=0.0,
        description="largest reactive power of a phase, as a share of its active capacity",
    )
    power_factor: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="least power factor, leading and lagging alike: reactive power of a phase is "
        "at most tan(arccos) of it times the active power; none if left out, and of storages",
        json_schema_extra=remedy("0.9 allows 0.48 kvar for each kW"),
    )
    ramp: float = Field(
        default=0.30,
        ge=0.0,
        description="largest re-dispatch of a phase, active and reactive each, as a share of its "
        "active capacity",
        json_schema_extra=remedy("0.30 means ±30 % of capacity"),
    )
    cost_usd_per_kw: Money = Field(default=12.0, description="price of a base kW")
    redispatch_cost_usd_per_kw: Money = Field(
        default=12.0, description="price of a kW of re-dispatch, up or down"
    )
    can_form: bool = Field(
        default=True,
        description="whether it can hold voltage and frequency of an island; a DER that lacks a "
        "phase cannot",
    )
    balanced: bool = Field(
        default=False,
        description="whether its phases are commanded alike: one set-point, shared evenly, as a "
        "three-phase device takes it; one that forms an island gives what the island asks",
    )


class DerConfig(Section):
    """One DER; a key left out takes the value of ``[ders.defaults]``."""

    bus: Id = Field(description="bus it is connected to")
    capacity_kw: float = Field(
        gt=0.0,
        description="active capacity of all its phases together, kW; each phase carries an equal "
        "part",
        json_schema_extra=remedy("state the rating in kW, or leave the DER out"),
    )
    minimum_kw: float = Field(
        default=0.0, ge=0.0, description="least active power of all its phases together, kW"
    )
    rating_kva: float | None = Field(
        default=None,
        gt=0.0,
        description="apparent power of all its phases together, kVA; no limit of its own if left "
        "out",
    )
    unlike_phases: bool = Field(
        default=False,
        description="whether its phases may carry unlike parts, each up to its share of "
        "rating_kva; capacity_kw and minimum_kw then hold for the sum alone",
    )
    reserve_up_usd_per_kw: Money | None = Field(
        default=None, description="price of a kW held ready to give more, a step; none if left out"
    )
    reserve_down_usd_per_kw: Money | None = Field(
        default=None, description="price of a kW held ready to give less, a step; none if left out"
    )
    phases: Phases | None = Field(default=None, description="phases it feeds")
    reactive_limit: float | None = Field(default=None, ge=0.0, description="see defaults")
    power_factor: float | None = Field(
        default=None,
        gt=0.0,
        le=1.0,
        description="see defaults",
        json_schema_extra=remedy("0.9 allows 0.48 kvar for each kW"),
    )
    capability: tuple[CapabilityPoint, ...] | None = Field(
        default=None,
        strict=False,
        max_length=100,
        description="least and greatest reactive power by active power (P-Q diagram), straight "
        "between points that grow in p_kw from minimum_kw (of a storage the full charge) to "
        "capacity_kw; each phase carries an equal part. Stands in for reactive_limit",
        json_schema_extra=remedy(
            "[{p_kw = 0, q_min_kvar = -50, q_max_kvar = 50}, "
            "{p_kw = 80, q_min_kvar = -30, q_max_kvar = 40}]"
        ),
    )
    ramp: float | None = Field(
        default=None,
        ge=0.0,
        description="see defaults",
        json_schema_extra=remedy("0.30 means ±30 % of capacity"),
    )
    cost_usd_per_kw: Money | None = Field(default=None, description="see defaults")
    redispatch_cost_usd_per_kw: Money | None = Field(default=None, description="see defaults")
    can_form: bool | None = Field(default=None, description="see defaults")
    balanced: bool | None = Field(default=None, description="see defaults")
    ramp_per_h: float | None = Field(
        default=None,
        gt=0.0,
        description="largest change from one step to the next for each hour of the step, as a "
        "share of active capacity; no limit if left out",
    )
    storage: StorageConfig | None = Field(default=None, description="energy behind it, if any")
    renewable: RenewableConfig | None = Field(
        default=None, description="sun or wind behind it, if any"
    )

    @field_validator("capability")
    @classmethod
    def _is_convex(
        cls, points: tuple[CapabilityPoint, ...] | None
    ) -> tuple[CapabilityPoint, ...] | None:
        fault = "" if points is None else curve_fault(*_columns(points))
        if fault:
            raise ValueError(fault)
        return points

    @model_validator(mode="after")
    def _curve_says_it_all(self) -> DerConfig:
        if self.capability is None:
            return self
        if self.reactive_limit is not None:
            raise ValueError(
                f"has capability and reactive_limit = {self.reactive_limit:g} both; the curve "
                "says how much reactive power there is: leave reactive_limit out"
            )
        low = 0.0 if self.unlike_phases else self.minimum_kw
        begins = ("-capacity_kw", -self.capacity_kw) if self.storage else ("minimum_kw", low)
        ends = ("capacity_kw", self.capacity_kw)
        if self.unlike_phases and self.rating_kva is not None:  # what a phase may then reach
            begins = begins if self.storage else ("what a phase may carry", low)
            ends = ("rating_kva", self.rating_kva)
        first, last = self.capability[0].p_kw, self.capability[-1].p_kw
        for beyond, way, (name, needed), end in (
            (first > begins[1], "begins", begins, first),
            (last < ends[1], "ends", ends, last),
        ):
            if beyond:
                raise ValueError(
                    f"has a capability that {way} at p_kw = {end:g}; {name} = {needed:g} lies "
                    f"outside: add a point at {needed:g}"
                )
        return self

    @model_validator(mode="after")
    def _one_thing_behind(self) -> DerConfig:
        if self.storage is not None and self.renewable is not None:
            raise ValueError("has storage and renewable both; give each a DER of its own")
        if self.minimum_kw > self.capacity_kw:
            raise ValueError(
                f"minimum_kw = {self.minimum_kw:g} is above capacity_kw = {self.capacity_kw:g}"
            )
        if self.rating_kva is not None and self.rating_kva < self.capacity_kw:
            raise ValueError(
                f"rating_kva = {self.rating_kva:g} is below capacity_kw = {self.capacity_kw:g}; "
                "a machine cannot give more kW than its kVA"
            )
        if self.unlike_phases and self.rating_kva is None:
            raise ValueError("has unlike_phases and no rating_kva to hold each phase to; state it")
        if self.unlike_phases and self.balanced:
            raise ValueError("is balanced and has unlike_phases; leave one of the two out")
        if self.power_factor is not None and self.storage is not None:
            raise ValueError(
                "has storage and power_factor; one that charges has no least power factor here: "
                "state rating_kva, or a capability that begins at its full charge"
            )
        if self.minimum_kw and (self.storage is not None or self.renewable is not None):
            raise ValueError("has minimum_kw; a storage or a renewable has no least output")
        for name in ("storage", "renewable"):
            if getattr(self, name) is not None and self.can_form:
                raise ValueError(
                    f"has {name} and can_form = true; what follows a schedule or the weather does "
                    "not hold an island: leave can_form out"
                )
        return self

    def resolved(self, defaults: DerDefaults) -> DerConfig:
        """Fill in every left-out key."""
        own = self.model_dump(exclude_none=True)
        if self.storage is not None or self.renewable is not None:
            own["can_form"] = False
        if self.storage is not None:
            own["power_factor"] = None
        if self.capability is not None:
            own["reactive_limit"] = None
        return DerConfig.model_validate({**defaults.model_dump(), **own})


def _columns(points: tuple[CapabilityPoint, ...]) -> tuple[list[float], ...]:
    """``p_kw``, ``q_min_kvar`` and ``q_max_kvar`` of a curve."""
    return (
        [one.p_kw for one in points],
        [one.q_min_kvar for one in points],
        [one.q_max_kvar for one in points],
    )


class DersConfig(Section):
    """The distributed energy resources an operator can move."""

    defaults: DerDefaults = Field(
        default_factory=DerDefaults, description="shared by every DER of the fleet"
    )
    fleet: dict[str, DerConfig] = Field(
        max_length=5000,
        default_factory=dict,
        description="one table per DER; its key is the DER's id",
    )
