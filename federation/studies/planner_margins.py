"""The margins a planner keeps while it plans again and again, and how they rise."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from gridproof.scenarios.verdict import MarginKind

if TYPE_CHECKING:
    from gridproof.federation.studies.study import Study

__all__ = ["ELEMENT_OF", "MOST_MARGIN_PU", "Margins", "bounded_step", "formers_of"]

MOST_MARGIN_PU = 0.045
"""Margins end here; the planner needs them below 0.05 pu."""

ELEMENT_OF = {
    MarginKind.VOLTAGE: "bus",
    MarginKind.CURRENT: "line",
    MarginKind.TRANSFORMER: "transformer",
    MarginKind.CAPABILITY: "der",
    MarginKind.RAMP: "der",
    MarginKind.DAMAGE: "line",
}
"""Kind of element that each limit belongs to, as ``ac_margin_at`` names it."""


def formers_of(study: Study) -> tuple[str, ...]:
    """Name the DERs that could form: what one of them needs kept clear, any of them may."""
    ders = study.scenario.ders
    return tuple(name for name, can in zip(ders.ids, ders.can_form, strict=True) if can)


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

    def kept(self, at: tuple[str, str]) -> float:
        """Return what is kept clear at an element, pu."""
        return max(self.at.get(at, 0.0), self.everywhere)

    def by_kind(self) -> dict[str, dict[str, float]]:
        """Sort those of single elements by kind, as ``ac_margin_at`` has them."""
        tables: dict[str, dict[str, float]] = {}
        for (kind, name), value in self.at.items():
            tables.setdefault(kind, {})[name] = value
        return tables

    def options(self) -> dict[str, Any]:
        """Say them as a planner's options."""
        return {"ac_margin": self.everywhere, "ac_margin_at": self.by_kind()}

    def entries(self) -> list[str]:
        """Say them as a study's overrides."""
        inner = ", ".join(
            f"{kind} = {{{', '.join(f'{json.dumps(n)} = {v:.6g}' for n, v in own.items())}}}"
            for kind, own in self.by_kind().items()
        )
        return [
            f"planner.ac_margin={self.everywhere:.6g}",
            *([f"planner.ac_margin_at={{{inner}}}"] if inner else []),
        ]

    def wider_everywhere(self, step: float, most: float) -> Margins:
        """Widen every limit alike, up to ``most``; the same if none can be wider."""
        wider = min(round(self.everywhere + step, 6), most)
        return replace(self, everywhere=max(wider, self.everywhere))

    def wider_at(
        self,
        steps: Mapping[tuple[str, str], float],
        most: float,
        formers: tuple[str, ...] = (),
    ) -> Margins:
        """Widen at single elements, up to ``most``; the same if none can be wider.

        Plans of equal cost differ in who forms. What a DER that forms was found to need is
        therefore asked of every DER that could (``formers``), or the role would move on to
        the next, round after round, and fail there.
        """
        own, roles = dict(self.at), {("der", name) for name in formers}
        for at, step in steps.items():
            kept = self.kept(at)
            wider = max(min(round(kept + step, 6), most), kept)
            for one in sorted(roles) if at in roles else [at]:
                own[one] = max(own.get(one, 0.0), wider)
        return replace(self, at=own)


def bounded_step(depth_pu: float, least: float, greatest: float) -> float:
    """Turn how far something is outside into a rise, on 0.0001 pu, so that it reads well."""
    return min(max(math.ceil(depth_pu * 1e4 - 1e-9) / 1e4, least), greatest)
