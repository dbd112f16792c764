"""The margins a planner keeps while a plan is hardened, and how far they rise after a campaign."""

from __future__ import annotations

import json
import math
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from gridproof.federation.inquiries.counterexamples import CounterExamples
    from gridproof.federation.inquiries.harden_settings import HardenSettings
    from gridproof.federation.studies.study import Study

__all__ = ["Margins", "wanted_step", "wanted_steps"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Margins:
    """What the planner is told to keep clear.

    Attributes
    ----------
    everywhere
        ``ac_margin``, pu.
    at
        ``ac_margin_at``, pu, by ``(kind, id)``.
    """

    everywhere: float
    at: dict[tuple[str, str], float]

    @classmethod
    def of(cls, study: Study) -> Margins:
        """Take them from a study's planner options."""
        options = study.config.planner.options
        own = {
            (kind, name): float(value)
            for kind, table in options["ac_margin_at"].items()
            for name, value in table.items()
        }
        return cls(everywhere=float(options["ac_margin"]), at=own)

    def entries(self) -> list[str]:
        """Say them as a study's overrides."""
        tables: dict[str, list[str]] = {}
        for (kind, name), value in self.at.items():
            tables.setdefault(kind, []).append(f"{json.dumps(name)} = {value:.6g}")
        inner = ", ".join(f"{kind} = {{{', '.join(own)}}}" for kind, own in tables.items())
        return [
            f"planner.ac_margin={self.everywhere:.6g}",
            *([f"planner.ac_margin_at={{{inner}}}"] if inner else []),
        ]

    def raised(
        self, found: CounterExamples, settings: HardenSettings, formers: tuple[str, ...] = ()
    ) -> Margins:
        """Widen where the counter-examples say; the same if nothing can be wider.

        Plans of equal cost differ in who forms. What a DER that forms was found to need is
        therefore asked of every DER that could (``formers``), or the role would move on to
        the next, round after round, and fail there.
        """
        most = settings.most_margin_pu
        if settings.everywhere or _allowed(found, settings) < 0 or not found.depths_at:
            step = wanted_step(found, settings)
            wider = min(round(self.everywhere + step, 6), most)
            return replace(self, everywhere=max(wider, self.everywhere))
        own = dict(self.at)
        for at, step in wanted_steps(found, settings).items():
            kept = max(own.get(at, 0.0), self.everywhere)
            wider = max(min(round(kept + step, 6), most), kept)
            everyone = [("der", name) for name in formers] if at in _roles(formers) else [at]
            for one in everyone:
                own[one] = max(own.get(one, 0.0), wider)
        return replace(self, at=own)


def _roles(formers: tuple[str, ...]) -> set[tuple[str, str]]:
    return {("der", name) for name in formers}


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
    upwards = math.ceil(depth * 1e4 - 1e-9) / 1e4  # on 0.0001 pu, so that it reads well
    return min(max(upwards, settings.least_step_pu), settings.greatest_step_pu)
