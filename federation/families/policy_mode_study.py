"""From ``[events]`` and ``[flexible_loads]`` to disturbances, their log and their draws."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import numpy as np
from gridproof.federation.config.ders import DersConfig
from gridproof.federation.config.events import EventConfig, EventsConfig, FlexibleLoadsConfig
from gridproof.federation.families.policy_mode_log import log_of
from gridproof.optimizer.policy_mode.events import (
    Actual,
    Event,
    component_ids,
    draw,
    physical_range,
    width,
)
from gridproof.optimizer.policy_mode.prediction import (
    Prediction,
    estimate,
    per_hour,
    read_event_log,
    read_probabilities,
)
from gridproof.scenarios.arrays import FloatArray, index_of
from gridproof.scenarios.disturbances import Disturbances
from gridproof.scenarios.errors import ConfigError, GridproofError
from gridproof.scenarios.feeder import Feeder
from gridproof.scenarios.fleet import Ders
from gridproof.scenarios.realization import uniforms
from gridproof.scenarios.resources import FlexibleLoads
from gridproof.scenarios.scenario import Scenario

__all__ = [
    "EventSampler",
    "disturbances_of",
    "event_sampler",
    "events_of",
    "flexible_of",
    "mode_events",
    "shapes_of",
]

_DRAWS = 15
"""Stream of the counter-based generator."""


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class EventSampler:
    """Draws disturbances from the distribution of events; coordinates that come before rest.

    Attributes
    ----------
    seed
        The campaign's.
    events
        The mode's.
    before
        How many coordinates of the scenario come before the disturbances.
    actual
        From the actual distribution, or from the one that the log was drawn from.
    """

    independent: ClassVar[bool] = True
    seed: int
    events: tuple[Event, ...]
    before: int
    actual: bool

    def coordinates(self, first: int, count: int) -> FloatArray:
        """(count, direction) rows of the first step, kW in the last of them."""
        return self.coordinates_at(first, count, 0)

    def coordinates_at(self, first: int, count: int, step: int) -> FloatArray:
        """(count, direction) rows at one step: what happens is drawn anew for each hour."""
        stream = _DRAWS + (step << 32)
        numbers = uniforms(self.seed, first, count, width(self.events), stream)
        w = draw(self.events, numbers, actual=self.actual)
        return np.hstack([np.zeros((count, self.before)), w])


def event_sampler(
    config: EventsConfig, ders: DersConfig, scenario: Scenario, seed: int, folder: Path | None
) -> EventSampler:
    """Build the sampler of a study whose events are the scenario's disturbances."""
    events = events_of(config, ders, scenario.feeder, folder)
    return EventSampler(
        seed=seed,
        events=tuple(events[name] for name in mode_events(config)),
        before=len(scenario.share_direction_ids),
        actual=config.draws == "actual",
    )


def events_of(
    config: EventsConfig, ders: DersConfig, feeder: Feeder, folder: Path | None = None
) -> dict[str, Event]:
    """Return every kind of event, by name.

    Raises
    ------
    ConfigError
        If a table of probabilities cannot be read, or a value is out of range.
    """
    areas = {bus: k for k, members in enumerate(config.areas.values()) for bus in members}
    found, faults = dict[str, Event](), list[str]()
    stated = _predicted(config, folder)
    for name, kind in config.kinds.items():
        places = tuple(kind.probability)
        at = [ders.fleet[p].bus if kind.acts_on == "ders" else p for p in places]
        try:
            found[name] = Event(
                name=name,
                locations=places,
                area=np.array([areas[bus] for bus in at], np.int64),
                base_kw=np.array([_base_kw(kind, place, ders, feeder) for place in places]),
                probability=stated.get(name, _stated(kind)),
                support=kind.support,
                sign=kind.sign,
                low=0.0 if kind.uniform is None else kind.uniform[0],
                high=0.0 if kind.uniform is None else kind.uniform[1],
                deviation=0.0 if kind.normal is None else kind.normal.deviation,
                cut=0.0 if kind.normal is None else kind.normal.cut,
                together=kind.together,
                correlation=kind.correlation,
                actual=Actual(**kind.actual.model_dump()),
            )
        except GridproofError as error:
            faults += [f"[events] {fault}" for fault in getattr(error, "faults", (str(error),))]
    if faults:
        raise ConfigError(faults)
    return found


