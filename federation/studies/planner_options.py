"""A study's ``[planner]`` section against the options its family declares."""

from __future__ import annotations

from dataclasses import Field, asdict, fields
from typing import Any

from gridproof.federation.config.study import ObjectiveConfig, PlannerConfig
from gridproof.federation.config.study_file import Origin, did_you_mean
from gridproof.optimizer.planner import FAMILIES

__all__ = ["complete_planner", "planner_faults", "price_faults"]

_KINDS = {"str": "a string", "float": "a number", "int": "a whole number", "bool": "true or false"}
_TABLE = "Mapping"
_OPTIONAL = " | None"
_OR_NONE = " | None"
_PRICES = ("slack_usd_per_kw",)
"""Options that ``[objective]`` states, beside what a loss is worth, for a family that has them."""


def planner_faults(config: PlannerConfig, origin: Origin) -> list[str]:
    """Find every option the family does not have, of the wrong type, or out of range."""
    if config.family not in FAMILIES:
        near = did_you_mean(config.family, FAMILIES, "families")
        wrong = "is not an optimizer family"
        return [origin.fault(("planner", "family"), config.family, wrong, near)]
    options_type = FAMILIES[config.family][0]
    known = {item.name: item for item in fields(options_type)}
    faults: list[str] = []
    for name, value in config.options.items():
        path = ("planner", name)
        if name not in known:
            near = did_you_mean(name, known, f"options of {config.family}")
            faults.append(origin.fault(path, value, "is not a known key", near))
            continue
        kind = _kind(known[name])
        if value is None and kind.endswith(_OR_NONE):
            continue  # as a resolved study states what was left out
        kind = kind.removesuffix(_OR_NONE)
        if kind.startswith(_TABLE):
            if not isinstance(value, dict):
                faults.append(origin.fault(path, value, "must be a table"))
                continue
        elif not _is_of(kind, value):
            faults.append(origin.fault(path, value, f"must be {_KINDS[_plain(kind)]}"))
            continue
        try:
            options_type(**{name: value})
        except ValueError as error:
            said = str(error).removeprefix(f"{name} = {value!r} ")
            faults.append(origin.fault(path, value, said))
    return faults


def price_faults(config: PlannerConfig, objective: ObjectiveConfig, origin: Origin) -> list[str]:
    """Find prices that ``[planner]`` and ``[objective]`` both state, and differently."""
    return [
        origin.fault(
            ("planner", name),
            config.options[name],
            f"is {getattr(objective, name):g} under [objective]",
            "keep one of the two",
        )
        for name in _PRICES
        if name in objective.model_fields_set
        and config.options.get(name, getattr(objective, name)) != getattr(objective, name)
    ]


def complete_planner(config: PlannerConfig, objective: ObjectiveConfig) -> PlannerConfig:
    """Fill in what ``[objective]`` says and the defaults: a resolved study states every option."""
    options_type = FAMILIES[config.family][0]
    known = {item.name for item in fields(options_type)}
    priced = {name: getattr(objective, name) for name in _PRICES if name in known}
    options = options_type(**{**priced, **config.options})
    return PlannerConfig.model_validate({"family": config.family, **asdict(options)})


def _kind(item: Field[Any]) -> str:
    """Name the option's type: a string, a number, a boolean, a table, or one of them or none."""
    return item.type if isinstance(item.type, str) else item.type.__name__


def _plain(kind: str) -> str:
    return kind.removesuffix(_OPTIONAL)


def _is_of(kind: str, value: object) -> bool:
    if value is None:
        return kind.endswith(_OPTIONAL)
    kind = _plain(kind)
    if kind == "bool":
        return isinstance(value, bool)
    if isinstance(value, bool):
        return False
    return isinstance(value, {"str": str, "int": int}.get(kind, (int, float)))
