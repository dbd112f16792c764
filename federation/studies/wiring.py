"""From a study to what stands between command and device in its feeder federate."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from gridproof.federation.field.channel import Channel, Devices
from gridproof.federation.field.faults import faults_of_config
from gridproof.federation.field.realtime import PACE_COLUMNS, Pace
from gridproof.federation.trial.rounds import ROUNDS_COLUMN
from gridproof.scenarios.realization import Realizations

if TYPE_CHECKING:
    from gridproof.federation.config.study import StudyConfig
    from gridproof.federation.studies.study import Study
    from gridproof.scenarios.scenario import Scenario

__all__ = ["channel_of", "pace_of", "rounds_of", "trace_columns", "wiring_faults"]


def wiring_faults(config: StudyConfig, scenario: Scenario) -> list[str]:
    """Every contradiction of ``[faults]`` and ``[devices]`` with the rest, one sentence each."""
    found = faults_of_config(config.faults, scenario)
    found += [
        f"[devices] at.{name}: there is no DER of this id; DERs: {', '.join(scenario.ders.ids)}"
        for name in config.devices.at
        if name not in scenario.ders.ids
    ]
    found += [
        f"[devices] at.{name}: this is the substation, which nobody commands; name a DER"
        for name, grid in zip(scenario.ders.ids, scenario.ders.is_substation, strict=True)
        if grid and name in config.devices.at
    ]
    found += _step_faults(config, scenario)
    between = config.faults.declared or bool(config.devices.at)
    if between and config.campaign.judge == "both":
        found.append(
            '[campaign] judge = "both" holds the same set-points against two models, [faults] and '
            "[devices] change them on the way to one; use ac or linear"
        )
    if config.faults.ride_through_s and config.campaign.sampler in ("latin_hypercube", "sobol"):
        found.append(
            f'[campaign] sampler = "{config.campaign.sampler}" ends with its last sample, '
            "ride_through_s looks beyond it; use another sampler or leave ride_through_s out"
        )
    if between and config.campaign.stop is not None:
        found.append(
            "[campaign] stop needs independent realizations; late set-points tie each to the one "
            "before, so leave stop out"
        )
    again = config.campaign.recourse not in ("fixed", "participation", "linear")
    if again and (between or config.realtime.step_s is not None):
        found.append(
            f'[campaign] recourse = "{config.campaign.recourse}" corrects by measuring again, '
            "which [faults], [devices] and [realtime] do not model; use linear, participation "
            "or fixed"
        )
    if config.campaign.recourse == "ac" and config.campaign.judge == "linear":
        found.append(
            '[campaign] recourse = "ac" corrects by AC measurements, judge = "linear" has none; '
            'use judge = "ac" or "both"'
        )
    if config.campaign.recourse == "ac" and config.realtime.step_s is not None:
        found.append(
            '[campaign] recourse = "ac" takes further exchanges for a realization, [realtime] '
            'step_s gives it one; use recourse = "linear"'
        )
    return found


def _step_faults(config: StudyConfig, scenario: Scenario) -> list[str]:
    names, campaign = scenario.step_names, config.campaign
    listed = ", ".join(f"{k} {name}" for k, name in enumerate(names))
    if campaign.step is not None and campaign.step >= len(names):
        return [f"[campaign] step = {campaign.step} is not a step of this study; it has {listed}"]
    if campaign.step is not None or len(names) == 1:
        return []
    found = []
    if campaign.stop is not None:
        found.append(
            "[campaign] stop ends each step's campaign at a realization of its own, which leaves "
            "nothing to pair the steps by; leave stop out, or name one step"
        )
    if config.realtime.step_s is not None or config.devices.at:
        found.append(
            "[realtime] and [devices] are of one clock and one grid, this study has "
            f"{len(names)} steps ({listed}); name one with [campaign] step"
        )
    return found


def channel_of(study: Study, draw: Callable[[int, int], Realizations]) -> Channel | None:
    """Return the study's channel; None where nothing is declared.

    Raises
    ------
    ConfigError
        If devices are asked for and the Modbus client is not installed.
    """
    config = study.config
    if not (config.faults.declared or config.devices.at):
        return None
    devices: Devices | None = None
    if config.devices.at:
        from gridproof.federation.field.devices import ModbusDevices  # noqa: PLC0415  (an optional dependency)

        devices = ModbusDevices(config.devices, study.scenario)
    return Channel(study.scenario, config.faults, config.campaign.seed, draw, devices)


def pace_of(study: Study) -> Pace | None:
    """Return what holds the feeder to the wall clock; None where nothing does."""
    realtime = study.config.realtime
    return None if realtime.step_s is None else Pace(realtime)


def rounds_of(config: StudyConfig) -> int:
    """Return how often the planner may be asked again with measurements."""
    return config.campaign.ac_rounds if config.campaign.recourse == "ac" else 0


def trace_columns(channel: Channel | None, pace: Pace | None, rounds: int = 0) -> tuple[str, ...]:
    """Name the columns kept beside each verdict, in order."""
    return (
        *((ROUNDS_COLUMN,) if rounds else ()),
        *(channel.columns if channel is not None else ()),
        *(PACE_COLUMNS if pace is not None else ()),
    )
