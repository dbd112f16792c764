"""The study file: every section and key, with its unit, bounds and meaning.

A study is one TOML file. ``StudyConfig`` is its schema: unknown keys are refused, every
number has a bound, and every key name ends in its unit where it has one. What a key means is
said once, here; messages about a bad value and the reference of the study format are both
made from these descriptions.
"""

from __future__ import annotations

from typing import Annotated, Any, Literal

from gridproof.federation.config.base import Id, Ids, Money, Section, Share, remedy
from gridproof.federation.config.campaign import CampaignConfig, StopConfig
from gridproof.federation.config.ders import DersConfig
from gridproof.federation.config.events import EventsConfig, FlexibleLoadsConfig
from gridproof.federation.config.faults import DevicesConfig, FaultsConfig, RealtimeConfig
from gridproof.federation.config.resiliency import ResiliencyConfig
from gridproof.federation.config.restoration import RestorationConfig
from gridproof.federation.files import folder_name
from pydantic import (
    AfterValidator,
    BeforeValidator,
    ConfigDict,
    Field,
    WithJsonSchema,
    model_validator,
)

__all__ = [
    "ONE_FEEDER",
    "CampaignConfig",
    "DevicesConfig",
    "FaultsConfig",
    "FederationConfig",
    "FeederConfig",
    "HorizonConfig",
    "LimitsConfig",
    "ObjectiveConfig",
    "PlannerConfig",
    "RealtimeConfig",
    "RestorationConfig",
    "StopConfig",
    "StudyConfig",
    "StudySection",
    "SubstationConfig",
    "UncertaintyConfig",
]


EVERY = ("*",)
"""What ``loads = "all"`` is kept as; no load can have this name."""

IdsOrAll = Annotated[
    Ids,
    BeforeValidator(lambda given: EVERY if given == "all" else given),
    WithJsonSchema(
        {
            "anyOf": [
                {"const": "all"},
                {"type": "array", "items": {"type": ["string", "integer"], "minLength": 1}},
            ]
        }
    ),
]


def _names_a_folder(given: str) -> str:
    if given and folder_name(given) != given:
        raise ValueError(
            f"= {given[:60]!r} must be a name that a folder can bear: no / or \\, no control "
            "character, at most 180 bytes; where results go is what --out says"
        )
    return given


Name = Annotated[str, AfterValidator(_names_a_folder)]


class StudySection(Section):
    """What the study is."""

    name: Name = Field(
        default="",
        description="short name, which new campaign directories bear; the file's name if left out",
    )
    title: str = Field(default="", description="one line, shown by `gridproof studies`")
    description: str = Field(default="", description="what the study shows, in a paragraph")
    source: str = Field(default="", description="where its data come from")


ONE_FEEDER = (
    "a federation has one feeder federate, one file: circuits of one substation go into one "
    "OpenDSS file, which may Redirect to a file of each (docs/bring-your-own.md), and feeders that "
    "share nothing are studies of their own"
)
"""What is said to who asks for several."""


def _one_file(value: object) -> object:
    if isinstance(value, list | tuple):
        raise ValueError(ONE_FEEDER)
    return value


class FeederConfig(Section):
    """Which feeder, and which of its lines a plan may switch."""

    path: Annotated[str, BeforeValidator(_one_file)] = Field(
        min_length=1,
        description="OpenDSS file relative to the study, or the name of a shipped feeder",
    )
    switches: Ids | None = Field(
        default=None,
        description="ids of the lines a plan may open and close; the feeder file's own switches "
        "if left out",
    )
    locked_open: Ids = Field(
        default=(), description="switches that are open and must stay open, by id"
    )
    locked_closed: Ids = Field(
        default=(), description="switches that are closed and must stay closed, by id"
    )
    load_model: Literal["constant_power", "as_modelled"] = Field(
        default="constant_power",
        description="how loads follow voltage: all constant power, or as the feeder file has them",
    )


