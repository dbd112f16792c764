"""From a study to what stands between command and device in its feeder federate."""

from __future__ import annotations

from collections.abc import Callable
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gridproof.federation.field.channel import Channel, Devices
from gridproof.federation.field.realtime import PACE_COLUMNS, Pace
from gridproof.federation.trial.guarded import FAST_COLUMNS
from gridproof.federation.trial.rounds import ROUNDS_COLUMN
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.realization import Realizations

if TYPE_CHECKING:
    from gridproof.federation.config.study import StudyConfig
    from gridproof.federation.studies.study import Study

__all__ = [
    "channel_of",
    "pace_of",
    "refuse_fast",
    "refuse_unnamed",
    "rounds_of",
    "trace_columns",
]


def channel_of(study: Study, draw: Callable[[int, int], Realizations]) -> Channel | None:
    """Return the study's channel; None where nothing is declared.

    Raises
    ------
    ConfigError
        If devices are asked for and the Modbus client is not installed, or nobody but the study
        names them.
    """
    config = study.config
    if not (config.faults.declared or config.devices.at):
        return None
    devices: Devices | None = None
    if config.devices.at:
        refuse_unnamed(study)
        from gridproof.federation.field.devices import ModbusDevices  # noqa: PLC0415  (an optional dependency)

        devices = ModbusDevices(config.devices, study.scenario)
    return Channel(study.scenario, config.faults, config.campaign.seed, draw, devices)


def refuse_unnamed(study: Study) -> None:
    """Refuse a study whose devices nobody vouched for: a set-point moves a machine."""
    at = study.config.devices.at
    unnamed = [f"{der}={at[der]}" for der in at if der not in study.commanded]
    if unnamed:
        words = " ".join(f"--device {entry}" for entry in unnamed)
        raise ConfigError(
            f"{study.name}: [devices] at names {', '.join(unnamed)}, and a study alone may not "
            f"write to a device; name what it may write to: {words}, or "
            "--trust-study for all it says"
        )


def pace_of(study: Study) -> Pace | None:
    """Return what holds the feeder to the wall clock; None where nothing does."""
    realtime = study.config.realtime
    return None if realtime.step_s is None else Pace(realtime)


def refuse_fast(config: StudyConfig) -> None:
    """Refuse the fast engine where it is not installed, or where it cannot stand.

    Raises
    ------
    ConfigError
        Saying what to install, or what to leave out.
    """
    if config.campaign.engine != "fast":
        return
    if config.realtime.step_s is not None or config.devices.at:
        raise ConfigError(
            'campaign.engine = "fast" may do a stretch of the campaign again, and a wall clock or '
            'a device acts once; set campaign.engine = "opendss"'
        )
    if find_spec("numba") is None:
        raise ConfigError(
            'campaign.engine = "fast" needs a compiler of loops that is not installed: '
            "pip install 'gridproof[fast]', or set campaign.engine = \"opendss\""
        )


def rounds_of(config: StudyConfig) -> int:
    """Return how often the planner may be asked again with measurements."""
    return config.campaign.ac_rounds if config.campaign.recourse == "ac" else 0


def trace_columns(
    channel: Channel | None, pace: Pace | None, rounds: int = 0, *, fast: bool = False
) -> tuple[str, ...]:
    """Name the columns kept beside each verdict, in order."""
    return (
        *((ROUNDS_COLUMN,) if rounds else ()),
        *(channel.columns if channel is not None else ()),
        *(PACE_COLUMNS if pace is not None else ()),
        *(FAST_COLUMNS if fast else ()),
    )
