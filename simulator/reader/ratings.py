"""Which lines of a compiled circuit have a rating that their file states.

OpenDSS rates whatever states nothing at 400 A, and answers 400 A just as where a file says so. What
tells the two apart is which properties were set, and in which order: a class as JSON holds
those, and no others, in the order of the last time each was set. A line code sets ``Ratings``,
``NormAmps`` and ``EmergAmps`` of its line one after the other, as geometry and wires do, so a
``NormAmps`` that does not follow the first of them is the line's own. Of one order nothing can be
told: ``linecode=c normamps=400 emergamps=…``, the three side by side and the code without a
rating, reads like the code alone, and counts as that.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any

__all__ = ["unrated_elements"]

_DEFAULT_A = 400.0  # of OpenDSS
_BEFORE = {"LineCode", "Ratings"}  # what a rating that a code, geometry or wires give follows


def unrated_elements(context: Any) -> frozenset[str]:
    """Ids of the enabled lines, and of reactors and capacitors, whose file states no rating.

    Returns
    -------
    frozenset of str
        Lower-case names of lines, ``reactor.NAME`` and ``capacitor.NAME``. The latter two have a
        rating by ``normamps`` or ``kvar``; a line by ``normamps``, its own or that of its code,
        geometry or wires.
    """
    codes = {_name(code): code.get("NormAmps") for code in _objects(context, "LineCode")}
    found = [_name(line) for line in _objects(context, "Line") if not _is_rated(line, codes)]
    for family in ("Reactor", "Capacitor"):
        found += [
            f"{family.lower()}.{_name(one)}"
            for one in _objects(context, family)
            if "NormAmps" not in one and "kvar" not in one
        ]
    return frozenset(found)


def _objects(context: Any, family: str) -> Iterator[Mapping[str, Any]]:
    """Each enabled object of a class, as the properties that were set."""
    context.Circuit.SetActiveClass(family)
    if int(context.ActiveClass.Count()):
        for one in json.loads(context.ActiveClass.ToJSON(0)):
            if one.get("Enabled", True):
                yield one


def _name(one: Mapping[str, Any]) -> str:
    return str(one["Name"]).lower()


def _is_rated(line: Mapping[str, Any], codes: Mapping[str, float | None]) -> bool:
    if "NormAmps" not in line:
        return False
    keys, amps = list(line), line["NormAmps"]
    given = keys[keys.index("NormAmps") - 1] in _BEFORE and "EmergAmps" in line
    if not given:
        return True
    if "Geometry" in line or "Spacing" in line:
        return amps not in {0.0, -1.0}  # what wires without a rating leave
    return amps != _DEFAULT_A or codes.get(str(line.get("LineCode")).lower()) == _DEFAULT_A
