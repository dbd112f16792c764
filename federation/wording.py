"""Numbers and places in words, the same wherever a report has them."""

from __future__ import annotations

from typing import Any

import numpy as np

__all__ = ["MEANING", "fixed", "percent", "place_words", "plain", "whole"]

MEANING = {
    "feasible": "inside every limit",
    "violated": "solved, outside a limit",
    "not_mended": "re-dispatch fails in AC",
    "no_recourse": "no re-dispatch exists",
    "no_solution": "power flow has no solution",
    "erred": "model or program at fault",
    "stale": "set-points too old, or a device silent",
}
"""What each outcome says."""

_MINUS, _THIN = "\u2212", "\u202f"


def plain(value: Any) -> str:
    """Return text as it is; nothing for None."""
    return "" if value is None else str(value)


def whole(value: Any) -> str:
    """Group thousands by a thin space: 12 345."""
    return "" if value is None else f"{int(value):,}".replace(",", _THIN)


def fixed(value: Any, digits: int) -> str:
    """So many digits behind the point, a true minus sign; nothing for None or NaN."""
    if value is None or not np.isfinite(value):
        return ""
    text = f"{value:.{digits}f}"
    if float(text) == 0.0:
        text = text.lstrip("-")
    return text.replace("-", _MINUS)


def percent(value: Any) -> str:
    """Share as per cent with two digits."""
    return "" if value is None else f"{fixed(100.0 * value, 2)}{_THIN}%"


def place_words(element: str | None, phase: str | None) -> str:
    """Name an element, with its phase if it has one."""
    if element is None:
        return ""
    return f"{element}, phase {phase}" if phase else element
