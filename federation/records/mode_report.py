"""What is told of the modes a study may plan for: probabilities, risks, candidates."""

from __future__ import annotations

from dataclasses import dataclass

from gridproof.federation.jsonable import Jsonable

__all__ = ["EventAtPlace", "EventRisk", "ModeCandidate", "ModeReport"]


@dataclass(frozen=True, slots=True, kw_only=True)
class EventAtPlace(Jsonable):
    """An entry of the event-location matrix.

    Attributes
    ----------
    event, location
        What, and where.
    probability, lower, upper
        That it happens there within the hour, and its interval where it was estimated; all three
        alike where it was declared.
    """

    event: str
    location: str
    probability: float
    lower: float
    upper: float


@dataclass(frozen=True, slots=True, kw_only=True)
class EventRisk(Jsonable):
    """One event's part in the whole risk.

    Attributes
    ----------
    event, probability
        What, and that it happens somewhere within the hour.
    impact_kw
        Expected where it happens.
    breaks_a_limit
        Whether it alone breaks a limit at some place.
    risk_kw, share
        Its risk, and that over all events' risk.
    """

    event: str
    probability: float
    impact_kw: float
    breaks_a_limit: bool
    risk_kw: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeCandidate(Jsonable):
    """A union of modes.

    Attributes
    ----------
    modes, events
        What is joined, and the events that this covers.
    share
        Of the total risk, that it covers.
    cost_usd
        Of a day under it; None where it was not asked or there is no plan.
    chosen, reason
        Whether it is the choice, and why or why not.
    """

    modes: tuple[str, ...]
    events: tuple[str, ...]
    share: float
    cost_usd: float | None
    chosen: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class ModeReport(Jsonable):
    """The answer of ``gridproof modes``.

    Attributes
    ----------
    study
        Its name.
    probabilities, risks, modes
        The event-location matrix, each event's risk, each union's cover and cost.
    mode
        The one that was chosen, its modes joined by ``+``.
    """

    study: str
    probabilities: tuple[EventAtPlace, ...]
    risks: tuple[EventRisk, ...]
    modes: tuple[ModeCandidate, ...]
    mode: str