class LimitsConfig(Section):
    """The limits a verdict holds the physics against."""

    v_min_pu: float = Field(
        default=0.95, gt=0.0, lt=2.0, description="least voltage at a live bus, pu"
    )
    v_max_pu: float = Field(
        default=1.05, gt=0.0, lt=2.0, description="greatest voltage at a live bus, pu"
    )
    voltage_test: Literal["line_to_neutral", "line_to_line"] = Field(
        default="line_to_neutral",
        description="which voltage the band applies to; line_to_line on a floating delta feeder",
    )
    grid_forming_per_island: int = Field(
        default=1, ge=1, description="most grid-forming DERs in an energised island"
    )
    radial_blocks: bool = Field(
        default=False,
        description="refuse loops of lines inside a block; if not, their flows are what impedances "
        "make them, and radiality is a rule on switches alone",
    )
    line_rating_a: float | None = Field(
        default=None,
        gt=0.0,
        description="rating of every line and switch, A per phase; the feeder file's if left out",
    )
    line_ratings_a: dict[Id, Annotated[float, Field(gt=0.0)]] = Field(
        default_factory=dict,
        description="ratings of single lines and switches by id, A per phase; in place of either",
    )
    transformer_ratings_kva: dict[Id, Annotated[float, Field(gt=0.0)]] = Field(
        default_factory=dict,
        description="ratings of single transformers by id, kVA of all phases; in place of the "
        "feeder file's",
    )
    polygon_sides: int = Field(
        default=16,
        ge=8,
        le=360,
        multiple_of=4,
        description="sides of the polygon inside |s| <= S in the linear model; 16 cut off at most "
        "1.9 % of a rating, 64 0.12 %",
    )

    @model_validator(mode="after")
    def _band_has_width(self) -> LimitsConfig:
        if self.v_min_pu >= self.v_max_pu:
            raise ValueError(
                f"v_min_pu = {self.v_min_pu} must lie below v_max_pu = {self.v_max_pu}; "
                "the usual band is 0.95 to 1.05"
            )
        return self


class HorizonConfig(Section):
    """The steps of a study that lasts: when they begin, how long they are, what they ask for."""

    start_h: float = Field(default=0.0, ge=0.0, description="hour at which the first step begins")
    step_h: float = Field(default=1.0, gt=0.0, le=24.0, description="how long each step lasts, h")
    load_profile: tuple[Annotated[float, Field(ge=0.0)], ...] = Field(
        default=(1.0,),
        strict=False,
        min_length=1,
        description="demand of every load at each step, as a share of its nominal; its length is "
        "the number of steps",
    )


class SubstationConfig(Section):
    """The feeder's own source: an island's former wherever it is not lost."""

    lost: bool | None = Field(
        default=None,
        description="whether nothing is fed from it; if left out: where locked_open leaves no load "
        "within its reach",
    )
    rating_kva: float | None = Field(
        default=None,
        gt=0.0,
        description="most it can supply or take back, all phases together, kVA; unlimited if left "
        "out",
    )
    cost_usd_per_kw: Money = Field(
        default=0.0, description="price of a kW from the grid, and credit for one to it"
    )
    redispatch_cost_usd_per_kw: Money = Field(
        default=0.0, description="price of a kW more or less than planned"
    )


class ObjectiveConfig(Section):
    """What the planner pays for: de-energised blocks, and slack inside cuts."""

    block_weight_usd: Money = Field(
        default=10_000.0, description="cost of leaving a block de-energised"
    )
    substation_block_weight_usd: Money = Field(
        default=1_000.0, description="the same for the block that holds the substation"
    )
    load_weight_usd: Money = Field(
        default=10.0, description="cost added for each load of a de-energised block"
    )
    block_weights_usd: dict[Id, Money] = Field(
        default_factory=dict,
        description="cost of leaving one block de-energised, by its id; in place of either above",
    )
    load_weights_usd: dict[Id, Money] = Field(
        default_factory=dict,
        description="cost added for one load, by its id; in place of load_weight_usd",
    )
    slack_usd_per_kw: Money = Field(
        default=705.0, description="price of a kW of power-balance violation inside cuts"
    )


class UncertaintyConfig(Section):
    """Which loads are uncertain, and by how much."""

    kind: Literal["box"] = Field(
        default="box", description="shape of the set; in a box each load moves on its own"
    )
    loads: IdsOrAll = Field(
        default=(), description='ids of the uncertain loads; "all" is every load of the feeder'
    )
    spread: Share = Field(
        default=0.0,
        description="half-width of the set as a share of nominal load; P, Q and all phases of a "
        "load move together",
        json_schema_extra=remedy("0.25 means ±25 %"),
    )
    spreads: dict[Id, Share] = Field(
        default_factory=dict,
        description="half-width of single uncertain loads, by id; in place of spread",
        json_schema_extra=remedy("0.25 means ±25 %"),
    )

    spread_down: Share | None = Field(
        default=None,
        description="how far below nominal loads may fall, in place of spread",
        json_schema_extra=remedy("0.25 means -25 %"),
    )
    spread_up: Share | None = Field(
        default=None,
        description="how far above nominal loads may rise, in place of spread",
        json_schema_extra=remedy("0.25 means +25 %"),
    )
    spreads_down: dict[Id, Share] = Field(
        default_factory=dict,
        description="how far single loads may fall, by id; in place of all of these",
        json_schema_extra=remedy("0.25 means -25 %"),
    )
    spreads_up: dict[Id, Share] = Field(
        default_factory=dict,
        description="how far single loads may rise, by id; in place of all of these",
        json_schema_extra=remedy("0.25 means +25 %"),
    )

    def of(self, load_ids: tuple[str, ...]) -> tuple[str, ...]:
        """Return the uncertain ones of a feeder's loads, in the set's order."""
        return load_ids if self.loads == EVERY else self.loads


