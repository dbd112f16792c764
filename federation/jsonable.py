"""Values that print themselves as JSON: an object whose keys are their fields, in order.

What people and programs read of a plan or a campaign is such a value: views ask for attributes,
``--json`` for `Jsonable.to_json`, and `read_as` brings back what a file keeps of one.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, fields
from enum import Enum
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, TypeVar

import numpy as np

if TYPE_CHECKING:
    from pydantic import TypeAdapter

__all__ = ["IF_KNOWN", "INLINED", "UNWRITTEN", "Interval", "Jsonable", "json_value", "read_as"]

_T = TypeVar("_T", bound="Jsonable")

Interval = tuple[float, float]
"""Lower and upper bound."""

IF_KNOWN: Mapping[str, bool] = MappingProxyType({"if_known": True})
"""Metadata of a field that has no key where it is None; without it None is ``null``."""

INLINED: Mapping[str, bool] = MappingProxyType({"inlined": True})
"""Metadata of a field whose own keys stand in the place of its name."""

UNWRITTEN: Mapping[str, bool] = MappingProxyType({"unwritten": True})
"""Metadata of a field that has no key: the mapping that holds the value says the same."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jsonable:
    """A frozen value that prints itself; its mappings are read-only."""

    def __post_init__(self) -> None:
        for one in fields(self):
            value = getattr(self, one.name)
            if isinstance(value, dict):
                object.__setattr__(self, one.name, MappingProxyType(value))

    def to_json(self) -> dict[str, Any]:
        """Return the object as ``--json`` prints it: keys as fields, no infinity, no array."""
        found: dict[str, Any] = {}
        for one in fields(self):
            value = getattr(self, one.name)
            if "unwritten" in one.metadata or (value is None and "if_known" in one.metadata):
                continue
            if "inlined" in one.metadata:
                found |= json_value(value)
            else:
                found[one.name] = json_value(value)
        return found


def json_value(value: Any) -> Any:
    """Return a value as JSON has it; None for what no number can say."""
    if isinstance(value, Jsonable):
        return value.to_json()
    if isinstance(value, Mapping):
        return {str(key): json_value(one) for key, one in value.items()}
    if isinstance(value, list | tuple):
        return [json_value(one) for one in value]
    if isinstance(value, np.generic | np.ndarray):
        return json_value(value.tolist())
    if isinstance(value, float) and not math.isfinite(value):
        return None
    return value.value if isinstance(value, Enum) else value


def read_as(kind: type[_T], value: Any) -> _T:
    """Read a value back from what JSON holds of it; keys that it does not know are passed over.

    Raises
    ------
    ValueError
        If a key is missing or holds something else; names each.
    """
    from pydantic import ValidationError  # noqa: PLC0415  (a fifth of a second)

    try:
        found: _T = _adapter(kind).validate_python(value)
    except ValidationError as error:
        faults = (
            f"{'.'.join(map(str, one['loc'])) or kind.__name__}: {one['msg']}"
            for one in error.errors(include_url=False)
        )
        raise ValueError("; ".join(faults)) from error
    return found


def _adapter(kind: type[_T]) -> TypeAdapter[_T]:
    """Return what reads a type; made once, which takes a moment."""
    if kind not in _ADAPTERS:
        from pydantic import TypeAdapter  # noqa: PLC0415

        _ADAPTERS[kind] = TypeAdapter(kind)
    return _ADAPTERS[kind]


_ADAPTERS: dict[type[Jsonable], TypeAdapter[Any]] = {}
