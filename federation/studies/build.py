"""From a study's sections and its feeder to a Scenario, with every contradiction found."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from gridproof.federation.config.ders import DerConfig, DersConfig
from gridproof.federation.config.events import EventsConfig
from gridproof.federation.config.scenario_parts import ders_of, fleet_of, limits_of, phases_short
from gridproof.federation.config.study import (
    FeederConfig,
    HorizonConfig,
    LimitsConfig,
    StudyConfig,
    SubstationConfig,
    UncertaintyConfig,
)
from gridproof.federation.config.study_file import Origin, did_you_mean
from gridproof.federation.config.substation_rows import with_substations
from gridproof.federation.families.policy_mode_faults import event_faults
from gridproof.federation.families.policy_mode_selection import select_mode
from gridproof.federation.families.policy_mode_study import (
    disturbances_of,
    events_of,
    flexible_of,
    mode_events,
    shapes_of,
)
from gridproof.federation.families.registry import Builder
from gridproof.federation.studies.substation import feeding_sources, substation_faults
from gridproof.federation.studies.weights import box_of, shed_usd, spread_faults
from gridproof.scenarios.arrays import PHASES, BoolArray, FloatArray, index_of
from gridproof.scenarios.disturbances import Disturbances
from gridproof.scenarios.feeder import Feeder, Transformers
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.load_models import LoadModel
from gridproof.scenarios.loops import turning_units, unswitchable_loops
from gridproof.scenarios.scenario import Scenario
from pydantic import BaseModel

__all__ = [
    "apply_switching",
    "build_scenario",
    "contradictions",
    "loop_faults",
    "nobody_forms",
    "source_faults",
    "with_mode",
]


def apply_switching(feeder: Feeder, config: FeederConfig, limits: LimitsConfig | None) -> Feeder:
    """Give the feeder the study's switches, locked states and line ratings.

    Ids that the feeder does not have are left out here; `contradictions` reports them.
    """
    lines = feeder.lines
    named = {*(config.switches or ()), *config.locked_open, *config.locked_closed}
    switchable = np.array([line in named for line in lines.ids], bool)
    if config.switches is None:
        switchable |= lines.switchable
    closed = lines.closed.copy()
    closed[np.isin(lines.ids, config.locked_open)] = False
    closed[np.isin(lines.ids, config.locked_closed)] = True
    rating, units = lines.rating_a, feeder.transformers
    if limits is not None:
        if limits.line_rating_a is not None:
            rating = np.full(len(lines.ids), limits.line_rating_a)
        rating = _by_id(rating, lines.ids, limits.line_ratings_a)
        units = _rated_anew(units, limits.transformer_ratings_kva)
    return replace(
        feeder,
        lines=replace(lines, switchable=switchable, closed=closed, rating_a=rating),
        transformers=units,
    )


def _rated_anew(units: Transformers, stated: Mapping[str, float]) -> Transformers:
    """Give transformers the ratings stated, and leave their ohms as they are.

    Impedances are per unit of the rating: on another one the same ohms are other figures.
    """
    rated = _by_id(units.rating_kva, units.ids, stated)
    base = rated / units.rating_kva
    return replace(
        units,
        rating_kva=rated,
        r_pu=units.r_pu * base,
        x_pu=units.x_pu * base,
        r_shared_pu=units.r_shared_pu * base,
        x_shared_pu=units.x_shared_pu * base,
    )


def _by_id(values: FloatArray, ids: Sequence[str], stated: Mapping[str, float]) -> FloatArray:
    """Put stated values in the place of an element's own."""
    return np.array([stated.get(name, own) for name, own in zip(ids, values, strict=True)], float)


def contradictions(sections: Mapping[str, BaseModel], feeder: Feeder, origin: Origin) -> list[str]:
    """Find every way in which the readable parts of a study contradict its feeder."""
    faults: list[str] = []
    for section in sections.values():
        if isinstance(section, FeederConfig):
            faults += _switch_faults(section, feeder, origin)
        elif isinstance(section, LimitsConfig):
            faults += _rating_faults(section, feeder, origin)
        elif isinstance(section, DersConfig):
            faults += _der_faults(section, feeder, origin)
            horizon, events = sections.get("horizon"), sections.get("events")
            if isinstance(horizon, HorizonConfig):
                faults += _fleet_faults(section, len(horizon.load_profile), origin)
            if isinstance(events, EventsConfig):
                faults += event_faults(events, section, feeder, origin)
        elif isinstance(section, UncertaintyConfig):
            faults += _uncertainty_faults(section, feeder, origin)
            faults += spread_faults(section, feeder, origin)
    return faults


def _rating_faults(config: LimitsConfig, feeder: Feeder, origin: Origin) -> list[str]:
    """Find ratings of elements that the feeder does not have."""
    return [
        origin.fault(
            ("limits", key, name),
            value,
            f"rates {name}, which is no {noun} of feeder {feeder.name}",
            did_you_mean(name, ids, f"{noun}s"),
        )
        for key, noun, ids, stated in (
            ("line_ratings_a", "line", feeder.lines.ids, config.line_ratings_a),
            (
                "transformer_ratings_kva",
                "transformer",
                feeder.transformers.ids,
                config.transformer_ratings_kva,
            ),
        )
        for name, value in stated.items()
        if name not in ids
    ]


