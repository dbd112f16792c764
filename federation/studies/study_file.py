"""Reading a study file: TOML, overrides, and one sentence for every fault.

A fault names the file, the key, the value found and what to do, as in
``studies/x.toml: [uncertainty] spread = 1.4 must lie in [0, 1]; 0.25 means ±25 %``. All
faults of a file are reported together, not the first.
"""

from __future__ import annotations

import difflib
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

from federation.config.study import StudyConfig
from scenarios.errors import ConfigError

__all__ = ["Origin", "apply_overrides", "did_you_mean", "parse_sections", "read_toml", "shown"]

KeyPath = tuple[str | int, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Origin:
    """Where a study's values come from, for messages.

    Attributes
    ----------
    label
        The file as the user knows it.
    overridden
        Dotted keys given on the command line.
    """

    label: str
    overridden: tuple[str, ...] = ()

    def place(self, path: KeyPath) -> str:
        """Name a key as the user wrote it: ``x.toml: [ders.defaults] ramp``."""
        dotted = ".".join(str(part) for part in path)
        for key in self.overridden:
            if dotted == key or dotted.startswith(f"{key}."):
                return f"{self.label} --set {key}"
        names = [str(part) for part in path if isinstance(part, str)]
        items = "".join(f"[{part}]" for part in path if isinstance(part, int))
        if len(names) == 1:
            return f"{self.label}: [{names[0]}]{items}"
        return f"{self.label}: [{'.'.join(names[:-1])}] {names[-1]}{items}"

    def fault(self, path: KeyPath, value: object, wrong: str, remedy: str = "") -> str:
        """One sentence: place, value found, what is wrong, what to do."""
        found = "" if value is _NOTHING else f" = {shown(value)}"
        return f"{self.place(path)}{found} {wrong}" + (f"; {remedy}" if remedy else "")


_NOTHING = object()


def shown(value: object) -> str:
    """Print a value as TOML has it, shortened."""
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"' if len(value) <= 60 else f'"{value[:57]}…"'
    text = repr(value)
    return text if len(text) <= 60 else f"{text[:59]}…"


def did_you_mean(name: str, known: Iterable[str], noun: str = "known") -> str:
    """Suggest the nearest known name, and list them all when they are few."""
    names = list(known)
    near = difflib.get_close_matches(name.lower(), names, n=1)
    parts = [f"did you mean {near[0]}?"] if near else []
    if names and (not near or len(names) <= 12):
        parts.append(f"{noun}: {', '.join(names[:12])}" + (", …" if len(names) > 12 else ""))
    return " ".join(parts)


def read_toml(path: Path, label: str) -> dict[str, Any]:
    """Parse a TOML file.

    Raises
    ------
    ConfigError
        If it cannot be read or is not TOML; the message has the line.
    """
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except tomllib.TOMLDecodeError as error:
        raise ConfigError(f"{label}: not valid TOML: {error}; mend that line") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{label}: not UTF-8 text ({error}); save it as UTF-8") from error
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"{label}: cannot be read: {reason}; give a readable file") from error


def apply_overrides(
    raw: Mapping[str, Any], overrides: Sequence[str], label: str
) -> tuple[dict[str, Any], Origin, list[str]]:
    """Set ``section.key=value`` entries on top of a parsed file.

    Parameters
    ----------
    raw
        The parsed file; left as it is.
    overrides
        As given to ``--set``. A value is read as a TOML literal, else as a string.
    label
        The file's name in messages.

    Returns
    -------
    values, origin, faults
        The new values, where each came from, and one sentence per override that is not
        of the form ``section.key=value``.
    """
    values: dict[str, Any] = _copied(raw)
    keys: list[str] = []
    faults: list[str] = []
    for entry in overrides:
        key, equals, text = entry.partition("=")
        path = [part.strip() for part in key.split(".")]
        if not equals or len(path) < 2 or not all(path):
            faults.append(
                f'{label} --set "{entry}" is not of the form section.key=value; '
                "write for example --set uncertainty.spread=0.25"
            )
            continue
        table = values
        for part in path[:-1]:
            inner = table.setdefault(part, {})
            if not isinstance(inner, dict):
                inner = table[part] = {}
            table = inner
        table[path[-1]] = _literal(text.strip())
        keys.append(".".join(path))
    return values, Origin(label=label, overridden=tuple(keys)), faults


