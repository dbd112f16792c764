"""How far a planner keeps clear of each limit, element by element.

A margin is told in pu of voltage. A limit that is a share of a rating is drawn in by the like
share of its own range, ``share = margin / (v_max - v_min)``: on a 0.95 to 1.05 pu band 0.004 pu
is 4 %. One margin holds everywhere; an element may be given a wider one of its own.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from gridproof.scenarios.arrays import FloatArray, index_of
from gridproof.scenarios.errors import ScenarioError

if TYPE_CHECKING:
    from gridproof.scenarios.scenario import Scenario

__all__ = ["INSET_KINDS", "Insets", "MarginsAt"]

MarginsAt = Mapping[str, Mapping[str, float]]
"""Margins of single elements, pu: by kind (`INSET_KINDS`), then by id."""

INSET_KINDS = ("bus", "line", "transformer", "der")


@dataclass(frozen=True, slots=True, kw_only=True, eq=False)
class Insets:
    """Margins that the planner's own limits keep.

    Attributes
    ----------
    bus_pu
        (bus,) kept clear of either end of the voltage band, pu.
    line, transformer, der
        Shares of rating kept clear, one for each element.
    """

    bus_pu: FloatArray
    line: FloatArray
    transformer: FloatArray
    der: FloatArray

    @classmethod
    def of(cls, scenario: Scenario, margin_pu: float, at: MarginsAt) -> Insets:
        """Spread one margin over all elements, and widen it where an element has its own.

        Raises
        ------
        ScenarioError
            If ``at`` names an element the scenario does not have.
        """
        feeder, limits = scenario.feeder, scenario.limits
        band = limits.v_max_pu - limits.v_min_pu
        ids: dict[str, Sequence[str]] = {
            "bus": feeder.buses.ids,
            "line": feeder.lines.ids,
            "transformer": feeder.transformers.ids,
            "der": scenario.ders.ids,
        }
        faults: list[str] = []
        kept: dict[str, FloatArray] = {}
        for kind, names in ids.items():
            where = index_of(names)
            values = np.full(len(names), float(margin_pu))
            for name, own in at.get(kind, {}).items():
                if name not in where:
                    faults.append(
                        f"{scenario.name}: [planner] ac_margin_at.{kind}.{name} names no {kind} "
                        f"of the scenario; it has {', '.join(names[:12])}"
                        + (", …" if len(names) > 12 else "")
                    )
                    continue
                values[where[name]] = max(margin_pu, own)
            kept[kind] = values if kind == "bus" else values / band
        if faults:
            raise ScenarioError(faults)
        return cls(
            bus_pu=kept["bus"],
            line=kept["line"],
            transformer=kept["transformer"],
            der=kept["der"],
        )
