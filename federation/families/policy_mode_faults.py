"""Every contradiction of ``[events]`` with itself, the fleet and the feeder."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Set
from typing import Any

from gridproof.federation.config.ders import DersConfig
from gridproof.federation.config.events import AUTO, EventConfig, EventsConfig
from gridproof.federation.config.study_file import Origin, did_you_mean
from gridproof.scenarios.feeder import Feeder
from pydantic import BaseModel

__all__ = ["event_faults", "spare_events", "spared"]


def event_faults(
    config: EventsConfig, ders: DersConfig, feeder: Feeder, origin: Origin
) -> list[str]:
    """Say everything that contradicts, one sentence each with its place."""
    if not config.kinds:
        return []
    placed = {bus for members in config.areas.values() for bus in members}
    faults = [*_area_faults(config, feeder, origin), *_mode_faults(config, origin)]
    for name, kind in config.kinds.items():
        faults += _place_faults(name, kind, placed=placed, ders=ders, feeder=feeder, origin=origin)
    return faults


def spare_events(
    sections: dict[str, BaseModel], whole: Set[str], values: Mapping[str, Any]
) -> None:
    """Keep what is wrong with an event or a DER from being told once more of all that names it."""
    events, ders = sections.get("events"), sections.get("ders")
    if isinstance(events, EventsConfig) and not {"events", "ders"} <= whole:
        kept = ders if isinstance(ders, DersConfig) else None
        named = (frozenset(_table(values, *at)) for at in (("events", "kinds"), ("ders", "fleet")))
        sections["events"] = spared(events, kept, *named)


def _table(values: Mapping[str, Any], section: str, key: str) -> Mapping[str, Any]:
    """Find a table of a section as it was written; an empty one where there is none."""
    part = values.get(section)
    found = part.get(key) if isinstance(part, Mapping) else None
    return found if isinstance(found, Mapping) else {}


def spared(
    config: EventsConfig, ders: DersConfig | None, kinds: Set[str], fleet: Set[str]
) -> EventsConfig:
    """Leave out what names an event or a DER that was written, but too badly to be kept.

    What is wrong with it is told where it is wrong, and not once more of each that names it.

    Parameters
    ----------
    config, ders
        What was kept of the sections.
    kinds, fleet
        Names as they were written.
    """
    lost = kinds - set(config.kinds)
    modes = {
        mode: tuple(event for event in members if event not in lost) or members
        for mode, members in config.modes.items()
    }
    gone = set(fleet) - set(ders.fleet) if ders is not None else set[str]()
    kept = {
        name: kind.model_copy(
            update={"probability": {k: p for k, p in kind.probability.items() if k not in gone}}
        )
        for name, kind in config.kinds.items()
    }
    return config.model_copy(update={"modes": modes, "kinds": kept})


def _area_faults(config: EventsConfig, feeder: Feeder, origin: Origin) -> Iterator[str]:
    wrong, known = f"is not a bus of feeder {feeder.name}", feeder.buses.ids
    for area, members in config.areas.items():
        for k, bus in enumerate(members):
            if bus not in known:
                near = did_you_mean(bus, known, "buses")
                yield origin.fault(("events", "areas", area, k), bus, wrong, near)


def _place_faults(
    name: str,
    kind: EventConfig,
    *,
    placed: Set[str],
    ders: DersConfig,
    feeder: Feeder,
    origin: Origin,
) -> Iterator[str]:
    what = "DERs" if kind.acts_on == "ders" else "buses"
    known = tuple(ders.fleet) if kind.acts_on == "ders" else feeder.buses.ids
    loaded = {feeder.buses.ids[bus] for bus in feeder.loads.bus}
    for place in kind.probability:
        path = ("events", "kinds", name, "probability", place)
        if place not in known:
            near = did_you_mean(place, known, what)
            yield origin.fault(path, place, f"is not one of the {what}", near)
            continue
        if (ders.fleet[place].bus if kind.acts_on == "ders" else place) not in placed:
            yield f"{origin.place(path)} is in no area; add its bus to one of [events] areas"
        if kind.acts_on == "loads" and place not in loaded:
            yield f"{origin.place(path)} has no load; name a bus that has"


def _mode_faults(config: EventsConfig, origin: Origin) -> Iterator[str]:
    events, modes = tuple(config.kinds), (*config.modes, AUTO)
    for mode, members in config.modes.items():
        path = ("events", "modes", mode)
        if not members:
            yield f"{origin.place(path)} names no event; name at least one, or drop the mode"
        for k, event in enumerate(members):
            if event not in events:
                near = did_you_mean(event, events, "events")
                yield origin.fault((*path, k), event, "is not one of [events] kinds", near)
    for mode in config.chosen if config.mode != AUTO else ():
        if mode not in config.modes:
            near = did_you_mean(mode, modes, "modes")
            yield origin.fault(("events", "mode"), mode, "is not one of [events] modes", near)
