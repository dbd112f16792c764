"""The study file as a JSON schema, and as a list of keys: from the models that read it.

Editors that know TOML complete and check a study against the schema; the page ``docs/study.md`` is
the list. Neither says a thing that the models do not.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from gridproof.federation.config.study import StudyConfig
from gridproof.optimizer.planner import FAMILIES
from pydantic import TypeAdapter

__all__ = ["DRAFT", "StudyKey", "StudySectionKeys", "study_keys", "study_schema"]

DRAFT = "https://json-schema.org/draft/2020-12/schema"
_ATTRIBUTE = re.compile(r"^(\w[\w, ]*)\n((?:[ ]{4}.*(?:\n|$))+)", re.MULTILINE)
_BOUNDS = (
    ("minimum", "≥ {}"), ("exclusiveMinimum", "> {}"), ("maximum", "≤ {}"),
    ("exclusiveMaximum", "< {}"), ("multipleOf", "multiple of {}"),
)  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class StudyKey:
    """One key of a study file.

    Attributes
    ----------
    key
        Its name inside the section; ``<id>`` stands for a name of the user's own.
    kind, default
        What it may be, bounds included, and what it is if left out; in words.
    meaning
        What it means, its unit included.
    """

    key: str
    kind: str
    default: str
    meaning: str


@dataclass(frozen=True, slots=True, kw_only=True)
class StudySectionKeys:
    """One section of a study file, or the options of one optimizer family."""

    name: str
    meaning: str
    keys: tuple[StudyKey, ...]


def study_schema() -> dict[str, Any]:
    """Return the JSON schema of a study file; of ``[planner]`` that of the family it names."""
    schema = StudyConfig.model_json_schema()
    families = {name: _family_schema(name) for name in FAMILIES}
    schema["$defs"]["PlannerConfig"] = {
        "title": "PlannerConfig",
        "description": "The optimizer family, and the options that this family has.",
        "type": "object",
        "properties": {
            "family": {
                "enum": list(FAMILIES),
                "default": "partitioning",
                "description": "optimizer family",
            }
        },
        "allOf": [
            {"if": _is_family(name), "then": {"$ref": f"#/$defs/planner_{name}"}}
            for name in FAMILIES
        ],
    }
    schema["$defs"] |= {f"planner_{name}": found for name, found in families.items()}
    _leave_out_null(schema)
    return {"$schema": DRAFT, **schema, "title": "gridproof study"}


def _is_family(name: str) -> dict[str, Any]:
    """Hold for the sections of one family; the first is meant where none is named."""
    said = {"properties": {"family": {"const": name}}}
    return said if name == "partitioning" else {**said, "required": ["family"]}


def _family_schema(name: str) -> dict[str, Any]:
    """Options of a family, each described by its line in the docstring of the options."""
    options_type = FAMILIES[name][0]
    found = TypeAdapter(options_type).json_schema()
    text = inspect.getdoc(options_type) or ""
    meanings = _attributes(text)
    for key, one in found["properties"].items():
        one["description"] = meanings[key]
    found["description"] = text.split("\n\n", maxsplit=1)[0]
    found["properties"]["family"] = {"const": name, "description": "optimizer family"}
    return {**found, "additionalProperties": False}


def _attributes(docstring: str) -> dict[str, str]:
    """Meaning of each attribute that a numpydoc docstring lists; several may share one."""
    listed = docstring.partition("Attributes\n----------\n")[2].partition("\n\nRaises\n")[0]
    found = {}
    for names, text in _ATTRIBUTE.findall(listed):
        for name in names.split(","):
            found[name.strip()] = " ".join(text.split())
    return found


def _leave_out_null(node: Any) -> None:
    """Take the null out of what may be left out: TOML has none."""
    if isinstance(node, list):
        for one in node:
            _leave_out_null(one)
    if not isinstance(node, dict):
        return
    choices = [one for one in node.get("anyOf", ()) if one != {"type": "null"}]
    if len(choices) < len(node.get("anyOf", ())):
        del node["anyOf"]
        node |= choices[0] if len(choices) == 1 else {"anyOf": choices}
    if node.get("default", 0) is None:
        del node["default"]
    for one in node.values():
        _leave_out_null(one)


def study_keys() -> tuple[StudySectionKeys, ...]:
    """List every key of a study file by section, as the models have them; families one by one."""
    schema = study_schema()
    found = []
    for name, section in schema["properties"].items():
        whole = _resolved(section, schema)
        keys = tuple(_keys(whole, schema))
        found.append(StudySectionKeys(name=name, meaning=whole.get("description", ""), keys=keys))
        if name == "planner":
            found += [
                StudySectionKeys(
                    name=f'planner, family = "{family}"',
                    meaning=schema["$defs"][f"planner_{family}"]["description"],
                    keys=tuple(
                        one
                        for one in _keys(schema["$defs"][f"planner_{family}"], schema)
                        if one.key != "family"
                    ),
                )
                for family in FAMILIES
            ]
    return tuple(found)


def _resolved(node: Mapping[str, Any], schema: Mapping[str, Any]) -> dict[str, Any]:
    """Put what a reference points to in its place; what stands beside it goes before."""
    if "$ref" not in node:
        return dict(node)
    target = schema["$defs"][node["$ref"].rsplit("/", maxsplit=1)[-1]]
    return {**_resolved(target, schema), **{k: v for k, v in node.items() if k != "$ref"}}


def _keys(
    section: Mapping[str, Any], schema: Mapping[str, Any], before: str = ""
) -> Iterator[StudyKey]:
    """Walk the keys of a table, and of the tables in it."""
    needed = section.get("required", ())
    for name, given in section.get("properties", {}).items():
        one, key = _resolved(given, schema), before + name
        yield StudyKey(
            key=key,
            kind=_kind(one, schema),
            default="needed" if name in needed else _default(one),
            meaning=_meaning(one),
        )
        yield from _inner(one, schema, key)


def _inner(one: Mapping[str, Any], schema: Mapping[str, Any], key: str) -> Iterator[StudyKey]:
    """Walk the tables that a key holds: itself, one for each name, or one for each entry."""
    for place, form in (
        (one, "."),
        (one.get("additionalProperties"), ".<id>."),
        (one.get("items"), "[]."),
    ):
        if isinstance(place, Mapping):
            held = _resolved(place, schema)
            if held.get("properties"):
                yield from _keys(held, schema, key + form)


def _meaning(one: Mapping[str, Any]) -> str:
    said = " ".join(str(one.get("description", "")).split())
    return f"{said}; {one['remedy']}" if "remedy" in one else said


def _default(one: Mapping[str, Any]) -> str:
    """Say what is taken if the key is left out; nothing where that is no value."""
    value = one.get("default")
    if value is None or value in ([], {}, ""):
        return ""
    return _toml(value)


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return str(value).lower()
    if isinstance(value, str):
        return f'"{value}"'
    if isinstance(value, list):
        return f"[{', '.join(_toml(one) for one in value)}]"
    return f"{value:g}" if isinstance(value, float) else str(value)


def _kind(one: Mapping[str, Any], schema: Mapping[str, Any]) -> str:
    """Say what a value may be, in words."""
    one = _resolved(one, schema)
    kind = one.get("type", "any")
    if "enum" in one or "const" in one:
        said = " or ".join(_toml(value) for value in one.get("enum", [one.get("const")]))
    elif "anyOf" in one:
        said = " or ".join(dict.fromkeys(_kind(choice, schema) for choice in one["anyOf"]))
    elif kind == "array":
        each = one.get("prefixItems", [one.get("items", {})])
        many = f"{len(each)} of " if "prefixItems" in one else ""
        said = f"list of {many}{_kind(each[0], schema)}"
    elif kind == "object":
        held = one.get("additionalProperties")
        said = f"table, by id: {_kind(held, schema)}" if isinstance(held, dict) else "table"
    elif isinstance(kind, list):  # an id, which may be a number without quotes
        said = "id"
    else:
        said = ", ".join([kind, *(f.format(_toml(one[n])) for n, f in _BOUNDS if n in one)])
    return said
