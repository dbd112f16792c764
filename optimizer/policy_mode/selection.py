"""Mode selection: the cheapest set of events that covers enough of the risk, and why.

Risk of an event is probability × impact, summed over its places: the kW it is expected to move,
weighed more where it breaks a limit by itself. A mode is a named set of events; modes may be
joined.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations

import numpy as np
from gridproof.scenarios.arrays import BoolArray, FloatArray
from gridproof.scenarios.errors import NoPlanExists, PlanNotFound, ScenarioError

__all__ = ["Candidate", "Risk", "Selection", "risks", "select"]

_MOST_MODES = 12


@dataclass(frozen=True, slots=True, kw_only=True)
class Risk:
    """One event's row.

    Attributes
    ----------
    event
        Its name.
    probability
        That it happens somewhere within the hour, places taken as independent.
    impact_kw
        Expected kW where it happens: risk without limits over expected occurrences.
    breaks
        Whether it breaks a limit at some place.
    risk_kw
        ``Σ p · impact · (1 + weight where a limit breaks)``.
    share
        Of all events' risk.
    """

    event: str
    probability: float
    impact_kw: float
    breaks: bool
    risk_kw: float
    share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Candidate:
    """One union of modes.

    Attributes
    ----------
    modes, events
        What is joined, and what that covers.
    share
        Of total risk.
    cost_usd
        What operating under it costs; NaN where it was not asked, ``inf`` where there is no plan.
    chosen, reason
        Whether it is the choice, and why or why not.
    """

    modes: tuple[str, ...]
    events: tuple[str, ...]
    share: float
    cost_usd: float
    chosen: bool
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Selection:
    """What was chosen, and the table of reasons."""

    risks: tuple[Risk, ...]
    candidates: tuple[Candidate, ...]

    @property
    def chosen(self) -> Candidate:
        """Return the candidate that was chosen."""
        return next(one for one in self.candidates if one.chosen)


def risks(
    events: Sequence[str],
    probability: FloatArray,
    impact_kw: FloatArray,
    breaks: BoolArray | None = None,
    *,
    breaking_weight: float = 1.0,
) -> tuple[Risk, ...]:
    """Rank events by risk.

    Parameters
    ----------
    events
        Names.
    probability
        (event, location) within an hour.
    impact_kw
        (event, location) expected kW where it happens, at least 0.
    breaks
        (event, location) whether it breaks a limit by itself.
    breaking_weight
        How much more a kW counts that does.

    Returns
    -------
    tuple of Risk
        In the events' order.
    """
    shape = np.shape(probability)
    broken = np.zeros(shape, bool) if breaks is None else np.asarray(breaks, bool)
    faults = []
    for what, table, most in (("probability", probability, 1.0), ("impact", impact_kw, np.inf)):
        held = np.asarray(table, float)
        if held.shape != shape or len(held) != len(events):
            raise ScenarioError(f"{what}: shape {held.shape}; {len(events)} events need {shape}")
        faults += [
            f"event {events[i]}, location {j + 1}: {what} = {held[i, j]:g} must lie in "
            f"[0, {most:g}]"
            for i, j in np.argwhere(~((held >= 0.0) & (held <= most))).tolist()
        ]
    if faults:
        raise ScenarioError(faults)
    p, kw = np.asarray(probability, float), np.asarray(impact_kw, float)
    by_event = (p * kw * (1.0 + breaking_weight * broken)).sum(axis=1)
    whole = float(by_event.sum())
    expected = p.sum(axis=1)
    return tuple(
        Risk(
            event=name,
            probability=float(1.0 - np.prod(1.0 - p[i])),
            impact_kw=float((p[i] * kw[i]).sum() / expected[i]) if expected[i] > 0.0 else 0.0,
            breaks=bool((broken[i] & (p[i] > 0.0)).any()),
            risk_kw=float(by_event[i]),
            share=float(by_event[i]) / whole if whole > 0.0 else 0.0,
        )
        for i, name in enumerate(events)
    )


def select(
    found: Sequence[Risk],
    modes: Mapping[str, Sequence[str]],
    cost_usd: Callable[[tuple[str, ...]], float],
    *,
    cover: float = 0.9,
) -> Selection:
    """Choose the cheapest mode, or union of modes, whose events cover enough of the risk.

    A set of events that holds another which covers enough is taken to cost no less, and is not
    priced.

    Parameters
    ----------
    found
        Every event's risk.
    modes
        Events of each mode, by name.
    cost_usd
        Price of operating under some events (in `found`'s order); `NoPlanExists` counts as
        ``inf``, and nothing else does: a search that ran out of time is not a proof.
    cover
        Share of total risk asked for, in (0, 1].

    Raises
    ------
    ScenarioError
        On an empty or unknown mode or event, or where no union of modes covers enough.
    """
    order = {risk.event: k for k, risk in enumerate(found)}
    _check_modes(modes, order, cover)
    unions = _unions(modes, order)
    share = {events: sum(found[order[e]].share for e in events) for events in unions}
    enough = [events for events in unions if share[events] >= cover - 1e-12]
    if not enough:
        most = max(share.values())
        raise ScenarioError(
            f"cover = {cover:g}: all modes together cover {most:.4f} of the risk; ask for less or "
            "add a mode with the events left out"
        )
    least = [e for e in enough if not any(set(o) < set(e) for o in enough)]
    price = {events: _price(cost_usd, events) for events in least}
    best = min(least, key=lambda e: (price[e], len(e), unions[e]))
    if not np.isfinite(price[best]):
        raise ScenarioError(
            f"cover = {cover:g}: no plan exists under any mode that covers as much; ask for less, "
            "or give the grid more reserve"
        )
    rows = []
    for events, names in unions.items():
        if events == best:
            reason = f"covers {share[events]:.1%}, the cheapest that covers {cover:.0%}"
        elif events not in enough:
            reason = f"covers {share[events]:.1%} of the risk, less than {cover:.0%}"
        elif events not in least:
            reason = "holds a smaller set of events that covers enough"
        elif not np.isfinite(price[events]):
            reason = "no plan exists under it"
        else:
            reason = f"covers enough, costs {price[events] - price[best]:.2f} USD more"
        rows.append(
            Candidate(
                modes=names,
                events=events,
                share=share[events],
                cost_usd=price.get(events, float("nan")),
                chosen=events == best,
                reason=reason,
            )
        )
    return Selection(risks=tuple(found), candidates=tuple(rows))


def _check_modes(
    modes: Mapping[str, Sequence[str]], order: Mapping[str, int], cover: float
) -> None:
    faults = [f"[modes] {name}: no events; name at least one" for name in modes if not modes[name]]
    faults += [
        f"[modes] {name}: unknown event {event!r}; the study has {', '.join(order)}"
        for name, events in modes.items()
        for event in events
        if event not in order
    ]
    if not modes:
        faults.append("[modes]: there are none; give at least one")
    if len(modes) > _MOST_MODES:
        faults.append(f"[modes]: {len(modes)} of them; up to {_MOST_MODES} can be joined")
    if not 0.0 < cover <= 1.0:
        faults.append(f"cover = {cover:g} must lie in (0, 1]")
    if faults:
        raise ScenarioError(faults)


def _unions(
    modes: Mapping[str, Sequence[str]], order: Mapping[str, int]
) -> dict[tuple[str, ...], tuple[str, ...]]:
    """List the sets of events that modes make, each with the fewest modes that make it."""
    found: dict[tuple[str, ...], tuple[str, ...]] = {}
    for count in range(1, len(modes) + 1):
        for names in combinations(modes, count):
            held = {event for name in names for event in modes[name]}
            found.setdefault(tuple(sorted(held, key=order.__getitem__)), names)
    return found


def _price(cost_usd: Callable[[tuple[str, ...]], float], events: tuple[str, ...]) -> float:
    try:
        return float(cost_usd(events))
    except NoPlanExists:
        return float("inf")
    except PlanNotFound as error:
        raise PlanNotFound(f"pricing {', '.join(events)}: {error}", error.proof) from error
