"""Event prediction: how likely each event is at each place, within an hour.

From a table, or estimated from an event log: with ``k`` hours of ``n`` in which an event was
seen at a place, a Beta prior ``(a, b)`` gives ``Beta(a + k, b + n - k)``; its mean is the
probability, its quantiles say how far that is known.
"""

from __future__ import annotations

import csv
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from gridproof.scenarios.arrays import FloatArray, IntArray, frozen, index_of
from gridproof.scenarios.errors import ConfigError

__all__ = [
    "HOURS_PER_YEAR",
    "Prediction",
    "estimate",
    "per_hour",
    "read_event_log",
    "read_probabilities",
]

HOURS_PER_YEAR = 8760.0


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Prediction:
    """The event-location probability matrix.

    Attributes
    ----------
    events, locations
        Names of rows and columns.
    probability
        (event, location) within an hour; 0 where the event cannot happen.
    lower, upper
        (event, location) ends of the interval; equal to the probability where it was given.
    """

    events: tuple[str, ...]
    locations: tuple[str, ...]
    probability: FloatArray
    lower: FloatArray
    upper: FloatArray

    def __post_init__(self) -> None:
        shape = (len(self.events), len(self.locations))
        for name in ("probability", "lower", "upper"):
            object.__setattr__(self, name, frozen(getattr(self, name), float, shape))


def per_hour(probability: FloatArray, per: str) -> FloatArray:
    """Probability within an hour of one stated per ``"hour"`` or per ``"year"``.

    ``1 - (1 - p)^(1/8760)``, without loss of figures where p is small.
    """
    if per == "hour":
        return np.asarray(probability, float)
    if per != "year":
        raise ConfigError(f'per = {per!r}: a probability is per "hour" or per "year"')
    with np.errstate(divide="ignore"):  # certain within a year is certain within the hour
        return np.asarray(-np.expm1(np.log1p(-np.asarray(probability, float)) / HOURS_PER_YEAR))


def read_probabilities(
    path: Path, *, events: Sequence[str], locations: Sequence[str], per: str = "hour"
) -> Prediction:
    """Read a table whose first column names events and whose first row names locations.

    Parameters
    ----------
    path
        CSV; an empty cell is a place where the event cannot happen.
    events, locations
        Names that the study knows.
    per
        Time base of the numbers.

    Raises
    ------
    ConfigError
        With every wrong cell: row, column, what is there and what to do.
    """
    rows = _rows(path)
    header = [cell.strip() for cell in rows[0]][1:]
    faults = [
        f"{path}: row 1, column {j + 2}: unknown location {name!r}; the study has "
        f"{', '.join(locations)}"
        for j, name in enumerate(header)
        if name not in locations
    ]
    faults += _twice(header, f"{path}: row 1: location")
    names = [row[0].strip() for row in rows[1:]]
    faults += [
        f"{path}: row {i + 2}: unknown event {name!r}; the study has {', '.join(events)}"
        for i, name in enumerate(names)
        if name not in events
    ]
    faults += _twice(names, f"{path}: column 1: event")
    held = np.zeros((len(names), len(header)))
    for i, row in enumerate(rows[1:]):
        if len(row) != len(header) + 1:
            faults.append(
                f"{path}: row {i + 2} ({names[i]}): {len(row)} cells; the first row has "
                f"{len(header) + 1}"
            )
            continue
        for j, cell in enumerate(row[1:]):
            value = _number(cell)
            if not 0.0 <= value <= 1.0:
                faults.append(
                    f"{path}: row {i + 2} ({names[i]}), column {j + 2} ({header[j]}): "
                    f"{cell.strip()!r} must be a probability in [0, 1]"
                )
            held[i, j] = value
    if faults:
        raise ConfigError(faults)
    hourly = per_hour(held, per)
    return Prediction(
        events=tuple(names),
        locations=tuple(header),
        probability=hourly,
        lower=hourly,
        upper=hourly,
    )


