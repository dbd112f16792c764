"""Numbers and places in words, the same wherever a report has them."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np

__all__ = [
    "MEANING",
    "decimals",
    "fixed",
    "per_cent",
    "percent",
    "place_words",
    "plain",
    "served_words",
    "title_as_run",
    "typed",
    "whole",
]

MEANING = {
    "feasible": "inside every limit",
    "violated": "solved, outside a limit",
    "not_mended": "re-dispatch fails in AC",
    "no_recourse": "no re-dispatch exists",
    "no_solution": "no power flow solution found",
    "erred": "model or program at fault",
    "stale": "set-points too old, or a device silent",
}
"""What each outcome says."""

_MEASURED = 1e-6
"""Share to which power that flows is known: what a power flow leaves open is not unserved."""
_MOST_DIGITS = 8
_IN_TITLE = 3
_LONG_VALUE = 32  # signs of one value
_TOLD_ELSEWHERE = (
    "campaign.samples=", "campaign.seed=", "study.", "federation.", "planner.time_limit_s=",
)  # fmt: skip
_MINUS, _THIN = "\u2212", "\u202f"
_GROUPED = re.compile(rf"(?<=\d){_THIN}(?=\d)")


def plain(value: Any) -> str:
    """Return text as it is, yes or no for what is true or not; nothing for None."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return "" if value is None else str(value)


def whole(value: Any) -> str:
    """Group thousands by a thin space: 12 345."""
    return "" if value is None else f"{int(value):,}".replace(",", _THIN)


def typed(words: str) -> str:
    """Return words with numbers as they are typed, 12345 and -0.5, for who copies them on."""
    return _GROUPED.sub("", words).replace(_MINUS, "-")


def decimals(value: float, digits: int, *, sign: bool = False) -> str:
    """So many digits behind the point, as a terminal has them; zero never has a minus sign.

    What rounds to zero is zero: a set-point of -0.02 kW is printed 0.0. The one place that
    turns numbers into digits.
    """
    text = f"{value:{'+' if sign else ''}.{digits}f}"
    if text.startswith("-") and not text.strip("-0."):
        text = ("+" if sign else "") + text[1:]
    return text


def fixed(value: Any, digits: int) -> str:
    """So many digits behind the point, a true minus sign; nothing for None or NaN."""
    if value is None or not np.isfinite(value):
        return ""
    return decimals(value, digits).replace("-", _MINUS)


def served_words(share: float | None) -> str:
    """Say beside a share feasible how much of the load it is of: ``served 98.20 %``.

    What serves nothing passes every limit, so a share feasible alone would read as a success.
    """
    if share is None:
        return f"served {chr(0x2013)}"
    if share >= 1.0 - _MEASURED:
        share = 1.0
    return "NOTHING is served" if share <= 0.0 else f"served {per_cent(share)} %"


def per_cent(share: Any) -> str:
    """Share in per cent without the sign; nothing for None or NaN.

    Two digits behind the point, and more where two would say none or all of what is neither:
    of a million without a failure the exact interval reaches down to 99.9996, not to 100.
    """
    if share is None:
        return ""
    digits = 2
    if 0.0 < share < 1.0:
        while digits < _MOST_DIGITS and round(100.0 * share, digits) in (0.0, 100.0):
            digits += 1
    return fixed(100.0 * share, digits)


def percent(value: Any) -> str:
    """Share as `per_cent` has it, with the sign."""
    return "" if value is None else f"{per_cent(value)}{_THIN}%"


def title_as_run(title: str, said: Sequence[str]) -> str:
    """Return a study's title, and what it was run with in place of what its file says.

    A title tells what the file was written for: ``loads ±10 %`` stays in it whatever the spread was
    set to. How many realizations, from which seed and how long a search stands elsewhere.
    """
    told = [one for one in said if not one.startswith(_TOLD_ELSEWHERE)]
    if not told:
        return title
    more = f" and {len(told) - _IN_TITLE} more" if len(told) > _IN_TITLE else ""
    shown = ", ".join(_short(one) for one in told[:_IN_TITLE])
    return f"{title}; but run with {shown}{more}"


def _short(said: str) -> str:
    """Return ``key=value`` as a title has room for it; tables are told whole elsewhere."""
    key, sign, value = said.partition("=")
    return said if len(value) <= _LONG_VALUE else f"{key}{sign}{value[: _LONG_VALUE - 1]}…"


def place_words(element: str | None, phase: str | None) -> str:
    """Name an element, with its phase if it has one."""
    if element is None:
        return ""
    return f"{element}, phase {phase}" if phase else element
