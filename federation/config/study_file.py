"""Reading a study file: TOML, overrides, and one sentence for every fault.

A fault names the file, the key, the value found and what to do, as in
``studies/x.toml: [uncertainty] spread = 1.4 must lie in [0, 1]; 0.25 means ±25 %``. All
faults of a file are reported together, not the first.
"""

from __future__ import annotations

import difflib
import json
import re
import tomllib
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, get_args

from gridproof.federation.config.study import StudyConfig
from gridproof.federation.files import read_text
from gridproof.scenarios.errors import ConfigError
from pydantic import BaseModel, ValidationError
from pydantic.fields import FieldInfo

__all__ = [
    "Origin",
    "apply_overrides",
    "did_you_mean",
    "dotted",
    "parse_sections",
    "parse_toml",
    "read_toml",
    "shown",
    "split_entry",
    "table_path",
]

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
        name = dotted(path)
        for key in self.overridden:
            if name == key:
                return f"{self.label} --set {key}"
            if name.startswith(f"{key}."):
                return f"{self.label} --set {key}: {name[len(key) + 1 :]}"
        names = [_bare(part) for part in path if isinstance(part, str)]
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
    if isinstance(value, Mapping):
        text = f"{{{', '.join(f'{_bare(key)} = {shown(one)}' for key, one in value.items())}}}"
    elif isinstance(value, list | tuple):
        text = f"[{', '.join(shown(one) for one in value)}]"
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
        return parse_toml(read_text(path), label)
    except UnicodeDecodeError as error:
        raise ConfigError(f"{label}: not UTF-8 text ({error}); save it as UTF-8") from error
    except OSError as error:
        reason = error.strerror or error
        raise ConfigError(f"{label}: cannot be read: {reason}; give a readable file") from error


def parse_toml(text: str, label: str) -> dict[str, Any]:
    """Parse TOML, with a byte order mark or carriage returns as editors leave them.

    Raises
    ------
    ConfigError
        If it is not TOML; the message has the line.
    """
    try:
        return tomllib.loads(text.replace("\r\n", "\n").replace("\r", "\n"))
    except RecursionError as error:
        raise ConfigError(f"{label}: nested too deep to be read; a study has two levels") from error
    except ValueError as error:  # TOML's own, and numbers of thousands of digits
        raise ConfigError(f"{label}: not valid TOML: {error}; mend that line") from error


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
        path, text = split_entry(entry)
        if len(path) < 2 or not all(path):
            faults.append(
                f'{label} --set "{entry}" is not of the form section.key=value; '
                "write for example --set uncertainty.spread=0.25; a name that holds a dot goes in "
                "quotes: --set 'ders.fleet.\"g.1\".capacity_kw=300'"
            )
            continue
        table = values
        for part in path[:-1]:
            inner = table.setdefault(part, {})
            if not isinstance(inner, dict):
                inner = table[part] = {}
            table = inner
        table[path[-1]] = _literal(text)
        keys.append(dotted(path))
    return values, Origin(label=label, overridden=tuple(keys)), faults


_KEY_PART = r"""\s*(?:"(?:[^"\\]|\\.)*"|'[^']*'|[^.="']*)\s*"""
_ENTRY = re.compile(rf"({_KEY_PART}(?:\.{_KEY_PART})*)=(.*)", re.DOTALL)
_BARE_KEY = re.compile(r"[^\s.=\"'\[\]]+")


def split_entry(entry: str) -> tuple[list[str], str]:
    """Take ``section.key=value`` apart.

    Parts that hold a dot, a blank or ``=`` stand in quotes, as in TOML: ``a."b.c".d=1``.

    Returns
    -------
    path, value
        No path if the entry is not of that form.
    """
    match = _ENTRY.fullmatch(entry)
    if match is None:
        return [], ""
    parts = [part.strip() for part in re.findall(rf"(?:^|\.)({_KEY_PART})", match[1])]
    return [_unquoted(part) for part in parts], match[2].strip()


def _unquoted(part: str) -> str:
    if part[:1] not in ('"', "'"):
        return part
    try:
        return str(tomllib.loads(f"value = {part}")["value"])
    except tomllib.TOMLDecodeError:
        return ""


def _bare(part: str | int) -> str:
    """Print a key as TOML needs it: in quotes where it holds more than a word."""
    text = str(part)
    return text if _BARE_KEY.fullmatch(text) else json.dumps(text, ensure_ascii=False)


def dotted(path: Sequence[str | int]) -> str:
    """Print the path of a key as ``--set`` takes it."""
    return ".".join(_bare(part) for part in path)


def _copied(value: Any) -> Any:
    return {k: _copied(v) for k, v in value.items()} if isinstance(value, Mapping) else value


def _literal(text: str) -> Any:
    try:
        parsed = tomllib.loads(f"value = {text}")
    except (ValueError, RecursionError):
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
    """Find the model a field holds, itself or as what a table or a list is made of."""
    kinds: list[Any] = [] if field is None else [field.annotation]
    for kind in kinds:  # grows as it is read
        if isinstance(kind, type) and issubclass(kind, BaseModel):
            return kind
        kinds += get_args(kind)
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
        if field is not None and isinstance(part, int) and _model_of(field) is not None:
            owner, field = _model_of(field), None  # the place in a list of models
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
    "string_pattern_mismatch": "must be HOST:PORT, such as 127.0.0.1:5020 or [::1]:5020",
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


def table_path(given: str, folders: Sequence[Path]) -> Path | None:
    """Find a table in the first folder that has it; an absolute path is taken as it is."""
    tried = [Path(given)] if Path(given).is_absolute() else [folder / given for folder in folders]
    return next((path for path in tried if path.is_file()), None)