def _copied(value: Any) -> Any:
    return {k: _copied(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _literal(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except tomllib.TOMLDecodeError:
        return text
    return parsed["value"] if len(parsed) == 1 else text


def parse_sections(
    values: Mapping[str, Any], origin: Origin
) -> tuple[dict[str, BaseModel], frozenset[str], list[str]]:
    """Validate each section on its own, so that one bad section hides no other's faults.

    Returns
    -------
    sections, whole, faults
        Each section by name, or what is left of it without its bad keys so that the rest
        can still be held against the feeder; the names of the faultless ones; and a
        sentence for everything wrong.
    """
    sections: dict[str, BaseModel] = {}
    whole: set[str] = set()
    faults = [
        origin.fault((name,), _NOTHING, "is not a section", did_you_mean(name, _sections()))
        for name in values
        if name not in _sections()
    ]
    for name, model in _sections().items():
        if name not in values and StudyConfig.model_fields[name].is_required():
            required = ", ".join(k for k, f in model.model_fields.items() if f.is_required())
            faults.append(f"{origin.place((name,))} is missing; add it with at least: {required}")
            continue
        try:
            sections[name] = model.model_validate(values.get(name, {}))
            whole.add(name)
        except ValidationError as error:
            faults += [_sentence(item, name, model, origin) for item in error.errors()]
            remains = _salvaged(model, values.get(name, {}), error)
            if remains is not None:
                sections[name] = remains
    return sections, frozenset(whole), faults


_ROUNDS = 8
"""Dropping a bad key may leave its table short of one; nesting is far shallower than this."""


def _salvaged(model: type[BaseModel], raw: Any, error: ValidationError) -> BaseModel | None:
    """Drop what is wrong, and what lacks a key, until the rest is well-formed."""
    rest = _copied(raw)
    for _ in range(_ROUNDS):
        for item in error.errors():
            path = item["loc"][:-1] if item["type"] == "missing" else item["loc"]
            names = [part for part in path if isinstance(part, str)]
            if not names:
                return None
            table = rest
            for part in names[:-1]:
                table = table.get(part, {})
            table.pop(names[-1], None)
        try:
            return model.model_validate(rest)
        except ValidationError as again:
            error = again
    return None


def _sections() -> dict[str, type[BaseModel]]:
    return {name: _model_of(field) for name, field in StudyConfig.model_fields.items()}  # type: ignore[misc]


def _model_of(field: FieldInfo | None) -> type[BaseModel] | None:
    """Find the model a field holds, itself or as the values of a table."""
    if field is None:
        return None
    for kind in (field.annotation, *get_args(field.annotation)):
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
    return None


def _field_at(
    model: type[BaseModel], path: KeyPath
) -> tuple[type[BaseModel] | None, FieldInfo | None]:
    """Find the model that owns the key at ``path``, and the key's own field."""
    owner: type[BaseModel] | None = model
    field: FieldInfo | None = None
    for part in path:
        if field is not None and str(field.annotation).startswith("dict"):
            owner, field = _model_of(field), None  # the key of a table of models
            continue
        if field is not None:
            owner = _model_of(field)
        if owner is None or not isinstance(part, str):
            break
        field = owner.model_fields.get(part)
    return owner, field


def _sentence(item: Any, section: str, model: type[BaseModel], origin: Origin) -> str:
    """Turn one error of pydantic into one sentence of ours."""
    path: KeyPath = (section, *item["loc"])
    owner, field = _field_at(model, item["loc"])
    kind, value = item["type"], item["input"]
    if kind == "extra_forbidden":
        known = did_you_mean(str(path[-1]), owner.model_fields if owner else ())
        return origin.fault(path, value, "is not a known key", known)
    meaning = field.description if field and field.description else ""
    if kind == "missing":
        return origin.fault(path, _NOTHING, "is missing", f"it states the {meaning}")
    if kind == "value_error":
        return f"{origin.place(path)} {item['ctx']['error']}"
    extra = field.json_schema_extra if field else None
    remedy = str(extra.get("remedy", "")) if isinstance(extra, dict) else ""
    return origin.fault(path, value, _wrong(item, field), remedy or meaning)


_TYPES = {
    "string_type": "must be a string",
    "bool_type": "must be true or false",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "tuple_type": "must be a list",
    "dict_type": "must be a table",
    "model_type": "must be a table",
    "model_attributes_type": "must be a table",
    "string_too_short": "must not be empty",
}


def _wrong(item: Any, field: FieldInfo | None) -> str:
    kind = item["type"]
    if kind == "literal_error":
        return f"must be one of {item['ctx']['expected']}"
    if kind in _TYPES and kind != "finite_number":
        return _TYPES[kind]
    bounds = _bounds(field, item.get("ctx") or {})
    if bounds:
        return bounds if kind != "finite_number" else f"{bounds} and be finite"
    return _TYPES.get(kind, str(item["msg"]).lower())


def _bounds(field: FieldInfo | None, broken: Mapping[str, Any]) -> str:
    """Say the interval a number must lie in; ``broken`` is the bound pydantic reports."""
    limits: dict[str, Any] = {}
    for meta in field.metadata if field else ():
        for name in ("ge", "gt", "le", "lt"):
            if getattr(meta, name, None) is not None:
                limits[name] = getattr(meta, name)
    limits = limits or {k: v for k, v in broken.items() if k in ("ge", "gt", "le", "lt")}
    low, high = limits.get("ge", limits.get("gt")), limits.get("le", limits.get("lt"))
    if low is not None and high is not None:
        left, right = "[" if "ge" in limits else "(", "]" if "le" in limits else ")"
        return f"must lie in {left}{_plain(low)}, {_plain(high)}{right}"
    if low is not None:
        return f"must be {'at least' if 'ge' in limits else 'above'} {_plain(low)}"
    if high is not None:
        return f"must be {'at most' if 'le' in limits else 'below'} {_plain(high)}"
    return ""


def _plain(number: float) -> str:
    return str(number) if isinstance(number, int) else f"{number:g}"