def _switch_faults(config: FeederConfig, feeder: Feeder, origin: Origin) -> list[str]:
    faults: list[str] = []
    for key in ("switches", "locked_open", "locked_closed"):
        names: Sequence[str] = getattr(config, key) or ()
        for position, name in enumerate(names):
            if name not in feeder.lines.ids:
                near = did_you_mean(name, feeder.lines.ids, "lines")
                wrong = f"is not a line of feeder {feeder.name}"
                faults.append(origin.fault(("feeder", key, position), name, wrong, near))
    for name in sorted(set(config.locked_open) & set(config.locked_closed)):
        wrong = "is in locked_closed too"
        remedy = "keep it in one of the two"
        faults.append(origin.fault(("feeder", "locked_open"), name, wrong, remedy))
    return faults


def loop_faults(
    config: FeederConfig, feeder: Feeder, origin: Origin, *, radial: bool = False
) -> list[str]:
    """Find loops that no switch of the study can open; ``feeder`` has the study's switches.

    Loops of lines are faults where blocks are to be ``radial``, and where they hold a switch that
    is locked closed; loops over transformers that turn phases always are.
    """
    turning = {feeder.transformers.ids[k] for k in np.flatnonzero(turning_units(feeder))}
    turning |= set(feeder.switch_ids)
    return [
        f"{origin.place(('feeder', 'switches'))} leaves a loop that no switch can open: "
        f"{', '.join(loop)}; add one of its lines, or open it in the feeder file"
        for loop in unswitchable_loops(feeder, locked_switches(config, feeder))
        if radial or turning.intersection(loop)
    ]


def locked_switches(config: FeederConfig, feeder: Feeder) -> BoolArray:
    """(switch,) which switches keep the state the study gives them."""
    return np.isin(feeder.switch_ids, (*config.locked_open, *config.locked_closed))


def _der_faults(config: DersConfig, feeder: Feeder, origin: Origin) -> list[str]:
    faults: list[str] = []
    position, feeds_all = index_of(feeder.buses.ids), list[str]()
    ders = {name: der.resolved(config.defaults) for name, der in config.fleet.items()}
    for name, der in ders.items():
        path = ("ders", "fleet", name)
        if der.bus not in position:
            near = did_you_mean(der.bus, feeder.buses.ids, "buses")
            wrong = f"is not a bus of feeder {feeder.name}"
            faults.append(origin.fault((*path, "bus"), der.bus, wrong, near))
            continue
        has = feeder.buses.phases[position[der.bus]]
        lacking = [p for p in der.phases or "" if not has[PHASES.index(p)]]
        if lacking:
            there = "".join(p for p, present in zip(PHASES, has, strict=True) if present)
            wrong = f"asks for phase {' and '.join(lacking)}, which bus {der.bus} does not have"
            remedy = f'the bus has "{there}"' if there else "the bus has no phase"
            faults.append(origin.fault((*path, "phases"), der.phases, wrong, remedy))
            continue
        if not phases_short(der):
            feeds_all.append(name)
        elif config.fleet[name].can_form:
            wrong = f"is not possible: {_short(name, der)}"
            remedy = "leave it out or set it to false, or give the DER all three phases"
            faults.append(origin.fault((*path, "can_form"), der.can_form, wrong, remedy))
    able = [name for name, der in ders.items() if der.can_form]
    if able and not faults and not set(able) & set(feeds_all):
        why = "; ".join(_short(name, ders[name]) for name in able)
        faults.append(
            f"{origin.place(('ders', 'fleet'))} holds no DER that can form an island: {why}; "
            "add one that feeds all three phases"
        )
    return faults


def _short(name: str, der: DerConfig) -> str:
    lacking = " and ".join(phases_short(der))
    return f'{name} feeds "{der.phases}" only, so nothing would hold phase {lacking} of its island'


def _fleet_faults(config: DersConfig, steps: int, origin: Origin) -> list[str]:
    """Find schedules and profiles of another length than the horizon, and what cannot be kept."""
    faults: list[str] = []
    for name, der in config.fleet.items():
        path = ("ders", "fleet", name)
        if der.renewable is not None and len(der.renewable.profile) != steps:
            wrong = f"has {len(der.renewable.profile)} entries; the horizon has {steps} steps"
            faults.append(f"{origin.place((*path, 'renewable', 'profile'))} {wrong}")
        if der.storage is None or der.storage.schedule_kw is None:
            continue
        schedule = der.storage.schedule_kw
        place = origin.place((*path, "storage", "schedule_kw"))
        if len(schedule) != steps:
            faults.append(f"{place} has {len(schedule)} entries; the horizon has {steps} steps")
        largest = max((abs(kw) for kw in schedule), default=0.0)
        if largest > der.capacity_kw:
            faults.append(
                f"{place} asks for {largest:g} kW; capacity_kw is {der.capacity_kw:g}: lower it"
            )
    return faults