def disturbances_of(
    config: EventsConfig,
    events: Mapping[str, Event],
    chosen: tuple[str, ...],
    feeder: Feeder,
    ders: Ders,
    *,
    shapes: Mapping[str, FloatArray],
    folder: Path | None = None,
) -> Disturbances:
    """Turn the events of some modes into components: where each acts, how far, what was seen.

    Parameters
    ----------
    config, events
        The section, and `events_of` it.
    chosen
        Names of the events that are planned for.
    feeder, ders
        Where they act.
    shapes
        (time,) by the names that ``shape`` may have.
    folder
        Where the study lies; a log is named from there.

    Raises
    ------
    ConfigError
        If the log cannot be read.
    """
    own = [events[name] for name in chosen]
    ids = component_ids(own, tuple(config.areas))
    m = len(ids)
    load_share = np.zeros((m, len(feeder.loads.ids), 3))
    der_share = np.zeros((m, len(ders.ids)))
    of_der = index_of(ders.ids)
    column, shape = 0, []
    for event in own:
        kind = config.kinds[event.name]
        for area in np.unique(event.area):
            inside = np.flatnonzero(event.area == area)
            part = event.base_kw[inside] / event.base_kw[inside].sum()
            for k, share in zip(inside.tolist(), part.tolist(), strict=True):
                place = event.locations[k]
                if kind.acts_on == "ders":
                    der_share[column, of_der[place]] += share
                else:
                    load_share[column] += share * _demand_share(feeder, place)
            shape.append(shapes[kind.shape])
            column += 1
    lower, upper = physical_range(own)
    return Disturbances(
        ids=ids,
        shape=np.stack(shape, axis=1) if shape else np.zeros((len(shapes["constant"]), 0)),
        load_share=load_share,
        der_share=der_share,
        lower_kw=np.minimum(lower, 0.0),
        upper_kw=np.maximum(upper, 0.0),
        log_kw=log_of(config, own, ids, folder),
    )


def shapes_of(ders: DersConfig, load_profile: Sequence[float]) -> dict[str, FloatArray]:
    """(time,) of each shape an event may have; ``available`` is the renewables' one profile.

    Raises
    ------
    ConfigError
        If renewables have profiles of their own: an event in an area then has no one shape.
    """
    profiles = {der.renewable.profile for der in ders.fleet.values() if der.renewable is not None}
    if len(profiles) > 1:
        raise ConfigError(
            f'[events] shape = "available" needs one profile for all renewables; {len(profiles)} '
            "are stated"
        )
    steps = len(load_profile)
    return {
        "constant": np.ones(steps),
        "load": np.array(load_profile, float),
        "available": np.array(next(iter(profiles)), float) if profiles else np.zeros(steps),
    }


def mode_events(config: EventsConfig) -> tuple[str, ...]:
    """Names of the events of the modes that are planned for, in the study's order."""
    wanted = {event for mode in config.chosen for event in config.modes[mode]}
    return tuple(name for name in config.kinds if name in wanted)


def flexible_of(config: FlexibleLoadsConfig, feeder: Feeder) -> FlexibleLoads:
    """Return the loads that may be asked for less; none where nothing may be left out."""
    if not config.curtailed_share and not config.reserve_buses:
        return FlexibleLoads()
    loads = feeder.loads
    ready = np.isin([feeder.buses.ids[bus] for bus in loads.bus], config.reserve_buses)
    n = len(loads.ids)
    return FlexibleLoads(
        ids=loads.ids,
        curtailed_share=np.full(n, config.curtailed_share),
        shifted_share=np.zeros(n),
        usd_per_kwh=np.full(n, config.usd_per_kwh),
        reserve_usd_per_kw=np.where(ready, config.reserve_usd_per_kw, np.inf),
    )


def _stated(kind: EventConfig) -> FloatArray:
    """(place,) probability within an hour."""
    return per_hour(np.array(list(kind.probability.values()), float), kind.per)


def predicted(config: EventsConfig, folder: Path | None) -> Prediction | None:
    """Return the probabilities of a table, or estimated from what was seen; None without either.

    Raises
    ------
    ConfigError
        With every wrong cell.
    """
    given = config.predictions or config.seen
    if given is None:
        return None
    events, path = tuple(config.kinds), Path(given) if folder is None else folder / given
    places = tuple(dict.fromkeys(p for kind in config.kinds.values() for p in kind.probability))
    if config.seen is None or config.seen_h is None:
        return read_probabilities(path, events=events, locations=places)
    hours = config.seen_h
    counts = read_event_log(path, events=events, locations=places, hours=hours)
    return estimate(counts, hours=hours, events=events, locations=places)


def _predicted(config: EventsConfig, folder: Path | None) -> dict[str, FloatArray]:
    """Probabilities that replace those of kinds, by event; nothing where none are told."""
    told, path = predicted(config, folder), config.predictions
    if told is None:
        return {}
    places = tuple(dict.fromkeys(p for kind in config.kinds.values() for p in kind.probability))
    where, column = index_of(told.events), index_of(told.locations)
    missing = [f"row {name}" for name in config.kinds if name not in where]
    missing += [f"column {place}" for place in places if place not in column]
    if missing:
        raise ConfigError(
            [f"{path}: {one} is missing; give it, empty where nothing happens" for one in missing]
        )
    return {
        name: told.probability[where[name], [column[place] for place in kind.probability]]
        for name, kind in config.kinds.items()
    }


def _base_kw(kind: EventConfig, place: str, ders: DersConfig, feeder: Feeder) -> float:
    if place in kind.base_kw:
        return kind.base_kw[place]
    if kind.acts_on == "ders":
        return ders.fleet[place].capacity_kw
    at = feeder.loads.bus == feeder.buses.ids.index(place)
    return float(feeder.loads.p_kw[at].sum())


def _demand_share(feeder: Feeder, bus: str) -> FloatArray:
    """(load, 3) parts of the nominal demand at a bus, which add up to 1."""
    at = feeder.loads.bus == feeder.buses.ids.index(bus)
    demand = np.where(at[:, None], feeder.loads.p_kw, 0.0)
    return np.asarray(demand / demand.sum())
