"""What a plan of an earlier version says it was made for, in the words of today's facts."""

from __future__ import annotations

from collections.abc import Mapping

from gridproof.scenarios.events import EventKind
from gridproof.scenarios.prices import Prices, Unit

__all__ = ["in_words_of_today"]

_GONE = ("slack_usd_per_kw", "restoration")
"""Beginnings of facts that are no more: how a plan is searched, and what failed, all in one."""

_MOVED = {
    "restoration.failed": "events.element",
    "restoration.devices.line_ids": "devices.line_ids",
    "restoration.devices.underground": "devices.underground",
    "restoration.devices.device": "devices.device",
    "restoration.protection_remote": "devices.protection_remote",
}


def in_words_of_today(made_for: Mapping[str, str]) -> dict[str, object]:
    """Return facts by the names they have now; what is no text is a value to be told as one.

    Raises
    ------
    ValueError
        If a weight is no number.
    """
    told: dict[str, object] = {
        name: text for name, text in made_for.items() if not name.startswith(_GONE)
    }
    if "restoration.failed" not in made_for:
        return told
    told |= {new: made_for[old] for old, new in _MOVED.items() if old in made_for}
    told |= {f"prices.{name}": value for name, value in _prices(made_for).items()}
    count = _count(made_for["restoration.failed"])
    if not count:
        del told["events.element"]
        return told
    return told | {
        "events.kind": (EventKind.LINE_FAILS,) * count,
        "events.start_h": 1.0,
        "events.end_h": float("inf"),
        "events.probability": 1.0,
    }


def _prices(made_for: Mapping[str, str]) -> dict[str, object]:
    """Multiply the weights, which stood one by one."""
    weight = {
        name: float(made_for[f"restoration.weights.{name}"])
        for name in ("alpha", "beta", "unserved", "lost_bus", "switching")
    }
    prices = Prices(
        unit=Unit.POINTS,
        unserved_per_mw=weight["alpha"] * weight["unserved"],
        lost_bus=weight["alpha"] * weight["lost_bus"],
        switching=weight["beta"] * weight["switching"],
    )
    return {name: getattr(prices, name) for name in prices.__dataclass_fields__}


def _count(failed: str) -> int:
    """How many lines failed: ``15 (1424cc3a97e8)``, the one's position alone, or ``none``."""
    first = failed.split(" ", 1)[0]
    return 0 if failed == "none" else int(first) if " " in failed else 1
