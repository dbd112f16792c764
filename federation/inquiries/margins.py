"""How far the margins that a planner keeps rise after a campaign."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

from gridproof.federation.studies.planner_margins import Margins, bounded_step

if TYPE_CHECKING:
    from gridproof.federation.inquiries.counterexamples import CounterExamples
    from gridproof.federation.inquiries.harden_settings import HardenSettings

__all__ = ["raised", "wanted_step", "wanted_steps"]


def raised(
    margins: Margins,
    found: CounterExamples,
    settings: HardenSettings,
    formers: tuple[str, ...] = (),
) -> Margins:
    """Widen where the counter-examples say; the same if nothing can be wider."""
    most = settings.most_margin_pu
    if settings.everywhere or _allowed(found, settings) < 0 or not found.depths_at:
        return margins.wider_everywhere(wanted_step(found, settings), most)
    return margins.wider_at(wanted_steps(found, settings), most, formers)


def wanted_step(found: CounterExamples, settings: HardenSettings) -> float:
    """Rise of ``ac_margin``, pu: the depth that leaves only the allowed share deeper.

    Realizations without a depth (no re-dispatch, no solution) take the greatest step if they
    alone are more than allowed: how far they are from feasible is not known.
    """
    left = _allowed(found, settings)
    if left < 0:
        return settings.greatest_step_pu
    return _step(found.depths_pu, left, settings)


def wanted_steps(found: CounterExamples, settings: HardenSettings) -> dict[tuple[str, str], float]:
    """Rise of each failing element's own margin, pu, by ``(kind, id)``.

    The allowed share is split over the elements as their failures are, so that together they
    would have left no more than it.
    """
    left = max(_allowed(found, settings), 0)
    failures = sum(len(own) for own in found.depths_at.values())
    return {
        at: _step(own, left * len(own) // failures, settings) for at, own in found.depths_at.items()
    }


def _allowed(found: CounterExamples, settings: HardenSettings) -> int:
    """Realizations with a depth that may stay outside; negative if those without are too many."""
    return math.floor((1.0 - settings.share) * found.samples) - found.without_depth


def _step(depths_pu: tuple[float, ...], left: int, settings: HardenSettings) -> float:
    depth = depths_pu[left] if left < len(depths_pu) else 0.0
    return bounded_step(depth, settings.least_step_pu, settings.greatest_step_pu)
