"""From a study to what stands between command and device in its feeder federate."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from datetime import UTC, datetime
from importlib.util import find_spec
from typing import TYPE_CHECKING

from gridproof.federation.config.clock import start_time
from gridproof.federation.field.channel import Channel, Devices
from gridproof.federation.field.devices import FieldDevices
from gridproof.federation.field.protocols import make_of
from gridproof.federation.field.realtime import PACE_COLUMNS, Pace
from gridproof.federation.studies.outside_loads import OUTSIDE
from gridproof.federation.trial.guarded import FAST_COLUMNS
from gridproof.federation.trial.rounds import ROUNDS_COLUMN
from gridproof.federation.wire.frames import now
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
    "refuse_unsent",
    "rounds_of",
    "trace_columns",
    "until_start_s",
]


def channel_of(study: Study, draw: Callable[[int, int], Realizations]) -> Channel | None:
    """Return the study's channel; None where nothing is declared.

    Raises
    ------
    ConfigError
        If devices are asked for and what speaks their protocol is not installed, or nobody but
        the study names them.
    """
    config = study.config
    if not (config.faults.declared or config.devices.at):
        return None
    devices: Devices | None = None
    if config.devices.at:
        refuse_unnamed(study)
        devices = FieldDevices(config.devices, study.scenario, make_of(config.devices.kind))
    return Channel(study.scenario, config.faults, config.campaign.seed, draw, devices)


def refuse_unnamed(study: Study) -> None:
    """Refuse a study whose devices nobody vouched for: a set-point moves a machine."""
    at = study.config.devices.at
    unnamed = [f"{der}={at[der]}" for der in at if der not in study.commanded]
    if unnamed:
        words = " ".join(f"--device {entry}" for entry in unnamed)
        code = study.config.devices.code
        if code is not None:
            raise ConfigError(
                f"{study.name}: [devices] kind = {code!r} is a program, and a study alone may not "
                f"run one nor write to {', '.join(unnamed)}; name both: {words} and --device-kind "
                f"{code} (of a new run --set devices.kind={code}), or --trust-study for all"
            )
        raise ConfigError(
            f"{study.name}: [devices] at names {', '.join(unnamed)}, and a study alone may not "
            f"write to a device; name what it may write to: {words}, or "
            "--trust-study for all it says"
        )


def refuse_unsent(study: Study) -> None:
    """Refuse to draw what a program of somebody else's is to send; `ConfigError`."""
    if study.config.campaign.sampler == OUTSIDE:
        again = "" if study.source is None else f", as before {shlex.join(study.source.command)!r}"
        raise ConfigError(
            f'{study.name}: [campaign] sampler = "{OUTSIDE}" draws nothing: its loads are sent by '
            f"a program that is started with it, gridproof launch STUDY --source COMMAND{again}"
        )


def pace_of(study: Study, *, resumed: bool = False) -> Pace | None:
    """Return what holds the feeder to the wall clock; None where nothing does.

    Parameters
    ----------
    study
        Says the step, and when the first is due.
    resumed
        Whether something was tried before: then the first is due at once.

    Raises
    ------
    ConfigError
        If the start has passed.
    """
    realtime = study.config.realtime
    if realtime.step_s is None:
        return None
    left_s = None if resumed else until_start_s(study)
    if left_s is not None and left_s < 0.0:
        raise ConfigError(
            f"{study.name}: [realtime] start = {realtime.start!r} passed {-left_s:.0f} s ago; give "
            "a later one, with its date if it is of another day"
        )
    return Pace(realtime, start_s=None if left_s is None else now() + left_s)


def until_start_s(study: Study) -> float | None:
    """Return the time until the first step of a study is due, s; None where no start is given."""
    start = study.config.realtime.start
    if start is None:
        return None
    moment = datetime.now(UTC)
    return (start_time(start, moment) - moment).total_seconds()


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
