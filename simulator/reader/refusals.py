"""What is refused, one line a kind: how many there are, and three of their names."""

from __future__ import annotations

import re
from collections.abc import Sequence

__all__ = ["condensed"]

_NAMED = re.compile(
    r"(?P<where>.*?: )?(?P<kind>[A-Za-z0-9]+)\.(?P<name>[^:]+?)(?P<rest>(:| is ).*)", re.DOTALL
)
_FEW = 3


def condensed(faults: Sequence[str]) -> list[str]:
    """Join faults that differ in names and numbers alone.

    Parameters
    ----------
    faults
        As `simulator.reader.feeder.read_feeder` tells them.

    Returns
    -------
    list of str
        In their order; a kind of more than three is one line, with its first fault whole.
    """
    groups: dict[str, list[tuple[str, str]]] = {}
    for fault in faults:
        match = _NAMED.fullmatch(fault)
        if match is None:
            groups.setdefault(fault, []).append(("", fault))
            continue
        kind = f"{match['kind'].lower()} {re.sub(r'[0-9.]+|[(][^)]*[)]', '#', match['rest'])}"
        groups.setdefault(kind[:80], []).append((f"{match['kind']}.{match['name']}", fault))
    found: list[str] = []
    for members in groups.values():
        if len(members) <= _FEW:
            found += [fault for _, fault in members]
            continue
        names = ", ".join(name for name, _ in members[1:_FEW])
        found.append(
            f"{members[0][1]} ({len(members)} such, also {names}, …; gridproof feeder FILE --all "
            "names every one)"
        )
    return found
