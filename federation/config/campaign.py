"""The ``[campaign]`` section of a study file: how a plan is tried."""

from __future__ import annotations

from typing import Annotated, Literal

from gridproof.federation.config.base import Section, remedy
from pydantic import Field, model_validator

__all__ = ["DESIGNS", "MOST_SAMPLES", "CampaignConfig", "StopConfig"]

DESIGNS = ("vertices", "latin_hypercube", "sobol", "federate")
"""Samplers whose realizations are not independent draws, or are not known to be."""

Rows = Annotated[tuple[Annotated[tuple[float, ...], Field(strict=False)], ...], Field(strict=False)]

MOST_SAMPLES = 10**9
"""Of a campaign: half a million parts."""


class StopConfig(Section):
    """When a campaign may end before its last realization; looked at after every 2048."""

    kind: Literal["width", "target"] = Field(
        description="stop when the interval of the feasible share is narrow enough, or when a "
        "target share is shown or refuted"
    )
    width: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="kind width: greatest width of the interval, as a share",
        json_schema_extra=remedy("0.01 is a share known to about ±0.5 %"),
    )
    share: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="kind target: feasible share to be shown or refuted",
        json_schema_extra=remedy("0.99 asks whether 99 % of realizations are feasible"),
    )
    confidence: float | None = Field(
        default=None,
        gt=0.0,
        lt=1.0,
        description="confidence that holds at whatever moment it stops; the campaign's if left out",
    )

    @model_validator(mode="after")
    def _kind_has_its_number(self) -> StopConfig:
        own, other = ("width", "share") if self.kind == "width" else ("share", "width")
        if getattr(self, own) is None:
            raise ValueError(
                f'kind = "{self.kind}" needs {own}; write for example '
                f'{{ kind = "{self.kind}", {own} = {0.01 if own == "width" else 0.99} }}'
            )
        if getattr(self, other) is not None:
            raise ValueError(f'kind = "{self.kind}" has no use for {other}; leave it out')
        return self


class CampaignConfig(Section):
    """How a plan is tried."""

    samples: int = Field(
        default=10_000,
        ge=1,
        le=MOST_SAMPLES,
        description="number of realizations",
        json_schema_extra=remedy("10000 settles a share to about ±1 %"),
    )
    seed: int = Field(
        default=1,
        ge=0,
        le=2**64 - 1,
        description="the draw's seed; realization i is a function of (seed, i) alone",
    )
    sampler: Literal[
        "uniform",
        "vertices",
        "latin_hypercube",
        "sobol",
        "truncated_normal",
        "empirical",
        "events",
        "budgeted",
        "federate",
    ] = Field(
        default="uniform",
        description='how realizations are drawn; "events" is for studies with [events], '
        '"budgeted", anew each hour within a budget of hours, for [resiliency]; "federate" are not '
        "drawn: a program of your own publishes them (launch --source)",
    )
    per_phase: bool = Field(
        default=False,
        description="whether each phase of an uncertain load is drawn on its own; the planner's "
        "set keeps one direction per load",
    )
    std_share: float | None = Field(
        default=None,
        gt=0.0,
        description="truncated_normal: standard deviation before the cut, as a share of the spread",
        json_schema_extra=remedy("0.5 puts the set's edges at two standard deviations"),
    )
    correlation: float | None = Field(
        default=None,
        ge=-1.0,
        lt=1.0,
        description="truncated_normal: correlation of every pair of directions",
    )
    correlation_matrix: Rows | None = Field(
        default=None,
        description="truncated_normal: correlation of the directions, one row for each, in the "
        "order of the uncertain loads",
    )
    history: str | None = Field(
        default=None,
        min_length=1,
        description="empirical: CSV file relative to the study, one row per moment, a column for "
        "each uncertain load under its id",
    )
    history_unit: Literal["multiplier", "kw"] = Field(
        default="multiplier",
        description="empirical: whether the history holds multiples of nominal load, or kW",
    )
    history_outside: Literal["refuse", "clip"] = Field(
        default="refuse",
        description="empirical, federate: what becomes of loads that leave the declared set",
    )
    stop: StopConfig | None = Field(
        default=None,
        description="when to end before all samples are tried; never if left out",
    )
    step: int | None = Field(
        default=None,
        ge=0,
        description="which step of the plan is tried, counted from 0; each of them, one campaign "
        "after the other on the same draws, if left out",
    )
    enters: Literal["realized", "planned"] = Field(
        default="realized",
        description="what each step is entered with, stored energy and last outputs: what became "
        "of the realization, or what the plan foresees, so that each step is tried on its own",
    )
    horizon_h: float = Field(
        default=1.0,
        gt=0.0,
        description="how long a realization is taken to last, h; scales energies, no verdict",
    )
    recourse: Literal["fixed", "participation", "rule", "affine", "linear", "ac"] = Field(
        default="linear",
        description="who moves once the load is known: nobody but the grid-forming DER, every "
        "DER of an island by its capacity, every DER by an affine rule that is certified in AC, "
        "every DER within its ramp as the linear model has it, "
        "or that corrected by what the physics showed",
    )
    ac_rounds: int = Field(
        default=8,
        ge=1,
        le=100,
        description='recourse = "ac": most further rounds in which a realization outside a limit '
        "is measured and re-dispatched",
    )
    judge: Literal["ac", "linear", "both"] = Field(
        default="ac",
        description="the physics that decides: OpenDSS, or LinDist3Flow; with both, OpenDSS "
        "decides and the linear verdict is kept beside it",
    )
    engine: Literal["opendss", "fast"] = Field(
        default="opendss",
        description="who solves the AC flows: OpenDSS each of them, or many at once on OpenDSS's "
        "own network, with OpenDSS for all that this does not settle (gridproof[fast])",
    )
    guard: float = Field(
        default=1e-5,
        ge=0.0,
        description='engine = "fast": OpenDSS answers what is so near to a limit, pu or share of a '
        "rating; an audited margin may differ by a tenth of it",
        json_schema_extra=remedy("1e-5 is a thousand times what OpenDSS itself settles to"),
    )
    audit_share: float = Field(
        default=0.01,
        ge=0.0,
        le=1.0,
        description='engine = "fast": share of realizations, drawn by the seed, that OpenDSS '
        "answers whatever they are, to be compared",
    )
    batch: int = Field(
        default=256,
        ge=1,
        description="realizations per exchange between the federates; never changes a verdict",
    )
    confidence: float = Field(
        default=0.95,
        gt=0.0,
        lt=1.0,
        description="confidence of the interval around the feasible share",
    )

    @model_validator(mode="after")
    def _fast_is_judged_by_ac(self) -> CampaignConfig:
        if self.engine == "fast" and self.judge == "linear":
            raise ValueError(
                'engine = "fast" solves AC flows, and judge = "linear" has none; leave one out'
            )
        return self
