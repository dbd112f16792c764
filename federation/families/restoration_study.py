"""From ``[restoration]`` and its tables to a scenario, with every fault found."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
from gridproof.federation.config.ders import DersConfig
from gridproof.federation.config.restoration import RestorationConfig
from gridproof.federation.config.scenario_parts import ders_of, limits_of, phases_short
from gridproof.federation.config.study import FeederConfig, LimitsConfig
from gridproof.federation.config.study_file import Origin, did_you_mean, table_path
from gridproof.federation.families.restoration_files import read_devices, read_failures
from gridproof.scenarios.devices import Device, LineDevices
from gridproof.scenarios.errors import ConfigError
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.prices import BusPrices
from gridproof.scenarios.restoration_scenario import restoration_scenario, weighted_prices
from gridproof.scenarios.scenario import Scenario
from gridproof.scenarios.sets import Box
from pydantic import BaseModel

__all__ = ["FAMILY", "Damage", "read_damage"]

FAMILY = "restoration"


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Damage:
    """What a study says of lines: their devices, the failed ones, and the rest of the section."""

    config: RestorationConfig
    devices: LineDevices
    failed: tuple[str, ...]

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
        """Put the scenario together; its feeder's switches are the lines that may move.

        Raises
        ------
        ScenarioError
            With every contradiction between the pieces.
        """
        ders, limits = sections.get("ders"), sections.get("limits")
        assert isinstance(ders, DersConfig)
        assert isinstance(limits, LimitsConfig)
        return restoration_scenario(
            name,
            feeder,
            replace(
                self.devices,
                protection_remote=self.config.protection_remote,
                open_strikes=self.config.open_strikes,
            ),
            self.failed,
            buried=self.config.buried,
            ders=ders_of(ders, feeder) if ders.fleet else None,
            limits=limits_of(limits),
            prices=weighted_prices(**self.config.weights.model_dump()),
            bus_prices=_bus_prices(self.config, feeder),
            uncertainty=uncertainty,
            load_model=load_model,
            draws_per_phase=draws_per_phase,
        )


def _bus_prices(config: RestorationConfig, feeder: Feeder) -> BusPrices | None:
    """Weigh each bus by its own criticality, (2); None where all are alike."""
    if not config.buses:
        return None
    weights, columns = config.weights, {}
    for key, of_all in (("unserved", weights.unserved), ("lost_bus", weights.lost_bus)):
        own = {name: getattr(one, key) for name, one in config.buses.items()}
        worth = [of_all if own.get(name) is None else own[name] for name in feeder.buses.ids]
        columns[key] = weights.alpha * np.array(worth, float)
    return BusPrices(unserved_per_mw=columns["unserved"], lost_bus=columns["lost_bus"])


def read_damage(
    sections: Mapping[str, BaseModel], feeder: Feeder, folders: Sequence[Path], origin: Origin
) -> tuple[Damage | None, list[str]]:
    """Read the section's tables and hold them against the feeder.

    Parameters
    ----------
    sections
        The readable parts of the study.
    feeder
        As its file has it.
    folders
        Where tables are looked for: the study's folder, then that of the feeder's file.
    origin
        Names the study in messages.

    Returns
    -------
    damage, faults
        None where something is wrong.
    """
    config = sections.get("restoration")
    if not isinstance(config, RestorationConfig):
        return None, []
    devices, faults = _devices(config, feeder, folders, origin)
    faults += [
        f"{origin.place(('restoration', 'buses', name))} is not a bus of feeder {feeder.name}; "
        f"{did_you_mean(name, feeder.buses.ids, 'buses')}"
        for name in config.buses
        if name not in feeder.buses.ids
    ]
    failed, more = _failed(config, feeder, folders, origin)
    faults += more
    if not more and config.buried > len(failed):
        wrong = f"is more than the {len(failed)} failed lines"
        faults.append(origin.fault(("restoration", "buried"), config.buried, wrong))
    faults += _fleet_faults(sections.get("ders"), origin)
    if devices is not None:
        faults += _switch_faults(sections.get("feeder"), devices, origin)
    if devices is None or faults:
        return None, faults
    return Damage(config=config, devices=devices, failed=failed), []


def _devices(
    config: RestorationConfig, feeder: Feeder, folders: Sequence[Path], origin: Origin
) -> tuple[LineDevices | None, list[str]]:
    """Devices of every line: those of the table, or of the feeder's file, then the study's own."""
    faults = _unknown(("restoration", "lines"), config.lines, feeder, origin)
    own = LineDevices(
        line_ids=feeder.lines.ids,
        underground=np.zeros(len(feeder.lines.ids), bool),
        device=tuple(
            (Device.REMOTE, Device.REMOTE) if switch else (Device.NONE, Device.NONE)
            for switch in feeder.lines.switchable
        ),
    )
    if config.devices is not None:
        path = table_path(config.devices, folders)
        if path is None:
            key = ("restoration", "devices")
            return None, [*faults, _no_table(key, config.devices, origin)]
        try:
            own = read_devices(path, feeder)
        except ConfigError as error:
            return None, [*faults, *error.faults]
    cable, device = own.underground.copy(), list(own.device)
    for k, name in enumerate(feeder.lines.ids):
        said = config.lines.get(name)
        if said is None:
            continue
        cable[k] = cable[k] if said.kind is None else said.kind == "underground"
        one, other = said.from_device or said.device, said.to_device or said.device
        device[k] = (
            device[k][0] if one is None else Device(one),
            device[k][1] if other is None else Device(other),
        )
    made = LineDevices(line_ids=feeder.lines.ids, underground=cable, device=tuple(device))
    return made, faults


def _failed(
    config: RestorationConfig, feeder: Feeder, folders: Sequence[Path], origin: Origin
) -> tuple[tuple[str, ...], list[str]]:
    if config.failures is not None and config.failed:
        both = "is given beside a table of failures; keep one of the two"
        return config.failed, [f"{origin.place(('restoration', 'failed'))} {both}"]
    if config.failures is None:
        if not config.failed:
            none = "names no failed line; list some, or name a table with failures = "
            return (), [f'{origin.place(("restoration", "failed"))} {none}"failures.csv"']
        key = ("restoration", "failed")
        return config.failed, _unknown(key, config.failed, feeder, origin)
    path = table_path(config.failures, folders)
    if path is None:
        return (), [_no_table(("restoration", "failures"), config.failures, origin)]
    try:
        failed = read_failures(path)
    except ConfigError as error:
        return (), list(error.faults)
    return failed, [
        f"{path}: failed line {name} is not a line of feeder {feeder.name}; "
        f"{did_you_mean(name, feeder.lines.ids, 'lines')}"
        for name in failed
        if name not in feeder.lines.ids
    ]


def _unknown(
    key: tuple[str, ...],
    names: Sequence[str] | Mapping[str, object],
    feeder: Feeder,
    origin: Origin,
) -> list[str]:
    """Find what is no line: an item of a list, or the key of a table."""
    wrong = f"is not a line of feeder {feeder.name}"
    near = {
        k: did_you_mean(name, feeder.lines.ids, "lines")
        for k, name in enumerate(names)
        if name not in feeder.lines.ids
    }
    if isinstance(names, Mapping):
        keys = list(names)
        return [f"{origin.place((*key, keys[k]))} {wrong}; {text}" for k, text in near.items()]
    return [origin.fault((*key, k), names[k], wrong, text) for k, text in near.items()]


def _fleet_faults(config: BaseModel | None, origin: Origin) -> list[str]:
    """Find DERs that cannot carry an island, and limits of those that can which no phase keeps.

    A substation without a limit leaves DERs that follow no use.
    """
    if not isinstance(config, DersConfig):
        return []
    faults = []
    no_use = "which no phase of a restoration has a use for"
    remedy = "leave the DER out, or let it form on all three phases"
    for name, given in config.fleet.items():
        der, path = given.resolved(config.defaults), ("ders", "fleet", name)
        if not der.can_form:
            wrong = f"leaves a DER that follows, {no_use}"
            faults.append(origin.fault((*path, "can_form"), der.can_form, wrong, remedy))
        elif phases_short(der):
            wrong = f"cannot carry an island, {no_use}"
            faults.append(origin.fault((*path, "phases"), der.phases, wrong, remedy))
        for key in _NOT_KEPT:
            given_here = given.model_dump()[key]
            stated = given_here if given_here is not None else der.model_dump()[key]
            if stated:
                at = path if given_here is not None else ("ders", "defaults")
                faults.append(origin.fault((*at, key), stated, _PAST, _KEPT))
    return list(dict.fromkeys(faults))


_NOT_KEPT = ("power_factor", "capability", "minimum_kw", "unlike_phases")
_PAST = "would be planned past: the restoration family does not hold it"
_KEPT = "state capacity_kw, reactive_limit and rating_kva alone, or use a family that does"


def _switch_faults(config: BaseModel | None, devices: LineDevices, origin: Origin) -> list[str]:
    """Find switches that the study asks to move or to hold: their devices say what moves."""
    if not isinstance(config, FeederConfig):
        return []
    device = dict(zip(devices.line_ids, devices.device, strict=True))
    faults = []
    for k, name in enumerate(config.switches or ()):
        ends = set(device.get(name, ()))
        if not ends or ends & {Device.REMOTE, Device.RECLOSER, Device.BREAKER}:
            continue
        by = "by hand (device manual)" if Device.MANUAL in ends else "by nothing (device none)"
        wrong = f"is moved {by}, which no phase of a restoration may ask for"
        remedy = f'leave it out, or give it lines.{name} = {{ device = "remote" }}'
        faults.append(origin.fault(("feeder", "switches", k), name, wrong, remedy))
    for key in ("locked_open", "locked_closed"):
        for name in getattr(config, key):
            wrong = "has no use in a restoration, where devices say what moves"
            remedy = f'give it lines.{name} = {{ device = "manual" }} in [restoration]'
            faults.append(origin.fault(("feeder", key), name, wrong, remedy))
    return faults


def _no_table(key: tuple[str, ...], given: str, origin: Origin) -> str:
    wrong = "is no file beside the study or the feeder's file"
    return origin.fault(key, given, wrong, "give the path of a CSV table")
