"""``[faults]``, ``[realtime]`` and ``[devices]``: what stands between a command and its device."""

from __future__ import annotations

from datetime import UTC, datetime, time
from typing import Annotated

from gridproof.federation.addresses import ADDRESS_PATTERN
from gridproof.federation.config.base import Section, remedy
from gridproof.federation.config.clock import start_time
from pydantic import BeforeValidator, Field, model_validator

__all__ = ["DevicesConfig", "FaultsConfig", "RealtimeConfig"]


def _lower(value: object) -> object:
    return value.lower() if isinstance(value, str) else value


def _written(value: object) -> object:
    """TOML knows times and dates by themselves, too."""
    return value.isoformat() if isinstance(value, datetime | time) else value


Id = Annotated[str, BeforeValidator(_lower), Field(min_length=1)]
Ids = Annotated[tuple[Id, ...], Field(strict=False)]
Seconds = Annotated[float, Field(ge=0.0)]


class FaultsConfig(Section):
    """Declared faults between command and device, seeded; none if left out.

    Realization ``i`` is what the loads are at time ``(i + 1) · interval_s``; between two
    draws they move in a straight line, from nominal at time 0.
    """

    interval_s: float = Field(
        default=60.0,
        gt=0.0,
        description="time in which the loads move from one draw to the next, s",
    )
    command_every_s: float = Field(
        default=1.0,
        gt=0.0,
        description="time between two set-points of the planner, s; each answers the loads then",
    )
    latency_s: Seconds = Field(
        default=0.0, description="time from measuring the loads to acting on the set-points, s"
    )
    jitter_s: Seconds = Field(
        default=0.0, description="most that a set-point may take beyond the latency, uniform, s"
    )
    loss: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="share of set-points that never arrive; the last that did stay",
        json_schema_extra=remedy("0.05 loses one in twenty"),
    )
    quantisation_kw: float = Field(
        default=0.0,
        ge=0.0,
        description="step that a device rounds a phase's set-point to, kW and kvar; 0 for none",
    )
    ramp_kw_per_s: float | None = Field(
        default=None,
        gt=0.0,
        description="fastest change of a phase's output that a device allows, kW/s and kvar/s; "
        "unlimited if left out",
    )
    noise: float = Field(
        default=0.0,
        ge=0.0,
        lt=1.0,
        description="standard deviation of an uncertain load's measurement, as a share of the load",
        json_schema_extra=remedy("0.01 is a meter of about ±2 %"),
    )
    stuck_switches: Ids = Field(
        default=(), description="switches that never act and stay as the feeder's file has them"
    )
    stuck_probability: float = Field(
        default=0.0,
        ge=0.0,
        le=1.0,
        description="chance that a switch does not act, each on its own in every realization",
    )
    slow_switches_s: dict[Id, Seconds] = Field(
        default_factory=dict, description="switches that act late, and by how much, s"
    )
    ride_through_s: Seconds = Field(
        default=0.0,
        description="how long a state may be outside the limits, before and after taken together, "
        "without counting, s",
    )

    @model_validator(mode="after")
    def _commands_come_in_time(self) -> FaultsConfig:
        if self.command_every_s > self.interval_s:
            raise ValueError(
                f"command_every_s = {self.command_every_s} must not exceed interval_s = "
                f"{self.interval_s}; a planner answers every draw at least once"
            )
        steps = self.ride_through_s / self.command_every_s
        if abs(steps - round(steps)) > 1e-6:
            raise ValueError(
                f"ride_through_s = {self.ride_through_s} must be a multiple of command_every_s = "
                f"{self.command_every_s}: states are looked at as often as commands are sent"
            )
        return self

    @property
    def declared(self) -> bool:
        """Whether anything differs from a perfect channel."""
        return bool(
            self.latency_s
            or self.jitter_s
            or self.loss
            or self.quantisation_kw
            or self.ramp_kw_per_s is not None
            or self.noise
            or self.stuck_switches
            or self.stuck_probability
            or self.slow_switches_s
        )


class RealtimeConfig(Section):
    """One realization per step against the wall clock; as fast as possible if left out."""

    step_s: float | None = Field(
        default=None,
        gt=0.0,
        description="time between two realizations in the feeder's world, s; if left out the run "
        "is as fast as possible and nothing is late",
    )
    start: Annotated[str | None, BeforeValidator(_written)] = Field(
        default=None,
        pattern=r"^(\d{4}-\d{2}-\d{2}[T ])?\d{2}:\d{2}:\d{2}([+-]\d{2}:\d{2}|Z)?$",
        description="wall-clock time at which the first step is due, HH:MM:SS of within twelve "
        "hours or with its date before it, local unless it has an offset; as soon as it can be if "
        "left out",
    )
    factor: float = Field(
        default=1.0,
        gt=0.0,
        description="seconds of the feeder's world in one second of the wall clock",
        json_schema_extra=remedy("2.0 runs twice as fast as reality"),
    )
    stale_after_s: float | None = Field(
        default=None,
        gt=0.0,
        description="age beyond which set-points are stale, s of the feeder's world, counted from "
        "when the loads they answer were published; one step if left out",
    )
    strict: bool = Field(
        default=False, description="whether a late step or stale set-points end the run"
    )
    late_after_s: float | None = Field(
        default=None,
        gt=0.0,
        description="strict: lateness that ends the run, s of the feeder's world; one step if "
        "left out",
    )

    @model_validator(mode="after")
    def _start_is_a_time(self) -> RealtimeConfig:
        if self.start is None:
            return self
        if self.step_s is None:
            raise ValueError("start needs step_s: nothing waits for a clock without it")
        try:
            start_time(self.start, datetime.now(UTC))
        except ValueError as error:
            raise ValueError(f"start = {self.start!r} is no time of a day: {error}") from error
        return self


class DevicesConfig(Section):
    """DERs that are devices of their own: behind Modbus/TCP with SunSpec models, or MQTT."""

    at: dict[Id, Annotated[str, Field(pattern=ADDRESS_PATTERN)]] = Field(
        default_factory=dict, description="DER to HOST:PORT of its device"
    )
    kind: str = Field(
        default="sunspec",
        pattern=r"^(sunspec|mqtt|[A-Za-z_][\w.]*:[A-Za-z_]\w*)$",
        description="the protocol they speak: sunspec, mqtt, or module:Class of your own, which "
        "is run only if the command line names it",
    )
    settle_s: dict[Id, Seconds] = Field(
        default_factory=dict,
        description="DER to the time it is given between its command and its measurement, s",
    )
    unit: int = Field(default=1, ge=1, le=247, description="Modbus unit identifier")
    deadline_s: float = Field(
        default=1.0, gt=0.0, description="longest wait for one answer of a device, s"
    )
    tolerance: float = Field(
        default=0.02,
        gt=0.0,
        le=1.0,
        description="how far a measurement may lie outside the DER's capability, as a share of "
        "its rating, before it is refused",
    )

    @model_validator(mode="after")
    def _who_settles_is_a_device(self) -> DevicesConfig:
        others = [name for name in self.settle_s if name not in self.at]
        if others:
            raise ValueError(f"settle_s names {', '.join(others)}, which at does not")
        return self

    @property
    def code(self) -> str | None:
        """The class that a study asks to run; None where its protocol is ours."""
        return self.kind if ":" in self.kind else None