def read_event_log(
    path: Path, *, events: Sequence[str], locations: Sequence[str], hours: float
) -> IntArray:
    """Count, for each event and location, the hours in which a log has seen it.

    Parameters
    ----------
    path
        CSV with the columns ``event``, ``location`` and ``hour`` (since the log began).
    events, locations
        Names that the study knows.
    hours
        How long was observed.

    Returns
    -------
    ndarray of shape (event, location)

    Raises
    ------
    ConfigError
        With every wrong cell.
    """
    rows = _rows(path)
    header = [cell.strip() for cell in rows[0]]
    if header != ["event", "location", "hour"]:
        raise ConfigError(f"{path}: row 1 is {header}; it must be event,location,hour")
    row_of, column_of = index_of(tuple(events)), index_of(tuple(locations))
    faults: list[str] = []
    seen: set[tuple[int, int, int]] = set()
    for i, row in enumerate(rows[1:]):
        where = f"{path}: row {i + 2}"
        event, place, hour = ([c.strip() for c in row] + ["", "", ""])[:3]
        if event not in row_of:
            faults.append(
                f"{where}, column event: unknown {event!r}; the study has {', '.join(events)}"
            )
        if place not in column_of:
            faults.append(
                f"{where}, column location: unknown {place!r}; the study has {', '.join(locations)}"
            )
        if not 0.0 <= _number(hour) < hours:
            faults.append(f"{where}, column hour: {hour!r} must lie in [0, {hours:g})")
        if not faults:
            seen.add((row_of[event], column_of[place], int(float(hour))))
    if faults:
        raise ConfigError(faults)
    counts = np.zeros((len(events), len(locations)), dtype=np.int64)
    for i, j, _ in seen:
        counts[i, j] += 1
    return counts


def estimate(
    counts: IntArray,
    *,
    hours: float,
    events: Sequence[str],
    locations: Sequence[str],
    prior: tuple[float, float] = (0.5, 0.5),
    confidence: float = 0.95,
) -> Prediction:
    """Estimate the matrix from counts, Beta-Bernoulli.

    Parameters
    ----------
    counts
        (event, location) hours in which the event was seen.
    hours
        Hours observed.
    events, locations
        Names of rows and columns.
    prior
        ``(a, b)`` of the Beta prior, above 0; (0.5, 0.5) is Jeffreys'.
    confidence
        Of the interval between ``lower`` and ``upper``, in (0, 1).

    Raises
    ------
    ConfigError
        If a count is below 0 or above the hours, or a parameter out of range.
    """
    from scipy.special import betaincinv  # noqa: PLC0415  (a fifth of a second of every start)

    counts = np.asarray(counts)
    faults = [
        f"event {events[i]}, location {locations[j]}: seen in {counts[i, j]} hours of {hours:g}; "
        "a count lies between 0 and the hours observed"
        for i, j in np.argwhere((counts < 0) | (counts > hours)).tolist()
    ]
    if not hours > 0.0:
        faults.append(f"hours = {hours:g}: an event log needs some time that was observed")
    if not (prior[0] > 0.0 and prior[1] > 0.0):
        faults.append(f"prior = {list(prior)}: both numbers must be above 0")
    if not 0.0 < confidence < 1.0:
        faults.append(f"confidence = {confidence:g} must lie in (0, 1)")
    if faults:
        raise ConfigError(faults)
    a, b = prior[0] + counts, prior[1] + hours - counts
    edge = (1.0 - confidence) / 2.0
    return Prediction(
        events=tuple(events),
        locations=tuple(locations),
        probability=a / (a + b),
        lower=betaincinv(a, b, edge),
        upper=betaincinv(a, b, 1.0 - edge),
    )


def _rows(path: Path) -> list[list[str]]:
    try:
        text = path.read_text(encoding="utf-8-sig")
    except OSError as error:
        raise ConfigError(f"{path}: cannot be read ({error.strerror}); name a CSV file") from error
    except UnicodeDecodeError as error:
        raise ConfigError(f"{path}: is not UTF-8 text; save it as such") from error
    rows = [row for row in csv.reader(text.splitlines()) if any(cell.strip() for cell in row)]
    if len(rows) < 1 or len(rows[0]) < 2:
        raise ConfigError(f"{path}: is empty; the first row names the columns")
    return rows


def _number(cell: str) -> float:
    """Return the number in a cell; empty is 0, anything else NaN, which lies in no range."""
    if not cell.strip():
        return 0.0
    try:
        return float(cell)
    except ValueError:
        return float("nan")


def _twice(names: Iterable[str], what: str) -> list[str]:
    held = list(names)
    return [
        f"{what} {n!r} is given twice; give it once"
        for n in dict.fromkeys(held)
        if held.count(n) > 1
    ]
