"""The ``[restoration]`` section of a study file: what failed, and how lines are switched.

::

    [restoration]
    devices = "lines.csv"        # columns line, kind, from_device, to_device; others are ignored
    failures = "failures.csv"    # column line; or  failed = ["l17", "l142"]
    buried = 15                  # the first so many failed lines are remote cables
    lines.l20 = { kind = "overhead", device = "manual" }    # on top of the table
    buses.b7 = { unserved = 5.0 }                           # a hospital: ten times the others
"""

from __future__ import annotations

from typing import Literal

from gridproof.federation.config.base import Id, Ids, Section, remedy
from pydantic import Field, model_validator

__all__ = ["BusConfig", "LineConfig", "RestorationConfig", "WeightsConfig"]

DeviceName = Literal["none", "manual", "remote", "recloser", "breaker"]


class LineConfig(Section):
    """One line; a key left out keeps what the table of devices says."""

    kind: Literal["overhead", "underground"] | None = Field(
        default=None,
        description="overhead has one switch, a failure takes both its ends; underground has a "
        "switch at each end, a failure takes the ends whose switch is closed",
    )
    device: DeviceName | None = Field(default=None, description="device at both ends")
    from_device: DeviceName | None = Field(default=None, description="device at the first bus")
    to_device: DeviceName | None = Field(default=None, description="device at the second bus")

    @model_validator(mode="after")
    def _once(self) -> LineConfig:
        if self.device is not None and (self.from_device or self.to_device):
            raise ValueError(
                f'device = "{self.device}" is for both ends; leave out from_device and to_device, '
                "or device"
            )
        return self


class BusConfig(Section):
    """How critical one bus is; a key left out keeps the weight of all."""

    unserved: float | None = Field(
        default=None,
        ge=0.0,
        description="cost of a MW of this bus's load not supplied in one phase",
    )
    lost_bus: float | None = Field(
        default=None, ge=0.0, description="cost of this bus in the damaged zone in one phase"
    )


class WeightsConfig(Section):
    """Weights of the objective; the defaults are the publication's."""

    alpha: float = Field(default=10.0, ge=0.0, description="weight of losses, of load and buses")
    beta: float = Field(default=0.1, ge=0.0, description="weight of switching")
    unserved: float = Field(
        default=0.5, ge=0.0, description="cost of a MW of load not supplied in one phase"
    )
    lost_bus: float = Field(
        default=1.0, ge=0.0, description="cost of a bus in the damaged zone in one phase"
    )
    switching: float = Field(default=0.1, ge=0.0, description="cost of one change of a line")


class RestorationConfig(Section):
    """What failed and how lines are switched; used where ``planner.family`` is restoration."""

    devices: str | None = Field(
        default=None,
        min_length=1,
        description="CSV table with columns line, kind, from_device and to_device, a row for each "
        "line of the feeder, relative to the study or beside the feeder's file; if left out all "
        "lines are overhead, the feeder file's switches remote",
    )
    lines: dict[Id, LineConfig] = Field(
        default_factory=dict, description="lines that differ from the table, by id"
    )
    failures: str | None = Field(
        default=None,
        min_length=1,
        description="CSV table with a column line, a row for each failed line, relative to the "
        "study or beside the feeder's file",
    )
    failed: Ids = Field(default=(), description="ids of the failed lines, if there is no table")
    buried: int = Field(
        default=0,
        ge=0,
        description="the first so many failed lines are underground with a remote switch at each "
        "end, whatever the table says; impedances stay",
        json_schema_extra=remedy("give at most the number of failed lines"),
    )
    protection_remote: bool = Field(
        default=True,
        description="whether the operator can move breakers and reclosers too; if not, one that "
        "opened by itself stays open",
    )
    open_strikes: bool = Field(
        default=False,
        description="whether an overhead line that failed while open takes down the buses at its "
        "ends, as one that was closed does",
    )
    weights: WeightsConfig = Field(
        default_factory=WeightsConfig, description="what a loss and a switching are worth"
    )
    buses: dict[Id, BusConfig] = Field(
        default_factory=dict,
        description="buses that are worth more or less than the weights say, by id",
    )