def nobody_forms(config: DersConfig, origin: Origin) -> list[str]:
    """Find out whether no DER at all can hold an island's voltage."""
    if any(der.resolved(config.defaults).can_form for der in config.fleet.values()):
        return []
    found = "holds no DER that can form an island" if config.fleet else "holds no DER"
    return [
        f"{origin.place(('ders', 'fleet'))} {found} and the substation is lost, so nothing can "
        "be energised; add one with can_form = true"
    ]


def source_faults(
    sections: Mapping[str, BaseModel], feeder: Feeder, origin: Origin, *, fleet_whole: bool
) -> list[str]:
    """Say what is wrong with what may form islands: the substation and the fleet."""
    config, substation, ders = (sections.get(key) for key in ("feeder", "substation", "ders"))
    if not isinstance(config, FeederConfig) or not isinstance(substation, SubstationConfig):
        return []
    own = ders if isinstance(ders, DersConfig) else DersConfig()
    limits = sections.get("limits")
    most = (limits if isinstance(limits, LimitsConfig) else LimitsConfig()).grid_forming_per_island
    faults = substation_faults(
        config, substation, feeder, fleet=tuple(own.fleet), most=most, origin=origin
    )
    if fleet_whole and not len(feeding_sources(config, substation, feeder)):
        faults += nobody_forms(own, origin)
    return faults


def _uncertainty_faults(config: UncertaintyConfig, feeder: Feeder, origin: Origin) -> list[str]:
    faults: list[str] = []
    for position, name in enumerate(config.of(feeder.loads.ids)):
        if name not in feeder.loads.ids:
            near = did_you_mean(name, feeder.loads.ids, "loads")
            wrong = f"is not a load of feeder {feeder.name}"
            faults.append(origin.fault(("uncertainty", "loads", position), name, wrong, near))
    for name, count in Counter(config.loads).items():
        if count > 1:
            wrong = f"is listed {count} times"
            faults.append(origin.fault(("uncertainty", "loads"), name, wrong, "list it once"))
    return faults


def build_scenario(
    name: str,
    config: StudyConfig,
    feeder: Feeder,
    own: Builder | None = None,
    *,
    folder: Path | None = None,
) -> Scenario:
    """Assemble the scenario of a study that has no contradictions.

    Parameters
    ----------
    name
        The study's name.
    config
        The whole, validated study.
    feeder
        The feeder after `apply_switching`.
    own
        What the study's family has read of it, where the family builds scenarios of its own.
    folder
        Where the study lies: tables are named from there.

    Raises
    ------
    ScenarioError
        As the family's builder.
    """
    loads = feeder.loads
    model = (
        loads.model
        if config.feeder.load_model == "as_modelled"
        else (LoadModel.CONSTANT_POWER,) * len(loads.ids)
    )
    box = box_of(config.uncertainty, loads.ids)
    if own is not None:
        return own.scenario(
            name,
            feeder,
            {key: getattr(config, key) for key in StudyConfig.model_fields},
            uncertainty=box,
            load_model=model,
            draws_per_phase=config.campaign.per_phase,
        )
    horizon = config.horizon
    profile = np.array(horizon.load_profile)[:, None, None]
    ders = with_substations(
        ders_of(config.ders, feeder),
        feeder,
        feeding_sources(config.feeder, config.substation, feeder),
        config.substation,
    )
    fleet = replace(
        fleet_of(config.ders), flexible_loads=flexible_of(config.flexible_loads, feeder)
    )
    return Scenario(
        name=name,
        feeder=feeder,
        ders=ders,
        fleet=fleet,
        disturbances=_disturbances(config, feeder, ders, folder),
        hours=horizon.start_h + horizon.step_h * np.arange(len(profile), dtype=float),
        duration_h=np.full(len(profile), horizon.step_h),
        load_p_kw=profile * loads.p_kw,
        load_q_kvar=profile * loads.q_kvar,
        load_model=model,
        uncertainty=box,
        limits=limits_of(config.limits),
        locked=locked_switches(config.feeder, feeder),
        shed_usd=shed_usd(config.objective, feeder),
        draws_per_phase=config.campaign.per_phase,
    )


def _disturbances(
    config: StudyConfig, feeder: Feeder, ders: Ders, folder: Path | None
) -> Disturbances:
    """Return what the events of the study's mode take; nothing without events."""
    if not config.events.kinds:
        return Disturbances()
    events = events_of(config.events, config.ders, feeder, folder)
    shapes = shapes_of(config.ders, config.horizon.load_profile)
    chosen = mode_events(config.events)
    return disturbances_of(
        config.events, events, chosen, feeder, ders, shapes=shapes, folder=folder
    )


def with_mode(name: str, config: StudyConfig, feeder: Feeder, folder: Path | None) -> StudyConfig:
    """Return the study with the modes that were chosen by risk and cost in place of ``auto``."""
    whole = "+".join(config.events.modes)
    every = config.model_copy(update={"events": config.events.model_copy(update={"mode": whole})})
    scenario = build_scenario(name, every, feeder, folder=folder)
    chosen = "+".join(select_mode(config, scenario, folder).chosen.modes)
    events = config.events.model_copy(update={"mode": chosen})
    return config.model_copy(update={"events": events})