class PlannerConfig(Section):
    """The optimizer family; every other key is an option of that family."""

    model_config = ConfigDict(extra="allow", frozen=True, strict=True, allow_inf_nan=False)

    family: str = Field(default="partitioning", description="optimizer family")

    @property
    def options(self) -> dict[str, Any]:
        """The family's options as the study states them."""
        return dict(self.model_extra or {})


class FederationConfig(Section):
    """How the federates run and how long anyone waits; never changes a verdict."""

    mode: Literal["in_process", "processes", "local"] = Field(
        default="in_process",
        description="both federates in this process over HELICS, in two processes over HELICS, "
        "or in this process without HELICS",
    )
    join_deadline_s: float = Field(
        default=30.0, gt=0.0, description="longest wait for a federate to join, s"
    )
    step_deadline_s: float = Field(
        default=120.0, gt=0.0, description="longest wait for one exchange, s"
    )
    plan_deadline_s: float = Field(
        default=3600.0, gt=0.0, description="longest wait for the plan, s"
    )
    observers: int = Field(
        default=0,
        ge=0,
        le=64,
        description="seats for federates that only listen, in processes; the run begins when all "
        "are taken",
    )
    port: int = Field(
        default=0,
        ge=0,
        le=65534,
        description="the broker's port in processes, for observers to find; a free one if 0",
    )

    @model_validator(mode="after")
    def _found_by_observers(self) -> FederationConfig:
        if self.observers and not self.port:
            raise ValueError("has observers and no port that they could find; state it")
        return self


class StudyConfig(Section):
    """A whole study file."""

    study: StudySection = Field(default_factory=StudySection, description="what the study is")
    feeder: FeederConfig = Field(description="the feeder and its switches")
    horizon: HorizonConfig = Field(
        default_factory=HorizonConfig, description="the steps, where a study lasts"
    )
    limits: LimitsConfig = Field(default_factory=LimitsConfig, description="operating limits")
    substation: SubstationConfig = Field(
        default_factory=SubstationConfig, description="what the grid supplies, if not lost"
    )
    ders: DersConfig = Field(default_factory=DersConfig, description="what an operator can move")
    objective: ObjectiveConfig = Field(
        default_factory=ObjectiveConfig, description="what the planner pays for"
    )
    uncertainty: UncertaintyConfig = Field(
        default_factory=UncertaintyConfig, description="what is uncertain"
    )
    events: EventsConfig = Field(
        default_factory=EventsConfig, description="what may happen, in modes, in kW"
    )
    flexible_loads: FlexibleLoadsConfig = Field(
        default_factory=FlexibleLoadsConfig, description="loads that may be asked for less"
    )
    planner: PlannerConfig = Field(default_factory=PlannerConfig, description="who plans, and how")
    restoration: RestorationConfig = Field(
        default_factory=RestorationConfig,
        description="what failed and how lines are switched, for the restoration family",
    )
    resiliency: ResiliencyConfig = Field(
        default_factory=ResiliencyConfig,
        description="a day with an outage and what may answer it, for the resiliency family",
    )
    campaign: CampaignConfig = Field(
        default_factory=CampaignConfig, description="how the plan is tried"
    )
    federation: FederationConfig = Field(
        default_factory=FederationConfig, description="how the federates run"
    )
    faults: FaultsConfig = Field(
        default_factory=FaultsConfig, description="what goes wrong between command and device"
    )
    realtime: RealtimeConfig = Field(
        default_factory=RealtimeConfig, description="the pace of the run against the wall clock"
    )
    devices: DevicesConfig = Field(
        default_factory=DevicesConfig, description="DERs that are devices of their own"
    )
