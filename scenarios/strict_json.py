"""JSON in which every key of an object is stated once."""

from __future__ import annotations

import json
from typing import Any

__all__ = ["load_json"]


def load_json(text: str | bytes) -> Any:
    """Read JSON; an object that states a key twice is refused, where the last would win.

    Raises
    ------
    ValueError
        If it is no JSON, is nested too deep to be read, or states a key twice.
    """
    try:
        return json.loads(text, object_pairs_hook=_object)
    except RecursionError as error:
        raise ValueError("it is nested too deep to be read") from error


def _object(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        keys = [key for key, _ in pairs]
        twice = next(key for k, key in enumerate(keys) if key in keys[:k])
        raise ValueError(f"key {twice[:60]!r} is given twice in one object; state it once")
    return found
