"""From ``[resiliency]`` and its day to a scenario, with every fault found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from gridproof.federation.config.resiliency import ResiliencyConfig
from gridproof.federation.config.resiliency_day import Instance
from gridproof.federation.config.scenario_parts import limits_of
from gridproof.federation.config.study import FeederConfig, LimitsConfig
from gridproof.federation.config.study_file import Origin, read_toml, table_path
from gridproof.federation.families.resiliency_case import Asked, resiliency_case
from gridproof.federation.families.resiliency_scenario import resiliency_scenario
from gridproof.optimizer.resiliency.case import ResiliencyCase
from gridproof.scenarios.errors import ConfigError, ScenarioError
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box
from pydantic import BaseModel, ValidationError

__all__ = ["FAMILY", "Day", "load_day", "read_day"]

FAMILY = "resiliency"

_THE_DAYS = ("horizon", "ders", "events", "flexible_loads", "substation")
"""Sections of a study that the day's table stands for."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Day:
    """What a study says of a day with an outage, held against its feeder."""

    config: ResiliencyConfig
    case: ResiliencyCase

    def scenario(
        self,
        name: str,
        feeder: Feeder,
        sections: Mapping[str, BaseModel],
        *,
        uncertainty: Box,
        load_model: tuple[LoadModel, ...],
        draws_per_phase: bool,
    ) -> Scenario:
        """Put the scenario together; its switches are the ties and the damaged lines.

        Where ``[uncertainty]`` names no load, all of them move by the day's own share.

        Raises
        ------
        ScenarioError
            With every contradiction between the pieces.
        """
        limits = sections.get("limits")
        assert isinstance(limits, LimitsConfig)
        loads = feeder.loads.ids
        own = Box(load_ids=loads, spread=np.full(len(loads), self.case.budgets.load_share))
        made = resiliency_scenario(
            name,
            feeder,
            self.case,
            limits=limits_of(limits),
            rated=limits.line_rating_a is not None,
            redispatch_share=self.config.redispatch_share,
        )
        return replace(
            made,
            uncertainty=uncertainty if uncertainty.load_ids else own,
            load_model=load_model,
            draws_per_phase=draws_per_phase,
        )


def read_day(
    sections: Mapping[str, BaseModel], feeder: Feeder, folders: Sequence[Path], origin: Origin
) -> tuple[Day | None, list[str]]:
    """Read the section's table and hold it against the feeder.

    Parameters
    ----------
    sections
        The readable parts of the study.
    feeder
        As its file has it.
    folders
        Where the table is looked for: the study's folder, then that of the feeder's file.
    origin
        Names the study in messages.

    Returns
    -------
    day, faults
        None where something is wrong.
    """
    config = sections.get(FAMILY)
    if not isinstance(config, ResiliencyConfig):
        return None, []
    place, faults = (FAMILY, "day"), _unread(sections, origin)
    if config.day is None:
        none = 'names no table of the day; give one with day = "resiliency-day.toml"'
        return None, [*faults, f"{origin.place(place)} {none}"]
    path = table_path(config.day, folders)
    if path is None:
        wrong, remedy = (
            "is no file beside the study or the feeder's file",
            "give a TOML table's path",
        )
        return None, [*faults, origin.fault(place, config.day, wrong, remedy)]
    case = None
    try:
        day = load_day(path)
        faults += _apart(sections, day, feeder, origin)
        case = _case(config, day, feeder)
    except ConfigError as error:
        faults += [f"{origin.place(place)}: {fault}" for fault in error.faults]
    except ScenarioError as error:
        faults += [f"{origin.place((FAMILY,))}: {fault}" for fault in error.faults]
    return None if case is None or faults else Day(config=config, case=case), faults


def _apart(
    sections: Mapping[str, BaseModel], day: Instance, feeder: Feeder, origin: Origin
) -> list[str]:
    """Find what the study and its day state both, and not alike."""
    config, limits, faults = sections[FAMILY], sections.get("limits"), []
    assert isinstance(config, ResiliencyConfig)
    held = float(feeder.sources.v_pu[0])
    if abs(held - day.feeder.root_v_pu) > 1e-6:
        faults.append(
            f"{origin.place((FAMILY, 'day'))}: feeder.root_v_pu = {day.feeder.root_v_pu:g}; the "
            f"feeder's source holds {held:g}: make them one"
        )
    hours = len(day.prices.electricity_usd_per_mwh)
    if config.gamma > hours:
        wrong = f"must lie in 0 to {hours}, the hours of the day"
        faults.append(origin.fault((FAMILY, "gamma"), config.gamma, wrong, "give fewer hours"))
    if isinstance(limits, LimitsConfig):
        faults += [
            origin.fault(
                ("limits", key),
                getattr(limits, key),
                f"and the day's feeder.{key} is {getattr(day.feeder, key):g}",
                "make them one",
            )
            for key in ("v_min_pu", "v_max_pu")
            if getattr(limits, key) != getattr(day.feeder, key)
        ]
    return faults


def _unread(sections: Mapping[str, BaseModel], origin: Origin) -> list[str]:
    """Find what the study says and the day decides: nothing that is written goes unread."""
    faults = [
        f"{origin.place((name,))} is the day's to say in this family; leave the section out"
        for name in _THE_DAYS
        if name in sections and sections[name] != type(sections[name])()
    ]
    feeder = sections.get("feeder")
    if isinstance(feeder, FeederConfig):
        faults += [
            f"{origin.place(('feeder', key))} is the day's to say: its ties and damaged lines are "
            "the switches; leave it out"
            for key in ("switches", "locked_open", "locked_closed")
            if getattr(feeder, key)
        ]
    return faults


def _case(config: ResiliencyConfig, day: Instance, feeder: Feeder) -> ResiliencyCase:
    """Build the case; a budget of more hours than there are is told by `_apart`, once."""
    hours = len(day.prices.electricity_usd_per_mwh)
    return resiliency_case(
        day,
        Asked(
            case=config.case,
            crews=config.crews,
            mobile=config.mobile,
            gamma=min(config.gamma, hours),
            outage_hour=config.outage_hour,
            gated=config.gated,
        ),
        feeder,
    )


def load_day(path: Path) -> Instance:
    """Read a day's table.

    Raises
    ------
    ConfigError
        With every fault: the file, the key, what is wrong.
    """
    raw: dict[str, Any] = read_toml(path, path.name)
    try:
        return Instance.model_validate(raw)
    except ValidationError as error:
        raise ConfigError(
            [
                f"{path.name}: {'.'.join(map(str, one['loc'])) or 'file'}: "
                f"{one['msg'].removeprefix('Value error, ')}"
                for one in error.errors()
            ]
        ) from error
