"""The scenario a campaign was tried on, kept in its directory: a report needs nothing else.

``scenario.json`` holds the feeder as it was read (topology, coordinates, ids, ratings), its DERs,
loads, limits and uncertainty. It is data: nothing in it names a file, and nothing is compiled.
"""

from __future__ import annotations

import json
import math
import types
import typing
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from types import MappingProxyType
from typing import Any

import numpy as np
from gridproof.federation.files import read_json
from gridproof.federation.records.earlier_scenarios import EARLIER, as_now
from gridproof.federation.records.store import CampaignStore
from gridproof.scenarios.errors import ConfigError, StoreError
from gridproof.scenarios.scenario import Scenario

__all__ = ["SCENARIO", "keep_scenario", "scenario_from_json", "scenario_to_json", "stored_scenario"]

SCENARIO = "scenario.json"
FORMAT = "gridproof-scenario/2"
_LARGEST = 10**8  # numbers of an array: no feeder has so many, and a false file asks for no more
_ORIGIN = "path"  # where a feeder came from is nobody's business who reads it
_UNTOLD = {"nan": np.nan, "inf": np.inf, "-inf": -np.inf}
_MALFORMED = (KeyError, TypeError, ValueError, AttributeError, IndexError, OverflowError)
_KINDS = {"f": "float64", "b": "bool", "i": "int64"}


def keep_scenario(store: CampaignStore, scenario: Scenario) -> None:
    """Write the scenario into a campaign's directory, if it is not there.

    Raises
    ------
    StoreError
        If the disk refuses.
    """
    if not (store.root / SCENARIO).exists():
        store.write(SCENARIO, scenario_to_json(scenario, str(store.study["fingerprint"])))


def stored_scenario(store: CampaignStore) -> Scenario | None:
    """Read the scenario a campaign directory holds; None where an earlier version kept none.

    Raises
    ------
    StoreError
        If it is torn, or of another campaign.
    """
    path = store.root / SCENARIO
    if not path.is_file():
        return None
    document = read_json(path)
    if document.get("fingerprint") != store.study["fingerprint"]:
        raise StoreError(
            f"{path} belongs to another campaign (fingerprint "
            f"{str(document.get('fingerprint'))[:12]}, here {store.study['fingerprint']!s:.12}); "
            f"restore it, or delete it and run gridproof resume {store.root}"
        )
    try:
        return scenario_from_json(document)
    except (ConfigError, *_MALFORMED) as error:
        raise StoreError(
            f"{path} cannot be understood ({type(error).__name__}: {error}); delete it and run "
            f"gridproof resume {store.root}, which writes it again"
        ) from error


def scenario_to_json(scenario: Scenario, fingerprint: str) -> str:
    """Serialise a scenario without loss; its feeder's path is left out."""
    document = {
        "format": FORMAT,
        "fingerprint": fingerprint,
        "scenario": _plain(scenario, "", {}),
    }
    return json.dumps(document, allow_nan=False, separators=(",", ":")) + "\n"


def scenario_from_json(document: Mapping[str, Any]) -> Scenario:
    """Rebuild a scenario from the document `scenario_to_json` wrote.

    Raises
    ------
    ConfigError, KeyError, TypeError, ValueError, AttributeError, IndexError
        If it is not one.
    """
    form, told = document.get("format"), document["scenario"]
    if form not in (FORMAT, EARLIER):
        raise ValueError(f"format is {form!r}, not {FORMAT}")
    made = _value(Scenario, as_now(told) if form == EARLIER else told, "", {})
    assert isinstance(made, Scenario)
    return made


# ------------------------------------------------------------------------------- writing


def _plain(value: Any, place: str, seen: dict[int, str]) -> Any:  # noqa: PLR0911  (one a kind)
    """Turn a value into JSON's kinds; one that stands in two places is written once."""
    if is_dataclass(value) and not isinstance(value, type):
        if id(value) in seen:
            return {"same": seen[id(value)]}
        seen[id(value)] = place
        return {
            field.name: _plain(getattr(value, field.name), f"{place}.{field.name}", seen)
            for field in fields(value)
            if field.init and field.name != _ORIGIN
        }
    if isinstance(value, np.ndarray):
        return _plain_array(value)
    if isinstance(value, Enum):
        return value.value
    if isinstance(value, (tuple, list)):
        return [_plain(one, place, seen) for one in value]
    if isinstance(value, Mapping):
        return {str(key): _plain(one, f"{place}.{key}", seen) for key, one in value.items()}
    plain = value.item() if isinstance(value, np.generic) else value
    return _told(plain)


def _plain_array(array: np.ndarray) -> dict[str, Any]:
    flat = array.ravel().tolist()
    if array.dtype.kind not in "biu" and not (array.dtype.kind == "f" and np.isfinite(array).all()):
        flat = [_told(one) for one in flat]
    alike = bool(flat) and all(one == flat[0] for one in flat)
    held = {"all": flat[0]} if alike else {"values": flat}
    return {"shape": list(array.shape), "kind": array.dtype.kind, **held}


def _told(number: Any) -> Any:
    if isinstance(number, float) and not np.isfinite(number):
        return str(number)
    return number


# ------------------------------------------------------------------------------- reading


def _value(kind: Any, given: Any, place: str, made: dict[str, Any]) -> Any:  # noqa: PLR0911
    """Rebuild a value of a declared kind."""
    origin = typing.get_origin(kind)
    if origin in (typing.Union, types.UnionType):
        if given is None:
            return None
        (kind,) = (one for one in typing.get_args(kind) if one is not type(None))
        return _value(kind, given, place, made)
    if isinstance(given, dict) and "same" in given:
        return made[given["same"]]
    if isinstance(kind, type) and is_dataclass(kind):
        made[place] = _record(kind, given, place, made)
        return made[place]
    if isinstance(given, dict) and "shape" in given:
        return _array(given)
    if isinstance(kind, type) and issubclass(kind, Enum):
        return kind(given)
    if origin is tuple:
        return _tuple(typing.get_args(kind), given, place, made)
    if isinstance(given, dict):
        inner = (*typing.get_args(kind), Any, Any)[1]
        return MappingProxyType(
            {key: _value(inner, one, f"{place}.{key}", made) for key, one in given.items()}
        )
    return _UNTOLD[given] if kind is float and given in _UNTOLD else given


def _record(kind: Any, given: Mapping[str, Any], place: str, made: dict[str, Any]) -> Any:
    hints = typing.get_type_hints(kind)
    known = {field.name for field in fields(kind) if field.init}
    unknown = sorted(set(given) - known)
    if unknown:
        raise ValueError(f"{kind.__name__} has no {unknown[0]}: made by another version")
    values = {
        name: _value(hints[name], one, f"{place}.{name}", made) for name, one in given.items()
    }
    return kind(**values, **({_ORIGIN: ""} if _ORIGIN in known else {}))


def _tuple(kinds: tuple[Any, ...], given: list[Any], place: str, made: dict[str, Any]) -> Any:
    each = [kinds[0]] * len(given) if kinds[-1] is Ellipsis else list(kinds)
    return tuple(_value(kind, one, place, made) for kind, one in zip(each, given, strict=True))


def _array(given: Mapping[str, Any]) -> np.ndarray:
    shape = tuple(given["shape"])
    size = math.prod(shape)
    if not 0 <= size <= _LARGEST:
        raise ValueError(f"an array of shape {shape}")
    held = given["values"] if "values" in given else [given["all"]] * size
    told = [_UNTOLD.get(one, one) if isinstance(one, str) else one for one in held]
    return np.array(told, _KINDS[given["kind"]]).reshape(shape)
