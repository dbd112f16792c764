"""A wall-clock time that a person wrote."""

from __future__ import annotations

from datetime import datetime, time, timedelta

__all__ = ["start_time"]

_HALF_DAY = timedelta(hours=12)


def start_time(text: str, now: datetime) -> datetime:
    """Read ``HH:MM:SS`` or the same after its date, local unless it has an offset.

    Parameters
    ----------
    text
        What was written; without a date it is the one nearest to ``now``.
    now
        Aware.

    Raises
    ------
    ValueError
        If there is no such time.
    """
    if "-" in text[:10] and len(text) > 14:
        when = datetime.fromisoformat(text)
        return when if when.tzinfo is not None else when.astimezone()
    at = time.fromisoformat(text)
    base = now if at.tzinfo is None else now.astimezone(at.tzinfo)
    when = datetime.combine(base.date(), at.replace(tzinfo=None))
    when = when.astimezone() if at.tzinfo is None else when.replace(tzinfo=at.tzinfo)
    days = (when + day for day in (timedelta(0), timedelta(days=1), timedelta(days=-1)))
    return next(one for one in days if abs(one - now) <= _HALF_DAY)
